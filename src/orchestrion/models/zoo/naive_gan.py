"""Naive GAN: noise through plain dense layers becomes a phrase, the baseline of the CNN-LSTM paper (Liu and Huo).

Faithful: one piano track, cross-entropy, and no layer that knows of time or pitch. The paper names its "naive model" in
a table and says no more of it; the rest is the plainest GAN in use: from 100 numbers of noise dense layers of 256, 512
and 1,024 with leaky ReLU and batch norm, a discriminator of 512 and 256, Adam at 0.0002 with betas 0.5 and 0.999.
Read so: "over one hundred thousand bars" are the 102,378 phrases that MuseGAN's authors publish, of 4 bars, 48 steps
and 84 pitches, of which the paper takes a tenth and the piano alone. A silent phrase is no output here, so those in
which it plays at all are learned from, and a phrase is all 4 bars, so that single bars may be empty.
Differs: at first few cells are on, and those of a bar and of a pitch in it are alike, as in music. Left so, its phrases
become dust, hundreds of notes of one step; `small` is narrower and cures what it can: its discriminator is a
Wasserstein critic with a penalty on its slopes (Gulrajani et al. 2017), three steps of it to one, that is shown ones
and zeros (`binary`), and what the last layer says of cells is summed over a quarter note (`held`).
Uses of Request: count, bars, tempo.

Legend: B phrases, Z numbers of noise, K tracks, S steps of a phrase, P pitches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
from symusic import Score
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from orchestrion.data.phrases import Selection
from orchestrion.data.store import Corpus
from orchestrion.models.base import Batch, Recipe, RecipeError, Request, System, Training
from orchestrion.models.layers.adversarial import (
    binary_neurons,
    draw_bars_,
    frozen,
    held,
    loss_by_critic,
    loss_of_critic,
)
from orchestrion.models.pianoroll_gan import compose_phrases, normal_noise, phrase_batch, phrase_figures, said_of
from orchestrion.representations.phrases import PhraseGrid

_SLOPE = 0.2  # of leaky ReLUs below zero
_SPARSE = -1.9  # bias of cells at first, against logits that spread by about 1: some in a hundred are on


@dataclass(frozen=True)
class NaiveGANConfig:
    """tracks, bars, steps_a_bar, lowest, pitches: the PhraseGrid. notes: the least that a phrase learned from holds.

    generator, discriminator: widths of the dense layers. binary: the discriminator sees made phrases as ones and zeros,
    else the odds of each cell. A batch is `discriminator_steps` times `phrases`. penalty: above 0 the discriminator is
    a Wasserstein critic with this weight on its slopes. held: each logit is the sum of so many neighbours
    in time. Raises RecipeError for numbers that make no network.
    """

    tracks: str = "piano"
    bars: int = 4
    steps_a_bar: int = 48
    lowest: int = 24
    pitches: int = 84
    notes: int = 1
    noise: int = 100
    generator: tuple[int, ...] = (256, 512, 1024)
    discriminator: tuple[int, ...] = (512, 256)
    binary: bool = False
    phrases: int = 64
    discriminator_steps: int = 1
    rate: float = 2e-4
    penalty: float = 0.0
    held: int = 1

    def __post_init__(self) -> None:
        if min(self.noise, *self.generator, *self.discriminator, self.discriminator_steps) < 1 or self.phrases < 2:
            raise RecipeError("noise, widths and steps must be at least 1, phrases 2")

    @property
    def grid(self) -> PhraseGrid:
        return PhraseGrid(self.tracks, self.bars, self.steps_a_bar, self.lowest, self.pitches)


RECIPES = {
    "tiny": Recipe(
        NaiveGANConfig(bars=2, steps_a_bar=16, lowest=48, pitches=36, noise=16, generator=(128,), discriminator=(128,),
                       binary=True, phrases=16, discriminator_steps=3, rate=1e-2, penalty=10.0, held=2),
        Training(steps=20, warm_up_steps=2, validate_every=10, validation_batches=1, save_every=5),
    ),
    # six minutes on one core
    "small": Recipe(
        NaiveGANConfig(generator=(128, 256, 512), discriminator=(256, 128), binary=True, phrases=32,
                       discriminator_steps=3, rate=3e-4, penalty=10.0, held=12),
        Training(steps=2000, warm_up_steps=0, decay_share=0.8, clip_norm=0.0, validate_every=100, save_every=100),
    ),
    # 100 epochs of a tenth of 102,378 phrases
    "paper": Recipe(
        NaiveGANConfig(),
        Training(steps=16000, warm_up_steps=0, decay_share=0.0, clip_norm=0.0, precision="float32", validate_every=800,
                 save_every=800),
    ),
}  # fmt: skip


class NaiveGAN(System):
    config: NaiveGANConfig
    holds: ClassVar[frozenset[str]] = frozenset({"bars", "tempo"})

    def __init__(self, config: NaiveGANConfig) -> None:
        super().__init__()
        self.config = config
        cells = config.grid.cells
        layers: list[nn.Module] = []
        for inputs, width in pairwise((config.noise, *config.generator)):
            layers += [_dense(inputs, width), nn.LeakyReLU(_SLOPE), nn.BatchNorm1d(width)]
        outward = nn.Linear(config.generator[-1], cells)
        draw_bars_(outward.weight, config.grid.shape, config.bars, config.generator[-1] ** -0.5, config.held)
        nn.init.constant_(outward.bias, _SPARSE * config.held**-0.5)
        self.generator = nn.Sequential(*layers, outward, nn.Unflatten(1, config.grid.shape))
        layers = [nn.Flatten()]
        for inputs, width in pairwise((cells, *config.discriminator)):
            layers += [nn.Linear(inputs, width), nn.LeakyReLU(_SLOPE)]
        self.discriminator = nn.Sequential(*layers, nn.Linear(config.discriminator[-1], 1), nn.Flatten(0))

    def forward(self, noise: Tensor) -> Tensor:
        """(B, Z) -> (B, K, S, P), the odds of each cell to be on."""
        return torch.sigmoid(held(self.generator(noise).float(), self.config.held))

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        networks = {"discriminator": self.discriminator, "generator": self.generator}
        betas = (0.5, 0.9 if self.config.penalty else 0.999)
        return {name: Adam(network.parameters(), self.config.rate, betas, fused=True)
                for name, network in networks.items()}  # fmt: skip

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        """phrases (B, K, S, P) bool, and noise (B, Z) to measure as many made ones by."""
        config = self.config
        count = config.phrases * config.discriminator_steps
        noise = torch.from_numpy(rng.standard_normal((count, config.noise), dtype=np.float32))
        return {**phrase_batch(corpus, split, rng, config.grid, count, Selection(notes=config.notes)), "noise": noise}

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        config = self.config
        for real in batch["phrases"].float().split(config.phrases):
            with torch.no_grad():
                made = self._shown()
            yield "discriminator", loss_of_critic(self.discriminator, real, made, config.penalty)
        made = self._shown()
        with frozen(self.discriminator):
            marks = self.discriminator(made)
        yield "generator", loss_by_critic(marks, config.penalty)

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        odds, real = self(batch["noise"]), batch["phrases"]
        heard = odds > 0.5
        seen = heard.float() if self.config.binary else odds
        gap = self.discriminator(real.float()).float().mean() - self.discriminator(seen).float().mean()
        return {**phrase_figures(real, heard, self.config.bars), "critic_gap": (float(gap), 1.0)}

    def remarks(self, figures: Mapping[str, float]) -> list[str]:
        return said_of(figures)

    def _shown(self) -> Tensor:
        """(B, K, S, P), phrases made anew as the discriminator sees them."""
        config = self.config
        odds = self(torch.randn(config.phrases, config.noise, device=next(self.parameters()).device))
        return binary_neurons(odds) if config.binary else odds

    # ---- making music

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        self.eval()
        return compose_phrases(self._drawn, self.config.grid, request, rng)

    def _drawn(self, rngs: Sequence[np.random.Generator]) -> np.ndarray:
        """(B, K, S, P) bool, one phrase from each stream."""
        noise = normal_noise(rngs, self.config.noise)
        odds = self(noise.to(next(self.parameters()).device)).cpu().numpy()
        return np.asarray(odds > 0.5)


def _dense(inputs: int, width: int) -> nn.Linear:
    """Of weights that keep the spread of what passes (He et al. 2015)."""
    layer = nn.Linear(inputs, width)
    nn.init.kaiming_normal_(layer.weight, _SLOPE)
    nn.init.zeros_(layer.bias)
    return layer
