"""What a discriminator makes of how full music is, learned so that it can be set aside.

A discriminator weighs evidence, and each note that a generator made is a little more of it: of its phrases those with
few notes are told from real ones the least surely, whatever they are like. A gate by one threshold then lets little
else pass, and music comes out half empty. Set beside what phrases of as many notes are given, its marks leave music as
full as it is.

Legend: B phrases, K tracks, S steps of a phrase, P pitches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from orchestrion.models.layers.hysteresis import begun

_NEW = 0.01  # weight of the phrases of a call
_MANY = 4.5  # logarithm of the notes of a phrase, about: what powers are taken of is small
_FAR = 2.0  # deviations from the mean within which the curve is read, as few phrases lie beyond
_RIDGE = 1e-4


class Fullness(nn.Module):
    """Phrases (B, K, S, P) bool -> (B,), by how much made phrases of as many notes are given more than made phrases are
    in the mean: a parabola over the logarithm of their notes. 0 before it has followed any."""

    moments: Tensor
    marked: Tensor
    curve: Tensor
    reach: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("moments", torch.zeros(3, 3))  # means of products of powers; the first says of how many
        self.register_buffer("marked", torch.zeros(3))  # and of powers with marks
        self.register_buffer("curve", torch.zeros(3))
        self.register_buffer("reach", torch.zeros(2))

    def forward(self, phrases: Tensor) -> Tensor:
        return (_powers(_fullness(phrases).clamp(self.reach[0], self.reach[1])) * self.curve).sum(1)

    @torch.no_grad()
    def follow_(self, phrases: Tensor, marks: Tensor) -> None:
        """Learn from what made phrases (B, K, S, P) bool are given, (B,) logits; what was long ago counts less."""
        powers = _powers(_fullness(phrases))  # no products of matrices: within autocast these are too coarse
        self.moments.lerp_((powers.unsqueeze(1) * powers.unsqueeze(2)).mean(0), _NEW)
        self.marked.lerp_((marks.float().unsqueeze(1) * powers).mean(0), _NEW)
        moments, marked = (one.double() / self.moments[0, 0].double() for one in (self.moments, self.marked))
        curve = torch.linalg.solve(moments + _RIDGE * torch.eye(3, dtype=torch.float64, device=moments.device), marked)
        curve[0] -= marked[0]
        middle = moments[0, 1]
        spread = (moments[1, 1] - middle.square()).clamp(min=0).sqrt()
        self.curve.copy_(curve)
        self.reach.copy_(torch.stack([middle - _FAR * spread, middle + _FAR * spread]))


def _fullness(phrases: Tensor) -> Tensor:
    return torch.log1p(begun(phrases).sum((1, 2, 3)).float()) - _MANY


def _powers(values: Tensor) -> Tensor:
    """(B,) -> (B, 3)."""
    return torch.stack([torch.ones_like(values), values, values.square()], 1)
