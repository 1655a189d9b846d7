"""WGAN-GP with self-attention: phrases of seventeen tracks by transposed convolutions (Nagarajan and Govindan 2023).

Faithful: the layers, kernels and strides, batch norm and PReLU behind each layer but the last, self-attention between
the fourth and fifth of the generator and behind the second (or third) of the critic, dropout 0.5 in the critic,
Wasserstein loss with a penalty on the slope, Adam with rates 0.0003 and 0.0006 and betas 0.5 and 0.9, rates that fall
to 0.75 every 25 of 100 epochs, and a threshold of 0.9 when music is made; the critic sees what the generator draws as
it is.
Where the printed numbers fit: six strides of 2 make 64 steps of one, as no kernel is longer than its stride, and pitch
stays one cell wide, on which a stride does nothing, until the last kernel draws all 72. Where they do not: five layers
of the critic leave 2 of the 64 steps, which the linear layer has to read; SAGAN's eighth of 16 channels leaves queries
and keys two; tracks are not "predicted independently", as one layer reads all of them off the same channels.
Not printed, and chosen: 128 numbers of noise, weight 10 and five critic steps (Gulrajani et al. 2017), batches of 64,
an epoch as all phrases that do not overlap of 831 songs.
`small-gates` adds what the paper lacks: the generator draws from its noise how much each track plays in the phrase, is
twice as wide, music is made by the mean of its weights over the last steps, and the threshold follows what is learned
from: by steps it moves to where as many notes sound at once in a track that plays as in the real phrases.
Differs: at first the generator's cells are rarely on, as those of music are. Batch norm in a critic couples phrases,
which the penalty on each by itself does not allow for: `critic_norm` is "batch", as printed, "layer", "instance"
(where 8 places or more are left) or "none".
Uses of Request: count, bars, tempo.

Legend: B phrases, K tracks, S steps of a phrase, P pitches, Z noise, C channels, T places in time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from symusic import Score
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from orchestrion.data.store import Corpus
from orchestrion.models.base import Batch, Recipe, RecipeError, Request, System, Training
from orchestrion.models.layers.adversarial import (
    NORMS,
    Gates,
    average_of,
    follow_,
    frozen,
    norm,
    penalty_behind,
    wasserstein_loss,
)
from orchestrion.models.layers.self_attention import SelfAttention
from orchestrion.models.pianoroll_gan import compose_phrases, normal_noise, phrase_batch, phrase_figures, said_of
from orchestrion.representations.phrases import TRACK_SETS, PhraseGrid

STEPS, PITCHES = 64, 72
AT_ONCE = 256  # phrases drawn in one call
_FEW = 8  # places: of fewer each one's own norm is hardly more than a sign, and its slope has no bounds
MEASURED = 256  # phrases of a validation batch: what tracks seldom do is not measured by fewer
_RARE = -3.0  # logit of an untrained generator's cells, with a spread of 1


@dataclass(frozen=True)
class WganGpAttentionConfig:
    """tracks: names one of TRACK_SETS. noise: Z. width, critic_width: channels of the layers. critic_attention: behind
    which layer of the critic, 2 or 3. penalty: the weight of slopes other than 1. critic_steps: of one of the
    generator's, each on `phrases` phrases. threshold: what sounds in the music that is made, and in validation. gates:
    the generator also draws from its noise how much each track plays in the phrase. average: the share of its weights
    that the generator which draws keeps in a step, the rest it takes from the one that learns; 0 for one and the same.
    threshold_rate: logits that the threshold moves in a step for each note at once too many; 0 where it stays.

    Raises RecipeError for numbers that make no network.
    """

    tracks: str = "seventeen"
    noise: int = 128
    width: int = 64
    critic_width: int = 16
    critic_norm: str = "batch"
    critic_attention: int = 2
    dropout: float = 0.5
    penalty: float = 10.0
    critic_steps: int = 5
    phrases: int = 64
    generator_rate: float = 3e-4
    critic_rate: float = 6e-4
    threshold: float = 0.9
    gates: bool = False
    average: float = 0.0
    threshold_rate: float = 0.0

    def __post_init__(self) -> None:
        if self.tracks not in TRACK_SETS:
            raise RecipeError(f"there are no tracks {self.tracks!r}; choose {' or '.join(TRACK_SETS)}")
        if self.critic_norm not in NORMS:
            raise RecipeError(f"there is no norm {self.critic_norm!r}; choose {', '.join(NORMS)}")
        if self.critic_attention not in (2, 3):
            raise RecipeError(f"attention stands behind the critic's layer 2 or 3, not {self.critic_attention}")
        if min(self.noise, self.width, self.critic_width, self.critic_steps) < 1 or self.phrases < 2:
            raise RecipeError("noise, widths and critic_steps must be at least 1, and phrases 2")
        if not 0 <= self.average < 1:
            raise RecipeError(f"average {self.average} must be a share from 0 to less than 1")
        if not 0 < self.threshold < 1:
            raise RecipeError(f"threshold {self.threshold} must lie between 0 and 1, where the cells do")


_EPOCH = 68  # steps: 831 songs make 21,800 phrases, 340 batches of 64, five of them a step
# a wider critic without dropout, trained faster and less often: by far the most is learned in some minutes so
_SMALL = WganGpAttentionConfig(critic_width=64, dropout=0.0, critic_steps=2, phrases=32, generator_rate=1e-3,
                               critic_rate=2e-3)  # fmt: skip
_SMALL_TRAINING = Training(steps=3000, warm_up_steps=0, decay_share=0.0, fall_every=1000, clip_norm=0.0,
                           precision="float32", validate_every=200, save_every=200)  # fmt: skip
_PAPER_TRAINING = replace(_SMALL_TRAINING, steps=100 * _EPOCH, fall_every=25 * _EPOCH, validate_every=10 * _EPOCH,
                          save_every=20 * _EPOCH)  # fmt: skip
RECIPES = {
    "tiny": Recipe(
        WganGpAttentionConfig(tracks="five", noise=16, width=16, critic_width=8, critic_norm="none", critic_steps=3,
                              phrases=8, generator_rate=0.01, critic_rate=0.01, dropout=0.0, threshold=0.5),
        Training(steps=20, warm_up_steps=2, decay_share=0.0, clip_norm=0.0, precision="float32", validate_every=10,
                 validation_batches=1, save_every=5),
    ),
    "small": Recipe(_SMALL, _SMALL_TRAINING),
    "small-layer": Recipe(replace(_SMALL, critic_norm="layer"), _SMALL_TRAINING),
    "small-gates": Recipe(
        replace(_SMALL, critic_norm="layer", width=128, gates=True, average=0.99, threshold=0.5,
                threshold_rate=0.02),
        replace(_SMALL_TRAINING, steps=4500, fall_every=1500),
    ),
    "small-instance": Recipe(replace(_SMALL, critic_norm="instance"), _SMALL_TRAINING),
    "small-none": Recipe(replace(_SMALL, critic_norm="none"), _SMALL_TRAINING),
    "paper": Recipe(WganGpAttentionConfig(), _PAPER_TRAINING),
    "paper-layer": Recipe(WganGpAttentionConfig(critic_norm="layer"), _PAPER_TRAINING),
}  # fmt: skip


class WganGpAttention(System):
    config: WganGpAttentionConfig
    threshold: Tensor
    holds: ClassVar[frozenset[str]] = frozenset({"bars", "tempo"})

    def __init__(self, config: WganGpAttentionConfig) -> None:
        super().__init__()
        self.config = config
        self.grid = PhraseGrid(config.tracks, 4, STEPS // 4, 24, PITCHES)
        self.generator, self.critic = Generator(config, self.grid.shape[0]), Critic(config, self.grid.shape[0])
        self.averaged = average_of(self.generator) if config.average else None
        self.register_buffer("threshold", torch.tensor(config.threshold))

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        config, betas = self.config, (0.5, 0.9)
        return {
            "critic": Adam(self.critic.parameters(), lr=config.critic_rate, betas=betas),
            "generator": Adam(self.generator.parameters(), lr=config.generator_rate, betas=betas),
        }

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        """phrases (B, K, S, P) bool, for training as many as all critic steps take; noise (B, Z) to measure by."""
        learned = self.config.phrases * self.config.critic_steps
        count, drawn = (learned, self.config.phrases) if split == "train" else (MEASURED, MEASURED)
        noise = rng.standard_normal((drawn, self.config.noise), dtype=np.float32)
        return {**phrase_batch(corpus, split, rng, self.grid, count), "noise": torch.from_numpy(noise)}

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        for phrases in batch["phrases"].split(self.config.phrases):
            with torch.no_grad():
                made = self.generator(torch.randn_like(batch["noise"]))
            yield "critic", self.critic_loss(pairs_of(phrases).float(), made)
        with frozen(self.critic):
            loss = -self.critic(self.generator(torch.randn_like(batch["noise"]))).float().mean()
        yield "generator", loss

    @torch.no_grad()
    def after_step(self, step: int, batches: Sequence[Batch]) -> None:
        if self.averaged is not None:
            follow_(self.averaged, self.generator, self.config.average)
        if self.config.threshold_rate:
            self._move_threshold(batches)

    def _move_threshold(self, batches: Sequence[Batch]) -> None:
        """By one step of Robbins and Monro (1951), so that over all steps the difference comes to nothing."""
        self.drawing.eval()  # as it draws music
        excess = torch.stack([self._excess(batch) for batch in batches]).mean()
        self.drawing.train()
        self.threshold.copy_((self.threshold.logit() + self.config.threshold_rate * excess).sigmoid())

    def _excess(self, batch: Batch) -> Tensor:
        """Notes at once that phrases made anew have too many of, beside the real ones of a batch."""
        made = self._sounding(self.drawing(torch.randn_like(batch["noise"])))
        (cells, tracks), (real_cells, real_tracks) = (sounding_cells(one) for one in (made, batch["phrases"]))
        # no mean of quotients of a few made phrases, which a single flooded one would bend
        return (cells - real_cells / real_tracks * tracks) / real_tracks / self.grid.shape[1]

    def critic_loss(self, real: Tensor, made: Tensor) -> Tensor:
        """Pairs of steps of real and of made phrases -> Wasserstein loss and penalty."""
        first = self.critic.read(real), self.critic.read(made)
        weight = self.critic.first.weight.flatten(1)
        loss = wasserstein_loss(*(self.critic.marks(read).float() for read in first))
        return loss + penalty_behind(self.critic.marks, lambda: weight @ weight.T, *first, self.config.penalty)

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        real, pairs = batch["phrases"][: len(batch["noise"])], self.drawing(batch["noise"])
        figures = phrase_figures(real, self._sounding(pairs), self.grid.bars)
        gap = self.critic(pairs_of(real).float()) - self.critic(pairs)
        return {**figures, "critic_gap": (float(gap.sum()), float(len(gap)))}

    def remarks(self, figures: Mapping[str, float]) -> list[str]:
        return said_of(figures)

    # ---- music

    @property
    def drawing(self) -> nn.Module:
        """The generator that music is made by."""
        return self.generator if self.averaged is None else self.averaged

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        self.eval()
        return compose_phrases(self._draw, self.grid, request, rng)

    def _draw(self, rngs: Sequence[np.random.Generator]) -> np.ndarray:
        noise = normal_noise(rngs, self.config.noise)
        parts = noise.to(next(self.parameters()).device).split(AT_ONCE)
        return np.concatenate([self._sounding(self.drawing(part)).cpu().numpy() for part in parts])

    def _sounding(self, pairs: Tensor) -> Tensor:
        """Pairs of steps of phrases in 0..1 -> (B, K, S, P) bool."""
        return phrases_of(pairs > self.threshold, self.grid.shape[0])


class Generator(nn.Module):
    """Noise (B, Z) -> phrases in 0..1 as pairs of steps (B, S / 2, K * 2 * P): each layer doubles the steps.

    No kernel is longer than its stride, so the last layer is a product for each pair of steps, and faster so; and where
    pitch is one cell wide, kernels (2, 1) are those of one axis.
    """

    def __init__(self, config: WganGpAttentionConfig, tracks: int) -> None:
        super().__init__()
        width = config.width
        self.layers = nn.Sequential(
            doubled(config.noise, width), doubled(width, width), doubled(width, width), doubled(width, width),
            SelfAttention(width), doubled(width, width),
        )  # fmt: skip
        self.last = nn.ConvTranspose2d(width, tracks, (2, PITCHES), stride=2)
        nn.init.normal_(self.last.weight, std=(2 / width) ** 0.5)
        nn.init.constant_(cast(Tensor, self.last.bias), _RARE)
        self.gates = Gates(config.noise, width, tracks) if config.gates else None

    def forward(self, noise: Tensor) -> Tensor:
        steps = self.layers(noise.unsqueeze(2)).mT
        bias = cast(Tensor, self.last.bias).repeat_interleave(2 * PITCHES)
        logits = F.linear(steps, self.last.weight.flatten(1).mT, bias).float()
        if self.gates is not None:
            logits = logits + self.gates(noise).repeat_interleave(2 * PITCHES, dim=1).unsqueeze(1)
        return torch.sigmoid(logits)


def doubled(inward: int, outward: int) -> nn.Sequential:
    """(B, C, T) -> (B, C, 2 T), of weights that keep the spread of what passes."""
    layer = nn.ConvTranspose1d(inward, outward, 2, stride=2)  # each output is of one place
    nn.init.normal_(layer.weight, std=(2 / inward) ** 0.5)
    return nn.Sequential(layer, nn.BatchNorm1d(outward), nn.PReLU())


class Critic(nn.Module):
    """Phrases as pairs of steps (B, S / 2, K * 2 * P) -> marks (B,); each layer halves the steps."""

    def __init__(self, config: WganGpAttentionConfig, tracks: int) -> None:
        super().__init__()
        width = config.critic_width
        self.first = nn.Conv2d(tracks, width, (2, PITCHES), stride=2)
        layers: list[nn.Module] = [behind(config, STEPS // 2)]
        for number in range(2, 6):
            layers += [nn.Conv1d(width, width, 2, stride=2), behind(config, STEPS // 2**number)]
            if number == config.critic_attention:
                layers.append(SelfAttention(width))
        self.layers = nn.Sequential(*layers)
        self.mark = nn.Linear(width * STEPS // 2**5, 1)

    def forward(self, pairs: Tensor) -> Tensor:
        return self.marks(self.read(pairs))

    def read(self, pairs: Tensor) -> Tensor:
        """What the first layer makes of phrases, (B, S / 2, C)."""
        return F.linear(pairs, self.first.weight.flatten(1), self.first.bias)

    def marks(self, read: Tensor) -> Tensor:
        """What `read` gives -> (B,)."""
        return self.mark(self.layers(read.mT).flatten(1)).squeeze(1)


def behind(config: WganGpAttentionConfig, places: int) -> nn.Sequential:
    """What stands behind a convolution of the critic that leaves so many places."""
    kind = "none" if config.critic_norm == "instance" and places < _FEW else config.critic_norm
    return nn.Sequential(norm(kind, config.critic_width, 1), nn.PReLU(), nn.Dropout(config.dropout))


def sounding_cells(phrases: Tensor) -> tuple[Tensor, Tensor]:
    """(B, K, S, P) bool -> of a phrase in the mean, cells that sound and tracks that play."""
    cells = phrases.sum((2, 3)).float()
    return cells.sum(1).mean(), (cells > 0).float().sum(1).mean()


def pairs_of(phrases: Tensor) -> Tensor:
    """(B, K, S, P) -> (B, S / 2, K * 2 * P): what one stride of the outermost layers covers."""
    return phrases.unflatten(2, (-1, 2)).transpose(1, 2).flatten(2)


def phrases_of(pairs: Tensor, tracks: int) -> Tensor:
    """The inverse of `pairs_of`."""
    return pairs.unflatten(2, (tracks, 2, -1)).transpose(1, 2).flatten(2, 3)
