"""Self-attention between the places of a picture, for generators and critics (SAGAN; Zhang et al. 2019).

Legend: B pictures, C channels, N places, Q channels of queries and keys.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """(B, C, ...) -> the same, each place with gamma times what it finds at all others. Gamma is learned, from 0: at
    first nothing is added.

    Queries, keys and values are convolutions of one place; Q is C / 8, as published, and at least 1. Gradients of
    gradients can be taken.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.queries, self.keys = (nn.Conv1d(channels, max(1, channels // 8), 1) for _ in range(2))
        self.values = nn.Conv1d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        found = self.values(x.flatten(2)) @ self.weights(x).mT
        return x + self.gamma * found.view_as(x)

    def weights(self, x: Tensor) -> Tensor:
        """(B, C, ...) -> (B, N, N): how each place's attention is shared out."""
        places = x.flatten(2)
        return (self.queries(places).mT @ self.keys(places)).softmax(-1)
