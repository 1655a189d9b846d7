"""How full the bars are. Bars reach from tick 0 to the end of the last note; drums count as any other track.

A bar of a track is empty where none of its notes sounds (MuseGAN's EB, Dong et al. 2018; some later implementations
report the share of bars that are *not* empty). A note sounds in a bar that it reaches by at least half of 1/12 quarter.
"""

from __future__ import annotations

import numpy as np
from symusic import Score

from orchestrion.metrics.grid import Grid, on_grid


def empty_bar_rate(score: Score | Grid) -> float:
    """Share of bars, 0..1, in which no track sounds; nan without notes."""
    cells = _sounding_cells(on_grid(score))
    return float(1 - cells.any(axis=0).mean()) if cells.size else np.nan


def empty_bar_rate_by_track(score: Score | Grid) -> np.ndarray:
    """(K,) share of bars, 0..1, in which each of the K tracks that have notes is silent; in the order of the tracks."""
    cells = _sounding_cells(on_grid(score))
    return 1 - cells.mean(axis=1) if cells.size else np.zeros(0)


def empty_cell_rate(score: Score | Grid) -> float:
    """Mean over tracks of `empty_bar_rate_by_track`, 0..1; nan without notes."""
    by_track = empty_bar_rate_by_track(score)
    return float(by_track.mean()) if by_track.size else np.nan


def longest_empty_run(score: Score | Grid) -> int:
    """Length in bars of the longest run of neighbouring bars in which no track sounds; 0 without notes."""
    cells = _sounding_cells(on_grid(score))
    marks = np.flatnonzero(np.concatenate([[True], cells.any(axis=0), [True]]))
    return int(np.diff(marks).max() - 1) if cells.size else 0


def notes_a_bar(score: Score | Grid) -> float:
    """Onsets of all tracks over bars; nan without notes."""
    grid = on_grid(score)
    return len(grid) / grid.bars if len(grid) else np.nan


def notes_a_bar_a_track(score: Score | Grid) -> float:
    """Onsets over cells (one bar of one track) that are not empty, so that rests do not thin it; nan without notes."""
    grid = on_grid(score)
    return float(len(grid) / _sounding_cells(grid).sum()) if len(grid) else np.nan


def _sounding_cells(grid: Grid) -> np.ndarray:
    """(K, M) bool, tracks with notes by bars."""
    note, bar = grid.sounding()
    tracks, row = np.unique(grid.track, return_inverse=True)
    cells = np.zeros((len(tracks), grid.bars), bool)
    cells[row[note], bar] = True
    return cells
