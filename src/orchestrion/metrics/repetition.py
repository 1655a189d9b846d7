"""Repetition: bars that return, and a single pitch struck over and over."""

from __future__ import annotations

import numpy as np
from symusic import Score

from orchestrion.metrics.grid import Grid, on_grid


def bar_repetition(score: Score | Grid) -> float:
    """Share of bars with onsets, 0..1, that equal an earlier bar: the same tracks strike the same pitches at the same
    steps of 1/12 quarter. Lengths, velocities and the meter do not count; a transposed bar is another bar. nan without
    notes; 0 where each bar with onsets is new."""
    grid = on_grid(score)
    return _returning(grid, grid.bar)


def cell_repetition(score: Score | Grid) -> float:
    """Share of cells (one bar of one track) with onsets, 0..1, that equal an earlier cell of the same track, compared
    as in `bar_repetition`; nan without notes."""
    grid = on_grid(score)
    return _returning(grid, grid.track * grid.bars + grid.bar)


def longest_same_pitch_run(score: Score | Grid) -> int:
    """The most onsets in a row at which one pitched track strikes one and the same pitch and no other; rests do not
    break a run, a chord does. 1 where no pitch is struck twice in a row, 0 without a pitched note struck alone."""
    runs, pitches = _runs(on_grid(score, drums=False))
    return int(runs[pitches == 1].max(initial=0))


def longest_same_strike_run(score: Score | Grid) -> int:
    """The most onsets in a row at which one pitched track strikes exactly the same pitches, be it one, an octave or a
    chord: what `longest_same_pitch_run` lets pass when the hammered note is doubled. 0 without pitched notes."""
    return int(_runs(on_grid(score, drums=False))[0].max(initial=0))


def hammered_share(score: Score | Grid, shortest_run: int = 16) -> float:
    """Share of pitched notes, 0..1, that belong to a run (see `longest_same_pitch_run`) of at least `shortest_run`
    onsets: two bars of eighths. A note doubled in unison counts once. nan without pitched notes."""
    grid = on_grid(score, drums=False)
    runs, pitches = _runs(grid)
    return float(runs[(pitches == 1) & (runs >= shortest_run)].sum() / len(grid)) if len(grid) else np.nan


def _returning(grid: Grid, unit: np.ndarray) -> float:
    """Share of units whose content was seen before; `unit` (N,) says to which unit each note belongs."""
    if not len(grid):
        return np.nan
    rows = np.unique(np.stack([unit, grid.track, grid.onset - grid.edges[grid.bar], grid.pitch]), axis=1)
    contents = [rows[1:, part].tobytes() for part in np.split(np.arange(rows.shape[1]), _changes(rows[0]))]
    return 1 - len(set(contents)) / len(contents)


def _runs(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Of every run of onsets at which a track strikes the same pitches: the number of onsets, and that of pitches."""
    if not len(grid):
        return np.zeros(0, int), np.zeros(0, int)
    cuts = _changes(grid.track, grid.onset)
    numbers: dict[bytes, int] = {}
    strikes = [np.unique(part) for part in np.split(grid.pitch, cuts)]
    strike = np.array([numbers.setdefault(part.tobytes(), len(numbers)) for part in strikes])
    edges = np.append(0, _changes(grid.track[np.append(0, cuts)], strike))
    return np.diff(np.append(edges, len(strike))), np.array([len(strikes[edge]) for edge in edges])


def _changes(*columns: np.ndarray) -> np.ndarray:
    """The indices at which any of the columns differs from the row before."""
    return np.flatnonzero(np.any([np.diff(column) != 0 for column in columns], axis=0)) + 1
