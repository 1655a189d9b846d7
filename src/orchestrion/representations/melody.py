"""Melodies: one voice on a grid of time, one token a step; as Luo (2021, 5.3.1) and as Magenta's melody_rnn write them.

Legend: N notes or tokens (steps), V tokens. The grid is in real time; 8 steps a second are sixteenths at 120 quarter
notes a minute, 16 steps a bar of 4/4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrion.music.theory import DRUMS
from orchestrion.representations.notation import GridWriter, Notation, NotationError
from orchestrion.representations.timed import TIMED, by_onset

SILENCE = 128  # the class of Melody behind the pitches
NOTE_OFF, NO_EVENT = 128, 129  # of MelodyEvents
MAX_STEPS_PER_SECOND = 200
_VELOCITY, _PIANO = 80, 0  # of what is decoded


@dataclass(frozen=True)
class Melody(Notation):
    """129 classes, 128 pitches and silence: at each step what sounds, the highest of all pitched instruments' notes.

    A class that comes again is held, so a repeated note cannot be told from a long one, and velocities are not kept.
    Silence after the last note is left out.
    """

    steps_per_second: int = 8

    def __post_init__(self) -> None:
        _check(self.steps_per_second)

    @property
    def name(self) -> str:
        return f"melody-{self.steps_per_second}"

    @property
    def size(self) -> int:
        return SILENCE + 1

    def encode(self, notes: np.ndarray) -> np.ndarray:
        """Raises NotationError where no pitched instrument plays."""
        notes = pitched(notes)
        starts, ends = on_grid(notes, self.steps_per_second)
        tokens = np.full(ends.max(), SILENCE, np.int16)
        order = notes["pitch"].argsort(kind="stable")  # the highest is laid over the others
        for start, end, pitch in zip(
            *(column[order].tolist() for column in (starts, ends, notes["pitch"])), strict=True
        ):
            tokens[start:end] = pitch
        return tokens

    def decode(self, tokens: np.ndarray) -> np.ndarray:
        """Runs of a class become notes of a piano with velocity 80."""
        return held_notes(tokens, self.steps_per_second, _PIANO)

    def writer(self, seconds: float | None = None) -> GridWriter:
        return GridWriter(self.size, (SILENCE,), self.steps_per_second, seconds)


@dataclass(frozen=True)
class MelodyEvents(Notation):
    """130 events (Magenta's melody_rnn): at each step a note begins (0..127), the note ends (128), or nothing happens
    (129). A repeated note is not a held one.

    Of notes that begin at one step the highest stays, and the next note ends the one before; velocities are not kept.
    Where a note ends as another begins, or with the music, no end is written.
    """

    steps_per_second: int = 8

    def __post_init__(self) -> None:
        _check(self.steps_per_second)

    @property
    def name(self) -> str:
        return f"melody-events-{self.steps_per_second}"

    @property
    def size(self) -> int:
        return NO_EVENT + 1

    def encode(self, notes: np.ndarray) -> np.ndarray:
        """Raises NotationError where no pitched instrument plays."""
        notes = pitched(notes)
        starts, ends = on_grid(notes, self.steps_per_second)
        order = np.lexsort((ends, notes["pitch"], starts))
        order = order[np.diff(starts[order], append=-1) != 0]  # the last of each step: the highest and longest
        starts, ends, pitches = starts[order], ends[order], notes["pitch"][order]
        ends[:-1] = np.minimum(ends[:-1], starts[1:])
        tokens = np.full(ends[-1] + 1, NO_EVENT, np.int16)
        tokens[ends] = NOTE_OFF
        tokens[starts] = pitches
        return tokens[:-1]

    def decode(self, tokens: np.ndarray) -> np.ndarray:
        """Notes of a piano with velocity 80; the end of a note where none sounds is passed over."""
        tokens = np.asarray(tokens, np.int64)
        events = np.flatnonzero((tokens >= 0) & (tokens <= NOTE_OFF))
        ends = np.append(events[1:], len(tokens))
        begins = tokens[events] < NOTE_OFF
        return made(tokens[events[begins]], events[begins], ends[begins], self.steps_per_second, _PIANO)

    def writer(self, seconds: float | None = None) -> MelodyEventsWriter:
        return MelodyEventsWriter(self.size, (NOTE_OFF,), self.steps_per_second, seconds)


class MelodyEventsWriter(GridWriter):
    """Only what sounds can end."""

    _plays = False

    def legal(self) -> np.ndarray:
        legal = super().legal()
        if self._plays or self.done:
            return legal
        legal = legal.copy()
        legal[NOTE_OFF] = False
        legal[NO_EVENT] &= not self.closing
        return legal

    def write(self, token: int) -> None:
        if token == NOTE_OFF and not self._plays:
            raise ValueError("no note sounds that could end")
        super().write(token)
        if token != NO_EVENT:
            self._plays = token != NOTE_OFF


def pitched(notes: np.ndarray) -> np.ndarray:
    """TIMED notes without drums. Raises NotationError where none is left."""
    notes = notes[notes["instrument"] != DRUMS]
    if not len(notes):
        raise NotationError("no pitched instrument plays in the music, and drums have no melody; give music with one")
    return notes


def on_grid(notes: np.ndarray, steps_per_second: float) -> tuple[np.ndarray, np.ndarray]:
    """The steps (N,) at which TIMED notes begin and end, each rounded by itself; a note lasts at least one."""
    starts = np.rint(notes["onset"] * (steps_per_second / 1000)).astype(np.int64)
    ends = np.rint((notes["onset"].astype(np.int64) + notes["length"]) * (steps_per_second / 1000)).astype(np.int64)
    return starts, np.maximum(ends, starts + 1)


def held_notes(classes: np.ndarray, steps_per_second: float, instrument: int) -> np.ndarray:
    """The class of each step (N,) -> TIMED notes: a run of a pitch is a note, anything but 0..127 is silence."""
    classes = np.asarray(classes, np.int64)
    starts = np.flatnonzero(np.diff(classes, prepend=-1 - classes[:1]))
    ends = np.append(starts[1:], len(classes))
    sounding = (classes[starts] >= 0) & (classes[starts] < SILENCE)
    return made(classes[starts[sounding]], starts[sounding], ends[sounding], steps_per_second, instrument)


def made(
    pitches: np.ndarray, starts: np.ndarray, ends: np.ndarray, steps_per_second: float, instrument: int
) -> np.ndarray:
    """TIMED notes from pitches and steps, (N,) each, with velocity 80."""
    onsets, stops = (np.rint(steps * (1000 / steps_per_second)).astype(np.int64) for steps in (starts, ends))
    notes = np.zeros(len(pitches), TIMED)
    notes["onset"], notes["length"], notes["pitch"] = onsets, stops - onsets, pitches
    notes["velocity"], notes["instrument"] = _VELOCITY, instrument
    return by_onset(notes)


def _check(steps_per_second: int) -> None:
    if not 1 <= steps_per_second <= MAX_STEPS_PER_SECOND:
        raise NotationError(f"{steps_per_second} steps a second make no grid; ask for 1 to {MAX_STEPS_PER_SECOND}")
