"""What is known of the cells around music that is given: its chords, and who plays which role."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from orchestrion.chords import Chord, spread, transposed_basses, transposed_codes
from orchestrion.planning.arrays import ALL_TRACKS, COLUMN, HEADER, CellPlan
from orchestrion.planning.harmony import chord_codes
from orchestrion.planning.levels import roles
from orchestrion.representations.cells import BAR, TRACK, Cells
from orchestrion.theory import DRUMS


def plan_around(
    cells: Cells, hole: np.ndarray, shift: int, progression: tuple[Chord | None, ...] | None = None
) -> CellPlan:
    """The plan of a hole (M, K) in music: the chords that the notes around it have in each half bar, or those of the
    progression from the first bar of the hole on, and the roles of tracks that play elsewhere. All else stays open."""
    kept = cells.notes[~hole[cells.notes[:, BAR], cells.notes[:, TRACK]]]
    around = replace(cells, notes=kept)
    plan = CellPlan.open(cells.meters, len(cells.instruments))
    bars = len(cells.meters)
    codes, basses = chords_around(around)
    if progression is not None:
        first, last = np.flatnonzero(hole.any(1))[[0, -1]]
        asked = spread(progression, int(last - first) + 1)
        place = slice(2 * first, 2 * (last + 1))
        codes[place] = [1 if chord is None else chord.code for chord in asked]
        basses[place] = [0 if chord is None else chord.bass_code for chord in asked]
    codes, basses = transposed_codes(codes, shift).reshape(bars, 2), transposed_basses(basses, shift).reshape(bars, 2)
    following = np.append(codes[1:, 0], 0)
    known = plan.features
    per_bar = (codes[:, 0], basses[:, 0], codes[:, 1], basses[:, 1], following)
    names = ("chord", "bass", "second chord", "second bass", "next chord")
    for name, values in zip(names, per_bar, strict=True):
        known[..., COLUMN[name]] = values[:, None]
    known[:, np.asarray(cells.instruments) == DRUMS, COLUMN["chord"] : COLUMN["next chord"] + 1] = 0
    playing = np.unique(kept[:, TRACK])
    known[:, playing, COLUMN["role"]] = 1 + roles(around)[playing]
    plan.header[list(HEADER).index("scoring")] = ALL_TRACKS
    return plan


def chords_around(cells: Cells) -> tuple[np.ndarray, np.ndarray]:
    """(2M,) chord and bass codes, 0 in bars in which no pitched track sounds."""
    codes, basses = chord_codes(cells)
    silent = codes == 1
    return np.where(silent, 0, codes), np.where(silent, 0, basses)
