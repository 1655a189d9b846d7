"""Logits by interval: what is learned of a step up from the last pitch holds in every key.

Legend: B sequences, T tokens, I intervals.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_WIDEST = 45  # semitones up and down that are told apart
INTERVALS = 2 * _WIDEST + 4  # further down, all between, further up, and none where there is no pitch
PITCHES = 128  # what is no pitch, a rest or a beginning, is this or more


def interval_classes(pitch: Tensor, reference: Tensor) -> Tensor:
    """Classes 0..I-1 of the semitones from one pitch up to another; the last where either is none."""
    none = (pitch >= PITCHES) | (reference >= PITCHES)
    return (pitch - reference).clamp(-_WIDEST - 1, _WIDEST + 1).add(_WIDEST + 1).masked_fill(none, INTERVALS - 1)


def by_interval(motions: Tensor, references: Sequence[Tensor], size: int = PITCHES) -> Tensor:
    """Logits of intervals from some pitches, (B, T, I for each of the references (B, T)) -> by pitch (B, T, size)."""
    pitches = torch.arange(size, device=motions.device)
    classes = interval_classes(pitches, torch.stack(list(references), dim=-1).unsqueeze(-1))  # (B, T, references, size)
    return motions.unflatten(-1, (len(references), INTERVALS)).gather(-1, classes).sum(2)
