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
    scores = np.where(legal, logits, -np.inf)
    best = scores.max(1, keepdims=True)
    if not np.isfinite(best).all():
        raise ValueError("a row has no legal value")
    if temperature <= 0:
        return scores.argmax(1)
    weights = np.exp((scores - best) / temperature)
    rows = np.arange(len(weights))
    order = weights.argsort(1)[:, ::-1]
    mass = weights[rows[:, None], order].cumsum(1, dtype=np.float64)
    last = np.minimum((mass < top_p * mass[:, -1:]).sum(1), mass.shape[1] - 1)  # of the smallest set
    place = (mass <= (uniforms * mass[rows, last])[:, None]).sum(1)
    return order[rows, np.minimum(place, last)]


def nats_of(drawn: np.ndarray, logits: np.ndarray, legal: np.ndarray) -> np.ndarray:
    """Nats (B,) of the values that were drawn, (B,), among the legal ones; shapes as in `draw`."""
    scores = np.where(legal, logits, -np.inf)
    best = scores.max(1)
    shifted = scores - best[:, None]
    nats: np.ndarray = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(drawn)), drawn]
    return nats
