"""Two sets of pieces compared by the distances between pieces, within each set and across (Yang and Lerch 2020).

What is wrong in mgeval, the authors' code, is put right here, and kept under `grid="mgeval"` to explain old tables:
densities are taken on one support, so that two sets a hundred apart are far apart and not equal, and their tails are
not cut, so that a set overlaps itself by 1. Legend: n, m pieces; X points at which densities are shown; K cells in
which samples are counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from orchestrion.metrics.definition import SetMeasure
from orchestrion.metrics.sets import Interval

POINTS = 1000
_FINER = 8  # cells a point
_PAD = 4.0  # bandwidths beyond the outermost distance; a Gaussian has 3e-5 of its mass beyond that
#: This share of each density is spread evenly over the support before KL is taken: a sample where the other set has
#: none costs some 14 nats and not infinitely many.
FLOOR = 1e-6
#: This much is added to every share of a histogram that sums to 1 before KL is taken.
SMOOTHING = 1e-6
MOST_PIECES = 1000
SPLITS = 10
Where = Literal["common", "mgeval"]


def intra_distances(features: np.ndarray) -> np.ndarray:
    """(n, n - 1) euclidean distances of each piece to each other one: every pair stands there in both orders, as in
    mgeval. features: (n, ...), flattened."""
    return _others(inter_distances(features, features))


def inter_distances(a: np.ndarray, b: np.ndarray, block: int = 2**22) -> np.ndarray:
    """(n, m) euclidean distances of each piece of (n, ...) to each of (m, ...), not standardised. At most `block`
    numbers (32 MB) are held at a time besides the result. Raises ValueError where the shapes of the pieces differ."""
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"features of one kind are compared, not of shapes {a.shape[1:]} and {b.shape[1:]}")
    a, b = (part.reshape(len(part), int(np.prod(part.shape[1:]))).astype(float) for part in (a, b))
    rows = max(1, block // max(b.size, 1))
    result = np.empty((len(a), len(b)))
    for start in range(0, len(a), rows):
        apart = a[start : start + rows, None] - b
        result[start : start + rows] = np.sqrt(np.einsum("nmd,nmd->nm", apart, apart))
    return result


def gaussian_density(samples: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(X,) density at x (X,) by Gaussian kernels of Scott's bandwidth, exactly (scipy's `gaussian_kde`). All nan for
    fewer than two samples and for samples that are all alike, which have no bandwidth."""
    bandwidth = _scott(samples)
    if not bandwidth > 0:
        return np.full(len(x), np.nan)
    total = np.zeros(len(x))
    for part in np.array_split(samples, len(samples) // 1000 + 1):
        total += np.exp(-0.5 * ((x[:, None] - part) / bandwidth) ** 2).sum(axis=1)
    return total / (len(samples) * bandwidth * np.sqrt(2 * np.pi))


def kl(p: np.ndarray, q: np.ndarray, grid: Where = "common") -> float:
    """Kullback-Leibler divergence in nats of the density of the samples p from that of q, 0 or more.

    "common": both densities (`Support`) at the same 1000 points, which reach 4 bandwidths beyond the samples of both;
    each is normalised there by trapezoids and has FLOOR of it spread evenly, which bounds KL at some 19 nats. Samples
    that are all alike have a narrow density, so kl(p, p) is 0 always. "mgeval": each density at 1000 points between the
    least and the greatest of its own samples, as published; that compares shapes wherever they lie. nan for fewer than
    two samples, and in mgeval for samples that are all alike.
    """
    p, q = np.ravel(p), np.ravel(q)
    if min(len(p), len(q)) < 2:
        return np.nan
    if grid == "mgeval":
        at_p, at_q = (gaussian_density(part, np.linspace(part.min(), part.max(), POINTS)) for part in (p, q))
        return kl_of_histograms(at_p, at_q, smoothing=0.0)
    support = Support.around(p, q)
    return support.kl(support.density(p), support.density(q))


def overlap(p: np.ndarray, q: np.ndarray, grid: Where = "common") -> float:
    """Area, 0..1, under both the density of the samples p and that of q: 1 for the same, 0 for far apart.

    "common" as in `kl`. "mgeval": between the least and the greatest sample of both, the tails cut off, so that 60
    normal samples overlap themselves by 0.98. nan as in `kl`.
    """
    p, q = np.ravel(p), np.ravel(q)
    if min(len(p), len(q)) < 2:
        return np.nan
    if grid == "mgeval":
        x = np.linspace(min(p.min(), q.min()), max(p.max(), q.max()), POINTS)
        return float(np.minimum(gaussian_density(p, x), gaussian_density(q, x)) @ Support(x).weights)
    support = Support.around(p, q)
    return support.overlap(support.density(p), support.density(q))


def kl_of_histograms(p: np.ndarray, q: np.ndarray, smoothing: float = SMOOTHING) -> float:
    """KL(p || q) = sum p log(p / q) in nats, of two histograms or matrices of one shape, which need not sum to 1.

    Each is divided by its sum, then `smoothing` is added to every cell and it is divided by its sum again. With
    smoothing 0 it is infinite where q lacks what p has. nan where a histogram is empty. (Luo 2021, table 5.1.)
    """
    p, q = np.ravel(p).astype(float), np.ravel(q).astype(float)
    if p.shape != q.shape:
        raise ValueError(f"histograms of one length are compared, not of {len(p)} and {len(q)} cells")
    if not (p.sum() > 0 and q.sum() > 0):
        return np.nan
    p, q = (part / part.sum() + smoothing for part in (p, q))
    p, q = p / p.sum(), q / q.sum()
    if (q[p > 0] == 0).any():
        return np.inf
    return _nats(p, q)


def _nats(p: np.ndarray, q: np.ndarray) -> float:
    """KL of shares, each of which sums to 1; q > 0 wherever p is. nan where a share is."""
    if np.isnan(p).any() or np.isnan(q).any():
        return np.nan
    there = p > 0
    return max(float((p[there] * np.log(p[there] / q[there])).sum()), 0.0)


@dataclass(frozen=True, eq=False)
class Support:
    """The values at which densities are compared: x (X,), evenly spaced.

    Samples are counted in cells an eighth of the spacing of x and smoothed by the Fourier transform of the kernel, so
    that the time hardly grows with their number; the density comes within 0.001 of its peak of the exact one. A
    bandwidth (Scott's) below two spacings, which x could not show, is raised to that: samples all alike are a spike.
    """

    x: np.ndarray

    @classmethod
    def around(cls, *samples: np.ndarray) -> Support:
        """Reaches 4 bandwidths beyond all samples (at least two of each kind)."""
        low, high = min(map(np.min, samples)), max(map(np.max, samples))
        pad = max(_PAD * max(map(_scott, samples)), (high - low) / 100, 1e-6 * max(abs(low), abs(high)))
        return cls(np.linspace(low - (pad or 1.0), high + (pad or 1.0), POINTS))

    @cached_property
    def weights(self) -> np.ndarray:
        """(X,) of the trapezoidal rule: density @ weights is its integral."""
        weights = np.full(len(self.x), self.x[1] - self.x[0])
        weights[[0, -1]] /= 2
        return weights

    def cells(self, samples: np.ndarray) -> np.ndarray:
        """The cell of each sample, integers of the same shape; of what lies outside, the cell at the edge."""
        cells = np.rint((samples - self.x[0]) * (_FINER / (self.x[1] - self.x[0])))
        return cells.astype(np.intp).clip(0, POINTS * _FINER - 1)

    def density(self, samples: np.ndarray) -> np.ndarray:
        """(X,) of samples (n,), of which there are at least two."""
        return self.smoothed(np.bincount(self.cells(samples), minlength=POINTS * _FINER))

    def smoothed(self, counts: np.ndarray) -> np.ndarray:
        """(X,) the density, which integrates to 1, of the samples counted in cells (K,); all nan below two samples."""
        total, cell = counts.sum(), np.arange(len(counts))
        if total < 2:
            return np.full(len(self.x), np.nan)
        variance = counts @ (cell - counts @ cell / total) ** 2 / (total - 1)
        width = max(np.sqrt(variance) * total**-0.2, 2.0 * _FINER)
        length = 2 * len(counts)  # twice, so that what leaves at one end does not enter at the other
        kernel = np.exp(-2 * (np.pi * width * np.fft.rfftfreq(length)) ** 2)
        density = np.fft.irfft(np.fft.rfft(counts, length) * kernel, length)[: len(counts) : _FINER]
        density = np.maximum(density, 0.0)  # the transform rounds to -1e-17
        return density / (density @ self.weights)

    def kl(self, p: np.ndarray, q: np.ndarray) -> float:
        """Nats, of density p from q (X,), FLOOR of each spread evenly; nan where one is."""
        even = FLOOR / self.weights.sum()
        return _nats(*(((1 - FLOOR) * density + even) * self.weights for density in (p, q)))

    def overlap(self, p: np.ndarray, q: np.ndarray) -> float:
        return min(float(np.minimum(p, q) @ self.weights), 1.0)


def _scott(samples: np.ndarray) -> float:
    return float(np.std(samples, ddof=1) * samples.size**-0.2) if samples.size > 1 else 0.0


@dataclass(frozen=True, eq=False)
class Compared:
    """One feature of two sets; the fields are those of the same name of `evaluation.report.Comparison`."""

    mean_generated: np.ndarray
    mean_reference: np.ndarray
    x: np.ndarray
    densities: dict[str, np.ndarray]
    sums: dict[str, float]
    means: dict[str, float]
    scale: str
    kl: Interval
    oa: Interval
    mean_kl: Interval
    noise: dict[str, float]


def compare_features(
    generated: np.ndarray,
    reference: np.ndarray,
    rng: np.random.Generator,
    *,
    resamples: int = 100,
    level: float = 0.95,
    most_pieces: int = MOST_PIECES,
) -> Compared:
    """Yang and Lerch's comparison of two sets by one feature, (n, ...) and (m, ...), with bootstrap intervals.

    kl and oa are of the density of the distances within the generated set and that of the distances across. A set
    against itself, in whatever order, leaves out each piece's distance to itself across as it does within, so kl is 0
    and oa 1. Pieces whose feature is nan are left out; of more than `most_pieces`, so many are drawn, and `scale` says
    so. Intervals: pieces, not distances, are drawn again with replacement, and two copies of a piece make no pair.
    Drawing again adds noise, which pushes kl up; so the bounds are the quantiles' distances from the median of the
    resamples, laid around the estimate. What noise does to the estimate itself, `noise` shows: the mean, over 10 ways
    to cut the reference into random halves, of the same figures of one half against the other. mean_kl (for features
    that are arrays) is `kl_of_histograms` of the mean features. Noise is nan below four pieces of the reference.
    Raises ValueError below two pieces on either side.
    """
    a, b = _known(generated), _known(reference)
    sizes = {"generated": len(a), "reference": len(b)}
    same = np.array_equal(a, b)
    a = _drawn(a, rng, most_pieces)
    b = a if same else _drawn(b, rng, most_pieces)
    drawn = [f"; {most_pieces:,} of {size:,} {side} pieces drawn" for side, size in sizes.items() if size > most_pieces]
    scale = "not standardised" + "".join(drawn)
    n, m = len(a), len(b)
    if min(n, m) < 2:
        raise ValueError(f"distances need two pieces on either side, not {n} and {m}")

    pairs = _Pairs.of(a, b)
    times = rng.multinomial(n, np.full(n, 1 / n), resamples)
    other_times = times if same else rng.multinomial(m, np.full(m, 1 / m), resamples)
    again = np.array([pairs.figures(*each) for each in zip(times, other_times, strict=True)])
    estimate = pairs.figures(np.ones(n), np.ones(m))
    kl, oa, mean_kl = (
        _interval(value, values, n + m, level, most)
        for value, values, most in zip(estimate, again.T, (np.inf, 1.0, np.inf), strict=True)
    )
    halves = _Pairs.of(b, b)
    half = [rng.permutation(m) < m // 2 for _ in range(SPLITS)]
    noise = np.mean([halves.figures(one, ~one) for one in half], axis=0)
    return Compared(
        np.asarray(a.mean(axis=0)),
        np.asarray(b.mean(axis=0)),
        pairs.support.x,
        {name: pairs.density(name, np.ones(len(each)), np.ones(each.shape[1])) for name, each in pairs.cells.items()},
        {name: float(each.sum()) for name, each in pairs.distances.items()},
        {name: float(each.mean()) for name, each in pairs.distances.items()},
        scale,
        kl,
        oa,
        mean_kl,
        dict(zip(("kl", "oa", "mean_kl"), noise.tolist(), strict=True)),
    )


@dataclass(frozen=True, eq=False)
class _Pairs:
    """The pairs of pieces of two sets a (n, ...) and b (m, ...) by name ("generated" and "reference" within a and b,
    "inter" across): their distances, measured once, and the cells (n, m) of the support that these lie in. A piece
    makes no pair with itself, across neither where b is a."""

    a: np.ndarray
    b: np.ndarray
    distances: dict[str, np.ndarray]
    support: Support
    cells: dict[str, np.ndarray]

    @classmethod
    def of(cls, a: np.ndarray, b: np.ndarray) -> _Pairs:
        matrices = {"generated": inter_distances(a, a)}
        matrices["reference"] = matrices["generated"] if b is a else inter_distances(b, b)
        matrices["inter"] = matrices["generated"] if b is a else inter_distances(a, b)
        distances = {name: each if name == "inter" and b is not a else _others(each) for name, each in matrices.items()}
        support = Support.around(*distances.values())
        return cls(a, b, distances, support, {name: support.cells(each) for name, each in matrices.items()})

    def density(self, name: str, times: np.ndarray, other_times: np.ndarray) -> np.ndarray:
        """As if each piece of the one axis and of the other stood there so many times (n,), (m,)."""
        weights = np.outer(times, other_times).astype(float)
        if name != "inter" or self.b is self.a:
            np.fill_diagonal(weights, 0.0)
        return self.support.smoothed(np.bincount(self.cells[name].ravel(), weights.ravel(), POINTS * _FINER))

    def figures(self, times: np.ndarray, other_times: np.ndarray) -> tuple[float, float, float]:
        """KL and overlap of the distances within a and across; KL of the mean features."""
        p, q = self.density("generated", times, times), self.density("inter", times, other_times)
        means = (count @ part.reshape(len(part), -1) for count, part in ((times, self.a), (other_times, self.b)))
        mean_kl = kl_of_histograms(*means) if self.a.ndim > 1 else np.nan
        return self.support.kl(p, q), self.support.overlap(p, q), mean_kl


def _known(features: np.ndarray) -> np.ndarray:
    """The pieces that have the feature, in an order that does not depend on that in which they came."""
    features = np.asarray(features, float)
    flat = features.reshape(len(features), int(np.prod(features.shape[1:])))
    known = ~np.isnan(flat).any(axis=1)
    return features[known][np.lexsort(flat[known].T)]


def _drawn(features: np.ndarray, rng: np.random.Generator, most: int) -> np.ndarray:
    return features if len(features) <= most else features[np.sort(rng.permutation(len(features))[:most])]


def _others(distances: np.ndarray) -> np.ndarray:
    """(n, n - 1) of (n, n): each piece to each other one."""
    n = len(distances)
    return distances[~np.eye(n, dtype=bool)].reshape(n, max(n - 1, 0))


def _interval(value: float, again: np.ndarray, pieces: int, level: float, most: float) -> Interval:
    again = again[~np.isnan(again)]
    if not len(again):
        return Interval(value, np.nan, np.nan, pieces)
    low, middle, high = np.quantile(again, [(1 - level) / 2, 0.5, (1 + level) / 2])
    return Interval(value, float(max(value - middle + low, 0.0)), float(min(value - middle + high, most)), pieces)


_SOURCE = "Yang and Lerch (2020); Luo (2021), section 5.1.2"
_DISTANCES = "euclidean distances of the feature, every pair in both orders"

SET_MEASURES = (
    SetMeasure(
        "sum-of-distances", "sum of distances",
        "How far all pieces lie from each other, within a set or across two; a small sum within a set means sameness.",
        f"sum of {_DISTANCES} within a set, no piece with itself; each with each across", "unit of the feature",
        "Luo (2021), tables 5.2 to 5.5, 5.7, 5.9", where="orchestrion.metrics.distances.compare_features",
    ),
    SetMeasure(
        "mean-of-distances", "mean distance",
        "How far two pieces lie apart on average, within a set or across two; does not grow with the number of pieces.",
        f"mean of {_DISTANCES} within a set, no piece with itself; each with each across", "unit of the feature",
        _SOURCE, where="orchestrion.metrics.distances.compare_features",
    ),
    SetMeasure(
        "kl-of-distances", "KL of distances",
        "Whether generated pieces differ among themselves as they differ from the reference: 0 is alike, large is "
        "apart, or much of a sameness.",
        f"KL(p || q), p, q Gaussian densities (Scott) of {_DISTANCES}, p within the generated set and q across, at "
        f"{POINTS} points that reach {_PAD:g} bandwidths beyond all; {FLOOR:g} of each spread evenly",
        "nats", _SOURCE, where="orchestrion.metrics.distances.kl",
    ),
    SetMeasure(
        "kl-of-distances:mgeval", "KL of distances as mgeval has it",
        "Compares the shapes of the densities wherever they lie: sets far apart can come to 0.",
        "sum p log(p / q), p and q each at 1000 points from the least to the greatest of its own samples, normalised",
        "nats", "mgeval (Yang and Lerch)", where='orchestrion.metrics.distances.kl, grid="mgeval"',
    ),
    SetMeasure(
        "overlap-of-distances", "overlapping area",
        "How much of the two densities of distances, within the generated set and across, is common: 1 is alike.",
        "integral of min(p, q), p and q as in kl-of-distances", "share", _SOURCE, high=1.0,
        where="orchestrion.metrics.distances.overlap",
    ),
    SetMeasure(
        "overlap-of-distances:mgeval", "overlapping area as mgeval has it",
        "As the overlapping area, the tails of the densities cut off, so that a set overlaps itself by less than 1.",
        "integral of min(p, q) from the least to the greatest sample of both", "share", "mgeval (Yang and Lerch)",
        high=1.0, where='orchestrion.metrics.distances.overlap, grid="mgeval"',
    ),
    SetMeasure(
        "kl-of-mean-features", "KL of mean features",
        "Whether an average generated piece uses tones, steps or lengths as an average piece of the reference: 0 is "
        "the same.",
        f"sum p log(p / q), p the mean feature of the generated set and q that of the reference, {SMOOTHING:g} added "
        "to each cell of either and then normalised",
        "nats", "Luo (2021), table 5.1", where="orchestrion.metrics.distances.kl_of_histograms",
    ),
)  # fmt: skip
