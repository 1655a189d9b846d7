"""How full the bars are. Bars reach from tick 0 to the end of the last note; drums count as any other track.

A bar of a track is empty where none of its notes sounds (MuseGAN's EB, Dong et al. 2018; some later implementations
report the share of bars that are *not* empty). A note sounds in a bar that it reaches by at least half of 1/12 quarter.
"""

from __future__ import annotations

import numpy as np
from symusic import Score

from orchestrion.metrics.definition import Metric
from orchestrion.metrics.grid import Grid, on_grid


def empty_bar_rate(score: Score | Grid) -> float:
    """Share of bars, 0..1, in which no track sounds; nan without notes."""
    cells = on_grid(score).cells
    return float(1 - cells.any(axis=0).mean()) if cells.size else np.nan


def empty_bar_rate_by_track(score: Score | Grid) -> np.ndarray:
    """(K,) share of bars, 0..1, in which each of the K tracks that have notes is silent; in the order of the tracks."""
    cells = on_grid(score).cells
    return 1 - cells.mean(axis=1) if cells.size else np.zeros(0)


def empty_cell_rate(score: Score | Grid) -> float:
    """Mean over tracks of `empty_bar_rate_by_track`, 0..1; nan without notes."""
    by_track = empty_bar_rate_by_track(score)
    return float(by_track.mean()) if by_track.size else np.nan


def longest_empty_run(score: Score | Grid) -> float:
    """Length in bars of the longest run of neighbouring bars in which no track sounds, 0 where there is none; nan
    without notes."""
    cells = on_grid(score).cells
    marks = np.flatnonzero(np.concatenate([[True], cells.any(axis=0), [True]]))
    return float(np.diff(marks).max() - 1) if cells.size else np.nan


def empty_beat_rate(score: Score | Grid) -> float:
    """Share of beats, 0..1, in which no track sounds; nan without notes.

    A beat is a quarter note, whatever the meter, counted from tick 0 up to the one in which the last note ends; a note
    sounds in a beat as it does in a bar. (MusPy 0.5.0 lets a note that ends on a beat sound in the beat it does not
    reach, and counts one beat more where the music ends on one; pypianoroll 1.0.4 reports the beats that sound.)
    """
    grid = on_grid(score)
    if not len(grid):
        return np.nan
    start, stop = grid.stretches
    beat = grid.steps_per_quarter
    return 1 - _marked(start // beat, (stop - 1) // beat) / -(-grid.steps // beat)


def empty_beat_rate_muspy(score: Score | Grid) -> float:
    """`empty_beat_rate` as MusPy 0.5.0 computes it, at steps_per_quarter as its resolution; nan without notes."""
    grid = on_grid(score)
    return _empty_rate_muspy(grid, grid.steps_per_quarter)


def empty_bar_rate_muspy(score: Score | Grid) -> float:
    """`empty_bar_rate` as MusPy 0.5.0 computes it (empty_measure_rate), with the two faults that `empty_beat_rate`
    names; nan without notes and where not all bars have one length."""
    grid = on_grid(score)
    return _empty_rate_muspy(grid, bar_length(grid))


def rest_rate(score: Score | Grid) -> float:
    """Share of the steps from tick 0 to the end of the last note of any track, 0..1, at which no pitched track sounds;
    nan without pitched notes. A stroke of the drums fills no rest."""
    grid = on_grid(score)
    return 1 - grid.pitched.steps_with(1) / grid.steps if len(grid.pitched) else np.nan


def notes_a_bar(score: Score | Grid) -> float:
    """Onsets of all tracks over bars; nan without notes."""
    grid = on_grid(score)
    return len(grid) / grid.bars if len(grid) else np.nan


def notes_a_bar_a_track(score: Score | Grid) -> float:
    """Onsets over cells (one bar of one track) that are not empty, so that rests do not thin it; nan without notes."""
    grid = on_grid(score)
    return float(len(grid) / grid.cells.sum()) if len(grid) else np.nan


def notes_a_quarter(score: Score | Grid) -> float:
    """Onsets of all tracks over quarter notes, from tick 0 to the end of the last note; nan without notes."""
    grid = on_grid(score)
    return len(grid) * grid.steps_per_quarter / grid.steps if len(grid) else np.nan


def notes_a_second(score: Score | Grid) -> float:
    """Onsets of all tracks over seconds, from tick 0 to the end of the last note as written, by the tempo marks; nan
    without notes and where that is no time."""
    grid = on_grid(score)
    return len(grid) / grid.length_seconds if grid.length_seconds > 0 else np.nan


def bar_length(grid: Grid) -> int:
    """Steps in a bar where all bars have one length; 0 where they have not, and without bars."""
    lengths = np.diff(grid.edges)
    return int(lengths[0]) if len(lengths) and (lengths == lengths[0]).all() else 0


def _empty_rate_muspy(grid: Grid, length: int) -> float:
    """Share of units of `length` steps in which nothing sounds, a stop on the line reaching over it."""
    if not (len(grid) and length):
        return np.nan
    start, stop = grid.stretches
    return 1 - _marked(start // length, stop // length) / (grid.steps // length + 1)


def _marked(first: np.ndarray, last: np.ndarray) -> int:
    """How many units the stretches from first to last, both included and both in order, take up together."""
    fresh = np.append(first[:1], np.maximum(first[1:], last[:-1] + 1))
    return int((last + 1 - fresh).sum())


METRICS = (
    Metric(
        "empty-bar-rate",
        "empty bars",
        "The share of bars in which nobody plays; high means that the music stops again and again.",
        "bars in which no note of any track sounds / bars from the beginning to the end of the last note",
        "share",
        "MuseGAN (Dong et al. 2018), over all tracks at once",
        function=empty_bar_rate,
        high=1,
        style=True,
    ),
    Metric(
        "empty-bar-rate:muspy-0.5.0",
        "empty bars, as MusPy 0.5.0 counts",
        "Explains tables made with MusPy: a note held up to a bar line counts in the next bar, and the end adds a bar.",
        "1 - #{bars from onset // b to end // b, both included} / (length // b + 1), b steps a bar",
        "share",
        "MusPy 0.5.0, empty_measure_rate",
        function=empty_bar_rate_muspy,
        high=1,
        undefined="no notes, or bars of different lengths",
    ),
    Metric(
        "empty-cell-rate",
        "resting tracks",
        "The share of bars that a track sits out, on average; high means that few play at a time.",
        "mean over the tracks that have notes of: bars in which the track is silent / bars",
        "share",
        "MuseGAN's EB (Dong et al. 2018), mean over tracks",
        function=empty_cell_rate,
        high=1,
        style=True,
    ),
    Metric(
        "longest-empty-run",
        "longest silence",
        "How many bars the longest silence of all lasts; high means a hole in the music.",
        "the most neighbouring bars in which no note of any track sounds",
        "bars",
        "Orchestrion",
        function=longest_empty_run,
    ),
    Metric(
        "empty-beat-rate",
        "empty beats",
        "The share of quarter-note beats in which nobody plays; high means music full of pauses.",
        "quarters in which no note of any track sounds / quarters from the beginning to the one in which the last ends",
        "share",
        "MusPy (Dong et al. 2020), its two off-by-one faults mended",
        function=empty_beat_rate,
        high=1,
        style=True,
    ),
    Metric(
        "empty-beat-rate:muspy-0.5.0",
        "empty beats, as MusPy 0.5.0 counts",
        "Explains tables made with MusPy: a note held up to a beat counts in the next one, and the end adds a beat.",
        "1 - #{beats from onset // 12 to end // 12, both included} / (length // 12 + 1), in steps of 1/12 quarter",
        "share",
        "MusPy 0.5.0, empty_beat_rate",
        function=empty_beat_rate_muspy,
        high=1,
    ),
    Metric(
        "rest-rate",
        "rests",
        "The share of time in which no pitched instrument sounds; high means airy or clipped playing.",
        "steps of 1/12 quarter at which no pitched note sounds / steps from the beginning to the end of the last note",
        "share",
        "Orchestrion",
        function=rest_rate,
        high=1,
        undefined="no pitched notes",
        style=True,
    ),
    Metric(
        "notes-a-bar",
        "notes a bar",
        "How many notes all players together strike in a bar; high means busy music.",
        "notes / bars",
        "notes",
        "Orchestrion",
        function=notes_a_bar,
        style=True,
    ),
    Metric(
        "notes-a-bar-a-track",
        "notes a bar and track",
        "How many notes a player strikes in a bar in which it plays; high means busy parts.",
        "notes / #{(track, bar) in which the track sounds}",
        "notes",
        "Orchestrion",
        function=notes_a_bar_a_track,
        style=True,
    ),
    Metric(
        "notes-a-quarter",
        "note density, a quarter",
        "How many notes all players together strike in a quarter note; high means busy music, whatever the meter.",
        "notes / quarter notes from the beginning to the end of the last note",
        "notes",
        "Orchestrion",
        function=notes_a_quarter,
        style=True,
    ),
    Metric(
        "notes-a-second",
        "note density, a second",
        "How many notes all players together strike in a second; high means that a lot happens at the tempo it has.",
        "notes / seconds from the beginning to the end of the last note as written, by the tempo marks",
        "notes",
        "Orchestrion",
        function=notes_a_second,
        undefined="no notes, or none that lasts",
        style=True,
    ),
)
