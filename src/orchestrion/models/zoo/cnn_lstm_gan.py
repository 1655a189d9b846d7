"""CNN-LSTM GAN: noise grown to a phrase by up-sampling and convolution, told from real ones by LSTMs (Liu and Huo).

Faithful: 100 numbers of noise, a dense layer reshaped to a small picture, two units of up-sampling, transposed
convolution and leaky ReLU, the first with batch norm, and one more transposed convolution; the discriminator of
`bilstm_gan`: LSTM 512, bi-LSTM 1024, dense 512, 256, 1. Adam; a rate of 0.01 that falls every epoch and ten steps of
the generator to one of the discriminator, as "all other learning parameters are same as the previous model".
Open in the paper, and chosen: 128 and 64 channels, kernels of 5 (DCGAN's), how the rate falls (by 3 %), batches of 64.
Read so: "over one hundred thousand bars" are the 102,378 phrases that MuseGAN's authors publish, of 4 bars, 48 steps
and 84 pitches, of which the paper takes a tenth and the piano alone. A silent phrase is no output here, so those in
which it plays at all are learned from, and a picture is 4 bars and not one, so that single bars may be empty.
Differs: at first few cells are on, for any draw of the weights, those of a bar and of a pitch in it are alike, as in
music, and LSTMs hear single ones. `small` is narrower; its discriminator is a Wasserstein critic with a penalty on its
slopes (Gulrajani et al. 2017), three steps of it to one, as the loss of a discriminator that wins teaches nothing; it
is shown ones and zeros (`binary`), as else it knows made phrases by every grey cell; it hears a quarter note at once
(`at_once`), and its gates let what they heard last (`remembers`), as else the middle of a phrase is forgotten where the
LSTMs end, and what is made there is never judged; the generator also sums what it says of cells over a sixteenth note
(`held`), as else notes are dust of one step, draws from its noise how much each bar sounds (`gates`), and music is made
by the mean of its weights over the last steps (`average`), with cells on at odds above 0.75: at 0.5 too few bars are
empty, in validation as in training (LOG.md).
Uses of Request: count, bars, tempo.

Legend: B phrases, Z numbers of noise, K tracks, S steps of a phrase, P pitches, C channels; of the
discriminator T steps and I inputs a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    Gates,
    average_of,
    binary_neurons,
    draw_bars_,
    follow_,
    frozen,
    held,
    loss_by_critic,
    loss_of_critic,
)
from orchestrion.models.layers.lstm_discriminator import LSTMCritic, heard
from orchestrion.models.pianoroll_gan import compose_phrases, normal_noise, phrase_batch, phrase_figures, said_of
from orchestrion.representations.phrases import PhraseGrid

MEASURED = 128  # phrases of a validation batch
AT_ONCE = 256  # phrases drawn in one call
_SLOPE = 0.2  # of leaky ReLUs below zero
_SPARSE = -1.9  # bias of cells at first, against logits that spread by about 1: some in a hundred are on
_HEARD = 0.5  # deviation at first of weights from a cell: of a step few are on


@dataclass(frozen=True)
class CNNLSTMGANConfig:
    """tracks, bars, steps_a_bar, lowest, pitches: the PhraseGrid; steps and pitches are four times those of the first
    picture. notes: the least that a phrase learned from holds.

    channels: of the picture and behind the first unit, and behind the second. lstm: width of the LSTM and of each
    direction of the bi-LSTM; dense: of the layers behind. binary: the discriminator sees made phrases as ones and
    zeros, else the odds of each cell. A batch is `discriminator_steps` times `phrases`; `generator_steps` follow. rate,
    discriminator_rate, momentum: Adam's, the last its first beta. at_once: steps of a phrase that make one of the
    LSTMs. remembers: see `set_memory_`; as long as a phrase. penalty: above 0 the discriminator is a Wasserstein critic
    with this weight on its slopes. held: each logit is the sum of so many neighbours in time. gates: the generator
    draws from its noise how much each bar sounds. average: the share of its weights that the generator which draws
    keeps for each step of the one that learns, 0 for one and the same. threshold: odds above which a cell sounds in the
    music that is made, and in validation. Raises RecipeError for numbers that make no network.
    """

    tracks: str = "piano"
    bars: int = 4
    steps_a_bar: int = 48
    lowest: int = 24
    pitches: int = 84
    notes: int = 1
    noise: int = 100
    channels: tuple[int, int] = (128, 64)
    kernel: int = 5
    lstm: int = 512
    dense: tuple[int, ...] = (512, 256)
    binary: bool = False
    phrases: int = 64
    discriminator_steps: int = 1
    generator_steps: int = 10
    rate: float = 0.01
    discriminator_rate: float = 0.01
    momentum: float = 0.9
    at_once: int = 1
    remembers: bool = False
    penalty: float = 0.0
    held: int = 1
    gates: bool = False
    average: float = 0.0
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if min(self.noise, *self.channels, self.lstm, *self.dense, self.discriminator_steps, self.generator_steps) < 1:
            raise RecipeError("noise, widths and steps must be at least 1")
        if not 0 <= self.average < 1:
            raise RecipeError(f"average {self.average} must be a share from 0 to less than 1")
        if not 0 < self.threshold < 1:
            raise RecipeError(f"threshold {self.threshold} must lie between 0 and 1, where the odds do")
        if self.phrases < 2:
            raise RecipeError("batch norm needs 2 phrases or more")
        if self.kernel % 2 == 0:
            raise RecipeError(f"a kernel of {self.kernel} has no middle; choose an odd one")
        if self.at_once < 1 or self.bars * self.steps_a_bar % self.at_once:
            raise RecipeError(f"{self.bars} bars of {self.steps_a_bar} steps cannot be heard {self.at_once} at once")
        if self.steps_a_bar % 4 or self.pitches % 4:
            raise RecipeError("the steps of a bar and the pitches must be multiples of 4, as both are doubled twice")

    @property
    def grid(self) -> PhraseGrid:
        return PhraseGrid(self.tracks, self.bars, self.steps_a_bar, self.lowest, self.pitches)


RECIPES = {
    "tiny": Recipe(
        CNNLSTMGANConfig(bars=2, steps_a_bar=16, lowest=48, pitches=36, noise=16, channels=(16, 8), kernel=3, lstm=24,
                         dense=(32,), binary=True, phrases=12, discriminator_steps=3, generator_steps=1, rate=2e-3,
                         momentum=0.5, at_once=8, remembers=True, penalty=10.0),
        Training(steps=20, warm_up_steps=2, validate_every=10, validation_batches=1, save_every=5),
    ),
    # eight minutes on one core
    "small": Recipe(
        CNNLSTMGANConfig(channels=(24, 12), kernel=3, lstm=64, dense=(128, 64), binary=True, phrases=24,
                         discriminator_steps=3, generator_steps=1, rate=7e-4, discriminator_rate=1e-3, momentum=0.5,
                         at_once=12, remembers=True, penalty=10.0, held=3, gates=True, average=0.99,
                         threshold=0.75),
        Training(steps=1200, warm_up_steps=0, decay_share=0.8, clip_norm=0.0, validate_every=50, save_every=100),
    ),
    # 100 epochs of a tenth of 102,378 phrases
    "paper": Recipe(
        CNNLSTMGANConfig(),
        Training(steps=16000, warm_up_steps=0, decay_share=0.0, fall_every=160, fall_to=0.97, clip_norm=0.0,
                 precision="float32", validate_every=800, save_every=800),
    ),
}  # fmt: skip


class Generator(nn.Module):
    """Noise (B, Z) -> logits of the cells of phrases (B, K, S, P)."""

    def __init__(self, config: CNNLSTMGANConfig) -> None:
        super().__init__()
        tracks, steps, pitches = config.grid.shape
        first, second = config.channels
        self.dense = nn.Linear(config.noise, first * (steps // 4) * (pitches // 4))
        draw_bars_(self.dense.weight, (first, steps // 4, pitches // 4), config.bars, config.noise**-0.5)
        self.picture = nn.Unflatten(1, (first, steps // 4, pitches // 4))
        self.held = config.held
        self.gates = Gates(config.noise, 64, tracks * config.bars) if config.gates else None
        self.units = nn.Sequential(
            nn.Upsample(scale_factor=2),
            _deconvolution(first, first, config.kernel, behind=1.0),
            nn.BatchNorm2d(first),
            nn.LeakyReLU(_SLOPE),
            nn.Upsample(scale_factor=2),
            _deconvolution(first, second, config.kernel, behind=_SLOPE),
            nn.LeakyReLU(_SLOPE),
            _deconvolution(second, tracks, config.kernel, behind=_SLOPE, bias=_SPARSE * config.held**-0.5),
        )

    def forward(self, noise: Tensor) -> Tensor:
        picture = self.picture(self.dense(noise)).contiguous(memory_format=torch.channels_last)  # half the time on CPUs
        logits = held(self.units(picture).contiguous(), self.held)
        if self.gates is not None:
            by_bar = self.gates(noise).view(*logits.shape[:2], -1, 1)  # (B, K, bars, 1)
            logits = logits + by_bar.repeat_interleave(logits.shape[2] // by_bar.shape[2], dim=2)
        return logits


class CNNLSTMGAN(System):
    config: CNNLSTMGANConfig
    holds: ClassVar[frozenset[str]] = frozenset({"bars", "tempo"})

    def __init__(self, config: CNNLSTMGANConfig) -> None:
        super().__init__()
        self.config = config
        tracks, steps, pitches = config.grid.shape
        self.generator = Generator(config)
        self.averaged = average_of(self.generator) if config.average else None
        self.discriminator = LSTMCritic(tracks * config.at_once * pitches, config.lstm, config.dense,
                                        at_once=config.at_once,
                                        memory=steps // config.at_once if config.remembers else 0)  # fmt: skip

    def forward(self, noise: Tensor) -> Tensor:
        """(B, Z) -> (B, K, S, P), the odds of each cell to be on, of music that is made."""
        return torch.sigmoid((self.averaged or self.generator)(noise).float())

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        config = self.config
        rated = {"discriminator": (self.discriminator, config.discriminator_rate),
                 "generator": (self.generator, config.rate)}  # fmt: skip
        betas = (config.momentum, 0.9 if config.penalty else 0.999)
        return {name: Adam(one.parameters(), rate, betas, fused=True)
                for name, (one, rate) in rated.items()}  # fmt: skip

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        """phrases (B, K, S, P) bool, and noise (B, Z) to measure as many made ones by."""
        config = self.config
        count = config.phrases * config.discriminator_steps if split == "train" else MEASURED
        noise = torch.from_numpy(rng.standard_normal((count, config.noise), dtype=np.float32))
        return {**phrase_batch(corpus, split, rng, config.grid, count, Selection(notes=config.notes)), "noise": noise}

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        config = self.config
        for real in batch["phrases"].float().split(config.phrases):
            with torch.no_grad():
                made = self._shown()
            yield "discriminator", loss_of_critic(self._marks, real, made, config.penalty, self._marks_by_cells)
        for _ in range(config.generator_steps):
            made = self._shown()
            with frozen(self.discriminator):
                marks = self._marks(made)
            yield "generator", loss_by_critic(marks, config.penalty)

    def after_step(self, step: int, batches: Sequence[Batch]) -> None:
        if self.averaged is not None:
            follow_(self.averaged, self.generator, self.config.average**self.config.generator_steps)

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        odds, real = self(batch["noise"]), batch["phrases"]
        sounding = odds > self.config.threshold
        seen = (odds > 0.5).float() if self.config.binary else odds
        gap = self._marks(real.float()).mean() - self._marks(seen).mean()
        return {**phrase_figures(real, sounding, self.config.bars), "critic_gap": (float(gap), 1.0)}

    def remarks(self, figures: Mapping[str, float]) -> list[str]:
        return said_of(figures)

    def _shown(self) -> Tensor:
        """(B, K, S, P), phrases made anew as the discriminator sees them."""
        config = self.config
        noise = torch.randn(config.phrases, config.noise, device=self.generator.dense.weight.device)
        odds = torch.sigmoid(self.generator(noise).float())
        return binary_neurons(odds) if config.binary else odds

    def _marks(self, phrases: Tensor) -> Tensor:
        """(B, K, S, P) -> (B,)"""
        marks: Tensor = self.discriminator(heard(phrases, self.config.at_once))
        return marks

    def _marks_by_cells(self, phrases: Tensor) -> Tensor:
        return self.discriminator.by_cells(heard(phrases, self.config.at_once))

    # ---- making music

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        self.eval()
        return compose_phrases(self._drawn, self.config.grid, request, rng)

    def _drawn(self, rngs: Sequence[np.random.Generator]) -> np.ndarray:
        """(B, K, S, P) bool, one phrase from each stream."""
        if len(rngs) > AT_ONCE:
            return np.concatenate([self._drawn(rngs[:AT_ONCE]), self._drawn(rngs[AT_ONCE:])])
        noise = normal_noise(rngs, self.config.noise)
        odds = self(noise.to(self.generator.dense.weight.device)).cpu().numpy()
        return np.asarray(odds > self.config.threshold)


def _deconvolution(inputs: int, outputs: int, kernel: int, *, behind: float, bias: float = 0.0) -> nn.ConvTranspose2d:
    """(B, C, S, P) -> the same size; with weights that keep the spread of what a leaky ReLU of slope `behind` lets
    through (He et al. 2015), and nothing of what is the same in all channels: else whole phrases are on, or off."""
    layer = nn.ConvTranspose2d(inputs, outputs, kernel, padding=kernel // 2)
    spread = (1 + behind**2) / 2 - (1 - behind) ** 2 / (2 * torch.pi)  # of what passes, about its mean
    nn.init.normal_(layer.weight, std=(spread * inputs * kernel**2) ** -0.5)
    with torch.no_grad():
        layer.weight -= layer.weight.mean((0, 2, 3), keepdim=True)
    assert layer.bias is not None
    nn.init.constant_(layer.bias, bias)
    return layer
