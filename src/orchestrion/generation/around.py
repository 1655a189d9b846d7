"""What is known of the cells around music that is given: its chords, who plays which role, and what words say of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from orchestrion.music.chords import NO_CHORD, UNKNOWN, Chord, spread
from orchestrion.music.theory import Key
from orchestrion.planning.arrays import COLUMN, CellPlan, tell_chords
from orchestrion.planning.cell_plan import header_of
from orchestrion.planning.harmony import chord_codes, found_share
from orchestrion.planning.levels import roles
from orchestrion.representations.cells import BAR, TRACK, Cells
from orchestrion.representations.steps import shift_to_common_key
from orchestrion.text.controls import Reading


def asked_chords(reading: Reading, hole: np.ndarray, key: Key) -> list[Chord | None]:
    """The chords that are asked for, two a bar of the music, None outside of the hole and where none is asked."""
    wanted: list[Chord | None] = [None] * (2 * len(hole))
    if reading.progression is not None:
        first, last = np.flatnonzero(hole.any(1))[[0, -1]]
        wanted[2 * first : 2 * (last + 1)] = spread(reading.progression.in_key(key), int(last - first) + 1)
    return wanted


def chords_kept(reading: Reading, hole: np.ndarray, key: Key, cells: Cells) -> dict[str, float | None]:
    """Of the finished music, the share of the half bars with an asked chord in which it is found; {} where none is."""
    if reading.progression is None:
        return {}
    asked = asked_chords(reading, hole, key)
    share = found_share(np.array([NO_CHORD if chord is None else chord.code for chord in asked]), cells)
    return {"chords found": None if np.isnan(share) else round(share, 4)}


def plan_around(cells: Cells, hole: np.ndarray, key: Key, reading: Reading) -> CellPlan:
    """The plan of a hole (M, K) in music: the chords that the notes around it have in each half bar, or those that are
    asked for from the first bar of the hole on; the roles of tracks that play elsewhere; style, mood and feel as words
    say. All else stays open."""
    kept = cells.notes[~hole[cells.notes[:, BAR], cells.notes[:, TRACK]]]
    around = replace(cells, notes=kept)
    codes, basses = chord_codes(around)
    silent = codes == NO_CHORD
    codes, basses = np.where(silent, UNKNOWN, codes), np.where(silent, 0, basses)
    if reading.progression is not None:
        first, last = np.flatnonzero(hole.any(1))[[0, -1]]
        place = slice(2 * first, 2 * (last + 1))
        asked = asked_chords(reading, hole, key)[place]
        codes[place] = [NO_CHORD if chord is None else chord.code for chord in asked]
        basses[place] = [0 if chord is None else chord.bass_code for chord in asked]
    open_plan = CellPlan.open(cells.meters, len(cells.instruments))
    bars = np.arange(len(cells.meters))
    shift = shift_to_common_key(key)
    tell_chords(open_plan.features, codes.reshape(-1, 2), basses.reshape(-1, 2), bars, cells.instruments, shift)
    playing = np.unique(kept[:, TRACK])
    open_plan.features[:, playing, COLUMN["role"]] = 1 + roles(around)[playing]
    header = header_of(reading.style, reading.mood, reading.feel)
    return replace(open_plan, header=header, swing=reading.feel == "swing")
