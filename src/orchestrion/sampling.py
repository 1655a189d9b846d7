"""Drawing from logits: masks of what is legal, temperature and nucleus sampling (Holtzman et al. 2020), in numpy.

Legend: B sequences, V values. One uniform number a draw keeps every sequence on its own random stream.
"""

from __future__ import annotations

import numpy as np


def draw(
    logits: np.ndarray, legal: np.ndarray, uniforms: np.ndarray, *, temperature: float = 1.0, top_p: float = 1.0
) -> np.ndarray:
    """One legal value for each row: logits (B, V), legal (B, V) bool, uniforms (B,) in [0, 1) -> (B,) int64.

    Values outside the smallest set that holds `top_p` of the legal probability are left out. Temperature 0 takes the
    likeliest. Raises ValueError where a row has no legal value.
    """
    if not legal.any(1).all():
        raise ValueError("a row has no legal value")
    scores = np.where(legal, logits, -np.inf).astype(np.float64)
    if temperature <= 0:
        return scores.argmax(1)
    scores = (scores - scores.max(1, keepdims=True)) / temperature
    weights = np.exp(scores)
    order = np.argsort(-weights, axis=1, kind="stable")
    ranked = np.take_along_axis(weights, order, 1)
    mass = ranked.cumsum(1)
    kept = (mass - ranked < top_p * mass[:, -1:]) & (ranked > 0)
    total = np.where(kept, ranked, 0).sum(1)
    place = (mass <= (uniforms * total)[:, None]).sum(1)
    place = np.minimum(place, kept.sum(1) - 1)
    return order[np.arange(len(order)), place]
