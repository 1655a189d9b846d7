"""Attention RNN: an LSTM that looks back on its last 40 outputs, and a second one (Waite 2016; Luo 2021, 4.1.1).

Faithful: formulas 4.1 to 4.3 over the last 40 outputs of the first LSTM; what they give goes with the LSTM's output
through a linear layer to the second LSTM, and also into the next step; melody events, two LSTMs of 128.
Differs: the linear layer that the original has before the gates is one with theirs here. All 128 pitches are kept.
Outputs from before the beginning have no weight.
Uses of Request: count, primer, seconds or bars, temperature, top_p.

Legend: B sequences, T steps, D width, N outputs to look back on, V tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from symusic import Score
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from orchestrion.data.store import Corpus
from orchestrion.models.base import Batch, PieceNats, Recipe, RecipeError, Request, System, Training
from orchestrion.models.token_model import autoregress, batch_nats, piece_token_nats, token_batch
from orchestrion.representations.melody import MelodyEvents

NOTATION = MelodyEvents()
_NO_WEIGHT = -1e9


@dataclass(frozen=True)
class AttentionRNNConfig:
    """`layers` LSTMs of `width`, the first with attention to its last `reach` outputs; `windows` of `window` tokens
    make a batch. Raises RecipeError for numbers below 1."""

    width: int = 128
    layers: int = 2
    reach: int = 40
    dropout: float = 0.5
    window: int = 256
    windows: int = 128
    rate: float = 1e-3

    def __post_init__(self) -> None:
        if min(self.width, self.layers, self.reach, self.window, self.windows) < 1:
            raise RecipeError("width, layers, reach, window and windows must be at least 1")


RECIPES = {
    "tiny": Recipe(
        AttentionRNNConfig(layers=1, reach=16, dropout=0.0, window=32, windows=12, rate=0.02),
        Training(steps=20, warm_up_steps=2, validate_every=10, validation_batches=1, save_every=5),
    ),
    "small": Recipe(AttentionRNNConfig(dropout=0.2, window=128, windows=32), Training(steps=600, clip_norm=3.0)),
    "paper": Recipe(AttentionRNNConfig(), Training(steps=20000, clip_norm=3.0, decay_share=0.0)),
}


@dataclass(frozen=True)
class Look:
    """The state of the first LSTM: its output, its cell and what attention gave, (B, D) each, and `past`, the last N
    outputs h_i beside their keys W_1 h_i, (B, N, 2D); only the last `count` (B,) are not from before the beginning."""

    output: Tensor
    cell: Tensor
    found: Tensor
    past: Tensor
    count: Tensor


class LookingLSTM(nn.Module):
    """An LSTM with attention to its own outputs."""

    def __init__(self, inputs: int, width: int, reach: int) -> None:
        super().__init__()
        self.width, self.reach = width, reach
        self.inward = nn.Embedding(inputs, width)  # the product of a one-hot vector and a matrix
        self.lstm = nn.LSTMCell(2 * width, width)
        self.key = nn.Linear(width, width, bias=False)  # W_1
        self.query = nn.Linear(width, width, bias=False)  # W_2
        self.score = nn.Linear(width, 1, bias=False)  # v
        self.outward = nn.Linear(2 * width, width)

    def begin(self, count: int) -> Look:
        zeros = self.key.weight.new_zeros(count, self.width)
        past = zeros.new_zeros(count, self.reach, 2 * self.width)
        return Look(zeros, zeros, zeros, past, torch.zeros(count, dtype=torch.int64, device=zeros.device))

    def forward(self, tokens: Tensor, look: Look) -> tuple[Tensor, Look]:
        """(B, T) -> outputs (B, T, D), and the state to go on from."""
        output, cell, found, past = look.output, look.cell, look.found, look.past
        known = look.count + torch.arange(tokens.shape[1], device=tokens.device).unsqueeze(1)  # (T, B)
        places = torch.arange(self.reach, 0, -1, device=tokens.device)
        weights = torch.where(places > known.unsqueeze(-1), _NO_WEIGHT, 0.0).unsqueeze(2)  # (T, B, 1, N)
        finals = []
        for inward, weight in zip(self.inward(tokens).unbind(1), weights, strict=True):
            output, cell = self.lstm(torch.cat([inward, found], dim=-1), (output, cell))
            outputs, keys = past.split(self.width, dim=-1)
            scores = self.score((keys + self.query(cell).unsqueeze(1)).tanh())  # formula 4.1
            attended = (scores.mT + weight).softmax(-1)  # 4.2
            found = (attended @ outputs).squeeze(1)  # 4.3
            final = self.outward(torch.cat([output, found], dim=-1))
            new = torch.cat([final, self.key(final)], dim=-1).unsqueeze(1)
            past = torch.cat([past[:, 1:], new], dim=1)
            finals.append(final)
        return torch.stack(finals, dim=1), Look(output, cell, found, past, look.count + tokens.shape[1])


State = tuple[Look, tuple[tuple[Tensor, Tensor], ...]]  # and outputs and cells of the others, (1, B, D) each


class AttentionRNN(System):
    config: AttentionRNNConfig
    holds: ClassVar[frozenset[str]] = frozenset({"seconds"})

    def __init__(self, config: AttentionRNNConfig) -> None:
        super().__init__()
        self.config = config
        self.first = LookingLSTM(NOTATION.size + 1, config.width, config.reach)
        self.others = nn.ModuleList(
            nn.LSTM(config.width, config.width, batch_first=True) for _ in range(config.layers - 1)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.outward = nn.Linear(config.width, NOTATION.size)

    def begin(self, count: int) -> State:
        """The state of `count` sequences before anything is read."""
        zeros = self.outward.weight.new_zeros(1, count, self.config.width)
        return self.first.begin(count), ((zeros, zeros),) * len(self.others)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """(B, T) int64, 0..V -> logits (B, T, V) of the token after each, and the state to go on from."""
        look, carries = self.begin(len(tokens)) if state is None else state
        x, look = self.first(tokens, look)
        after = []
        for lstm, carry in zip(self.others, carries, strict=True):
            x, carry = lstm(self.dropout(x), carry)
            after.append(carry)
        return self.outward(self.dropout(x)), (look, tuple(after))

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        return {"adam": Adam(self.parameters(), lr=self.config.rate)}

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        return token_batch(corpus, split, rng, NOTATION, self.config.windows, self.config.window)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        nats, count = batch_nats(self, batch)
        yield "adam", nats / count

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        nats, count = batch_nats(self, batch)
        return {"nats_per_token": (float(nats), float(count))}

    # ---- likelihood and music

    @property
    def likelihood_terms(self) -> str:
        return (
            "A token is a step of 1/8 second: a note begins, it ends, or nothing happens (melody-events-8); each is"
            " predicted after all those before it; nothing is given."
        )

    @torch.inference_mode()
    def piece_nats(self, score: Score, sentence: np.ndarray | None = None) -> PieceNats:
        return piece_token_nats(self, NOTATION, score, None)

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        return autoregress(self, NOTATION, request, rng, context=None)
