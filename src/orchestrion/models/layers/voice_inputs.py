"""What the past of a chorale says of the token to come, said outright: ours, as 229 chorales are too few to learn it.

Legend: B sequences, T new tokens, V tokens of the notation, D width, W tokens that are looked back on, I intervals.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orchestrion.models.layers.intervals import INTERVALS, by_interval, interval_classes
from orchestrion.representations.chorale import BAR, REST, VOICES

LOOKBACK = 8  # tokens that are named: two steps
OWN = VOICES - 1  # lag of the last token of the voice that is to come; 0 is the last token
LONGEST_HELD = 24  # steps, as far as held notes are counted
TAIL = VOICES * LONGEST_HELD + LOOKBACK


class VoiceInputs(nn.Module):
    """One embedding for each thing said, all added: the voice and the place in the bar; the last LOOKBACK tokens; for
    how many steps the last of each voice is held; and the intervals from the last pitch of the voice to come to the
    others. And logits by the interval from the last pitch of each voice.

    dropout: of single embeddings.
    """

    offsets: Tensor

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        sizes = [VOICES * BAR] + [REST + 2] * LOOKBACK + [LONGEST_HELD + 1] * VOICES + [INTERVALS] * (LOOKBACK - 1)
        self.table = nn.Embedding(sum(sizes), width)
        self.motions = nn.Linear(width, VOICES * INTERVALS)
        self.dropout = dropout
        self.register_buffer("offsets", torch.tensor([0, *np.cumsum(sizes[:-1]).tolist()]), persistent=False)
        nn.init.normal_(self.table.weight, std=0.075)
        nn.init.zeros_(self.motions.weight)
        nn.init.zeros_(self.motions.bias)

    def begin(self, count: int) -> Tensor:
        """(B, W): nothing is read."""
        return torch.full((count, TAIL), REST + 1, device=self.table.weight.device)

    def forward(self, tokens: Tensor, places: Tensor, tail: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Tokens (B, T), which of the piece they are (B, T), and the last before them (B, W) -> (B, T, D), what
        `logits` needs, and the last tokens now."""
        past, steps = torch.cat([tail, tokens], dim=1), tokens.shape[1]
        lags = [_lag(past, lag, steps) for lag in range(LOOKBACK)]
        said = [places % VOICES * BAR + places // VOICES % BAR, *lags, *held(past, steps)]
        said += [interval_classes(other, lags[OWN]) for lag, other in enumerate(lags) if lag != OWN]
        rows, weights = (torch.stack(said, dim=-1) + self.offsets).flatten(0, 1), None  # (B T, said)
        if self.training and self.dropout:
            weights = F.dropout(torch.ones(rows.shape, device=rows.device), self.dropout)
        found = F.embedding_bag(rows, self.table.weight, mode="sum", per_sample_weights=weights)
        return found.view(*places.shape, -1), lags[:VOICES], past[:, steps:]

    def logits(self, x: Tensor, references: list[Tensor]) -> Tensor:
        """(B, T, D) -> (B, T, V)."""
        return by_interval(self.motions(x), references, REST + 1)


def _lag(past: Tensor, lag: int, count: int) -> Tensor:
    """What stands `lag` before each of the last `count` (B, T)."""
    end = past.shape[1] - lag
    return past[:, end - count : end]


def held(past: Tensor, count: int) -> list[Tensor]:
    """(B, W + T) -> for how many steps each of the last VOICES tokens before each of the last `count` has been the
    same, (B, count) each, up to LONGEST_HELD; 0 before the piece."""
    found = []
    for lag in range(VOICES):
        token = _lag(past, lag, count)
        same = token <= REST
        steps = same.long()
        for step in range(1, LONGEST_HELD):
            same = same & (_lag(past, lag + VOICES * step, count) == token)
            steps = steps + same
        found.append(steps)
    return found
