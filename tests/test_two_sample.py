"""Telling sets apart: the folds, the regression against scipy, the rolls by hand, the network on toys."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from symusic import Note, Score, TimeSignature, Track

from conftest import little_song
from orchestrion.evaluation import roll_classifier
from orchestrion.evaluation.roll_classifier import RollClassifier, tell_rolls_apart
from orchestrion.metrics.two_sample import Told, correct, image_bars, logistic_regression, roll_image, tell_apart, trial


def told(a: np.ndarray, b: np.ndarray, seed: int = 0, **groups: list[str]) -> Told:
    return tell_apart(a, b, trial(len(a), len(b), np.random.default_rng(seed), **groups))


# ---- folds


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 8), min_size=10, max_size=40), st.lists(st.integers(4, 20), min_size=10, max_size=40),
       st.integers(0, 99))  # fmt: skip
def test_groups_never_split_and_both_sides_are_as_many(own: list[int], other: list[int], seed: int) -> None:
    found = trial(len(own), len(other), np.random.default_rng(seed), groups=own, other_groups=other)
    if found.missing:
        assert min(len(set(own)), len(set(other))) == 1 or len(found.chosen) == 0
        return
    n = min(len(own), len(other))
    assert found.generated.sum() == (~found.generated).sum() == n
    assert len(set(found.chosen.tolist())) == 2 * n
    names = np.array(own + other)[found.chosen]
    for name in set(names.tolist()):  # a name of both sides, too
        assert len(set(found.fold[names == name].tolist())) == 1
    turns = list(found.turns())
    assert sum(judged for _, judged in turns).tolist() == [1] * (2 * n)
    assert all((learned ^ judged).all() for learned, judged in turns)


def test_folds_hold_as_many_of_either_side() -> None:
    found = trial(100, 250, np.random.default_rng(0))
    for _, judged in found.turns():
        assert judged[found.generated].sum() == judged[~found.generated].sum() == 20


def test_too_few_are_named() -> None:
    few = trial(9, 100, np.random.default_rng(0))
    assert few.missing == "9 pieces on one side; at least 10 are needed"
    one = trial(12, 12, np.random.default_rng(0), groups=["same"] * 12)
    assert "belong together" in one.missing
    for nothing in (few, one):
        found = tell_apart(np.zeros((9, 3)), np.zeros((100, 3)), nothing)
        assert np.isnan(found.accuracy(np.random.default_rng(0)).mean)
        assert found.weights.tolist() == [0, 0, 0]
        empty = tell_rolls_apart(np.zeros((9, 3, 64, 16), np.uint8), np.zeros((9, 3, 64, 16), np.uint8), nothing)
        assert len(empty.correct) == 0


# ---- vectors


def test_regression_agrees_with_a_general_minimiser() -> None:
    rng = np.random.default_rng(0)
    x, y, weight = rng.normal(size=(60, 3)), rng.random(60) < 0.4, rng.random(60) + 0.5

    def objective(w: np.ndarray) -> float:
        logit = x @ w[1:] + w[0]
        return float((weight * (np.logaddexp(0, logit) - y * logit)).sum() + 0.7 * (w[1:] ** 2).sum() / 2)

    expected = minimize(objective, np.zeros(4), tol=1e-12, options={"gtol": 1e-9})
    assert logistic_regression(x, y, weight, 0.7) == pytest.approx(expected.x, abs=1e-5)


def test_regression_of_what_a_plane_divides() -> None:
    x = np.linspace(-1e3, 1e3, 50)[:, None]
    weights = logistic_regression(x, x[:, 0] > 0, np.ones(50), 1.0)
    assert np.isfinite(weights).all()
    assert weights[1] > 0


def test_one_source_cannot_be_told_apart() -> None:
    holds = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        found = told(rng.normal(size=(60, 8)), rng.normal(size=(60, 8)), seed).accuracy(rng)
        holds += found.low <= 0.5 <= found.high
    assert holds >= 11


def test_two_sources_can_and_the_weights_say_why() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(60, 4)), rng.normal(size=(200, 4))
    a[:, 2] -= 4
    found = told(a, b)
    accuracy = found.accuracy(rng)
    assert accuracy.low > 0.9
    assert accuracy.pieces == 120
    assert np.argmax(np.abs(found.weights)) == 2
    assert found.weights[2] < 0  # more of it speaks for the reference
    again = told(a, b)
    assert np.array_equal(found.correct, again.correct)
    assert np.array_equal(found.weights, again.weights)


def test_a_set_against_itself_is_a_toss_up() -> None:
    a = np.random.default_rng(1).normal(size=(40, 5))
    names = [f"{i}.mid" for i in range(40)]
    assert told(a, a, groups=names, other_groups=names).accuracy(np.random.default_rng(0)).mean == 0.5
    assert told(np.zeros((20, 2)), np.zeros((20, 2))).correct.tolist() == [0.5] * 40
    assert correct(np.array([2.0, -1.0, 0.0]), np.array([True, True, True])).tolist() == [1, 0, 0.5]


def test_pieces_of_one_source_do_not_give_the_set_away() -> None:
    """Sixteen sentences of ten pieces each, all alike within; which side a sentence is on is chance."""
    rng = np.random.default_rng(0)
    x = np.repeat(5 * rng.normal(size=(16, 16)), 10, axis=0) + rng.normal(size=(160, 16))
    groups = [str(number // 10) for number in range(160)]
    found = told(x[:80], x[80:], groups=groups[:80], other_groups=groups[80:]).accuracy(rng)
    assert found.low <= 0.5
    assert told(x[:80], x[80:]).accuracy(rng).low > 0.8  # as it would be without groups


# ---- rolls


def song(notes: list[tuple[int, int, int]], *, drums: bool = False, meter: tuple[int, int] = (4, 4)) -> Score:
    """notes: (start, length, pitch) in ticks of 1/480 quarter."""
    score = Score(480)
    score.time_signatures.append(TimeSignature(0, *meter))
    track = Track("", 0, drums)
    for start, length, pitch in notes:
        track.notes.append(Note(start, length, pitch, 80))
    score.tracks.append(track)
    return score


def test_a_roll_by_hand() -> None:
    # one 4/4 bar, 16 columns: E1 for a quarter, an eighth later C5 (72 - 28 = 44) over two sixteenths
    image = roll_image(song([(0, 480, 28), (240, 240, 72), (1800, 120, 72)]), bars=1)
    assert image.shape == (3, 64, 16)
    assert np.argwhere(image[0]).tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [44, 2], [44, 3], [44, 15]]
    assert np.argwhere(image[1]).tolist() == [[0, 0], [44, 2], [44, 15]]
    assert not image[2].any()
    # beyond the range an octave nearer: 24 is shown as 36 (row 8), 92 = 64 + 28 as 80 (row 52), 127 as 91 (row 63)
    far = roll_image(song([(0, 1920, 24), (0, 1920, 92), (0, 1920, 127)]), bars=1)
    assert np.argwhere(far[1])[:, 0].tolist() == [8, 52, 63]
    drums = roll_image(song([(0, 120, 36), (960, 1, 38)], drums=True), bars=1)
    assert not drums[:2].any()
    assert np.argwhere(drums[2]).tolist() == [[8, 0], [10, 8]]


def test_a_roll_shows_neither_length_nor_loudness() -> None:
    one = [(beat * 480, 240, 60 + beat % 4) for beat in range(4)]
    many = [(bar * 1920 + start, length, pitch) for bar in range(30) for start, length, pitch in one]
    short, long = roll_image(song(one)), roll_image(song(many))
    assert short.shape == (3, 64, 128)
    assert np.array_equal(short, long)
    soft = song(many)
    for note in soft.tracks[0].notes:
        note.velocity = 3
    assert np.array_equal(roll_image(soft), long)
    waltz = song([(beat * 480, 480, 60) for beat in range(24)], meter=(3, 4))
    assert np.flatnonzero(roll_image(waltz)[1, 32])[:4].tolist() == [0, 5, 10, 16]  # 16 columns a bar of any meter


def test_the_middle_is_shown_and_what_sounds_into_it() -> None:
    image = roll_image(
        song([(0, 5 * 1920, 60), (1920, 1920, 64), (4 * 1920, 1920, 67)]), bars=1
    )  # five bars: the third
    assert np.argwhere(image[0].any(axis=1)).ravel().tolist() == [32]
    assert image[0, 32].all()
    assert not image[1].any()


@pytest.mark.parametrize(
    "score",
    [Score(480), song([]), song([(0, 0, 60)]), song([(99_000, 480, 60)]), song([(0, 100, 35)], drums=True),
     song([(0, 480, 60)], meter=(6, 8))],
)  # fmt: skip
def test_odd_pieces_have_a_roll(score: Score) -> None:
    before = score.dumps_midi()
    image = roll_image(score)
    assert image.shape == (3, 64, 128)
    assert image.max() <= 1
    assert score.dumps_midi() == before


def test_bars_that_nearly_all_pieces_have() -> None:
    assert image_bars([1] + [16] * 40) == 8
    assert image_bars([4] * 10 + [16] * 40) == 4
    assert image_bars([0, 0, 1]) == 1
    assert image_bars([]) == 8


# ---- the network


def rolls(seed: int, n: int, step: int) -> np.ndarray:
    """Random notes, one at every `step` columns."""
    rng = np.random.default_rng(seed)
    image = np.zeros((n, 3, 64, 32), np.uint8)
    for piece in image:
        for column in range(0, 32, step):
            pitch = rng.integers(10, 54)
            piece[0, pitch, column : column + step] = 1
            piece[1, pitch, column] = 1
    return image


def test_the_network_tells_what_is_different_and_only_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll_classifier, "EPOCHS", 12)
    assert sum(weights.numel() for weights in RollClassifier().parameters()) < 50_000
    a, b, c = rolls(0, 30, 4), rolls(1, 30, 2), rolls(2, 30, 4)
    turns = trial(30, 30, np.random.default_rng(0), folds=3)
    seen: list[tuple[int, int]] = []
    different = tell_rolls_apart(a, b, turns, 1, lambda done, total: seen.append((done, total)))
    assert different.accuracy(np.random.default_rng(0)).mean > 0.9
    assert seen == sorted(seen)
    assert seen[-1] == (36, 36)
    alike = tell_rolls_apart(a, c, turns).accuracy(np.random.default_rng(0))
    assert alike.low <= 0.5 <= alike.high
    assert np.array_equal(tell_rolls_apart(a, b, turns, 1).correct, different.correct)


def test_a_score_goes_all_the_way() -> None:
    image = roll_image(little_song(1), bars=2)
    assert image[2].any()
    assert image[1].sum() <= image[0].sum()
