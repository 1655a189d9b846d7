"""Rhythm: the length of notes and whether neighbouring bars share their rhythm."""

from __future__ import annotations

import numpy as np
from symusic import Score

from orchestrion.metrics.grid import STEPS_PER_QUARTER, Grid, on_grid


def qualified_note_rate(score: Score | Grid, shortest_steps: int = STEPS_PER_QUARTER // 4) -> float:
    """Share of pitched notes, 0..1, that last at least `shortest_steps` steps of 1/12 quarter; 3 is a sixteenth.

    Onset and end are rounded to the grid first: that is the tolerance for MIDI's shortened note-offs, and a sixteenth
    held for 5/6 of its length qualifies. A note across a bar line is one note, and repeated notes do not merge, unlike
    in a piano roll (MuseGAN's QN, Dong et al. 2018; there at least a 32nd by the paper, 1/12 quarter by its code).
    Percussion has no length and does not count; nan without pitched notes.
    """
    grid = on_grid(score, drums=False)
    return float((grid.end - grid.onset >= shortest_steps).mean()) if len(grid) else np.nan


def groove_consistency(score: Score | Grid) -> float:
    """1 - mean share of positions, 0..1, at which one of two neighbouring bars has an onset and the other has none.

    Onsets are of all tracks, drums included; the positions are the steps of 1/12 quarter in the bar (48 in 4/4). Pairs
    count where both bars are equally long and at least one has an onset, so that silence keeps no groove; nan without
    such a pair. After MusPy (Dong et al. 2020), less the empty bar it adds to music that ends on a bar line. Few
    positions hold onsets, so even unlike bars reach 0.7: read it against real music, not against 1.
    """
    grid = on_grid(score)
    length = np.diff(grid.edges)
    if len(length) < 2:
        return np.nan
    width = int(length.max()) + 1  # one more: an onset may round to the end of the last bar
    onsets = np.unique(grid.bar * width + grid.onset - grid.edges[grid.bar])
    count = np.bincount(onsets // width, minlength=len(length))
    shared = np.bincount(onsets[np.isin(onsets + width, onsets)] // width, minlength=len(length))[:-1]
    compared = (length[:-1] == length[1:]) & (count[:-1] + count[1:] > 0)
    differing = count[:-1] + count[1:] - 2 * shared
    return float(1 - np.mean(differing[compared] / length[:-1][compared])) if compared.any() else np.nan


def mean_velocity(score: Score | Grid) -> float:
    """Mean MIDI velocity of all notes, 1..127; nan without notes."""
    velocity = on_grid(score).velocity
    return float(velocity.mean()) if len(velocity) else np.nan
