"""The notes of a Score on a grid of steps, twelve a quarter note unless said otherwise: what the metrics look at.

Every time is rounded by itself (never differences), so that performed and written music are measured alike: an onset a
few ticks before the bar line belongs to the bar it was meant for, and a note-off a few ticks beyond it marks no bar.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from symusic import Score

from orchestrion.music.bars import bar_edges, instrument
from orchestrion.music.extent import seconds_at
from orchestrion.music.theory import DRUMS

STEPS_PER_QUARTER = 12


@dataclass(frozen=True, eq=False)
class Grid:
    """N notes sorted by track, onset, pitch, over M bars; all arrays int64 unless said otherwise.

    track: (N,) index into score.tracks; pitch, velocity: (N,); onset, end: (N,) steps, end exclusive, end > onset;
    edges: (M + 1,) steps, where the bars start and the last one ends; instruments: one a track of the Score, General
    MIDI programs or theory.DRUMS. A Grid costs more than most metrics, so they all take one in place of a Score, and
    what several of them look at is worked out once and kept.
    """

    score: Score
    steps_per_quarter: int
    track: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    onset: np.ndarray
    end: np.ndarray
    ticks: np.ndarray  # (2, N) onset and end as written, before rounding
    edges: np.ndarray
    instruments: np.ndarray

    def __len__(self) -> int:
        return len(self.track)

    @property
    def bars(self) -> int:
        return len(self.edges) - 1

    @cached_property
    def steps(self) -> int:
        """Steps from tick 0 to the end of the last note; 0 without notes."""
        return int(self.end.max(initial=0))

    @cached_property
    def bar(self) -> np.ndarray:
        """(N,) the bar, from 0, in which each note begins."""
        return self.bar_at(self.onset)

    @cached_property
    def last_bar(self) -> np.ndarray:
        """(N,) the last bar in which each note sounds."""
        return self.bar_at(self.end - 1)

    @cached_property
    def row(self) -> np.ndarray:
        """(N,) the place of each note's track among the K tracks that have notes, 0..K-1."""
        return np.cumsum(_first(self.track)) - 1

    @cached_property
    def playing(self) -> np.ndarray:
        """(K,) the tracks that have notes, as indices into score.tracks."""
        return self.track[_first(self.track)]

    @property
    def rows(self) -> int:
        """K, the number of tracks that have notes."""
        return len(self.playing)

    @cached_property
    def instrument(self) -> np.ndarray:
        """(N,) the instrument of each note."""
        return self.instruments[self.track]

    @cached_property
    def pitched(self) -> Grid:
        """The same music without its percussion tracks; the bars stay."""
        if not (self.instruments == DRUMS).any():
            return self
        kept = self.instrument != DRUMS
        if kept.all():
            return self
        return replace(
            self,
            track=self.track[kept],
            pitch=self.pitch[kept],
            velocity=self.velocity[kept],
            onset=self.onset[kept],
            end=self.end[kept],
            ticks=self.ticks[:, kept],
        )

    @cached_property
    def fine(self) -> Grid:
        """The same music on 24 steps a quarter note, as LPD's piano rolls have."""
        return self if self.steps_per_quarter == 24 else on_grid(self.score, steps_per_quarter=24)

    @cached_property
    def seconds(self) -> np.ndarray:
        """(2, N) float, when each note begins and ends as written (not rounded), by the tempo marks."""
        return seconds_at(self.score, self.ticks)

    @cached_property
    def length_seconds(self) -> float:
        """From tick 0 to the last end as written; 0 without notes."""
        return float(seconds_at(self.score, self.ticks[1].max(initial=0)))

    @cached_property
    def pitch_counts(self) -> np.ndarray:
        """(128,) how many notes each pitch has."""
        return np.bincount(self.pitch, minlength=128)

    @cached_property
    def onsets(self) -> np.ndarray:
        """(O,) the steps at which any note begins, in order, each once."""
        onset = np.sort(self.onset)
        return onset[_first(onset)]

    @cached_property
    def strikes(self) -> np.ndarray:
        """(S,) index of the first note of each strike: the notes that one track begins at one step."""
        return np.flatnonzero(_first(self.track) | _first(self.onset))

    @cached_property
    def runs(self) -> tuple[np.ndarray, np.ndarray]:
        """Of every run of strikes at which a track strikes the same pitches: (R,) the strikes, (R,) the pitches. A run
        ends where the track does or other pitches are struck; rests do not end it, and a unison is one note."""
        if not len(self):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        struck = np.zeros(len(self), bool)
        struck[self.strikes] = True
        kept = struck | _first(self.pitch)
        pitch, track = self.pitch[kept], self.track[self.strikes]
        start = np.flatnonzero(struck[kept])
        size = np.diff(start, append=len(pitch))
        # Note i of a strike of n answers to note i - n, where the strike before has n as well.
        before = np.arange(len(pitch)) - np.repeat(size, size)
        same = np.logical_and.reduceat(pitch == pitch[before], start)
        same[1:] &= (size[1:] == size[:-1]) & (track[1:] == track[:-1])
        same[0] = False
        first = np.flatnonzero(~same)
        return np.diff(first, append=len(start)), size[first]

    @cached_property
    def cells(self) -> np.ndarray:
        """(K, M) bool: whether each of the K tracks that have notes sounds in each bar."""
        return self.sounds(self.row, self.rows)

    @cached_property
    def stretches(self) -> np.ndarray:
        """(2, S) the steps at which the S stretches in which anything sounds start and stop, in order."""
        return joined(self.onset, self.end)

    @cached_property
    def families(self) -> np.ndarray:
        """(F,) the instrument families that have notes, in order: 0..15 of General MIDI and 16 the drums, which are the
        seventeen tracks of LPD-17."""
        return np.unique(self.instruments[self.playing] // 8)

    @cached_property
    def held(self) -> np.ndarray:
        """(2, H) where the stretches of ones of LPD-17's binary piano rolls start and stop, each as
        (family * 128 + pitch) * (steps + 1) + step: notes of one pitch and family that overlap or touch are one."""
        lane = (self.instrument // 8 * 128 + self.pitch) * (self.steps + 1)
        return joined(lane + self.onset, lane + self.end)

    @cached_property
    def held_pitches(self) -> np.ndarray:
        """(2, H) sorted steps at which the pitches start to sound, and sorted steps at which they stop, whatever family
        plays them; the two rows are sorted apart and do not pair."""
        held, width = self.held, self.steps + 1
        if len(self.families) > 1:
            held = joined(*(held // width % 128 * width + held % width))
        return np.sort(held % width)

    def steps_with(self, pitches: int) -> int:
        """The number of steps at which at least so many different pitches sound."""
        start, stop = self.held_pitches
        # From its start on, the i-th (from 0) makes i + 1 begun: enough until i + 2 - pitches of them have stopped.
        until = np.minimum(np.append(start[pitches:], self.steps), stop[: max(len(stop) + 1 - pitches, 0)])
        return int(np.maximum(until - start[pitches - 1 :], 0).sum()) if len(start) >= pitches else 0

    def sounds(self, lane: np.ndarray, lanes: int) -> np.ndarray:
        """(lanes, M) bool: in which bars any note of each lane sounds; `lane` (N,) says to which each note belongs."""
        width = self.bars + 1
        begun = np.bincount(lane * width + self.bar, minlength=lanes * width)
        over = np.bincount(lane * width + self.last_bar + 1, minlength=lanes * width)
        return np.cumsum(begun - over).reshape(lanes, width)[:, :-1] > 0

    def sounding(self) -> tuple[np.ndarray, np.ndarray]:
        """Every pair (note, bar) of a note and a bar in which it sounds, as two arrays of equal length."""
        span = self.last_bar - self.bar + 1
        note = np.repeat(np.arange(len(self)), span)
        return note, self.bar[note] + np.arange(len(note)) - np.repeat(np.cumsum(span) - span, span)

    def bar_at(self, step: np.ndarray) -> np.ndarray:
        """The bar, from 0, in which each step lies; the last one for what is beyond it."""
        return np.clip(np.searchsorted(self.edges, step, side="right") - 1, 0, max(self.bars - 1, 0))


def on_grid(music: Score | Grid, *, drums: bool = True, steps_per_quarter: int = STEPS_PER_QUARTER) -> Grid:
    """The notes of a Score on the grid, percussion tracks included unless drums=False. The bars are those of
    `music.bars.bars`, from tick 0 to the end of the last note of any track, and one of 4/4 where notes that have no
    length make none. A note lasts at least one step; what is before tick 0 begins there.

    A Grid is handed back as it is (its own number of steps stays), or without its percussion."""
    if isinstance(music, Grid):
        return music if drums else music.pitched
    tables = [track.notes.numpy() for track in music.tracks]
    counts = [len(table["time"]) for table in tables]
    track = np.repeat(np.arange(len(tables)), counts)
    pitch, velocity, start, duration = (_column(tables, name) for name in ("pitch", "velocity", "time", "duration"))
    ticks = np.maximum(np.stack([start, start + duration]), 0)
    onset, end = _steps(ticks, music.tpq, steps_per_quarter)
    edges = bar_edges(music)
    if len(track) and len(edges) == 1:
        edges = np.array([0, 4 * music.tpq])
    edges = _steps(edges, music.tpq, steps_per_quarter)
    onset = np.minimum(onset, max(edges[-1] - 1, 0))  # a late last note is rounded to the end of all bars, not beyond
    order = np.argsort((track * (onset.max(initial=0) + 1) + onset) * 128 + pitch, kind="stable")  # much is in order
    onset = onset[order]
    grid = Grid(
        music,
        steps_per_quarter,
        track,  # its order stays
        pitch[order],
        velocity[order],
        onset,
        np.maximum(end[order], onset + 1),
        ticks[:, order],
        edges,
        np.array([instrument(track) for track in music.tracks], np.int64),
    )
    return grid if drums else grid.pitched


def joined(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """(2, S) where the S stretches that the N intervals cover together start and stop, in order; start, stop: (N,) of
    the intervals, stop exclusive. Intervals that touch are one."""
    start, stop = np.sort(start), np.sort(stop)
    # There is a gap before the i-th start where i intervals have stopped by then: all that had begun.
    first = np.ones(len(start), bool)
    first[1:] = start[1:] > stop[:-1]
    return np.stack([start[first], stop[np.roll(first, -1)]])


def _column(tables: list[dict[str, np.ndarray]], name: str) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *(table[name] for table in tables)], dtype=np.int64)


def _first(values: np.ndarray) -> np.ndarray:
    """(N,) bool: whether each value differs from the one before."""
    return np.append(True, values[1:] != values[:-1])[: len(values)]


def _steps(ticks: np.ndarray, tpq: int, steps_per_quarter: int) -> np.ndarray:
    return (ticks * (2 * steps_per_quarter) + tpq) // (2 * tpq)  # halves up
