"""The tables of the papers on adversarial systems, of trained runs beside held-out songs on the same grid.

    python bench/phrase_systems.py --runs DIR --corpus CORPUS ... [--phrases 500] [--seed 0]

DIR holds runs, each a folder SYSTEM-RECIPE-SEED as `orchestrion train` writes it; seeds of one recipe make one row.
Data rows are phrases of songs of the test split, chosen as the system chooses what it learns from.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from phrase_sides import Run, data_name, grid_of, history, made_rolls, open_runs, real_rolls
from record import record
from rich.progress import Progress
from song_readings import CODE, DEFINITION, MEASURES, notes_at_once

from orchestrion.core.errors import UserError
from orchestrion.metrics.families import FAMILIES, PAIRS, PITCHED, fine_grid
from orchestrion.metrics.harmony import chroma
from orchestrion.metrics.phrases import coverage, energy_distance, phrase_features, relative_spread
from orchestrion.metrics.sets import ratio_interval
from orchestrion.representations.phrases import BAR_STEPS, PhraseGrid

#: Table 1 of the CNN-LSTM paper, its piano track: EB %, UPC, QN %. In its order.
PRINTED_PIANO = {
    "data": (24.8, 3.28, 88.4), "naive": (40.6, 8.92, 30.4), "Bi-LSTM": (39.5, 7.73, 48.7),
    "CNN-LSTM": (27.7, 5.24, 67.4),
}  # fmt: skip
#: MuseGAN's table, the training data and the jamming model, families as in FAMILIES: EB %, UPC, QN %, DP %.
PRINTED_BAND = {
    "data": ((8.06, 8.06, 19.4, 24.8, 10.1), (1.71, 3.08, 3.28, 3.38), (90.0, 81.9, 88.4, 89.6), (88.6,)),
    "jamming": ((6.59, 2.33, 18.3, 22.6, 6.10), (1.53, 3.69, 4.13, 4.09), (71.5, 56.6, 62.2, 63.1), (93.2,)),
}
PRINTED_TONAL = {"data": (1.57, 1.58, 1.51, 1.10, 1.02, 1.04), "jamming": (1.56, 1.60, 1.54, 1.05, 0.99, 1.05)}
PRINTED_RATE = {"real": 1.237, "generated": 1.296}
ALL_STEPS = [0, 1, 2, 4]  # the readings of RATES that divide by all steps, those behind the last note too
READINGS = {"EB": "rolls", "UPC": DEFINITION, "QN": DEFINITION, "DP": DEFINITION, "TD": DEFINITION}
THRESHOLDS = (0.3, 0.5, 0.7, 0.9)
BANDS = ("muse_gan", "ape_gan")  # systems whose tables tell of each track by itself
HELD_OUT = 4  # times as many real phrases as made ones, as they are there
MOST_COMPARED = 400  # phrases a side, where every one is compared with every other


@dataclass(frozen=True)
class Heap:
    """Phrases of one kind, measured. tallies: measure -> reading -> (C, columns, 2); rates: (C, readings, 2);
    features: (C, F) of `phrase_features`; chromas: a set of pitch classes a bar, as bits, by phrase; prints: a digest
    of each phrase; seeds: (C,) of which training; songs: phrases of one are no independent witnesses, empty where all
    are; rejected: phrases drawn in vain."""

    tallies: Mapping[str, Mapping[str, np.ndarray]]
    rates: np.ndarray
    features: np.ndarray
    chromas: np.ndarray
    prints: list[bytes]
    seeds: np.ndarray
    songs: tuple[str, ...] = ()
    rejected: int = 0

    def __len__(self) -> int:
        return len(self.features)


def measured(
    rolls: np.ndarray, grid: PhraseGrid, *, seed: int = 0, songs: Sequence[str] = (), rejected: int = 0
) -> Heap:
    """Phrases (C, K, S, P) bool, as the notes that they are; silent bars at their ends count as well."""
    tallies: dict[str, dict[str, list[np.ndarray]]] = {}
    rates, chromas = [], []
    for roll in rolls:
        score = grid.decode(roll)
        fine = replace(fine_grid(score), edges=np.arange(grid.bars + 1) * BAR_STEPS)
        for name, measure in MEASURES.items():
            for reading in {READINGS[name], CODE}:
                tallies.setdefault(name, {}).setdefault(reading, []).append(measure.readings[reading](fine))
        tally = notes_at_once(fine)
        tally[ALL_STEPS, 1] *= grid.bars * BAR_STEPS / fine.steps
        rates.append(tally)
        sounds = chroma(score, "bar")[: grid.bars] > 0
        bits = np.zeros(grid.bars, np.int64)
        bits[: len(sounds)] = sounds @ (1 << np.arange(12))
        chromas.append(bits)
    return Heap(
        {name: {reading: np.stack(values) for reading, values in told.items()} for name, told in tallies.items()},
        np.stack(rates), phrase_features(rolls, grid.bars), np.stack(chromas), [roll.tobytes() for roll in rolls],
        np.full(len(rolls), seed), tuple(songs), rejected,
    )  # fmt: skip


def joined(heaps: Sequence[Heap]) -> Heap:
    tallies = {
        name: {reading: np.concatenate([heap.tallies[name][reading] for heap in heaps]) for reading in told}
        for name, told in heaps[0].tallies.items()
    }
    parts = (np.concatenate([getattr(heap, name) for heap in heaps]) for name in ("rates", "features", "chromas"))
    rates, features, chromas = parts
    prints, rejected = [one for heap in heaps for one in heap.prints], sum(heap.rejected for heap in heaps)
    seeds = np.concatenate([heap.seeds for heap in heaps])
    return Heap(tallies, rates, features, chromas, prints, seeds, rejected=rejected)


def figure(heap: Heap, name: str, column: int, rng: np.random.Generator, reading: str = "") -> dict[str, Any]:
    """A figure of all phrases in one heap, as the papers average, with its interval over phrases or songs."""
    total, count = heap.tallies[name][reading or READINGS[name]][:, column].T
    interval = asdict(ratio_interval(total, count, rng, groups=heap.songs))
    return {key: value if key == "pieces" else value * MEASURES[name].unit for key, value in interval.items()}


def rate(heap: Heap, reading: int, rng: np.random.Generator) -> dict[str, Any]:
    total, steps = heap.rates[:, reading].T
    return asdict(ratio_interval(total, steps, rng, groups=heap.songs))


Row = list[Any]


class Bench:
    """Runs by recipe, what they make, and the held-out phrases that each is compared with."""

    def __init__(self, runs: Sequence[Run], phrases: int, seed: int, progress: Progress) -> None:
        self.phrases, self.seed = phrases, seed
        self.recipes: dict[str, list[Run]] = {}
        for run in runs:
            self.recipes.setdefault(run.name, []).append(run)
        self.real: dict[str, Heap] = {}
        self.made: dict[str, Heap] = {}
        self.failed: dict[str, str] = {}
        task = progress.add_task("runs", total=len(runs))
        for name, group in self.recipes.items():
            heaps = []
            for run in group:
                if data_name(run) not in self.real:
                    self.real[data_name(run)] = self.held_out(run)
                try:
                    heaps.append(self.heap(run, phrases))
                except UserError as error:  # nothing that it draws is music
                    self.failed[name] = str(error).partition(";")[0]
                progress.advance(task)
            if heaps:
                self.made[name] = joined(heaps)

    def heap(self, run: Run, phrases: int) -> Heap:
        rolls, rejected = made_rolls(run, phrases, self.seed)
        return measured(rolls, grid_of(run), seed=run.seed, rejected=rejected)

    def held_out(self, run: Run, split: str = "test") -> Heap:
        rolls, songs = real_rolls(run, HELD_OUT * self.phrases, np.random.default_rng(self.seed), split)
        return measured(rolls, grid_of(run), songs=songs)

    def data_of(self, name: str) -> Heap:
        return self.real[data_name(self.recipes[name][0])]

    def named(self, keep: Callable[[Run], bool]) -> list[str]:
        return [name for name in self.made if keep(self.recipes[name][0])]

    def rng(self, *words: str) -> np.random.Generator:
        return np.random.default_rng((self.seed, *" ".join(words).encode()))


def piano_table(bench: Bench) -> dict[str, Any] | None:
    """Table 1 of the CNN-LSTM paper."""
    names = bench.named(lambda run: grid_of(run).steps_a_bar >= 48 and "piano" in grid_of(run).track_set.names
                        and run.model.name != "midi_net")  # fmt: skip
    if not names:
        return None
    columns = [("EB", FAMILIES.index("piano")), ("UPC", PITCHED.index("piano")), ("QN", PITCHED.index("piano"))]
    rows: list[Row] = [[f"printed: {who}", *values, *[None] * 6] for who, values in PRINTED_PIANO.items()]

    def told(label: str, heap: Heap, data: Heap | None) -> Row:
        right = [figure(heap, name, column, bench.rng(label, name)) for name, column in columns]
        theirs = [figure(heap, name, column, bench.rng(label, name), CODE) for name, column in columns]
        away: list[Any] = [None] * 3
        if data is not None:
            of_data = [figure(data, name, column, bench.rng("data", name)) for name, column in columns]
            away = [one["mean"] - other["mean"] for one, other in zip(right, of_data, strict=True)]
        return [label, *right, *away, *theirs]

    for data in dict.fromkeys(data_name(bench.recipes[name][0]) for name in names):
        rows.append(told(f"held out: {data}", bench.real[data], None))
        for name in names:
            if data_name(bench.recipes[name][0]) == data:
                rows.append(told(label_of(bench, name), bench.made[name], bench.real[data]))
    return {
        "title": "Table 1 of the CNN-LSTM paper: the piano track",
        "columns": ["", "EB, %", "UPC", "QN, %", "EB, away from data", "UPC, away", "QN, away", "EB, their code",
                    "UPC, their code", "QN, their code"],
        "rows": rows,
        "note": f"{bench.phrases} phrases a run, all their bars and notes in one heap; brackets hold 95 % over"
        " phrases, of held-out ones over songs."
        " Each system stands below the held-out phrases of the grid and the selection it learns from. Aims: EB within"
        " 2.0 points, UPC within 0.8, QN within 15 points of the data.",
    }  # fmt: skip


def band_table(bench: Bench) -> dict[str, Any] | None:
    """MuseGAN's table, each track by itself."""
    names = bench.named(lambda run: grid_of(run).tracks == "five" and run.model.name in BANDS)
    if not names:
        return None
    measures = [(name, FAMILIES if name == "EB" else PITCHED if name != "DP" else ("drums",)) for name in READINGS
                if name != "TD"]  # fmt: skip
    titles = [f"{name}, {family}" for name, families in measures for family in families]
    rows: list[Row] = [[f"printed: {who}", *(value for part in values for value in part)]
                       for who, values in PRINTED_BAND.items()]  # fmt: skip

    def told(label: str, heap: Heap) -> Row:
        return [label, *(figure(heap, name, column, bench.rng(label, name))["mean"]
                         for name, families in measures for column in range(len(families)))]  # fmt: skip

    rows += with_data(bench, names, told)
    return {
        "title": "MuseGAN's table", "columns": ["", *titles], "rows": rows,
        "note": "By our definitions. EB, QN and DP in %. On 16 steps a bar no note is shorter than three 24ths of a"
        " quarter, so that QN is 100 there and says nothing. Intervals are in the result's JSON.",
    }  # fmt: skip


def tonal_table(bench: Bench) -> dict[str, Any] | None:
    names = bench.named(lambda run: grid_of(run).tracks == "five" and run.model.name in BANDS)
    if not names:
        return None

    def told(label: str, heap: Heap) -> Row:
        return [label, *(figure(heap, "TD", column, bench.rng(label, "TD")) for column in range(len(PAIRS)))]

    return {
        "title": "MuseGAN's tonal distances", "columns": ["", *(" and ".join(pair) for pair in PAIRS)],
        "rows": [*([f"printed: {who}", *values] for who, values in PRINTED_TONAL.items()),
                 *with_data(bench, names, told)],
    }  # fmt: skip


def rate_table(bench: Bench) -> dict[str, Any] | None:
    """The WGAN-GP paper's polyphonic rate."""
    names = bench.named(lambda run: grid_of(run).tracks == "seventeen")
    if not names:
        return None

    def told(label: str, heap: Heap) -> Row:
        return [label, rate(heap, 0, bench.rng(label, "0")), rate(heap, 4, bench.rng(label, "4"))]

    rows: list[Row] = [[f"printed: {who}", value, None, None, None] for who, value in PRINTED_RATE.items()]
    learned = {data_name(run): bench.held_out(run, "train") for run in (bench.recipes[name][0] for name in names)}
    for row, data in zip(with_data(bench, names, told), data_rows(bench, names), strict=True):
        if data is None:  # the row of held-out phrases itself
            name = row[0].removeprefix("held out: ")
            rows += [[*told(f"learned from: {name}", learned[name]), None, None], [*row, None, None]]
            source = rate(learned[name], 0, bench.rng("0"))["mean"]
        else:
            mean = row[1]["mean"]
            rows.append([*row, mean - source, mean - rate(data, 0, bench.rng("0"))["mean"]])
    return {
        "title": "Polyphonic rate in seventeen tracks",
        "columns": [
            "",
            "notes at once in a track that plays",
            "in all tracks together",
            "away from music learned from",
            "away from held-out music",
        ],
        "rows": rows,
        "note": "The first column is the reading that comes near the printed figure of real songs"
        " (docs/published-tables.md), which are those that the paper's system learned from. Aim: within 0.03 of real.",
    }


def threshold_table(bench: Bench) -> dict[str, Any] | None:
    """What the threshold does to what a generator of odds draws."""
    rows: list[Row] = []
    for name in bench.named(lambda run: run.model.name == "wgan_gp_attention"):
        run = bench.recipes[name][0]
        own = float(run.system.threshold)
        for threshold in THRESHOLDS:
            run.system.threshold.fill_(threshold)
            heap = bench.heap(run, min(bench.phrases, 200))
            rows.append([f"{name}, threshold {threshold}", rate(heap, 0, bench.rng(name))["mean"],
                         float(np.expm1(heap.features.reshape(len(heap), 6, -1)[:, 2]).sum(1).mean()),
                         heap.rejected / (len(heap) + heap.rejected)])  # fmt: skip
        run.system.threshold.fill_(own)
        data = bench.data_of(name)
        rows.append([f"held out: {data_name(run)}", rate(data, 0, bench.rng(name))["mean"],
                     float(np.expm1(data.features.reshape(len(data), 6, -1)[:, 2]).sum(1).mean()), None])  # fmt: skip
    if not rows:
        return None
    return {
        "title": "Thresholds", "rows": rows,
        "columns": ["", "notes at once in a track that plays", "onsets a bar, all tracks", "share rejected"],
    }  # fmt: skip


def mode_table(bench: Bench) -> dict[str, Any]:
    """How near the real phrases, and how many kinds of them."""
    rows: list[Row] = []
    for name, heap in bench.made.items():
        data = bench.data_of(name)
        real, made = (one.features[:MOST_COMPARED] for one in (data, heap))
        shared = min(bench.phrases, len(data), len(heap))
        chromas = [len(np.unique(one.chromas[:shared])) for one in (heap, data)]
        seeds = [heap.features[heap.seeds == seed] for seed in np.unique(heap.seeds)]
        far = [energy_distance(data.features[:MOST_COMPARED], part[:MOST_COMPARED]) for part in seeds]
        rows.append([
            label_of(bench, name), float(np.mean(far)), f"{min(far):.3g} to {max(far):.3g}" if len(far) > 1 else None,
            relative_spread(real, made), coverage(real, made), chromas[0] / chromas[1],
            len(set(heap.prints)) / len(heap), heap.rejected / (len(heap) + heap.rejected),
        ])  # fmt: skip
    for name, data in bench.real.items():
        half = min(len(data) // 2, MOST_COMPARED)
        one, other = data.features[:half], data.features[half : 2 * half]
        rows.append([f"held out, two halves: {name}", energy_distance(one, other), None, relative_spread(one, other),
                     coverage(one, other), 1.0, len(set(data.prints)) / len(data), None])  # fmt: skip
    return {
        "title": "Modes lost",
        "columns": ["", "phrase distance", "by seed", "spread", "coverage", "chroma vectors", "distinct", "rejected"],
        "rows": rows,
        "note": "phrase distance: energy distance of features, 0 for music of one kind; spread: mean distance between"
        " two phrases over that of real ones; coverage: share of real phrases with a made one among their five nearest;"
        " chroma vectors: different sets of pitch classes a bar over those of as many real phrases; distinct: share of"
        " phrases that differ from all others; rejected: share drawn in vain, silent or flooded.",
    }  # fmt: skip


def is_given(run: Run) -> bool:
    """Whether it plays to a track that is given, and draws nothing by itself."""
    return getattr(run.system.config, "condition", "") in grid_of(run).track_set.names


def with_data(bench: Bench, names: Sequence[str], told: Callable[[str, Heap], Row]) -> list[Row]:
    """Rows of the systems, each kind of data above its own."""
    rows = []
    for data in dict.fromkeys(data_name(bench.recipes[name][0]) for name in names):
        rows.append(told(f"held out: {data}", bench.real[data]))
        rows += [told(label_of(bench, name), bench.made[name]) for name in names
                 if data_name(bench.recipes[name][0]) == data]  # fmt: skip
    return rows


def data_rows(bench: Bench, names: Sequence[str]) -> list[Heap | None]:
    """For each row of `with_data` its data, None for the data themselves."""
    rows: list[Heap | None] = []
    for data in dict.fromkeys(data_name(bench.recipes[name][0]) for name in names):
        count = sum(data_name(bench.recipes[name][0]) == data for name in names)
        rows += [None, *[bench.real[data]] * count]
    return rows


def label_of(bench: Bench, name: str) -> str:
    seeds = [run.seed for run in bench.recipes[name]]
    return f"{name}, {len(seeds)} seeds" if len(seeds) > 1 else name


def trained_table(bench: Bench) -> dict[str, Any]:
    """What was trained."""
    rows = []
    for name, group in bench.recipes.items():
        run, rows_of = group[0], history(group[0])
        said = sorted({line.partition(":")[0] for row in rows_of for line in row.get("remarks", ())})
        said += [bench.failed[name]] if name in bench.failed else []
        rows.append([label_of(bench, name), run.corpus.path.name, run.parameters, run.steps, run.best,
                     "; ".join(said) or "nothing"])  # fmt: skip
    return {
        "title": "Adversarial systems: what was trained", "rows": rows,
        "columns": ["", "corpus", "parameters", "steps", "measured at step", "what the training remarked"],
    }  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, nargs="+", required=True, help="that the runs were trained on")
    parser.add_argument("--phrases", type=int, default=500, help="a run; 500 of 4 bars are the papers' 2,000 bars")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for the result, by default bench/results")
    options = parser.parse_args(argv)
    runs = [run for run in open_runs(options.runs, options.corpus) if run.model.has_bars and not is_given(run)]
    with Progress() as progress:
        bench = Bench(runs, options.phrases, options.seed, progress)
    made = (trained_table, piano_table, band_table, tonal_table, rate_table, threshold_table, mode_table)
    tables = [table for of in made if (table := of(bench)) is not None]
    figures = {table["title"]: {row[0]: dict(zip(table["columns"][1:], row[1:], strict=True)) for row in table["rows"]}
               for table in tables}  # fmt: skip
    figures["by track, with intervals"] = {
        label_of(bench, name): {
            f"{measure} {column}": figure(heap, measure, index, bench.rng(name, measure))
            for measure in READINGS for index, column in enumerate(MEASURES[measure].columns)
        }
        for name, heap in bench.made.items() if grid_of(bench.recipes[name][0]).tracks == "five"
    }  # fmt: skip
    data = {run.corpus.path.name: run.corpus.info()["fingerprint"] for run in runs}
    path = record("phrase_systems", figures, command=shlex.join(["python", *sys.argv]), seed=options.seed, data=data,
                  tables=tables, **({"folder": options.out} if options.out else {}))  # fmt: skip
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
