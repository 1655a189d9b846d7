"""Performance RNN: three LSTMs write keys, time and loudness as one sequence (Simon and Oore 2017; Luo 2021, 4.2.1).

Faithful: 388 performance events as one-hot vectors, three LSTMs of 512 with dropout behind each, a linear layer, and
training music made up to 5 % slower or faster and transposed by up to three semitones, anew for each batch.
Differs: dropout is 0.1, as the report gives no number. Notes that the network forgets to end, the notation ends.
Uses of Request: count, primer, seconds or bars, temperature, top_p.

Legend: B sequences, T steps, N tokens, D width, V tokens of the notation, L layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from symusic import Score
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from orchestrion.data.store import Corpus
from orchestrion.data.tokens import PADDING
from orchestrion.models.base import Batch, PieceNats, Recipe, RecipeError, Request, System, Training
from orchestrion.models.token_model import autoregress, batch_nats, piece_token_nats, token_batch
from orchestrion.representations.performance import MAX_SHIFT, SHIFT, VELOCITY, Performance

NOTATION = Performance()
STRETCHES = (0.95, 0.975, 1.0, 1.025, 1.05)
Carry = tuple[Tensor, Tensor]  # outputs and cells of the LSTMs, (L, B, D) each


@dataclass(frozen=True)
class PerformanceRNNConfig:
    """`layers` LSTMs of `width`; `windows` of `window` tokens make a batch, each transposed by up to `transpose`
    semitones and, where `stretch`, by one of STRETCHES in time. Raises RecipeError for numbers that make no network."""

    width: int = 512
    layers: int = 3
    dropout: float = 0.1
    window: int = 512
    windows: int = 64
    transpose: int = 3
    stretch: bool = True
    rate: float = 1e-3

    def __post_init__(self) -> None:
        if min(self.width, self.layers, self.windows) < 1 or self.window < 2 or self.transpose < 0:
            raise RecipeError("width, layers and windows must be at least 1, window 2, and transpose not negative")


RECIPES = {
    "tiny": Recipe(
        PerformanceRNNConfig(width=128, layers=1, dropout=0.0, window=48, windows=8, transpose=0, stretch=False,
                             rate=0.03),
        Training(steps=20, warm_up_steps=2, validate_every=10, validation_batches=1, save_every=5),
    ),
    "small": Recipe(PerformanceRNNConfig(width=256, window=256, windows=16), Training(steps=1200, clip_norm=3.0)),
    "paper": Recipe(PerformanceRNNConfig(), Training(steps=30000, clip_norm=3.0, decay_share=0.0)),
}  # fmt: skip


class PerformanceRNN(System):
    config: PerformanceRNNConfig
    holds: ClassVar[frozenset[str]] = frozenset({"seconds"})

    def __init__(self, config: PerformanceRNNConfig) -> None:
        super().__init__()
        self.config = config
        self.lstm = nn.LSTM(NOTATION.size + 1, config.width, config.layers, batch_first=True,
                            dropout=config.dropout if config.layers > 1 else 0.0)  # fmt: skip
        nn.init.normal_(self.lstm.all_weights[0][0])  # of a one-hot vector one weight alone reaches each gate
        with torch.no_grad():
            for layer in range(config.layers):  # as Magenta's cells: at first nothing is forgotten
                getattr(self.lstm, f"bias_ih_l{layer}")[config.width : 2 * config.width] += 1.0
        self.dropout = nn.Dropout(config.dropout)
        self.outward = nn.Linear(config.width, NOTATION.size)

    def begin(self, count: int) -> Carry:
        """The state of `count` sequences before anything is read."""
        zeros = self.outward.weight.new_zeros(self.config.layers, count, self.config.width)
        return zeros, zeros

    def forward(self, tokens: Tensor, state: Carry | None = None) -> tuple[Tensor, Carry]:
        """(B, T) int64, 0..V -> logits (B, T, V) of the token after each, and the state to go on from."""
        events = F.one_hot(tokens, NOTATION.size + 1).to(self.outward.weight.dtype)
        x, carry = self.lstm(events, self.begin(len(tokens)) if state is None else state)
        return self.outward(self.dropout(x)), carry

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        return {"adam": Adam(self.parameters(), lr=self.config.rate)}

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        config = self.config
        if split != "train" or not (config.transpose or config.stretch):
            return token_batch(corpus, split, rng, NOTATION, config.windows, config.window)
        longer = config.window + config.window // 4  # as time made shorter takes fewer tokens
        drawn = token_batch(corpus, split, rng, NOTATION, config.windows, longer)["tokens"].numpy()
        tokens = np.full((config.windows, config.window + 1), PADDING)
        tokens[:, 0] = NOTATION.size
        for row, window in zip(tokens[:, 1:], drawn[:, 1:], strict=True):
            made = self._varied(window[window != PADDING], rng)[: config.window]
            row[: len(made)] = made
        return {"tokens": torch.from_numpy(tokens)}

    def _varied(self, tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        semitones = int(rng.integers(-self.config.transpose, self.config.transpose + 1))
        factor = float(rng.choice(STRETCHES)) if self.config.stretch else 1.0
        return stretched(transposed(tokens, semitones), factor)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        nats, count = batch_nats(self, batch)
        yield "adam", nats / count

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        nats, count = batch_nats(self, batch)
        return {"nats_per_token": (float(nats), float(count))}

    # ---- likelihood and music

    @property
    def likelihood_terms(self) -> str:
        return "A token is one of 388 performance events, predicted after all that come before it."

    @torch.inference_mode()
    def piece_nats(self, score: Score, sentence: np.ndarray | None = None) -> PieceNats:
        return piece_token_nats(self, NOTATION, score, None)

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        return autoregress(self, NOTATION, request, rng, context=None)


def transposed(tokens: np.ndarray, semitones: int) -> np.ndarray:
    """Performance events (N,) with all pitches moved; as they are where one would leave 0..127."""
    keys = tokens < SHIFT
    pitches = tokens[keys] % 128 + semitones
    if not ((pitches >= 0) & (pitches < 128)).all():
        return tokens
    moved = tokens.copy()
    moved[keys] += semitones
    return moved


def stretched(tokens: np.ndarray, factor: float) -> np.ndarray:
    """Performance events (N,) with all times multiplied and each rounded by itself to the grid of 10 ms, or later where
    it would meet the one before: fewer or more tokens, as gaps cross the longest shift. A shift at the end, which leads
    to no event, is left out."""
    shifting = (tokens >= SHIFT) & (tokens < VELOCITY)
    times = np.where(shifting, tokens - SHIFT + 1, 0).cumsum()[~shifting]
    moments = (np.diff(times, prepend=0) > 0).cumsum()
    gaps = np.diff(np.maximum.accumulate(np.rint(times * factor).astype(np.int64) - moments) + moments, prepend=0)
    rests = gaps % MAX_SHIFT
    places = (gaps // MAX_SHIFT + (rests > 0) + 1).cumsum() - 1
    written = np.full(places[-1] + 1 if len(places) else 0, SHIFT + MAX_SHIFT - 1, tokens.dtype)
    written[places] = tokens[~shifting]
    resting = rests > 0
    written[places[resting] - 1] = SHIFT - 1 + rests[resting]
    return written
