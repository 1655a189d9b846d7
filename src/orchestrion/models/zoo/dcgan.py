"""DCGAN: phrases as pictures by strided convolutions, or by an LSTM with 1-d convolutions (Radford et al. 2016).

What the WGAN-GP paper of seventeen tracks (Nagarajan and Govindan 2023) set out from: it names both networks, says that
the hybrid lost most modes and that DCGAN was the steadier, and prints no number of either.
Faithful ("convolution"): noise of 100 even numbers, projected and reshaped, four transposed convolutions that halve the
channels, from 8 x 128, batch norm and ReLU but at the outputs, tanh; the mirror image with leaky ReLU of 0.2 as
discriminator; weights at 0.02, Adam at 0.0002 with betas 0.5 and 0.999, one step each.
Differs: phrases are 64 by 72 and not square, so that the first layer is 4 by 9 and doubles time alone; kernels are 4
wide, as 5 do not divide by the stride. Tracks are channels, and cells -1 or 1. At first few cells are on, as in music.
Ours is how the hybrid ("hybrid") goes together: noise becomes 16 steps, which an LSTM reads, and two transposed 1-d
convolutions make 64 steps of all pitches and tracks; the discriminator is its mirror image.
Uses of Request: count, bars, tempo.

Legend: B phrases, K tracks, S steps of a phrase, P pitches, Z noise, C channels, T places in time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar, TypeVar, cast

import numpy as np
import torch
from symusic import Score
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from orchestrion.data.store import Corpus
from orchestrion.models.base import Batch, Recipe, RecipeError, Request, System, Training
from orchestrion.models.layers.adversarial import NORMS, discriminator_loss, frozen, generator_loss, norm
from orchestrion.models.pianoroll_gan import compose_phrases, phrase_batch, phrase_figures, said_of
from orchestrion.representations.phrases import TRACK_SETS, PhraseGrid

Layer = TypeVar("Layer", nn.Linear, nn.Conv1d, nn.ConvTranspose1d, nn.ConvTranspose2d)
NETWORKS = ("convolution", "hybrid")
STEPS, PITCHES = 64, 72
AT_ONCE = 256  # phrases drawn in one call
_SLOPE = 0.2  # of leaky ReLUs below zero
_LSTM_SQUARE = 0.045  # mean square of an LSTM's outputs at first
_RARE = -1.5  # what tanh is taken of at first, with a spread of 0.5: some cells in a thousand are on


@dataclass(frozen=True)
class DCGANConfig:
    """network: one of NETWORKS. tracks: names one of TRACK_SETS. noise: Z. width: channels of the layer next to the
    phrases, or of the hybrid's LSTM and convolutions. `phrases` make a batch. norm: of the discriminator, one of
    NORMS. threshold: what sounds in the music that is made, and in validation.

    Raises RecipeError for numbers that make no network.
    """

    network: str = "convolution"
    tracks: str = "seventeen"
    noise: int = 100
    width: int = 128
    phrases: int = 128
    rate: float = 2e-4
    norm: str = "batch"
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise RecipeError(f"there is no network {self.network!r}; choose {' or '.join(NETWORKS)}")
        if self.norm not in NORMS:
            raise RecipeError(f"there is no norm {self.norm!r}; choose {', '.join(NORMS)}")
        if self.tracks not in TRACK_SETS:
            raise RecipeError(f"there are no tracks {self.tracks!r}; choose {' or '.join(TRACK_SETS)}")
        if min(self.noise, self.width) < 1 or self.phrases < 2:
            raise RecipeError("noise and width must be at least 1, and phrases 2")
        if not 0 < self.threshold < 1:
            raise RecipeError(f"threshold {self.threshold} must lie between 0 and 1, where the cells do")


_SMALL, _SMALL_HYBRID = DCGANConfig(width=16, phrases=32, rate=1e-3), DCGANConfig("hybrid", width=128, phrases=32)
_SMALL_TRAINING = Training(steps=2000, warm_up_steps=0, decay_share=0.0, clip_norm=0.0, validate_every=100,
                           save_every=200)  # fmt: skip
_PAPER_TRAINING = replace(_SMALL_TRAINING, steps=17_000, validate_every=1700, save_every=1700)
RECIPES = {
    "tiny": Recipe(
        DCGANConfig("hybrid", tracks="five", noise=16, width=32, phrases=8, rate=2e-3),
        Training(steps=20, warm_up_steps=2, decay_share=0.0, clip_norm=0.0, precision="float32", validate_every=10,
                 validation_batches=1, save_every=5),
    ),
    "small": Recipe(_SMALL, _SMALL_TRAINING),
    "small-hybrid": Recipe(_SMALL_HYBRID, _SMALL_TRAINING),
    # 100 epochs of 21,800 phrases
    "paper": Recipe(DCGANConfig(), _PAPER_TRAINING),
    "paper-hybrid": Recipe(DCGANConfig("hybrid", width=256), _PAPER_TRAINING),
}  # fmt: skip


class DCGAN(System):
    config: DCGANConfig
    holds: ClassVar[frozenset[str]] = frozenset({"bars", "tempo"})

    def __init__(self, config: DCGANConfig) -> None:
        super().__init__()
        self.config = config
        self.grid = PhraseGrid(config.tracks, 4, STEPS // 4, 24, PITCHES)
        tracks = self.grid.shape[0]
        self.generator: nn.Module
        self.discriminator: nn.Module
        if config.network == "convolution":
            self.generator, self.discriminator = Generator(config, tracks), Discriminator(config, tracks)
        else:
            self.generator, self.discriminator = HybridGenerator(config, tracks), HybridDiscriminator(config, tracks)

    def forward(self, noise: Tensor) -> Tensor:
        """(B, Z) -> (B, K, S, P) in -1..1."""
        return torch.tanh(self.generator(noise).float())

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        networks = {"discriminator": self.discriminator, "generator": self.generator}
        return {name: Adam(one.parameters(), self.config.rate, (0.5, 0.999)) for name, one in networks.items()}

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        """phrases (B, K, S, P) bool, and noise (B, Z) to measure as many made ones by."""
        noise = np.stack([_noise(rng, self.config.noise) for _ in range(self.config.phrases)])
        return {**phrase_batch(corpus, split, rng, self.grid, self.config.phrases), "noise": torch.from_numpy(noise)}

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        with torch.no_grad():
            made = self(even_like(batch["noise"]))
        marks = self.discriminator(signs(batch["phrases"])).float(), self.discriminator(made).float()
        yield "discriminator", discriminator_loss(*marks)
        with frozen(self.discriminator):
            loss = generator_loss(self.discriminator(self(even_like(batch["noise"]))).float())
        yield "generator", loss

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        real, made = batch["phrases"], self(batch["noise"])
        gap = self.discriminator(signs(real)).float() - self.discriminator(made).float()
        figures = phrase_figures(real, self._sounding(made), self.grid.bars)
        return {**figures, "critic_gap": (float(gap.sum()), float(len(real)))}

    def remarks(self, figures: Mapping[str, float]) -> list[str]:
        return said_of(figures)

    # ---- music

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        self.eval()
        return compose_phrases(self._draw, self.grid, request, rng)

    def _draw(self, rngs: Sequence[np.random.Generator]) -> np.ndarray:
        noise = torch.from_numpy(np.stack([_noise(rng, self.config.noise) for rng in rngs]))
        parts = noise.to(next(self.parameters()).device).split(AT_ONCE)
        return np.concatenate([self._sounding(self(part)).cpu().numpy() for part in parts])

    def _sounding(self, phrases: Tensor) -> Tensor:
        return phrases > 2 * self.config.threshold - 1


def signs(phrases: Tensor) -> Tensor:
    """bool -> -1 or 1."""
    return phrases.float().mul_(2).sub_(1)


def even_like(noise: Tensor) -> Tensor:
    return torch.rand_like(noise) * 2 - 1


def _noise(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.random(count, dtype=np.float32) * 2 - 1


# ---- convolutions


class Generator(nn.Sequential):
    """Noise (B, Z) -> (B, K, S, P) before tanh: 4 by 9 cells, then 8 by 9, 16 by 18, 32 by 36, 64 by 72."""

    def __init__(self, config: DCGANConfig, tracks: int) -> None:
        first, width = (8 * config.width, 4, 9), config.width
        super().__init__(
            spread(nn.Linear(config.noise, prod(first)), config.noise / 3),  # of the noise's variance
            nn.Unflatten(1, first), nn.BatchNorm2d(first[0]), nn.ReLU(),
            *doubled(8 * width, 4 * width, (4, 3), (2, 1)), *doubled(4 * width, 2 * width), *doubled(2 * width, width),
            rare(nn.ConvTranspose2d(width, tracks, 4, 2, 1), 4 * width),
        )  # fmt: skip


def doubled(
    inward: int, outward: int, kernel: tuple[int, int] = (4, 4), stride: tuple[int, int] = (2, 2)
) -> tuple[nn.Module, ...]:
    """(B, C, ...) -> twice as long where the stride is 2."""
    layer = nn.ConvTranspose2d(inward, outward, kernel, stride, 1)
    return spread(layer, inward * prod(kernel) / prod(stride)), nn.BatchNorm2d(outward), nn.ReLU()


class Discriminator(nn.Sequential):
    """Phrases (B, K, S, P) in -1..1 -> logits (B,)."""

    def __init__(self, config: DCGANConfig, tracks: int) -> None:
        width = config.width
        super().__init__(
            nn.Conv2d(tracks, width, 4, 2, 1), nn.LeakyReLU(_SLOPE),
            nn.Conv2d(width, 2 * width, 4, 2, 1), norm(config.norm, 2 * width, 2), nn.LeakyReLU(_SLOPE),
            nn.Conv2d(2 * width, 4 * width, 4, 2, 1), norm(config.norm, 4 * width, 2), nn.LeakyReLU(_SLOPE),
            nn.Conv2d(4 * width, 8 * width, (4, 3), (2, 1), 1), norm(config.norm, 8 * width, 2), nn.LeakyReLU(_SLOPE),
            nn.Flatten(), nn.Linear(8 * width * 4 * 9, 1), nn.Flatten(0),
        )  # fmt: skip
        for layer in self:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)


# ---- an LSTM with 1-d convolutions


class HybridGenerator(nn.Module):
    """Noise (B, Z) -> (B, K, S, P) before tanh."""

    def __init__(self, config: DCGANConfig, tracks: int) -> None:
        super().__init__()
        width = config.width
        self.inward = spread(nn.Linear(config.noise, STEPS // 4 * width), config.noise / 6)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        layers: list[nn.Module] = []
        for square in (_LSTM_SQUARE, 1.0):
            layer = spread(nn.ConvTranspose1d(width, width, 4, 2, 1), 2 * width * square)
            layers += [layer, nn.BatchNorm1d(width), nn.ReLU()]
        self.layers = nn.Sequential(*layers, rare(nn.Conv1d(width, tracks * PITCHES, 3, padding=1), 3 * width))

    def forward(self, noise: Tensor) -> Tensor:
        steps, _ = self.lstm(self.inward(noise).unflatten(1, (STEPS // 4, -1)))
        return self.layers(steps.mT).unflatten(1, (-1, PITCHES)).mT


class HybridDiscriminator(nn.Module):
    """Phrases (B, K, S, P) in -1..1 -> logits (B,)."""

    def __init__(self, config: DCGANConfig, tracks: int) -> None:
        super().__init__()
        width = config.width
        self.layers = nn.Sequential(
            nn.Conv1d(tracks * PITCHES, width, 4, 2, 1), nn.LeakyReLU(_SLOPE),
            nn.Conv1d(width, width, 4, 2, 1), norm(config.norm, width, 1), nn.LeakyReLU(_SLOPE),
        )  # fmt: skip
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.outward = nn.Linear(width, 1)

    def forward(self, phrases: Tensor) -> Tensor:
        steps, _ = self.lstm(self.layers(phrases.mT.flatten(1, 2)).mT)
        return self.outward(steps[:, -1]).squeeze(1)


# ---- how weights begin


def spread(layer: Layer, summed: float) -> Layer:
    """The layer with weights that keep the spread of what passes ReLUs, where each output sums so many (He et al.)."""
    nn.init.normal_(layer.weight, std=(2 / summed) ** 0.5)
    return layer


def rare(layer: Layer, summed: float) -> Layer:
    """A last layer with outputs of a spread of 0.5 that are rarely above 0."""
    nn.init.normal_(layer.weight, std=0.5 * (2 / summed) ** 0.5)
    nn.init.constant_(cast(Tensor, layer.bias), _RARE)
    return layer
