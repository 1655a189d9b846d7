"""A sentence as a few rows, one a word or so, for networks that read words and not one vector for all of them.

Row 0 is the sentence's embedding; the others are the states of its tokens in order, neighbours averaged where there are
more of them than rows. Shapes: R rows, at most ROWS; D dimensions of the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from orchestrion.text.encoder import SentenceEncoder

ROWS = 12


@lru_cache(maxsize=1)
def _encoder() -> SentenceEncoder:
    return SentenceEncoder.load()


@lru_cache(maxsize=4096)
def token_states(sentence: str) -> np.ndarray:
    """(R, D) float32, each row of length 1, by the encoder that comes with the installation; read-only."""
    return states_of([sentence])[0]


def states_of(sentences: Sequence[str], encoder: SentenceEncoder | None = None) -> list[np.ndarray]:
    """Of each sentence (R, D) float32. Raises EncoderError."""
    return [_rows(states) for states in (encoder or _encoder()).states(sentences)]


def _rows(states: np.ndarray) -> np.ndarray:
    words = states[1:-1] if len(states) > 2 else states  # without the signs at both ends
    edges = np.linspace(0, len(words), min(len(words), ROWS - 1) + 1).astype(int)[:-1]
    sums = np.add.reduceat(words, edges, axis=0)
    rows = np.concatenate([states.mean(0, keepdims=True), sums])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows.flags.writeable = False
    return rows
