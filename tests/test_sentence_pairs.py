"""Divergence of what two sentences made, by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import Note, Score, Track

from conftest import little_song
from orchestrion.metrics.sentences import DISTRIBUTIONS, divergence, note_counts, pair_matrix


def tune(*notes: tuple[int, int], is_drum: bool = False) -> Score:
    """Notes (pitch, length in quarters) one after another."""
    score, onset, track = Score(480), 0, Track(is_drum=is_drum)
    for pitch, length in notes:
        track.notes.append(Note(onset, length * 480, pitch, 80))
        onset += length * 480
    score.tracks.append(track)
    return score


def test_counts_by_hand() -> None:
    song = tune((60, 1), (72, 1), (67, 2))
    assert np.flatnonzero(note_counts(song, "pitch")).tolist() == [60, 67, 72]
    assert note_counts(song, "pitch-class")[[0, 7]].tolist() == [2, 1]
    assert note_counts(song, "length")[[1, 2]].tolist() == [1, 2]  # one half, two quarters
    # class = pitch class x 12 + length: C quarter 0 x 12 + 2 twice, G half 7 x 12 + 1 once
    assert note_counts(song, "pitch-class x length")[[2, 85]].tolist() == [2, 1]
    for name, (classes, _) in DISTRIBUTIONS.items():
        assert note_counts(song, name).sum() == 3
        assert note_counts(tune((36, 1), is_drum=True), name).tolist() == [0] * classes
        assert note_counts(Score(480), name).tolist() == [0] * classes


def test_divergence_by_hand() -> None:
    # 3, 1 and 1, 3 with 1 added: (4, 2) / 6 from (2, 4) / 6: 2/3 log 2 - 1/3 log 2
    assert divergence(np.array([3, 1]), np.array([1, 3]), alpha=1) == pytest.approx(log(2) / 3)
    # 0, 0, 2 and 2, 0, 0 with 1/2: (1, 1, 5) / 7 from (5, 1, 1) / 7: 4/7 log 5. The paper prints the negative of it
    assert divergence(np.array([0, 0, 2]), np.array([2, 0, 0])) == pytest.approx(4 / 7 * log(5))
    assert divergence(np.array([4, 5]), np.array([4, 5])) == 0
    assert np.isnan(divergence(np.zeros(3), np.array([1, 0, 0])))
    with pytest.raises(ValueError, match="alpha"):
        divergence(np.ones(2), np.ones(2), alpha=0)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=12), st.floats(0.01, 5))
def test_divergence_is_never_negative(counts: list[tuple[int, int]], alpha: float) -> None:
    p, q = np.array(counts).T
    if p.any() and q.any():
        assert divergence(p, q, alpha) >= 0
        assert divergence(p, p, alpha) == 0


def test_the_matrix_by_hand() -> None:
    up, down, alone = np.array([[2, 0], [2, 0]]), np.array([[0, 2], [0, 2]]), np.array([[1, 1]])
    matrix = pair_matrix([up, down, alone, np.zeros((2, 2))], np.random.default_rng(0))
    # 4, 0 from 0, 4 with 1/2: (9, 1) / 10 from (1, 9) / 10: 0.8 log 9
    assert matrix[0, 1] == matrix[1, 0] == pytest.approx(0.8 * log(9))
    # from 1, 1: (9, 1) / 10 from (1, 1) / 2: 0.9 log 1.8 + 0.1 log 0.2
    assert matrix[0, 2] == pytest.approx(0.9 * log(1.8) + 0.1 * log(0.2))
    assert matrix[0, 0] == matrix[1, 1] == 0  # its two pieces are alike, so are its halves
    assert np.isnan(matrix[2, 2])  # one piece has no halves
    assert np.isnan(matrix[3]).all()
    assert np.isnan(matrix[:, 3]).all()
    # halves 2, 0 and 0, 2 with 1/2, whichever way they are cut: (5, 1) / 6 from (1, 5) / 6: 2/3 log 5
    assert pair_matrix([np.array([[2, 0], [0, 2]])], np.random.default_rng(0))[0, 0] == pytest.approx(2 / 3 * log(5))
    assert pair_matrix([], np.random.default_rng(0)).shape == (0, 0)


@given(st.integers(0, 1000))
@settings(max_examples=10)
def test_unlike_groups_stand_out_from_the_diagonal(seed: int) -> None:
    songs = [little_song(each) for each in range(seed, seed + 6)]
    low, high = ([note_counts(song, "pitch") for song in songs] for songs in (songs, [_up(song) for song in songs]))
    kept = np.array(low)
    matrix = pair_matrix([np.array(low), np.array(high)], np.random.default_rng(seed))
    assert matrix[0, 1] > matrix[0, 0]
    assert matrix[1, 0] > matrix[1, 1]
    assert np.array_equal(kept, np.array(low))


def _up(song: Score) -> Score:
    result = song.copy()
    for track in result.tracks:
        for note in track.notes:
            note.pitch += 0 if track.is_drum else 40
    return result
