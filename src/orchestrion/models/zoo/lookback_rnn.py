"""Lookback RNN: two LSTMs over a melody that are shown what came one and two bars ago (Waite 2016; Luo 2021, 4.1.1).

Faithful: melody events, 16 a bar; the input is the last event, the events that were one and two bars before the next,
whether the last one repeated its own, and the step within two bars as a binary clock of five numbers; labels are the
events, "as two bars ago" and "as one bar ago", which stand wherever they apply, in this order; two LSTMs of 128.
Likelihood: a token that repeats can be said in up to three ways, so its probability is the sum over its labels.
Differs: a bar is 2 s, 4/4 at 120 quarter notes a minute, as the notation is in real time. All 128 pitches are kept.
Training windows begin at bars; before the beginning of what is in sight lie events of nothing.
Uses of Request: count, primer, seconds or bars, temperature, top_p.

Legend: B sequences, T steps, L layers, D width, V tokens.
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
from orchestrion.data.tokens import PADDING, Tokens, token_table
from orchestrion.models.base import Batch, PieceNats, Recipe, RecipeError, Request, System, Training
from orchestrion.models.token_model import autoregress, inputs_and_targets, next_token_nats, piece_token_nats
from orchestrion.representations.melody import NO_EVENT, MelodyEvents

NOTATION = MelodyEvents()
V = NOTATION.size
BAR = 16  # steps
DISTANCES = (2 * BAR, BAR)  # label V + k repeats the event at DISTANCES[k], the first that applies
PAST = max(DISTANCES)
CLOCK_BITS = 5
INPUTS = 1 + V + len(DISTANCES) * (V + 1) + CLOCK_BITS


@dataclass(frozen=True)
class LookbackRNNConfig:
    """`layers` LSTMs of `width`; `windows` of `bars` bars make a batch. Raises RecipeError for numbers below 1."""

    width: int = 128
    layers: int = 2
    dropout: float = 0.5
    bars: int = 16
    windows: int = 128
    rate: float = 1e-3

    def __post_init__(self) -> None:
        if min(self.width, self.layers, self.bars, self.windows) < 1:
            raise RecipeError("width, layers, bars and windows must be at least 1")


RECIPES = {
    "tiny": Recipe(
        LookbackRNNConfig(layers=1, dropout=0.0, bars=3, windows=8, rate=0.03),
        Training(steps=20, warm_up_steps=2, validate_every=10, validation_batches=1, save_every=5),
    ),
    "small": Recipe(LookbackRNNConfig(dropout=0.2, windows=32), Training(steps=1500, clip_norm=3.0)),
    "paper": Recipe(LookbackRNNConfig(), Training(steps=20000, clip_norm=3.0, decay_share=0.0)),
}


@dataclass(frozen=True)
class Memory:
    """What has been read: the last PAST tokens (B, PAST), how many in all (B,), and what the LSTMs carry on."""

    tokens: Tensor
    count: Tensor
    carry: tuple[Tensor, Tensor]  # outputs and cells, (L, B, D) each


class LookbackRNN(System):
    config: LookbackRNNConfig
    holds: ClassVar[frozenset[str]] = frozenset({"seconds"})

    def __init__(self, config: LookbackRNNConfig) -> None:
        super().__init__()
        self.config = config
        self.lstm = nn.LSTM(INPUTS, config.width, config.layers, batch_first=True,
                            dropout=config.dropout if config.layers > 1 else 0.0)  # fmt: skip
        self.dropout = nn.Dropout(config.dropout)
        self.labels = nn.Linear(config.width, V + len(DISTANCES))

    def begin(self, count: int) -> Memory:
        """The state of `count` sequences before anything is read."""
        like = self.labels.weight
        zeros = like.new_zeros(self.config.layers, count, self.config.width)
        known = torch.full((count, PAST), NO_EVENT, device=like.device)
        return Memory(known, known.new_zeros(count), (zeros, zeros))

    def forward(self, tokens: Tensor, state: Memory | None = None) -> tuple[Tensor, Memory]:
        """(B, T) int64, 0..V -> log probabilities (B, T, V) of the token after each, and the state to go on from."""
        labels, repeated, state = self._read(tokens, state)
        known = labels[..., :V]
        for number in range(len(DISTANCES)):
            place = repeated[..., number : number + 1]
            both = torch.logaddexp(known.gather(-1, place), labels[..., V + number : V + number + 1])
            known = known.scatter(-1, place, both)
        return known, state

    def _read(self, tokens: Tensor, state: Memory | None) -> tuple[Tensor, Tensor, Memory]:
        """(B, T) -> log probabilities of labels (B, T, V + 2), the tokens that they repeat (B, T, 2), and the state."""
        steps = tokens.shape[1]
        state = self.begin(len(tokens)) if state is None else state
        known = torch.cat([state.tokens, torch.where(tokens == V, NO_EVENT, tokens)], dim=1)  # (B, PAST + T)
        before = {d: known[:, PAST - d : PAST - d + steps] for d in DISTANCES}  # of the last token
        following = [known[:, PAST - d + 1 : PAST - d + 1 + steps] for d in DISTANCES]
        numbers = state.count[:, None] + torch.arange(
            1, steps + 1, device=tokens.device
        )  # of the step that follows, from 1
        repeats = [(tokens == past) & (numbers > d + 1) for d, past in before.items()]
        clock = numbers[..., None] >> torch.arange(CLOCK_BITS - 1, -1, -1, device=tokens.device) & 1
        kind = self.labels.weight.dtype
        inputs = [F.one_hot(tokens, V + 1), *(F.one_hot(event, V) for event in following), torch.stack(repeats, -1)]
        x = torch.cat([*(part.to(kind) for part in inputs), 2 * clock.to(kind) - 1], dim=-1)
        x, carry = self.lstm(x, state.carry)
        labels = self.labels(self.dropout(x)).float().log_softmax(-1)
        memory = Memory(known[:, -PAST:], state.count + steps, carry)
        return labels, torch.stack(following, -1), memory

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        return {"adam": Adam(self.parameters(), lr=self.config.rate)}

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        tokens = _windows_at_bars(token_table(corpus, split, NOTATION), rng, self.config.windows, self.config.bars)
        return {"tokens": F.pad(torch.from_numpy(tokens), (1, 0), value=V)}

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        inputs, targets = inputs_and_targets(batch["tokens"])
        labels, repeated, _ = self._read(inputs, None)
        wanted = targets
        for number in reversed(range(len(DISTANCES))):
            wanted = torch.where(targets == repeated[..., number], V + number, wanted)
        nats, count = next_token_nats(labels, wanted)
        yield "adam", nats / count

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        inputs, targets = inputs_and_targets(batch["tokens"])
        nats, count = next_token_nats(self(inputs)[0], targets)
        return {"nats_per_token": (float(nats), float(count))}

    # ---- likelihood and music

    @property
    def likelihood_terms(self) -> str:
        return (
            "A token is a step of 1/8 second: a note begins, it ends, or nothing happens (melody-events-8); each is"
            " predicted after all those before it, by the sum over the labels that say it; nothing is given."
        )

    @torch.inference_mode()
    def piece_nats(self, score: Score, sentence: np.ndarray | None = None) -> PieceNats:
        return piece_token_nats(self, NOTATION, score, None)

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        return autoregress(self, NOTATION, request, rng, context=None)


def _windows_at_bars(table: Tokens, rng: np.random.Generator, count: int, bars: int) -> np.ndarray:
    """(count, bars * BAR) int64, each from where a bar begins, all bars alike; PADDING behind the end of a piece."""
    lengths = np.diff(table.starts)
    last = np.cumsum(np.maximum(1, (lengths - bars * BAR) // BAR + 1))  # bars to begin at, up to the end of each piece
    drawn = rng.integers(last[-1], size=count)
    piece = np.searchsorted(last, drawn, side="right")
    first = table.starts[piece] + BAR * (drawn - np.where(piece > 0, last[piece - 1], 0))
    at = first[:, None] + np.arange(bars * BAR)
    tokens = np.asarray(table.tokens)[np.minimum(at, len(table.tokens) - 1)].astype(np.int64)
    return np.where(at < table.starts[piece + 1][:, None], tokens, PADDING)
