"""Causal self-attention with rotary positions on several axes at once, read whole or step by step from a cache.

Legend: B batch, T new steps, S steps in the cache, H heads, D width, R rotated pairs of a head (half its size).
Rotary positions: Su et al. 2021; a second axis in musical time makes the relative distance of two events a musical one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Cache:
    """Keys and values of one layer for B sequences of different lengths: (B, H, S, D / H) each; lengths (B,)."""

    keys: Tensor
    values: Tensor

    @classmethod
    def empty(cls, batch: int, heads: int, size: int, head_width: int, like: Tensor) -> Cache:
        shape = (batch, heads, size, head_width)
        return cls(like.new_zeros(shape), like.new_zeros(shape))


def rotation(positions: Tensor, wavelengths: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines, (B, T, 1, 2R), for positions (B, T, A) on A axes and wavelengths (A, R).

    Each pair turns by the sum of its angles on all axes; a wavelength of infinity leaves an axis out.
    """
    angles = (positions.to(wavelengths.dtype).unsqueeze(-1) * (2 * torch.pi / wavelengths)).sum(-2)  # (B, T, R)
    angles = torch.cat([angles, angles], dim=-1).unsqueeze(2)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn (B, T, heads, 2R) by the given rotation."""
    first, second = x.chunk(2, dim=-1)
    return x * cosines + torch.cat([-second, first], dim=-1) * sines


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inward = nn.Linear(width, 3 * width, bias=False)
        self.outward = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.outward.weight)

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], cache: Cache | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """(B, T, D) -> (B, T, D). With a cache, `lengths` (B,) says how many steps each sequence already holds."""
        batch, steps, width = x.shape
        heads = self.inward(x).view(batch, steps, 3 * self.heads, width // self.heads)
        queries_keys, values = heads[:, :, : 2 * self.heads], heads[:, :, 2 * self.heads :].transpose(1, 2)
        queries, keys = rotate(queries_keys, *turn).to(values.dtype).transpose(1, 2).chunk(2, dim=1)
        if cache is None:
            mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)  # (B, H, T, D / H)
        else:
            assert lengths is not None
            mixed = _attend_to_cache(queries, keys, values, cache, lengths)
        return self.outward(mixed.transpose(1, 2).reshape(batch, steps, width))


def _attend_to_cache(queries: Tensor, keys: Tensor, values: Tensor, cache: Cache, lengths: Tensor) -> Tensor:
    batch, _, steps, _ = queries.shape
    places = lengths[:, None] + torch.arange(steps, device=lengths.device)  # (B, T)
    rows = torch.arange(batch, device=lengths.device)[:, None]
    kind = cache.keys.dtype  # of more precision than the rest where that runs in bf16
    cache.keys[rows, :, places] = keys.transpose(1, 2).to(kind)
    cache.values[rows, :, places] = values.transpose(1, 2).to(kind)
    size = int(lengths.max()) + steps
    seen = torch.arange(size, device=lengths.device) <= places[..., None]  # (B, T, S)
    return F.scaled_dot_product_attention(
        queries.to(kind), cache.keys[:, :, :size], cache.values[:, :, :size], attn_mask=seen[:, None]
    )


class Block(nn.Module):
    """Pre-norm attention and a squared-ReLU network (So et al. 2021), each added to its input."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.attention = Attention(width, heads)
        self.network_norm = nn.LayerNorm(width, bias=False)
        self.widen = nn.Linear(width, 4 * width, bias=False)
        self.narrow = nn.Linear(4 * width, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.narrow.weight)

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], cache: Cache | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), turn, cache, lengths))
        return x + self.dropout(self.narrow(F.relu(self.widen(self.network_norm(x))).square()))
