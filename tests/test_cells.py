"""Score -> cells -> Score, and the rows that the composer reads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import Note, Score, TimeSignature, Track

from conftest import little_song
from orchestrion.music.theory import DRUMS, Key, Meter
from orchestrion.representations.cells import (
    BAR,
    DRUM_DURATION,
    DURATION,
    PITCH,
    POSITION,
    TRACK,
    CellsError,
    bar_steps,
    decode,
    encode,
    encode_tracks,
)
from orchestrion.representations.steps import (
    END,
    GIVEN,
    INSTRUMENT,
    KIND,
    OPENING,
    SLOT,
    TIME,
    pitch_code,
    rows_and_targets,
    shift_to_common_key,
)


@st.composite
def grid_scores(draw: st.DrawFn) -> Score:
    """Scores on the grid of cells, with changes of meter, repeated instruments, drums and long notes."""
    score = Score(480)
    meters = draw(st.lists(st.sampled_from([(4, 4), (3, 4), (6, 8), (2, 4), (7, 8), (5, 4)]), min_size=1, max_size=4))
    tick = 0
    for meter in meters:
        score.time_signatures.append(TimeSignature(tick, *meter))
        tick += 1920 * meter[0] // meter[1] * draw(st.integers(1, 2))
    for index in range(draw(st.integers(1, 4))):
        drums = draw(st.booleans())
        track = Track(f"track {index}", 0 if drums else draw(st.sampled_from([0, 0, 33, 48])), drums)
        for onset, pitch, duration, level in draw(
            st.lists(
                st.tuples(st.integers(0, tick // 40), st.integers(0, 127), st.integers(1, 192), st.integers(0, 15)),
                min_size=1,
                max_size=12,
            )
        ):
            track.notes.append(Note(onset * 40, duration * 40, pitch, level * 8 + 4))
        score.tracks.append(track)
    return score


@settings(max_examples=60, deadline=None)
@given(grid_scores())
def test_round_trip_is_exact_on_the_grid(score: Score) -> None:
    cells = encode(score)
    again = encode(decode(cells))
    np.testing.assert_array_equal(again.notes, cells.notes)
    assert (again.instruments, again.meters, again.tempo) == (cells.instruments, cells.meters, cells.tempo)


def test_a_note_lands_in_its_bar_and_keeps_its_length() -> None:
    score = little_song(0, bars=2, meter=(3, 4))
    cells, tracks = encode_tracks(score)
    assert cells.instruments == (DRUMS, 33, 0)
    assert tracks == (2, 1, 0)
    assert cells.meters == (Meter(3, 4),) * 2
    drums = cells.notes[cells.notes[:, TRACK] == 0]
    assert drums[:, POSITION].tolist() == [0, 6, 12, 18, 24, 30] * 2
    assert set(drums[:, DURATION]) == {DRUM_DURATION}
    assert set(cells.notes[cells.notes[:, TRACK] == 1][:, DURATION]) == {12}


def test_times_are_rounded_absolutely() -> None:
    score = Score(100)  # twelve steps of 8.33 ticks: differences rounded one by one would drift
    track = Track("", 0)
    for index in range(96):
        track.notes.append(Note(round(index * 100 / 3), 20, 60, 64))
    score.tracks.append(track)
    cells = encode(score)
    steps = cells.notes[:, BAR].astype(int) * 48 + cells.notes[:, POSITION]
    assert steps.tolist() == list(range(0, 96 * 4, 4))


def test_overlapping_notes_of_one_pitch_are_cut() -> None:
    score = Score(480)
    track = Track("", 0)
    track.notes.extend([Note(0, 1920, 60, 64), Note(480, 480, 60, 64), Note(480, 240, 60, 64), Note(0, 1920, 64, 64)])
    score.tracks.append(track)
    assert encode(score).notes[:, [POSITION, PITCH, DURATION]].tolist() == [[0, 60, 12], [0, 64, 48], [12, 60, 12]]


@pytest.mark.parametrize(("meter", "words"), [((20, 4), "longer than 8"), ((5, 64), "grid")])
def test_meters_off_the_grid_are_named(meter: tuple[int, int], words: str) -> None:
    with pytest.raises(CellsError, match=words):
        bar_steps(Meter(*meter))


def test_no_notes_is_an_error() -> None:
    with pytest.raises(CellsError, match="no notes"):
        encode(Score(480))


def test_rows_put_given_cells_first_and_learn_only_the_rest() -> None:
    cells = encode(little_song(3, bars=3))
    hole = np.ones((3, 3), bool)
    hole[:, 1] = False  # the bass is given
    rows, targets = rows_and_targets(cells, ~hole, hole, shift=0)
    assert len(rows) == len(cells.notes) + 9
    assert rows[:, GIVEN].tolist() == sorted(rows[:, GIVEN], reverse=True)
    openings = rows[rows[:, KIND] == OPENING]
    assert openings[:, INSTRUMENT].tolist() == [33, 33, 33, DRUMS, 0, DRUMS, 0, DRUMS, 0]
    assert openings[:, TIME].tolist() == [0, 48, 96, 0, 0, 48, 48, 96, 96]
    assert (targets[rows[:, GIVEN] == 1] == -1).all()
    assert (targets[:, 0] == END).sum() == 6  # one for each composed cell
    learned = targets[targets[:, 1] >= 0]
    assert len(learned) == (cells.notes[:, TRACK] != 1).sum()


def test_two_tracks_of_one_instrument_have_different_slots() -> None:
    score = little_song(3)
    score.tracks.append(score.tracks[0].copy())
    cells = encode(score)
    hole = np.ones((len(cells.meters), 4), bool)
    rows, _ = rows_and_targets(cells, ~hole, hole, shift=0)
    assert set(rows[rows[:, INSTRUMENT] == 0][:, SLOT]) == {0, 1}


@given(st.integers(0, 11), st.sampled_from(["major", "minor"]))
def test_shift_brings_the_tonic_to_c_or_a(tonic: int, mode: str) -> None:
    shift = shift_to_common_key(Key(tonic, mode))
    assert -5 <= shift <= 6
    assert (tonic + shift) % 12 == (0 if mode == "major" else 9)


def test_drums_keep_their_keys_when_music_is_shifted() -> None:
    assert pitch_code(np.array([60, 60, 126]), np.array([0, DRUMS, 0]), 5).tolist() == [65, 188, 119]
