"""Which keys a query sees: all, a band of blocks, or a factorised pattern (Child et al. 2019; Luo's report, 3.2.7).

With blocks of L steps and c columns, query i sees of the keys j up to i, for
- full: all;
- local: those of its own block and of the one before (Huang et al. 2018, section 3.5);
- strided: the L nearest, and those that lie a multiple of L behind it;
- fixed: those of its own block, and the last c of each block before.
Child et al. give the two parts of strided and fixed to different heads or layers as well; here every head sees both.
With L near the root of T strided costs T^1.5, and fixed c times that, relative term included.

Legend: B batch, T steps, H heads, D width of a head, M distances, L steps of a block, N blocks, c columns, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from orchestrion.core.errors import UserError
from orchestrion.models.layers.skewing import Axis, by_distance, chunked, classes_between, skew

PATTERNS = ("full", "local", "strided", "fixed")


class PatternError(UserError):
    """A pattern of attention that cannot be; the message says in one line what was expected."""


@dataclass(frozen=True)
class Pattern:
    """name: one of PATTERNS. block: L. columns: c of `fixed`, at most L. Raises PatternError."""

    name: str = "full"
    block: int = 128
    columns: int = 8

    def __post_init__(self) -> None:
        if self.name not in PATTERNS:
            raise PatternError(f"there is no attention pattern {self.name!r}: choose one of {', '.join(PATTERNS)}")
        if self.block < 1 or (self.name == "fixed" and not 1 <= self.columns <= self.block):
            given = f"blocks of {self.block} steps with {self.columns} columns"
            raise PatternError(f"attention has {given}: give a block of 1 or more and from 1 to block columns")

    def seen(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Places (..., T) and (..., S) in the sequence -> (..., T, S) bool."""
        queries, keys = queries.unsqueeze(-1), keys.unsqueeze(-2)
        behind, size = queries - keys, self.block
        if self.name == "full":
            return behind >= 0
        if self.name == "strided":
            near = (behind < size) | (behind % size == 0)
        else:
            blocks_behind = queries // size - keys // size
            near = blocks_behind <= (1 if self.name == "local" else 0)
            if self.name == "fixed":
                near |= keys % size >= size - self.columns
        return near & (behind >= 0)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, table: Tensor, axes: Sequence[Axis] = ()) -> Tensor:
        """(B, H, T, D) each and table (H, M, D) by distance -> (B, H, T, D), exact."""
        if self.name in ("full", "local"):
            return chunked(queries, keys, values, table, axes, block=self.block if self.name == "local" else None)
        steps, size = queries.shape[2], self.block
        lack = -steps % size  # rows behind the end are seen by none before them
        queries = queries * queries.shape[3] ** -0.5
        queries, keys, values = (
            F.pad(each, (0, 0, 0, lack)).unflatten(2, (-1, size)) for each in (queries, keys, values)
        )
        table = table.to(queries.dtype)
        places = [
            (axis.table.to(queries.dtype), F.pad(axis.queries, (0, lack)).unflatten(1, (-1, size))) for axis in axes
        ]
        if self.name == "strided":
            mixed = _strided(queries, keys, values, table, places)
        else:
            mixed = _fixed(queries, keys, values, table, places, self.columns)
        return mixed.flatten(2, 3)[:, :, :steps]


Places = Sequence[tuple[Tensor, Tensor]]  # for each axis its table (H, K, D) and places (B, N, L)


def _strided(queries: Tensor, keys: Tensor, values: Tensor, table: Tensor, places: Places) -> Tensor:
    """(B, H, N, L, D) each -> (B, H, N, L, D): a band of two blocks, and for each place in a block a column."""
    count, size = queries.shape[2:4]
    step = torch.arange(size, device=queries.device)
    behind = size + step[:, None] - torch.arange(2 * size, device=queries.device)  # (L, 2L)
    band = _logits(queries, _with_block_before(keys), by_distance(table, 2 * size))
    for axis, place in places:
        before = F.pad(place, (0, 0, 1, 0))[:, :-1]
        band = band + _axis_logits(queries, axis, place, torch.cat([before, place], dim=2))
    hidden = ((behind < 0) | (behind >= size)).expand(count, -1, -1).clone()
    hidden[0, :, :size] = True

    rows = [each.transpose(2, 3) for each in (queries, keys, values)]  # (B, H, L, N, D)
    far = table[:, (size * torch.arange(count, device=table.device)).clamp(max=table.shape[1] - 1)]
    column = _logits(rows[0], rows[1], by_distance(far, count))
    for axis, place in places:
        column = column + _axis_logits(rows[0], axis, place.mT, place.mT)
    not_before = torch.ones(count, count, dtype=torch.bool, device=queries.device).triu()
    logits = [band.masked_fill(hidden, -torch.inf), column.masked_fill(not_before, -torch.inf).transpose(2, 3)]
    near, by_column = torch.cat(logits, dim=-1).softmax(-1).split([2 * size, count], dim=-1)
    return near @ _with_block_before(values) + (by_column.transpose(2, 3) @ rows[2]).transpose(2, 3)


def _fixed(queries: Tensor, keys: Tensor, values: Tensor, table: Tensor, places: Places, columns: int) -> Tensor:
    """(B, H, N, L, D) each -> (B, H, N, L, D): the own block, and the columns of all blocks before."""
    (count, size), device = queries.shape[2:4], queries.device
    own = _logits(queries, keys, by_distance(table, size))
    for axis, place in places:
        own = own + _axis_logits(queries, axis, place, place)
    hidden = torch.ones(size, size, dtype=torch.bool, device=device).triu(1)

    rows = queries.transpose(2, 3)  # (B, H, L, N, D)
    key_columns, value_columns = (each[:, :, :, -columns:].transpose(2, 3).flatten(2, 3) for each in (keys, values))
    step, column = torch.arange(size, device=device), torch.arange(size - columns, size, device=device)
    back = size * torch.arange(count - 1, -2, -1, device=device)
    distances = (step[:, None, None] - column[:, None] + back).clamp(0, table.shape[1] - 1)  # (L, c, N + 1)
    by_block = rows @ table[:, distances.flatten(1)].mT  # (B, H, L, N, c (N + 1))
    by_key = skew(by_block.unflatten(-1, (columns, -1)).transpose(3, 4)).transpose(3, 4).flatten(-2)
    summary = rows @ key_columns.unsqueeze(2).mT + by_key  # (B, H, L, N, c N)
    for axis, place in places:
        of_columns = place[:, :, -columns:].mT.flatten(1).unsqueeze(1).expand(-1, size, -1)
        summary = summary + _axis_logits(rows, axis, place.mT, of_columns)
    not_before = torch.ones(count, count, dtype=torch.bool, device=device).triu().repeat(1, columns)
    logits = [own.masked_fill(hidden, -torch.inf), summary.masked_fill(not_before, -torch.inf).transpose(2, 3)]
    near, by_column = torch.cat(logits, dim=-1).softmax(-1).split([size, columns * count], dim=-1)
    return near @ values + by_column @ value_columns.unsqueeze(2)


def _with_block_before(blocks: Tensor) -> Tensor:
    """(B, H, N, L, D) -> (B, H, N, 2L, D); zeros before the first."""
    return torch.cat([F.pad(blocks, (0, 0, 0, 0, 1, 0))[:, :, :-1], blocks], dim=3)


def _logits(queries: Tensor, keys: Tensor, table: Tensor) -> Tensor:
    """(B, H, X, T, D), (B, H, X, S, D), (H, S + 1, D) by falling distance -> (B, H, X, T, S)."""
    return queries @ keys.mT + skew(queries @ table.unsqueeze(1).mT)


def _axis_logits(queries: Tensor, table: Tensor, places: Tensor, key_places: Tensor) -> Tensor:
    """(B, H, X, T, D), (H, K, D), (B, X, T), (B, X, S) -> (B, H, X, T, S)."""
    classes = classes_between(places, key_places, table.shape[1]).unsqueeze(1)
    return (queries @ table.unsqueeze(1).mT).gather(-1, classes.expand(-1, queries.shape[1], -1, -1, -1))
