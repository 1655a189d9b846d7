"""Chords and sections found in hand-made pieces whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from orchestrion.music.chords import NO_CHORD, UNKNOWN, chord_of
from orchestrion.music.theory import DRUMS, Meter
from orchestrion.planning.harmony import chord_codes, found_share
from orchestrion.planning.sections import find_form
from orchestrion.representations.cells import BAR, PITCH, TRACK, Cells, bar_steps, sorted_notes

PIANO, BASS = 0, 33
COMMON = Meter(4, 4)
Row = tuple[int, int, int, int, int]  # bar, track, position, pitch, duration in steps


def piece(rows: Sequence[Row], bars: int, instruments: Sequence[int] = (PIANO,), meter: Meter = COMMON) -> Cells:
    notes = np.array([(*row, 10) for row in rows], np.int16).reshape(-1, 6)
    return Cells(sorted_notes(notes), tuple(instruments), (meter,) * bars, 120.0)


def halves(*chords: Sequence[int], meter: Meter = COMMON) -> Cells:
    """A chord a half bar, each held."""
    half = bar_steps(meter) // 2
    rows = [(i // 2, 0, i % 2 * half, pitch, half) for i, chord in enumerate(chords) for pitch in chord]
    return piece(rows, -(-len(chords) // 2), meter=meter)


def names(cells: Cells) -> list[str]:
    found = [chord_of(int(code)) for code in chord_codes(cells)[0]]
    return ["-" if chord is None else chord.name for chord in found]


C, AM, F, G = (48, 52, 55), (45, 48, 52), (41, 45, 48), (43, 47, 50)


def test_triads_by_half_bars_and_their_basses() -> None:
    cells = halves(C, AM, F, G, C, (52, 55, 60))
    assert names(cells) == ["C", "Am", "F", "G", "C", "C"]
    assert (chord_codes(cells)[1] - 1).tolist() == [0, 9, 5, 7, 0, 4]
    assert names(halves(C, AM, F, G, meter=Meter(3, 4))) == ["C", "Am", "F", "G"]


@pytest.mark.parametrize(
    ("pitches", "name"),
    [
        ((48, 52, 55, 58), "C7"), ((41, 45, 48, 52), "Fmaj7"), ((43, 48, 50), "Gsus4"), ((45, 48, 52, 55), "Am7"),
        ((47, 50, 53, 57), "Bm7b5"), ((48, 52, 56), "Caug"), ((47, 50, 53), "Bdim"),
    ],
)  # fmt: skip
def test_richer_chords(pitches: Sequence[int], name: str) -> None:
    assert names(halves(C, C, pitches, pitches, C, C)) == ["C", "C", name, name, "C", "C"]


def test_only_pitched_notes_count() -> None:
    strokes: list[Row] = [(bar, 0, position, 36, 3) for bar in range(3) for position in (0, 12, 24, 36)]
    codes, basses = chord_codes(piece(strokes, 3, (DRUMS,)))
    assert codes.tolist() == [NO_CHORD] * 6
    assert basses.tolist() == [0] * 6
    both = piece([*strokes, *((0, 1, 0, pitch, 144) for pitch in C)], 3, (DRUMS, PIANO))
    assert names(both) == ["C"] * 6


def test_a_chord_is_held_over_one_silent_half_bar_but_no_more() -> None:
    assert names(halves(C, (), G, G)) == ["C", "C", "G", "G"]
    assert names(halves(C, (), (), G)) == ["C", "-", "-", "G"]
    assert names(halves((), C, C, ())) == ["-", "C", "C", "-"]


def test_a_short_low_note_is_no_bass() -> None:
    rows: list[Row] = [(0, 0, 0, 36 + 7, 3), *((0, 0, 0, pitch, 24) for pitch in (60, 64, 67))]
    assert chord_codes(piece(rows, 1))[1][0] == 1


def test_codes_cover_every_bar_and_are_never_unknown() -> None:
    rng = np.random.default_rng(0)
    cells = random_piece(rng.integers(0, 3, 20), rng)
    codes, basses = chord_codes(cells)
    assert codes.shape == basses.shape == (40,)
    assert (codes != UNKNOWN).all()
    empty = piece([], 3)
    assert chord_codes(empty)[0].tolist() == [NO_CHORD] * 6


def test_an_octave_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    cells = random_piece(np.arange(16), rng)
    moved = cells.notes.copy()
    moved[:, PITCH] += 12
    higher = Cells(moved, cells.instruments, cells.meters, cells.tempo)
    assert (chord_codes(higher)[0] == chord_codes(cells)[0]).all()


def test_found_share_counts_half_bars_with_a_chord() -> None:
    cells = halves(C, AM, F, (43, 47, 50, 53))  # the last is a G7
    codes = chord_codes(cells)[0]
    assert found_share(codes, cells) == 1
    assert found_share(np.array([codes[0], UNKNOWN, codes[0], codes[3] - 48]), cells) == pytest.approx(
        2 / 3
    )  # G for G7
    assert np.isnan(found_share(np.zeros(4, int), cells))


def random_piece(kinds: np.ndarray, rng: np.random.Generator, fresh: float = 0.0) -> Cells:
    """Bars of two tracks; bars of one kind are equal, but for a share of them drawn anew."""
    drawn: dict[int, list[tuple[int, int, int]]] = {}
    rows: list[Row] = []
    for bar, kind in enumerate(kinds.tolist()):
        if kind not in drawn or rng.random() < fresh:
            drawn[kind] = [
                (track, position, int(rng.choice([0, 2, 4, 5, 7, 9, 11])) + (60 if track else 36))
                for track in (0, 1)
                for position in sorted(rng.choice(np.arange(0, 48, 6), 4 + track, replace=False).tolist())
            ]
        rows += [(bar, track, position, pitch, 6) for track, position, pitch in drawn[kind]]
    return piece(rows, len(kinds), (BASS, PIANO))


A, B = np.arange(8), np.arange(8, 16)


@pytest.mark.parametrize("seed", range(5))
def test_aaba(seed: int) -> None:
    form = find_form(random_piece(np.concatenate([A, A, B, A]), np.random.default_rng(seed)))
    assert form.starts.tolist() == [0, 8, 16, 24]
    assert form.letters.tolist() == [0, 0, 1, 0]
    assert form.source.tolist() == [-1] * 8 + [*range(8)] + [-1] * 8 + [*range(8)]
    assert form.variation.tolist() == [0, 0, 0, 0]


def test_variation_is_the_share_of_cells_that_differ() -> None:
    cells = random_piece(np.concatenate([A, A, B, A]), np.random.default_rng(0))
    notes = cells.notes.copy()
    notes[(notes[:, BAR] >= 30) & (notes[:, TRACK] == 1), PITCH] += 1  # two of the sixteen cells of the last section
    form = find_form(Cells(notes, cells.instruments, cells.meters, cells.tempo))
    assert form.letters.tolist() == [0, 0, 1, 0]
    assert form.variation.tolist() == [0, 0, 0, 2 / 16]


def test_a_longer_ending_has_no_source() -> None:
    kinds = np.concatenate([A, B, A, [20, 21], B])
    form = find_form(random_piece(kinds, np.random.default_rng(3)))
    assert form.starts.tolist()[:3] == [0, 8, 16]
    assert form.source[16:24].tolist() == [*range(8)]
    assert form.source[24:26].tolist() == [-1, -1]
    assert form.source[26:].tolist() == [*range(8, 16)]


def test_a_piece_without_repetition_still_has_sections() -> None:
    form = find_form(random_piece(np.arange(64), np.random.default_rng(0)))
    assert 4 <= len(form.starts) <= 20
    assert form.letters.tolist() == [*range(len(form.starts))]
    assert (form.source == -1).all()
    assert (form.variation == 0).all()


def test_short_silent_and_long_pieces() -> None:
    short = find_form(random_piece(np.arange(3), np.random.default_rng(0)))
    assert (short.starts.tolist(), short.letters.tolist(), short.source.tolist()) == ([0], [0], [-1] * 3)
    silent = find_form(piece([], 12))
    assert silent.starts[0] == 0
    assert silent.variation.shape == silent.letters.shape == silent.starts.shape
    nothing = find_form(piece([], 0))
    assert len(nothing.starts) == len(nothing.letters) == len(nothing.source) == len(nothing.variation) == 0


def test_a_long_piece_is_taken_in_blocks() -> None:
    kinds = np.tile(np.concatenate([A, A, B, A]), 20)  # 640 bars
    form = find_form(random_piece(kinds, np.random.default_rng(0)))
    assert (form.letters < 2).mean() > 0.9
    assert np.mean(np.isin(np.arange(0, 640, 8), form.starts)) > 0.9
    taken = form.source >= 0
    assert taken.mean() > 0.9
    assert (kinds[taken] == kinds[form.source[taken]]).all()


def test_a_track_without_notes_and_a_pickup_change_nothing() -> None:
    cells = random_piece(np.concatenate([A, A, B, A]), np.random.default_rng(0))
    more = Cells(cells.notes, (*cells.instruments, PIANO), cells.meters, cells.tempo)
    assert find_form(more).starts.tolist() == find_form(cells).starts.tolist()
    notes = cells.notes.copy()
    notes[:, BAR] += 1
    lead = np.array([[0, 1, 6, 67, 6, 10]], np.int16)
    pickup = Cells(np.concatenate([lead, notes]), cells.instruments, (Meter(1, 4), *cells.meters), cells.tempo)
    form = find_form(pickup)
    assert {9, 17, 25} <= set(form.starts.tolist())
    assert len(chord_codes(pickup)[0]) == 66
