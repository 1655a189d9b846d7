"""What is said about a metric besides its value: the rows that `orchestrion evaluate --list` prints.

Each module of this room defines its functions and, behind them, the rows that describe those: `METRICS` (a number a
piece), `FEATURES` (an array a piece) and `SET_MEASURES` (a figure of two sets). `suite` gathers them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import numpy as np

from orchestrion.metrics.grid import Grid


@dataclass(frozen=True)
class Described:
    """What every metric tells about itself.

    id: lower case with hyphens; a named variant carries its name behind a colon ("used-pitch-classes:musegan-v1").
    sentence: what it says, to a musician. formula: how it is computed, exactly. source: paper, or whose wish it is.
    version: raised whenever the same music would get another value.
    """

    id: str
    name: str
    sentence: str
    formula: str
    unit: str
    source: str
    version: int = field(default=1, kw_only=True)

    @property
    def definition(self) -> str:
        """Names the definition in reports for good: "empty-bar-rate/1"."""
        return f"{self.id}/{self.version}"


@dataclass(frozen=True)
class Metric(Described):
    """A number a piece.

    function: pure; nan where the metric has no value, for the reason `undefined`. low, high: its range, ends included.
    style: it describes style and not length, so it belongs to the vector by which pieces are told apart. variant: it
    reproduces a definition that is not ours, to explain an old table, and stays out of summaries.
    """

    function: Callable[[Grid], float] = field(kw_only=True)
    low: float = field(default=0.0, kw_only=True)
    high: float = field(default=inf, kw_only=True)
    undefined: str = field(default="no notes", kw_only=True)
    style: bool = field(default=False, kw_only=True)
    fewest_pieces: int = field(default=20, kw_only=True)

    @property
    def variant(self) -> bool:
        return ":" in self.id


@dataclass(frozen=True)
class Feature(Described):
    """An array a piece, compared between sets by distances.

    function: pure; all nan where it has no value, for the reason `undefined`. labels: of its axes, outermost first; an
    axis of twelve pitch classes has theirs.
    """

    function: Callable[[Grid], np.ndarray] = field(kw_only=True)
    labels: tuple[tuple[str, ...], ...] = field(kw_only=True)
    undefined: str = field(default="no notes", kw_only=True)
    fewest_pieces: int = field(default=50, kw_only=True)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis) for axis in self.labels)


@dataclass(frozen=True)
class SetMeasure(Described):
    """A figure of two sets of pieces, or of a set and a model; its function is the one `where` names."""

    where: str = field(kw_only=True)
    low: float = field(default=0.0, kw_only=True)
    high: float = field(default=inf, kw_only=True)
    fewest_pieces: int = field(default=50, kw_only=True)
