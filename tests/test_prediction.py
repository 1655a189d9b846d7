"""Predictions against what was written, by hand."""

from __future__ import annotations

from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st
from symusic import Note, Score, Track

from orchestrion.metrics.grid import on_grid
from orchestrion.metrics.prediction import Agreement, bleu, frame_agreement, note_agreement, perplexity


def music(*notes: tuple[float, float, int], drums: tuple[tuple[float, float, int], ...] = ()) -> Score:
    """Notes (onset and length in quarters, pitch) of one pitched track, and of percussion."""
    score = Score(480)
    for is_drum, part in ((False, notes), (True, drums)):
        track = Track(is_drum=is_drum)
        for onset, length, pitch in part:
            track.notes.append(Note(round(onset * 480), round(length * 480), pitch, 80))
        score.tracks.append(track)
    return score


WRITTEN = music((0, 1, 60), (1, 1, 62), (2, 2, 64), (2, 2, 67))


def test_notes_by_hand() -> None:
    # of three predicted, two are among the four written: the length does not matter, the late onset does
    predicted = music((0, 0.5, 60), (1.25, 1, 62), (2, 1, 64))
    assert note_agreement(predicted, WRITTEN) == Agreement(2 / 3, 2 / 4, 2 * 2 / (3 + 4))
    assert note_agreement(WRITTEN, WRITTEN) == Agreement(1, 1, 1)
    assert note_agreement(music((0.01, 1, 60)), music((0, 1, 60))).f1 == 1  # the same step of the grid


def test_sounding_by_hand() -> None:
    # predicted 6 + 12 + 12 cells: C 6 right; D 9 of 12 right (a quarter note a quarter late); E 12 right, of 24.
    predicted = music((0, 0.5, 60), (1.25, 1, 62), (2, 1, 64))
    assert frame_agreement(predicted, WRITTEN) == Agreement(27 / 30, 27 / 72, 2 * 27 / (30 + 72))


def test_two_notes_of_one_pitch_at_once_are_one() -> None:
    assert note_agreement(music((0, 1, 60), (0, 2, 60)), music((0, 1, 60))) == Agreement(1, 1, 1)
    assert frame_agreement(music((0, 1, 60), (0.5, 1.5, 60)), music((0, 2, 60))) == Agreement(1, 1, 1)


def test_percussion_is_apart() -> None:
    hit, note = music(drums=((0, 1, 36),)), music((0, 1, 36))
    assert note_agreement(hit, note) == Agreement(0, 0, 0)
    assert note_agreement(hit, hit) == Agreement(1, 1, 1)
    assert str(frame_agreement(hit, hit)) == str(Agreement(float("nan"), float("nan"), float("nan")))


def test_nothing_predicted_and_nothing_written() -> None:
    silent, nan = music(), float("nan")
    for agreement in (note_agreement, frame_agreement):
        assert str(agreement(silent, WRITTEN)) == str(Agreement(nan, 0.0, 0.0))
        assert str(agreement(WRITTEN, silent)) == str(Agreement(0.0, nan, 0.0))
        assert str(agreement(silent, silent)) == str(Agreement(nan, nan, nan))
    with pytest.raises(ValueError, match="24 and 12 steps"):
        note_agreement(on_grid(WRITTEN).fine, WRITTEN)


def test_bleu_clips_counts() -> None:
    # Papineni's example: "the" seven times; the reference has it twice: 2/7
    assert bleu([["the"] * 7], [[["the", "cat", "is", "on", "the", "mat"]]], longest=1) == pytest.approx(2 / 7)


def test_bleu_by_hand() -> None:
    # a b c d e against a b c d x: runs right 4/5, 3/4, 2/3, 1/2; product 1/5; as long as the reference
    assert bleu([list("abcde")], [[list("abcdx")]]) == pytest.approx((1 / 5) ** 0.25)
    # a b c d against a b c d e f: all right, four of six tokens: exp(1 - 6/4)
    assert bleu([list("abcd")], [[list("abcdef")]]) == pytest.approx(exp(-0.5))
    # two references, one of the same length: no penalty, and each run from either
    assert bleu([list("abcd")], [[list("abcdef"), list("wxyz")]]) == 1
    # a tie of 3 and 5 tokens: the shorter is nearest, no penalty
    assert bleu([list("abcd")], [[list("abc"), list("abcde")]]) == 1
    # counts are added up over the corpus: 1-runs (4 + 0) / 8, 2-runs 3/6, 3-runs 2/4, 4-runs 1/2
    assert bleu([list("abcd"), list("wxyz")], [[list("abcd")], [list("efgh")]]) == pytest.approx(1 / 2)


def test_bleu_without_a_run_of_four() -> None:
    # a b c x against a b c d: 3/4, 2/3, 1/2, 0/1; add-one: 3/4, 3/4, 2/3, 1/2
    assert bleu([list("abcx")], [[list("abcd")]]) == 0
    smoothed = exp((log(3 / 4) + log(3 / 4) + log(2 / 3) + log(1 / 2)) / 4)
    assert bleu([list("abcx")], [[list("abcd")]], smoothing="add-one") == pytest.approx(smoothed)
    assert bleu([list("abc")], [[list("abc")]]) != bleu([list("abc")], [[list("abc")]])  # nan: too short
    assert str(bleu([], [])) == str(bleu([[]], [[list("abcd")]])) == "nan"
    with pytest.raises(ValueError, match="at least one reference"):
        bleu([list("abcd")], [[]])


@given(st.lists(st.integers(0, 3), min_size=4, max_size=30), st.lists(st.integers(0, 3), min_size=4, max_size=30))
def test_bleu_is_a_share_and_1_for_the_same(one: list[int], other: list[int]) -> None:
    assert bleu([one], [[one]]) == pytest.approx(1)
    assert 0 <= bleu([one], [[other]]) <= 1


def test_perplexity() -> None:
    assert perplexity(log(8)) == pytest.approx(8)  # three coins
    assert perplexity(0.0) == 1
    assert perplexity(1e6) == float("inf")
    assert str(perplexity(float("nan"))) == "nan"
