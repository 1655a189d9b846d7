"""Music as a grid of cells: one bar of one track each, with its notes on a grid of twelve steps a quarter note.

The array is the representation of the composer (`systems/composer.py`); it is exact for every Score whose onsets,
lengths and velocities lie on the grid (`encode(decode(cells)) == cells`), and rounds absolute times, not differences,
otherwise. Shapes: N notes, K tracks, M bars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from symusic import Score

from orchestrion.theory import Meter

STEPS_PER_QUARTER = 12
MAX_BAR_STEPS = 96  # eight quarter notes
MAX_DURATION = 192  # steps; sixteen quarter notes
VELOCITY_LEVELS = 16
DRUM_DURATION = 3  # a drum stroke has no length: it is stored as a sixteenth
MAX_TRACKS = 32

#: Columns of the note table, all int16. `position` is the onset within the bar, 0..MAX_BAR_STEPS-1, and `duration` is
#: 1..MAX_DURATION, both in steps; `velocity` is a level 0..15 (MIDI velocity 8 * level + 4).
BAR, TRACK, POSITION, PITCH, DURATION, VELOCITY = range(6)


class CellsError(ValueError):
    """Music that does not fit a grid of cells; the message says why in one line."""


@dataclass(frozen=True)
class Cells:
    """A piece as cells.

    notes: (N, 6) int16, sorted by bar, track, position, pitch; no two rows share those four, and no note of a track
        sounds on when the same pitch starts again.
    instruments: K of them, 0..127 or theory.DRUMS; two tracks may share one.
    meters: M of them, one a bar.
    tempo: quarter notes a minute.
    """

    notes: np.ndarray
    instruments: tuple[int, ...]
    meters: tuple[Meter, ...]
    tempo: float


def encode(score: Score) -> Cells:
    """Score -> Cells. Tracks without notes are left out; tracks are ordered drums, basses, then by program and, within
    one program, from high to low. Raises CellsError."""
    raise NotImplementedError


def decode(cells: Cells) -> Score:
    """Cells -> Score at 480 ticks a quarter; one Score track a cell track, in order."""
    raise NotImplementedError
