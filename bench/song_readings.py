"""Readings of what MuseGAN and the WGAN-GP paper measured of real songs: by definition, and as their code has it.

A reading gives, of one song and for each column of the printed row, a sum and what it is divided by; so it can be
averaged over songs, or over all their bars, beats or notes in one heap. Read in MuseGAN's repository (v1 and its
history): metrics.py, midi2pianoroll.py, tracks_parsing.py, gen_data_bar.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from orchestrion.metrics import musegan, musegan_variants
from orchestrion.metrics.families import (
    FAMILIES,
    PAIRS,
    PITCHED,
    STEPS_PER_BEAT,
    beats_of,
    centroids_of,
    family_of,
    parts_of,
    runs_of,
)
from orchestrion.metrics.grid import Grid, joined
from orchestrion.music.theory import DRUMS

#: Of one piece, (columns, 2): a sum, and the number of bars, beats, notes or steps that it is divided by.
Reading = Callable[[Grid], np.ndarray]
NONE = (0.0, 0.0)
C1, C8 = 24, 108
END_BARS = 8


@dataclass(frozen=True)
class Measure:
    """A measure as printed. printed: a figure a column; unit: what a figure is multiplied by; readings: ways to read
    its definition, by name; over: what its mean over all songs is taken of."""

    title: str
    columns: Sequence[str]
    printed: Sequence[float]
    unit: float
    over: str
    readings: Mapping[str, Reading]


def rounded_down(fine: Grid) -> Grid:
    """Onsets and ends in the step in which they fall, not in the nearest: what int() does in MuseGAN's converter."""
    onset, end = fine.ticks * STEPS_PER_BEAT // fine.score.tpq
    return replace(fine, onset=onset, end=np.maximum(end, onset + 1))


def as_converted(fine: Grid) -> Grid:
    """The notes as MuseGAN's converter (midi2pianoroll.py of September 2017) wrote them: rounded down; the place of a
    pitched note within its beat multiplied by 12 and not by 24; its last step left out, one kept; drums one step."""
    beat, within = np.divmod(fine.ticks, fine.score.tpq)
    squeezed = beat * STEPS_PER_BEAT + within * (STEPS_PER_BEAT // 2) // fine.score.tpq
    pitched = fine.instrument != DRUMS
    onset = np.where(pitched, squeezed[0], fine.ticks[0] * STEPS_PER_BEAT // fine.score.tpq)
    return replace(fine, onset=onset, end=np.where(pitched, np.maximum(squeezed[1] - 1, onset + 1), onset + 1))


def seen(how: Callable[[Grid], Grid], reading: Reading) -> Reading:
    """The reading of notes that were changed so."""
    return lambda fine: reading(how(fine))


def each(choices: Iterable[Any], reading: Callable[..., tuple[float, float]], **how: Any) -> Reading:
    """One reading of all columns from one of a single column."""
    return lambda fine: np.array([reading(fine, choice, **how) for choice in choices])


def sounding(fine: Grid, family: str, low: int = 0, high: int = 127) -> np.ndarray:
    """(M,) bool, the bars in which the family sounds within the range."""
    parts, bar = parts_of(fine)
    here = (parts.family == FAMILIES.index(family)) & (parts.pitch >= low) & (parts.pitch <= high)
    return np.bincount(bar[here], minlength=fine.bars) > 0


def empty(fine: Grid, family: str) -> tuple[float, float]:
    share = musegan.empty_bars(fine, family)
    return NONE if np.isnan(share) else (share * fine.bars, fine.bars)


def empty_in_rolls(fine: Grid, family: str, low: int = 0, high: int = 127) -> tuple[float, float]:
    """A roll is there for every family: one that never plays is empty throughout."""
    return float(np.count_nonzero(~sounding(fine, family, low, high))), float(fine.bars)


def classes(fine: Grid, family: str, chroma: str) -> tuple[float, float]:
    low, high = (C1, C8 - 1) if chroma == "musegan-v1" else (0, 127)
    weight = float(np.count_nonzero(sounding(fine, family, low, high)))
    return (musegan.used_pitch_classes(fine, family, chroma=chroma) * weight, weight) if weight else NONE


def qualified(fine: Grid, family: str, shortest_steps: int) -> tuple[float, float]:
    share = musegan.qualified_notes(fine, family, shortest_steps=shortest_steps)
    notes = float(np.count_nonzero(family_of(fine.instrument) == FAMILIES.index(family)))
    return (share * notes, notes) if notes else NONE


def qualified_runs(
    fine: Grid, family: str, shortest_steps: int, *, cut: bool = True, by_bar: bool = True
) -> tuple[float, float]:
    """Of runs of cells, in which notes that touch are one; cut at the bar lines; each bar worth the same."""
    parts, bar = parts_of(fine) if cut else (runs_of(fine), np.zeros(len(runs_of(fine)), int))
    here = (parts.family == FAMILIES.index(family)) & (parts.pitch >= C1) & (parts.pitch < C8)
    good, bar = (parts.end - parts.start >= shortest_steps)[here], bar[here]
    if not by_bar:
        return float(np.count_nonzero(good)), float(len(good))
    count = np.bincount(bar, minlength=1)
    share = np.bincount(bar, good, minlength=1)[count > 0] / count[count > 0]
    return float(share.sum()), float(len(share))


def drums(fine: Grid, steps: int) -> tuple[float, float]:
    hits = float(np.count_nonzero(fine.instrument == DRUMS))
    return (musegan.drum_pattern(fine, steps) * hits, hits) if hits else NONE


def drums_v1(fine: Grid, _: int) -> tuple[float, float]:
    weight = float(np.count_nonzero(sounding(fine, "drums", C1, C8 - 1)))
    share = musegan_variants.drum_pattern_v1(fine)
    return NONE if np.isnan(share) else (share * weight, weight)


def tonal(fine: Grid, pair: tuple[str, str], chroma: str, whole_bars: bool = False) -> tuple[float, float]:
    """Over the beats in which both sound; or over the bars in which they do in every beat, each worth the same."""
    centroids = centroids_of(fine, chroma)
    one, other = (centroids[FAMILIES.index(family)] for family in pair)
    distance = np.linalg.norm(one - other, axis=1)
    if whole_bars:
        _, bar = beats_of(fine)
        distance = np.bincount(bar, distance, fine.bars) / np.maximum(np.bincount(bar, minlength=fine.bars), 1)
    known = distance[~np.isnan(distance)]
    return float(known.sum()), float(len(known))


DEFINITION, CODE, CONVERTED = "definition", "code", "code and converter"
MEASURES = {
    "EB": Measure(
        "Empty bars (EB), % of bars", FAMILIES, (8.06, 8.06, 19.4, 24.8, 10.1), 100, "bars",
        {
            DEFINITION: each(FAMILIES, empty),
            "rolls": each(FAMILIES, empty_in_rolls),
            CODE: each(FAMILIES, empty_in_rolls, low=C1, high=C8 - 1),
            CONVERTED: seen(as_converted, each(FAMILIES, empty_in_rolls, low=C1, high=C8 - 1)),
        },
    ),
    "UPC": Measure(
        "Used pitch classes (UPC), a bar", PITCHED, (1.71, 3.08, 3.28, 3.38), 1, "bars",
        {
            DEFINITION: each(PITCHED, classes, chroma="pitch-class"),
            CODE: each(PITCHED, classes, chroma="musegan-v1"),
            CONVERTED: seen(as_converted, each(PITCHED, classes, chroma="musegan-v1")),
            "bands of ten": each(PITCHED, classes, chroma="pypianoroll-1.0.4"),
        },
    ),
    "QN": Measure(
        "Qualified notes (QN), % of notes", PITCHED, (90.0, 81.9, 88.4, 89.6), 100, "notes",
        {
            DEFINITION: each(PITCHED, qualified, shortest_steps=3),
            "two steps": each(PITCHED, qualified, shortest_steps=2),
            "runs": each(PITCHED, qualified_runs, shortest_steps=2, cut=False, by_bar=False),
            "cut": each(PITCHED, qualified_runs, shortest_steps=2, by_bar=False),
            CODE: each(PITCHED, qualified_runs, shortest_steps=2),
            "rounded down": seen(rounded_down, each(PITCHED, qualified_runs, shortest_steps=2)),
            CONVERTED: seen(as_converted, each(PITCHED, qualified_runs, shortest_steps=2)),
            "converted, three": seen(as_converted, each(PITCHED, qualified_runs, shortest_steps=3)),
        },
    ),
    "DP": Measure(
        "Drum pattern (DP), % of strokes", ("drums",), (88.6,), 100, "strokes",
        {
            DEFINITION: each((6,), drums),
            "8-beat": each((12,), drums),
            "rounded down": seen(rounded_down, each((6,), drums)),
            CODE: each((6,), drums_v1),
            CONVERTED: seen(as_converted, each((6,), drums_v1)),
        },
    ),
    "TD": Measure(
        "Tonal distance (TD)", tuple(" and ".join(pair) for pair in PAIRS), (1.57, 1.58, 1.51, 1.10, 1.02, 1.04), 1,
        "beats",
        {
            DEFINITION: each(PAIRS, tonal, chroma="pitch-class"),
            "whole bars": each(PAIRS, tonal, chroma="pitch-class", whole_bars=True),
            CODE: each(PAIRS, tonal, chroma="musegan-v1", whole_bars=True),
            CONVERTED: seen(as_converted, each(PAIRS, tonal, chroma="musegan-v1", whole_bars=True)),
        },
    ),
}  # fmt: skip

#: One change after another, on the songs nearest to MuseGAN's: what changes, the songs, the reading, the mean's kind.
#: "or" is tried and not kept.
ROCK, LPD, FILED = "LPD rock", "LPD", "filed as rock"
FIVE, INNER = "LPD rock, five families", "LPD rock, five families, without ends"
ANY_INNER = "LPD, five families, without ends"
STEPS: dict[str, list[tuple[str, str, str, str]]] = {
    "EB": [
        ("the definition, mean over songs", ROCK, DEFINITION, "songs"),
        ("+ mean over all bars", ROCK, DEFINITION, "all"),
        ("or a family that never plays counts as empty", ROCK, "rolls", "all"),
        ("+ only songs with all five families", FIVE, DEFINITION, "all"),
        (f"+ without the first and last {END_BARS} bars", INNER, DEFINITION, "all"),
        ("+ only notes from C1 to C8: their code", INNER, CODE, "all"),
        ("+ notes as their converter wrote them", INNER, CONVERTED, "all"),
        ("+ songs of any genre", ANY_INNER, CONVERTED, "all"),
    ],
    "UPC": [
        ("the definition, mean over songs", ROCK, DEFINITION, "songs"),
        ("+ mean over all bars", ROCK, DEFINITION, "all"),
        ("+ only songs with all five families", FIVE, DEFINITION, "all"),
        (f"+ without the first and last {END_BARS} bars", INNER, DEFINITION, "all"),
        ("or bands of ten keys: pypianoroll", INNER, "bands of ten", "all"),
        ("+ bands of seven keys: their code", INNER, CODE, "all"),
        ("+ notes as their converter wrote them", INNER, CONVERTED, "all"),
        ("+ songs of any genre", ANY_INNER, CONVERTED, "all"),
    ],
    "QN": [
        ("the definition, mean over songs", ROCK, DEFINITION, "songs"),
        ("+ mean over all notes", ROCK, DEFINITION, "all"),
        ("+ only songs with all five families", FIVE, DEFINITION, "all"),
        (f"+ without the first and last {END_BARS} bars", INNER, DEFINITION, "all"),
        ("+ two steps are enough", INNER, "two steps", "all"),
        ("+ notes that touch are one", INNER, "runs", "all"),
        ("+ notes cut at bar lines", INNER, "cut", "all"),
        ("+ every bar worth the same: their code", INNER, CODE, "all"),
        ("+ times rounded down", INNER, "rounded down", "all"),
        ("+ notes as their converter wrote them", INNER, CONVERTED, "all"),
        ("or the same, three steps", INNER, "converted, three", "all"),
        ("+ songs of any genre", ANY_INNER, CONVERTED, "all"),
    ],
    "DP": [
        ("the definition, mean over songs", ROCK, DEFINITION, "songs"),
        ("or eighth notes alone", ROCK, "8-beat", "songs"),
        ("+ mean over all strokes", ROCK, DEFINITION, "all"),
        ("+ only songs with all five families", FIVE, DEFINITION, "all"),
        (f"+ without the first and last {END_BARS} bars", INNER, DEFINITION, "all"),
        ("+ times rounded down, as their converter does", INNER, "rounded down", "all"),
        ("or tolerance and best shift: their code", INNER, CODE, "all"),
        ("or both", INNER, CONVERTED, "all"),
        ("+ songs of any genre, rounded down", ANY_INNER, "rounded down", "all"),
        ("or songs of any genre, both", ANY_INNER, CONVERTED, "all"),
    ],
    "TD": [
        ("the definition, mean over songs", ROCK, DEFINITION, "songs"),
        ("+ mean over all beats", ROCK, DEFINITION, "all"),
        ("+ only songs with all five families", FIVE, DEFINITION, "all"),
        (f"+ without the first and last {END_BARS} bars", INNER, DEFINITION, "all"),
        ("+ only bars in which both sound in every beat", INNER, "whole bars", "all"),
        ("+ bands of seven keys: their code", INNER, CODE, "all"),
        ("+ notes as their converter wrote them", INNER, CONVERTED, "all"),
        ("+ songs of any genre", ANY_INNER, CONVERTED, "all"),
    ],
}


def notes_at_once(fine: Grid) -> np.ndarray:
    """Readings of "the average number of simultaneous notes per time step" in the rolls of LPD-17, as in RATES."""
    start, stop = fine.held
    width = fine.steps + 1
    family = start // (128 * width)
    cells = float((stop - start).sum())
    struck = float(cells - (stop - start)[family == DRUMS // 8].sum() + np.count_nonzero(fine.instrument == DRUMS))
    lane = family * width
    begun, over = joined(lane + start % width, lane + stop % width)
    tracks, steps = len(fine.families), float(fine.steps)
    return np.array([
        (cells, tracks * steps),
        (struck, tracks * steps),
        (cells, 17 * steps),
        (cells, float((over - begun).sum())),
        (cells, steps),
    ])  # fmt: skip


RATES = (
    "a track that plays, over all steps",
    "the same, a drum stroke one step long",
    "a track of all 17, over all steps",
    "a track, over the steps at which it sounds",
    "all tracks together, over all steps",
)
PRINTED_RATE = 1.237
