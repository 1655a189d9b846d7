"""How the contract drives systems that make music step by step: one entry a system in STEPPING, None for all others.

Legend: B sequences, T steps, D width of what a system knows at a step.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from orchestrion.models.base import Batch, System
from orchestrion.models.layers.attention import Cache
from orchestrion.models.layers.recurrent import Memory
from orchestrion.models.zoo.composer import PREFIX_ROWS, Composer, Reading
from orchestrion.models.zoo.frame_rnn import FrameRNN
from orchestrion.models.zoo.frame_rnn import Reading as FrameReading
from orchestrion.models.zoo.luo_rnn import LuoRNN
from orchestrion.models.zoo.luo_roll_rnn import LuoRollRNN


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


class TokenStepping(Stepping):
    """Systems whose forward takes tokens and a state, and whose `begin` makes that of nothing read."""

    sequence = "tokens"

    def read(self, system: System, batch: Batch) -> Tensor:
        return system(batch["tokens"].clamp(min=0))[0]

    def begin(self, system: System, batch: Batch, lengths: np.ndarray) -> Any:
        states = []
        for tokens, length in zip(batch["tokens"].clamp(min=0), lengths, strict=True):
            assert callable(system.begin)
            states.append(system(tokens[None, :length])[1] if length else system.begin(1))
        return _joined(states)

    def step(self, system: System, steps: Tensor, state: Any) -> tuple[Tensor, Any]:
        return system(steps.clamp(min=0), state)


def _joined(states: list[Any]) -> Any:
    """The states of single sequences as that of a batch, whatever they are made of."""
    first = states[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        if first.ndim == 4:  # keys or values of attention, (B, H, S, D), of different lengths
            size = max(state.shape[2] for state in states)
            states = [F.pad(state, (0, 0, 0, size - state.shape[2])) for state in states]
        return torch.cat(states)
    if isinstance(first, tuple | list):
        parts = list(zip(*states, strict=True))
        if len(parts) == 2 and all(isinstance(part[0], Tensor) and part[0].ndim == 3 for part in parts):
            return tuple(torch.cat(part, dim=1) for part in parts)  # outputs and cells of LSTMs, (L, B, D)
        return type(first)(_joined(list(part)) for part in parts)
    names = [field.name for field in dataclasses.fields(first)]
    return dataclasses.replace(first, **{name: _joined([getattr(s, name) for s in states]) for name in names})


class LuoStepping(Stepping):
    """The recurrent stack of `models/layers/recurrent.py`, over tokens or frames."""

    def __init__(self, sequence: str) -> None:
        self.sequence = sequence

    def read(self, system: System, batch: Batch) -> Tensor:
        return system(batch[self.sequence].clamp(min=0))[0]

    def begin(self, system: System, batch: Batch, lengths: np.ndarray) -> Memory:
        assert isinstance(system, LuoRNN | LuoRollRNN)
        steps = zip(batch[self.sequence].clamp(min=0), lengths, strict=True)
        own = [system(row[None, :length])[1] if length else system.stack.begin(1) for row, length in steps]
        size = max(memory.seen.shape[1] for memory in own)
        lacking = [size - memory.seen.shape[1] for memory in own]  # put before what is there
        keys, values = (
            torch.cat([F.pad(part, (0, 0, lack, 0)) for part, lack in zip(parts, lacking, strict=True)])
            for parts in zip(*((memory.keys, memory.values) for memory in own), strict=True)
        )
        seen = torch.cat([F.pad(memory.seen, (lack, 0)) for memory, lack in zip(own, lacking, strict=True)])
        return Memory(_joined([memory.carries for memory in own]), keys, values, seen)

    def step(self, system: System, steps: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        return system(steps.clamp(min=0), state)


class FrameRNNStepping(Stepping):
    sequence = "inputs"

    def read(self, system: System, batch: Batch) -> Tensor:
        return system(batch["inputs"], batch["shift"])[0]

    def begin(self, system: System, batch: Batch, lengths: np.ndarray) -> tuple[Tensor, FrameReading]:
        assert isinstance(system, FrameRNN)
        own = [system(frames[None, :length], shift[None])[1] if length else system.nothing_read(1)
               for frames, shift, length in zip(batch["inputs"], batch["shift"], lengths, strict=True)]  # fmt: skip
        size = max(reading.seen.shape[1] for reading in own)
        lacking = [size - reading.seen.shape[1] for reading in own]  # put before what is there
        keys, values = (
            torch.cat([F.pad(part, (0, 0, lack, 0)) for part, lack in zip(parts, lacking, strict=True)])
            for parts in zip(*((reading.keys, reading.values) for reading in own), strict=True)
        )
        seen = torch.cat([F.pad(reading.seen, (lack, 0)) for reading, lack in zip(own, lacking, strict=True)])
        carries = [(torch.cat([h for h, _ in layer], 1), torch.cat([c for _, c in layer], 1))
                   for layer in zip(*(reading.carries for reading in own), strict=True)]  # fmt: skip
        before = torch.cat([reading.before for reading in own])
        return batch["shift"], FrameReading(carries, before, keys, values, seen)

    def step(self, system: System, steps: Tensor, state: tuple[Tensor, FrameReading]) -> tuple[Tensor, Any]:
        states, reading = system(steps, state[0], state[1])
        return states, (state[0], reading)


STEPPING: dict[str, Stepping | None] = {
    "composer": ComposerStepping(),
    "ape_gan": None,
    "planner": None,
    "attention_grid": TokenStepping(),
    "attention_rnn": TokenStepping(),
    "bilstm_gan": None,
    "cnn_lstm_gan": None,
    "dcgan": None,
    "dilated_convolution": TokenStepping(),
    "lookback_rnn": TokenStepping(),
    "frame_rnn": FrameRNNStepping(),
    "luo_rnn": LuoStepping("tokens"),
    "luo_roll_rnn": LuoStepping("frames"),
    "midi_net": None,
    "muse_gan": None,
    "music_transformer": TokenStepping(),
    "naive_gan": None,
    "performance_rnn": TokenStepping(),
    "transformer_gan": None,
    "wgan_gp_attention": None,
}


def changed_from(batch: Batch, entry: str, step: int, seed: int = 0) -> dict[str, Tensor]:
    """The batch with the steps of an entry from `step` on put in another order, each sequence in its own."""
    rng = np.random.default_rng(seed)
    other = batch[entry].clone()
    for sequence in other:
        tail = sequence[step:].clone()
        sequence[step:] = tail[torch.from_numpy(np.roll(rng.permutation(len(tail)), 1))]
    return {**batch, entry: other}
