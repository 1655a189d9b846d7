"""What sounds of a generator's logits, by two thresholds a track, and where these have to stand.

Where cells are drawn one by one, those that hardly pass one threshold are notes of one step, and those that hardly
miss it cut long notes short: a generator whose critic does not mind plays too little, in notes too short. Two
thresholds, as edges are found in pictures (hysteresis, Canny 1986), let what is weak sound only beside what is strong,
and are moved to where as many cells sound, in as many notes, as in real phrases.

Legend: B phrases, K tracks, S steps of a phrase, P pitches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_FARTHEST = 1.0  # logits, in one move
_FAST, _SLOWING = 4.0, 8  # logits a move for each e-fold of cells too many, at first, and the moves that halve it


class Thresholds(nn.Module):
    """Logits (B, K, S, P) -> what sounds, bool: cells above `low` that are above `high`, or a cell of the same pitch a
    step before or behind is. held: (K,) bool, the tracks whose thresholds move; those of others, such as drums, whose
    notes last no time, stay at 0."""

    low: Tensor
    high: Tensor
    moves: Tensor
    held: Tensor

    def __init__(self, held: Tensor) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(len(held)))
        self.register_buffer("high", torch.zeros(len(held)))
        self.register_buffer("moves", torch.zeros((), dtype=torch.int64))
        self.register_buffer("held", held, persistent=False)

    def forward(self, logits: Tensor) -> Tensor:
        low, high = (one.view(-1, 1, 1) for one in (self.low, self.high))
        if not self.moves:
            return logits > 0
        strong = logits > high
        near = strong.clone()  # a maximum over three steps, at a fraction of its cost
        near[:, :, 1:] |= strong[:, :, :-1]
        near[:, :, :-1] |= strong[:, :, 1:]
        return near & (logits > low)

    @torch.no_grad()
    def follow_(self, made: Tensor, real: Tensor) -> None:
        """Move towards where made phrases (B, K, S, P) bool have as many cells and notes in each track as real ones, by
        less from move to move."""
        (cells, notes), (real_cells, real_notes) = _counts(made), _counts(real)
        rate = _FAST / (1 + float(self.moves) / _SLOWING) * self.held
        self.low += (rate * torch.log((cells + 1) / (real_cells + 1))).clamp(-_FARTHEST, _FARTHEST)
        self.high += (rate / 2 * torch.log((notes + 1) / (real_notes + 1))).clamp(-_FARTHEST, _FARTHEST)
        self.high.copy_(torch.maximum(self.low, self.high))
        self.moves += 1


def begun(phrases: Tensor) -> Tensor:
    """(B, K, S, P) bool -> the same, True where a note begins."""
    first = phrases.clone()
    first[:, :, 1:] &= ~phrases[:, :, :-1]
    return first


def _counts(phrases: Tensor) -> tuple[Tensor, Tensor]:
    """(B, K, S, P) bool -> (K,) cells that sound, (K,) notes."""
    return phrases.sum((0, 2, 3)).float(), begun(phrases).sum((0, 2, 3)).float()
