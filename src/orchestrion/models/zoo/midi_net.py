"""MidiNet: melodies bar by bar, from noise, a chord and the bar before (Yang, Chou and Yang 2017; Luo 2021, 4.1.2).

Faithful: bars of 16 steps by 128 pitches; a chord of 13 numbers (root, and whether it is minor) beside every layer of
both networks; a conditioner that mirrors the generator and hands each of its layers what it found in the bar before,
16 features; layers, kernels, strides, batch norm and its absence as in the authors' code; feature matching on the mean
bar and on the first layer, 0.01 and 0.1; labels of 0.9 for real bars; the generator steps twice for the discriminator's
once; Adam with beta 0.5; a melody is the likeliest pitch of each step. `transposes` and `folds` are the paper's: music
moved to all keys, melodies folded into C4 to B5.
`luo` and `luo-fine` are Luo's attempt on piano rolls (5.6.1): a discriminator of three convolutions of 88 keys, 24 and
16 steps at strides 1, 24 and 16 and two linear layers, the same regularisers, a primer in place of the bar before, no
chord, and too many linear layers, on a grid that was too fine. His figure 5.19 shows the generator and cannot be read
here; it mirrors the discriminator. At 96 steps a bar the kernel of 24 is a beat and that of 16 four bars, so a segment
and its primer have 384 steps, where his had 2,048. On 16 steps a bar the kernel of 24 becomes 4.
Different: lead sheets had the chord, here a triad is read from all that sounds in a segment, and when music is made a
chord follows the one before as often as in training; the melody is the highest note of all but drums and bass, and may
rest, where the odds of all pitches add up to less than a half; where all pitches are read or drawn at once they are
channels, and a chord is given once a step and not once a cell; one segment in eight has nothing before it, as in tabs
of eight bars; feature matching as printed, not halved; the steps that a transposed convolution makes of one begin
nearly alike, as notes are held; `small`, `luo` and `luo-fine` learn at 0.0005 and 0.001 for the discriminator, falling
over the second half.
Uses of Request: count, bars, tempo.

Legend: B segments, S steps of a segment, P pitches, C channels, Z noise, N notes of the scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from symusic import Score
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from orchestrion.data.phrases import phrase_table
from orchestrion.data.store import Corpus
from orchestrion.models.base import Batch, Recipe, RecipeError, Request, System, Training
from orchestrion.models.layers.adversarial import discriminator_loss, frozen, generator_loss
from orchestrion.models.pianoroll_gan import check_phrases, compose_phrases, normal_noise, phrase_figures, said_of
from orchestrion.representations.phrases import PhraseGrid

CHORDS, NO_CHORD = 25, 24  # major triads on C to B, minor ones, and none
CHORD_NUMBERS = 13
MAX_BARS = 64  # of one phrase; longer pieces begin again
_FOLDED_FROM, _FOLDED = 60, 24  # C4 to B5
_FIRST_SHARE = 1 / 8  # of segments with nothing before them
_LEAK = 0.2
_OWN = 0.3  # what the steps that a layer makes of one differ by at first


@dataclass(frozen=True)
class MidiNetConfig:
    """Grid: as PhraseGrid, with segments of `bars`. melody: one line of all tracks, else all that the piano plays.

    linear: neurons, the last of which are `places` in time; growth: (filters, steps) of each transposed convolution
    behind them; discriminator_layers: (filters, kernel, stride) in time, the first over all pitches. mean_weight,
    feature_weight: of feature matching. segments: in a batch.

    Raises RecipeError for numbers that make no network, UserError for those that make no grid.
    """

    tracks: str = "five"
    bars: int = 1
    steps_a_bar: int = 16
    lowest: int = 0
    pitches: int = 128
    melody: bool = True
    chords: bool = True
    transposes: bool = True
    folds: bool = False
    noise: int = 100
    linear: tuple[int, ...] = (1024, 256)
    places: int = 2
    growth: tuple[tuple[int, int], ...] = ((128, 2), (128, 2), (128, 2))
    conditioner_filters: int = 16
    discriminator_layers: tuple[tuple[int, int, int], ...] = ((14, 2, 2), (77, 4, 2))
    discriminator_linear: int = 1024
    mean_weight: float = 0.01
    feature_weight: float = 0.1
    real_label: float = 0.9
    generator_steps: int = 2
    segments: int = 72
    rate: float = 2e-4
    discriminator_rate: float = 2e-4

    def __post_init__(self) -> None:
        if "piano" not in self.grid.track_set.names:
            raise RecipeError(f"tracks {self.tracks!r} have no piano, on which melodies are played")
        grown = self.places * prod(steps for _, steps in self.growth)
        if grown != self.steps:
            raise RecipeError(f"places and growth make {grown} steps, but a segment has {self.steps}")
        if not self.linear or self.linear[-1] % self.places:
            raise RecipeError(f"the last of linear must divide by {self.places} places, not be {self.linear[-1:]}")
        if self.left < 1:
            raise RecipeError(f"discriminator_layers need more than the {self.steps} steps of a segment")
        if self.segments < 2 or self.generator_steps < 1:
            raise RecipeError("a batch takes at least 2 segments, and a step 1 of the generator")

    @property
    def grid(self) -> PhraseGrid:
        """A segment and the one before it."""
        return PhraseGrid(self.tracks, 2 * self.bars, self.steps_a_bar, self.lowest, self.pitches)

    @property
    def steps(self) -> int:
        return self.bars * self.steps_a_bar

    @property
    def left(self) -> int:
        """Places that the discriminator's layers leave of a segment."""
        steps = self.steps
        for _, kernel, stride in self.discriminator_layers:
            steps = (steps - kernel) // stride + 1
        return steps


_SMALL_TRAINING = Training(steps=3000, warm_up_steps=0, decay_share=0.5, clip_norm=0.0, precision="float32",
                           validate_every=200, save_every=200)  # fmt: skip
_LUO_TRAINING = replace(_SMALL_TRAINING, steps=1500)
_LUO = MidiNetConfig(
    tracks="piano", bars=4, lowest=21, pitches=88, melody=False, chords=False, transposes=False,
    linear=(1024, 1024, 1024, 512), places=1, growth=((128, 16), (128, 4)),
    discriminator_layers=((64, 1, 1), (64, 4, 4), (64, 16, 16)), segments=32, rate=5e-4, discriminator_rate=1e-3,
)  # fmt: skip
RECIPES = {
    "tiny": Recipe(
        MidiNetConfig(noise=16, linear=(128, 128), growth=((64, 2), (64, 2), (64, 2)), discriminator_linear=32,
                      mean_weight=1.0, feature_weight=1.0, segments=48, rate=1e-3),
        Training(steps=20, warm_up_steps=2, decay_share=0.0, clip_norm=0.0, precision="float32", validate_every=10,
                 validation_batches=1, save_every=5),
    ),
    "small": Recipe(MidiNetConfig(rate=5e-4, discriminator_rate=1e-3), _SMALL_TRAINING),
    #: 20 epochs of 50,496 bars
    "paper": Recipe(MidiNetConfig(folds=True), replace(_SMALL_TRAINING, steps=14020, decay_share=0.0,
                                                       validate_every=701, save_every=701)),
    "luo": Recipe(_LUO, _LUO_TRAINING),
    "luo-fine": Recipe(
        replace(_LUO, steps_a_bar=96, growth=((128, 16), (128, 24)),
                discriminator_layers=((64, 1, 1), (64, 24, 24), (64, 16, 16))),
        _LUO_TRAINING,
    ),
}  # fmt: skip


class MidiNet(System):
    config: MidiNetConfig
    holds: ClassVar[frozenset[str]] = frozenset({"bars", "tempo"})
    followed: Tensor

    def __init__(self, config: MidiNetConfig) -> None:
        super().__init__()
        self.config, self.grid = config, config.grid
        names = self.grid.track_set.names
        self.track = names.index("piano")
        pitched = [track for track, name in enumerate(names) if name != "drums"]
        self._pitched = pitched
        self._melodic = [track for track in pitched if names[track] != "bass"] if config.melody else [self.track]
        self.generator, self.discriminator = Generator(config), Discriminator(config)
        #: how often each chord followed each in training; the last row: how often each began
        self.register_buffer("followed", torch.zeros(CHORDS + 1, CHORDS, dtype=torch.int64))

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        config, betas = self.config, (0.5, 0.999)
        return {
            "discriminator": Adam(self.discriminator.parameters(), lr=config.discriminator_rate, betas=betas),
            "generator": Adam(self.generator.parameters(), lr=config.rate, betas=betas),
        }

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        """{"pairs": (B, 2, S, P) bool, segments and those before them, first those before; "chords": (B, 2) of CHORDS;
        "first": (B,) bool, to learn as if nothing was before}."""
        config = self.config
        phrases = phrase_table(corpus, split, self.grid).draw(rng, config.segments)
        if config.transposes:
            moved = (np.arange(config.pitches) - rng.integers(-6, 6, (len(phrases), 1))) % config.pitches
            phrases = np.take_along_axis(phrases, moved[:, None, None], axis=3)
        parted = phrases[:, self._pitched].reshape(len(phrases), -1, 2, config.steps, config.pitches)
        cells = parted.sum(axis=(1, 3), dtype=np.int64)  # (B, 2, P)
        lines = self.as_learned(phrases)[:, self.track].reshape(len(phrases), 2, config.steps, config.pitches)
        return {
            "pairs": torch.from_numpy(lines),
            "chords": torch.from_numpy(chords_of(cells, config.lowest)),
            "first": torch.from_numpy(rng.random(len(phrases)) < _FIRST_SHARE),
        }

    def as_learned(self, phrases: np.ndarray) -> np.ndarray:
        """Phrases (B, K, S, P) bool -> the same with what is learned of them alone, on the piano."""
        lines = np.any(phrases[:, self._melodic], axis=1)
        if self.config.melody:
            lines = highest(folded(lines, self.config.lowest) if self.config.folds else lines)
        learned = np.zeros_like(phrases)
        learned[:, self.track] = lines
        return learned

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        config, first = self.config, batch["first"]
        before, real = batch["pairs"].float().unbind(1)
        before = before * ~first[:, None, None]
        chord = one_hot(batch["chords"][:, 1])
        with torch.no_grad():
            made = self.generator(self._noise(len(real)), chord, before).sigmoid()
        told, _ = self.discriminator(real, chord)
        yield "discriminator", discriminator_loss(told, self.discriminator(made, chord)[0], config.real_label)
        for _ in range(config.generator_steps):
            with frozen(self.discriminator):
                with torch.no_grad():
                    _, known = self.discriminator(real, chord)
                made = self.generator(self._noise(len(real)), chord, before).float().sigmoid()
                told, found = self.discriminator(made, chord)
                loss = generator_loss(told)
                loss = loss + config.mean_weight * (real.mean(0) - made.mean(0)).square().sum()
                loss = loss + config.feature_weight * (known.mean(0) - found.mean(0)).square().sum()
            yield "generator", loss

    def after_step(self, step: int, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self._note(batch["chords"])

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        """Of two segments each, from nothing, on the chords of real ones."""
        real, chords = batch["pairs"], batch["chords"]
        noise = self._noise(2 * len(real)).unflatten(0, (-1, 2))
        made = self.chain(noise, chords)
        figures = phrase_figures(real.flatten(1, 2).unsqueeze(1), made.flatten(1, 2).unsqueeze(1), self.grid.bars)
        chord = one_hot(chords[:, 1])
        marks = [self.discriminator(one.float(), chord)[0] for one in (real[:, 1], made[:, 1])]
        return {**figures, "critic_gap": (float((marks[0] - marks[1]).sum()), float(len(real)))}

    def remarks(self, figures: Mapping[str, float]) -> list[str]:
        return said_of(figures)

    def _note(self, chords: Tensor) -> None:
        """Count which chords (B, 2) follow one another, and begin."""
        rows = torch.cat([chords[:, 0], torch.full_like(chords[:, 0], CHORDS)])
        ones = torch.ones_like(rows)
        self.followed.index_put_((rows, torch.cat([chords[:, 1], chords[:, 0]])), ones, accumulate=True)

    def _noise(self, count: int) -> Tensor:
        return torch.randn(count, self.config.noise, device=self.followed.device)

    # ---- music

    def chain(self, noise: Tensor, chords: Tensor) -> Tensor:
        """Noise (B, segments, Z), chords (B, segments) -> (B, segments, S, P) bool, each from the one before."""
        before = noise.new_zeros(len(noise), self.config.steps, self.config.pitches)
        segments = []
        for place in range(noise.shape[1]):
            logits = self.generator(noise[:, place], one_hot(chords[:, place]), before)
            sounding = logits > 0
            if self.config.melody:
                sounds = logits.sigmoid().sum(-1, keepdim=True) > 0.5
                sounding = F.one_hot(logits.argmax(-1), self.config.pitches).bool() & sounds
            segments.append(sounding)
            before = sounding.float()
        return torch.stack(segments, dim=1)

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        self.eval()
        check_phrases(request)
        most = MAX_BARS // self.config.bars
        segments = min(-(-request.bars // self.config.bars), most)
        grid = replace(self.grid, bars=segments * self.config.bars)
        return compose_phrases(lambda rngs: self._draw(rngs, segments), grid, request, rng)

    def _draw(self, rngs: Sequence[np.random.Generator], segments: int) -> np.ndarray:
        noise = normal_noise(rngs, segments, self.config.noise)
        uniforms = np.stack([rng.random(segments) for rng in rngs])
        chords = torch.from_numpy(self.progressions(uniforms))
        device = self.followed.device
        lines = self.chain(noise.to(device), chords.to(device)).flatten(1, 2).cpu().numpy()
        phrases = np.zeros((len(rngs), self.grid.shape[0], *lines.shape[1:]), bool)
        phrases[:, self.track] = lines
        return phrases

    def progressions(self, uniforms: np.ndarray) -> np.ndarray:
        """Numbers from 0 to 1, (B, segments) -> chords (B, segments), each as likely behind the one before as it was in
        training; of an untrained system any triad."""
        odds = self.followed.cpu().numpy() + 1e-3 * (np.arange(CHORDS) != NO_CHORD)
        edges = odds.cumsum(axis=1) / odds.sum(axis=1, keepdims=True)
        chords, at = np.zeros(uniforms.shape, np.int64), np.full(len(uniforms), CHORDS)
        for place, drawn in enumerate(uniforms.T):
            at = np.minimum((edges[at] <= drawn[:, None]).sum(axis=1), NO_CHORD)
            chords[:, place] = at
        return chords


# ---- melodies and chords of piano rolls


def highest(lines: np.ndarray) -> np.ndarray:
    """(..., S, P) bool -> the same with the highest pitch of each step alone."""
    top = lines.shape[-1] - 1 - lines[..., ::-1].argmax(axis=-1)
    return np.asarray(lines & (np.arange(lines.shape[-1]) == top[..., None]))


def folded(lines: np.ndarray, lowest: int) -> np.ndarray:
    """(..., S, P) bool -> the highest pitch of each step moved by octaves into C4 to B5."""
    pitch = lowest + np.arange(lines.shape[-1])
    target = _FOLDED_FROM + (pitch - _FOLDED_FROM) % _FOLDED - lowest
    return np.asarray(highest(lines) @ (target[:, None] == np.arange(len(pitch))))


def chords_of(cells: np.ndarray, lowest: int) -> np.ndarray:
    """Cells that sound of each pitch, (..., P) -> (...) of CHORDS: the triad that most of them belong to and fewest do
    not, its root counting a little more; NO_CHORD where nothing sounds."""
    classes = (lowest + np.arange(cells.shape[-1])) % 12
    chroma = cells @ (classes[:, None] == np.arange(12)).astype(np.int64)
    fits = chroma @ _TEMPLATES.T
    return np.where(chroma.any(axis=-1), fits.argmax(axis=-1), NO_CHORD)


def _templates() -> np.ndarray:
    """(24, N): what a cell of each pitch class counts for each triad."""
    steps = (np.arange(12)[None] - np.arange(12)[:, None]) % 12  # from the root, by root and class
    triads = [np.where(np.isin(steps, (0, third, 7)), 1.0, -1.0) + 0.2 * (steps == 0) for third in (4, 3)]
    return np.concatenate(triads)


_TEMPLATES = _templates()


def one_hot(chords: Tensor) -> Tensor:
    """(B,) of CHORDS -> (B, 13): root, and whether it is minor; nothing for NO_CHORD."""
    roots = F.one_hot(chords % 12, 12) * (chords < NO_CHORD)[:, None]
    return torch.cat([roots, ((chords >= 12) & (chords < NO_CHORD))[:, None]], dim=1).float()


# ---- networks


class Generator(nn.Module):
    """Noise (B, Z), chord (B, 13) and the segment before (B, S, P) -> logits (B, S, P)."""

    def __init__(self, config: MidiNetConfig) -> None:
        super().__init__()
        self.chords, self.places = config.chords, config.places
        chord = CHORD_NUMBERS if config.chords else 0
        found = config.conditioner_filters
        inputs = [config.noise, *config.linear[:-1]]
        self.linear = nn.ModuleList(
            nn.Sequential(nn.Linear(inward + chord, outward), nn.BatchNorm1d(outward), nn.ReLU())
            for inward, outward in zip(inputs, config.linear, strict=True)
        )
        #: from all steps, through the mirrored strides, to as many places as the first transposed convolution reads
        kernels = [1, *(steps for _, steps in reversed(config.growth))]
        self.conditioner = nn.ModuleList(
            nn.Sequential(nn.Conv1d(found if number else config.pitches, found, kernel, stride=kernel),
                          nn.BatchNorm1d(found), nn.LeakyReLU(_LEAK))
            for number, kernel in enumerate(kernels)
        )  # fmt: skip
        filters = [config.linear[-1] // config.places, *(outward for outward, _ in config.growth)]
        self.growth = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose1d(inward + chord + found, outward, steps, stride=steps),
                          nn.BatchNorm1d(outward), nn.ReLU())
            for inward, (outward, steps) in zip(filters, config.growth, strict=False)
        )  # fmt: skip
        self.last = nn.Conv1d(filters[-1] + chord + found, config.pitches, 1)
        _begin(self)
        for layer in self.growth.modules():
            if isinstance(layer, nn.ConvTranspose1d):
                layer.weight.data.lerp_(layer.weight.data[..., :1].clone(), 1 - _OWN)

    def forward(self, noise: Tensor, chord: Tensor, before: Tensor) -> Tensor:
        found, read = list[Tensor](), before.transpose(1, 2)
        for layer in self.conditioner:
            read = layer(read)
            found.insert(0, read)
        x = noise
        for layer in self.linear:
            x = layer(_beside(x, chord) if self.chords else x)
        x = x.unflatten(1, (-1, self.places))
        for layer, seen in zip([*self.growth, self.last], found, strict=True):
            x = layer(torch.cat([_beside(x, chord) if self.chords else x, seen], dim=1))
        return x.transpose(1, 2)


class Discriminator(nn.Module):
    """Segments (B, S, P) and chords (B, 13) -> logits (B,) of being real, and what the first layer makes of them."""

    def __init__(self, config: MidiNetConfig) -> None:
        super().__init__()
        self.chords = config.chords
        chord = CHORD_NUMBERS if config.chords else 0
        inputs = [config.pitches, *(filters for filters, _, _ in config.discriminator_layers[:-1])]
        self.layers = nn.ModuleList()
        for inward, (filters, kernel, stride) in zip(inputs, config.discriminator_layers, strict=True):
            norm = _norm(filters) if len(self.layers) else nn.Identity()
            convolution = nn.Conv1d(inward + chord, filters, kernel, stride)
            self.layers.append(nn.Sequential(convolution, norm, nn.LeakyReLU(_LEAK)))
        flat, wide = config.discriminator_layers[-1][0] * config.left, config.discriminator_linear
        self.wide = nn.Sequential(nn.Linear(flat + chord, wide), _norm(wide), nn.LeakyReLU(_LEAK))
        self.mark = nn.Linear(wide + chord, 1)
        _begin(self)

    def forward(self, segments: Tensor, chord: Tensor) -> tuple[Tensor, Tensor]:
        x = first = segments.transpose(1, 2)
        for number, layer in enumerate(self.layers):
            x = layer(_beside(x, chord) if self.chords else x)
            first = x if number == 0 else first
        x = self.wide(_beside(x.flatten(1), chord) if self.chords else x.flatten(1))
        return self.mark(_beside(x, chord) if self.chords else x).squeeze(1).float(), first.float()


def _norm(features: int) -> nn.Module:
    """Batch norm by the batch at hand always: a discriminator makes nothing, and what the generator's losses pass
    through it leaves no trace."""
    return nn.BatchNorm1d(features, track_running_stats=False)


def _beside(x: Tensor, chord: Tensor) -> Tensor:
    """(B, C) or (B, C, S) -> the same with the chord's numbers as further channels."""
    return torch.cat([x, chord if x.ndim == 2 else chord.unsqueeze(2).expand(-1, -1, x.shape[2])], dim=1)


def _begin(network: nn.Module) -> None:
    """DCGAN's weights: normal with a spread of 0.02, no bias."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.ConvTranspose1d):
            nn.init.normal_(layer.weight, std=0.02)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
