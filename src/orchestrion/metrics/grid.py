"""The notes of a Score on a grid of twelve steps a quarter note: what the metrics look at.

Every time is rounded by itself (never differences), so that performed and written music are measured alike: an onset a
few ticks before the bar line belongs to the bar it was meant for, and a note-off a few ticks beyond it marks no bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from symusic import Score

from orchestrion.score.bars import bars

STEPS_PER_QUARTER = 12


@dataclass(frozen=True)
class Grid:
    """N notes sorted by track, onset, pitch, over M bars; all arrays int64.

    track: (N,) index into score.tracks; pitch, velocity: (N,); onset, end: (N,) steps, end exclusive, end > onset;
    edges: (M + 1,) steps, where the bars start and the last one ends.
    """

    track: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    onset: np.ndarray
    end: np.ndarray
    edges: np.ndarray

    def __len__(self) -> int:
        return len(self.track)

    @property
    def bars(self) -> int:
        return len(self.edges) - 1

    @cached_property
    def bar(self) -> np.ndarray:
        """(N,) the bar, from 0, in which each note begins."""
        return self._bar_at(self.onset)

    def sounding(self) -> tuple[np.ndarray, np.ndarray]:
        """Every pair (note, bar) of a note and a bar in which it sounds, as two arrays of equal length."""
        span = self._bar_at(self.end - 1) - self.bar + 1
        note = np.repeat(np.arange(len(self)), span)
        return note, self.bar[note] + np.arange(len(note)) - np.repeat(np.cumsum(span) - span, span)

    def _bar_at(self, step: np.ndarray) -> np.ndarray:
        return np.clip(np.searchsorted(self.edges, step, side="right") - 1, 0, max(self.bars - 1, 0))


def on_grid(score: Score, *, drums: bool = True) -> Grid:
    """The notes of a Score on the grid, percussion tracks included unless drums=False. The bars are those of
    `score.bars.bars`, from tick 0 to the end of the last note of any track. A note lasts at least one step."""
    columns = []
    for index, track in enumerate(score.tracks):
        if len(track.notes) and (drums or not track.is_drum):
            notes = track.notes.numpy()
            onset = _steps(notes["time"], score.tpq)
            end = np.maximum(_steps(notes["time"].astype(np.int64) + notes["duration"], score.tpq), onset + 1)
            columns.append(np.stack([np.full(len(onset), index), notes["pitch"], notes["velocity"], onset, end]))
    table = np.concatenate(columns, axis=1) if columns else np.zeros((5, 0), np.int64)
    number, pitch, velocity, onset, end = table[:, np.lexsort((table[1], table[3], table[0]))]
    spans = bars(score)
    edges = _steps(np.array([bar.start for bar in spans] + [spans[-1].end]), score.tpq) if spans else np.zeros(1, int)
    return Grid(number, pitch, velocity, onset, end, edges)


def _steps(ticks: np.ndarray, tpq: int) -> np.ndarray:
    return (ticks.astype(np.int64) * (2 * STEPS_PER_QUARTER) + tpq) // (2 * tpq)  # halves up
