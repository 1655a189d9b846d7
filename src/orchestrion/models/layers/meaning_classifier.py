"""What a sentence means, read out of its embedding: embeddings hold opposites near to each other, and a generator that
is told them as they are hardly hears which is meant.

Legend: B sentences, D width of an embedding, Q meanings, R networks that the reader is the mean of.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHRUNK = 0.05  # weight decay while it learns
_BLUR, _FORGOTTEN = 0.03, 0.5  # noise on each number of an embedding, and features dropped, while it learns
_READERS, _READ = 4, 1024  # networks, and features of each
_SURE = 2.0  # what the odds are taken to the power of, so that what is likely meant is meant


class Reader(nn.Module):
    """Embeddings (B, D) -> what was meant (B, Q + 1): the odds of each meaning, and of none of them, by several
    networks that learn side by side and err apart."""

    def __init__(self, width: int, meanings: int) -> None:
        super().__init__()
        outward = meanings + 1
        self.inward = nn.Linear(width, _READERS * _READ)
        self.told = nn.Parameter(torch.empty(_READERS, _READ, outward).uniform_(-1, 1) * _READ**-0.5)
        self.bias = nn.Parameter(torch.zeros(_READERS, 1, outward))

    def forward(self, sentences: Tensor) -> Tensor:
        return torch.softmax(_SURE * self.odds(sentences).float(), 1)

    def odds(self, sentences: Tensor) -> Tensor:
        """(B, Q + 1) logits."""
        return torch.log_softmax(self.each(sentences).float(), 2).mean(0)

    def each(self, sentences: Tensor, forgetting: bool = False) -> Tensor:
        """(R, B, Q + 1) logits of each network."""
        found = F.relu(self.inward(sentences * sentences.shape[1] ** 0.5))
        found = F.dropout(found, _FORGOTTEN, forgetting).unflatten(1, (_READERS, _READ))
        return torch.baddbmm(self.bias, found.transpose(0, 1), self.told)

    def loss(self, sentences: Tensor, meant: Tensor) -> Tensor:
        """Embeddings (B, D), of length 1 or 0 for no sentence, and what is meant (B,) -> the cross entropy of each
        network. Embeddings are blurred, so that what lies near is read alike."""
        spoken = sentences.any(1, keepdim=True)
        read = self.each(sentences + _BLUR * torch.randn_like(sentences) * spoken, forgetting=True)
        return F.cross_entropy(read.float().flatten(0, 1), meant.repeat(len(read)))
