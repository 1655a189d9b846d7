"""The gate: what a critic does not call real is composed again (Su et al. 2021, formulas 6 and 7), whatever system
composed it; or the best of several is handed out.

    gate = Gate(critic, "ape_gan", {"sha256": "..."}, tries=16)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

import numpy as np
from symusic import Score

from orchestrion.core.errors import UserError
from orchestrion.models.base import JudgingSystem, System
from orchestrion.models.pianoroll_gan import REAL
from orchestrion.music.theory import Key

TRIES = 16  # at music that the critic refuses, where no number is named

Candidate = TypeVar("Candidate")


class CheckError(UserError):
    """A check that cannot be made; the message is one line for the user."""


@dataclass(frozen=True)
class Verdict:
    """What a critic says of a piece that is handed out. odds: p of each of its candidates, in the order in which they
    were composed; the first of the highest is the piece."""

    odds: tuple[float, ...]

    @property
    def p(self) -> float:
        return max(self.odds)

    @property
    def accepted(self) -> bool:
        return self.p > REAL

    @property
    def index(self) -> int:
        """Of the candidate that is handed out."""
        return self.odds.index(self.p)

    @property
    def record(self) -> dict[str, Any]:
        return {"p": self.p, "tries": len(self.odds), "accepted": self.accepted, "odds": list(self.odds)}


@dataclass(frozen=True)
class Gate:
    """critic: a system that judges; named: what names it in a record. tries: how often music is composed again that it
    gives 0.5 or less; 0 judges and never composes again. best_of: so many are composed of each piece instead, whatever
    the critic says. Raises CheckError for a system that judges nothing and numbers that make no sense."""

    critic: JudgingSystem
    named: Mapping[str, Any]
    tries: int = TRIES
    best_of: int | None = None

    @classmethod
    def of(cls, system: System, named: Mapping[str, Any], tries: int | None, best_of: int | None) -> Gate:
        if not isinstance(system, JudgingSystem):
            raise CheckError(f"{named['system']} judges no music; name a system with a discriminator that does, such as"
                             " ape_gan")  # fmt: skip
        if tries is not None and best_of is not None:
            raise CheckError("name either how often to compose again (tries) or how many to choose from (best of)")
        if (tries or 0) < 0 or (1 if best_of is None else best_of) < 1:
            raise CheckError("music is composed again 0 times or more, and chosen from 1 candidate or more")
        return cls(system, named, TRIES if tries is None else tries, best_of)

    def odds_of(self, score: Score, sentence: np.ndarray | None, key: Key | None) -> float:
        return self.critic.odds_of(score, sentence, key)

    def wants(self, odds: Sequence[float]) -> bool:
        """Whether another candidate is to be composed of a piece, of which those so far have these odds."""
        if self.best_of is not None:
            return len(odds) < self.best_of
        return len(odds) <= self.tries and max(odds, default=0.0) <= REAL

    @property
    def record(self) -> dict[str, Any]:
        """The critic and what was asked of it."""
        asked = {"at_most_again": self.tries} if self.best_of is None else {"best_of": self.best_of}
        return {"critic": dict(self.named), **asked}


def check_own_tries(system: System, name: str, tries: int | None) -> None:
    """Raises CheckError where a system cannot compose again, so many times, what its own discriminator refuses."""
    if tries is not None and not isinstance(system, JudgingSystem):
        raise CheckError(f"{name} has no discriminator to compose again by; name a critic to check by")
    if (tries or 0) < 0:
        raise CheckError(f"music cannot be composed again {tries} times; ask for 0 or more")


def acceptance(verdicts: Sequence[Verdict]) -> tuple[int, int]:
    """How many candidates a critic called real, and how many it heard."""
    odds = [p for verdict in verdicts for p in verdict.odds]
    return sum(p > REAL for p in odds), len(odds)


def candidates(
    pieces: int, draw: Callable[[list[int], int], Sequence[Candidate]], wants: Callable[[list[Candidate]], bool]
) -> list[list[Candidate]]:
    """Those of each piece, in rounds, for as long as it wants another. draw: the places of some pieces, and the number
    of the round, from 1 -> a candidate for each; wants: the candidates of a piece so far -> whether to draw another."""
    found: list[list[Candidate]] = [[] for _ in range(pieces)]
    for turn in count(1):
        places = [place for place in range(pieces) if wants(found[place])]
        if not places:
            break
        for place, candidate in zip(places, draw(places, turn), strict=True):
            found[place].append(candidate)
    return found
