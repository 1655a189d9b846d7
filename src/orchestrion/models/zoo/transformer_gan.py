"""Transformer-GAN: noise becomes performance events in one go, judged by a second transformer (Karadeli et al.).

Faithful: a feed-forward network on noise of 50 in place of the embedding, the piano transformer's body of relative
attention, layer norm, ReLU and dropout 0.1 with 8 heads, and S events out; the discriminator of the same body sees
events, its outputs are averaged over the sequence and a linear layer makes one value of them; cross-entropy, Adam.
Width 64, 4 layers, 256 between and S = 1024 are those of the code that the paper names as its model; it prints none.
Where the printed numbers do not fit: noise of D x Z has no S places. It is read as the weights that stand in place of
the embedding's, and each of S places has 50 numbers of its own; attention tells places apart, as it looks back only.
No gradient passes argmax, so as printed nothing is learned: `estimator` is "gumbel" (Jang et al. 2017), events drawn
from the odds, or "straight-through", the likeliest; the discriminator sees whole events either way, and the gradient
passes as if it had seen odds. Layers are normalised before and not behind.
Ours is a likelihood phase first (`likelihood_steps`). Noise drawn blindly says nothing of a real window, so that its
likelihood place by place would teach how frequent events are and no more; and teacher forcing would train an input that
the generator does not have. So a third transformer reads real windows and says by which noise each could have been
made, and both learn to make them again (a variational autoencoder; Kingma and Welling 2014): all real windows have
noise that gives them, which is what a generator that collapses lacks. The discriminator learns meanwhile from blind
noise, as one that knows nothing yet would soon undo what was learned.
Events are written one after another, the likeliest legal one with Gumbel's noise or without, from as many outputs as
the length takes; each output, and what a primer holds, is unknown to the next.
Uses of Request: count, primer, seconds or bars, temperature and top_p ("gumbel" alone).

Legend: B windows, S events of each, V events there are, Z noise, D width, F features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from symusic import Score
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from orchestrion.data.store import Corpus
from orchestrion.data.tokens import PADDING, token_table
from orchestrion.metrics.phrases import energy_distance
from orchestrion.models.base import Batch, Recipe, RecipeError, Request, System, Training
from orchestrion.models.layers.adversarial import discriminator_loss, frozen, generator_loss
from orchestrion.models.layers.relative import RelativeAttention
from orchestrion.models.pianoroll_gan import said_of
from orchestrion.models.token_model import autoregress, next_token_nats
from orchestrion.representations.performance import NOTE_OFF, SHIFT, VELOCITY, Performance

NOTATION = Performance()
ESTIMATORS = ("gumbel", "straight-through")
_COLLAPSED = 0.3


@dataclass(frozen=True)
class TransformerGANConfig:
    """noise: Z. events: S. estimator: one of ESTIMATORS; softness: the temperature of the odds that its gradients see.
    likelihood_steps: steps of the likelihood phase, before any others. `windows` make a batch.

    Raises RecipeError for numbers that make no network.
    """

    noise: int = 50
    events: int = 1024
    width: int = 64
    layers: int = 4
    heads: int = 8
    feed_forward: int = 256
    dropout: float = 0.1
    estimator: str = "gumbel"
    softness: float = 1.0
    likelihood_steps: int = 0
    windows: int = 16
    generator_rate: float = 1e-4
    discriminator_rate: float = 1e-4

    def __post_init__(self) -> None:
        if self.estimator not in ESTIMATORS:
            raise RecipeError(f"there is no estimator {self.estimator!r}; choose {' or '.join(ESTIMATORS)}")
        if min(self.noise, self.layers, self.heads) < 1 or min(self.events, self.windows) < 2:
            raise RecipeError("noise, layers and heads must be at least 1, events and windows 2")
        if self.width % self.heads:
            raise RecipeError(f"width {self.width} must be a multiple of the heads, {self.heads}")
        if self.softness <= 0 or self.likelihood_steps < 0:
            raise RecipeError("softness must be more than 0, and likelihood_steps no less than 0")


_SMALL = TransformerGANConfig(
    events=128, layers=2, dropout=0.0, windows=8, generator_rate=3e-4, discriminator_rate=3e-4
)
_SMALL_TRAINING = Training(steps=1200, decay_share=0.0, precision="float32", validate_every=100, validation_batches=16,
                           save_every=200)  # fmt: skip
# 10 epochs of 100 pieces of MAESTRO, 2 million events
_PAPER_TRAINING = Training(steps=1200, decay_share=0.0, precision="float32", validate_every=60, save_every=120)
RECIPES = {
    "tiny": Recipe(
        TransformerGANConfig(noise=8, events=48, width=32, layers=1, heads=2, feed_forward=64, dropout=0.0, windows=16,
                             likelihood_steps=60, generator_rate=1e-3, discriminator_rate=2e-3),
        Training(steps=20, warm_up_steps=2, decay_share=0.0, precision="float32", validate_every=10,
                 validation_batches=1, save_every=5),
    ),
    "small": Recipe(_SMALL, _SMALL_TRAINING),
    "small-likelihood": Recipe(replace(_SMALL, likelihood_steps=600), _SMALL_TRAINING),
    "small-straight-through": Recipe(replace(_SMALL, estimator="straight-through"), _SMALL_TRAINING),
    "small-straight-through-likelihood": Recipe(
        replace(_SMALL, estimator="straight-through", likelihood_steps=600), _SMALL_TRAINING
    ),
    "paper": Recipe(TransformerGANConfig(), _PAPER_TRAINING),
    "paper-likelihood": Recipe(
        TransformerGANConfig(likelihood_steps=1200), replace(_PAPER_TRAINING, steps=2400)
    ),
}  # fmt: skip


class TransformerGAN(System):
    config: TransformerGANConfig
    steps_taken: Tensor
    holds: ClassVar[frozenset[str]] = frozenset({"seconds"})

    def __init__(self, config: TransformerGANConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        places = nn.Sequential(nn.Linear(config.noise, width), nn.ReLU(), nn.Linear(width, width))
        self.generator = nn.Sequential(places, Body(config, NOTATION.size))
        self.discriminator = Discriminator(config)
        self.encoder = (
            nn.Sequential(embedding(width), Body(config, 2 * config.noise)) if config.likelihood_steps else None
        )
        self.register_buffer("steps_taken", torch.zeros((), dtype=torch.int64))

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        config, betas = self.config, (0.5, 0.9)
        makers = [network for network in (self.generator, self.encoder) if network is not None]
        return {
            "discriminator": Adam(self.discriminator.parameters(), config.discriminator_rate, betas),
            "generator": Adam([weight for one in makers for weight in one.parameters()], config.generator_rate, betas),
        }

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        """tokens (B, S) int64, -1 behind the end of a piece; noise (B, S, Z) to measure as many made windows by."""
        config = self.config
        windows = token_table(corpus, split, NOTATION).windows(rng, config.windows, config.events - 1)
        noise = rng.standard_normal((config.windows, config.events, config.noise), dtype=np.float32)
        return {"tokens": torch.from_numpy(windows), "noise": torch.from_numpy(noise)}

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        with torch.no_grad():
            made = self.written(self.generator(torch.randn_like(batch["noise"])))
        marks = self.discriminator(one_hot(batch["tokens"])), self.discriminator(made)
        yield "discriminator", discriminator_loss(*marks)
        if self._taken(step) < self.config.likelihood_steps:
            nats, count = self.window_nats(batch["tokens"])
            yield "generator", nats / count
        else:
            with frozen(self.discriminator):
                made = self.written(self.generator(torch.randn_like(batch["noise"])))
                loss = generator_loss(self.discriminator(made))
            yield "generator", loss

    @torch.no_grad()
    def after_step(self, step: int, batches: Sequence[Batch]) -> None:
        self.steps_taken.fill_(self._taken(step) + 1)

    def _taken(self, step: int) -> int:
        """Steps of training so far, with those of the weights that this training began with."""
        return max(step, int(self.steps_taken))

    def written(self, logits: Tensor) -> Tensor:
        """(B, S, V) -> the same, one 1 each, with the gradient of odds."""
        logits, softness = logits.float(), self.config.softness
        if self.config.estimator == "gumbel":
            return F.gumbel_softmax(logits, softness, hard=True)
        odds = (logits / softness).softmax(-1)
        return odds + (F.one_hot(logits.argmax(-1), NOTATION.size) - odds).detach()

    def window_nats(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What windows (B, S) cost by the noise that the encoder finds for them, and how many events they are: the
        noise's distance from blind noise, and the events by it; no less than what they cost the generator (the
        evidence lower bound)."""
        assert self.encoder is not None
        mean, log_variance = self.encoder(one_hot(tokens)).float().chunk(2, dim=-1)
        noise = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        nats, count = next_token_nats(self.generator(noise), tokens)
        apart = (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1) / 2
        return nats + apart[tokens != PADDING].sum(), count

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        tokens = batch["tokens"]
        made = self.written(self.generator(batch["noise"]))
        gap = self.discriminator(one_hot(tokens)) - self.discriminator(made)
        windows = made.argmax(-1).cpu().numpy()
        real_features, features = event_features(tokens.cpu().numpy()), event_features(windows)
        figures = {
            "event_distance": (energy_distance(real_features, features), 1.0),
            "spread": (_spread(features), _spread(real_features)),
            "distinct": (float(len(np.unique(windows, axis=0))), float(len(windows))),
            "critic_gap": (float(gap.sum()), float(len(gap))),
        }
        if self.encoder is not None:
            nats, count = self.window_nats(tokens)
            figures["nats_per_event"] = (float(nats), float(count))
        return figures

    def remarks(self, figures: Mapping[str, float]) -> list[str]:
        said = said_of(figures)
        if figures.get("spread", 1.0) < _COLLAPSED:
            said.append(f"the generator has collapsed: its windows differ {figures['spread']:.0%} as much as real ones")
        return said

    # ---- music

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        self.eval()
        if self.config.estimator == "straight-through":  # all chance is in the noise
            request = replace(request, temperature=0.0)
        outputs = _Outputs(self, rng.spawn(max(request.count, 0)))
        return autoregress(outputs, NOTATION, request, rng, context=None)


class _Outputs:
    """The generator's outputs one behind another, as if they were predicted event by event; the state is how many
    events were asked for."""

    def __init__(self, system: TransformerGAN, rngs: Sequence[np.random.Generator]) -> None:
        self._system, self._rngs = system, rngs
        self._logits = torch.zeros(0)

    def __call__(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        config, asked = self._system.config, 0 if state is None else state
        place = asked % config.events
        if place == 0:
            drawn = [rng.standard_normal((config.events, config.noise), dtype=np.float32) for rng in self._rngs]
            device = self._system.steps_taken.device
            self._logits = self._system.generator(torch.from_numpy(np.stack(drawn)).to(device))
        return self._logits[:, place : place + 1], asked + 1


# ---- networks


class Body(nn.Module):
    """(B, S, D) -> (B, S, outputs): the layers of the piano transformer."""

    def __init__(self, config: TransformerGANConfig, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm, self.outward = nn.LayerNorm(config.width), nn.Linear(config.width, outputs)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x)
        return self.outward(self.norm(x))


class Layer(nn.Module):
    """Relative attention and a feed-forward network, each behind a norm and added to its input."""

    def __init__(self, config: TransformerGANConfig) -> None:
        super().__init__()
        width = config.width
        self.attention_norm, self.network_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = RelativeAttention(width, config.heads, config.events)
        self.widen, self.narrow = nn.Linear(width, config.feed_forward), nn.Linear(config.feed_forward, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x))[0])
        return x + self.dropout(self.narrow(self.dropout(F.relu(self.widen(self.network_norm(x))))))


class Discriminator(nn.Module):
    """Events (B, S, V), 0 where there are none -> logits (B,)."""

    def __init__(self, config: TransformerGANConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential(embedding(config.width), Body(config, NOTATION.size))
        self.mark = nn.Linear(NOTATION.size, 1)

    def forward(self, events: Tensor) -> Tensor:
        there = events.detach().sum(-1, keepdim=True).round()  # padding is not averaged
        pooled = (self.layers(events).float() * there).sum(1) / there.sum(1)
        return self.mark(pooled).float().squeeze(1)


def embedding(width: int) -> nn.Linear:
    """Events (B, S, V) -> (B, S, D), of which one weight alone reaches each number."""
    layer = nn.Linear(NOTATION.size, width, bias=False)
    nn.init.normal_(layer.weight)
    return layer


def one_hot(tokens: Tensor) -> Tensor:
    """(B, S) -> (B, S, V) float, all 0 for padding."""
    return F.one_hot(tokens.clamp(min=0), NOTATION.size).float() * (tokens != PADDING).unsqueeze(-1)


# ---- how far made events lie from real ones

_GROUPS = np.concatenate(  # note-ons and note-offs by octave, shifts by their logarithm, velocities by fours
    [
        np.arange(256) % 128 // 12 + 11 * (np.arange(256) >= NOTE_OFF),
        22 + np.log2(np.arange(1, VELOCITY - SHIFT + 1)).astype(np.int64),
        29 + np.arange(NOTATION.size - VELOCITY) // 4,
    ]
)
_KINDS = np.searchsorted([NOTE_OFF, SHIFT, VELOCITY], np.arange(NOTATION.size), side="right")


def event_features(tokens: np.ndarray) -> np.ndarray:
    """(B, S) int64, -1 behind the end -> (B, F) float: shares of 37 groups of events (note-ons and note-offs by octave,
    shifts by length, velocities by strength), of 12 pitch classes among note-ons, and of the 16 pairs of kinds that
    follow each other; of note-ons, and of note-offs, those whose pitch was struck before in the window and sounds."""
    windows, there = np.maximum(tokens, 0), tokens >= 0
    kinds, pitches = _KINDS[windows], windows % 128
    before = there[:, 1:]
    shares = (
        _shares(_GROUPS[windows], there, 37),
        _shares(pitches % 12, there & (kinds == 0), 12),
        _shares(4 * kinds[:, :-1] + kinds[:, 1:], before, 16),
        _after_onsets(kinds, pitches, there),
    )
    return np.concatenate(shares, axis=1)


def _shares(classes: np.ndarray, there: np.ndarray, count: int) -> np.ndarray:
    """(B, S) classes, and whether they count -> (B, count) of those that do; 0 where none does."""
    rows = np.arange(len(classes))[:, None] * count
    found = np.bincount((classes + rows)[there], minlength=len(classes) * count).reshape(-1, count)
    return found / np.maximum(found.sum(axis=1, keepdims=True), 1)


def _after_onsets(kinds: np.ndarray, pitches: np.ndarray, there: np.ndarray) -> np.ndarray:
    """(B, 2): the shares of note-ons, and of note-offs, whose pitch was struck before in the window and sounds."""
    row, place = np.nonzero(there & (kinds < 2))
    order = np.argsort(row * 128 + pitches[row, place], kind="stable")
    row, kind, pitch = row[order], kinds[row, place][order], pitches[row, place][order]
    sounds = np.zeros(len(row), bool)
    sounds[1:] = (kind[:-1] == 0) & (row[1:] == row[:-1]) & (pitch[1:] == pitch[:-1])
    counts = np.bincount(row * 2 + kind, minlength=2 * len(kinds)).reshape(-1, 2)
    found = np.bincount((row * 2 + kind)[sounds], minlength=2 * len(kinds)).reshape(-1, 2)
    return found / np.maximum(counts, 1)


def _spread(features: np.ndarray) -> float:
    """How far windows of one kind lie apart."""
    return float(np.linalg.norm(features[:, None] - features[None], axis=-1).mean())
