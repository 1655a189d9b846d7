"""Whether people who label the same items agree: Krippendorff's alpha."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import nan
from typing import Literal

import numpy as np

Level = Literal["nominal", "ordinal", "interval"]


def krippendorff_alpha(answers: Sequence[Sequence[Hashable | None]], *, level: Level = "nominal") -> float:
    """Agreement beyond chance, of any number of labelers, where not everybody answers everything.

    alpha = 1 − D_o / D_e: the disagreement within items over that expected if all answers were dealt out at random.
    1 is agreement, 0 what chance gives, below 0 people systematically disagree. Items with one answer do not count.

    answers: rows are labelers, columns items, None where there is no answer. level: "nominal": two answers are the
    same or not; "ordinal": answers can be sorted, and lie as far apart as there are answers between them; "interval":
    numbers, the squared difference counts. Returns nan where alpha is undefined: no item has two answers, or all
    answers are the same. Raises ValueError for rows of unequal length.
    Source: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011).
    """
    if len({len(row) for row in answers}) > 1:
        raise ValueError("each row of answers needs one entry an item, None where there is no answer")
    kinds = {answer for row in answers for answer in row if answer is not None}
    values = list(kinds) if level == "nominal" else sorted(kinds)  # type: ignore[type-var]
    place = {value: number for number, value in enumerate(values)}
    counts = np.zeros((len(answers[0]) if answers else 0, len(values)))  # (items, values)
    for row in answers:
        for item, answer in enumerate(row):
            if answer is not None:
                counts[item, place[answer]] += 1
    counts = counts[counts.sum(axis=1) >= 2]
    weighted = counts / (counts.sum(axis=1, keepdims=True) - 1)  # each item weighs as many pairs as it has answers
    coincidences = weighted.T @ counts - np.diag(weighted.sum(axis=0))
    totals = counts.sum(axis=0)
    apart = _squared_distances(values, totals, level)
    expected = totals @ apart @ totals
    if expected == 0:
        return nan
    return float(1 - (totals.sum() - 1) * (coincidences * apart).sum() / expected)


def _squared_distances(values: list[Hashable], totals: np.ndarray, level: Level) -> np.ndarray:
    """How far apart two values are, squared: (values, values)."""
    if level == "nominal":
        return 1 - np.eye(len(values))
    # The rank of a value is the middle of its answers when all are sorted: half of its own lie on either side.
    scale = np.cumsum(totals) - totals / 2 if level == "ordinal" else np.array(values, dtype=float)
    return (scale[:, None] - scale[None, :]) ** 2
