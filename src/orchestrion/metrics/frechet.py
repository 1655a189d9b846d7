"""Fréchet distance between two sets of pieces as gaussians of style, with its noise floor beside it.

Each piece becomes a vector of its style metrics (`style_vectors`), each set a mean and a covariance; the distance is
the squared 2-Wasserstein distance of the two gaussians (Dowson and Landau 1982; the form that Heusel et al. 2017 made
known). Two small sets from one source lie well apart, and the fewer pieces the farther: so value and floor are
estimated at one number of pieces, and a value says something only where it stands above its floor.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from orchestrion.metrics.definition import Metric, SetMeasure
from orchestrion.metrics.sets import Interval

FEWEST_PIECES = 10  # in each half of a set
FARTHEST = 5.0  # standard deviations of the reference


@dataclass(frozen=True, eq=False)
class StyleVectors:
    """generated: (n, d), reference: (m, d) float, standardised by the reference; ids: (d,) metrics of the columns."""

    generated: np.ndarray
    reference: np.ndarray
    ids: tuple[str, ...]


def style_vectors(
    generated: Sequence[Mapping[str, float]], reference: Sequence[Mapping[str, float]], metrics: Sequence[Metric]
) -> StyleVectors:
    """The values of two sets as vectors whose columns weigh alike.

    Metrics without an upper bound (counts, times) enter as log(1 + value): they grow by factors, and a handful of huge
    values would else be all of the covariance. A nan becomes the median of the reference, which says nothing of the
    piece in either direction. Then the mean of the reference is taken off and its standard deviation is made 1; what
    lies beyond FARTHEST deviations counts as that, so that no single column outweighs all others. Columns that are
    constant in the reference, or nan in more than half of either set, are left out.
    """
    ids = [metric.id for metric in metrics]
    sides = [
        np.array([[piece[name] for name in ids] for piece in side], float).reshape(len(side), len(ids))
        for side in (generated, reference)
    ]
    unbounded = np.array([metric.low >= 0 and metric.high == inf for metric in metrics], bool)
    kept = np.all([np.isnan(side).sum(axis=0) <= len(side) / 2 for side in sides], axis=0)
    kept &= np.array([len(side) > 0 for side in sides]).all()
    a, b = (np.where(unbounded[kept], np.log1p(side[:, kept]), side[:, kept]) for side in sides)
    median = np.nanmedian(b, axis=0) if b.size else np.zeros(b.shape[1])
    a, b = (np.where(np.isnan(side), median, side) for side in (a, b))
    varied = np.ptp(b, axis=0) > 1e-12 * np.abs(b).max(axis=0) if b.size else np.zeros(b.shape[1], bool)
    a, b = a[:, varied], b[:, varied]
    mean, deviation = (b.mean(axis=0), b.std(axis=0)) if b.size else (0.0, 1.0)
    a, b = (np.clip((side - mean) / deviation, -FARTHEST, FARTHEST) for side in (a, b))
    return StyleVectors(a, b, tuple(np.array(ids, object)[kept][varied].tolist()))


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """(n, d), (m, d) -> |mean a - mean b|² + tr(A + B - 2 (√A B √A)^½), 0 or more, A and B the covariances, each shrunk
    by `shrunk_covariance`. 0 for a set against itself; nan where a set has fewer than two pieces, or d is 0."""
    if min(len(a), len(b)) < 2 or not a.shape[1]:
        return np.nan
    roots = [_root(shrunk_covariance(side)) for side in (a, b)]
    spread = sum(float((root**2).sum()) for root in roots)  # tr(root @ root), as roots are symmetric
    common = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()  # tr((√A B √A)^½)
    return max(float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + spread - 2 * common), 0.0)


def shrunk_covariance(x: np.ndarray) -> np.ndarray:
    """(n, d) -> (d, d): the covariance drawn towards its mean variance times the identity, as far as Ledoit and Wolf
    (2004) find best: hardly at all for many pieces, far for few, for which the sample's own is all noise."""
    n, d = x.shape
    x = x - x.mean(axis=0)
    sample = x.T @ x / n
    target = np.trace(sample) / d * np.eye(d)
    apart = ((sample - target) ** 2).sum()
    noise = (((x**2).sum(axis=1) ** 2).sum() / n - (sample**2).sum()) / n  # mean |x xᵀ - sample|² / n
    share = min(max(noise, 0.0) / apart, 1.0) if apart > 0 else 0.0
    return share * target + (1 - share) * sample


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def frechet(
    a: np.ndarray,
    b: np.ndarray,
    rng: np.random.Generator,
    resamples: int = 200,
    *,
    groups: Sequence[Hashable] | None = None,
    other_groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> tuple[Interval, Interval]:
    """The distance of the sets a (n, d) and b (m, d), and its floor (`split_half_floor` of b), both at `pieces`, half
    of the smaller set.

    The value is the mean over random halves of both sets, its interval their quantiles: drawn without replacement,
    halves spread about as much as the figure of the whole set would between sets (delete-half jackknife, Shao and Wu
    1989), while a bootstrap's repeated pieces would push the distance up. Both are nan, of 0 pieces, where a half would
    have fewer than FEWEST_PIECES or d is 0. Pieces of one group are drawn together.
    """
    pieces = min(len(a), len(b)) // 2
    if pieces < FEWEST_PIECES or not a.shape[1]:
        return (Interval(np.nan, np.nan, np.nan, 0),) * 2
    draw, other_draw = _drawing(len(a), groups), _drawing(len(b), other_groups)
    values = [frechet_distance(a[draw(rng)[:pieces]], b[other_draw(rng)[:pieces]]) for _ in range(resamples)]
    floor = split_half_floor(b, pieces, rng, resamples, groups=other_groups, level=level)
    return _interval(values, pieces, level), floor


def split_half_floor(
    b: np.ndarray,
    pieces: int,
    rng: np.random.Generator,
    repeats: int = 200,
    *,
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Interval:
    """The distance between two disjoint random parts of one set, of `pieces` each: what a perfect imitation would have.
    Groups stay together, but for one that the border may cut. Raises ValueError for less than 2 · pieces."""
    if len(b) < 2 * pieces:
        raise ValueError(f"two parts of {pieces} pieces need {2 * pieces}, there are {len(b)}")
    draw = _drawing(len(b), groups)
    orders = (draw(rng) for _ in range(repeats))
    return _interval([frechet_distance(b[order[:pieces]], b[order[-pieces:]]) for order in orders], pieces, level)


def _drawing(n: int, groups: Sequence[Hashable] | None) -> Callable[[np.random.Generator], np.ndarray]:
    """A function that orders 0..n - 1 by chance, group after group."""
    names: dict[Hashable, int] = {}
    group = np.array([names.setdefault(name, len(names)) for name in (groups if groups is not None else range(n))], int)
    return lambda rng: np.lexsort((rng.random(n), rng.permutation(len(names))[group]))


def _interval(values: Sequence[float], pieces: int, level: float) -> Interval:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(np.mean(values)), float(low), float(high), pieces)


SET_MEASURES = (
    SetMeasure(
        "frechet-distance", "Fréchet distance of style",
        "How far the style of the two sets lies apart, all measures of style taken together; it says something only "
        "where it is well above its floor, the distance between two halves of the reference.",
        "|mean a - mean b|² + tr(A + B - 2 (√A B √A)^½) of vectors of style metrics (log(1 + x) of unbounded ones; nan "
        "as the reference's median; standardised by the reference, at most 5), covariances by Ledoit and Wolf; mean "
        "over random halves of both sets",
        "squared standard deviations of the reference", "Dowson and Landau 1982; Heusel et al. 2017; features ours",
        where="orchestrion.metrics.frechet.frechet",
    ),
)  # fmt: skip
