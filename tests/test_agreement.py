"""Krippendorff's alpha against published worked examples, and against its definition written out as loops."""

from __future__ import annotations

from itertools import permutations
from math import isnan

import numpy as np
import pytest

from orchestrion.metrics.agreement import Level, krippendorff_alpha

# Krippendorff (2011), his table with gaps: four observers, twelve units.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_published_example(level: Level, alpha: float) -> None:
    assert krippendorff_alpha(OBSERVERS, level=level) == pytest.approx(alpha, abs=0.0005)


def test_published_examples_of_two_observers() -> None:
    """Of the same paper, without gaps: binary data, 0.095, and five letters, 0.692."""
    binary = [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]
    assert krippendorff_alpha(binary) == pytest.approx(0.095, abs=0.0005)
    letters = [list("aabbdcccedda"), list("babbbccceddd")]
    assert krippendorff_alpha(letters) == pytest.approx(0.692, abs=0.0005)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_equals_its_definition_by_pairs(level: Level) -> None:
    rng = np.random.default_rng(1)
    answers = [[None if rng.random() < 0.3 else int(rng.integers(1, 5)) for _ in range(20)] for _ in range(5)]
    assert krippendorff_alpha(answers, level=level) == pytest.approx(_by_pairs(answers, level))


def test_agreement_chance_and_contradiction() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 2, 4000).tolist()
    assert krippendorff_alpha([truth, truth, truth]) == 1
    assert abs(krippendorff_alpha(rng.integers(0, 2, (3, 4000)).tolist())) < 0.04
    assert krippendorff_alpha([truth, [1 - answer for answer in truth]]) < -0.9


def test_who_answers_in_which_row_does_not_matter() -> None:
    columns = list(zip(*OBSERVERS, strict=True))
    rng = np.random.default_rng(3)
    shuffled = [[column[place] for place in rng.permutation(len(column))] for column in columns]
    assert krippendorff_alpha(list(zip(*shuffled, strict=True))) == pytest.approx(krippendorff_alpha(OBSERVERS))


def test_items_of_one_answer_do_not_count() -> None:
    with_a_lone_answer = [[*row, 9 if number == 0 else None] for number, row in enumerate(OBSERVERS)]
    for level in ("nominal", "ordinal", "interval"):
        assert krippendorff_alpha(with_a_lone_answer, level=level) == krippendorff_alpha(OBSERVERS, level=level)


@pytest.mark.parametrize("answers", [[], [[]], [["real", None], [None, "fake"]], [["real", "real"], ["real", "real"]]])
def test_undefined(answers: list[list[str | None]]) -> None:
    assert isnan(krippendorff_alpha(answers))


def test_rows_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one entry an item"):
        krippendorff_alpha([[1, 2], [1]])


def _by_pairs(answers: list[list[int | None]], level: Level) -> float:
    """The textbook: observed and expected disagreement as means over ordered pairs of answers."""
    items = [[answer for answer in column if answer is not None] for column in zip(*answers, strict=True)]
    items = [item for item in items if len(item) > 1]
    pooled = [answer for item in items for answer in item]

    def apart(one: int, other: int) -> float:
        if level == "nominal":
            return float(one != other)
        if level == "interval":
            return float((one - other) ** 2)
        low, high = min(one, other), max(one, other)
        between = sum(low <= answer <= high for answer in pooled)
        return (between - (pooled.count(one) + pooled.count(other)) / 2) ** 2

    pairs = [sum(apart(*pair) for pair in permutations(item, 2)) / (len(item) - 1) for item in items]
    observed = sum(pairs) / len(pooled)
    expected = sum(apart(*pair) for pair in permutations(pooled, 2)) / (len(pooled) * (len(pooled) - 1))
    return 1 - observed / expected
