"""The Fréchet distance by hand, against scipy's matrix root, and beside its noise floor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from orchestrion.metrics.definition import Metric
from orchestrion.metrics.frechet import (
    FARTHEST,
    frechet,
    frechet_distance,
    shrunk_covariance,
    split_half_floor,
    style_vectors,
)


def metric(name: str, high: float = 1.0) -> Metric:
    return Metric(name, name, "", "", "", "", function=lambda grid: 0.0, high=high)


def normal(seed: int, n: int = 60, d: int = 4, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def test_one_dimension_by_hand() -> None:
    # means 1 and 5, deviations 1 and 2 (of the pieces themselves): (1 - 5)² + (1 - 2)² = 17
    assert frechet_distance(np.array([[0.0], [2.0]]), np.array([[3.0], [7.0]])) == pytest.approx(17, abs=1e-9)


def test_shrinkage_as_ledoit_and_wolf_write_it() -> None:
    x = normal(1, 12, 5)
    x -= x.mean(axis=0)
    sample = sum(np.outer(row, row) for row in x) / 12
    m = np.trace(sample) / 5
    apart = np.linalg.norm(sample - m * np.eye(5)) ** 2
    noise = min(sum(np.linalg.norm(np.outer(row, row) - sample) ** 2 for row in x) / 12**2, apart)
    expected = noise / apart * m * np.eye(5) + (apart - noise) / apart * sample
    assert shrunk_covariance(x + 3) == pytest.approx(expected, abs=1e-12)
    many = np.random.default_rng(2).normal(size=(20_000, 3)) * [1, 2, 3]
    assert shrunk_covariance(many) == pytest.approx(np.diag([1, 4, 9]), abs=0.3)


def test_agrees_with_the_matrix_root() -> None:
    a, b = normal(3) @ normal(4, 4), normal(5, shift=1) @ normal(6, 4)
    one, two = shrunk_covariance(a), shrunk_covariance(b)
    expected = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + np.trace(one + two - 2 * sqrtm(one @ two).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 30), st.integers(1, 12), st.floats(-5, 5))
def test_properties(seed: int, n: int, d: int, shift: float) -> None:
    a = normal(seed, n, d)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + shift) == pytest.approx(d * shift**2, abs=1e-6)  # moved, not deformed
    turned = np.linalg.qr(normal(seed + 1, d, d))[0]
    b = 2 * normal(seed + 2, n, d)
    assert frechet_distance(a @ turned, b @ turned) == pytest.approx(frechet_distance(a, b), abs=1e-8)


def test_undefined() -> None:
    assert np.isnan(frechet_distance(normal(0, 1), normal(1)))
    assert np.isnan(frechet_distance(np.zeros((9, 0)), np.zeros((9, 0))))
    assert frechet_distance(np.ones((5, 2)), np.zeros((5, 2))) == pytest.approx(2)  # no spread on either side
    value, floor = frechet(normal(0, 19), normal(1, 500), np.random.default_rng(0))
    assert np.isnan([value.mean, value.low, value.high, floor.mean]).all()
    assert value.pieces == floor.pieces == 0
    with pytest.raises(ValueError, match="need 22"):
        split_half_floor(normal(0, 21), 11, np.random.default_rng(0))


def test_value_and_floor_are_alike_for_one_source_and_unlike_for_two() -> None:
    rng = np.random.default_rng(0)
    value, floor = frechet(normal(1, 200, 10), normal(2, 300, 10), rng, 60)
    assert value.pieces == floor.pieces == 100
    assert floor.low < value.mean < floor.high
    value, floor = frechet(normal(1, 200, 10, shift=0.8), normal(2, 300, 10), rng, 60)
    assert value.low > 3 * floor.high
    assert value.low < value.mean < value.high
    smaller = split_half_floor(normal(2, 300, 10), 20, rng, 60)
    assert smaller.mean > 2 * floor.mean  # few pieces from one source lie farther apart
    again = [frechet(normal(1), normal(2), np.random.default_rng(7), 10) for _ in range(2)]
    assert again[0] == again[1]


def test_groups_stay_together() -> None:
    # eight groups of ten, far from each other: halves of whole groups cannot hold the same ones
    groups = np.repeat(np.arange(8), 10)
    b = 10.0 * normal(3, 8)[groups] + normal(4, 80)
    apart = split_half_floor(b, 40, np.random.default_rng(0), 60, groups=groups.tolist())
    mixed = split_half_floor(b, 40, np.random.default_rng(0), 60)
    assert apart.mean > 5 * mixed.mean


def test_vectors_by_hand() -> None:
    nan = np.nan
    metrics = [metric("rate"), metric("count", high=np.inf), metric("constant"), metric("rare")]
    values = [
        (0, np.e - 1, 0.5, 1),
        (0.5, np.e**3 - 1, 0.5, nan),
        (1, np.e - 1, 0.5, nan),
        (nan, np.e**3 - 1, 0.5, nan),
    ]
    rows = [dict(zip([m.id for m in metrics], row, strict=True)) for row in values]
    made = [
        {"rate": 0.25, "count": 0.0, "constant": 0.9, "rare": 0.1},
        {"rate": nan, "count": 1e9, "constant": 0.0, "rare": 2.0},
    ]
    found = style_vectors(made, rows, metrics)
    assert found.ids == ("rate", "count")
    # rate: nan -> median 0.5, so 0, 0.5, 1, 0.5: mean 0.5, deviation sqrt(0.125); count: log gives 1, 3, 1, 3
    assert found.reference[:, 0] == pytest.approx(np.array([-0.5, 0, 0.5, 0]) / np.sqrt(0.125))
    assert found.reference[:, 1] == pytest.approx([-1, 1, -1, 1])
    assert found.generated[:, 0] == pytest.approx([-0.25 / np.sqrt(0.125), 0])
    assert found.generated[:, 1] == pytest.approx([-2, FARTHEST])  # log 1 = 0 is two below the mean of 2
    assert style_vectors([], [], metrics).generated.shape == (0, 0)
    assert style_vectors(made, rows, []).reference.shape == (4, 0)
