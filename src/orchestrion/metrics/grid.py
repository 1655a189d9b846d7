"""The notes of a Score on a grid of steps, twelve a quarter note unless said otherwise: what the metrics look at.

Every time is rounded by itself (never differences), so that performed and written music are measured alike: an onset a
few ticks before the bar line belongs to the bar it was meant for, and a note-off a few ticks beyond it marks no bar.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from symusic import Score

from orchestrion.score.bars import bars, instrument
from orchestrion.score.extent import DEFAULT_TEMPO
from orchestrion.theory import DRUMS

STEPS_PER_QUARTER = 12


@dataclass(frozen=True, eq=False)
class Grid:
    """N notes sorted by track, onset, pitch, over M bars; all arrays int64 unless said otherwise.

    track: (N,) index into score.tracks; pitch, velocity: (N,); onset, end: (N,) steps, end exclusive, end > onset;
    edges: (M + 1,) steps, where the bars start and the last one ends; instruments: one a track of the Score, General
    MIDI programs or theory.DRUMS. A Grid costs more than most metrics, so they all take one in place of a Score.
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
    def bar(self) -> np.ndarray:
        """(N,) the bar, from 0, in which each note begins."""
        return self._bar_at(self.onset)

    @cached_property
    def instrument(self) -> np.ndarray:
        """(N,) the instrument of each note."""
        return self.instruments[self.track]

    @cached_property
    def pitched(self) -> Grid:
        """The same music without its percussion tracks; the bars stay."""
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
        marks = sorted((mark.time, mark.qpm) for mark in self.score.tempos)
        ticks = np.array([0] + [max(time, 0) for time, _ in marks], float)
        pace = 60 / (np.array([DEFAULT_TEMPO] + [qpm for _, qpm in marks]) * self.score.tpq)  # seconds a tick
        starts = np.append(0, np.cumsum(np.diff(ticks) * pace[:-1]))
        mark = np.searchsorted(ticks, self.ticks, side="right") - 1
        return starts[mark] + (self.ticks - ticks[mark]) * pace[mark]

    def sounding(self) -> tuple[np.ndarray, np.ndarray]:
        """Every pair (note, bar) of a note and a bar in which it sounds, as two arrays of equal length."""
        span = self._bar_at(self.end - 1) - self.bar + 1
        note = np.repeat(np.arange(len(self)), span)
        return note, self.bar[note] + np.arange(len(note)) - np.repeat(np.cumsum(span) - span, span)

    def _bar_at(self, step: np.ndarray) -> np.ndarray:
        return np.clip(np.searchsorted(self.edges, step, side="right") - 1, 0, max(self.bars - 1, 0))


def on_grid(music: Score | Grid, *, drums: bool = True, steps_per_quarter: int = STEPS_PER_QUARTER) -> Grid:
    """The notes of a Score on the grid, percussion tracks included unless drums=False. The bars are those of
    `score.bars.bars`, from tick 0 to the end of the last note of any track. A note lasts at least one step.

    A Grid is handed back as it is (its own number of steps stays), or without its percussion."""
    if isinstance(music, Grid):
        return music if drums else music.pitched
    columns = []
    for index, track in enumerate(music.tracks):
        if len(track.notes):
            notes = track.notes.numpy()
            start = notes["time"].astype(np.int64)
            columns.append(
                np.stack([np.full(len(start), index), notes["pitch"], notes["velocity"], start,
                          start + notes["duration"]])
            )  # fmt: skip
    table = np.concatenate(columns, axis=1) if columns else np.zeros((5, 0), np.int64)
    onset = _steps(table[3], music.tpq, steps_per_quarter)
    end = np.maximum(_steps(table[4], music.tpq, steps_per_quarter), onset + 1)
    order = np.lexsort((table[1], onset, table[0]))
    spans = bars(music)
    edges = np.array([bar.start for bar in spans] + [spans[-1].end] if spans else [0], np.int64)
    number, pitch, velocity = table[:3, order]
    edges = _steps(edges, music.tpq, steps_per_quarter)
    instruments = np.array([instrument(track) for track in music.tracks], np.int64)
    grid = Grid(music, steps_per_quarter, number, pitch, velocity, onset[order], end[order], table[3:, order], edges,
                instruments)  # fmt: skip
    return grid if drums else grid.pitched


def _steps(ticks: np.ndarray, tpq: int, steps_per_quarter: int) -> np.ndarray:
    return (ticks * (2 * steps_per_quarter) + tpq) // (2 * tpq)  # halves up
