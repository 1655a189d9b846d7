"""The piano rolls of MuseGAN's five families, kept as runs of cells: what its measures look at.

Families as in Dong et al., "MuseGAN: Multi-track Sequential Generative Adversarial Networks for Symbolic Music
Generation and Accompaniment", AAAI 2018, and its training data: drums are the percussion tracks; piano, guitar and bass
are General MIDI's groups 0-7, 24-31 and 32-39; "instruments out of the five categories are considered as part of the
strings". (The published LPD-5 leaves out synth effects 96-103, percussive 112-119 and sound effects 120-127.)
The tracks of a family are one roll, with 24 steps a quarter note: a pitch that two of them play sounds once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from symusic import Score

from orchestrion.metrics.grid import Grid, joined, on_grid
from orchestrion.music.theory import DRUMS

FAMILIES = ("bass", "drums", "guitar", "piano", "strings")
PITCHED = ("bass", "guitar", "piano", "strings")
#: The pairs of the paper's table, in its order.
PAIRS = (
    ("bass", "guitar"), ("bass", "strings"), ("bass", "piano"),
    ("guitar", "strings"), ("guitar", "piano"), ("strings", "piano"),
)  # fmt: skip
STEPS_PER_BEAT = 24
_FAMILY_OF = np.full(DRUMS + 1, FAMILIES.index("strings"))  # by instrument
for _name, _instruments in (
    ("piano", range(8)),
    ("guitar", range(24, 32)),
    ("bass", range(32, 40)),
    ("drums", [DRUMS]),
):
    _FAMILY_OF[_instruments] = FAMILIES.index(_name)

EVERY, NONE = 12, 13
_PITCHES = np.arange(128)
#: (128,) the class 0..11 of each pitch, or EVERY or NONE of them. "pitch-class" is the right one. MuseGAN's first code
#: folds its 84 pitches from C1 = 24 by reshape(T, 12, 7), so that seven neighbours are a class; pypianoroll 1.0.4 ten
#: neighbours, and pitches from 120 up count for every class.
CHROMAS = {
    "pitch-class": _PITCHES % 12,
    "musegan-v1": np.where((_PITCHES >= 24) & (_PITCHES < 108), (_PITCHES - 24) // 7, NONE),
    "pypianoroll-1.0.4": np.minimum(_PITCHES // 10, EVERY),
}


@dataclass(frozen=True, eq=False)
class Runs:
    """R stretches of steps, end exclusive, in which a pitch of a family sounds; index into FAMILIES; all (R,) int64,
    sorted by family, pitch, start. What overlaps or touches is one run."""

    family: np.ndarray
    pitch: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def at(self, where: np.ndarray | slice) -> Runs:
        """The runs that a mask, an index or a slice selects."""
        return Runs(self.family[where], self.pitch[where], self.start[where], self.end[where])

    def where(self, family: str) -> slice:
        """The place of one family's runs."""
        return slice(*np.searchsorted(self.family, FAMILIES.index(family) + np.arange(2)))

    def of(self, family: str) -> Runs:
        """The runs of one family."""
        return self.at(self.where(family))

    def cut(self, edges: np.ndarray) -> tuple[Runs, np.ndarray]:
        """The runs cut at `edges` (M + 1,), between which they lie, and the span 0..M-1 in which each part lies."""
        first, last = (np.searchsorted(edges, step, side="right") - 1 for step in (self.start, self.end - 1))
        count = last - first + 1
        index = np.repeat(np.arange(len(self)), count)
        span = first[index] + np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
        parts = self.at(index)
        start, end = np.maximum(parts.start, edges[span]), np.minimum(parts.end, edges[span + 1])
        return Runs(parts.family, parts.pitch, start, end), span


def fine_grid(music: Score | Grid) -> Grid:
    """The music on 24 steps a quarter note."""
    return on_grid(music, steps_per_quarter=STEPS_PER_BEAT).fine


def family_of(instruments: np.ndarray) -> np.ndarray:
    """The family of each instrument, as index into FAMILIES."""
    return _FAMILY_OF[instruments]


@lru_cache(maxsize=2)  # of the piece at hand: all rows of the set ask for the same runs
def runs_of(fine: Grid) -> Runs:
    """The runs of a grid of 24 steps."""
    width = fine.steps + 1  # of the lane that a pitch of a family has, so that lanes do not touch
    lane = (family_of(fine.instrument) * 128 + fine.pitch) * width
    start, end = joined(lane + fine.onset, lane + fine.end)
    lane, start = np.divmod(start, width)
    return Runs(lane // 128, lane % 128, start, end - lane * width)


@lru_cache(maxsize=2)
def parts_of(fine: Grid) -> tuple[Runs, np.ndarray]:
    """The runs cut at the bar lines, and the bar of each part."""
    return runs_of(fine).cut(fine.edges)


def beats_of(fine: Grid) -> tuple[np.ndarray, np.ndarray]:
    """(B + 1,) edges of the beats, quarter notes counted from each bar line (the last of a bar may be shorter), and
    (B,) the bar of each."""
    count = -(-np.diff(fine.edges) // STEPS_PER_BEAT)
    bar = np.repeat(np.arange(fine.bars), count)
    within = np.arange(len(bar)) - np.repeat(np.cumsum(count) - count, count)
    return np.append(fine.edges[bar] + within * STEPS_PER_BEAT, fine.edges[-1]), bar


#: (12, 6) where each pitch class lies in tonal space: fifths, minor thirds and, half as wide, major thirds (C. Harte,
#: M. Sandler and M. Gasser, "Detecting Harmonic Change in Musical Audio", ACM workshop AMCMM, 2006).
_TONAL_SPACE = np.stack(
    [
        radius * wave(np.arange(12) * angle * np.pi)
        for radius, angle in ((1, 7 / 6), (1, 3 / 2), (0.5, 2 / 3))
        for wave in (np.sin, np.cos)
    ],
    axis=1,
)


@lru_cache(maxsize=2)
def centroids_of(fine: Grid, chroma: str) -> np.ndarray:
    """(5, B, 6) where each family lies in tonal space in each beat: the mean of its classes, weighted by the steps that
    their pitches sound; nan where it is silent. `chroma` is a key of CHROMAS whose pitches have one class at most."""
    edges, _ = beats_of(fine)
    beats = len(edges) - 1
    parts, beat = runs_of(fine).cut(edges)
    place = (parts.family * beats + beat) * (NONE + 1) + CHROMAS[chroma][parts.pitch]
    weight = np.bincount(place, parts.end - parts.start, minlength=len(FAMILIES) * beats * (NONE + 1))
    weight = weight.reshape(len(FAMILIES), beats, -1)[..., :12]
    with np.errstate(invalid="ignore"):  # silence
        return (weight / weight.sum(axis=2, keepdims=True)) @ _TONAL_SPACE


def distances_of(fine: Grid, family: str, other: str, chroma: str) -> np.ndarray:
    """(B,) distance in tonal space of two families in each beat; nan where one is silent."""
    runs = runs_of(fine)
    if not len(runs.of(family)) or not len(runs.of(other)):
        return np.full(len(beats_of(fine)[1]), np.nan)
    centroids = centroids_of(fine, chroma)
    difference = centroids[FAMILIES.index(family)] - centroids[FAMILIES.index(other)]
    return np.asarray(np.linalg.norm(difference, axis=1))
