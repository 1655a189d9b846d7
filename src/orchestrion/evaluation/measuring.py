"""A side, piece by piece, as rows of numbers: in parallel, and in memory that grows by some kilobytes a piece."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from orchestrion.core.workers import pool
from orchestrion.evaluation.music_sets import EvaluationError, Item, Side
from orchestrion.evaluation.report import SideInfo
from orchestrion.generation.constraints import Check, check_controls
from orchestrion.metrics.grid import on_grid
from orchestrion.metrics.suite import Measured, measure
from orchestrion.metrics.two_sample import roll_image
from orchestrion.music import ScoreError

CHUNK_PIECES = 16
FEWEST_FOR_WORKERS = 64  # below, starting processes costs more than it saves

Told = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Row:
    """One piece: what it measures, a small picture of its roll for the classifier, and whether it keeps what was
    asked; zero_length: how many of its notes had no length in the file."""

    item: Item
    measured: Measured
    image: np.ndarray
    checks: tuple[Check, ...]
    zero_length: int
    digest: str


@dataclass(frozen=True)
class Skip:
    """A piece that could not be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Table:
    """All rows of a side that could be read, and what could not."""

    side: Side
    rows: tuple[Row, ...]
    skipped: tuple[Skip, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def values(self, metric: str) -> np.ndarray:
        """(n,) values of one metric."""
        return np.array([row.measured.values[metric] for row in self.rows])

    def features(self, feature: str) -> np.ndarray:
        """(n, ...) arrays of one feature."""
        return np.stack([row.measured.features[feature] for row in self.rows])

    @cached_property
    def groups(self) -> list[str]:
        return [row.item.group for row in self.rows]

    @cached_property
    def bars(self) -> np.ndarray:
        return np.array([row.measured.bars for row in self.rows])

    @property
    def info(self) -> SideInfo:
        zero = [row for row in self.rows if row.zero_length]
        remarks = list(self.side.remarks)
        if zero:
            count = sum(row.zero_length for row in zero)
            remarks.append(f"{count:,} notes of no length in {len(zero):,} pieces count as one step long")
        digest = hashlib.sha256("".join(sorted(row.digest for row in self.rows)).encode()).hexdigest()[:16]
        return SideInfo(
            label=self.side.label,
            kind=self.side.kind,
            pieces=len(self),
            notes=sum(row.measured.notes for row in self.rows),
            hours=sum(row.measured.seconds for row in self.rows) / 3600,
            median_bars=float(np.median(self.bars)),
            fingerprint=digest,
            skipped=[(skip.name, skip.reason) for skip in self.skipped],
            remarks=remarks,
        )


def measure_side(side: Side, *, workers: int = 1, told: Told = lambda done, total: None) -> Table:
    """Measure every piece. A piece that cannot be read is skipped with its reason; raises EvaluationError where none
    can be."""
    rows: list[Row] = []
    skipped: list[Skip] = []
    for found in _measured(side.items, workers):
        (skipped if isinstance(found, Skip) else rows).append(found)  # type: ignore[arg-type]
        told(len(rows) + len(skipped), len(side.items))
    if not rows:
        raise EvaluationError(f"none of the {len(skipped):,} pieces of {side.label} can be read; {skipped[0].reason}")
    return Table(side, tuple(rows), tuple(skipped))


def _measured(items: Sequence[Item], workers: int) -> Iterator[Row | Skip]:
    if workers <= 1 or len(items) < FEWEST_FOR_WORKERS:
        yield from map(measure_item, items)
        return
    try:
        with pool(workers) as executor:
            yield from executor.map(measure_item, items, chunksize=CHUNK_PIECES)
    except BrokenProcessPool as error:
        raise EvaluationError("a worker died (out of memory?); try again with --workers 1") from error


def measure_item(item: Item) -> Row | Skip:
    """Read and measure one piece."""
    try:
        score = item.score()
        if not score.note_num():
            return Skip(item.name, "it holds no notes")
        grid = on_grid(score)
        measured = measure(grid)
    except ScoreError as error:
        return Skip(item.name, str(error))
    checks = tuple(check_controls(score, item.asked, closes=item.closes))
    zero_length = int((grid.ticks[0] == grid.ticks[1]).sum())
    return Row(item, measured, roll_image(grid), checks, zero_length, item.digest())
