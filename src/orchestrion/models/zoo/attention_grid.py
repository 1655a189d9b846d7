"""Attention grid: stacks of plain masked attention over performance events (Luo 2021, section 5.5).

Faithful: decoders only, absolute sinusoidal positions, pre-activation before attention and feed-forward, Xavier uniform
weights, each head projecting to the full width as figure 5.11 shows, dropout 0.4 at the end of each module, two linear
layers at the end, and the grid of stacks x heads 1x1, 1x3, 3x1 and 2x2.
Differs: heads are parted as (B, T, H, D). The figure's `view(batch, n_heads, seq_len, in_size)` of a (B, T, H * D)
tensor hands the steps themselves out to the heads, so that with more than one head a step sees later ones, and no mask
helps. Pre-activation is read as normalising, then ReLU (He et al. 2016). The report names no width; 256 here.
Uses of Request: count, primer, seconds or bars, temperature, top_p.

Legend: B sequences, T steps, S steps in sight, H heads, D width, V tokens, L stacks.
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
from orchestrion.representations.performance import Performance

NOTATION = Performance()


@dataclass(frozen=True)
class AttentionGridConfig:
    """`stacks` decoders of `heads` heads, each of the full `width`; `window` tokens are read at once, the length of the
    report's attention pictures; `windows` of them make a batch. Raises RecipeError for numbers that make no network."""

    stacks: int = 1
    heads: int = 1
    width: int = 128
    feed_forward: int = 512
    dropout: float = 0.4
    window: int = 256
    windows: int = 16
    rate: float = 1e-3

    def __post_init__(self) -> None:
        if min(self.stacks, self.heads, self.windows) < 1 or self.window < 2 or self.width % 2:
            raise RecipeError(f"stacks, heads and windows must be at least 1, and width {self.width} even")


_SMALL = Training(steps=1200, clip_norm=3.0)
_PAPER = Training(steps=62500, clip_norm=3.0, decay_share=0.0)  # 100 epochs of 40,000 samples


def _paper(stacks: int, heads: int) -> Recipe:
    return Recipe(AttentionGridConfig(stacks, heads, width=256, feed_forward=1024, windows=64), _PAPER)


RECIPES = {
    "tiny": Recipe(
        AttentionGridConfig(2, 2, width=48, feed_forward=96, dropout=0.0, window=208, windows=8, rate=0.015),
        Training(steps=20, warm_up_steps=2, validate_every=10, validation_batches=1, save_every=5),
    ),
    "small": Recipe(AttentionGridConfig(2, 2), _SMALL),
    "small-1x1": Recipe(AttentionGridConfig(1, 1), _SMALL),
    "small-1x3": Recipe(AttentionGridConfig(1, 3), _SMALL),
    "small-3x1": Recipe(AttentionGridConfig(3, 1), _SMALL),
    "small-2x2": Recipe(AttentionGridConfig(2, 2), _SMALL),
    "paper": _paper(2, 2),
    "paper-1x1": _paper(1, 1),
    "paper-1x3": _paper(1, 3),
    "paper-3x1": _paper(3, 1),
    "paper-2x2": _paper(2, 2),
}


@dataclass
class Reading:
    """What has been read: keys and values of each stack, (B, H, S, D) each with room to grow, and steps held (B,)."""

    keys: list[Tensor]
    values: list[Tensor]
    lengths: Tensor


class HeadGrid(nn.Module):
    """Masked attention whose heads each project to the full width."""

    def __init__(self, config: AttentionGridConfig) -> None:
        super().__init__()
        self.heads, wide = config.heads, config.heads * config.width
        self.queries, self.keys, self.values = (nn.Linear(config.width, wide) for _ in range(3))
        self.outward = nn.Linear(wide, config.width)

    def parted(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, D) -> queries, keys and values (B, H, T, D)."""
        parts = (linear(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                 for linear in (self.queries, self.keys, self.values))  # fmt: skip
        queries, keys, values = parts
        return queries, keys, values

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None) -> Tensor:
        """-> (B, T, D). seen: (B, 1, T, S) bool; None for the past of each step."""
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=seen, is_causal=seen is None)
        return self.outward(mixed.transpose(1, 2).flatten(2))


class Stack(nn.Module):
    """One decoder: attention and feed-forward, each with normalising and ReLU before it and dropout at its end."""

    def __init__(self, config: AttentionGridConfig) -> None:
        super().__init__()
        self.attention_norm, self.network_norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.attention = HeadGrid(config)
        self.widen = nn.Linear(config.width, config.feed_forward)
        self.narrow = nn.Linear(config.feed_forward, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def parted(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.attention.parted(F.relu(self.attention_norm(x)))

    def forward(self, x: Tensor, parted: tuple[Tensor, Tensor, Tensor], seen: Tensor | None) -> Tensor:
        x = x + self.dropout(self.attention(*parted, seen))
        return x + self.dropout(self.narrow(F.relu(self.widen(F.relu(self.network_norm(x))))))


class AttentionGrid(System):
    config: AttentionGridConfig
    holds: ClassVar[frozenset[str]] = frozenset({"seconds"})

    def __init__(self, config: AttentionGridConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(NOTATION.size + 1, config.width)
        nn.init.normal_(self.embedding.weight, std=config.width**-0.5)
        self.stacks = nn.ModuleList(Stack(config) for _ in range(config.stacks))
        self.first_linear = nn.Linear(config.width, config.width)
        self.last_linear = nn.Linear(config.width, NOTATION.size)
        for linear in [module for module in self.modules() if isinstance(module, nn.Linear)]:
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def begin(self, count: int) -> Reading:
        """The state of `count` sequences before anything is read."""
        nothing = self.embedding.weight.new_zeros(count, self.config.heads, 0, self.config.width)
        layers = self.config.stacks
        lengths = torch.zeros(count, dtype=torch.int64, device=nothing.device)
        return Reading([nothing] * layers, [nothing] * layers, lengths)

    def forward(self, tokens: Tensor, state: Reading | None = None) -> tuple[Tensor, Reading]:
        """(B, T) int64, 0..V -> logits (B, T, V) of the token after each, and the state to go on from; the one given is
        changed."""
        x, reading, seen = self._opening(tokens, state)
        for layer in range(self.config.stacks):
            x = self._stack(layer, x, reading, seen)
        return self.last_linear(self.first_linear(x)), reading

    @torch.inference_mode()
    def scores(self, tokens: Tensor, *, masked: bool = True) -> list[Tensor]:
        """What each step of (B, T) looks at, by stack: weights (B, H, T, T) that add up to 1, as forward uses them, or,
        not masked, over later steps too, as in the report's pictures. A token of -1 is an empty input."""
        x, reading, _ = self._opening(tokens, None)
        found = []
        for layer, stack in enumerate(self.stacks):
            queries, keys, _ = cast(Stack, stack).parted(x)
            scores = queries @ keys.mT / self.config.width**0.5
            later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            found.append(scores.masked_fill(later & masked, -torch.inf).softmax(-1))
            x = self._stack(layer, x, reading, None)
        return found

    def _opening(self, tokens: Tensor, state: Reading | None) -> tuple[Tensor, Reading, Tensor | None]:
        """Embedded tokens (B, T, D), the reading they will be added to, and what each may see; None for its past."""
        batch, steps = tokens.shape
        x = self.embedding(tokens.clamp(min=0)) * (tokens >= 0).unsqueeze(-1) * self.config.width**0.5
        new = torch.arange(steps, device=tokens.device)
        if state is None:
            return x + self._positions(new), Reading([], [], new.new_full((batch,), steps)), None
        places = state.lengths[:, None] + new  # (B, T)
        size = int(state.lengths.max()) + steps
        seen = torch.arange(size, device=tokens.device) <= places[..., None]
        reading = Reading(state.keys, state.values, state.lengths + steps)
        return x + self._positions(places), reading, seen.unsqueeze(1)

    def _stack(self, layer: int, x: Tensor, reading: Reading, seen: Tensor | None) -> Tensor:
        stack = cast(Stack, self.stacks[layer])
        queries, keys, values = stack.parted(x)
        if seen is None:
            reading.keys.append(keys)
            reading.values.append(values)
            return stack(x, (queries, keys, values), None)
        places = reading.lengths[:, None] - x.shape[1] + torch.arange(x.shape[1], device=x.device)
        size = seen.shape[-1]
        reading.keys[layer] = _placed(reading.keys[layer], keys, places, size)
        reading.values[layer] = _placed(reading.values[layer], values, places, size)
        return stack(x, (queries, reading.keys[layer][:, :, :size], reading.values[layer][:, :, :size]), seen)

    def _positions(self, places: Tensor) -> Tensor:
        """Sines and cosines of wavelengths from 2 pi to 20,000 pi steps (Vaswani et al. 2017): (...) -> (..., D)."""
        halves = torch.arange(0, self.config.width, 2, device=places.device)
        angles = places.unsqueeze(-1) * 10000.0 ** (-halves / self.config.width)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

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
        seen = self.config.window
        return (
            f"A token is one of 388 performance events, predicted after {seen // 2} to {seen} events or all there are."
        )

    @torch.inference_mode()
    def piece_nats(self, score: Score, sentence: np.ndarray | None = None) -> PieceNats:
        return piece_token_nats(self, NOTATION, score, self.config.window)

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        return autoregress(self, NOTATION, request, rng, context=self.config.window)


def _placed(held: Tensor, new: Tensor, places: Tensor, size: int) -> Tensor:
    """(B, H, S, D) with new (B, H, T, D) written at (B, T); made larger where there is no room for `size` steps."""
    if held.shape[2] < size:
        held = F.pad(held, (0, 0, 0, max(size, 2 * held.shape[2]) - held.shape[2]))
    rows = torch.arange(len(held), device=held.device)[:, None]
    held[rows, :, places] = new.transpose(1, 2).to(held.dtype)
    return held
