"""Bi-LSTM GAN: noise read by three LSTMs becomes a phrase, told from real ones by two (Liu and Huo).

Faithful: the layers of the paper's figures 4 and 5, number by number: noise (100, 1) read one by one by an LSTM of 512
and two bi-LSTMs of 1024 (512 each way), of the last what both directions end with, then dense 1024, leaky ReLU, batch
norm, dense; against it LSTM 512, bi-LSTM 1024, dense 512, 256, 1. SGD at 0.01 that falls every epoch, a generator
pretrained without a critic, and ten of its steps to one of the discriminator. It did not converge there.
Read so: "over one hundred thousand bars" are the 102,378 phrases that MuseGAN's authors publish, of 4 bars, 48 steps
and 84 pitches, of which the paper takes a tenth and the piano alone. A silent phrase is no output here, so those in
which it plays at all are learned from, and a phrase is all 4 bars, so that single bars may be empty.
The figures end in 100 numbers, which are no piano roll: the last dense layer is as wide as a phrase has cells, and the
discriminator reads the keys of each step. Of "an updating ratio of 1:10 for generator and discriminator" and "training
generator several times while training the discriminator only once" the second holds: the first helps the one that wins.
Open in the paper, and chosen: dropout 0.3 where the figure shows it, how the rate falls (by 3 %), batches of 64, and
how to pretrain: as the decoder of a variational autoencoder with a linear encoder (Kingma and Welling 2013), so that
noise as it will be drawn already gives phrases. "Randomizing the initialization" is a wide draw of the weights from
noise, cells and LSTMs, whose outputs are small; else noise hardly moves what comes out.
Differs: at first few cells are on, and those of a bar and of a pitch in it have much in common, as in music.
`small-sgd` shows on small LSTMs that it does not converge; `small` holds what cures it: Adam instead of SGD, and no
pretraining; as the discriminator a Wasserstein critic with a penalty on its slopes (Gulrajani et al. 2017), three steps
of it to one, as the loss of one that wins teaches nothing, which is shown ones and zeros (`binary`), as else it knows
made phrases by every grey cell; gates that let what they heard last (`remembers`), as else the middle of a phrase is
forgotten where the LSTMs end, and what is made there is never judged; and what the last layer says of cells summed over
a quarter note (`held`), as else phrases are dust of one step. The discriminators of both hear a quarter note at once
(`at_once`).
Uses of Request: count, bars, tempo.

Legend: B phrases, Z numbers of noise, K tracks, S steps of a phrase, P pitches, T steps of the discriminator, I inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from symusic import Score
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

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
from orchestrion.models.layers.lstm_discriminator import LSTMCritic, ends, heard, set_memory_
from orchestrion.models.pianoroll_gan import compose_phrases, normal_noise, phrase_batch, phrase_figures, said_of
from orchestrion.representations.phrases import PhraseGrid

OPTIMIZERS = ("sgd", "adam")
_SLOPE = 0.2  # of leaky ReLUs below zero
_SPARSE = -1.9  # bias of cells at first, against logits that spread by about 1: some in a hundred are on
_LSTM_SQUARE = 0.045  # mean square of an LSTM's outputs at first
_HEARD = 0.5  # deviation at first of weights from a cell: of a step few are on


@dataclass(frozen=True)
class BiLSTMGANConfig:
    """tracks, bars, steps_a_bar, lowest, pitches: the PhraseGrid. notes: the least that a phrase learned from holds.

    lstm: width of each LSTM and of each direction of the bi-LSTMs; dense: of the generator's layer behind; marks: of
    those of the discriminator. binary: it sees made phrases as ones and zeros, else the odds of each cell. A batch is
    `discriminator_steps` times `phrases`; `generator_steps` follow. In the first `pretraining` steps of a training the
    generator learns alone. optimizer: "sgd" or "adam". at_once: steps of a phrase that make one of the discriminator.
    remembers: see `set_memory_`; as long as what is read. penalty: above 0 the discriminator is a Wasserstein critic
    with this weight on its slopes. held: each logit is the sum of so many neighbours in time. Raises RecipeError for
    numbers that make no network.
    """

    tracks: str = "piano"
    bars: int = 4
    steps_a_bar: int = 48
    lowest: int = 24
    pitches: int = 84
    notes: int = 1
    noise: int = 100
    lstm: int = 512
    dropout: float = 0.3
    dense: int = 1024
    marks: tuple[int, ...] = (512, 256)
    binary: bool = False
    phrases: int = 64
    pretraining: int = 1600
    discriminator_steps: int = 1
    generator_steps: int = 10
    optimizer: str = "sgd"
    rate: float = 0.01
    discriminator_rate: float = 0.01
    at_once: int = 1
    remembers: bool = False
    penalty: float = 0.0
    held: int = 1

    def __post_init__(self) -> None:
        if min(self.noise, self.lstm, self.dense, *self.marks, self.discriminator_steps, self.generator_steps) < 1:
            raise RecipeError("noise, widths and steps must be at least 1")
        if self.phrases < 2 or self.pretraining < 0:
            raise RecipeError("batch norm needs 2 phrases or more, and pretraining cannot be negative")
        if self.at_once < 1 or self.bars * self.steps_a_bar % self.at_once:
            raise RecipeError(f"{self.bars} bars of {self.steps_a_bar} steps cannot be heard {self.at_once} at once")
        if self.optimizer not in OPTIMIZERS:
            raise RecipeError(f"there is no optimizer {self.optimizer!r}; choose {' or '.join(OPTIMIZERS)}")

    @property
    def grid(self) -> PhraseGrid:
        return PhraseGrid(self.tracks, self.bars, self.steps_a_bar, self.lowest, self.pitches)


RECIPES = {
    "tiny": Recipe(
        BiLSTMGANConfig(bars=2, steps_a_bar=16, lowest=48, pitches=36, noise=16, lstm=24, dropout=0.0, dense=128,
                        marks=(64,), binary=True, phrases=12, pretraining=0, discriminator_steps=3, generator_steps=1,
                        optimizer="adam", rate=1e-3, at_once=8, remembers=True, penalty=10.0, held=4),
        Training(steps=20, warm_up_steps=2, validate_every=10, validation_batches=1, save_every=5),
    ),
    # eight minutes on one core
    "small": Recipe(
        BiLSTMGANConfig(noise=50, lstm=64, dropout=0.0, dense=384, marks=(128, 64), binary=True, phrases=32,
                        pretraining=0, discriminator_steps=3, generator_steps=1, optimizer="adam", rate=3e-4,
                        discriminator_rate=1e-3, at_once=12, remembers=True, penalty=10.0, held=12),
        Training(steps=1200, warm_up_steps=0, decay_share=0.8, clip_norm=0.0, validate_every=100, save_every=100),
    ),
    # the same sizes, learning as the paper says: it does not converge; four minutes on one core
    "small-sgd": Recipe(
        BiLSTMGANConfig(noise=50, lstm=64, dense=384, marks=(128, 64), phrases=32, pretraining=100, at_once=12),
        Training(steps=600, warm_up_steps=0, decay_share=0.0, fall_every=60, fall_to=0.9, clip_norm=0.0,
                 validate_every=50, save_every=100),
    ),
    # 10 epochs of pretraining and 90 of a tenth of 102,378 phrases
    "paper": Recipe(
        BiLSTMGANConfig(),
        Training(steps=16000, warm_up_steps=0, decay_share=0.0, fall_every=160, fall_to=0.97, clip_norm=0.0,
                 precision="float32", validate_every=800, save_every=800),
    ),
}  # fmt: skip


class Generator(nn.Module):
    """Noise (B, Z) -> (B, cells), logits of the cells of phrases."""

    def __init__(self, noise: int, lstm: int, dropout: float, dense: int, cells: int, *, memory: int = 0) -> None:
        """memory: see `set_memory_`."""
        super().__init__()
        self.steps = nn.Unflatten(1, (noise, 1))
        self.first = nn.LSTM(1, lstm, batch_first=True)
        nn.init.normal_(self.first.all_weights[0][0])
        self.second, self.third = (_bi_lstm(inputs, lstm) for inputs in (lstm, 2 * lstm))
        for layer in (self.first, self.second, self.third):
            set_memory_(layer, memory)
        self.dropout = nn.Dropout(dropout)
        self.dense, self.norm = nn.Linear(2 * lstm, dense), nn.BatchNorm1d(dense)
        nn.init.normal_(self.dense.weight, std=(2 * lstm * _LSTM_SQUARE) ** -0.5)
        self.outward = nn.Linear(dense, cells)

    def forward(self, noise: Tensor) -> Tensor:
        x, _ = self.first(self.steps(noise))
        x, _ = self.second(self.dropout(x))
        x = self.norm(F.leaky_relu(self.dense(ends(self.third, self.dropout(x))), _SLOPE))
        logits: Tensor = self.outward(x)
        return logits


class BiLSTMGAN(System):
    config: BiLSTMGANConfig
    holds: ClassVar[frozenset[str]] = frozenset({"bars", "tempo"})

    def __init__(self, config: BiLSTMGANConfig) -> None:
        super().__init__()
        self.config = config
        tracks, steps, pitches = config.grid.shape
        self.generator = Generator(config.noise, config.lstm, config.dropout, config.dense, config.grid.cells,
                                   memory=config.noise if config.remembers else 0)  # fmt: skip
        outward = self.generator.outward
        draw_bars_(outward.weight, config.grid.shape, config.bars, config.dense**-0.5, config.held)
        nn.init.constant_(outward.bias, _SPARSE * config.held**-0.5)
        self.discriminator = LSTMCritic(tracks * config.at_once * pitches, config.lstm, config.marks,
                                        at_once=config.at_once,
                                        memory=steps // config.at_once if config.remembers else 0)  # fmt: skip
        self.encoder = nn.Linear(config.grid.cells, 2 * config.noise) if config.pretraining else None
        self.pretrained: Tensor  # steps
        self.register_buffer("pretrained", torch.zeros((), dtype=torch.int64))

    def forward(self, noise: Tensor) -> Tensor:
        """(B, Z) -> (B, K, S, P), the odds of each cell to be on."""
        return torch.sigmoid(self._logits(noise))

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        config = self.config
        learning = [*self.generator.parameters(), *(self.encoder.parameters() if self.encoder is not None else ())]
        rated = {"discriminator": ([*self.discriminator.parameters()], config.discriminator_rate),
                 "generator": (learning, config.rate)}  # fmt: skip
        if config.optimizer == "sgd":
            return {name: SGD(weights, rate) for name, (weights, rate) in rated.items()}
        betas = (0.5, 0.9 if config.penalty else 0.999)
        return {name: Adam(weights, rate, betas, fused=True) for name, (weights, rate) in rated.items()}

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        """phrases (B, K, S, P) bool, and noise (B, Z) to measure as many made ones by."""
        config = self.config
        count = config.phrases * config.discriminator_steps
        noise = torch.from_numpy(rng.standard_normal((count, config.noise), dtype=np.float32))
        return {**phrase_batch(corpus, split, rng, config.grid, count, Selection(notes=config.notes)), "noise": noise}

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        if self._taken(step) < self.config.pretraining:
            yield "generator", self._autoencoded(batch["phrases"].float())
            return
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

    @torch.no_grad()
    def after_step(self, step: int, batches: Sequence[Batch]) -> None:
        self.pretrained.fill_(min(self._taken(step) + 1, self.config.pretraining))

    def _taken(self, step: int) -> int:
        """Steps of training so far or, where these are more, those for which the weights are pretrained."""
        return max(step, int(self.pretrained))

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        odds, real = self(batch["noise"]), batch["phrases"]
        sounding = odds > 0.5
        seen = sounding.float() if self.config.binary else odds
        gap = self._marks(real.float()).mean() - self._marks(seen).mean()
        return {**phrase_figures(real, sounding, self.config.bars), "critic_gap": (float(gap), 1.0)}

    def remarks(self, figures: Mapping[str, float]) -> list[str]:
        return said_of(figures)

    def _logits(self, noise: Tensor) -> Tensor:
        """(B, Z) -> (B, K, S, P)"""
        return held(self.generator(noise).float().unflatten(1, self.config.grid.shape), self.config.held)

    def _shown(self) -> Tensor:
        """(B, K, S, P), phrases made anew as the discriminator sees them."""
        config = self.config
        odds = self(torch.randn(config.phrases, config.noise, device=self.pretrained.device))
        return binary_neurons(odds) if config.binary else odds

    def _marks(self, phrases: Tensor) -> Tensor:
        """(B, K, S, P) -> (B,)"""
        marks: Tensor = self.discriminator(heard(phrases, self.config.at_once))
        return marks

    def _marks_by_cells(self, phrases: Tensor) -> Tensor:
        return self.discriminator.by_cells(heard(phrases, self.config.at_once))

    def _autoencoded(self, phrases: Tensor) -> Tensor:
        """(B, K, S, P) -> nats a cell that a phrase costs when it is told in noise: the bound of an autoencoder."""
        assert self.encoder is not None
        cells = phrases.flatten(1)
        mean, log_variance = self.encoder(cells).float().chunk(2, 1)
        logits = self._logits(mean + torch.exp(log_variance / 2) * torch.randn_like(mean)).flatten(1)
        told = (mean.square() + log_variance.exp() - 1 - log_variance).sum() / 2
        return (F.binary_cross_entropy_with_logits(logits, cells, reduction="sum") + told) / cells.numel()

    # ---- making music

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        self.eval()
        return compose_phrases(self._drawn, self.config.grid, request, rng)

    def _drawn(self, rngs: Sequence[np.random.Generator]) -> np.ndarray:
        """(B, K, S, P) bool, one phrase from each stream."""
        noise = normal_noise(rngs, self.config.noise)
        odds = self(noise.to(self.pretrained.device)).cpu().numpy()
        return np.asarray(odds > 0.5)


def _bi_lstm(inputs: int, width: int) -> nn.LSTM:
    """That reads another LSTM's outputs, with weights at first that make up for how small they are."""
    layer = nn.LSTM(inputs, width, batch_first=True, bidirectional=True)
    for weights in layer.all_weights:
        nn.init.normal_(weights[0], std=(inputs * _LSTM_SQUARE) ** -0.5)
    return layer
