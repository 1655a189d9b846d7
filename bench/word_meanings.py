"""Whether APE-GAN plays what was meant, and not just other music for other words; and how much of what its gate lets
pass lies among real music.

    python bench/word_meanings.py --runs DIR --corpus CORPUS [--pieces 48] [--seed 0]

DIR as for word_groups.py. A sentence is played as it is meant where its notes lie nearest to those of held-out music of
which the meaning of its group is true, of the six.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from phrase_sides import Run, open_runs
from record import record
from word_groups import DISTRIBUTION, GROUP_OF, GROUPS, MEANING, OTHERS, Heard

from orchestrion.adversarial import REAL
from orchestrion.corpus.pairs import Pairs, shifted
from orchestrion.corpus.sayings import MEANINGS
from orchestrion.metrics.phrases import among_real, phrase_features
from orchestrion.metrics.preference import wilson_interval
from orchestrion.metrics.sentences import divergence, note_counts
from orchestrion.systems.ape_gan import ApeGan
from orchestrion.text.encoder import SentenceEncoder

MOST, DRAWN = 256, 3000


def real_totals(pairs: Pairs, rng: np.random.Generator) -> np.ndarray:
    """(6, C) notes of held-out phrases of which each meaning is true."""
    totals = []
    for meaning in MEANING.values():
        rows = rng.permutation(np.flatnonzero(pairs.true[:, MEANINGS.index(meaning)]))[:MOST]
        rolls = shifted(pairs.phrases.at(pairs.firsts[rows]), pairs.shifts[rows], pairs.phrases.grid)
        totals.append(sum(note_counts(pairs.phrases.grid.decode(roll), DISTRIBUTION) for roll in rolls))
    return np.stack(totals)


def share(right: int, asked: int) -> dict[str, Any]:
    return {key: 100 * value for key, value in asdict(wilson_interval(right, asked)).items() if key != "pieces"}


def as_meant(system: ApeGan, embeddings: np.ndarray, real: np.ndarray, pieces: int, seed: int) -> dict[str, Any]:
    totals = Heard(system, embeddings, pieces, seed, 0).totals
    nearest = [list(GROUPS)[int(np.argmin([divergence(total, group) for group in real]))] for total in totals]
    return share(sum(near == group for near, group in zip(nearest, GROUP_OF, strict=True)), len(nearest))


def gate(run: Run, seed: int) -> list[list[Any]]:
    system, rng = run.system, np.random.default_rng(seed)
    pairs, grid = system.pairs(run.corpus, "test"), system.grid
    rngs = rng.spawn(DRAWN)
    drawn = np.concatenate([system.draw(rngs[start : start + 256], None) for start in range(0, DRAWN, 256)])
    odds = system.odds(drawn, None)
    chosen = rng.permutation(len(pairs.firsts))[:1500]
    real = shifted(pairs.phrases.at(pairs.firsts[chosen]), pairs.shifts[chosen], grid)
    features = phrase_features(real[:1000], grid.bars)
    kinds = {"held-out music": real[1000:], "passes": drawn[odds > REAL], "refused": drawn[odds <= REAL],
             "refused, the surest tenth": drawn[np.argsort(odds)[: DRAWN // 10]]}  # fmt: skip
    rows = []
    for name, rolls in kinds.items():
        inside = among_real(features, phrase_features(rolls, grid.bars))
        rows.append([f"seed {run.seed}: {name}", len(rolls), share(int(inside.sum()), len(inside))])
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--pieces", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    runs = open_runs(options.runs, [options.corpus], "ape_gan-")
    embeddings, rng = SentenceEncoder.load().encode(OTHERS), np.random.default_rng(options.seed)
    small = [run for run in runs if run.name.endswith("/small")]
    real = real_totals(small[0].system.pairs(small[0].corpus, "test"), rng)
    torch.manual_seed(options.seed)
    told = [(f"{run.name.partition('/')[2]}, seed {run.seed}", run.system) for run in runs]
    told.append(("untrained", ApeGan(small[0].system.config)))
    rows = [[name, as_meant(system, embeddings, real, options.pieces, options.seed)] for name, system in told]
    gates = [row for run in small for row in gate(run, options.seed)]
    tables = [
        {
            "title": "Whether it is played as it is meant",
            "columns": ["no gate", "sentences nearest to real music of their meaning, %"],
            "rows": rows,
            "note": f"{len(OTHERS)} sentences, six meanings: chance is 17 %.",
        },
        {
            "title": "How much of it lies among real music",
            "columns": ["", "phrases", "nearer to a real phrase than its fifth neighbour, %"],
            "rows": gates,
            "note": "Composed without words; by the features of phrases.",
        },
    ]
    info = runs[0].corpus.info()
    command = shlex.join(["python", "bench/word_meanings.py", *(sys.argv[1:] if argv is None else argv)])
    data = {"corpus": f"{runs[0].corpus.path.name}, {info['pieces']} pieces", "fingerprint": info["fingerprint"]}
    figures = {"as meant": dict(rows), "among real": {row[0]: row[2] for row in gates}}
    print(record("word_meanings", figures, command=command, seed=options.seed, data=data, tables=tables))


if __name__ == "__main__":
    main()
