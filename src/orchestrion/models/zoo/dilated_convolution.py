"""Dilated convolution: a gated causal stack that doubles its reach layer by layer (WaveNet; Luo 2021, 4.3.1 and 5.6.2).

Faithful: layers of tanh(W_f * x) . sigmoid(W_g * x) (formula 4.7) on the past alone, dilations 1, 2, 4, ..., residual
and skip connections as WaveNet's block (figure 4.6), and many channels from the first layer on, as the report advises.
Differs, so that it learns what it could not there: its rolls were not quantised, so that 97 % of the steps repeated the
one before, and were reduced to one vector with a sigmoid. Here every step of a sequence is predicted at once, and the
tokens are performance events or a melody on a grid, with a softmax.
Uses of Request: count, primer, seconds or bars, temperature, top_p.

Legend: B sequences, T steps, C channels, K skip channels, P steps a layer looks back, V tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from symusic import Score
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from orchestrion.data.store import Corpus
from orchestrion.models.base import Batch, PieceNats, Recipe, RecipeError, Request, System, Training
from orchestrion.models.token_model import autoregress, batch_nats, piece_token_nats, token_batch
from orchestrion.representations.melody import Melody
from orchestrion.representations.notation import Notation
from orchestrion.representations.performance import Performance

NOTATIONS: dict[str, Notation] = {notation.name: notation for notation in (Performance(), Melody())}


@dataclass(frozen=True)
class DilatedConvolutionConfig:
    """`rounds` of `layers` layers, whose dilations double from 1 in each round, with `channels` and `skip_channels`;
    `windows` of `window` tokens make a batch. Raises RecipeError for numbers that make no network."""

    notation: str = "performance"
    channels: int = 96
    skip_channels: int = 256
    layers: int = 9
    rounds: int = 1
    kernel: int = 2
    dropout: float = 0.1
    window: int = 1024
    windows: int = 4
    rate: float = 1e-3

    def __post_init__(self) -> None:
        if self.notation not in NOTATIONS:
            raise RecipeError(f"there is no notation {self.notation!r}; choose one of {', '.join(NOTATIONS)}")
        if min(self.channels, self.skip_channels, self.layers, self.rounds, self.windows) < 1 or self.kernel < 2:
            raise RecipeError("channels, layers, rounds and windows must be at least 1, and the kernel at least 2")
        if self.window < 2:
            raise RecipeError(f"a window of {self.window} tokens has nothing to predict; give it at least 2")

    @property
    def reach(self) -> int:
        """How many tokens a prediction sees."""
        return 1 + self.rounds * (self.kernel - 1) * (2**self.layers - 1)


RECIPES = {
    "tiny": Recipe(
        DilatedConvolutionConfig(channels=32, skip_channels=64, layers=5, dropout=0.0, window=96, windows=4, rate=1e-2),
        Training(steps=20, warm_up_steps=2, validate_every=10, validation_batches=1, save_every=5),
    ),
    "small": Recipe(DilatedConvolutionConfig(), Training(steps=1500)),
    "small-melody": Recipe(
        DilatedConvolutionConfig(notation="melody-8", channels=64, skip_channels=128, layers=7, window=256, windows=16),
        Training(steps=2000),
    ),
    "paper": Recipe(
        DilatedConvolutionConfig(channels=256, skip_channels=512, layers=10, rounds=3, window=4096, windows=8),
        Training(steps=50000, warm_up_steps=1000),
    ),
    "paper-melody": Recipe(
        DilatedConvolutionConfig(notation="melody-8", channels=256, skip_channels=512, layers=8, rounds=2,
                                 window=1024, windows=32),
        Training(steps=20000, warm_up_steps=1000),
    ),
}  # fmt: skip


class GatedLayer(nn.Module):
    """Formula 4.7 with its residual and skip connections, on what lies behind each step."""

    def __init__(self, config: DilatedConvolutionConfig, dilation: int) -> None:
        super().__init__()
        self.past = (config.kernel - 1) * dilation
        self.filter_gate = nn.Conv1d(config.channels, 2 * config.channels, config.kernel, dilation=dilation)
        self.residual = nn.Conv1d(config.channels, config.channels, 1)
        self.skip = nn.Conv1d(config.channels, config.skip_channels, 1)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C, T) and the P inputs before them (B, C, P) -> what the next layer reads (B, C, T), what is skipped to
        the end (B, K, T), and the last P inputs."""
        seen = torch.cat([past.to(x.dtype), x], dim=-1)
        filtered, gate = self.filter_gate(seen).chunk(2, dim=1)
        y = self.dropout(filtered.tanh() * gate.sigmoid())
        return x + self.residual(y), self.skip(y), seen[..., -self.past :]


class DilatedConvolution(System):
    config: DilatedConvolutionConfig
    holds: ClassVar[frozenset[str]] = frozenset({"seconds"})

    def __init__(self, config: DilatedConvolutionConfig) -> None:
        super().__init__()
        self.config = config
        self.notation = NOTATIONS[config.notation]
        self.embedding = nn.Embedding(self.notation.size + 1, config.channels)
        self.layers = nn.ModuleList(
            GatedLayer(config, 2**power) for _ in range(config.rounds) for power in range(config.layers)
        )
        self.first_end = nn.Conv1d(config.skip_channels, config.skip_channels, 1)
        self.last_end = nn.Conv1d(config.skip_channels, self.notation.size, 1)

    def begin(self, count: int) -> list[Tensor]:
        """The state of `count` sequences before anything is read."""
        shape = count, self.config.channels
        return [self.embedding.weight.new_zeros(*shape, cast(GatedLayer, layer).past) for layer in self.layers]

    def forward(self, tokens: Tensor, state: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """(B, T) int64, 0..V -> logits (B, T, V) of the token after each, and the last inputs of each layer (B, C, P),
        the state to go on from."""
        x = self.embedding(tokens).mT
        pasts, skipped = [], x.new_zeros(())
        for layer, past in zip(self.layers, self.begin(len(tokens)) if state is None else state, strict=True):
            x, skip, past = layer(x, past)
            skipped = skipped + skip
            pasts.append(past)
        return self.last_end(F.relu(self.first_end(F.relu(skipped)))).mT, pasts

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        return {"adam": Adam(self.parameters(), lr=self.config.rate)}

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        return token_batch(corpus, split, rng, self.notation, self.config.windows, self.config.window)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        nats, count = batch_nats(self, batch)
        yield "adam", nats / count

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        nats, count = batch_nats(self, batch)
        return {"nats_per_token": (float(nats), float(count))}

    # ---- likelihood and music

    @property
    def likelihood_terms(self) -> str:
        token = f"A token is one of the {self.notation.size} of {self.notation.name}"
        return f"{token}, predicted after at most {self.config.reach} before it."

    @torch.inference_mode()
    def piece_nats(self, score: Score, sentence: np.ndarray | None = None) -> PieceNats:
        return piece_token_nats(self, self.notation, score, self.config.window)

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        return autoregress(self, self.notation, request, rng, context=None)
