"""A plan as arrays, as corpora keep it, and as the numbers that a network reads at each cell.

Shapes: M bars, K tracks, S sections of a piece; a cell is a bar of a track; F features of a cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrion.music.chords import BASS_CODES, CHORD_CODES, UNKNOWN, transposed_basses, transposed_codes
from orchestrion.music.theory import DRUMS, Meter
from orchestrion.planning.harmony import chord_codes
from orchestrion.planning.levels import OPEN, cell_levels, roles, section_levels
from orchestrion.planning.plan import FEELS, LEVEL_NAMES, LEVELS, MOODS, ROLES, STYLES
from orchestrion.planning.sections import find_form
from orchestrion.representations.cells import Cells, bar_steps
from orchestrion.representations.writer import PLAYS, SILENT

MAX_LETTERS = 9  # further ones count as the last
MAX_OCCURRENCES = 4
MAX_PLACE = 16  # bars within a section and bars left are told up to here
SHARES = 8  # parts of a piece that are told apart
_FAR = (17, 25, 33, 49, 65)  # from these distances on bars are counted coarsely

#: Meters that are told apart; any other counts as not known.
METERS = tuple(Meter.parse(name) for name in ("4/4", "3/4", "2/4", "6/8", "2/2", "3/8", "9/8", "12/8", "5/4"))

#: Features of a cell, the size of each; 0 always means that it is not known.
FEATURES: dict[str, int] = {
    **dict.fromkeys(LEVEL_NAMES, 1 + LEVELS), "plays": 3, "scope": 3, "role": 1 + len(ROLES),
    "chord": CHORD_CODES, "bass": BASS_CODES, "second chord": CHORD_CODES, "second bass": BASS_CODES,
    "next chord": CHORD_CODES, "letter": 1 + MAX_LETTERS, "occurrence": 1 + MAX_OCCURRENCES, "place": 1 + MAX_PLACE,
    "left": 1 + MAX_PLACE, "source": 2 + 16 + len(_FAR), "share": 1 + SHARES, "meter": 1 + len(METERS),
}  # fmt: skip
NAMES = tuple(FEATURES)
COLUMN = {name: index for index, name in enumerate(NAMES)}
CHORD, BASS, SECOND_CHORD, SECOND_BASS = (COLUMN[n] for n in ("chord", "bass", "second chord", "second bass"))
#: Features that are known together or not at all.
GROUPS = tuple(
    tuple(COLUMN[name] for name in group)
    for group in (
        *((name,) for name in LEVEL_NAMES), ("plays",), ("role",),
        ("chord", "bass", "second chord", "second bass", "next chord"),
        ("letter", "occurrence"), ("place", "left"), ("source",), ("share",),
    )
)  # fmt: skip
#: What is known of a whole piece: the size of each, 0 for not known. `scoring`: 1 where all tracks of the piece are
#: there, 2 where some were left out.
HEADER: dict[str, int] = {"style": 1 + len(STYLES), "mood": 1 + len(MOODS), "feel": 1 + len(FEELS), "scoring": 3}

ALL_TRACKS, SOME_TRACKS = 1, 2


@dataclass(frozen=True, eq=False)
class PlanArrays:
    """chords, basses: (M, 2) codes of `music.chords`, as they sound. section: (M,) index. letter, occurrence:
    (M,) from 0. source: (M,) bar that this one takes up, -1 for none. levels: (M, K, 6) of each cell; section_levels:
    (S, K, 6), OPEN where silent. roles: (K,)."""

    chords: np.ndarray
    basses: np.ndarray
    section: np.ndarray
    letter: np.ndarray
    occurrence: np.ndarray
    source: np.ndarray
    levels: np.ndarray
    section_levels: np.ndarray
    roles: np.ndarray

    @property
    def place(self) -> np.ndarray:
        """(M,) bars of the same section before each bar."""
        return np.arange(len(self.section)) - np.searchsorted(self.section, self.section)

    @property
    def left(self) -> np.ndarray:
        """(M,) bars of the same section behind each bar."""
        return np.searchsorted(self.section, self.section, side="right") - 1 - np.arange(len(self.section))


def analyzed(cells: Cells) -> PlanArrays:
    """The plan of music that is there, estimated from its notes."""
    codes, basses = chord_codes(cells)
    form = find_form(cells)
    bars = len(cells.meters)
    section = np.searchsorted(form.starts, np.arange(bars), side="right") - 1
    letters = np.asarray(form.letters, np.int64)
    occurrence = np.array([int((letters[:index] == letter).sum()) for index, letter in enumerate(letters)])
    levels = cell_levels(cells)
    return PlanArrays(
        codes.reshape(bars, 2), basses.reshape(bars, 2), section, letters[section], occurrence[section],
        np.asarray(form.source, np.int64), levels, section_levels(levels, form.starts), roles(cells),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class CellPlan:
    """What a composer is told of the cells of a piece.

    features: (M, K, F) int64, key taken out. header: (H,). plays: (M, K) int8, PLAYS, SILENT or 0 for as it comes.
    copies: (M, K) the bar from which a cell is copied as it is, -1 for none. source: (M,) the bar that each bar takes
    up, -1 for none. swing: whether eighths off the beat fall on the last third of a quarter.
    """

    features: np.ndarray
    header: np.ndarray
    plays: np.ndarray
    copies: np.ndarray
    source: np.ndarray
    swing: bool = False

    @classmethod
    def open(cls, meters: tuple[Meter, ...], tracks: int) -> CellPlan:
        """Nothing is planned but the meters."""
        bars = len(meters)
        header = np.array([0] * len(HEADER), np.int64)
        nothing, none = np.zeros((bars, tracks), np.int8), np.full((bars, tracks), -1)
        return cls(unplanned(meters, tracks), header, nothing, none, np.full(bars, -1))


def unplanned(meters: tuple[Meter, ...], tracks: int) -> np.ndarray:
    """(M, K, F) int64: the features of cells of which nothing is known but their meters."""
    known = np.zeros((len(meters), tracks, len(FEATURES)), np.int64)
    known[..., COLUMN["meter"]] = np.array([1 + METERS.index(m) if m in METERS else 0 for m in meters])[:, None]
    return known


def features(plan: PlanArrays, cells: Cells, bars: np.ndarray, tracks: np.ndarray, shift: int, *,
             by_bar: bool = False) -> np.ndarray:  # fmt: skip
    """(m, k, F) int64: what is known of the cells in these bars and tracks of the plan, nothing left open.

    cells: of those bars and tracks, for their meters and instruments. shift: semitones to the common key. by_bar: the
    levels of the very cells rather than those of their sections.
    """
    total, instruments = len(plan.section), cells.instruments
    known = unplanned(cells.meters, len(tracks))
    own = plan.levels[np.ix_(bars, tracks)] if by_bar else plan.section_levels[np.ix_(plan.section[bars], tracks)]
    known[..., : len(LEVEL_NAMES)] = own + 1  # OPEN becomes 0
    known[..., COLUMN["plays"]] = np.where(own[..., 0] == OPEN, SILENT, PLAYS)
    known[..., COLUMN["scope"]] = 2 if by_bar else 1
    known[..., COLUMN["role"]] = 1 + plan.roles[tracks]
    per_bar = {
        "letter": 1 + np.minimum(plan.letter[bars], MAX_LETTERS - 1),
        "occurrence": 1 + np.minimum(plan.occurrence[bars], MAX_OCCURRENCES - 1),
        "place": 1 + np.minimum(plan.place[bars], MAX_PLACE - 1),
        "left": 1 + np.minimum(plan.left[bars], MAX_PLACE - 1),
        "source": _distance(plan.source[bars], bars),
        "share": 1 + bars * SHARES // total,
    }
    for name, values in per_bar.items():
        known[..., COLUMN[name]] = values[:, None]
    tell_chords(known, plan.chords, plan.basses, bars, instruments, shift)
    return known


def tell_chords(
    known: np.ndarray,
    chords: np.ndarray,
    basses: np.ndarray,
    bars: np.ndarray,
    instruments: tuple[int, ...],
    shift: int,
) -> None:
    """Write the chords of these bars into their features (m, k, F), but for drums. chords, basses: (M, 2) codes of the
    whole piece, as they sound."""
    codes = np.append(transposed_codes(chords, shift), [[UNKNOWN, UNKNOWN]], axis=0)  # nothing follows the last bar
    low = transposed_basses(basses, shift)
    columns = (codes[bars, 0], low[bars, 0], codes[bars, 1], low[bars, 1], codes[bars + 1, 0])
    known[..., CHORD : CHORD + len(columns)] = np.stack(columns, axis=-1)[:, None]
    known[:, np.asarray(instruments) == DRUMS, CHORD : CHORD + len(columns)] = UNKNOWN


def _distance(source: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """1 where a bar takes up none, else 1 + the distance up to 16 bars, then a number a stretch of _FAR."""
    apart = bars - source
    far = 17 + np.searchsorted(_FAR, apart, side="right")
    return np.where(source < 0, 1, np.where(apart <= 16, 1 + apart, far))


def half_steps(cells: Cells) -> np.ndarray:
    """(M,) int64: the step within each bar at which its second half begins."""
    return np.array([(bar_steps(meter) + 1) // 2 for meter in cells.meters], np.int64)


def left_open(known: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """The features with each group left open, for one piece: by `share` in all its cells, and by as much again in the
    cells of each track by itself where a group says something of a track."""
    result = known.copy()
    tracks = known.shape[1]
    for columns in GROUPS:
        if rng.random() < share:
            result[..., columns] = 0
        elif columns[0] <= COLUMN["role"]:
            result[:, rng.random(tracks) < share / 2, columns[0]] = 0
    return result
