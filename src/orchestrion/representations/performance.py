"""Performance events (Oore et al. 2018; Music Transformer, Huang et al. 2018): keys going down and up, time, loudness.

Legend: N notes or tokens, V = 388 tokens. A step is 10 ms; times are steps from the beginning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrion.music.theory import DRUMS
from orchestrion.representations.notation import CLOSING_SECONDS, Notation, NotationError, Writer
from orchestrion.representations.timed import TIMED, by_onset

STEP_MS, STEPS_PER_SECOND = 10, 100
MAX_SHIFT = 100  # steps in one token
VELOCITY_BINS, BIN_WIDTH = 32, 4  # a bin b stands for velocity 4 b + 2, the middle of what falls into it
NOTE_ON, NOTE_OFF, SHIFT, VELOCITY = 0, 128, 256, 256 + MAX_SHIFT  # the first token of each kind
SIZE = VELOCITY + VELOCITY_BINS
_UNSAID_BIN = 16  # of notes before any velocity, which `encode` never writes
_PIANO = 0
_NEVER = 1 << 40  # a step that no music reaches


@dataclass(frozen=True)
class Performance(Notation):
    """128 note-ons, 128 note-offs, 100 shifts of 10 ms to 1 s, and 32 velocities that hold until the next one.

    All pitched instruments are one piano; drums are left out. Onsets and ends are rounded to 10 ms each by itself; a
    note lasts at least that. A note-on of a pitch that sounds ends it first; of notes of one pitch that begin together
    one stays, the longest and loudest. At one time ends come first, then onsets, each from low to high, and a long gap
    is written as full shifts and then the rest: so one music is one sequence.

    longest_seconds: how long a note may sound in what is written, against notes that a model forgets to end; None
    leaves that to the model, as published. Reading music is the same with either.
    """

    longest_seconds: float | None = 10.0

    def __post_init__(self) -> None:
        if self.longest_seconds is not None and not self.longest_seconds * STEPS_PER_SECOND >= 1:
            raise NotationError(f"notes of at most {self.longest_seconds} s cannot be written; ask for 0.01 or more")

    @property
    def name(self) -> str:
        return "performance"

    @property
    def size(self) -> int:
        return SIZE

    def encode(self, notes: np.ndarray) -> np.ndarray:
        """Raises NotationError where no pitched instrument plays."""
        events, velocities = _events(notes)
        times, tokens, starting = events >> 8, events & 0xFF, (events & 0x80) != 0
        tokens ^= 0x80  # in `events` an end sorts before an onset
        shifts = np.diff(times, prepend=0)
        rests = shifts % MAX_SHIFT
        louder = np.zeros(len(events), np.int64)  # whether a velocity stands before
        onsets = np.flatnonzero(starting)
        louder[onsets] = np.diff(velocities[onsets], prepend=-1) != 0
        places = (shifts // MAX_SHIFT + (rests > 0) + louder + 1).cumsum() - 1
        written = np.full(places[-1] + 1, SHIFT + MAX_SHIFT - 1, np.int16)
        written[places] = tokens
        said, resting = np.flatnonzero(louder), np.flatnonzero(rests)
        written[places[said] - 1] = VELOCITY + velocities[said]
        written[places[resting] - louder[resting] - 1] = SHIFT - 1 + rests[resting]
        return written

    def decode(self, tokens: np.ndarray) -> np.ndarray:
        """What is not one of the tokens, ends of silent pitches and notes without length are passed over; what is never
        ended lasts to the end of the music. All notes are a piano's."""
        tokens = np.asarray(tokens, np.int64)
        tokens = tokens[(tokens >= 0) & (tokens < SIZE)]
        shifting = (tokens >= SHIFT) & (tokens < VELOCITY)
        times = np.where(shifting, tokens - SHIFT + 1, 0).cumsum()
        said = np.where(tokens >= VELOCITY, np.arange(1, len(tokens) + 1), 0)
        bins = np.append(_UNSAID_BIN, tokens - VELOCITY)[np.maximum.accumulate(said)]
        keys = np.flatnonzero(tokens < SHIFT)
        keys = keys[(tokens[keys] % 128).astype(np.uint8).argsort(kind="stable")]
        pitches, starts = tokens[keys] % 128, times[keys]
        ends = np.append(starts[1:], 0)
        ends[np.append(pitches[1:], 128) != pitches] = times[-1] if len(times) else 0
        kept = (tokens[keys] < NOTE_OFF) & (ends > starts)
        notes = np.zeros(np.count_nonzero(kept), TIMED)
        notes["onset"], notes["length"] = starts[kept] * STEP_MS, (ends - starts)[kept] * STEP_MS
        notes["pitch"], notes["velocity"] = pitches[kept], bins[keys[kept]] * BIN_WIDTH + BIN_WIDTH // 2
        notes["instrument"] = _PIANO
        return by_onset(notes)

    def writer(self, seconds: float | None = None) -> PerformanceWriter:
        longest = _NEVER if self.longest_seconds is None else int(self.longest_seconds * STEPS_PER_SECOND)
        return PerformanceWriter(longest, _NEVER if seconds is None else max(1, round(seconds * STEPS_PER_SECOND)))


def _events(notes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends and onsets in their order: (2N,) int64 of step << 8 | whether an onset << 7 | pitch, and (2N,) bins."""
    notes = notes[notes["instrument"] != DRUMS]
    if not len(notes):
        raise NotationError("no pitched instrument plays in the music, and drums are no performance; "
                            "give music for piano or other pitched instruments")  # fmt: skip
    notes = notes[notes["pitch"].argsort(kind="stable")]
    edges = np.stack([notes["onset"], notes["onset"].astype(np.int64) + notes["length"]])
    starts, ends = (edges + STEP_MS // 2) // STEP_MS
    pitches = notes["pitch"].astype(np.int64)
    first = np.flatnonzero((np.diff(starts, prepend=-1) != 0) | (np.diff(pitches, prepend=-1) != 0))
    velocities = np.maximum.reduceat(notes["velocity"], first).astype(np.int64) // BIN_WIDTH
    starts, ends, pitches = starts[first], np.maximum.reduceat(ends, first), pitches[first]
    ends = np.maximum(ends, starts + 1)
    again = np.flatnonzero(pitches[1:] == pitches[:-1])
    ends[again] = np.minimum(ends[again], starts[again + 1])
    low = pitches << 5 | velocities
    keys = np.sort(np.concatenate([ends << 13 | low, starts << 13 | 1 << 12 | low]))
    return keys >> 5, keys & 0x1F


class PerformanceWriter(Writer):
    """What `Performance.encode` could have written, and no note longer than `longest` steps. With an `end`, in steps,
    the last note ends there, and silence does not reach into the last CLOSING_SECONDS."""

    def __init__(self, longest: int, end: int) -> None:
        self._longest, self._end = longest, end
        self._time = 0
        self._started = np.full(128, _NEVER)  # the step at which each pitch that sounds began
        self._sounding = 0
        self._bin: int | None = None
        self._last_on = self._last_off = -1  # the highest pitch of this kind in this step
        self._expects_note, self._expects_event = False, False  # after a velocity; after a shift that was not full
        self._legal: np.ndarray | None = None

    @property
    def seconds(self) -> float:
        return self._time / STEPS_PER_SECOND

    @property
    def done(self) -> bool:
        return self._time >= self._end and not self._sounding

    def legal(self) -> np.ndarray:
        if self._legal is None:
            self._legal = self._allowed(self._longest, self._end - int(CLOSING_SECONDS * STEPS_PER_SECOND))
        return self._legal

    def _allowed(self, longest: int, closing: int) -> np.ndarray:
        """(V,) bool; silence may last until step `closing`."""
        mask, now, started = np.zeros(SIZE, bool), self._time, self._started
        on, off = mask[NOTE_ON + self._last_on + 1 : NOTE_OFF], mask[NOTE_OFF:SHIFT]
        silent = started[self._last_on + 1 :] == _NEVER
        if self._expects_note:
            on[:] = silent
            return mask
        due = started <= now - longest if now < self._end else started < _NEVER
        if self._sounding and due.any():  # these end before anything else happens, from low to high
            lowest = int(due.argmax())
            ending = slice(min(self._last_off + 1, lowest), lowest + 1)
            off[ending] = started[ending] < now
            return mask
        if now >= self._end:
            return mask
        if self._last_on < 0 and self._sounding:
            off[self._last_off + 1 :] = started[self._last_off + 1 :] < now
        if silent.any():
            mask[VELOCITY:] = True
            if self._bin is not None:
                mask[VELOCITY + self._bin] = False
                on[:] = silent
        if not self._expects_event:
            limit = min(self._end, int(started.min()) + longest) if self._sounding else closing
            mask[SHIFT : SHIFT + min(max(limit - now, 0), MAX_SHIFT)] = True
        return mask

    def write(self, token: int) -> None:
        """As `Writer.write`; for the sake of primers a note may be longer and silence later than what is legal."""
        token = int(token)
        if not 0 <= token < SIZE or not (self.legal()[token] or self._allowed(_NEVER, self._end)[token]):
            raise ValueError(f"token {token} may not come here")
        self._legal = None
        pitch = token % 128
        self._expects_note = token >= VELOCITY
        if token < NOTE_OFF:
            self._started[pitch] = self._time
            self._sounding += 1
            self._last_on, self._expects_event = pitch, False
        elif token < SHIFT:
            self._started[pitch] = _NEVER
            self._sounding -= 1
            self._last_off, self._expects_event = pitch, False
        elif token < VELOCITY:
            self._time += token - SHIFT + 1
            self._last_on = self._last_off = -1
            self._expects_event = token < VELOCITY - 1
        else:
            self._bin = token - VELOCITY


def stuck_notes_a_minute(notes: np.ndarray, bound_seconds: float = 10.0) -> float:
    """How many of the TIMED notes are longer than the bound, by minute of music from 0 to the last end; 0 without
    notes. Luo (2021, 5.4) found them in what recurrent networks sample."""
    if not len(notes):
        return 0.0
    minutes = int((notes["onset"].astype(np.int64) + notes["length"]).max()) / 60_000
    return float(np.count_nonzero(notes["length"] > bound_seconds * 1000) / minutes)
