"""MuseGAN: bars of several tracks from shared and private noise, or around a track given (Dong et al. 2018).

Faithful: the jamming model (a generator and a critic a track), the composer model (one of each for all tracks) and the
hybrid model (a generator a track, one critic); temporal generators that make of noise a vector a bar (formula 2 of the
APE-GAN paper), beside noise that stays over the bars, and bar generators that read both (formula 3); noise of 128
numbers a bar and track, whichever the model; all layers, kernels and strides, batch norm in the generators alone, tanh,
Wasserstein loss with a penalty of 10, five critic steps, Adam 0.0002 with betas 0.5 and 0.9, batches of 64, as the
authors' code has them; test-time binarising at 0. `condition` names a track that is given: an encoder, the mirror of a
bar generator, reads it, and each layer sees what it found (their accompaniment). `neurons` are those of Dong and Yang
(2018): deterministic or stochastic, straight-through, on cells of 0 or 1.
Different: the encoder is used in all bars of the temporal model, whose generators in that code leave it out; its critic
of bars cuts its 2,560 features into pieces of 128 and so one phrase into twenty, here a phrase is one; each track has a
temporal generator of its own, as in the paper's figure, where the code shares one; weights begin as He et al. (2015)
have it, cells rarely on, as those of music are, and the steps that a layer makes of one nearly alike, as notes are held
and bars are of one chord; binary neurons without the refiner and the slopes that anneal. `small-fine`, on 48 steps a
bar, makes the steps of a sixteenth in the last layer, with the pitches of an octave, and its critic gathers them first.
Left open: what the critics of a jamming band hear of a track given; here each hears its own track beside it.
Uses of Request: count, bars, tempo; where a track is `condition`, given and hole in place of bars and tempo.

Legend: B phrases, K tracks, M players (generators of bars side by side), T bars, S steps of a phrase, P pitches, Z
noise, R places, C and F features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, cast

import numpy as np
import torch
from symusic import Score
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from orchestrion.data.phrases import Selection
from orchestrion.data.store import Corpus
from orchestrion.models.base import Batch, Recipe, RecipeError, Request, RequestError, System, Training
from orchestrion.models.layers.adversarial import (
    average_of,
    binary_neurons,
    follow_,
    frozen,
    penalty_behind,
    wasserstein_loss,
)
from orchestrion.models.layers.bar_layers import LEAK, Layer, Temporal, cells_in_order, gathered, growing_layers
from orchestrion.models.layers.phrase_critic import PhraseCritic, layers_fault
from orchestrion.models.pianoroll_gan import (
    accepted_phrases,
    compose_phrases,
    normal_noise,
    phrase_batch,
    phrase_figures,
    said_of,
)
from orchestrion.music.edit import replace_cells
from orchestrion.music.theory import instrument_name
from orchestrion.representations.cells import decode
from orchestrion.representations.phrases import PhraseGrid

MODELS, NEURONS = ("jamming", "composer", "hybrid"), ("none", "deterministic", "stochastic")
MEASURED = 128  # phrases of a validation batch
AT_ONCE = 16  # phrases drawn in one call: what they need lies in the cache of a core


@dataclass(frozen=True)
class MuseGANConfig:
    """model, neurons: of MODELS and NEURONS. condition: the track that is given, "" for none. Grid: as PhraseGrid.
    piece_tracks: learn from pieces in which so many tracks play.

    noise: numbers that a bar generator reads of each track. temporal_filters: within the temporal generators.
    bar_layers: (filters, steps, pitches) of each transposed convolution, the last but for its filters; the kernel is
    the stride, and steps come before pitches, but for those of the last. encoder_filters: of each layer of the encoder.
    critic_layers: (filters, kernel, stride) in time, behind the mirrors of the layers that make pitches, with
    `critic_filters`, the first of which gathers the steps of the last of those too; then two layers over
    the bars of `phrase_filters`, and one of `critic_width`. critic_steps: of one of the generator's, on `phrases` each.
    average: the share of its weights that the generator which draws keeps in a step, the rest it takes from the one
    that learns; 0 for one and the same.

    Raises RecipeError for numbers that make no network, UserError for those that make no grid.
    """

    model: str = "hybrid"
    neurons: str = "deterministic"
    condition: str = ""
    tracks: str = "five"
    bars: int = 4
    steps_a_bar: int = 16
    lowest: int = 24
    pitches: int = 72
    piece_tracks: int = 1
    noise: int = 128
    temporal_filters: int = 56
    bar_layers: tuple[tuple[int, int, int], ...] = (
        (96, 2, 1), (64, 2, 1), (48, 2, 1), (32, 2, 1), (24, 1, 6), (0, 1, 12)
    )  # fmt: skip
    encoder_filters: int = 16
    critic_filters: int = 32
    critic_layers: tuple[tuple[int, int, int], ...] = ((48, 2, 2), (64, 2, 2), (128, 4, 2))
    phrase_filters: tuple[int, int] = (128, 128)
    critic_width: int = 256
    penalty: float = 10.0
    critic_steps: int = 5
    phrases: int = 32
    rate: float = 3e-3
    critic_rate: float = 2e-3
    average: float = 0.0

    def __post_init__(self) -> None:
        if self.model not in MODELS or self.neurons not in NEURONS:
            raise RecipeError(f"there is no model {self.model!r} with neurons {self.neurons!r}; choose"
                              f" {', '.join(MODELS)}, and {', '.join(NEURONS)}")  # fmt: skip
        if self.condition and self.condition not in self.grid.track_set.names:
            raise RecipeError(f"there is no track {self.condition!r}; choose {', '.join(self.grid.track_set.names)}")
        if len(self.grid.track_set.names) - bool(self.condition) < 1:
            raise RecipeError("a track that is given leaves none to make; choose tracks of more than one")
        if self.bars < 3:
            raise RecipeError(f"the critic reads phrases of at least 3 bars, not {self.bars}")
        if fault := layers_fault(self.steps_a_bar, self.pitches, self.bar_layers, self.critic_layers):
            raise RecipeError(fault)
        if self.noise % self.vectors:
            raise RecipeError(f"noise {self.noise} must divide by {self.vectors}, the vectors of a {self.model} model")
        if not 0 <= self.average < 1:
            raise RecipeError(f"average {self.average} must be a share from 0 to less than 1")
        if min(self.phrases, self.critic_steps) < 1:
            raise RecipeError("phrases and critic_steps must be at least 1")

    @property
    def grid(self) -> PhraseGrid:
        return PhraseGrid(self.tracks, self.bars, self.steps_a_bar, self.lowest, self.pitches)

    @property
    def made(self) -> list[int]:
        """The tracks that are not given."""
        names = self.grid.track_set.names
        return [track for track, name in enumerate(names) if name != self.condition]

    @property
    def vectors(self) -> int:
        """How many vectors of noise a bar generator reads: of piece and bar, of all tracks and of its own."""
        return 4 if self.model == "hybrid" else 2


_SMALL = MuseGANConfig()
_SMALL_TRAINING = Training(steps=3000, warm_up_steps=0, decay_share=0.5, clip_norm=0.0, validate_every=100,
                           save_every=200)  # fmt: skip
#: Steps of a twelfth of a quarter note, fine enough that notes can be too short.
_FINE = replace(
    _SMALL, steps_a_bar=48, pitches=84, piece_tracks=5,
    bar_layers=((96, 2, 1), (64, 2, 1), (48, 2, 1), (32, 2, 1), (32, 1, 7), (0, 3, 12)),
    critic_filters=64, critic_layers=((64, 2, 2), (64, 2, 2), (128, 4, 2)), average=0.99,
)  # fmt: skip
_PAPER = MuseGANConfig(
    neurons="none", steps_a_bar=96, pitches=84, piece_tracks=5, temporal_filters=1024,
    bar_layers=((512, 2, 1), (512, 2, 1), (256, 2, 1), (256, 2, 1), (128, 2, 1), (128, 3, 1), (64, 1, 7), (0, 1, 12)),
    critic_filters=128, critic_layers=((128, 2, 2), (128, 2, 2), (256, 4, 2), (512, 3, 2)), phrase_filters=(512, 128),
    critic_width=1024, phrases=64, rate=2e-4, critic_rate=2e-4,
)  # fmt: skip
#: 20 epochs of 50,266 phrases, which the paper had, 5 batches of 64 a step.
_PAPER_TRAINING = replace(_SMALL_TRAINING, steps=3140, decay_share=0.0, validate_every=157, save_every=157)

RECIPES = {
    "tiny": Recipe(
        MuseGANConfig(noise=16, temporal_filters=16, pitches=60, critic_filters=8, phrase_filters=(16, 16),
                      bar_layers=((24, 4, 1), (16, 4, 1), (8, 1, 5), (0, 1, 12)),
                      critic_layers=((16, 4, 4), (16, 4, 4)), critic_width=32, critic_steps=2, phrases=8, rate=5e-3,
                      critic_rate=5e-3),
        Training(steps=20, warm_up_steps=2, decay_share=0.0, clip_norm=0.0, precision="float32", validate_every=10,
                 validation_batches=1, save_every=5),
    ),
    "small": Recipe(_SMALL, _SMALL_TRAINING),
    "small-fine": Recipe(_FINE, replace(_SMALL_TRAINING, steps=1500)),
    "small-jamming": Recipe(replace(_SMALL, model="jamming"), _SMALL_TRAINING),
    "small-composer": Recipe(replace(_SMALL, model="composer"), _SMALL_TRAINING),
    "small-stochastic": Recipe(replace(_SMALL, neurons="stochastic"), _SMALL_TRAINING),
    "small-threshold": Recipe(replace(_SMALL, neurons="none"), _SMALL_TRAINING),
    "small-piano": Recipe(replace(_SMALL, condition="piano"), _SMALL_TRAINING),
    "paper": Recipe(_PAPER, _PAPER_TRAINING),
    "paper-jamming": Recipe(replace(_PAPER, model="jamming"), _PAPER_TRAINING),
    "paper-composer": Recipe(replace(_PAPER, model="composer"), _PAPER_TRAINING),
    "paper-piano": Recipe(replace(_PAPER, condition="piano"), _PAPER_TRAINING),
    "paper-deterministic": Recipe(replace(_PAPER, neurons="deterministic"), _PAPER_TRAINING),
    "paper-stochastic": Recipe(replace(_PAPER, neurons="stochastic"), _PAPER_TRAINING),
}  # fmt: skip


class MuseGAN(System):
    config: MuseGANConfig
    holds: ClassVar[frozenset[str]] = frozenset({"bars", "tempo", "tracks"})

    def __init__(self, config: MuseGANConfig) -> None:
        super().__init__()
        self.config, self.grid = config, config.grid
        self.generator, self.critic = Generator(config), critic_of(config)
        self.averaged = average_of(self.generator) if config.average else None

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        config, betas = self.config, (0.5, 0.9)
        return {
            "critic": Adam(self.critic.parameters(), lr=config.critic_rate, betas=betas),
            "generator": Adam(self.generator.parameters(), lr=config.rate, betas=betas),
        }

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        count = self.config.phrases * self.config.critic_steps if split == "train" else MEASURED
        selection = Selection(piece_tracks=self.config.piece_tracks)
        return phrase_batch(corpus, split, rng, self.grid, count, selection)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        given = None
        for phrases in batch["phrases"].split(self.config.phrases):
            real, given = self._parted(phrases)
            with torch.no_grad():
                made = self.drawn(self._noise(len(real)), given)
            yield "critic", self.critic_loss(self._scaled(real.float()), made, given)
        with frozen(self.critic):
            loss = -self.critic(self.drawn(self._noise(self.config.phrases), given), given).mean()
        yield "generator", loss

    def after_step(self, step: int, batches: Sequence[Batch]) -> None:
        if self.averaged is not None:
            follow_(self.averaged, self.generator, self.config.average)

    def critic_loss(self, real: Tensor, made: Tensor, given: Tensor | None) -> Tensor:
        """Real and made tracks (B, K, S, P) as critics see them -> Wasserstein loss and penalty, means over critics."""
        first = self.critic.first(real, given), self.critic.first(made, given)  # (M, B, R, F)
        loss = wasserstein_loss(*(self.critic.marks(read).float() for read in first))
        real, made = first[0].detach(), first[1].detach()
        return loss + penalty_behind(self.critic.marks, self.critic.first_products, real, made, self.config.penalty)

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        real, given = self._parted(batch["phrases"])
        made = self.drawn(self._noise(len(real)), given, self.drawing)
        figures = phrase_figures(batch["phrases"], self._whole(made > self._threshold, given), self.grid.bars)
        gap = self.critic(self._scaled(real.float()), given) - self.critic(made, given)
        return {**figures, "critic_gap": (float(gap.sum()), float(gap.numel()))}

    def remarks(self, figures: Mapping[str, float]) -> list[str]:
        return said_of(figures)

    def drawn(self, noise: Tensor, given: Tensor | None, generator: nn.Module | None = None) -> Tensor:
        """Noise (B, Z) and the track given (B, S, P) -> the tracks made (B, K, S, P) as critics see them; by another
        generator than the one that learns, where it is named."""
        logits = (generator or self.generator)(noise, given).float()
        if self.config.neurons == "none":
            return torch.tanh(logits)
        if self.config.neurons == "deterministic" and not torch.is_grad_enabled():
            return (logits > 0).float()
        return binary_neurons(torch.sigmoid(logits), stochastic=self.config.neurons == "stochastic")

    def _noise(self, count: int) -> Tensor:
        return torch.randn(count, self.generator.noise, device=next(self.parameters()).device)

    def _scaled(self, cells: Tensor) -> Tensor:
        """Cells of 0 to 1 as critics see them: -1 to 1, the range of tanh, where no neurons make them binary."""
        return 2 * cells - 1 if self.config.neurons == "none" else cells

    @property
    def _threshold(self) -> float:
        return 0.0 if self.config.neurons == "none" else 0.5

    def _parted(self, phrases: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, K, S, P) bool -> the tracks to make, bool, and the one given as the networks see it."""
        if not self.config.condition:
            return phrases, None
        return phrases[:, self.config.made], self._scaled(phrases[:, self._given_track].float())

    def _whole(self, made: Tensor, given: Tensor | None) -> Tensor:
        """The tracks made, (B, K, S, P) bool, with the one given in its place; silent where there is none."""
        if not self.config.condition:
            return made
        whole = made.new_zeros(len(made), *self.grid.shape)
        whole[:, self.config.made] = made
        if given is not None:
            whole[:, self._given_track] = given > self._threshold
        return whole

    @property
    def _given_track(self) -> int:
        return self.grid.track_set.names.index(self.config.condition)

    # ---- music

    @property
    def drawing(self) -> nn.Module:
        """The generator that music is made by."""
        return self.generator if self.averaged is None else self.averaged

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        self.eval()
        if request.given is not None:
            return self._accompany(request, rng)
        if self.config.condition:
            raise RequestError(f"this MuseGAN accompanies a track of the {self.config.condition}; give it music, and"
                               " name other tracks to fill or to add")  # fmt: skip
        return compose_phrases(self.draw, self.grid, request, rng)

    def draw(self, rngs: Sequence[np.random.Generator], given: np.ndarray | None = None) -> np.ndarray:
        """A phrase for each random stream, (B, K, S, P) bool; given: (S, P) bool, what all of them are played to."""
        shape = len(self.config.made), *self.grid.shape[1:]
        device, phrases = next(self.parameters()).device, []
        for start in range(0, len(rngs), AT_ONCE):
            own = rngs[start : start + AT_ONCE]
            noise = normal_noise(own, self.generator.noise)
            beside = None if given is None else self._scaled(torch.from_numpy(given).to(device).float())
            logits = self.drawing(noise.to(device),
                                  None if beside is None else beside.expand(len(own), -1, -1))  # fmt: skip
            if self.config.neurons == "stochastic":
                uniforms = torch.from_numpy(np.stack([rng.random(shape, np.float32) for rng in own])).to(device)
                sounding = torch.sigmoid(logits) > uniforms
            else:
                sounding = logits > 0
            phrases.append(self._whole(sounding, None).cpu().numpy())
        return np.concatenate(phrases)

    def _accompany(self, request: Request, rng: np.random.Generator) -> list[Score]:
        """The music given, with the tracks of the hole played to the track that the generator hears."""
        given, hole, steps = request.given, request.hole, self.grid.steps_a_bar
        assert given is not None
        assert hole is not None
        first, last, tracks = self._to_accompany(request)
        score = decode(given)
        phrase_steps = self.grid.shape[1]
        count = -(-(last + 1 - first) // self.grid.bars)
        heard = np.zeros((first * steps + count * phrase_steps, self.grid.pitches), bool)
        known = self.grid.encode(score)[:, self._given_track].reshape(-1, self.grid.pitches)[: (last + 1) * steps]
        heard[: len(known)] = known
        rngs = rng.spawn(request.count)
        length = -(-(last + 1) // self.grid.bars)  # of the whole, in phrases
        rolls = np.zeros((request.count, self.grid.shape[0], max(length * phrase_steps, len(heard)), self.grid.pitches),
                         bool)  # fmt: skip
        for place in range(count):
            here = slice(first * steps + place * phrase_steps, first * steps + (place + 1) * phrase_steps)
            played = partial(self.draw, given=heard[here])
            rolls[:, :, here] = accepted_phrases(played, self.grid, rngs, request.rejected)
            if request.progress:
                done = min((place + 1) * self.grid.bars, last + 1 - first)
                request.progress(done, last + 1 - first)
        rolls[:, :, (last + 1) * steps :] = False
        scores = []
        for roll in rolls[:, :, : length * phrase_steps]:
            phrases = roll.reshape(len(roll), length, phrase_steps, -1).swapaxes(0, 1)
            scores.append(replace_cells(score, self.grid.decode(phrases), (first + 1, last + 1), tracks))
        return scores

    def _to_accompany(self, request: Request) -> tuple[int, int, dict[int, int]]:
        """First and last bar of the hole, from 0, and which track of the grid plays which of its tracks. Raises
        RequestError for a hole that cannot be filled so."""
        given, hole, names = request.given, request.hole, self.grid.track_set.names
        assert given is not None
        assert hole is not None
        if not self.config.condition:
            raise RequestError("this MuseGAN composes all tracks at once; to play along with music, train one with a"
                               " track that is given, such as the recipe small-piano")  # fmt: skip
        if any(meter.quarters != 4 for meter in given.meters):
            raise RequestError("MuseGAN knows bars of four quarter notes and no others; give it music in 4/4")
        bars, places = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        playing = [self.grid.track_set.of[program] for program in given.instruments]
        if self._given_track in (playing[place] for place in places):
            raise RequestError(f"this MuseGAN plays to the {self.config.condition} and cannot compose it; name other"
                               " tracks")  # fmt: skip
        if self._given_track not in playing:
            raise RequestError(f"this MuseGAN plays to the {self.config.condition}, and the music has none")
        if len({playing[place] for place in places}) < len(places):
            programs = ", ".join(instrument_name(given.instruments[place]) for place in places)
            raise RequestError(f"MuseGAN plays one part each of {', '.join(names)}; {programs} are more; name fewer")
        if not hole[bars[0] : bars[-1] + 1, places].all():
            raise RequestError("MuseGAN plays whole tracks to the one given; name the same bars of all of them")
        return int(bars[0]), int(bars[-1]), {int(place): playing[place] for place in places}


class Generator(nn.Module):
    """Noise (B, Z) and, where one is, the track given (B, S, P) -> logits of the tracks made (B, K, S, P)."""

    def __init__(self, config: MuseGANConfig) -> None:
        super().__init__()
        self.bars = config.bars
        tracks = len(config.made)
        self.players = 1 if config.model == "composer" else tracks
        self.width = config.noise // config.vectors
        self.tracks_each = tracks // self.players
        temporal = self.width, config.temporal_filters, config.bars
        self.shared = None if config.model == "jamming" else Temporal(1, *temporal)
        self.private = None if config.model == "composer" else Temporal(self.players, *temporal)
        #: Z: two vectors of each kind, one that stays over the bars and one for the temporal generator
        self.noise = 2 * self.width * ((self.shared is not None) + (self.private is not None) * self.players)

        found = config.encoder_filters if config.condition else 0
        self.layers = growing_layers(self.players, config.noise, config.bar_layers, self.tracks_each, found)
        kernels = [steps * pitches for _, steps, pitches in reversed(config.bar_layers[1:])]
        self.encoder = nn.ModuleList(
            Layer(1, kernel * (found if number else 1), found, norm=True, leak=LEAK)
            for number, kernel in enumerate(kernels if found else [])
        )
        self.last = config.bar_layers[-1]
        self.cells = config.bars * config.steps_a_bar, config.pitches

    def forward(self, noise: Tensor, given: Tensor | None = None) -> Tensor:
        x, features = self.latent(noise), self.features(given)
        for layer, found in zip(self.layers, [None, *features], strict=True):
            if found is not None:
                x = torch.cat([x, found.expand(len(x), -1, -1).to(x.dtype)], dim=-1)
            x = layer(x)
        return cells_in_order(x, len(noise), self.last, self.cells)

    def latent(self, noise: Tensor) -> Tensor:
        """(B, Z) -> what each player reads of each bar, (M, B * T, C)."""
        parts = []
        kept = 2 * self.width if self.shared is not None else 0
        own = noise[:, kept:].view(len(noise), self.players if self.private is not None else 0, 2 * self.width)
        for temporal, vectors in ((self.shared, noise[None, :, :kept]), (self.private, own.transpose(0, 1))):
            if temporal is not None:
                still, moving = vectors.split(self.width, dim=-1)
                by_bar = temporal(moving)
                parts += [by_bar, still.unsqueeze(2).expand_as(by_bar)]
        return torch.cat([part.expand(self.players, -1, -1, -1) for part in parts], dim=-1).flatten(1, 2)

    def features(self, given: Tensor | None) -> list[Tensor | None]:
        """(B, S, P) -> what the encoder found at the places that each layer but the first reads, (1, R, C)."""
        if given is None:
            return [None] * (len(self.layers) - 1)
        found, x = list[Tensor | None](), gathered(given[:, None], *self.last[1:])
        for layer in self.encoder:
            x = layer(x.reshape(1, -1, cast(Layer, layer).inputs))
            found.insert(0, x)
        return found


def critic_of(config: MuseGANConfig) -> PhraseCritic:
    """A critic of each track of a jamming band, else of all at once."""
    return PhraseCritic(
        len(config.made), jamming=config.model == "jamming", beside=int(bool(config.condition)), bars=config.bars,
        steps_a_bar=config.steps_a_bar, growths=config.bar_layers, filters=config.critic_filters,
        layers=config.critic_layers, phrase_filters=config.phrase_filters, width=config.critic_width,
    )  # fmt: skip
