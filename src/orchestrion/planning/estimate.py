"""The plan of music that is there, estimated from its notes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import groupby

import numpy as np
from symusic import Score

from orchestrion.music.analysis import estimate_key, note_columns, swings
from orchestrion.music.bars import bars
from orchestrion.music.chords import Chord, chord_of
from orchestrion.music.pedal import apply_sustain
from orchestrion.music.theory import Meter
from orchestrion.planning.harmony import chord_codes
from orchestrion.planning.levels import OPEN, cell_levels, roles, section_levels
from orchestrion.planning.plan import (
    HIGHEST_TEMPO,
    LOWEST_TEMPO,
    MAX_BARS,
    ROLES,
    Levels,
    Part,
    Plan,
    PlanError,
    Section,
)
from orchestrion.planning.sections import Form, find_form
from orchestrion.representations.cells import BAR, Cells, encode

LAST_LETTER = 25  # Z
_IN_QUARTERS = (Meter(4, 4), Meter(3, 4), Meter(2, 4))  # meters whose beats may be halved or swung
#: All fields, as they are given by the music.
ORIGINS = dict.fromkeys(("bars", "meter", "tempo", "key", "feel", "sections", "chords", "parts", "levels"), "given")


def estimate_plan(score: Score) -> Plan:
    """The plan of any music of up to MAX_BARS bars; chords, form and levels by `planning.arrays.analyzed`'s functions.

    Sections have no names; style and mood stay open. Material beyond the letter Z counts as Z that is written anew. A
    tempo that no plan may have becomes the nearest that one may. Raises PlanError for longer music, CellsError for what
    no grid of cells can hold."""
    sounding = apply_sustain(score)
    cells = _within(encode(sounding), len(bars(sounding)))
    if len(cells.meters) > MAX_BARS:
        longer = f"the music has {len(cells.meters)} bars, a plan at most {MAX_BARS}"
        raise PlanError(f"{longer}; choose some of them, such as --bars 1-{MAX_BARS}")
    form = find_form(cells)
    return Plan(
        meters=tuple((meter, len(list(run))) for meter, run in groupby(cells.meters)),
        tempo=float(np.clip(cells.tempo, LOWEST_TEMPO, HIGHEST_TEMPO)),
        key=estimate_key(sounding)[0],
        sections=_sections(form, len(cells.meters)),
        parts=_parts(cells, form),
        chords=_chords(cells),
        feel=_feel(score, cells),
        origins=ORIGINS,
    )


def _within(cells: Cells, bars: int) -> Cells:
    """The cells without the one bar that rounding to the grid may add behind the last that a plan can have."""
    if not bars == MAX_BARS == len(cells.meters) - 1:
        return cells
    return replace(cells, notes=cells.notes[cells.notes[:, BAR] < bars], meters=cells.meters[:bars])


def _sections(form: Form, bars: int) -> tuple[Section, ...]:
    lengths = np.diff(form.starts, append=bars)
    return tuple(
        Section(chr(ord("A") + min(letter, LAST_LETTER)), length, "", variation if letter <= LAST_LETTER else 1.0)
        for letter, length, variation in zip(
            form.letters.tolist(), lengths.tolist(), form.variation.tolist(), strict=True
        )
    )


def _parts(cells: Cells, form: Form) -> tuple[Part, ...]:
    found = section_levels(cell_levels(cells), form.starts)  # (S, K, 6)
    return tuple(
        Part(instrument, ROLES[role], tuple(map(_levels, found[:, track].tolist())))
        for track, (instrument, role) in enumerate(zip(cells.instruments, roles(cells).tolist(), strict=True))
    )


def _levels(found: list[int]) -> Levels | None:
    """None where the part is silent: every level but those without a meaning is there where it plays."""
    values = [None if level == OPEN else level for level in found]
    return Levels(*values) if any(value is not None for value in values) else None


def _chords(cells: Cells) -> tuple[Chord | None, ...]:
    codes, basses = chord_codes(cells)
    return tuple(chord_of(code, bass) for code, bass in zip(codes.tolist(), basses.tolist(), strict=True))


def _feel(score: Score, cells: Cells) -> str:
    """ "swing" where it is heard, "straight" in other music whose beats are quarter notes, else open."""
    if swings(score.tpq, note_columns(score)["time"]):
        return "swing"
    return "straight" if Counter(cells.meters).most_common(1)[0][0] in _IN_QUARTERS else ""
