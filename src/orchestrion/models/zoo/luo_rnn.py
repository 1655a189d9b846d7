"""LuoRNN: two LSTMs over melodies or piano events, with attention, residual and embedding or without (Luo 2021).

Faithful: sections 5.3 and 5.4: five variants of one stack, 129 classes of melody on a grid of 4 ticks a quarter at 120,
or the 388 events of note on, note off, time shift and velocity; width 256, embeddings of 50 or one-hot, dot-product
attention without scale as figure 5.4 before the second LSTM, windows of 128, Adam at 0.001 without a schedule, and each
element of the gradient clipped to 3.
Read so: dropout is given twice for the melodies; 0.5, "in each LSTM cell", is between the two as in PyTorch's own
stack, and 0.4, "at the end of each RNN layer", behind the last. Events have 0.2 for both. The residual, said to be of
all five, is of the three named so.
Differs: the report predicts the one token behind a window and lets all of the window see all of it. Here every token is
predicted and sees the past alone, by attention of at most 128 tokens: at the end of a window both see the same, and one
window teaches 128 times as much. State goes on beyond the window, so any length can be made. Notes that never end,
which the report found, are ended by the notation (`longest_note_seconds`; 0 samples as published).
Uses of Request: count, primer, seconds or bars, temperature, top_p.

Legend: B sequences, T tokens, V tokens of the notation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from symusic import Score
from torch import Tensor, nn
from torch.optim import Optimizer

from orchestrion.data.store import Corpus
from orchestrion.models.base import Batch, PieceNats, Recipe, RecipeError, Request, System, Training
from orchestrion.models.layers.recurrent import Memory, RecurrentStack, clipped_adam
from orchestrion.models.token_model import autoregress, batch_nats, piece_token_nats, token_batch
from orchestrion.representations.melody import Melody
from orchestrion.representations.notation import Notation
from orchestrion.representations.performance import Performance

NOTATIONS = ("melody-8", "performance")


@dataclass(frozen=True)
class LuoRNNConfig:
    """notation: one of NOTATIONS. embedding: width of what a token becomes, 0 for one-hot. between, end: dropout behind
    the first and the second LSTM. `context` tokens are learned from at once and seen by the attention; `windows` a
    batch. clip: of each element of the gradient. longest_note_seconds: how long an event may sound in what is composed;
    0 leaves that to the network. Raises RecipeError for numbers that make no network.
    """

    notation: str = "melody-8"
    attention: bool = False
    residual: bool = False
    embedding: int = 0
    width: int = 256
    between: float = 0.5
    end: float = 0.4
    context: int = 128
    windows: int = 64
    rate: float = 1e-3
    clip: float = 3.0
    longest_note_seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.notation not in NOTATIONS:
            raise RecipeError(f"LuoRNN knows no notation {self.notation!r}; choose {' or '.join(NOTATIONS)}")
        if self.residual and not self.attention:
            raise RecipeError("the residual is one around the attention; set attention too")
        if min(self.width, self.context, self.windows) < 1 or self.embedding < 0:
            raise RecipeError("width, context and windows must be at least 1, embedding at least 0")


_ATTENTION = LuoRNNConfig(attention=True)
_RESIDUAL = replace(_ATTENTION, residual=True)
_BOTH = replace(_RESIDUAL, embedding=50)
_EMBEDDING = LuoRNNConfig(embedding=50)


def _small(variant: LuoRNNConfig, notation: str = "melody-8") -> Recipe:
    """A minute on one core, two for events: half as wide and, for so few steps, hardly any dropout; events, which take
    longest to learn, at twice the rate."""
    events = notation == "performance"
    config = replace(variant, notation=notation, width=128, between=0.1, end=0.1, windows=16,
                     rate=2e-3 if events else 1e-3)  # fmt: skip
    training = Training(steps=2500 if events else 1000, warm_up_steps=0, decay_share=0.0, clip_norm=0.0,
                        precision="float32", validate_every=250, save_every=250)  # fmt: skip
    return Recipe(config, training)


def _paper(variant: LuoRNNConfig, notation: str = "melody-8") -> Recipe:
    """100 epochs of as many samples as the report had, 45,000 melodies or 175,000 of events, 64 at a time."""
    if notation == "performance":
        variant = replace(variant, notation=notation, between=0.2, end=0.2)
    steps = 273_400 if notation == "performance" else 70_300
    training = Training(steps=steps, warm_up_steps=0, decay_share=0.0, clip_norm=0.0, precision="float32",
                        validate_every=1000, save_every=1000)  # fmt: skip
    return Recipe(variant, training)


RECIPES = {
    "tiny": Recipe(
        LuoRNNConfig(embedding=64, width=96, between=0.0, end=0.0, context=64, windows=12, rate=0.03),
        Training(steps=20, warm_up_steps=2, validate_every=10, validation_batches=1, save_every=5),
    ),
    "small": _small(_BOTH),
    "small-basic": _small(LuoRNNConfig()),
    "small-attention": _small(_ATTENTION),
    "small-attention-residual": _small(_RESIDUAL),
    "small-attention-residual-embedding": _small(_BOTH),
    "small-embedding": _small(_EMBEDDING),
    "poly-small-basic": _small(LuoRNNConfig(), "performance"),
    "poly-small-attention": _small(_ATTENTION, "performance"),
    "poly-small-attention-residual": _small(_RESIDUAL, "performance"),
    "poly-small-attention-residual-embedding": _small(_BOTH, "performance"),
    "poly-small-embedding": _small(_EMBEDDING, "performance"),
    "paper": _paper(_BOTH),
    "paper-basic": _paper(LuoRNNConfig()),
    "paper-attention": _paper(_ATTENTION),
    "paper-attention-residual": _paper(_RESIDUAL),
    "paper-attention-residual-embedding": _paper(_BOTH),
    "paper-embedding": _paper(_EMBEDDING),
    "poly-paper-basic": _paper(LuoRNNConfig(), "performance"),
    "poly-paper-attention": _paper(_ATTENTION, "performance"),
    "poly-paper-attention-residual": _paper(_RESIDUAL, "performance"),
    "poly-paper-attention-residual-embedding": _paper(_BOTH, "performance"),
    "poly-paper-embedding": _paper(_EMBEDDING, "performance"),
}  # fmt: skip


class LuoRNN(System):
    config: LuoRNNConfig
    holds: ClassVar[frozenset[str]] = frozenset({"seconds"})

    def __init__(self, config: LuoRNNConfig) -> None:
        super().__init__()
        self.config = config
        self.notation: Notation = Melody(8)
        if config.notation == "performance":
            self.notation = Performance(longest_seconds=config.longest_note_seconds or None)
        size = self.notation.size
        self.embedding = nn.Embedding(size + 1, config.embedding) if config.embedding else None
        self.stack = RecurrentStack(
            config.embedding or size + 1,
            config.width,
            reach=config.context if config.attention else 0,
            residual=config.residual,
            between=config.between,
            end=config.end,
        )
        self.classes = nn.Linear(config.width, size)

    def forward(self, tokens: Tensor, state: Memory | None = None) -> tuple[Tensor, Memory]:
        """(B, T) int64, 0..V -> logits (B, T, V) of the token after each, and the state to go on from."""
        if self.embedding is not None:
            x = self.embedding(tokens)
        else:
            x = F.one_hot(tokens, self.notation.size + 1).to(self.classes.weight.dtype)
        x, state = self.stack(x, state)
        return self.classes(x), state

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        return {"adam": clipped_adam(self.parameters(), self.config.rate, self.config.clip)}

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        return token_batch(corpus, split, rng, self.notation, self.config.windows, self.config.context)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        nats, count = batch_nats(self, batch)
        yield "adam", nats / count

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        nats, count = batch_nats(self, batch)
        return {"nats_per_token": (float(nats), float(count))}

    # ---- likelihood and music

    @property
    def likelihood_terms(self) -> str:
        token = "one of 388 performance events" if self.config.notation == "performance" else "a step of 1/8 second"
        return (
            f"A token is {token} ({self.notation.name}); each is predicted after all those before it; nothing is given."
        )

    @torch.inference_mode()
    def piece_nats(self, score: Score, sentence: np.ndarray | None = None) -> PieceNats:
        return piece_token_nats(self, self.notation, score, None)

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        return autoregress(self, self.notation, request, rng, context=None)
