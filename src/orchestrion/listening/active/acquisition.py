"""A round of questions: a pool of phrases is marked by the discriminator, and some are chosen for people to hear.

Legend: N phrases of the pool, B of a batch, K tracks, S steps of a phrase, P pitches, C numbers that odds are read off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from orchestrion.data.labeled import Judged
from orchestrion.data.store import Corpus
from orchestrion.listening.active import ActiveError
from orchestrion.listening.active.items import append, asked_in
from orchestrion.listening.active.query_strategy import Policy, chosen
from orchestrion.models import checkpoint
from orchestrion.models.base import Batch, System
from orchestrion.models.loading import load
from orchestrion.representations.phrases import PhraseGrid, empty, flooded
from orchestrion.training.run_folder import last_checkpoint

JUDGED = "judged.npz"  # of a run that learned from what people said: those phrases
SMALLEST_POOL = 2
THE_PAPER = Policy()


@runtime_checkable
class Judge(Protocol):
    """A System whose discriminator gives odds that phrases (B, K, S, P) bool are real: what can ask and be taught."""

    grid: PhraseGrid

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        """Real phrases under "phrases", as it learns from them; of a JudgedCorpus also those that were judged."""

    def draw(self, rngs: Sequence[np.random.Generator], sentence: np.ndarray | None) -> np.ndarray:
        """A phrase for each random stream."""

    def odds(self, phrases: np.ndarray, sentence: np.ndarray | None) -> np.ndarray:
        """(B,) of being real."""

    def found(self, phrases: np.ndarray) -> np.ndarray:
        """(B, C) what the odds are read off."""


@dataclass(frozen=True, eq=False)
class Pool:
    """phrases: (N, K, S, P) bool, all different; made: (N,) bool, those that the system drew itself."""

    phrases: np.ndarray
    made: np.ndarray

    def subset(self, kept: np.ndarray) -> Pool:
        """Those that `kept` names: places, or bool."""
        return Pool(self.phrases[kept], self.made[kept])


@dataclass(frozen=True)
class Round:
    """What was asked. number: from 1; pool: phrases marked; unsure: how many of them lie in the band; ids and odds of
    the items, the first to hear first; made: how many of those the system drew itself."""

    number: int
    pool: int
    unsure: int
    ids: tuple[str, ...]
    odds: tuple[float, ...]
    made: int


def start(run: Path, model: str) -> None:
    """Make a checkpoint or bundled weights the beginning of a run. Raises ActiveError where the run is there."""
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise ActiveError(f"{run} is there already; leave out --model to go on with it, or name a new run")
    loaded = load(model)
    judge(loaded.system, loaded.name)
    step, encoder = int(loaded.notes.get("step", 0)), loaded.notes.get("encoder")
    checkpoint.save(run / "checkpoints" / str(step), loaded.name, loaded.system, step=step, encoder=encoder)


def newest(run: Path) -> Path:
    """The last checkpoint of a run: it asks, and it is what learning goes on from. Raises ActiveError."""
    found = last_checkpoint(run)
    if found is None:
        raise ActiveError(f"{run} is no run with a checkpoint; train one, or begin one from weights: `orchestrion"
                          f" active {run} --model NAME`")  # fmt: skip
    return found


def judge(system: System, name: str) -> Judge:
    """The system, if it can ask. Raises ActiveError."""
    if not isinstance(system, Judge):
        raise ActiveError(f"{name} has no discriminator that gives the odds that music is real; take a run of ape_gan")
    return system


def pool_of(system: Judge, corpus: Corpus, size: int, rng: np.random.Generator) -> Pool:
    """At most `size` phrases: half of the train split, as the system learns from them, half of its own; none that is
    silent or flooded, and none twice. Raises CorpusError, and ActiveError for a size below 2."""
    if size < SMALLEST_POOL:
        raise ActiveError(f"a pool of {size} leaves nothing to choose from; take some hundreds")
    drawn: list[np.ndarray] = []
    while sum(map(len, drawn)) < size - size // 2:
        drawn.append(system.batch(corpus, "train", rng)["phrases"].numpy())
    real = np.concatenate(drawn)[: size - size // 2]
    made = system.draw(rng.spawn(size // 2), None)
    phrases = np.concatenate([real, made])
    _, firsts = np.unique(_packed(phrases), axis=0, return_index=True)
    kept = ~empty(phrases) & ~flooded(phrases)
    kept &= np.isin(np.arange(len(phrases)), firsts)
    return Pool(phrases[kept], (np.arange(len(phrases)) >= len(real))[kept])


def ask(
    run: Path, corpus: Corpus, *, budget: int = 20, policy: Policy = THE_PAPER, size: int = 512, seed: int = 0
) -> Round:
    """Choose at most `budget` phrases of a pool of `size`, none that was asked about or judged before, and write them
    for people to hear. Each round of a seed has a pool of its own. Raises ActiveError, CorpusError, WritingError."""
    if budget < 1:
        raise ActiveError(f"a budget of {budget} asks nothing; take 1 or more")
    loaded, _, notes = checkpoint.load(newest(run))
    system = judge(loaded.eval(), notes["system"])
    asked, judged = asked_in(run, system.grid), judged_in(run)
    number = asked.rounds + 1
    rng = np.random.default_rng((seed, number))
    pool = pool_of(system, corpus, size, rng)
    known = np.concatenate([asked.phrases, judged.phrases]) if judged else asked.phrases
    pool = pool.subset(~_among(pool.phrases, known))
    if not len(pool.phrases):
        raise ActiveError(f"{run} has asked about all of a pool of {size}; take a larger --pool or another --seed")
    odds = system.odds(pool.phrases, None)
    places = chosen(odds, system.found(pool.phrases), budget, policy, rng)
    picked = pool.subset(places)
    ids = append(run, asked, system.grid, picked.phrases, picked.made, odds[places]) if len(places) else ()
    return Round(number, len(odds), int(policy.unsure(odds).sum()), ids, tuple(map(float, odds[places])),
                 int(picked.made.sum()))  # fmt: skip


def judged_in(run: Path) -> Judged | None:
    """What a run has learned from beside its corpus. Raises CorpusError."""
    path = run / JUDGED
    return Judged.read(path) if path.exists() else None


def _among(phrases: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(N, K, S, P), (M, K, S, P) -> (N,) bool."""
    there = {row.tobytes() for row in _packed(known)}
    return np.array([row.tobytes() in there for row in _packed(phrases)], bool)


def _packed(phrases: np.ndarray) -> np.ndarray:
    return np.packbits(phrases.reshape(len(phrases), int(np.prod(phrases.shape[1:]))), axis=1)
