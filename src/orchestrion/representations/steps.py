"""Cells in the order in which the composer reads and writes them: one row a note, and one row where a cell opens.

Given cells come first, then the cells to compose, each bar by bar and track by track. A cell opens with a row that
names its bar and instrument; its notes follow, by position and pitch; the next opening closes it. Key is taken out:
pitched notes are shifted so that the tonic lies on C in major and on A in minor. Shapes: T rows, C columns.
"""

from __future__ import annotations

import numpy as np

from orchestrion.music.theory import COMMON_METERS, DRUMS, INSTRUMENTS, Key, Meter
from orchestrion.representations.cells import (
    BAR,
    DURATION,
    MAX_BAR_STEPS,
    MAX_DURATION,
    MAX_TRACKS,
    PITCH,
    POSITION,
    TRACK,
    VELOCITY,
    VELOCITY_LEVELS,
    Cells,
    bar_starts,
)

#: Columns of a row. The first seven describe the cell and stand on all its rows; position, pitch, duration and velocity
#: are 0 on an opening and one more than their value on a note; TIME is the onset in steps since the first bar.
KIND, INSTRUMENT, SLOT, BARS_BEFORE, BARS_LEFT, METER, GIVEN, AT, NOTE, LENGTH, LEVEL, TIME = range(12)
COLUMNS = 12

OPENING, SOUNDING = 1, 2  # KIND; 0 pads
NEAR_BARS = 24  # bars are counted up to here from either end of the piece
OTHER_METER = len(COMMON_METERS)
PITCH_CODES = 256  # 0..127 for pitched instruments, 128 + key for drums

#: Sizes of the embedding tables for the columns before TIME.
SIZES = (3, INSTRUMENTS, MAX_TRACKS, NEAR_BARS, NEAR_BARS, OTHER_METER + 1, 2, MAX_BAR_STEPS + 1, PITCH_CODES + 1,
         MAX_DURATION + 1, VELOCITY_LEVELS + 1)  # fmt: skip

#: What is predicted at each row: the next note of the cell, field by field, or the end of the cell as a position.
FIELDS = ("position", "pitch", "duration", "velocity")
FIELD_SIZES = (MAX_BAR_STEPS + 1, PITCH_CODES, MAX_DURATION, VELOCITY_LEVELS)
END = MAX_BAR_STEPS


def shift_to_common_key(key: Key) -> int:
    """Semitones, -5..6, that bring the tonic to C (major) or A (minor)."""
    target = 0 if key.mode == "major" else 9
    return (target - key.tonic + 5) % 12 - 5


def meter_class(meter: Meter) -> int:
    return COMMON_METERS.index(meter) if meter in COMMON_METERS else OTHER_METER


def pitch_code(pitch: np.ndarray, instrument: np.ndarray, shift: int) -> np.ndarray:
    """Pitches as the network sees them; a shift that leaves 0..127 stays within its octave's last legal place."""
    shifted = pitch + shift
    shifted = np.where(shifted > 127, shifted - 12, np.where(shifted < 0, shifted + 12, shifted))
    return np.where(instrument == DRUMS, pitch + 128, shifted)


def counted(bars: np.ndarray | int, near: int = NEAR_BARS) -> np.ndarray:
    """Bars to either end as the network counts them: below `near` as they are, from there on all as NEAR_BARS - 1.

    Where `near` is small, the middle of a short piece looks like the middle of a long one, of which there are more."""
    return np.where(np.asarray(bars) < min(near, NEAR_BARS - 1), bars, NEAR_BARS - 1)


def slots(instruments: tuple[int, ...]) -> np.ndarray:
    """(K,) int64: how many earlier tracks play the same instrument."""
    return np.array([instruments[:k].count(program) for k, program in enumerate(instruments)], np.int64)


def rows_and_targets(
    cells: Cells,
    given: np.ndarray,
    composed: np.ndarray,
    shift: int,
    *,
    first_bar: int = 0,
    bar_numbers: np.ndarray | None = None,
    bar_times: np.ndarray | None = None,
    total_bars: int | None = None,
    near: int = NEAR_BARS,
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the given cells, then of the composed ones; cells that are neither are left out.

    given, composed: (M, K) bool over the bars and tracks of `cells`.
    first_bar: the bar at which TIME is 0; none before it may be given or composed.
    bar_numbers, bar_times: (M,) of each bar its number in the whole piece, from 0, and the step at which it starts,
    where `cells` holds a cut of it; total_bars: of the whole piece.
    near: bars are counted up to here from either end, see `counted`.
    Returns rows (T, C) int64 and targets (T, 4) int64: the fields of the next note, END in `position` at the last row
    of a cell; -1 where nothing is to learn (given cells, and the fields after END or of drums' lengths).
    """
    total_bars = total_bars if total_bars is not None else len(cells.meters)
    numbers = np.arange(len(cells.meters)) if bar_numbers is None else bar_numbers
    bar_of, track_of = (np.concatenate(pair) for pair in zip(np.nonzero(given), np.nonzero(composed), strict=True))
    order = np.full(given.shape, -1, np.int64)  # the place of each cell in the sequence
    order[bar_of, track_of] = np.arange(len(bar_of))
    notes = cells.notes.astype(np.int64)
    place = order[notes[:, BAR], notes[:, TRACK]]
    sequence = np.argsort(place, kind="stable")[int((place < 0).sum()) :]  # notes are sorted within their cells
    notes, place = notes[sequence], place[sequence]

    cell_of_row = np.repeat(np.arange(len(bar_of)), 1 + np.bincount(place, minlength=len(bar_of)))
    opens = np.diff(cell_of_row, prepend=-1) > 0
    bar, track = bar_of[cell_of_row], track_of[cell_of_row]
    instruments = np.array(cells.instruments, np.int64)
    meters = np.array([meter_class(meter) for meter in cells.meters], np.int64)
    starts = bar_starts(cells.meters) if bar_times is None else bar_times

    rows = np.zeros((len(cell_of_row), COLUMNS), np.int64)
    rows[:, KIND] = np.where(opens, OPENING, SOUNDING)
    rows[:, INSTRUMENT] = instruments[track]
    rows[:, SLOT] = slots(cells.instruments)[track]
    rows[:, BARS_BEFORE] = counted(numbers[bar], near)
    rows[:, BARS_LEFT] = counted(total_bars - 1 - numbers[bar], near)
    rows[:, METER] = meters[bar]
    rows[:, GIVEN] = given[bar, track]
    rows[:, TIME] = starts[bar] - starts[first_bar]
    fields = np.stack([
        notes[:, POSITION],
        pitch_code(notes[:, PITCH], instruments[notes[:, TRACK]], shift),
        notes[:, DURATION] - 1,
        notes[:, VELOCITY],
    ], axis=1)  # fmt: skip
    rows[~opens, AT : LEVEL + 1] = fields + 1
    rows[~opens, TIME] += notes[:, POSITION]

    targets = np.full((len(rows), len(FIELDS)), -1, np.int64)
    before = np.flatnonzero(~opens) - 1
    targets[before] = fields
    targets[before[instruments[notes[:, TRACK]] == DRUMS], FIELDS.index("duration")] = -1
    targets[np.append(opens[1:], True)[: len(rows)], 0] = END
    targets[rows[:, GIVEN] == 1] = -1
    return rows, targets


def cells_of_rows(rows: np.ndarray, given: np.ndarray, composed: np.ndarray) -> np.ndarray:
    """(T, 2) int64: the (bar, track) of each row that `rows_and_targets` makes of these cells."""
    cells = np.concatenate([np.argwhere(given), np.argwhere(composed)])
    return cells[np.cumsum(rows[:, KIND] == OPENING) - 1]
