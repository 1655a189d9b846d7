"""Phrases: a few bars of 4/4 as binary piano rolls, one a track, which adversarial systems draw like pictures.

MuseGAN's (Dong et al., AAAI 2018) are 4 bars of 96 steps by 84 pitches from C1 for each of five tracks. Later ones are
coarser, 16 steps a bar by 72 pitches, and some have seventeen tracks. Rolls are made as in the Lakh Pianoroll Dataset:
keys count as they are pressed, whatever the pedal does, and a drum stroke fills one step. Where a bar has more than 32
steps, a note gives up its last step where its pitch is struck again, and a run of drum cells is one stroke; on coarser
grids notes that touch become one, and each drum cell is a stroke.

Legend: N notes, C phrases, K tracks, S steps of a phrase, P pitches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from symusic import Score, Tempo, TimeSignature, Track

from orchestrion.core.errors import UserError
from orchestrion.music.bars import instrument
from orchestrion.music.edit import notes_of
from orchestrion.music.theory import DRUMS, FAMILY_NAMES, INSTRUMENTS, family
from orchestrion.representations.frames import VELOCITY, runs

STEPS_PER_QUARTER = 24
BAR_STEPS = 4 * STEPS_PER_QUARTER
TICKS_PER_QUARTER = 480
STROKE_TICKS = 120  # a sixteenth, or less where the next stroke or the end comes sooner
_COARSE = 32  # steps a bar, up to which strikes of one pitch in neighbouring steps are music and no noise

#: One note: steps of 1 / 24 quarter note from the beginning, steps it lasts (at least 1), MIDI pitch, General MIDI
#: program or theory.DRUMS.
ROLL = np.dtype([("onset", "<u4"), ("length", "<u2"), ("pitch", "u1"), ("instrument", "u1")])


@dataclass(frozen=True)
class TrackSet:
    """K tracks that share instruments out: names; the instrument that plays each in decoded music; and (129,) the track
    to which each instrument belongs, -1 for none."""

    names: tuple[str, ...]
    instruments: tuple[int, ...]
    of: tuple[int, ...]


_OF_FIVE = {"drums": 0, "piano": 1, "guitar": 2, "bass": 3}
TRACK_SETS = {
    # LPD-5: "instruments out of the five categories are considered as part of the strings". (The files published leave
    # out synth effects, percussive and sound effects.)
    "five": TrackSet(
        ("drums", "piano", "guitar", "bass", "strings"),
        (DRUMS, 0, 25, 33, 48),
        tuple(_OF_FIVE.get(FAMILY_NAMES[family(number)], 4) for number in range(INSTRUMENTS)),
    ),
    # LPD-17: drums, and the families of General MIDI in their order.
    "seventeen": TrackSet(
        ("drums", *FAMILY_NAMES[:16]),
        (DRUMS, *range(0, 128, 8)),
        tuple((family(number) + 1) % 17 for number in range(INSTRUMENTS)),
    ),
    # LPD-5's piano alone, of whatever plays beside it.
    "piano": TrackSet(
        ("piano",), (0,), tuple(0 if FAMILY_NAMES[family(number)] == "piano" else -1 for number in range(INSTRUMENTS))
    ),
}


def roll(score: Score) -> np.ndarray:
    """(N,) ROLL, the notes of all tracks by onset, pitch and instrument. Onset and end are rounded to the nearest step,
    each by itself."""
    parts = [np.zeros(0, ROLL)]
    for track in score.tracks:
        notes = track.notes.numpy()
        start = notes["time"].astype(np.int64)
        ticks = np.maximum(np.stack([start, start + notes["duration"]]), 0)
        onset, end = (ticks * (2 * STEPS_PER_QUARTER) + score.tpq) // (2 * score.tpq)  # halves up
        part = np.zeros(len(start), ROLL)
        part["onset"], part["length"] = onset, np.clip(end - onset, 1, np.iinfo(np.uint16).max)
        part["pitch"], part["instrument"] = notes["pitch"], instrument(track)
        parts.append(part)
    notes = np.concatenate(parts)
    return notes[np.lexsort((notes["instrument"], notes["pitch"], notes["onset"]))]


@dataclass(frozen=True)
class PhraseGrid:
    """What a phrase holds: `tracks` names one of TRACK_SETS; `bars` of `steps_a_bar`; `pitches` from `lowest` up.

    Raises UserError for numbers that make no grid.
    """

    tracks: str = "five"
    bars: int = 4
    steps_a_bar: int = 96
    lowest: int = 24
    pitches: int = 84

    def __post_init__(self) -> None:
        if self.tracks not in TRACK_SETS:
            raise UserError(f"there are no tracks {self.tracks!r}; choose {' or '.join(TRACK_SETS)}")
        if self.steps_a_bar < 4 or BAR_STEPS % self.steps_a_bar:
            raise UserError(f"a bar cannot have {self.steps_a_bar} steps; choose 4 or more that {BAR_STEPS} divides by")
        if not 1 <= self.bars <= 64:
            raise UserError(f"a phrase cannot have {self.bars} bars; choose 1 to 64")
        if self.pitches < 1 or self.lowest < 0 or self.lowest + self.pitches > 128:
            raise UserError(f"{self.pitches} pitches from {self.lowest} up do not lie within MIDI's 0 to 127")

    @property
    def name(self) -> str:
        """Names the parameters too: "five-4x96x84-24"."""
        return f"{self.tracks}-{self.bars}x{self.steps_a_bar}x{self.pitches}-{self.lowest}"

    @property
    def track_set(self) -> TrackSet:
        return TRACK_SETS[self.tracks]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(K, S, P) of a phrase."""
        return len(self.track_set.names), self.bars * self.steps_a_bar, self.pitches

    def encode(self, score: Score) -> np.ndarray:
        """Score -> (C, K, S, P) bool, as many phrases as hold its bars of four quarter notes, at least one.

        Onset and end are rounded to the nearest step, each by itself; a note fills at least one. Pitches out of range
        are left out. Exact for music on the grid in which no note touches another of its pitch.
        """
        notes = roll(score)
        length = np.where(notes["instrument"] == DRUMS, 1, notes["length"].astype(np.int64))
        count = -(-int((notes["onset"] + length).max(initial=1)) // (self.bars * BAR_STEPS))
        bar, place, length = self.parts(notes, 0, count * self.bars)
        phrase, bar = np.divmod(bar, self.bars)
        return self.filled(phrase * self.cells + bar * self.bar_cells + place, length, count)

    def decode(self, phrases: np.ndarray, *, tempo: float = 120.0, shortest_steps: int = 1) -> Score:
        """(C, K, S, P), or one phrase (K, S, P), bool -> one Score with the phrases one after another in 4/4.

        tempo: quarter notes a minute. Neighbouring steps of a pitch are one note, over the ends of phrases too; those
        shorter than `shortest_steps` are left out, except drums. All K tracks are there, silent ones too. From this
        `encode` makes what it made before, but for silence at the end and, on a fine grid, runs of drum cells.
        """
        rolls = phrases.reshape(-1, *self.shape).swapaxes(0, 1).reshape(len(self.track_set.names), -1, self.pitches)
        step_ticks = 4 * TICKS_PER_QUARTER // self.steps_a_bar
        score = Score(TICKS_PER_QUARTER)
        score.tempos.append(Tempo(0, tempo))
        score.time_signatures.append(TimeSignature(0, 4, 4))
        for name, number, one in zip(self.track_set.names, self.track_set.instruments, rolls, strict=True):
            start, end, pitch = runs(one)
            if number == DRUMS:
                if not self._is_fine:
                    pitch, start = np.nonzero(one.T)
                following = np.where(np.diff(pitch, append=-1) == 0, np.append(start[1:], 0), len(one))
                ticks = np.minimum((following - start) * step_ticks, STROKE_TICKS)
            else:
                kept = end - start >= shortest_steps
                start, end, pitch = start[kept], end[kept], pitch[kept]
                ticks = (end - start) * step_ticks
            order = np.lexsort((pitch, start))
            columns = {"time": start * step_ticks, "duration": ticks, "pitch": pitch + self.lowest}
            columns["velocity"] = np.full(len(pitch), VELOCITY)
            track = Track(name, 0 if number == DRUMS else number, number == DRUMS)
            track.notes = notes_of({column: values[order] for column, values in columns.items()})
            score.tracks.append(track)
        return score

    def parts(self, notes: np.ndarray, first_step: int, bars: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ROLL notes -> what of them sounds in so many bars of 4/4 from a step of theirs on, cut at the bar lines.

        Three arrays of a length, in the order of bars: the bar, from 0; where the part begins, as flat index into a
        phrase (K, S, P) with this bar as its first; and its steps, at most a bar's.
        """
        track, pitch = self._track_of[notes["instrument"]], notes["pitch"].astype(np.int64) - self.lowest
        onset = notes["onset"].astype(np.int64) - first_step
        edges = np.stack([onset, onset + notes["length"]])
        start, end = (edges * (2 * self.steps_a_bar) + BAR_STEPS) // (2 * BAR_STEPS)  # halves up
        end = np.maximum(end, start + 1)
        if self._is_fine:
            end = _let_go(start, end, notes["instrument"].astype(np.int64) * 128 + notes["pitch"])
        end = np.where(notes["instrument"] == DRUMS, start + 1, end)
        here = (track >= 0) & (pitch >= 0) & (pitch < self.pitches) & (end > 0) & (start < bars * self.steps_a_bar)
        track, pitch = track[here], pitch[here]
        start, end = np.maximum(start[here], 0), np.minimum(end[here], bars * self.steps_a_bar)

        first = start // self.steps_a_bar
        count = (end - 1) // self.steps_a_bar - first + 1
        index = np.repeat(np.arange(len(start)), count)
        bar = first[index] + np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
        order = np.argsort(bar, kind="stable")
        index, bar = index[order], bar[order]
        begin = np.maximum(start[index] - bar * self.steps_a_bar, 0)
        length = np.minimum(end[index] - bar * self.steps_a_bar, self.steps_a_bar) - begin
        return bar, (track[index] * self.shape[1] + begin) * self.pitches + pitch[index], length

    def filled(self, place: np.ndarray, length: np.ndarray, count: int) -> np.ndarray:
        """(C, K, S, P) bool, `count` phrases: True from each flat index `place` on for `length` steps of its pitch."""
        phrases = np.zeros(count * self.cells, bool)
        total = int(length.sum())
        cells = np.full(total, self.pitches)
        ends = np.cumsum(length)
        cells[:1] = place[:1]
        # one step up in time each, but for a leap from the end of each part to the beginning of the next
        cells[ends[:-1]] = place[1:] - place[:-1] - (length[:-1] - 1) * self.pitches
        phrases[np.cumsum(cells)] = True
        return phrases.reshape(count, *self.shape)

    @property
    def bar_cells(self) -> int:
        """How far apart the same place in two neighbouring bars of a phrase lies, as flat index."""
        return self.steps_a_bar * self.pitches

    @property
    def cells(self) -> int:
        """K * S * P."""
        return prod(self.shape)

    @property
    def _is_fine(self) -> bool:
        return self.steps_a_bar > _COARSE

    @cached_property
    def _track_of(self) -> np.ndarray:
        return np.array(self.track_set.of)


def empty(phrases: np.ndarray) -> np.ndarray:
    """(C, K, S, P) -> (C,) bool, the phrases in which nothing sounds."""
    return np.asarray(~phrases.any(axis=(1, 2, 3)))


def flooded(phrases: np.ndarray, *, share: float = 0.5) -> np.ndarray:
    """(C, K, S, P) -> (C,) bool, the phrases with a track of which at least this share of the cells is on."""
    cells = phrases.shape[2] * phrases.shape[3]
    return np.asarray((np.count_nonzero(phrases, axis=(2, 3)) >= share * cells).any(axis=1))


def _let_go(start: np.ndarray, end: np.ndarray, lane: np.ndarray) -> np.ndarray:
    """The ends; where a note begins in its lane before what sounds there has ended, and outlasts it, what sounds ends a
    step before, but is no shorter than a step. What begins and ends meanwhile is another player's and changes nothing.
    """
    order = np.lexsort((end, start, lane))
    begin, lane, result = start[order], lane[order], end.copy()
    until = lane * 2**33 + end[order]
    outlasts = np.append(True, until[1:] > np.maximum.accumulate(until)[:-1])[: len(until)]
    later = np.flatnonzero(outlasts)[1:]
    before = np.flatnonzero(outlasts)[:-1]
    meet = (lane[later] == lane[before]) & (begin[later] <= end[order][before])
    later, before = later[meet], before[meet]
    result[order[before]] = np.maximum(begin[later] - 1, begin[before] + 1)
    return result
