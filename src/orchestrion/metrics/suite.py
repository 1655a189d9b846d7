"""All metrics there are, gathered from the modules that define them, and one piece measured by all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from symusic import Score

from orchestrion.metrics import (
    bars,
    copying,
    distances,
    frechet,
    harmony,
    likelihood,
    musegan,
    musegan_variants,
    pitch,
    prediction,
    repetition,
    rhythm,
    sentences,
    structure,
    two_sample,
    yang_lerch,
)
from orchestrion.metrics.definition import Described, Feature, Metric, SetMeasure
from orchestrion.metrics.grid import on_grid

_MODULES = (
    bars, pitch, rhythm, repetition, harmony, structure, musegan, musegan_variants, yang_lerch,
    distances, frechet, two_sample, copying, sentences, prediction, likelihood,
)  # fmt: skip
METRICS: tuple[Metric, ...] = tuple(row for module in _MODULES for row in getattr(module, "METRICS", ()))
FEATURES: tuple[Feature, ...] = tuple(row for module in _MODULES for row in getattr(module, "FEATURES", ()))
SET_MEASURES: tuple[SetMeasure, ...] = tuple(row for module in _MODULES for row in getattr(module, "SET_MEASURES", ()))

#: Everything that is known about a definition, by its name in reports ("empty-bar-rate/1").
DESCRIBED: dict[str, Described] = {row.definition: row for row in (*METRICS, *FEATURES, *SET_MEASURES)}


@dataclass(frozen=True, eq=False)
class Measured:
    """One piece as numbers: `values` by id of METRICS, nan where there is none; `features` by id of FEATURES; and how
    long it is."""

    values: dict[str, float]
    features: dict[str, np.ndarray]
    notes: int
    bars: int
    seconds: float


def measure(score: Score) -> Measured:
    """Every metric and feature of one piece. The Score stays as it is."""
    grid = on_grid(score)
    values = {metric.id: float(metric.function(grid)) for metric in METRICS}
    features = {feature.id: feature.function(grid) for feature in FEATURES}
    return Measured(values, features, len(grid), grid.bars, grid.length_seconds)
