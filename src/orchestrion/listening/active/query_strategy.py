"""Which of a pool of phrases people are asked about, by what a discriminator makes of them.

Legend: N phrases of the pool, C numbers that a mark is read off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrion.listening.active import ActiveError

STRATEGIES = ("band", "entropy", "margin", "diverse", "random")
LOW, HIGH = 0.475, 0.525  # between them a discriminator is unsure (Su et al. 2021)
EVEN = 0.5


@dataclass(frozen=True)
class Policy:
    """How phrases are chosen. strategy:

    band: those with odds between `low` and `high`, the nearest to 1/2 first, and no others, as the paper has it; with
        `fill` others too, where those are too few.
    entropy, margin: the most uncertain of all, by the entropy of the odds or by how far the likelier answer leads. Of
        two answers both order phrases alike, and as `band` does with `fill`; they differ in what they are called.
    diverse: uncertain and unlike one another: k-means++ over the gradients that the last layer would get if the
        discriminator were right (BADGE, Ash et al. 2020).
    random: the control.

    Raises ActiveError for a strategy that there is not, or a band that is none.
    """

    strategy: str = "band"
    low: float = LOW
    high: float = HIGH
    fill: bool = False

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ActiveError(f"there is no strategy {self.strategy!r}; choose {', '.join(STRATEGIES)}")
        if not 0 <= self.low < self.high <= 1:
            raise ActiveError(f"{self.low:g} to {self.high:g} is no band of odds; choose two numbers from 0 to 1")

    def unsure(self, odds: np.ndarray) -> np.ndarray:
        """(N,) odds -> (N,) bool: what lies in the band."""
        return np.asarray((odds > self.low) & (odds < self.high))


def chosen(odds: np.ndarray, found: np.ndarray, budget: int, policy: Policy, rng: np.random.Generator) -> np.ndarray:
    """The places of at most `budget` phrases in the pool, the first to ask first.

    odds: (N,) of being real, 0 to 1; found: (N, C), what the discriminator reads its mark off.
    """
    if policy.strategy == "random":
        return rng.permutation(len(odds))[:budget]
    if policy.strategy == "entropy":
        return np.argsort(-_entropy(odds), kind="stable")[:budget]
    if policy.strategy == "diverse":
        return _spread(gradients(odds, found), budget, rng)
    order = np.argsort(np.abs(odds - EVEN), kind="stable")
    if policy.strategy == "band" and not policy.fill:
        order = order[policy.unsure(odds)[order]]
    elif policy.strategy == "band":  # a band that does not lie evenly about 1/2 comes first all the same
        order = order[np.argsort(~policy.unsure(odds)[order], kind="stable")]
    return order[:budget]


def gradients(odds: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(N,), (N, C) -> (N, C): the gradients of the last layer's weights if each phrase is what it is more likely to be.
    They are long where the odds are even and point where phrases differ."""
    return (odds - (odds > EVEN))[:, None] * found


def _entropy(odds: np.ndarray) -> np.ndarray:
    kept = np.clip(odds.astype(np.float64), 1e-12, 1 - 1e-12)
    return np.asarray(-kept * np.log(kept) - (1 - kept) * np.log(1 - kept))


def _spread(points: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
    """Places of points (N, C): the longest first, each other with odds as its squared distance to those before it
    (k-means++, Arthur and Vassilvitskii 2007); any of the rest where all are where others are."""
    picked: list[int] = []
    points = points.astype(np.float64)
    apart = np.square(points).sum(1)
    while len(picked) < min(budget, len(points)):
        if not picked:
            place = int(apart.argmax())
        elif apart.sum() > 0:
            place = int(rng.choice(len(points), p=apart / apart.sum()))
        else:
            place = int(rng.choice(np.setdiff1d(np.arange(len(points)), picked)))
        away = np.square(points - points[place]).sum(1)
        apart = np.minimum(apart, away) if len(picked) else away
        apart[place] = 0
        picked.append(place)
    return np.array(picked, np.int64)
