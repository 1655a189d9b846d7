"""MusicTransformer: a decoder over tokens that sees how far apart they are (Huang et al. 2018).

Faithful: learned embeddings of distance inside the attention (`positions="relative"`), on request those of pitch and
time as well (`axes`), beside the plain transformer with sinusoids (`"absolute"`); dropout, Adam and cross-entropy;
performance events, and chorales as a serialised grid of four voices. Sparse patterns (Child et al. 2019) by `pattern`.
Different: layers are normalised before and not behind, with GELU between; attention weights have no dropout, and the
rate is the loop's.
Ours are two choices: rotary positions on musical time and pitch (`"rotary"`), and inputs and logits that say outright
what the past says already (`outright`): of chorales each voice's last pitches, how long they are held, and intervals
from them (`models/layers/voice_inputs.py`); of performances which keys are down, and what was struck lately
(`models/layers/key_inputs.py`).
Uses of Request: count, primer, seconds or bars, temperature, top_p.

Legend: B sequences, T new tokens, S tokens in the cache, V tokens of the notation, H heads, D width, A axes, R rotated
pairs of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from symusic import Score
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from orchestrion.data.store import Corpus
from orchestrion.data.tokens import PADDING, Tokens, token_table
from orchestrion.models.base import Batch, PieceNats, Recipe, RecipeError, Request, Sampling, System, Training
from orchestrion.models.layers.attention import Cache, rotate, rotation
from orchestrion.models.layers.key_inputs import KeyInputs, Keys, elapsed_ms
from orchestrion.models.layers.optimizer import MuonAdamW
from orchestrion.models.layers.relative import RelativeAttention, RelativeState
from orchestrion.models.layers.voice_inputs import VoiceInputs
from orchestrion.models.token_model import autoregress, batch_nats, piece_token_nats
from orchestrion.representations.chorale import BAR, REST, VOICES, Chorale
from orchestrion.representations.notation import Notation
from orchestrion.representations.performance import MAX_SHIFT, NOTE_OFF, SHIFT, Performance

_TIME_WAVELENGTHS = (16, 4, 8, 32, 64, 128, 2, 256, 24, 512)  # sixteenths, the weightiest first
_PITCH_WAVELENGTHS = (12, 24, 96, 6, 4, 3)  # semitones
_UNFUSED_STEPS = 512  # up to which plain products take half the time of the fused kernel on a CPU in bf16
_MS_PER_TIME = 125  # of performances: a sixteenth at tempo 120
_MIDDLE_C = 60
_PIANO = (21, 108)
#: Soprano, alto, tenor, bass: the lowest and highest pitch of transposed chorales, those of the training pieces.
RANGES = ((60, 81), (52, 74), (46, 69), (36, 64))
NOTATIONS: dict[str, Notation] = {"performance": Performance(), "chorale-16": Chorale()}
POSITIONS = ("absolute", "relative", "rotary")
AXES = ("time", "pitch")
_REACHES = {"time": 64, "pitch": 48}  # sixteenths and semitones up to which relative attention tells them apart


@dataclass(frozen=True)
class MusicTransformerConfig:
    """notation: "performance" or "chorale-16". positions: "absolute", "relative" or "rotary".

    max_distance tokens are told apart by relative positions, which know the `axes` "pitch" and "time" as well, and a
    `pattern` of which keys are in sight: "full", "local", "strided" or "fixed", in blocks of `block`. outright: say
    what the past says; input_dropout is of single things said of a chorale. context tokens are read at once, `windows`
    a batch. transpose: training windows are moved by about so many semitones (standard deviation), as far as the ranges
    allow; stretch: and performances made slower or faster by up to that share. optimizer: "adam", or "muon", at
    `matrix_rate` for the matrices of the layers. Raises RecipeError for numbers that make no network.
    """

    notation: str = "performance"
    positions: str = "relative"
    axes: tuple[str, ...] = ()
    pattern: str = "full"
    block: int = 128
    max_distance: int = 1024
    outright: bool = False
    width: int = 256
    layers: int = 6
    heads: int = 8
    feed_forward: int = 1024
    dropout: float = 0.1
    input_dropout: float = 0.0
    context: int = 1024
    windows: int = 8
    transpose: float = 2.0
    stretch: float = 0.05
    optimizer: str = "adam"
    rate: float = 1e-3
    matrix_rate: float = 0.02
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.notation not in NOTATIONS:
            raise RecipeError(f"MusicTransformer knows no notation {self.notation!r}; choose {' or '.join(NOTATIONS)}")
        if self.positions not in POSITIONS:
            raise RecipeError(f"there are no positions {self.positions!r}; choose {', '.join(POSITIONS)}")
        if not set(self.axes) <= set(AXES):
            raise RecipeError(f"there are no axes {', '.join(self.axes)}; choose of {', '.join(AXES)}")
        if min(self.layers, self.heads, self.windows) < 1 or self.width < 1 or self.width % (2 * self.heads):
            raise RecipeError(f"width {self.width} must be a multiple of twice the heads, {self.heads}, of at least 1")
        if self.context < 4 * VOICES or self.context % (2 * VOICES):
            raise RecipeError(f"context {self.context} must be a multiple of {2 * VOICES}, at least {4 * VOICES}")
        if self.optimizer not in ("adam", "muon"):
            raise RecipeError(f"there is no optimizer {self.optimizer!r}; choose adam or muon")


_CHORALE = MusicTransformerConfig(
    notation="chorale-16", width=128, layers=5, heads=4, feed_forward=512, dropout=0.2, context=1024, windows=4,
    transpose=6.0, optimizer="muon", rate=3e-3, weight_decay=0.1, max_distance=512,
)  # fmt: skip
_CHORALE_TRAINING = Training(steps=600, warm_up_steps=50, decay_share=0.75, validate_every=100, save_every=100)
_PIANIST = MusicTransformerConfig(positions="rotary", outright=True, layers=4, dropout=0.0, windows=4, transpose=3.0,
                                  optimizer="muon", rate=3e-3)  # fmt: skip
_LARGE = replace(_PIANIST, width=512, layers=8, feed_forward=2048, dropout=0.1, context=2048, windows=8, rate=2e-3)
RECIPES = {
    "tiny": Recipe(
        MusicTransformerConfig(width=64, layers=2, heads=2, feed_forward=128, dropout=0.0, context=128, max_distance=64,
                               windows=8, transpose=0.0, stretch=0.0, optimizer="muon", rate=0.01),
        Training(steps=20, warm_up_steps=2, validate_every=10, validation_batches=1, save_every=5),
    ),
    "small": Recipe(MusicTransformerConfig(optimizer="muon", rate=3e-3), Training(steps=4000)),
    "jsb_baseline": Recipe(replace(_CHORALE, positions="absolute"), _CHORALE_TRAINING),
    "jsb_relative": Recipe(_CHORALE, _CHORALE_TRAINING),
    "jsb_relative_axes": Recipe(replace(_CHORALE, axes=("pitch", "time")), _CHORALE_TRAINING),
    "jsb_voices": Recipe(
        replace(_CHORALE, positions="rotary", outright=True, dropout=0.5, input_dropout=0.05),
        Training(steps=3000, warm_up_steps=50, decay_share=0.75, validate_every=250, save_every=250),
    ),
    # the piano Music Transformer: 8 heads, dropout 0.1, batches of 8, Adam; width and layers are not reported
    "paper": Recipe(
        MusicTransformerConfig(context=2048), Training(steps=20_000, warm_up_steps=1000, validate_every=500)
    ),
    # ours: what an evening on one core of a laptop allows, and what a GPU does
    "pianist": Recipe(_PIANIST, Training(steps=6000, decay_share=0.5, validate_every=500)),
    "maestro": Recipe(
        _LARGE, Training(steps=20_000, accumulate=2, warm_up_steps=500, validate_every=500, validation_batches=32)
    ),
}  # fmt: skip


@dataclass
class Reading:
    """What has been read: what each layer keeps; how many tokens, (B,), and the time they took, (B,) ms, of
    performances; and what the inputs keep, where they say more than the token."""

    layers: list[Cache | RelativeState]
    lengths: Tensor
    elapsed: Tensor
    said: Tensor | Keys | None


class MusicTransformer(System):
    config: MusicTransformerConfig
    layers: nn.ModuleList
    wavelengths: Tensor
    holds: ClassVar[frozenset[str]] = frozenset({"seconds"})
    sampling: ClassVar[Sampling] = Sampling(temperature=0.95, top_p=1.0)

    def __init__(self, config: MusicTransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.notation = NOTATIONS[config.notation]
        size, width = self.notation.size, config.width
        self.inward: nn.Embedding | VoiceInputs | KeyInputs
        if not config.outright:
            self.inward = nn.Embedding(size + 1, width)
            nn.init.normal_(self.inward.weight, std=width**-0.5)
        elif config.notation == "chorale-16":
            self.inward = VoiceInputs(width, config.input_dropout)
        else:
            self.inward = KeyInputs(width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.classes = nn.Linear(width, size)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.zeros_(self.classes.weight)
        nn.init.zeros_(self.classes.bias)
        pairs = width // config.heads // 2
        self.register_buffer("wavelengths", _wavelengths(pairs), persistent=False)

    def forward(self, tokens: Tensor, state: Reading | None = None) -> tuple[Tensor, Reading]:
        """(B, T) int64, 0..V -> logits (B, T, V) of the token after each, and the state to go on from; the one given is
        used up."""
        reading = self.begin(len(tokens)) if state is None else state
        places = reading.lengths[:, None] + torch.arange(tokens.shape[1], device=tokens.device)
        elapsed, positions = self._positions(tokens, places, reading.elapsed)
        seen: Any = None
        if isinstance(self.inward, nn.Embedding):
            x, said = self._embedded(tokens, places), None
        else:
            x, seen, said = self.inward(tokens, places, reading.said)
        x = self.dropout(x)
        where = Where(places, positions, rotation(positions, self.wavelengths))
        kept = []
        for layer, before in zip(self.layers, reading.layers, strict=True):
            x, after = layer(x, where, None if state is None else before)
            kept.append(after)
        x = self.dropout(self.norm(x))
        logits = self.classes(x)
        if not isinstance(self.inward, nn.Embedding):
            logits = logits + self.inward.logits(x, seen).to(logits.dtype)
        return logits, Reading(kept, reading.lengths + tokens.shape[1], elapsed, said)

    def begin(self, count: int) -> Reading:
        """The state of so many sequences of which nothing is read."""
        config, like = self.config, self.classes.weight
        none = torch.zeros(count, dtype=torch.int64, device=like.device)
        layers: list[Cache | RelativeState] = []
        for _ in range(config.layers):
            cache = Cache.empty(count, config.heads, 0, config.width // config.heads, like)
            places = tuple(none.new_zeros(count, 0) for _ in config.axes)
            layers.append(RelativeState(cache, none, places) if config.positions == "relative" else cache)
        return Reading(layers, none, none, None if isinstance(self.inward, nn.Embedding) else self.inward.begin(count))

    def _embedded(self, tokens: Tensor, places: Tensor) -> Tensor:
        x = self.inward(tokens) * self.config.width**0.5
        return x + _sinusoids(places, self.config.width) if self.config.positions == "absolute" else x

    def _positions(self, tokens: Tensor, places: Tensor, elapsed: Tensor) -> tuple[Tensor, Tensor]:
        """Milliseconds behind the last token (B,), and time and pitch of each token, (B, T, 2): sixteenths (eighths of
        a second in performances), and semitones, those of no pitch as middle C."""
        if self.config.notation == "chorale-16":
            time, pitch = places // VOICES, torch.where(tokens < REST, tokens, _MIDDLE_C)
        else:
            passed = elapsed_ms(tokens, elapsed)
            elapsed, time = passed[:, -1], passed // _MS_PER_TIME
            pitch = torch.where(tokens < SHIFT, tokens % 128, _MIDDLE_C)
        return elapsed, torch.stack([time, pitch], dim=-1)

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        config = self.config
        if config.optimizer == "adam":
            return {"adam": Adam(self.parameters(), lr=config.rate, betas=(0.9, 0.98), eps=1e-9)}
        matrices = [pair for layer in self.layers for pair in cast(Layer, layer).matrices()]
        owned = {id(parameter) for parameter, _ in matrices}
        others = [parameter for parameter in self.parameters() if id(parameter) not in owned]
        muon = MuonAdamW(matrices, others, matrix_rate=config.matrix_rate, rate=config.rate,
                         weight_decay=config.weight_decay)  # fmt: skip
        return {"muon": muon}

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        table = token_table(corpus, split, self.notation)
        return {"tokens": torch.from_numpy(drawn_windows(table, rng, self.config, moved=split == "train"))}

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        nats, count = batch_nats(self, batch)
        yield self.config.optimizer, nats / count

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        nats, count = batch_nats(self, batch)
        return {"nats_per_token": (float(nats), float(count))}

    # ---- likelihood and music

    @property
    def likelihood_terms(self) -> str:
        token = {
            "performance": "one of 388 performance events",
            "chorale-16": "the pitch or rest of one of four voices in a sixteenth",
        }[self.config.notation]
        return (
            f"A token is {token}; each is predicted with the last {self.config.context // 2} to {self.config.context}"
            " before it in sight, or all there are; nothing is given."
        )

    @torch.inference_mode()
    def piece_nats(self, score: Score, sentence: np.ndarray | None = None) -> PieceNats:
        return piece_token_nats(self, self.notation, score, self.config.context)

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        return autoregress(self, self.notation, request, rng, context=self.config.context)


@dataclass(frozen=True)
class Where:
    """Where the new tokens stand: places in the sequence (B, T), times and pitches (B, T, 2), and the turn by them."""

    places: Tensor
    positions: Tensor
    turn: tuple[Tensor, Tensor]


class Layer(nn.Module):
    """Attention and a feed-forward network, each behind a norm and added to its input."""

    def __init__(self, config: MusicTransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.attention_norm, self.network_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention: RelativeAttention | PlainAttention
        if config.positions == "relative":
            self.attention = RelativeAttention(
                width, config.heads, config.max_distance, pattern=config.pattern, block=config.block,
                axes={axis: _REACHES[axis] for axis in config.axes},
            )  # fmt: skip
        else:
            self.attention = PlainAttention(width, config.heads, turned=config.positions == "rotary")
        self.axes = config.axes
        self.widen, self.narrow = nn.Linear(width, config.feed_forward), nn.Linear(config.feed_forward, width)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x: Tensor, where: Where, before: Any) -> tuple[Tensor, Any]:
        """(B, T, D) and what the layer kept of the tokens before -> (B, T, D), and what it keeps now."""
        x_norm = self.attention_norm(x)
        if isinstance(self.attention, RelativeAttention):
            axes = {axis: where.positions[..., AXES.index(axis)] for axis in self.axes}
            found, kept = self.attention(x_norm, before, axes)
        else:
            found, kept = self.attention(x_norm, where, before)
        x = x + self.dropout(found)
        return x + self.dropout(self.narrow(F.gelu(self.widen(self.network_norm(x))))), kept

    def matrices(self) -> list[tuple[nn.Parameter, int]]:
        """The weights for Muon, each with how many square-ish blocks it holds."""
        attention = self.attention
        blocks = ((attention.inward, 3), (attention.outward, 1), (self.widen, 1), (self.narrow, 1))
        return [(cast(nn.Parameter, linear.weight), count) for linear, count in blocks]


class PlainAttention(nn.Module):
    """Causal attention; where `turned`, queries and keys turn with their positions, and their lengths are learned."""

    def __init__(self, width: int, heads: int, turned: bool) -> None:
        super().__init__()
        self.heads = heads
        self.inward, self.outward = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.lengths = nn.Parameter(torch.ones(2, heads, 1)) if turned else None
        nn.init.zeros_(self.outward.weight)

    def forward(self, x: Tensor, where: Where, before: Cache | None) -> tuple[Tensor, Cache]:
        query, key, value = self.inward(x).unflatten(-1, (3, self.heads, -1)).unbind(2)  # (B, T, H, D / H)
        if self.lengths is not None:
            cosines, sines = (part.to(value.dtype) for part in where.turn)
            query, key = (
                rotate((F.rms_norm(part, part.shape[-1:]) * length).to(value.dtype), cosines, sines)
                for part, length in zip((query, key), self.lengths, strict=True)
            )
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        if before is None:
            mixed, kept = _causal(query, key, value), Cache(key.detach(), value.detach())
        else:
            kept = Cache(_extended(before.keys, key, where.places), _extended(before.values, value, where.places))
            size = int(where.places.max()) + 1
            seen = torch.arange(size, device=x.device) <= where.places[..., None]  # (B, T, S)
            mixed = F.scaled_dot_product_attention(
                query.to(kept.keys.dtype), kept.keys[:, :, :size], kept.values[:, :, :size], attn_mask=seen[:, None]
            )
        return self.outward(mixed.transpose(1, 2).flatten(2).to(value.dtype)), kept


def _causal(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    steps = query.shape[2]
    if query.is_cuda or query.dtype != torch.bfloat16 or steps > _UNFUSED_STEPS:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)
    later = query.new_full((steps, steps), -1e4).triu(1)
    weights = ((query * query.shape[-1] ** -0.5) @ key.mT + later).softmax(-1, dtype=query.dtype)
    return weights @ value


def _extended(kept: Tensor, new: Tensor, places: Tensor) -> Tensor:
    """(B, H, S, D / H) with the new ones (B, H, T, D / H) at their places; room is made twice over where it lacks."""
    size = int(places.max()) + 1
    if size > kept.shape[2]:
        kept = F.pad(kept, (0, 0, 0, max(size, 2 * kept.shape[2]) - kept.shape[2]))
    rows = torch.arange(len(new), device=new.device)[:, None]
    kept[rows, :, places] = new.transpose(1, 2).to(kept.dtype)
    return kept


def _sinusoids(places: Tensor, width: int) -> Tensor:
    """(B, T) -> (B, T, D), as Vaswani et al. 2017."""
    rates = 10_000 ** (-torch.arange(0, width, 2, device=places.device) / width)
    angles = places.unsqueeze(-1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _wavelengths(pairs: int) -> Tensor:
    """(2, R): five eighths of the pairs turn with time, the others with pitch."""
    found = torch.full((2, pairs), torch.inf)
    on_time = -(-5 * pairs // 8)
    for axis, (first, end, lengths) in enumerate(
        ((0, on_time, _TIME_WAVELENGTHS), (on_time, pairs, _PITCH_WAVELENGTHS))
    ):
        found[axis, first:end] = torch.tensor(lengths, dtype=torch.float32).repeat(-(-pairs // len(lengths)))[
            : end - first
        ]
    return found


# ---- windows of a table


def drawn_windows(table: Tokens, rng: np.random.Generator, config: MusicTransformerConfig, moved: bool) -> np.ndarray:
    """(windows, context + 1) int64 as `token_batch` makes them, transposed and stretched where `moved`.

    Windows of chorales begin with a bar, a third of them with the piece; before one from the middle stands the token
    before it, and token V only before the piece.
    """
    notation = NOTATIONS[config.notation]
    if config.notation == "chorale-16":
        tokens = _chorale_windows(table, rng, config)
        return _transposed_chorales(tokens, rng, config.transpose) if moved and config.transpose else tokens
    windows = table.windows(rng, config.windows, config.context - 1)
    if moved:
        windows = _transposed_performances(windows, rng, config.transpose)
        windows = _stretched(windows, rng, config.stretch)
    return np.pad(windows, ((0, 0), (1, 0)), constant_values=notation.size)


def _chorale_windows(table: Tokens, rng: np.random.Generator, config: MusicTransformerConfig) -> np.ndarray:
    sizes, bar = np.diff(table.starts), BAR * VOICES
    drawn = np.full((config.windows, config.context + 1), PADDING)
    for row, index in zip(drawn, rng.choice(len(sizes), config.windows, p=sizes / sizes.sum()), strict=True):
        piece = table.piece(int(index))
        bars = -(-max(len(piece) - config.context, 0) // bar)  # beyond the first at which a window may begin
        first = 0 if rng.random() < 1 / 3 else bar * int(rng.integers(bars + 1))
        row[0] = REST + 1 if first == 0 else piece[first - 1]
        window = piece[first : first + config.context]
        row[1 : 1 + len(window)] = window
    return drawn


def _transposed_chorales(tokens: np.ndarray, rng: np.random.Generator, spread: float) -> np.ndarray:
    """Each row moved by about `spread` semitones, as far as all its voices stay in their ranges."""
    moved = tokens.copy()
    for row in moved:
        lowest, highest = -127, 127
        for voice, (low, high) in enumerate(RANGES):
            own = row[1 + voice :: VOICES]
            own = own[(own >= 0) & (own < REST)]
            if len(own):
                lowest, highest = max(lowest, low - own.min()), min(highest, high - own.max())
        pitched = (row >= 0) & (row < REST)
        row[pitched] += _shift(rng, min(lowest, 0), max(highest, 0), spread)
    return moved


def _transposed_performances(tokens: np.ndarray, rng: np.random.Generator, spread: float) -> np.ndarray:
    if not spread:
        return tokens
    moved = tokens.copy()
    for row in moved:
        keys = (row >= 0) & (row < SHIFT)
        if keys.any():
            pitches = row[keys] % NOTE_OFF
            lowest, highest = min(_PIANO[0] - pitches.min(), 0), max(_PIANO[1] - pitches.max(), 0)
            row[keys] += _shift(rng, lowest, highest, spread)
    return moved


def _shift(rng: np.random.Generator, lowest: int, highest: int, spread: float) -> int:
    """Semitones from `lowest` to `highest`, normally distributed around 0."""
    semitones = np.arange(lowest, highest + 1)
    odds = np.exp(-0.5 * (semitones / spread) ** 2)
    return int(rng.choice(semitones, p=odds / odds.sum()))


def _stretched(tokens: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """Each row slower or faster by up to `share`. Shifts are rounded up or down by chance, so that nothing drifts; full
    ones stay, as only they may stand before another."""
    factors = 1 + rng.uniform(-share, share, (len(tokens), 1))
    steps = np.floor((tokens - SHIFT + 1) * factors + rng.random(tokens.shape)).astype(np.int64).clip(1, MAX_SHIFT)
    partial = (tokens >= SHIFT) & (tokens < SHIFT + MAX_SHIFT - 1)
    return np.where(partial, steps + SHIFT - 1, tokens)
