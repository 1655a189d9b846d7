"""Sets of pieces: how sure a mean is, and how far two distributions lie apart."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean with the bounds between which it lies at the stated level; `pieces` values went into it."""

    mean: float
    low: float
    high: float
    pieces: int


def mean_interval(
    values: Sequence[float] | np.ndarray,
    rng: np.random.Generator,
    *,
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Mean and percentile bootstrap interval (Efron 1979). Values of one group, say all pieces of one sentence, are
    drawn together, as they are not independent. nan values are left out; all nan where none remains."""
    mean, means, pieces = _resampled(values, groups, rng, resamples)
    return Interval(mean, *_bounds(means, level), pieces)


def difference_interval(
    values: Sequence[float] | np.ndarray,
    others: Sequence[float] | np.ndarray,
    rng: np.random.Generator,
    *,
    groups: Sequence[Hashable] | None = None,
    other_groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """mean(values) - mean(others), each resampled as in `mean_interval`; `pieces` is of both."""
    mean, means, pieces = _resampled(values, groups, rng, resamples)
    other_mean, other_means, other_pieces = _resampled(others, other_groups, rng, resamples)
    return Interval(mean - other_mean, *_bounds(means - other_means, level), pieces + other_pieces)


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence in bits, 0 (equal) .. 1 (disjoint), of histograms along the last axis, which need not
    be normalised; other axes broadcast (Lin 1991). nan where a histogram is empty. Few counts push it up, so compare
    it only between sets of like size."""
    with np.errstate(invalid="ignore", divide="ignore"):
        p, q = p / p.sum(axis=-1, keepdims=True), q / q.sum(axis=-1, keepdims=True)
        return np.maximum(_entropy_bits((p + q) / 2) - (_entropy_bits(p) + _entropy_bits(q)) / 2, 0.0)


def _entropy_bits(p: np.ndarray) -> np.ndarray:
    return -(p * np.log2(np.where(p > 0, p, 1.0))).sum(axis=-1) + 0.0


def _resampled(
    values: Sequence[float] | np.ndarray, groups: Sequence[Hashable] | None, rng: np.random.Generator, resamples: int
) -> tuple[float, np.ndarray, int]:
    """The mean, the means of all resamples (resamples,) and how many values are not nan."""
    known = ~np.isnan(value := np.asarray(values, float))
    if not known.any():
        return np.nan, np.full(resamples, np.nan), 0
    names: dict[Hashable, int] = {}
    group = np.array([names.setdefault(name, len(names)) for name in (groups or range(len(value)))])[known]
    group = np.unique(group, return_inverse=True)[1]
    total, count = np.bincount(group, weights=value[known]), np.bincount(group)
    drawn = rng.integers(0, len(count), (resamples, len(count)))
    means = total[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    return float(value[known].mean()), means, int(known.sum())


def _bounds(means: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def ratio_interval(
    numerators: Sequence[float] | np.ndarray,
    denominators: Sequence[float] | np.ndarray,
    rng: np.random.Generator,
    *,
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """sum(numerators) / sum(denominators), with a percentile bootstrap over pieces, or over groups of them as in
    `mean_interval`. Pieces with a nan or a denominator of 0 are left out; all nan where none remains."""
    over, under = np.asarray(numerators, float), np.asarray(denominators, float)
    known = ~np.isnan(over) & (under > 0)
    if not known.any():
        return Interval(np.nan, np.nan, np.nan, 0)
    names: dict[Hashable, int] = {}
    group = np.array([names.setdefault(name, len(names)) for name in (groups or range(len(over)))])[known]
    group = np.unique(group, return_inverse=True)[1]
    totals = np.stack([np.bincount(group, weights=over[known]), np.bincount(group, weights=under[known])])
    drawn = totals[:, rng.integers(0, totals.shape[1], (resamples, totals.shape[1]))].sum(axis=2)
    return Interval(float(over[known].sum() / under[known].sum()), *_bounds(drawn[0] / drawn[1], level),
                    int(known.sum()))  # fmt: skip
