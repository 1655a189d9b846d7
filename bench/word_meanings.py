"""Whether APE-GAN plays what was meant, and not just other music for other words.

    python bench/word_meanings.py --runs DIR --corpus CORPUS [--pieces 48] [--seed 0]

DIR as for word_groups.py. A sentence is played as it is meant where its notes lie nearest to those of held-out music of
which the meaning of its group is true, of the six.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from phrase_sides import open_runs, percent, said_of
from record import record
from word_groups import DISTRIBUTION, MEANING, SETS, Heard, told_in

from orchestrion.data.captions.pairs import Pairs, shifted
from orchestrion.data.captions.templates import MEANINGS
from orchestrion.metrics.sentences import divergence, note_counts
from orchestrion.models.zoo.ape_gan import ApeGan
from orchestrion.text.encoder import SentenceEncoder

MOST = 256


def real_totals(pairs: Pairs, rng: np.random.Generator) -> np.ndarray:
    """(6, C) notes of held-out phrases of which each meaning is true."""
    totals = []
    for meaning in MEANING.values():
        rows = rng.permutation(np.flatnonzero(pairs.true[:, MEANINGS.index(meaning)]))[:MOST]
        rolls = shifted(pairs.phrases.at(pairs.firsts[rows]), pairs.shifts[rows], pairs.phrases.grid)
        totals.append(sum(note_counts(pairs.phrases.grid.decode(roll), DISTRIBUTION) for roll in rolls))
    return np.stack(totals)


def as_meant(system: ApeGan, told: str, embeddings: np.ndarray, real: np.ndarray, pieces: int, seed: int) -> Any:
    totals = Heard(system, embeddings, pieces, seed, 0).totals
    nearest = [list(MEANING)[int(np.argmin([divergence(total, group) for group in real]))] for total in totals]
    return percent(sum(near == group for near, group in zip(nearest, told_in(told)[1], strict=True)), len(nearest))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--pieces", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    runs = open_runs(options.runs, [options.corpus], "ape_gan-")
    encoder, rng = SentenceEncoder.load(), np.random.default_rng(options.seed)
    embeddings = {told: encoder.encode(told_in(told)[0]) for told in SETS}
    small = [run for run in runs if run.name.endswith("/small")]
    real = real_totals(small[0].system.pairs(small[0].corpus, "test"), rng)
    torch.manual_seed(options.seed)
    systems = [(f"{run.name.partition('/')[2]}, seed {run.seed}", run.system) for run in runs]
    systems.append(("untrained", ApeGan(small[0].system.config)))
    rows = [
        [name, *(as_meant(system, told, embeddings[told], real, options.pieces, options.seed) for told in SETS)]
        for name, system in systems
    ]
    tables = [
        {
            "title": "Whether it is played as it is meant",
            "columns": ["no gate", *(f"{told}: nearest to real music of their meaning, %" for told in SETS)],
            "rows": rows,
            "note": "Six meanings: chance is 17 %.",
        },
    ]
    command = shlex.join(["python", "bench/word_meanings.py", *(sys.argv[1:] if argv is None else argv)])
    figures = {told: {row[0]: row[place] for row in rows} for place, told in enumerate(SETS, start=1)}
    print(
        record(
            "word_meanings", figures, command=command, seed=options.seed, data=said_of(runs[0].corpus), tables=tables
        )
    )


if __name__ == "__main__":
    main()
