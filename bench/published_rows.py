"""The rows that papers printed of real music, computed again by the definitions and by the code that the papers used.

    python bench/published_rows.py --band DIR --band-csv FILE --maestro DIR [--songs 1000] [--seed 0]

MuseGAN's training data and the WGAN-GP paper's rock songs on band files, Luo's real data on MAESTRO. What the figures
mean stands in docs/published-tables.md, which `bench/tables.py` fills with the tables of this result.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from piano_excerpts import (
    FEATURES,
    KLS,
    SUMS,
    TRANSITIONS,
    Performance,
    distances_of,
    halves,
    known,
    melody,
    melody_score,
    performances,
    piano,
    shuffle,
    transitions,
)
from record import record
from rich.progress import Progress
from song_readings import (
    ANY_INNER,
    CODE,
    CONVERTED,
    DEFINITION,
    END_BARS,
    FILED,
    FIVE,
    INNER,
    LPD,
    MEASURES,
    PRINTED_RATE,
    RATES,
    ROCK,
    STEPS,
    notes_at_once,
)
from symusic import Score

from orchestrion.metrics.distances import kl_of_histograms
from orchestrion.metrics.families import fine_grid
from orchestrion.metrics.grid import Grid
from orchestrion.metrics.pitch import mean_pitch, pitches_used
from orchestrion.metrics.rhythm import average_inter_onset_interval, average_inter_onset_interval_mgeval
from orchestrion.metrics.sets import mean_interval, ratio_interval
from orchestrion.music import ScoreError
from orchestrion.music.bars import bars
from orchestrion.music.edit import slice_bars
from orchestrion.music.files import read

#: Luo's tables 5.2 to 5.5, 5.7 and 5.9: which, least to greatest sum within and across, and of their quotients.
PRINTED_SUMS = (
    ("mono, 500 samples", "1,469 to 1,584", "2,950 to 3,255", "1.86 to 2.22"),
    ("poly, 200 samples", "423 to 455", "1,782 to 1,835", "3.99 to 4.21"),
    ("attention", None, "1,776 to 2,089", None),
    ("attention, transposed", None, "54.6 to 58.2", None),
)
PRINTED_KL = (0.0431, 0.0502)
SPLITS = 10


def is_rock(row: Mapping[str, str]) -> bool:
    """By the labels that came with LPD: Last.fm's tags or tagtraum's genres."""
    return "rock" in row["lastfm_tags"].lower().split("|") or "Rock" in row["tagtraum_genre"].split("|")


def song_sets(rows: Sequence[Mapping[str, str]], songs: int, rng: np.random.Generator) -> dict[str, list[str]]:
    """Set -> files."""
    members = [row for row in rows if row["lpd_cleansed_msd_ids"]]
    filed = [row["id"] for row in rows if row["genre_folder"] == "rock"]
    return {
        ROCK: [row["id"] for row in members if is_rock(row)],
        LPD: [row["id"] for row in members],
        FILED: [filed[index] for index in np.sort(rng.permutation(len(filed))[:songs])],
    }


def tallies(fine: Grid) -> dict[str, dict[str, np.ndarray]]:
    """Measure -> reading -> tally of one song."""
    found = {name: {reading: of(fine) for reading, of in m.readings.items()} for name, m in MEASURES.items()}
    return found | {"rate": {"rate": notes_at_once(fine)}}


def without_ends(score: Score) -> Score | None:
    """The song less its first and last eight bars; None where fewer than eight remain."""
    count = len(bars(score))
    return slice_bars(score, END_BARS + 1, count - END_BARS) if count >= 3 * END_BARS else None


def measured_songs(
    folder: Path, sets: Mapping[str, Sequence[str]], progress: Progress
) -> tuple[dict[str, list[dict[str, dict[str, np.ndarray]]]], list[str]]:
    """Set -> tallies of its songs, songs with five families and their middles among them; and the files left out."""
    names, members = sorted({name for files in sets.values() for name in files}), {*sets[LPD]}
    found, inner, skipped = {}, {}, []
    task = progress.add_task("songs", total=len(names))
    for name in names:
        progress.advance(task)
        try:
            score = read(folder / name)
        except (ScoreError, OSError):
            skipped.append(name)
            continue
        fine = fine_grid(score)
        if not len(fine):
            skipped.append(name)
            continue
        found[name] = tallies(fine)
        if name in members and (found[name]["EB"]["rolls"][:, 0] < fine.bars).all():
            middle = without_ends(score)
            inner[name] = tallies(fine_grid(middle)) if middle is not None and middle.note_num() else None
    result = {kind: [found[name] for name in files if name in found] for kind, files in sets.items()}
    rock = {*sets[ROCK]}
    result[FIVE] = [found[name] for name in inner if name in rock]
    result[INNER] = [part for name, part in inner.items() if part is not None and name in rock]
    result[ANY_INNER] = [part for part in inner.values() if part is not None]
    return result, skipped


def column(songs: Sequence[Mapping[str, Any]], measure: str, reading: str) -> np.ndarray:
    """(songs, columns, 2)"""
    return np.stack([song[measure][reading] for song in songs])


def mean(tally: np.ndarray, over: str) -> np.ndarray:
    """(columns,) over songs, those without a value left out; or of all songs in one heap. nan without any."""
    total, count = tally[..., 0], tally[..., 1]
    if over == "all":
        return np.where(count.any(axis=0), total.sum(axis=0) / np.maximum(count.sum(axis=0), 1e-9), np.nan)
    share = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return np.where(count.any(axis=0), share.sum(axis=0) / np.maximum((count > 0).sum(axis=0), 1), np.nan)


def musegan_tables(sets: Mapping[str, Any], rng: np.random.Generator) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    figures: dict[str, Any] = {}
    tables = []
    for name, measure in MEASURES.items():
        beside = [
            (f"{what}: {kind}", kind, reading, over)
            for what, reading, over in (
                ("definition", DEFINITION, "songs"),
                ("their code", CODE, "all"),
                ("their code and converter", CONVERTED, "all"),
            )
            for kind in (ROCK, LPD, FILED)
        ]
        found: dict[str, dict[str, float]] = {}
        for label, kind, reading, over in (*beside, *STEPS[name]):
            values = measure.unit * mean(column(sets[kind], name, reading), over)
            away = np.abs(values - measure.printed).mean()
            found[label] = dict(zip((*measure.columns, "away"), [*values.tolist(), float(away)], strict=True))
        for title, rows in ((measure.title, beside), (f"{name}, one change after another", STEPS[name])):
            told = [[label, *found[label].values()] for label, *_ in rows]
            head = ["printed", *measure.printed, None]
            tables.append({"title": title, "columns": ["", *measure.columns, "away"], "rows": [head, *told]})
        figures[name] = found | {
            "intervals": {kind: intervals(sets[kind], name, rng) for kind in (ROCK, LPD, FILED, ANY_INNER)}
        }
    return figures, [summary(figures), *tables]


def summary(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figure by figure: as printed, as defined, and as MuseGAN's code has it of the songs that it would have taken."""
    rows = []
    for name, measure in MEASURES.items():
        right, theirs = (
            figures[name]["intervals"][kind][reading] for kind, reading in ((LPD, DEFINITION), (ANY_INNER, CONVERTED))
        )
        rows += [
            [f"{name}, {label}", printed, right[label], theirs[label]]
            for label, printed in zip(measure.columns, measure.printed, strict=True)
        ]
    columns = ["", "printed", "by its definition", "by their code and converter, on songs chosen as theirs"]
    inside = [sum(row[at]["low"] <= row[1] <= row[at]["high"] for row in rows) for at in (2, 3)]
    note = (
        f"Brackets hold 95 %, over songs. Of the {len(rows)} printed figures {inside[0]} lie in the interval of the "
        f"definition and {inside[1]} in that of the code."
    )
    return {"title": "MuseGAN's training data, figure by figure", "columns": columns, "rows": rows, "note": note}


def intervals(songs: Sequence[Any], name: str, rng: np.random.Generator) -> dict[str, Any]:
    """Reading -> column -> interval over songs: of the mean over songs for the definition, else of that over all."""
    measure = MEASURES[name]
    found: dict[str, dict[str, Any]] = {}
    for reading in (DEFINITION, CODE, CONVERTED):
        for index, label in enumerate(measure.columns):
            total, count = column(songs, name, reading)[:, index].T
            if reading == DEFINITION:
                interval = mean_interval(total[count > 0] / count[count > 0], rng)
            else:
                interval = ratio_interval(total, count, rng)
            found.setdefault(reading, {})[label] = scaled(asdict(interval), measure.unit)
    return found


def scaled(interval: Mapping[str, Any], unit: float) -> dict[str, Any]:
    return {name: value if name == "pieces" else value * unit for name, value in interval.items()}


def rate_table(sets: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    columns = {
        f"{kind}, {words}": mean(column(sets[kind], "rate", "rate"), over)
        for kind in (ROCK, FILED)
        for over, words in (("songs", "mean of songs"), ("all", "all songs in one"))
    }
    figures = {
        label: {name: float(values[index]) for name, values in columns.items()} for index, label in enumerate(RATES)
    }
    table = {
        "title": "Notes at a time",
        "columns": ["notes sounding at a step in", *columns],
        "rows": [["printed", PRINTED_RATE, None, None, None], *([label, *figures[label].values()] for label in RATES)],
    }
    return figures, table


def excerpt_table(found: Sequence[Performance], rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any]]:
    """Means over excerpts of several lengths, one a performance."""
    ways: dict[str, Callable[[Score], float]] = {
        "inter-onset interval, seconds": average_inter_onset_interval,
        "the same by mgeval": average_inter_onset_interval_mgeval,
        "pitches used": pitches_used,
        "mean pitch": mean_pitch,
    }
    rows: list[list[Any]] = [["printed by Luo", 0.114, None, 31.4, None]]
    figures = {}
    for seconds in (10, 15, 30, 60, 120):
        scores = [piano(*performance.excerpt(seconds, rng)) for performance in found]
        values = {name: mean_interval([way(score) for score in scores], rng) for name, way in ways.items()}
        figures[f"{seconds} s"] = {name: asdict(value) for name, value in values.items()}
        rows.append([f"MAESTRO, {seconds} s", *(asdict(value) for value in values.values())])
    return figures, {"title": "Piano excerpts", "columns": ["", *ways], "rows": rows}


def distance_tables(
    found: Sequence[Performance], poly: int, mono: int, rng: np.random.Generator
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Sums of distances as they come out between two halves of real music; KL of the distances and their overlap."""
    measured: dict[str, dict[str, list[float]]] = {}
    for kind, size in (("mono", mono), ("poly", poly)):
        for _ in range(SPLITS):
            sides = [[p.excerpt(60, rng) for p in side] for side in halves(found, size, rng)]
            scores = [
                [melody_score(melody(*part, 480)) if kind == "mono" else piano(*part) for part in side]
                for side in sides
            ]
            for feature, of in FEATURES.items():
                told = measured.setdefault(f"{kind}: {feature}", {})
                for name, value in distances_of(*(known([of(score) for score in side]) for side in scores)).items():
                    told.setdefault(name, []).append(value)
    figures = {name: {what: spread(values) for what, values in told.items()} for name, told in measured.items()}
    sums: list[list[Any]] = [[f"printed, {kind}", None, *both, *both, ratio] for kind, *both, ratio in PRINTED_SUMS]
    sums += [[name, *(told[what]["mean"] for what in SUMS)] for name, told in figures.items()]
    kls = [[name, *(told[what] for what in KLS)] for name, told in figures.items() if name.startswith("poly")]
    return figures, [
        {"title": "Sums of distances", "columns": ["", *SUMS], "rows": sums},
        {"title": "KL of distances between two halves of real music", "columns": ["", *KLS], "rows": kls},
    ]


def transition_table(
    found: Sequence[Performance], pieces: int, rng: np.random.Generator
) -> tuple[dict[str, Any], dict[str, Any]]:
    """KL of mean pitch-class transitions, of melodies, between two halves of real music; and of one half altered."""
    bach, chopin = ([p for p in found if who in p.composer] for who in ("Bach", "Chopin"))
    kinds: dict[str, dict[str, list[float]]] = {}

    def add(what: str, ours: np.ndarray, theirs: np.ndarray) -> None:
        for reading, p, q in zip(TRANSITIONS, ours, theirs, strict=True):
            kinds.setdefault(what, {}).setdefault(reading, []).append(kl_of_histograms(p, q))

    for _ in range(SPLITS):
        one, other = ([melody(*p.excerpt(60, rng), 480) for p in side] for side in halves(found, pieces, rng))
        mean_one, mean_other = (np.mean([transitions(line) for line in side], axis=0) for side in (one, other))
        add("another half of real music", mean_one, mean_other)
        add("40 pieces of the other half", np.mean([transitions(line) for line in one[:40]], axis=0), mean_other)
        add("the other half a semitone higher", np.roll(mean_one, 1, (1, 2)), mean_other)
        shuffled = np.mean([transitions(shuffle(line, rng)) for line in one], axis=0)
        add("the other half, notes in random order", shuffled, mean_other)
        add("any class after any, all alike", np.ones((3, 12, 12)), mean_other)
        if min(len(bach), len(chopin)):
            both = (np.mean([transitions(melody(*p.excerpt(60, rng), 480)) for p in who], axis=0)
                    for who in (bach, chopin))  # fmt: skip
            add("Bach from Chopin", *both)
    figures = {what: {name: spread(values) for name, values in told.items()} for what, told in kinds.items()}
    printed = ["printed: five models and real", f"{PRINTED_KL[0]} to {PRINTED_KL[1]}", None, None]
    table = {
        "title": "KL of pitch-class transitions",
        "columns": ["KL of real melodies and", *TRANSITIONS],
        "rows": [printed, *([what, *told.values()] for what, told in figures.items())],
    }
    return figures, table


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, least and greatest over the splits."""
    return {"mean": float(np.mean(values)), "low": min(values), "high": max(values)}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--band", type=Path, required=True, help="folder of the band files")
    parser.add_argument("--band-csv", type=Path, required=True, help="their table, band_core.csv")
    parser.add_argument("--maestro", type=Path, required=True, help="folder with maestro-v3.0.0.csv")
    parser.add_argument("--songs", type=int, default=1000, help="songs filed as rock, drawn by chance")
    parser.add_argument("--poly", type=int, default=200, help="piano excerpts a half, as in Luo's section 5.4.3")
    parser.add_argument("--mono", type=int, default=500, help="melodies a half, as in Luo's section 5.3.3")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for the result, by default bench/results")
    arguments = parser.parse_args(argv)

    rngs = np.random.default_rng(arguments.seed).spawn(5)
    with arguments.band_csv.open(encoding="utf-8", newline="") as file:
        chosen = song_sets(list(csv.DictReader(file)), arguments.songs, rngs[0])
    with Progress() as progress:
        sets, skipped = measured_songs(arguments.band, chosen, progress)
        played = performances(arguments.maestro, progress)
        figures, shown = musegan_tables(sets, rngs[1])
        rates, rate = rate_table(sets)
        excerpts, excerpt = excerpt_table(played, rngs[2])
        distances, sums = distance_tables(played, arguments.poly, arguments.mono, rngs[3])
        moves, move = transition_table(played, arguments.mono, rngs[4])
    pieces = {kind: len(songs) for kind, songs in sets.items()} | {"left out": len(skipped)}
    counted = {
        "title": "Songs",
        "columns": ["set", "songs"],
        "rows": [[kind, count] for kind, count in pieces.items()] + [["performances of MAESTRO", len(played)]],
    }
    record(
        "published_rows",
        {"pieces": pieces, "musegan": figures, "notes at a time": rates, "excerpts": excerpts, "distances": distances,
         "transitions": moves},
        command=shlex.join(["python", *sys.argv]),
        seed=arguments.seed,
        data={
            "band": hashlib.sha256(arguments.band_csv.read_bytes()).hexdigest()[:16],
            "maestro": hashlib.sha256((arguments.maestro / "maestro-v3.0.0.csv").read_bytes()).hexdigest()[:16],
        },
        tables=[counted, *shown, rate, excerpt, *sums, move],
        **({"folder": arguments.out} if arguments.out else {}),
    )  # fmt: skip


if __name__ == "__main__":
    main()
