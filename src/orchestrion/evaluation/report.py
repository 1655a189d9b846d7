"""What an evaluation found, as values: the one thing that the table, `report.json` and `report.html` are made from.

Interval is `metrics.sets.Interval` (mean, low, high, pieces) and nan where there is no figure; a figure without a value
says why in `missing`, one with too few pieces says so in `warning`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from math import isfinite, nan
from typing import Any

import numpy as np

from orchestrion.metrics.sets import Interval


@dataclass(frozen=True)
class SideInfo:
    """One of the two sets. kind: "folder", "corpus" or "model". skipped: (file, reason) of what could not be used;
    remarks: what a reader should know, such as how excerpts were cut."""

    label: str
    kind: str
    pieces: int
    notes: int
    hours: float
    median_bars: float
    fingerprint: str
    skipped: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Figure:
    """A metric as means over the pieces of either side. definition: Metric.definition; difference: generated less
    reference, None without a reference; spread: standard deviation of the pieces of one side, mean of both (root mean
    square), nan where either has fewer than two."""

    definition: str
    generated: Interval
    reference: Interval | None = None
    difference: Interval | None = None
    spread: float = nan
    missing: str = ""
    warning: str = ""


@dataclass(frozen=True, eq=False)
class Comparison:
    """One feature, or one metric, of two sets by Yang and Lerch: distances within each and between them.

    mean_generated, mean_reference: mean feature. x: (1000,) distances at which the three densities were estimated; sum
    and mean of the distances by name ("generated", "reference", "inter"), standardised or not as `scale` says.
    kl: in nats, of the density of the intra-set distances of the generated set from that of the inter-set ones; oa:
    their overlap. mean_kl: KL in nats between the two mean features (histograms and matrices only; Luo's table 5.1).
    noise: what kl and oa come to for two random halves of the reference.
    """

    definition: str
    mean_generated: np.ndarray
    mean_reference: np.ndarray
    x: np.ndarray
    densities: dict[str, np.ndarray]
    sums: dict[str, float]
    means: dict[str, float]
    scale: str
    kl: Interval
    oa: Interval
    mean_kl: Interval
    noise: dict[str, float]
    missing: str = ""
    warning: str = ""

    @classmethod
    def without(cls, definition: str, missing: str) -> Comparison:
        """One that could not be made, and why."""
        none, unknown = np.zeros(0), Interval(nan, nan, nan, 0)
        return cls(definition, none, none, none, {}, {}, {}, "", unknown, unknown, unknown, {}, missing)


@dataclass(frozen=True)
class Distance:
    """Fréchet distance with what two halves of the reference come to at the same number of pieces."""

    value: Interval
    floor: Interval
    pieces: int
    missing: str = ""


@dataclass(frozen=True)
class TwoSample:
    """A classifier's accuracy, 0..1, at telling the sets apart. by: "features" or "rolls". telling: (metric id,
    weight), those that gave it away, heaviest first; a positive weight means that more of it speaks for generated."""

    by: str
    accuracy: Interval
    pieces: int
    folds: int
    telling: list[tuple[str, float]] = field(default_factory=list)
    missing: str = ""


@dataclass(frozen=True)
class Copied:
    """The longest run that a piece shares with the training set, in notes; of: the training piece."""

    piece: str
    notes: int
    phrase_notes: int
    of: str


@dataclass(frozen=True)
class Copying:
    """Copies found in either side; `training` names the set that was searched. phrase: runs of at least six different
    moves. novelty: share of a piece's moves that lie in no shared run of at least `run_notes` notes."""

    training: str
    run_notes: int
    longest_generated: Interval
    phrase_generated: Interval
    novelty_generated: Interval
    longest_reference: Interval | None
    phrase_reference: Interval | None
    novelty_reference: Interval | None
    worst: list[Copied]


@dataclass(frozen=True)
class ControlsKept:
    """Of the pieces that were asked for a control, the share that keep it; failures: (piece, asked, measured)."""

    control: str
    kept: Interval
    failures: list[tuple[str, str, str]]


@dataclass(frozen=True, eq=False)
class SentencePairs:
    """KL[i, j] in nats, of the note distribution of sentence i from that of sentence j; diagonal: between two halves of
    one sentence's own pieces, the noise floor."""

    distribution: str
    sentences: list[str]
    kl: np.ndarray
    pieces: list[int]


@dataclass(frozen=True)
class Likelihood:
    """What a model makes of pieces it was not trained on.

    context: what a token is and how much the model sees. parts: nats a note by part of it, such as pitch.
    left_out_notes: those that the model's notation cannot hold, which cost nothing; skipped: (piece, reason).
    """

    model: str
    pieces: int
    nats_per_token: Interval
    nats_per_note: Interval
    nats_per_beat: Interval
    bits_per_second: Interval
    perplexity: Interval
    context: str
    tokens: int = 0
    notes: int = 0
    left_out_notes: int = 0
    parts: dict[str, float] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    missing: str = ""


@dataclass(frozen=True)
class Continuations:
    """How near a model comes to how pieces truly go on, each opening of `opening_bars` continued once by
    `continued_bars`. by_model and by_repeating (the opening played again, what has to be beaten): means over pieces of
    "precision", "recall", "f1" and "bleu", 0..1. skipped: (piece, reason)."""

    model: str
    pieces: int
    opening_bars: int
    continued_bars: int
    by_model: dict[str, Interval]
    by_repeating: dict[str, Interval]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    missing: str = ""


@dataclass(frozen=True, eq=False)
class Shown:
    """A piece to look at and hear. notes: (N, 5) float, onset and length in seconds, pitch, velocity 0..1, track;
    instruments: one a track; similarity: (B, B) bars by bars, 0..1, or None."""

    piece: str
    side: str
    why: str
    notes: np.ndarray
    instruments: list[int]
    bar_seconds: np.ndarray
    similarity: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """An evaluation. Parts that were not asked for, or had no data, are None or empty; `remarks` says which and why."""

    title: str
    generated: SideInfo
    reference: SideInfo | None
    figures: list[Figure]
    comparisons: list[Comparison] = field(default_factory=list)
    frechet: Distance | None = None
    two_sample: list[TwoSample] = field(default_factory=list)
    copying: Copying | None = None
    controls: list[ControlsKept] = field(default_factory=list)
    sentences: SentencePairs | None = None
    likelihood: list[Likelihood] = field(default_factory=list)
    continuations: Continuations | None = None
    shown: list[Shown] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def as_json(value: Any) -> Any:
    """A report, or any part of one, as JSON has it: dataclasses as objects, arrays as lists of six digits that count,
    nan as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: as_json(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, dict):
        return {str(key): as_json(part) for key, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [as_json(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if isfinite(value) else None
    return value
