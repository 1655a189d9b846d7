"""What the heads of an attention grid look at, as figures 5.15 to 5.18 of Luo's report (2021).

    python bench/attention_pictures.py --model RUN --corpus CORPUS --out FOLDER [--steps 250]

Writes note-on.png and note-off.png (5.15: one event of pitch 50 at steps 10 to 15, nothing around it), both.png (5.16:
note-ons there and note-offs at 50 to 55), and stack-N.png, the weights of every stack on the opening of a test piece
(5.17 and 5.18). The first three look at later steps too, as the report's squares do; the others as in composing.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from orchestrion.data.store import open_corpus
from orchestrion.data.tokens import token_table
from orchestrion.models.loading import load
from orchestrion.models.zoo.attention_grid import NOTATION, AttentionGrid
from orchestrion.rendering.attention_picture import write_attention
from orchestrion.representations.performance import NOTE_OFF, NOTE_ON

PITCH, SHOWN_STEPS = 50, 64  # steps in the pictures of lone events
FIRST, SECOND = slice(10, 15), slice(50, 55)
EVENTS: Mapping[str, Mapping[int, slice]] = {
    "note-on": {NOTE_ON + PITCH: FIRST},
    "note-off": {NOTE_OFF + PITCH: FIRST},
    "both": {NOTE_ON + PITCH: FIRST, NOTE_OFF + PITCH: SECOND},
}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--steps", type=int, default=250, help="of the test piece, as many as the report shows")
    arguments = parser.parse_args(argv)
    grid = load(arguments.model).system
    if not isinstance(grid, AttentionGrid):
        parser.error(f"{arguments.model} is no attention grid")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, events in EVENTS.items():
        tokens = torch.full((1, SHOWN_STEPS), -1)
        for token, steps in events.items():
            tokens[0, steps] = token
        write(grid.scores(tokens, masked=False)[:1], arguments.out, name)
    opening = token_table(open_corpus(arguments.corpus), "test", NOTATION).piece(0)[: arguments.steps]
    tokens = torch.from_numpy(np.append(NOTATION.size, opening)[None].astype(np.int64))
    write(grid.scores(tokens), arguments.out, "stack")


def write(stacks: list[torch.Tensor], out: Path, name: str) -> None:
    """One picture a stack, a square a head."""
    for number, weights in enumerate(stacks, 1):
        path = out / (f"{name}-{number}.png" if name == "stack" else f"{name}.png")
        write_attention(weights[0].numpy(), path)
        print(path)


if __name__ == "__main__":
    main()
