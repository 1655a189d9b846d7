"""Luo's recurrent stack (2021, sections 5.3 and 5.4): two LSTMs, with self-attention before the second where asked.

Legend: B sequences, T new steps, S steps remembered, I inputs, D width.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

Carry = tuple[Tensor, Tensor]  # output and cell of an LSTM, (1, B, D) each


@dataclass(frozen=True)
class Memory:
    """What the stack has kept of the steps read so far; S is at most the attention's reach less one, 0 without it.

    carries: of both LSTMs. keys, values: (B, S, D). seen: (B, S) bool, False where a shorter sequence has no step yet.
    """

    carries: tuple[Carry, Carry]
    keys: Tensor
    values: Tensor
    seen: Tensor


class SelfAttention(nn.Module):
    """Dot-product attention with projections and, as printed in Luo's figure 5.4, without scale or a second projection.

    The figure lets every step look at all others. Here each looks at the last `reach` steps, itself among them: at the
    last step of a window of that length, the one that the report predicts from, both see the same.
    """

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, T, D) and what is remembered, (B, S, D) twice and (B, S) -> (B, T, D) and what is to be remembered."""
        new, before = x.shape[1], keys.shape[1]
        keys, values = torch.cat([keys, self.key(x)], 1), torch.cat([values, self.value(x)], 1)
        seen = torch.cat([seen, seen.new_ones(x.shape[:2])], 1)
        if not before and new <= self.reach:
            found = F.scaled_dot_product_attention(self.query(x), keys, values, is_causal=True, scale=1.0)
        else:
            places = torch.arange(before + new, device=x.device)
            distance = places[before:, None] - places  # (T, S + T)
            near = (distance >= 0) & (distance < self.reach) & seen[:, None]
            found = F.scaled_dot_product_attention(self.query(x), keys, values, attn_mask=near, scale=1.0)
        kept = slice(max(before + new - self.reach + 1, 0), None)
        return found, keys[:, kept], values[:, kept], seen[:, kept]


class RecurrentStack(nn.Module):
    """LSTM, attention where `reach` is not 0, LSTM. `residual`: the attention is added to what goes into it.

    between: dropout behind the first LSTM; end: behind the second.
    """

    def __init__(self, inputs: int, width: int, *, reach: int, residual: bool, between: float, end: float) -> None:
        super().__init__()
        self.residual = residual
        self.first = nn.LSTM(inputs, width, batch_first=True)
        self.attention = SelfAttention(width, reach) if reach else None
        self.second = nn.LSTM(width, width, batch_first=True)
        self.between, self.end = nn.Dropout(between), nn.Dropout(end)

    def forward(self, x: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """(B, T, I) -> (B, T, D), and the memory to go on from; None for the beginning."""
        memory = self.begin(len(x)) if memory is None else memory
        x, first = self.first(x, memory.carries[0])
        x, kept = self.between(x), (memory.keys, memory.values, memory.seen)
        if self.attention is not None:
            found, *rest = self.attention(x, *kept)
            x, kept = (x + found if self.residual else found), (rest[0], rest[1], rest[2])
        x, second = self.second(x, memory.carries[1])
        return self.end(x), Memory((first, second), *kept)

    def begin(self, count: int) -> Memory:
        """The memory of so many sequences of which nothing is read."""
        like = next(self.second.parameters())
        zeros = like.new_zeros(1, count, self.second.hidden_size)
        empty = like.new_zeros(count, 0, self.second.hidden_size)
        seen = torch.zeros(count, 0, dtype=torch.bool, device=like.device)
        return Memory(((zeros, zeros), (zeros, zeros)), empty, empty, seen)


def clipped_adam(parameters: Iterable[nn.Parameter], rate: float, most: float) -> Optimizer:
    """Adam that moves no element of a gradient beyond +-`most` (Luo 2021, section 3.2.13), before anything else."""
    adam = Adam(parameters, lr=rate)

    def clip(optimizer: Optimizer, *_: Any) -> None:
        for group in optimizer.param_groups:
            nn.utils.clip_grad_value_(group["params"], most)

    adam.register_step_pre_hook(clip)
    return adam
