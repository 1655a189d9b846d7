"""How well a model foresees music: its nats over a set of pieces, per token, note, beat and second."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import log

import numpy as np

from orchestrion.metrics.definition import SetMeasure
from orchestrion.metrics.prediction import perplexity
from orchestrion.metrics.sets import Interval, ratio_interval


def likelihood_figures(
    nats: np.ndarray,
    tokens: np.ndarray,
    notes: np.ndarray,
    quarters: np.ndarray,
    seconds: np.ndarray,
    rng: np.random.Generator,
    *,
    groups: Sequence[Hashable] | None = None,
) -> dict[str, Interval]:
    """The figures of SET_MEASURES by id, and perplexity, from what n pieces cost and how long they are, (n,) each.

    Each is a ratio of sums over the set, so that long pieces count by their length, with bootstrap bounds over pieces;
    groups as in `sets.mean_interval`. nan without pieces.
    """

    def per(units: np.ndarray, cost: np.ndarray = nats) -> Interval:
        return ratio_interval(cost, units, rng, groups=groups)

    token = per(tokens)
    return {
        "nats-per-token": token,
        "nats-per-note": per(notes),
        "nats-per-beat": per(quarters),
        "bits-per-second": per(seconds, nats / log(2)),
        "perplexity": Interval(perplexity(token.mean), perplexity(token.low), perplexity(token.high), token.pieces),
    }


_HERE = "orchestrion.metrics.likelihood.likelihood_figures"
_TOLD = "Lower is better foreseen"

SET_MEASURES = (
    SetMeasure(
        "nats-per-token",
        "nats per token",
        f"How surprised the model is by each of its own decisions. {_TOLD}; it compares models of one notation only.",
        "sum of -ln p(token | all before it in sight) / number of tokens, over whole pieces; marks of an end count,"
        " padding does not",
        "nats",
        "Huang et al. 2018 (Music Transformer)",
        where=_HERE,
        fewest_pieces=20,
    ),
    SetMeasure(
        "nats-per-note",
        "nats per note",
        f"How surprised the model is by a note with all that belongs to it. {_TOLD}.",
        "sum of -ln p over all tokens / number of notes predicted",
        "nats",
        "Orchestrion",
        where=_HERE,
        fewest_pieces=20,
    ),
    SetMeasure(
        "nats-per-beat",
        "nats per beat",
        f"How surprised the model is by a quarter note of music. {_TOLD}, and models of different notations compare.",
        "sum of -ln p over all tokens / quarter notes from tick 0 to the end of the last note",
        "nats per quarter note",
        "Orchestrion",
        where=_HERE,
        fewest_pieces=20,
    ),
    SetMeasure(
        "bits-per-second",
        "bits per second",
        f"How much the model has to be told for a second of music. {_TOLD}, and models of different notations compare.",
        "sum of -log2 p over all tokens / seconds from tick 0 to the end of the last note, by the tempo marks",
        "bits/s",
        "Orchestrion",
        where=_HERE,
        fewest_pieces=20,
    ),
)
