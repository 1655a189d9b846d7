"""What the writer lets through holds what was asked, whatever is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import little_song
from orchestrion.models.sampling import draw
from orchestrion.music.theory import COMMON_METERS, DRUMS, Key, Meter
from orchestrion.representations.cells import BAR, DURATION, POSITION, TRACK, Cells, bar_starts, decode, encode
from orchestrion.representations.steps import END, rows_and_targets, shift_to_common_key
from orchestrion.representations.writer import MAX_CHORD_STRIKES, MAX_REST_BARS, MAX_STRIKES, CellWriter


def write_blindly(writer: CellWriter, rng: np.random.Generator, end_probability: float) -> Cells:
    """Fill the hole with legal fields drawn evenly, ends with a given probability where they are legal."""
    while not writer.done:
        legal = writer.positions()
        if legal[END] and (rng.random() < end_probability or legal.sum() == 1):
            writer.close()
            continue
        legal[END] = False
        position = int(rng.choice(np.flatnonzero(legal)))
        code = int(rng.choice(np.flatnonzero(writer.pitches(position))))
        duration = int(rng.choice(np.flatnonzero(writer.durations(position))))
        writer.write(position, code, duration, int(rng.integers(16)), 0)
    return writer.cells()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    bars=st.integers(1, 9),
    meter=st.sampled_from(COMMON_METERS),
    instruments=st.lists(st.sampled_from([0, 33, 40, 73, DRUMS]), min_size=1, max_size=4),
    key=st.one_of(st.none(), st.builds(Key, st.integers(0, 11), st.sampled_from(["major", "minor"]))),
    end_probability=st.sampled_from([0.05, 0.5, 0.95]),
)
def test_controls_hold_by_construction(
    seed: int, bars: int, meter: Meter, instruments: list[int], key: Key | None, end_probability: float
) -> None:
    nothing = Cells(np.zeros((0, 6), np.int16), tuple(instruments), (meter,) * bars, 100.0)
    shift = shift_to_common_key(key) if key else 0
    writer = CellWriter(nothing, np.ones((bars, len(instruments)), bool), key=key, shift=shift)
    cells = write_blindly(writer, np.random.default_rng(seed), end_probability)
    again = encode(decode(cells))
    assert again.meters == (meter,) * bars  # the number of bars, counted from the notes alone
    assert sorted(again.instruments) == sorted(instruments)
    if key is not None:
        pitched = np.array([program != DRUMS for program in cells.instruments])[cells.notes[:, TRACK]]
        last = cells.notes[:, BAR] == bars - 1
        assert set(cells.notes[pitched, 3] % 12) <= key.pitch_classes
        assert set(cells.notes[pitched & last, 3] % 12) <= key.triad
    cells_play = np.zeros((bars, len(instruments)), bool)
    cells_play[cells.notes[:, BAR], cells.notes[:, TRACK]] = True
    limit = min(max(bars // 4, 1), MAX_REST_BARS)
    assert cells_play[: limit // 2 + 1].any(0).all()
    assert all(cells_play[bar : bar + limit + 1].any(0).all() for bar in range(bars - limit))
    plays = np.bincount(cells.notes[:, BAR], minlength=bars) > 0
    assert plays[0]
    assert (plays[1:] | plays[:-1]).all()  # no two empty bars in a row


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), density=st.sampled_from([0.1, 0.5, 0.9]))
def test_given_cells_stay_note_for_note(seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    cells = encode(little_song(seed % 50, bars=5))
    hole = rng.random((5, 3)) < density
    hole[2, 1] = True
    result = write_blindly(CellWriter(cells, hole, key=None, shift=0), rng, 0.3)

    def outside(notes: np.ndarray) -> list[list[int]]:
        return notes[~hole[notes[:, BAR], notes[:, TRACK]]].tolist()

    assert outside(result.notes) == outside(cells.notes)


def test_a_context_shows_given_and_written_cells_alone() -> None:
    cells = encode(little_song(5, bars=6))
    hole = np.zeros((6, 3), bool)
    hole[2:4] = True
    writer = CellWriter(cells, hole, key=None, shift=0)
    rng = np.random.default_rng(0)
    for _ in range(3):  # the three cells of bar 3
        while True:
            position = int(rng.choice(np.flatnonzero(writer.positions()[:END])))
            writer.write(position, int(np.flatnonzero(writer.pitches(position))[0]), 3, 8, 0)
            if writer.positions()[END]:
                writer.close()
                break
    first, rows, _ = writer.context(10_000)
    shown = writer.cells()
    written = np.zeros_like(hole)
    written[2] = True
    expected, _ = rows_and_targets(shown, ~hole, written, 0)
    assert first == 0
    np.testing.assert_array_equal(rows, expected)
    _, few, _ = writer.context(40)
    assert 0 < len(few) <= 40


def test_no_pitch_is_hammered() -> None:
    nothing = Cells(np.zeros((0, 6), np.int16), (0,), (Meter(4, 4),) * 4, 100.0)
    writer = CellWriter(nothing, np.ones((4, 1), bool), key=None, shift=0)
    while not writer.done:
        free = np.flatnonzero(writer.positions()[:END])
        free = free[free > writer._position] if writer._count else free
        if len(free):
            legal = writer.pitches(int(free[0]))
            writer.write(int(free[0]), 60 if legal[60] else int(np.flatnonzero(legal)[0]), 0, 8, 0)
        else:
            writer.close()
    pitches = writer.cells().notes[:, 3].tolist()
    assert pitches == ([60] * MAX_STRIKES + [24]) * (len(pitches) // (MAX_STRIKES + 1)) + [60] * (
        len(pitches) % (MAX_STRIKES + 1)
    )


def test_no_chord_is_hammered() -> None:
    nothing = Cells(np.zeros((0, 6), np.int16), (0,), (Meter(4, 4),) * 4, 100.0)
    writer = CellWriter(nothing, np.ones((4, 1), bool), key=None, shift=0)
    while not writer.done:
        for position in range(0, 48, 3):
            first = 60 if writer.pitches(position)[60] else 59
            for code in (first, 64):
                writer.write(position, code, 0, 8, 0)
        writer.close()
    lowest = [pitch for pitch in writer.cells().notes[:, 3].tolist() if pitch != 64]
    assert lowest == ([60] * MAX_CHORD_STRIKES + [59]) + [60] * (64 - MAX_CHORD_STRIKES - 1)


def test_a_track_that_rests_around_the_hole_may_rest_in_it() -> None:
    cells = encode(little_song(5, bars=12))
    cells = Cells(
        cells.notes[(cells.notes[:, TRACK] != 1) | (cells.notes[:, BAR] > 10)], *list(vars(cells).values())[1:]
    )
    hole = np.zeros((12, 3), bool)
    hole[4:6] = True
    writer = CellWriter(cells, hole, key=None, shift=0)
    while not writer.done:
        if writer.positions()[END]:
            writer.close()
        else:
            writer.write(0, int(np.flatnonzero(writer.pitches(0))[0]), 3, 8, 0)
    written = writer.cells().notes
    written = written[(written[:, BAR] >= 4) & (written[:, BAR] < 6)]
    assert set(written[:, TRACK]) == {0, 2}


def test_nothing_reaches_beyond_the_last_bar() -> None:
    nothing = Cells(np.zeros((0, 6), np.int16), (0,), (Meter(4, 4),) * 2, 100.0)
    writer = CellWriter(nothing, np.ones((2, 1), bool), key=None, shift=0)
    assert writer.durations(40).sum() == 56
    writer.write(40, 60, 55, 8, 0)
    writer.close()
    assert not writer.pitches(0)[60]  # it sounds on
    assert writer.positions()[END] == np.False_  # and the last bar has to start something
    starts = bar_starts(nothing.meters)
    notes = writer.cells().notes
    assert (starts[notes[:, BAR]] + notes[:, POSITION] + notes[:, DURATION]).max() == 96


@pytest.mark.parametrize("top_p", [0.2, 0.7, 1.0])
def test_draw_follows_the_legal_part_of_the_distribution(top_p: float) -> None:
    logits = np.log(np.array([[0.4, 0.3, 0.2, 0.1]])).repeat(4000, 0)
    legal = np.array([[False, True, True, True]]).repeat(4000, 0)
    drawn = draw(logits, legal, np.random.default_rng(0).random(4000), top_p=top_p)
    share = np.bincount(drawn, minlength=4) / 4000
    expected = {0.2: [0, 1, 0, 0], 0.7: [0, 0.6, 0.4, 0], 1.0: [0, 0.5, 1 / 3, 1 / 6]}[top_p]
    np.testing.assert_allclose(share, expected, atol=0.03)


def test_draw_refuses_a_row_without_a_choice_and_takes_the_best_at_zero() -> None:
    logits = np.array([[0.0, 3.0, 2.0]])
    assert draw(logits, np.array([[True, False, True]]), np.zeros(1), temperature=0).tolist() == [2]
    with pytest.raises(ValueError, match="no legal value"):
        draw(logits, np.zeros((1, 3), bool), np.zeros(1))
