"""What the composer makes of held-out music, in nats a note, and what the words and the given controls are worth.

    python bench/composer_likelihood.py --model RUN --corpus CORPUS [--windows 256] [--splits valid test]

The same windows of every dataset are read with their own sentences, with the sentences of other windows, and without.
All cells of a window are to compose, none is given.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from record import record

from orchestrion.data.store import Corpus, open_corpus
from orchestrion.data.windows import Window, cut
from orchestrion.models.loading import load
from orchestrion.models.zoo.composer import Composer, window_batch
from orchestrion.representations.steps import FIELDS

READINGS = ("own", "other", "none")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--windows", type=int, default=256, help="windows of each dataset and split")
    parser.add_argument("--splits", nargs="+", default=["valid", "test"])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)

    model, corpus = load(arguments.model), open_corpus(arguments.corpus)
    assert isinstance(model.system, Composer)
    figures: dict[str, Any] = {}
    for split in arguments.splits:
        figures[split] = {}
        for dataset in corpus.info()["datasets"]:
            windows = draw_windows(corpus, split, dataset, arguments.windows, arguments.seed)
            if windows:
                figures[split][dataset] = measure(model.system, corpus, windows, arguments.seed)
                print(split, dataset, figures[split][dataset], flush=True)
    rows = [
        [f"{dataset} ({split})", f["own"], f["other"], f["none"], *(f[field] for field in FIELDS), f["notes"]]
        for split, sets in figures.items()
        for dataset, f in sets.items()
    ]
    record(
        "composer_likelihood",
        figures,
        command=shlex.join(["python", *sys.argv]),
        seed=arguments.seed,
        data={"corpus": corpus.info()["fingerprint"], "model": model.sha256},
        tables=[
            {
                "title": "Composer: held-out nats a note",
                "columns": ["data", "own sentence", "another's sentence", "no sentence", *FIELDS, "notes"],
                "rows": rows,
                "note": "A note costs its position, pitch, length (not of drums) and velocity, and its share of the "
                "ends of cells, which count as positions. The fields are those of the first column.",
            }
        ],
    )


def draw_windows(corpus: Corpus, split: str, dataset: str, count: int, seed: int) -> list[Window]:
    """Windows in which nothing is given, the same for the same seed."""
    pieces = [piece for piece in corpus.pieces(split) if piece.dataset == dataset]
    rng = np.random.default_rng(seed)
    found: list[Window] = []
    while pieces and len(found) < count:
        window = cut(pieces[rng.integers(len(pieces))], rng, 768)
        if window is not None:
            found.append(replace(window, hole=np.ones_like(window.hole)))
    return sorted(found, key=lambda window: window.size)


@torch.inference_mode()
def measure(composer: Composer, corpus: Corpus, windows: list[Window], seed: int) -> dict[str, float]:
    """Nats a note by reading, and by field with the own sentence."""
    sums: dict[str, float] = defaultdict(float)
    notes = 0.0
    for first in range(0, len(windows), 16):
        chosen, rng = windows[first : first + 16], np.random.default_rng((seed, first))
        batch = dict(window_batch(chosen, corpus, rng, composer.config, learning=False))
        sentences = batch["sentence"]
        for reading in READINGS:
            if reading == "other":
                batch["sentence"] = sentences.roll(1, 0)
            elif reading == "none":
                batch["sentence"] = torch.full_like(sentences, torch.nan)
            measured = composer.measure(batch)
            sums[reading] += measured["nats_per_note"][0]
            if reading == "own":
                notes += measured["nats_per_note"][1]
                for field in FIELDS:
                    sums[field] += measured[f"{field}_nats_per_note"][0]
    return {name: round(value / notes, 4) for name, value in sums.items()} | {"notes": notes}


if __name__ == "__main__":
    main()
