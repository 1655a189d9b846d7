"""How the contract drives systems that make music step by step: one entry a system in STEPPING, None for all others.

Legend: B sequences, T steps, D width of what a system knows at a step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from orchestrion.nn.attention import Cache
from orchestrion.system import Batch, System
from orchestrion.systems.composer import PREFIX_ROWS, Composer, Reading


class Stepping(ABC):
    """What a system knows at each step of a batch, read as its losses read it and as its sampling does."""

    sequence: str  # the entry (B, T, ...) of a batch that is read in order

    @abstractmethod
    def read(self, system: System, batch: Batch) -> Tensor:
        """(B, T, D): all at once, without state."""

    @abstractmethod
    def begin(self, system: System, batch: Batch, lengths: np.ndarray) -> Any:
        """The state of the batch after the first `lengths` (B,) steps of each sequence."""

    @abstractmethod
    def step(self, system: System, steps: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read (B, n, ...) more -> (B, n, D) and the state after them; the one given may be changed."""


class ComposerStepping(Stepping):
    sequence = "rows"

    def read(self, system: System, batch: Batch) -> Tensor:
        assert isinstance(system, Composer)
        return system(batch["rows"], self._prefix(system, batch))

    def begin(self, system: System, batch: Batch, lengths: np.ndarray) -> Reading:
        assert isinstance(system, Composer)
        prefix, rows, config = self._prefix(system, batch), batch["rows"], system.config
        count, size = len(rows), rows.shape[1] + PREFIX_ROWS
        caches = [Cache.empty(count, config.heads, size, config.width // config.heads, prefix)
                  for _ in range(config.layers)]  # fmt: skip
        condition = system.join(prefix.flatten(1))
        for index, length in enumerate(lengths):
            own = [Cache(cache.keys[index : index + 1], cache.values[index : index + 1]) for cache in caches]
            one = slice(index, index + 1)
            system(rows[one, :length], prefix[one], Reading(own, np.zeros(1, np.int64), condition[one]))
        return Reading(caches, lengths + PREFIX_ROWS, condition)

    def step(self, system: System, steps: Tensor, state: Reading) -> tuple[Tensor, Reading]:
        return system(steps, None, state), state

    def _prefix(self, system: Composer, batch: Batch) -> Tensor:
        return system.condition(batch["sentence"], batch["tempo"], batch["mode"], batch["ensemble"])


STEPPING: dict[str, Stepping | None] = {"composer": ComposerStepping()}


def changed_from(batch: Batch, entry: str, step: int, seed: int = 0) -> dict[str, Tensor]:
    """The batch with the steps of an entry from `step` on put in another order, each sequence in its own."""
    rng = np.random.default_rng(seed)
    other = batch[entry].clone()
    for sequence in other:
        tail = sequence[step:].clone()
        sequence[step:] = tail[torch.from_numpy(np.roll(rng.permutation(len(tail)), 1))]
    return {**batch, entry: other}
