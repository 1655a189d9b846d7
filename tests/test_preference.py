"""Shares, intervals and strengths against scipy, published figures and simulated listeners whose taste is known."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from scipy import optimize, stats

from orchestrion.metrics.preference import (
    binomial_test,
    bradley_terry,
    exact_interval,
    preferred_to_reference,
    wilson_interval,
)

COUNTS = [(0, 1), (1, 1), (0, 20), (20, 20), (4, 20), (10, 20), (7, 33), (150, 400), (399, 400)]


@pytest.mark.parametrize(("successes", "trials"), COUNTS)
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_intervals_are_scipys(successes: int, trials: int, level: float) -> None:
    oracle = stats.binomtest(successes, trials)
    for ours, method in ((wilson_interval, "wilson"), (exact_interval, "exact")):
        theirs = oracle.proportion_ci(level, method)
        found = ours(successes, trials, level=level)
        assert (found.mean, found.pieces) == (successes / trials, trials)
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-10)


@pytest.mark.parametrize(("successes", "trials"), COUNTS)
@pytest.mark.parametrize("chance", [0.1, 1 / 3, 0.5, 0.9])
def test_binomial_test_is_scipys(successes: int, trials: int, chance: float) -> None:
    assert binomial_test(successes, trials, chance) == pytest.approx(
        stats.binomtest(successes, trials, chance).pvalue, rel=1e-8
    )


def test_twenty_listeners_of_whom_four_are_right() -> None:
    """As in the WGAN-GP paper; both tails: 2 (1 + 20 + 190 + 1140 + 4845) of 2^20 outcomes."""
    assert binomial_test(4, 20) == pytest.approx(2 * 6196 / 2**20)


def test_nothing_without_trials_and_no_impossible_counts() -> None:
    assert isnan(wilson_interval(0, 0).mean)
    assert isnan(exact_interval(0, 0).low)
    assert isnan(binomial_test(0, 0))
    for function in (wilson_interval, exact_interval, binomial_test):
        with pytest.raises(ValueError, match="cannot be"):
            function(3, 2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        binomial_test(1, 2, 1.0)


# American League, 1987 (Agresti, Categorical Data Analysis, table 10.10): row beat column so often.
BASEBALL = np.array([
    [0, 7, 9, 7, 7, 9, 11], [6, 0, 7, 5, 11, 9, 9], [4, 6, 0, 7, 7, 8, 12], [6, 8, 6, 0, 6, 7, 10],
    [6, 2, 6, 7, 0, 7, 12], [4, 4, 5, 6, 6, 0, 6], [2, 4, 1, 3, 1, 7, 0],
])  # fmt: skip


def test_published_strengths() -> None:
    fit = bradley_terry(BASEBALL, reference=6)
    assert fit.strengths == pytest.approx([1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0], abs=0.006)
    assert (fit.reference, fit.unresolved) == (6, {})


def test_strengths_have_the_greatest_likelihood() -> None:
    rng = np.random.default_rng(0)
    wins = rng.integers(0, 9, (5, 5)) / 2  # halves: ties
    np.fill_diagonal(wins, 0)

    def loss(rest: np.ndarray) -> float:
        strengths = np.concatenate([[0.0], rest])
        return float((wins * np.log1p(np.exp(strengths[None, :] - strengths[:, None]))).sum())

    best = optimize.minimize(loss, np.zeros(4), tol=1e-12).x
    assert bradley_terry(wins, reference=0).strengths[1:] == pytest.approx(best, abs=1e-4)


def test_a_competitor_that_never_wins_is_named_and_does_not_move_the_others() -> None:
    wins = np.array([[0, 6, 5], [4, 0, 5], [0, 0, 0]], float)
    fit = bradley_terry(wins)
    assert fit.strengths[:2] == pytest.approx([0, np.log(4 / 6)])
    assert isnan(fit.strengths[2])
    assert fit.unresolved == {2: "never preferred"}


def test_what_the_answers_leave_open_is_said() -> None:
    always = bradley_terry(np.array([[0, 3, 3], [0, 0, 2], [0, 1, 0]], float))
    assert always.unresolved == {0: "always preferred"}
    assert always.reference == 1
    split = bradley_terry(np.array([[0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 3], [0, 0, 1, 0]], float))
    assert set(split.unresolved.values()) == {"no comparison links it to the others"}
    stairs = bradley_terry(np.array([[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], float))
    assert set(stairs.unresolved) == {2, 3}
    assert stairs.unresolved[2].startswith("below the others")
    above = bradley_terry(np.array([[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], float), reference=2)
    assert above.unresolved[0].startswith("above the others")
    lone = bradley_terry(np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], float))
    assert lone.unresolved == {2: "never compared"}


@pytest.mark.parametrize("wins", [np.zeros((2, 3)), np.ones((2, 2)), np.array([[0, -1], [1, 0]]), np.zeros((1, 1))])
def test_wins_that_cannot_be_are_refused(wins: np.ndarray) -> None:
    with pytest.raises(ValueError, match="wins"):
        bradley_terry(wins)


def simulated(rng: np.random.Generator, strengths: np.ndarray, listeners: int, each: int) -> np.ndarray:
    """(L, K, K): every pair `each` times a listener, by these strengths."""
    chance = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
    won = rng.binomial(each, chance, (listeners, *chance.shape))
    upper = np.triu(won, 1)
    return upper + np.tril(each - upper.transpose(0, 2, 1), -1)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    strengths = np.array([0.0, 0.8, -0.5])
    truth = 1 / (1 + np.exp(-strengths))
    held = []
    for _ in range(60):
        found = preferred_to_reference(simulated(rng, strengths, 25, 4), rng, reference=0, resamples=300)
        assert found[0].mean == 0.5
        held += [row.low <= true <= row.high for row, true in zip(found[1:], truth[1:], strict=True)]
    assert 0.88 <= np.mean(held) <= 1  # 95 % is meant; 120 draws have a standard deviation of 2 %


def test_listeners_and_not_answers_are_drawn() -> None:
    """Ten listeners who answer alike twenty times each: as wide as ten answers, not as two hundred."""
    rng = np.random.default_rng(6)
    wins = np.array([[[0, 20], [0, 0]] if listener < 6 else [[0, 0], [20, 0]] for listener in range(10)], float)
    one = preferred_to_reference(wins, rng, reference=1)[0]
    answers = wilson_interval(120, 200)
    assert one.mean == pytest.approx(0.6)
    assert one.pieces == 200
    assert one.high - one.low > 3 * (answers.high - answers.low)


def test_one_listener_has_no_interval_and_what_is_open_has_no_figure() -> None:
    rng = np.random.default_rng(7)
    alone = preferred_to_reference(np.array([[[0, 3], [1, 0]]], float), rng, reference=1)[0]
    assert alone.mean == pytest.approx(0.75)
    assert isnan(alone.low)
    never = preferred_to_reference(np.array([[[0, 3], [0, 0]]] * 5, float), rng, reference=0)
    assert isnan(never[1].mean)
    assert never[1].pieces == 15
