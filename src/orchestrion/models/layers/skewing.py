"""Attention that sees the distance from each query to each key (Shaw et al. 2018; Huang et al. 2018), in exact forms.

Logits are q_i . (k_j + E[i - j]) + q_i . A[clip(p_i - p_j)] for each further axis, all divided by sqrt(D). A distance
beyond the table takes its last row. Causal; the queries are the last T of the S steps that the keys cover.
`naive` is the formula as it stands. `skewed` shifts rows instead of gathering (Huang et al., section 3.4.1). `chunked`
does that for a few queries and no keys behind them at a time, and computes the weights again in the backward pass
rather than keep them: memory grows with T, not its square.

Legend: B batch, T queries, S keys, H heads, D width of a head, M distances, C classes of an axis, Q queries of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

CHUNK = {torch.bfloat16: 256}  # queries at a time on a CPU: what keeps their logits in the second cache
WIDE_CHUNK, SMALL_CHUNK = 512, 128  # on an accelerator, and elsewhere


@dataclass(frozen=True)
class Axis:
    """Another way in which steps are apart, as pitch or musical time.

    table: (H, C, D), C odd, its middle row for steps that agree. queries, keys: (B, T) and (B, S) whole numbers;
    differences are clipped to the table.
    """

    table: Tensor
    queries: Tensor
    keys: Tensor

    def classes(self) -> Tensor:
        """(B, T, S) int64: the row of the table for each query and key."""
        return classes_between(self.queries, self.keys, self.table.shape[-2])

    def part(self, queries: slice, keys: slice) -> Axis:
        return Axis(self.table, self.queries[:, queries], self.keys[:, keys])


@dataclass(frozen=True)
class Span:
    """Queries `first` to `end` see no key before `opening`, and none behind themselves."""

    first: int
    end: int
    opening: int = 0


def naive(
    queries: Tensor, keys: Tensor, values: Tensor, table: Tensor, axes: Sequence[Axis] = (), seen: Tensor | None = None
) -> Tensor:
    """(B, H, T, D), (B, H, S, D) twice, table (H, M, D) by distance -> (B, H, T, D); memory H T S D.

    seen: (T, S) bool, which keys a query sees; without it all up to its own step.
    """
    steps, count = queries.shape[2], keys.shape[2]
    distances = torch.arange(count - steps, count)[:, None] - torch.arange(count)
    near = table[:, distances.clamp(0, table.shape[1] - 1)]  # (H, T, S, D)
    logits = queries @ keys.mT + torch.einsum("bhid,hijd->bhij", queries, near)
    for axis in axes:
        logits = logits + torch.einsum("bhid,hbijd->bhij", queries, axis.table[:, axis.classes()])
    hidden = distances < 0 if seen is None else ~seen
    weights = (logits * queries.shape[3] ** -0.5).masked_fill(hidden, -torch.inf).softmax(-1)
    return weights @ values


def by_distance(table: Tensor, count: int) -> Tensor:
    """(H, M, D) -> (H, count + 1, D): rows for the distances count - 1 ... 0, and one that skewing pushes out."""
    distances = torch.arange(count - 1, -2, -1, device=table.device).clamp(0, table.shape[1] - 1)
    return table.index_select(1, distances)


def skew(scores: Tensor) -> Tensor:
    """(..., T, S + 1) by distance S - 1 ... 0 and one more -> (..., T, S) by key, a view where the rows are dense.

    Behind a query's own step stand scores of other rows, to be masked.
    """
    steps, keys = scores.shape[-2], scores.shape[-1] - 1
    return scores.flatten(-2)[..., steps - 1 : steps - 1 + steps * keys].unflatten(-1, (steps, keys))


def axis_logits(queries: Tensor, axis: Axis) -> Tensor:
    """(B, H, T, D) -> (B, H, T, S)."""
    classes = axis.classes().unsqueeze(1)
    by_class = queries @ axis.table.mT
    return by_class.gather(-1, classes.expand(-1, queries.shape[1], -1, -1))


def skewed(
    queries: Tensor, keys: Tensor, values: Tensor, table: Tensor, axes: Sequence[Axis] = (), *, scaled: bool = False
) -> Tensor:
    """As `naive`; memory H T S. scaled: the queries are divided by sqrt(D) already."""
    steps, count = queries.shape[2], keys.shape[2]
    queries = queries if scaled else queries * queries.shape[3] ** -0.5
    logits = queries @ keys.mT + skew(queries @ by_distance(table, count).mT)
    for axis in axes:
        logits = logits + axis_logits(queries, axis)
    behind = torch.ones(steps, count, dtype=torch.bool, device=logits.device).triu(count - steps + 1)
    return logits.masked_fill(behind, -torch.inf).softmax(-1) @ values


def spans(steps: int, size: int, block: int | None = None) -> list[Span]:
    """The steps in chunks of at most `size`; with `block`, each sees its own block of so many steps and that before."""
    whole = block or steps
    return [
        Span(first, min(first + size, start + whole, steps), max(0, start - whole) if block else 0)
        for start in range(0, steps, whole)
        for first in range(start, min(start + whole, steps), size)
    ]


def chunked(
    queries: Tensor, keys: Tensor, values: Tensor, table: Tensor, axes: Sequence[Axis] = (), *,
    block: int | None = None, chunk: int | None = None,
) -> Tensor:  # fmt: skip
    """As `naive` for T = S, in chunks of queries.

    block: local attention; a query sees its own block of so many steps and the one before (Huang et al., 3.5).
    chunk: queries at a time; by default what is fast. A gradient of a gradient cannot be taken.
    """
    steps, device = queries.shape[2], queries.device
    size = chunk or (CHUNK.get(queries.dtype, SMALL_CHUNK) if device.type == "cpu" else WIDE_CHUNK)
    parts = spans(steps, size, block)
    queries = queries * queries.shape[3] ** -0.5
    table = table.to(queries.dtype)
    axes = [Axis(axis.table.to(queries.dtype), axis.queries, axis.keys) for axis in axes]
    with torch.autocast(device.type, enabled=False):
        if device.type == "cpu":
            reach = max(span.end - span.opening for span in parts)
            tensors = [each for axis in axes for each in (axis.table, axis.queries)]
            return _Chunked.apply(parts, queries, keys, values, by_distance(table, reach), *tensors)
        return torch.cat(
            [_checkpointed(queries, keys, values, table, axes, span) for span in parts], dim=2
        )  # one kernel a step for all heads, as an accelerator wants it


def _checkpointed(
    queries: Tensor, keys: Tensor, values: Tensor, table: Tensor, axes: Sequence[Axis], span: Span
) -> Tensor:
    own, seen = slice(span.first, span.end), slice(span.opening, span.end)
    within = [axis.part(own, seen) for axis in axes]
    inward = queries[:, :, own], keys[:, :, seen], values[:, :, seen], table, within
    result: Tensor = checkpoint(skewed, *inward, scaled=True, use_reentrant=False)
    return result


def classes_between(queries: Tensor, keys: Tensor, count: int) -> Tensor:
    """Places (..., T) and (..., S) -> (..., T, S): rows of a table of `count`, the middle one where they agree."""
    reach = count // 2
    return (queries.unsqueeze(-1) - keys.unsqueeze(-2)).clamp_(-reach, reach).add_(reach)


class _Tile:
    """A chunk of queries of one sequence: what all heads share, and room for their logits."""

    def __init__(self, span: Span, places: Sequence[tuple[Tensor, int]], room: Tensor) -> None:
        self.own, self.seen = slice(span.first, span.end), slice(span.opening, span.end)
        self.queries, self.keys = span.end - span.first, span.end - span.opening
        self.behind = torch.ones(self.queries, self.queries, dtype=torch.bool).triu_(1)
        self.classes = [classes_between(place[self.own], place[self.seen], count) for place, count in places]
        self.by_distance = room[: self.queries * (self.keys + 1)].view(self.queries, self.keys + 1)

    def weights(self, queries: Tensor, keys: Tensor, table: Tensor, axes: Iterable[Tensor]) -> Tensor:
        """(Q, D), (S, D), (S + 1, D), (C, D) each -> (Q, S); overwritten by the next."""
        torch.mm(queries, table.mT, out=self.by_distance)
        logits = skew(self.by_distance).addmm_(queries, keys.mT)
        for axis, classes in zip(axes, self.classes, strict=True):
            logits.add_((queries @ axis.mT).gather(1, classes))
        logits[:, self.keys - self.queries :].masked_fill_(self.behind, -torch.inf)
        return torch.softmax(logits, -1, out=logits)


class _Chunked(torch.autograd.Function):
    """Head by head and chunk by chunk, so that logits stay in the cache of a core.

    The rows of the buffers that hold scores by distance are one longer than the keys, so that the same numbers seen by
    key lie densely: neither skewing nor its gradient moves a number.
    """

    @staticmethod
    def forward(
        ctx: Any, parts: list[Span], queries: Tensor, keys: Tensor, values: Tensor, table: Tensor, *axes: Tensor
    ) -> Tensor:  # fmt: skip
        """queries (B, H, T, D), scaled; table (H, M, D) by distances that fall to 0 and one row more; axes: for each
        its table and (B, T) places."""
        batch, heads, steps, width = queries.shape
        queries, keys, values = queries.contiguous(), keys.contiguous(), values.contiguous()
        mixed = queries.new_empty(batch, steps, heads, width)  # as the next product wants it
        room = queries.new_empty(_most(parts))
        for index in range(batch):
            for span in parts:
                tile = _Tile(span, [(axes[n + 1][index], axes[n].shape[1]) for n in range(0, len(axes), 2)], room)
                near = slice(table.shape[1] - tile.keys - 1, None)
                for head in range(heads):
                    weights = tile.weights(
                        queries[index, head, tile.own], keys[index, head, tile.seen], table[head, near],
                        (each[head] for each in axes[::2]),
                    )  # fmt: skip
                    mixed[index, tile.own, head] = weights @ values[index, head, tile.seen]
        mixed = mixed.transpose(1, 2)
        ctx.save_for_backward(queries, keys, values, table, mixed, *axes)
        ctx.parts = parts
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, toward: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, table, mixed, *axes = ctx.saved_tensors
        parts, (batch, heads) = ctx.parts, queries.shape[:2]
        weight_sums = (toward * mixed).sum(-1, keepdim=True)  # of each weight by its gradient, (B, H, T, 1)
        toward = toward.contiguous()
        sums = torch.promote_types(queries.dtype, torch.float32)  # what many chunks add to needs the precision
        to_queries = torch.empty_like(queries)
        to_keys, to_values, to_table = (torch.zeros_like(each, dtype=sums) for each in (keys, values, table))
        to_axes = [torch.zeros_like(each, dtype=sums) for each in axes[::2]]
        room, slopes = queries.new_empty(2, _most(parts))
        for index in range(batch):
            for span in parts:
                places = [(axes[n + 1][index], axes[n].shape[1]) for n in range(0, len(axes), 2)]
                tile = _Tile(span, places, room)
                near = slice(table.shape[1] - tile.keys - 1, None)
                by_distance = slopes[: tile.by_distance.numel()].view_as(tile.by_distance)
                by_key = skew(by_distance)
                by_distance[0, : tile.queries - 1] = by_distance[-1, -1] = 0  # what `by_key` leaves out
                for head in range(heads):
                    at, own, seen = (index, head), (index, head, tile.own), (index, head, tile.seen)
                    query, key, value, slope = queries[own], keys[seen], values[seen], toward[own]
                    weights = tile.weights(query, key, table[head, near], (each[head] for each in axes[::2]))
                    _add_product(to_values[seen], weights.mT, slope)
                    torch.mm(slope, value.mT, out=by_key)
                    by_key.sub_(weight_sums[own]).mul_(weights)
                    _add_product(to_keys[seen], by_key.mT, query)
                    _add_product(to_table[head, near], by_distance.mT, query)
                    to_query = torch.mm(by_distance, table[head, near]).addmm_(by_key, key)
                    for axis, classes, to_axis in zip(axes[::2], tile.classes, to_axes, strict=True):
                        by_class = query.new_zeros(tile.queries, axis.shape[1]).scatter_add_(1, classes, by_key)
                        _add_product(to_axis[head], by_class.mT, query)
                        to_query.addmm_(by_class, axis[head])
                    to_queries[at][tile.own] = to_query
        whole = [each.to(queries.dtype) for each in (to_keys, to_values, to_table)]
        of_axes = [each for axis in to_axes for each in (axis.to(queries.dtype), None)]
        return (None, to_queries, *whole, *of_axes)


def _most(parts: Sequence[Span]) -> int:
    return max((span.end - span.first) * (span.end - span.opening + 1) for span in parts)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)
