"""What passes APE-GAN's gate beside what does not, by figures that the gate was not trained by.

    python bench/gate.py --runs DIR --corpus CORPUS [--phrases 24000] [--seed 0]

DIR holds runs of ape_gan/small. Phrases are drawn without words. A judge of style, a logistic regression on the metrics
of style of `orchestrion evaluate`, learns from other phrases of the run and from held-out music; a phrase is taken for
real where it calls it so. As few notes say little against a phrase, and what passes may merely have few, refused
phrases of as many notes stand beside those that pass.
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
from phrase_sides import Run, open_runs, percent, said_of
from record import record
from rich.progress import Progress

from orchestrion.data.captions.pairs import shifted
from orchestrion.metrics.frechet import style_vectors
from orchestrion.metrics.grid import on_grid
from orchestrion.metrics.phrases import among_real, energy_distance, phrase_features
from orchestrion.metrics.sets import mean_interval
from orchestrion.metrics.suite import METRICS, measure
from orchestrion.metrics.two_sample import RIDGE, logistic_regression
from orchestrion.models.layers.hysteresis import begun
from orchestrion.models.pianoroll_gan import REAL
from orchestrion.music.analysis import estimate_key
from orchestrion.representations.phrases import PhraseGrid, empty

MOST = 1500  # phrases of a kind
COMPARED = 1000  # of them, where every one is compared with every other
RESAMPLES = 200
STYLE = [metric for metric in METRICS if metric.style]


def measured(rolls: np.ndarray, grid: PhraseGrid) -> list[dict[str, float]]:
    return [dict(measure(on_grid(grid.decode(roll))).values) for roll in rolls]


def real_by_style(
    learned: list[dict[str, float]], held: list[dict[str, float]], asked: Sequence[list[dict[str, float]]]
) -> list[np.ndarray]:
    """For each list of phrases asked of, (C,) bool: which of them a judge takes for real that learned to tell the made
    ones `learned` from the real ones `held`, both weighing alike."""
    ends = np.cumsum([len(learned), *map(len, asked)])
    vectors = style_vectors([one for values in (learned, *asked) for one in values], held, STYLE)
    made, *others = np.split(vectors.generated, ends[:-1])
    x = np.concatenate([made, vectors.reference])
    is_made = np.arange(len(x)) < len(made)
    weights = logistic_regression(x, is_made, 0.5 / np.where(is_made, is_made.mean(), (~is_made).mean()), RIDGE)
    return [values @ weights[1:] + weights[0] < 0 for values in others]


def drawn(run: Run, phrases: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(C, bytes) of bits and (C,) what the discriminator gives them."""
    system, bits, odds = run.system, [], []
    rngs = rng.spawn(phrases)
    for start in range(0, phrases, 256):
        rolls = system.draw(rngs[start : start + 256], None)
        rolls = rolls[~empty(rolls)]
        bits.append(np.packbits(rolls.reshape(len(rolls), -1), axis=1))
        odds.append(system.odds(rolls, None))
    return np.concatenate(bits), np.concatenate(odds)


def notes(rolls: np.ndarray) -> np.ndarray:
    """(C, K, S, P) bool -> (C,) notes in each."""
    return begun(torch.from_numpy(rolls)).sum((1, 2, 3)).numpy()


def as_full(wanted: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """For each number of notes wanted (C,), one of phrases with `counts` (D,) that has about as many; none twice."""
    free, found = counts.astype(float), np.zeros(len(wanted), np.int64)
    for place, number in enumerate(wanted):
        found[place] = np.argmin(np.abs(free - number))
        free[found[place]] = np.inf
    return found


def gate(run: Run, phrases: int, seed: int) -> list[list[Any]]:
    system, rng = run.system, np.random.default_rng(seed)
    grid, pairs = system.grid, system.pairs(run.corpus, "test")
    system.eval()
    bits, odds = drawn(run, phrases, rng)

    def rolls(index: np.ndarray) -> np.ndarray:
        cells = np.unpackbits(bits[index], axis=1, count=grid.cells)
        return cells.reshape(-1, *grid.shape).astype(bool)

    chosen = rng.permutation(len(pairs.firsts))[: 3 * MOST]
    real = shifted(pairs.phrases.at(pairs.firsts[chosen]), pairs.shifts[chosen], grid)
    real = real[~empty(real)]
    order = rng.permutation(len(odds))
    learned, order = order[:MOST], order[MOST:]
    passed, refused = order[odds[order] > REAL], order[odds[order] <= REAL]
    held, others = np.array_split(real, 2)
    features = phrase_features(held[:COMPARED], grid.bars)
    through = rolls(passed[:MOST])
    counts = np.concatenate([notes(rolls(part)) for part in np.array_split(refused, -(-len(refused) // 256))])
    kinds = {
        "held-out music": others[:MOST],
        f"passes ({len(passed):,} of {len(order):,})": through,
        "refused": rolls(refused[:MOST]),
        "refused, of as many notes": rolls(refused[as_full(notes(through), counts)]),
    }
    values = [measured(some, grid) for some in kinds.values()]
    taken = real_by_style(measured(rolls(learned), grid), measured(held[:MOST], grid), values)
    rows = []
    for (name, some), real_ones in zip(kinds.items(), taken, strict=True):
        own = phrase_features(some, grid.bars)
        compared = own[:COMPARED]
        away = [
            energy_distance(features, compared[rng.integers(len(compared), size=len(compared))])
            for _ in range(RESAMPLES)
        ]
        low, high = np.quantile(away, [0.025, 0.975])
        distance = {"mean": energy_distance(features, compared), "low": float(low), "high": float(high)}
        sure = asdict(mean_interval([estimate_key(grid.decode(roll))[1] for roll in some], rng))
        inside = among_real(phrase_features(held[:MOST], grid.bars), own)
        told = [percent(int(one.sum()), len(one)) for one in (real_ones, inside)]
        rows.append([f"seed {run.seed}: {name}", told[0], distance, told[1], sure])
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--phrases", type=int, default=24_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    runs = [run for run in open_runs(options.runs, [options.corpus], "ape_gan-") if run.name.endswith("/small")]
    rows = []
    with Progress() as progress:
        task = progress.add_task("runs", total=len(runs))
        for run in runs:
            rows += gate(run, options.phrases, options.seed)
            progress.advance(task)
    tables = [
        {
            "title": "What passes the gate", "rows": rows,
            "columns": ["", "taken for real by style, %", "distance from held-out music",
                        "nearer to a real phrase than its fifth neighbour, %", "sureness of the key"],
            "note": "Composed without words, phrases of 4 bars; none of these figures trained the gate. The judge of"
            " style learned from other phrases of the same run and other held-out music.",
        },
    ]  # fmt: skip
    command = shlex.join(["python", "bench/gate.py", *(sys.argv[1:] if argv is None else argv)])
    figures = {row[0]: dict(zip(tables[0]["columns"][1:], row[1:], strict=True)) for row in rows}
    print(record("gate", figures, command=command, seed=options.seed, data=said_of(runs[0].corpus), tables=tables))


if __name__ == "__main__":
    main()
