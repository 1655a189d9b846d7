"""What people say of music, as figures: shares with their intervals, and who is preferred to whom.

Shape legend: K competitors (sets of music), L listeners, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log, log1p, nan, sqrt
from statistics import NormalDist

import numpy as np

from orchestrion.metrics.sets import Interval

_ROUNDING = 1 + 1e-7  # outcomes as likely as the one observed differ from it by rounding alone
_STEPS = 20_000  # of the MM algorithm at most; a strength that still moves then is given as it is
_SETTLED = 1e-11  # change of a strength, relative, at which it stops


def wilson_interval(successes: int, trials: int, *, level: float = 0.95) -> Interval:
    """A share with its score interval: all shares that a normal test would not reject. nan without trials.

    Near the stated level for few trials too, where mean ± deviations fails (Wilson 1927; Brown, Cai and DasGupta 2001).
    """
    if not _counted(successes, trials):
        return Interval(nan, nan, nan, 0)
    z, share = NormalDist().inv_cdf((1 + level) / 2), successes / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Interval(share, 0.0 if successes == 0 else low, 1.0 if successes == trials else high, trials)


def exact_interval(successes: int, trials: int, *, level: float = 0.95) -> Interval:
    """A share with its exact binomial interval, which holds at least the stated level whatever the share and is wider
    for it (Clopper and Pearson 1934). nan without trials."""
    if not _counted(successes, trials):
        return Interval(nan, nan, nan, 0)
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else _share_where(lambda p: 1 - _at_most(successes - 1, trials, p) < tail)
    high = 1.0 if successes == trials else _share_where(lambda p: _at_most(successes, trials, p) > tail)
    return Interval(successes / trials, low, high, trials)


def binomial_test(successes: int, trials: int, chance: float = 0.5) -> float:
    """Two-sided exact p-value, 0..1: how likely outcomes are that are no likelier than this one, were each trial a
    success by `chance` (strictly between 0 and 1). nan without trials."""
    if not 0 < chance < 1:
        raise ValueError(f"chance must lie between 0 and 1, not at {chance}")
    if not _counted(successes, trials):
        return nan
    likely = _binomial(trials, chance)
    return float(min(1.0, likely[likely <= likely[successes] * _ROUNDING].sum()))


@dataclass(frozen=True, eq=False)
class BradleyTerry:
    """How strong each competitor is: i is preferred to j by chance 1 / (1 + exp(strengths[j] − strengths[i])).

    strengths: (K,), natural logarithms, that of `reference` 0; nan where the answers leave it open, and then
    `unresolved` says why, by competitor. No strength is infinite.
    """

    strengths: np.ndarray
    reference: int
    unresolved: dict[int, str]


def bradley_terry(wins: np.ndarray, *, reference: int | None = None) -> BradleyTerry:
    """Strengths of competitors that were compared in pairs, of the greatest likelihood.

    wins: (K, K), wins[i, j] how often i was preferred to j; of a tie, half for either. reference: whose strength is 0;
    None: the first of the largest group. A likelihood has a greatest point only among competitors each of whom was
    preferred, directly or along a chain, to each other (Ford 1957); those outside of the group of the reference have
    no strength and a reason. Source: Bradley and Terry (1952), by the MM algorithm of Hunter (2004).
    """
    wins = _checked(wins)
    reaches = _reaches(wins[None])[0]
    mutual = reaches & reaches.T
    if reference is None:
        reference = int(mutual.sum(axis=1).argmax())
    group = mutual[reference]
    strengths = np.full(len(wins), nan)
    strengths[group] = _fitted(wins[None], mutual[None])[0][group]
    unresolved = {int(one): _reason(wins, reaches, int(one), reference) for one in np.flatnonzero(~group)}
    return BradleyTerry(strengths - strengths[reference], reference, unresolved)


def preferred_to_reference(
    wins: np.ndarray, rng: np.random.Generator, *, reference: int | None = None, level: float = 0.95,
    resamples: int = 2000,
) -> list[Interval]:  # fmt: skip
    """For each competitor the chance, by `bradley_terry` of all answers, of being preferred to the reference, with a
    percentile bootstrap over listeners, as the answers of one listener are no independent witnesses.

    wins: (L, K, K), of each listener. In a resample in which a competitor never loses (wins) along any chain to the
    reference the chance counts as 1 (0). nan where the strength is unresolved; bounds are nan for fewer than two
    listeners. `pieces` is the number of comparisons that the competitor was in.
    """
    wins = np.asarray(wins, float)
    total = _checked(wins.sum(axis=0))
    whole = bradley_terry(total, reference=reference)
    base = whole.reference
    met = (total + total.T).sum(axis=1)
    low = high = np.full(len(total), nan)
    if len(wins) >= 2:
        weights = rng.multinomial(len(wins), np.full(len(wins), 1 / len(wins)), resamples)  # (R, L)
        drawn = np.einsum("rl,lij->rij", weights, wins)
        reaches = _reaches(drawn)
        mutual = reaches & reaches.transpose(0, 2, 1)
        strengths = _fitted(drawn, mutual)
        apart = strengths - strengths[:, [base]]
        above, below = reaches[:, :, base], reaches[:, base, :]  # (R, K)
        # Without a chain either way nothing is known of this resample: it counts for both ends of the interval.
        lower = np.where(above & below, apart, np.where(above, inf, -inf))
        upper = np.where(above & below, apart, np.where(below, -inf, inf))
        low = _chance(np.quantile(lower, (1 - level) / 2, axis=0, method="inverted_cdf"))
        high = _chance(np.quantile(upper, (1 + level) / 2, axis=0, method="inverted_cdf"))
    chances = _chance(whole.strengths)
    return [
        Interval(nan, nan, nan, round(met[one])) if np.isnan(chances[one])
        else Interval(float(chances[one]), float(low[one]), float(high[one]), round(met[one]))
        for one in range(len(total))
    ]  # fmt: skip


def _checked(wins: np.ndarray) -> np.ndarray:
    wins = np.asarray(wins, float)
    if wins.ndim != 2 or wins.shape[0] != wins.shape[1] or len(wins) < 2:
        raise ValueError(f"wins needs a row and a column for each of two competitors or more, not {wins.shape}")
    if not np.isfinite(wins).all() or (wins < 0).any() or np.diag(wins).any():
        raise ValueError("wins must not be negative, and nobody wins against himself")
    return wins


def _reaches(wins: np.ndarray) -> np.ndarray:
    """(R, K, K) -> (R, K, K) bool: whether i was preferred to j along a chain; everyone reaches himself."""
    reaches = (wins > 0) | np.eye(wins.shape[-1], dtype=bool)
    for _ in range(max(1, (wins.shape[-1] - 1).bit_length())):  # each round doubles the length of chains
        reaches = np.matmul(reaches, reaches)
    return np.asarray(reaches)


def _fitted(wins: np.ndarray, mutual: np.ndarray) -> np.ndarray:
    """(R, K, K) wins and who belongs to whose group -> (R, K) log strengths, with a mean of 0 in each group."""
    wins = np.where(mutual, wins, 0.0)
    met, won = wins + wins.transpose(0, 2, 1), wins.sum(axis=2)
    alone = won == 0  # in a group of his own
    strengths = np.ones(won.shape)
    sizes = mutual.sum(axis=2)
    for _ in range(_STEPS):
        sums = (met / (strengths[:, :, None] + strengths[:, None, :])).sum(axis=2)
        moved = np.where(alone, 1.0, won / np.where(alone, 1.0, sums))
        # Only ratios within a group count: bring each group's geometric mean back to 1.
        moved *= np.exp(-(np.log(moved)[:, None, :] * mutual).sum(axis=2) / sizes)
        still = np.abs(moved / strengths - 1).max() < _SETTLED
        strengths = moved
        if still:
            break
    return np.asarray(np.log(strengths))


def _reason(wins: np.ndarray, reaches: np.ndarray, one: int, reference: int) -> str:
    won, lost = wins[one].sum(), wins[:, one].sum()
    if not won and not lost:
        return "never compared"
    if not won:
        return "never preferred"
    if not lost:
        return "always preferred"
    if reaches[one, reference]:
        return "above the others: nothing shows how far"
    if reaches[reference, one]:
        return "below the others: nothing shows how far"
    return "no comparison links it to the others"


def _chance(log_odds: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-log_odds)))


def _counted(successes: int, trials: int) -> bool:
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials cannot be")
    return trials > 0


def _binomial(trials: int, chance: float) -> np.ndarray:
    """(trials + 1,) probabilities of each number of successes; chance strictly between 0 and 1."""
    k = np.arange(trials + 1)
    ways = np.concatenate([[0.0], np.cumsum(np.log((trials - k[1:] + 1) / k[1:]))])  # logarithm of "trials choose k"
    return np.asarray(np.exp(ways + k * log(chance) + (trials - k) * log1p(-chance)))


def _at_most(successes: int, trials: int, chance: float) -> float:
    return float(_binomial(trials, chance)[: successes + 1].sum())


def _share_where(below: Callable[[float], bool]) -> float:
    """The share, strictly between 0 and 1, up to which `below` holds, by halving."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2
