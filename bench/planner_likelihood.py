"""What the planner makes of held-out plans, in nats a bar, and what the words are worth.

    python bench/planner_likelihood.py --model RUN --corpus CORPUS [--examples 400] [--splits valid test]

The same plans are read with a caption of their own piece, with that of another piece, and without words; nothing is
asked but the words. Pieces are drawn as in training, whole or some of their sections. Intervals: bootstrap over pieces,
in pairs.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import Any

import numpy as np
import torch
from record import record

from orchestrion.data.plan_examples import Example, ExampleDraw, piece_outline, rows_of, span_of
from orchestrion.data.store import Corpus, open_corpus
from orchestrion.models.loading import load
from orchestrion.models.zoo.planner import Planner, batch_of
from orchestrion.planning.tokens import KIND_OF, KINDS, NAMES

READINGS = ("own", "other", "none")
RESAMPLES = 2000


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--examples", type=int, default=400, help="plans of each split")
    parser.add_argument("--splits", nargs="+", default=["valid", "test"])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)

    model, corpus = load(arguments.model), open_corpus(arguments.corpus)
    assert isinstance(model.system, Planner)
    figures: dict[str, Any] = {}
    for split in arguments.splits:
        examples, pieces = drawn(corpus, split, model.system, arguments.examples, arguments.seed)
        figures[split] = compared(measured(model.system, examples), examples, pieces, arguments.seed)
        print(split, figures[split], flush=True)
    rows = [
        [f"{split}: {kind}", f["own"], f["other"], f["none"], f["other over own"], f["none over own"], f["plans"]]
        for split, kinds in figures.items()
        for kind, f in kinds.items()
    ]
    record(
        "planner_likelihood",
        figures,
        command=shlex.join(["python", *sys.argv]),
        seed=arguments.seed,
        data={"corpus": corpus.info()["fingerprint"], "model": model.sha256},
        tables=[
            {
                "title": "Planner: held-out nats a bar",
                "columns": ["tokens", "own sentence", "another's sentence", "no sentence", "another's / own - 1",
                            "none / own - 1", "plans"],
                "rows": rows,
                "note": "Nothing is given but the words. Brackets: 95 % of a bootstrap over pieces, in pairs.",
            }
        ],
    )  # fmt: skip


def drawn(corpus: Corpus, split: str, planner: Planner, count: int, seed: int) -> tuple[list[Example], list[str]]:
    """Plans of which nothing is asked, each with a caption, and the piece of each; the same for the same seed."""
    draws, rng = ExampleDraw(corpus, split), np.random.default_rng(seed)
    examples: list[Example] = []
    pieces: list[str] = []
    while len(examples) < count:
        piece = draws.piece(rng)
        plan = draws.plans.of(piece)
        outline = piece_outline(
            piece, plan, piece.instruments, draws.plans, span_of(plan, rng, planner.config.whole), rng
        )
        if outline is None or not piece.captions:
            continue
        rows, targets = rows_of(outline, [])
        if len(rows) <= planner.config.most_rows:
            caption = corpus.captions[piece.captions[rng.integers(len(piece.captions))]]
            examples.append(Example(rows, targets, sum(outline.lengths), caption))
            pieces.append(piece.group)
    return examples, pieces


@torch.inference_mode()
def measured(planner: Planner, examples: list[Example]) -> np.ndarray:
    """(readings, N, kinds) nats of each plan."""
    kinds = torch.tensor([KINDS.index(KIND_OF[name]) for name in NAMES])
    nats = np.zeros((len(READINGS), len(examples), len(KINDS)))
    order = np.argsort([len(example.rows) for example in examples], kind="stable")
    told = [example.sentence for example in examples]
    sentences = (told, told[1:] + told[:1], [""] * len(told))  # plans are drawn in no order
    for first in range(0, len(order), 16):
        chosen = order[first : first + 16]
        for reading, said in enumerate(sentences):
            own = [Example(e.rows, e.targets, e.bars, said[i]) for i in chosen for e in [examples[i]]]
            batch = batch_of(own)
            values, slots = planner.token_nats(batch)
            row = (batch["targets"] >= 0).nonzero()[:, 0]
            sums = torch.zeros(len(own) * len(KINDS)).index_add_(0, row * len(KINDS) + kinds[slots], values)
            nats[reading, chosen] = sums.view(-1, len(KINDS)).numpy()
    return nats


def compared(nats: np.ndarray, examples: list[Example], pieces: list[str], seed: int) -> dict[str, dict[str, Any]]:
    """Nats a bar by reading, of all tokens and by kind, and by how much more each costs than with the own sentence."""
    names, place = np.unique(pieces, return_inverse=True)
    bars = np.bincount(place, [example.bars for example in examples])
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)  # (R, pieces)
    found: dict[str, dict[str, Any]] = {}
    for kind, own in [("all", nats.sum(-1)), *((kind, nats[..., index]) for index, kind in enumerate(KINDS))]:
        of_piece = np.stack([np.bincount(place, row) for row in own])  # (readings, pieces)
        means = of_piece.sum(1) / bars.sum()
        again = weights @ of_piece.T  # (R, readings)
        found[kind] = {name: round(float(mean), 3) for name, mean in zip(READINGS, means, strict=True)}
        for index, name in ((1, "other over own"), (2, "none over own")):
            low, high = np.percentile(again[:, index] / again[:, 0] - 1, [2.5, 97.5])
            found[kind][name] = f"{means[index] / means[0] - 1:.3f} [{low:.3f}, {high:.3f}]"
        found[kind]["plans"] = len(examples)
    return found


if __name__ == "__main__":
    main()
