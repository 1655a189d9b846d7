"""Repetition: bars that return, and a single pitch struck over and over."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from symusic import Score

from orchestrion.metrics.definition import Metric
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


def longest_same_pitch_run(score: Score | Grid) -> float:
    """The most onsets in a row at which one pitched track strikes one and the same pitch and no other; rests do not
    break a run, a chord does. 1 where no pitch is struck twice in a row, 0 where none is struck alone; nan without
    pitched notes."""
    onsets, pitches = on_grid(score, drums=False).runs
    return float(onsets[pitches == 1].max(initial=0)) if len(onsets) else np.nan


def longest_same_strike_run(score: Score | Grid) -> float:
    """The most onsets in a row at which one pitched track strikes exactly the same pitches, be it one, an octave or a
    chord: what `longest_same_pitch_run` lets pass when the hammered note is doubled. nan without pitched notes."""
    onsets, _ = on_grid(score, drums=False).runs
    return float(onsets.max()) if len(onsets) else np.nan


def hammered_share(score: Score | Grid, shortest_run: int = 16) -> float:
    """Share of pitched notes, 0..1, that belong to a run (see `longest_same_pitch_run`) of at least `shortest_run`
    onsets: two bars of eighths. A note doubled in unison counts once. nan without pitched notes."""
    grid = on_grid(score, drums=False)
    onsets, pitches = grid.runs
    return float(onsets[(pitches == 1) & (onsets >= shortest_run)].sum() / len(grid)) if len(grid) else np.nan


def _returning(grid: Grid, unit: np.ndarray) -> float:
    """Share of units whose content was seen before; `unit` (N,) says to which unit each note belongs."""
    if not len(grid):
        return np.nan
    position = grid.onset - grid.edges[grid.bar]
    size = len(grid.instruments) * (steps := int(position.max()) + 1) * 128
    notes = np.sort(unit * size + (grid.track * steps + position) * 128 + grid.pitch)
    notes = notes[np.append(True, notes[1:] != notes[:-1])]  # a unison is one note
    unit, content = np.divmod(notes, size)
    cuts = [0, *(8 * (np.flatnonzero(unit[1:] != unit[:-1]) + 1)).tolist(), 8 * len(unit)]
    whole = content.tobytes()  # eight bytes a note, compared as they are: no two contents fall together
    return 1 - len({whole[a:b] for a, b in pairwise(cuts)}) / (len(cuts) - 1)


METRICS = (
    Metric(
        "bar-repetition",
        "repeated bars",
        "The share of bars that return note for note; high means loops, 0 that no bar ever comes back.",
        "1 - #{different bars} / #{bars with an onset}; bars are equal where the same tracks strike the same pitches "
        "at the same steps of 1/12 quarter",
        "share",
        "Orchestrion",
        function=bar_repetition,
        high=1,
    ),
    Metric(
        "cell-repetition",
        "repeated bars of a track",
        "The share of a player's bars that return note for note; high means riffs and patterns.",
        "1 - #{different (track, bar)} / #{(track, bar) with an onset}; compared as repeated bars are, within a track",
        "share",
        "Orchestrion",
        function=cell_repetition,
        high=1,
    ),
    Metric(
        "longest-same-pitch-run",
        "longest run of one pitch",
        "How often in a row a player strikes one and the same key; dozens mean that the music is stuck.",
        "the most onsets in a row at which a pitched track strikes one and the same pitch alone",
        "onsets",
        "Orchestrion",
        function=longest_same_pitch_run,
        undefined="no pitched notes",
    ),
    Metric(
        "longest-same-strike-run",
        "longest run of one chord",
        "How often in a row a player strikes the same note or chord; dozens mean that the music is stuck.",
        "the most onsets in a row at which a pitched track strikes the same set of pitches",
        "onsets",
        "Orchestrion",
        function=longest_same_strike_run,
        low=1,
        undefined="no pitched notes",
    ),
    Metric(
        "hammered-share",
        "hammered notes",
        "The share of notes that lie in a run of sixteen or more on one key; above a few percent it sounds stuck.",
        "notes in runs of at least 16 onsets at which a pitched track strikes one pitch alone / notes, drums apart",
        "share",
        "Orchestrion",
        function=hammered_share,
        high=1,
        undefined="no pitched notes",
        style=True,
    ),
)
