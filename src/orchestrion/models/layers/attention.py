"""Causal self-attention with rotary positions on several axes at once, read whole or step by step from a cache.

Legend: B batch, T new steps, S steps in the cache, H heads, D width, R rotated pairs of a head (half its size).
Rotary positions: Su et al. 2021; a second axis in musical time makes the relative distance of two events a musical one.

On a CPU, each pass over a tensor of all rows between two products waits for memory, and fresh memory costs most. There,
`_CausalAttention` and `_SquaredReLUNetwork` take a few rows through all that is to do with them, so that what
lies between the products stays in the processor's cache, and write out their gradients by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


_QUERY_CHUNK = 128  # queries at once: fewer waste less on what a query may not see, more make products faster
_IN_CHUNKS = (torch.bfloat16, torch.float32)  # precisions in which chunks are taken rather than PyTorch's own kernel
_MOST_KEPT = 1024  # steps up to which the probabilities, whose memory grows with the square, are worth keeping
_ROW_CHUNK = 256  # rows of the network at once: theirs of four times the width must fit in the cache


def _put_turned(source: Tensor, cosines: Tensor, sines: Tensor, target: Tensor) -> None:
    """Write what `rotate` gives for one sequence's rows, both (T, heads, 2R) and of any layout, with no more copies.

    cosines, sines: (T, 1, R). The products are of their precision and rounded once, as in `rotate`.
    """
    first, second = source.chunk(2, dim=-1)
    to_first, to_second = target.chunk(2, dim=-1)
    to_first.copy_(first * cosines - second * sines)
    to_second.copy_(second * cosines + first * sines)


class _CausalAttention(torch.autograd.Function):
    """Queries, keys and values before their turn, (B, T, 3D) -> (B, T, D), one sequence and chunk of queries at a time.

    A chunk of queries sees the keys up to its own end, masked on its own square alone; its probabilities are kept.
    """

    @staticmethod
    def forward(ctx: Any, inward: Tensor, cosines: Tensor, sines: Tensor, heads: int) -> Tensor:
        batch, steps, _ = inward.shape
        by_step = inward.view(batch, steps, 3 * heads, -1)
        turned = inward.new_empty(batch, 3 * heads, steps, by_step.shape[-1])
        mixed = inward.new_empty(batch, steps, heads, by_step.shape[-1])
        half = by_step.shape[-1] // 2
        cosines, sines = cosines[..., :half], sines[..., :half]
        later = inward.new_full((_QUERY_CHUNK, _QUERY_CHUNK), -torch.inf).triu_(1)
        kept = []
        for index in range(batch):
            own = turned[index].transpose(0, 1)
            _put_turned(by_step[index, :, : 2 * heads], cosines[index], sines[index], own[:, : 2 * heads])
            own[:, 2 * heads :] = by_step[index, :, 2 * heads :]
            queries, keys, values = turned[index].chunk(3)
            for start in range(0, steps, _QUERY_CHUNK):
                end = min(start + _QUERY_CHUNK, steps)
                scores = torch.bmm(queries[:, start:end], keys[:, :end].mT).mul_(queries.shape[-1] ** -0.5)
                scores[..., start:] += later[: end - start, : end - start]
                kept.append(scores.softmax(-1))
                mixed[index, start:end] = torch.bmm(kept[-1], values[:, :end]).transpose(0, 1)
        ctx.save_for_backward(turned, cosines, sines, *kept)
        return mixed.flatten(2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        turned, cosines, sines, *kept = ctx.saved_tensors
        batch, threefold, steps, width = turned.shape
        heads, chunks = threefold // 3, len(kept) // batch
        inward = turned.new_empty(batch, steps, threefold, width)
        sums = torch.empty_like(turned[0], dtype=torch.promote_types(turned.dtype, torch.float32))
        for index in range(batch):
            by_head = gradient[index].view(steps, heads, width).transpose(0, 1).contiguous()
            _add_gradients(turned[index], by_head, kept[index * chunks : (index + 1) * chunks], sums.zero_())
            by_step = sums.transpose(0, 1)
            _put_turned(by_step[:, : 2 * heads], cosines[index], -sines[index], inward[index, :, : 2 * heads])
            inward[index, :, 2 * heads :] = by_step[:, 2 * heads :]
        return inward.flatten(2), None, None, None


def _add_gradients(turned: Tensor, gradient: Tensor, kept: list[Tensor], sums: Tensor) -> None:
    """Of one sequence's turned queries, keys and values, (3H, T, D / H); gradient: of what they mix to, a third."""
    queries, keys, values = turned.chunk(3)
    of_queries, of_keys, of_values = sums.chunk(3)
    for index, probabilities in enumerate(kept):
        start, end = index * _QUERY_CHUNK, probabilities.shape[-1]
        own = gradient[:, start:end]
        of_values[:, :end] += torch.bmm(probabilities.mT, own)
        of_probabilities = torch.bmm(own, values[:, :end].mT)
        of_scores = torch._softmax_backward_data(of_probabilities, probabilities, -1, probabilities.dtype)
        of_scores.mul_(queries.shape[-1] ** -0.5)
        of_queries[:, start:end] = torch.bmm(of_scores, keys[:, :end])
        of_keys[:, :end] += torch.bmm(of_scores.mT, queries[:, start:end])


class _SquaredReLUNetwork(torch.autograd.Function):
    """(rows, D) -> (rows, D): widen, cut below 0, square, narrow, some rows at a time. Keeps what is cut."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, widen: Tensor, narrow: Tensor) -> Tensor:
        wide, result = x.new_empty(len(x), len(widen)), x.new_empty(len(x), len(narrow))
        for rows, cut, out in zip(x.split(_ROW_CHUNK), wide.split(_ROW_CHUNK), result.split(_ROW_CHUNK), strict=True):
            torch.mm(rows, widen.mT, out=cut).relu_()
            torch.mm(cut.square(), narrow.mT, out=out)
        ctx.save_for_backward(x, widen, narrow, wide)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, widen, narrow, wide = ctx.saved_tensors
        of_x, doubled = torch.empty_like(x), 2 * narrow  # the 2 of the square's slope, on the smaller side
        more = torch.promote_types(x.dtype, torch.float32)
        of_widen, of_narrow = torch.zeros_like(widen, dtype=more), torch.zeros_like(narrow, dtype=more)
        chunks = (tensor.split(_ROW_CHUNK) for tensor in (x, wide, gradient, of_x))
        for rows, cut, own, out in zip(*chunks, strict=True):
            of_narrow += torch.mm(own.mT, cut.square())
            of_wide = torch.mm(own, doubled).mul_(cut)
            torch.mm(of_wide, widen, out=out)
            of_widen += torch.mm(of_wide.mT, rows)
        return of_x, of_widen.to(widen.dtype), of_narrow.to(narrow.dtype)


def _cast(tensor: Tensor) -> Tensor:
    """In the precision in which `models.layers.Linear` would take it."""
    return tensor.to(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else tensor


def chunked_causal_attention(inward: Tensor, turn: tuple[Tensor, Tensor], heads: int) -> Tensor:
    """What `causal_attention` gives, without PyTorch's own kernel, in any precision."""
    cosines, sines = (part.expand(len(inward), -1, -1, -1) for part in turn)
    with torch.autocast("cpu", enabled=False):
        return _CausalAttention.apply(inward, cosines, sines, heads)


def causal_attention(inward: Tensor, turn: tuple[Tensor, Tensor], heads: int) -> Tensor:
    """Queries, keys and values before they are turned, (B, T, 3D) -> (B, T, D), mixed of the rows up to each."""
    learning_on_cpu = inward.device.type == "cpu" and torch.is_grad_enabled()
    if learning_on_cpu and inward.dtype in _IN_CHUNKS and inward.shape[1] <= _MOST_KEPT:
        return chunked_causal_attention(inward, turn, heads)
    mixed = F.scaled_dot_product_attention(*_turned(inward, turn, heads), is_causal=True)
    return mixed.transpose(1, 2).flatten(2)


def _turned(inward: Tensor, turn: tuple[Tensor, Tensor], heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """(B, T, 3D) -> queries, keys and values, (B, H, T, D / H) each."""
    by_step = inward.unflatten(-1, (3 * heads, -1))
    queries_keys, values = by_step[:, :, : 2 * heads], by_step[:, :, 2 * heads :].transpose(1, 2)
    queries, keys = rotate(queries_keys, *turn).to(values.dtype).transpose(1, 2).chunk(2, dim=1)
    return queries, keys, values


def squared_relu_network(x: Tensor, widen: Tensor, narrow: Tensor) -> Tensor:
    """(..., D) -> (..., D) by weights (W, D) and (D, W): the network of So et al. 2021."""
    if x.device.type != "cpu" or not torch.is_grad_enabled():
        return F.linear(F.relu(F.linear(x, widen)).square(), narrow)
    flat, widen, narrow = _cast(x).reshape(-1, x.shape[-1]), _cast(widen), _cast(narrow)
    with torch.autocast("cpu", enabled=False):
        return _SquaredReLUNetwork.apply(flat, widen, narrow).view(x.shape)


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
        inward = self.inward(x)
        if cache is None:
            return self.outward(causal_attention(inward, turn, self.heads))
        assert lengths is not None
        mixed = _attend_to_cache(*_turned(inward, turn, self.heads), cache, lengths)
        return self.outward(mixed.transpose(1, 2).flatten(2))


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
        network = squared_relu_network(self.network_norm(x), self.widen.weight, self.narrow.weight)
        return x + self.dropout(network)
