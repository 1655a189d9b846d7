"""Piano rolls of 88 keys at a steady rate, the notation of frame-level models (Boulanger-Lewandowski et al. 2012).

A frame says which keys sound, not which are struck: a key struck again without a rest is one longer note.

Legend: N notes, T frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrion.core.errors import UserError
from orchestrion.music.theory import DRUMS
from orchestrion.representations.notation import NotationError
from orchestrion.representations.timed import TIMED, by_onset

KEYS, LOWEST = 88, 21  # of a piano, A0 to C8
BEGIN = KEYS  # the entry of a frame that stands before the music, see `with_beginning`
VELOCITY = 80  # of decoded notes, as rolls hold none
MAX_RATE = 500.0  # frames a second: two milliseconds each, so that onsets in milliseconds tell them apart


@dataclass(frozen=True)
class Frames:
    """Rolls at `steps_per_second`; a frame begins at every multiple of 1 / steps_per_second. Raises UserError for a
    rate that is not above 0 and at most MAX_RATE."""

    steps_per_second: float = 8.0

    def __post_init__(self) -> None:
        if not 0 < self.steps_per_second <= MAX_RATE:
            raise UserError(f"{self.steps_per_second:g} frames a second is not a rate; take one up to {MAX_RATE:g}")

    @property
    def name(self) -> str:
        return f"frames-{self.steps_per_second:g}"

    def encode(self, notes: np.ndarray) -> np.ndarray:
        """TIMED notes (N,) in any order -> (T, 88) bool, up to the end of the last note.

        Onset and end are rounded to the nearest frame, each by itself, and a note fills at least one. Drums and pitches
        beyond the keyboard are left out. Raises NotationError where nothing is left.
        """
        pitch = notes["pitch"].astype(np.int64) - LOWEST
        kept = (notes["instrument"] != DRUMS) & (pitch >= 0) & (pitch < KEYS)
        if not kept.any():
            raise NotationError("there is no pitched note between A0 and C8; a piano roll needs one")
        onset, pitch = notes["onset"][kept].astype(np.float64), pitch[kept]
        rate = self.steps_per_second / 1000
        start = np.rint(onset * rate).astype(np.int64)
        end = np.maximum(np.rint((onset + notes["length"][kept]) * rate).astype(np.int64), start + 1)
        edges = np.zeros((int(end.max()) + 1, KEYS), np.int32)  # +1 where a note begins, -1 where it ends
        np.add.at(edges, (start, pitch), 1)
        np.add.at(edges, (end, pitch), -1)
        return edges[:-1].cumsum(0) > 0

    def decode(self, roll: np.ndarray, *, velocity: int = VELOCITY, instrument: int = 0) -> np.ndarray:
        """Roll (T, 88) -> TIMED notes by onset, one for each run of frames of a key, rounded to the millisecond.

        `encode` gives the same roll back, but for frames of silence at its end.
        """
        start, end, key = runs(roll)
        milliseconds = 1000 / self.steps_per_second
        notes = np.zeros(len(key), TIMED)
        notes["onset"] = np.rint(start * milliseconds)
        notes["length"] = np.rint(end * milliseconds) - notes["onset"]
        notes["pitch"], notes["velocity"], notes["instrument"] = key + LOWEST, velocity, instrument
        return by_onset(notes)


def with_beginning(roll: np.ndarray) -> np.ndarray:
    """(T, 88) -> (T + 1, 89) bool: before the frames one that marks the beginning, by an entry of its own."""
    frames = np.zeros((len(roll) + 1, KEYS + 1), bool)
    frames[1:, :KEYS] = roll
    frames[0, BEGIN] = True
    return frames


def runs(roll: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The notes of a roll (T, 88): first frames, frames after the last, and keys, each (N,), by key and then time."""
    change = np.diff(roll.T.astype(np.int8), axis=1, prepend=0, append=0)
    key, start = np.nonzero(change > 0)
    return start, np.nonzero(change < 0)[1], key


def transposed(roll: np.ndarray, semitones: int) -> np.ndarray:
    """The roll (T, 88) moved up by so many semitones; what leaves the keyboard is lost."""
    moved = np.zeros_like(roll)
    moved[:, max(semitones, 0) : KEYS + min(semitones, 0)] = roll[:, max(-semitones, 0) : KEYS - max(semitones, 0)]
    return moved
