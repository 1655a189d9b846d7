"""Distances between sets: by hand, against closed forms and against scipy; and what must hold for any sets."""

from __future__ import annotations

from dataclasses import fields
from math import erf, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrion.evaluation.report import Comparison
from orchestrion.metrics.distances import (
    Compared,
    Support,
    compare_features,
    gaussian_density,
    inter_distances,
    intra_distances,
    kl,
    kl_of_histograms,
    overlap,
)
from orchestrion.metrics.sets import Interval

seeds = st.integers(0, 2**32 - 1)


def shares(seed: int, pieces: int, weight: float = 1.0) -> np.ndarray:
    """(pieces, 12) histograms that sum to 1."""
    return np.random.default_rng(seed).dirichlet(np.linspace(1, 3, 12) * weight, pieces)


def compared(a: np.ndarray, b: np.ndarray, **options: int) -> Compared:
    return compare_features(a, b, np.random.default_rng(0), **{"resamples": 20, **options})


def test_distances_by_hand() -> None:
    # 0, 3, 7: apart by 3, 7; 3, 4; 7, 4
    assert intra_distances(np.array([0.0, 3.0, 7.0])).tolist() == [[3, 7], [3, 4], [7, 4]]
    # (0, 0) to (3, 4): 5, to (0, 1): 1; (3, 0) to (3, 4): 4, to (0, 1): sqrt(9 + 1)
    a, b = np.array([[[0, 0]], [[3, 0]]]), np.array([[[3, 4]], [[0, 1]]])
    assert inter_distances(a, b) == pytest.approx(np.array([[5, 1], [4, sqrt(10)]]))
    assert inter_distances(a, b, block=1) == pytest.approx(inter_distances(a, b), abs=0)
    assert intra_distances(np.zeros((1, 12))).shape == (1, 0)
    assert intra_distances(np.zeros((0, 12))).shape == (0, 0)
    with pytest.raises(ValueError, match=r"\(12,\) and \(128,\)"):
        inter_distances(np.zeros((2, 12)), np.zeros((2, 128)))


@pytest.mark.parametrize("samples", [[1.0, 4.0], [0.0, 0.1, 0.1, 5.0, 9.0], list(np.geomspace(1, 100, 300))])
def test_the_density_is_that_of_scipy(samples: list[float]) -> None:
    stats = pytest.importorskip("scipy.stats")
    x = np.linspace(-5, 110, 400)
    assert gaussian_density(np.array(samples), x) == pytest.approx(stats.gaussian_kde(samples)(x), abs=1e-12)


@given(seeds, st.integers(2, 400))
@settings(max_examples=30)
def test_counting_in_cells_hardly_changes_the_density(seed: int, size: int) -> None:
    samples = np.random.default_rng(seed).gamma(2, size=size)
    support = Support.around(samples)
    quick, exact = support.density(samples), gaussian_density(samples, support.x)
    assert np.abs(quick - exact).max() < 0.001 * exact.max()
    assert quick @ support.weights == pytest.approx(1)


def normal(mean: float, deviation: float = 1.0, size: int = 2000) -> np.ndarray:
    """Evenly spread quantiles of a normal distribution, by its inverse on a table."""
    x = np.linspace(-6, 6, 20_001)
    below = np.array([0.5 * (1 + erf(each / sqrt(2))) for each in x])
    return mean + deviation * np.interp((np.arange(size) + 0.5) / size, below, x)


def test_kl_and_overlap_of_normal_samples() -> None:
    # Kernels of bandwidth h = 2000^-0.2 widen both to variance 1 + h^2. KL of normals one apart: 1 / (2 (1 + h^2));
    # their overlap: 2 Phi(-1 / (2 sqrt(1 + h^2)))
    widened = 1 + 2000**-0.4
    assert kl(normal(0), normal(1)) == pytest.approx(1 / (2 * widened), abs=0.01)
    assert overlap(normal(0), normal(1)) == pytest.approx(1 - erf(0.5 / sqrt(2 * widened)), abs=0.002)
    # KL of deviations s from t: log(t / s) + s^2 / (2 t^2) - 1 / 2, which is not the same both ways
    assert kl(normal(0), normal(0, 2)) == pytest.approx(log(2) + 1 / 8 - 1 / 2, abs=0.01)
    assert kl(normal(0, 1.25), normal(0)) == pytest.approx(-log(1.25) + 1.25**2 / 2 - 1 / 2, abs=0.01)


def test_sets_far_apart_are_far_apart_though_mgeval_has_them_equal() -> None:
    samples = np.random.default_rng(0).normal(size=60)
    assert kl(samples, samples + 100) > 10
    assert kl(samples, samples + 1e9) > 10
    assert overlap(samples, samples + 100) < 1e-9
    assert kl(samples, samples + 100, grid="mgeval") < 1e-12


def test_mgeval_cuts_the_tails() -> None:
    stats, integrate = pytest.importorskip("scipy.stats"), pytest.importorskip("scipy.integrate")
    a, b = np.random.default_rng(0).normal(size=(2, 60)) * [[1], [2]]
    for p, q in ((a, a), (a, b)):
        at_p, at_q = stats.gaussian_kde(p), stats.gaussian_kde(q)
        low, high = min(p.min(), q.min()), max(p.max(), q.max())
        area = integrate.quad(lambda x, f=at_p, g=at_q: min(f(x)[0], g(x)[0]), low, high)[0]
        assert overlap(p, q, grid="mgeval") == pytest.approx(area, abs=1e-5)
        own = [at(np.linspace(part.min(), part.max(), 1000)) for at, part in ((at_p, p), (at_q, q))]
        assert kl(p, q, grid="mgeval") == pytest.approx(stats.entropy(*own), abs=1e-9)
    assert 0.9 < overlap(a, a, grid="mgeval") < 0.99
    assert overlap(a, a) == pytest.approx(1)


def test_samples_all_alike_have_a_narrow_density() -> None:
    ones = np.ones(5)
    assert kl(ones, ones) == 0
    assert overlap(ones, ones) == pytest.approx(1)
    assert kl(np.zeros(5), np.zeros(9)) == pytest.approx(0, abs=1e-12)
    assert kl(ones, 2 * ones) > 10
    assert overlap(ones, 2 * ones) < 1e-9
    assert kl(ones, np.linspace(0, 2, 50)) > 1
    assert kl(ones + np.arange(5) * 1e-16, ones) == pytest.approx(0, abs=1e-9)
    assert np.isnan(kl(ones, ones, grid="mgeval"))  # there scipy raises LinAlgError
    assert np.isnan(kl(np.ones(1), ones))
    assert np.isnan(overlap(np.zeros(0), ones))


@given(seeds)
@settings(max_examples=20)
def test_kl_is_not_negative_and_overlap_is_a_share(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, q = rng.normal(rng.normal(), 1, rng.integers(2, 50)), rng.normal(0, rng.gamma(1), rng.integers(2, 50))
    assert kl(p, q) >= 0
    assert 0 <= overlap(p, q) <= 1
    assert overlap(p, q) == pytest.approx(overlap(q, p))
    assert kl(p, p) == 0
    assert kl(3 * p + 7, 3 * q + 7) == pytest.approx(kl(p, q), rel=1e-3, abs=1e-4)


def test_kl_of_histograms_by_hand() -> None:
    # (1/2, 1/2) from (1/4, 3/4): 1/2 log 2 + 1/2 log 2/3; from itself 0; what p lacks costs nothing
    assert kl_of_histograms(np.array([2, 2]), np.array([1, 3]), 0) == pytest.approx(log(2) / 2 + log(2 / 3) / 2)
    assert kl_of_histograms(np.array([[1, 0], [0, 1]]), np.ones((2, 2)), 0) == pytest.approx(log(2))
    assert kl_of_histograms(np.ones(2), np.array([1, 0]), 0) == np.inf
    # 1 added to each share: (2, 1) / 3 from (1, 2) / 3: 2/3 log 2 - 1/3 log 2
    assert kl_of_histograms(np.array([5, 0]), np.array([0, 5]), 1) == pytest.approx(log(2) / 3)
    assert kl_of_histograms(np.array([1, 2, 3]), np.array([2, 4, 6])) == 0
    assert np.isnan(kl_of_histograms(np.zeros(2), np.ones(2)))
    with pytest.raises(ValueError, match="2 and 3"):
        kl_of_histograms(np.ones(2), np.ones(3))


def test_comparison_by_hand() -> None:
    found = compared(np.array([0.0, 1, 3]), np.array([2.0, 6, np.nan]))
    # within: 1, 3, 2 in both orders; 4 in both orders; across: 2 6, 1 5, 1 3
    assert found.sums == {"generated": 12, "reference": 8, "inter": 18}
    assert found.means == {"generated": 2, "reference": 4, "inter": 3}
    assert (float(found.mean_generated), float(found.mean_reference)) == (pytest.approx(4 / 3), 4)
    assert found.kl.pieces == 5
    assert np.isnan(found.mean_kl.mean)  # single numbers are no histogram
    assert all(np.isnan(value) for value in found.noise.values())  # two pieces have no halves with distances
    assert set(found.densities) == {"generated", "reference", "inter"}
    assert all(density.shape == found.x.shape == (1000,) for density in found.densities.values())


def test_a_comparison_has_the_fields_of_the_report() -> None:
    extra = {"definition", "missing", "warning"}
    assert {field.name for field in fields(Compared)} == {field.name for field in fields(Comparison)} - extra


@given(seeds, st.integers(4, 30))
@settings(max_examples=10)
def test_a_set_against_itself(seed: int, pieces: int) -> None:
    own = shares(seed, pieces)
    found = compared(own, np.random.default_rng(seed).permutation(own))
    assert found.kl == Interval(0.0, 0.0, 0.0, 2 * pieces)
    assert found.oa.mean == pytest.approx(1)
    assert found.oa.low == pytest.approx(1)
    assert found.mean_kl.mean == 0
    assert found.densities["inter"] == pytest.approx(found.densities["generated"])


@given(seeds)
@settings(max_examples=5)
def test_order_does_not_matter_and_inputs_stay(seed: int) -> None:
    a, b, rng = shares(seed, 12), shares(seed + 1, 9, 2), np.random.default_rng(seed)
    kept = a.copy(), b.copy()
    first, second = compared(a, b), compared(rng.permutation(a), rng.permutation(b))
    assert np.array_equal(a, kept[0])
    assert np.array_equal(b, kept[1])
    assert (first.kl, first.oa, first.mean_kl, first.noise) == (second.kl, second.oa, second.mean_kl, second.noise)


def test_unlike_sets_exceed_the_noise_and_like_sets_do_not() -> None:
    a, b = shares(1, 80), shares(2, 80)
    like, unlike = compared(a, b), compared(a[:, ::-1], b)
    assert like.kl.low < 2 * like.noise["kl"]
    assert like.oa.mean == pytest.approx(like.noise["oa"], abs=0.1)
    assert unlike.kl.low > 3 * unlike.noise["kl"]
    assert unlike.mean_kl.low > 10 * unlike.noise["mean_kl"]
    for interval in (like.kl, like.oa, like.mean_kl, unlike.kl, unlike.oa, unlike.mean_kl):
        assert interval.low <= interval.mean <= interval.high


def test_of_too_many_pieces_some_are_drawn_and_that_is_said() -> None:
    found = compared(shares(0, 30), shares(1, 25), most_pieces=25)
    assert found.scale == "not standardised; 25 of 30 generated pieces drawn"
    assert found.kl.pieces == 50


def test_too_few_pieces() -> None:
    with pytest.raises(ValueError, match="two pieces on either side, not 1 and 5"):
        compared(shares(0, 1), shares(1, 5))
    alike = compared(np.ones(6), np.ones(5))  # a metric that is the same for every piece of both
    assert alike.kl.mean == pytest.approx(0, abs=1e-12)
    assert alike.oa.mean == pytest.approx(1)
