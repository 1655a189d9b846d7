"""LuoRollRNN: Luo's two LSTMs over piano rolls of 88 keys, each key on or off at every step (Luo 2021, section 5.4).

Faithful: the five variants of `luo_rnn` with dropout 0.2; input and output are the keys that sound, many at a time, and
a held key is one that goes on being on. Adam at 0.001 without a schedule, each element of the gradient clipped to 3.
Read so: the report names no step, so it is that of its melodies, 4 a quarter at 120; "multi-class" is many classes at
once, each key with a cross-entropy of its own; the embedding of 50 is one linear layer, the sum of the keys'. Each key
is drawn by its own odds; at temperature 0 those above one half sound.
Differs: every frame of a window of 128 is predicted from those before it, as in `luo_rnn`, and state goes on. Keys are
off at first and weights to them larger, or the network learns for long nothing but how often each sounds.
Uses of Request: count, primer, seconds or bars, temperature. The last frame is never silent, so that the length holds.

Legend: B pieces, T frames, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from symusic import Score
from torch import Tensor, nn
from torch.optim import Optimizer

from orchestrion.data.store import Corpus
from orchestrion.models.base import Batch, PieceNats, Recipe, RecipeError, Request, System, Training
from orchestrion.models.layers.recurrent import Memory, RecurrentStack, clipped_adam
from orchestrion.models.sampling import draw
from orchestrion.models.token_model import primer_roll
from orchestrion.music.pedal import apply_sustain
from orchestrion.representations.frames import BEGIN, KEYS, Frames, runs, with_beginning
from orchestrion.representations.notation import NotationError
from orchestrion.representations.timed import score_of, timed

NOTATION = Frames(8.0)
_RARELY = -3.0  # log odds at first of each key: one in twenty sounds
_HEARD = 0.3  # deviation of weights at first, against the small outputs of an LSTM


@dataclass(frozen=True)
class LuoRollRNNConfig:
    """embedding: width of what a frame becomes, 0 to read its keys as they are. between, end: dropout behind the first
    and the second LSTM. `context` frames are learned from at once and seen by the attention; `windows` a batch. clip:
    of each element of the gradient. Raises RecipeError for numbers that make no network."""

    attention: bool = False
    residual: bool = False
    embedding: int = 0
    width: int = 256
    between: float = 0.2
    end: float = 0.2
    context: int = 128
    windows: int = 64
    rate: float = 1e-3
    clip: float = 3.0

    def __post_init__(self) -> None:
        if self.residual and not self.attention:
            raise RecipeError("the residual is one around the attention; set attention too")
        if min(self.width, self.context, self.windows) < 1 or self.embedding < 0:
            raise RecipeError("width, context and windows must be at least 1, embedding at least 0")


_ATTENTION = LuoRollRNNConfig(attention=True)
_RESIDUAL = replace(_ATTENTION, residual=True)
_BOTH = replace(_RESIDUAL, embedding=50)
_EMBEDDING = LuoRollRNNConfig(embedding=50)


def _small(variant: LuoRollRNNConfig) -> Recipe:
    """About a minute on one core: half as wide and, for so few steps, hardly any dropout; all else as printed."""
    training = Training(steps=1000, warm_up_steps=0, decay_share=0.0, clip_norm=0.0, precision="float32",
                        validate_every=250, save_every=250)  # fmt: skip
    return Recipe(replace(variant, width=128, between=0.1, end=0.1, windows=16), training)


def _paper(variant: LuoRollRNNConfig) -> Recipe:
    """100 epochs of 175,000 samples, 64 at a time."""
    training = Training(steps=273_400, warm_up_steps=0, decay_share=0.0, clip_norm=0.0, precision="float32",
                        validate_every=1000, save_every=1000)  # fmt: skip
    return Recipe(variant, training)


RECIPES = {
    "tiny": Recipe(
        LuoRollRNNConfig(embedding=64, width=96, between=0.0, end=0.0, context=48, windows=12, rate=0.03),
        Training(steps=20, warm_up_steps=2, validate_every=10, validation_batches=1, save_every=5),
    ),
    "small": _small(_BOTH),
    "small-basic": _small(LuoRollRNNConfig()),
    "small-attention": _small(_ATTENTION),
    "small-attention-residual": _small(_RESIDUAL),
    "small-attention-residual-embedding": _small(_BOTH),
    "small-embedding": _small(_EMBEDDING),
    "paper": _paper(_BOTH),
    "paper-basic": _paper(LuoRollRNNConfig()),
    "paper-attention": _paper(_ATTENTION),
    "paper-attention-residual": _paper(_RESIDUAL),
    "paper-attention-residual-embedding": _paper(_BOTH),
    "paper-embedding": _paper(_EMBEDDING),
}  # fmt: skip


class LuoRollRNN(System):
    config: LuoRollRNNConfig
    holds: ClassVar[frozenset[str]] = frozenset({"seconds"})

    def __init__(self, config: LuoRollRNNConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Linear(KEYS + 1, config.embedding, bias=False) if config.embedding else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight)  # as nn.Embedding begins
        self.stack = RecurrentStack(
            config.embedding or KEYS + 1,
            config.width,
            reach=config.context if config.attention else 0,
            residual=config.residual,
            between=config.between,
            end=config.end,
        )
        self.keys = nn.Linear(config.width, KEYS)
        nn.init.normal_(self.keys.weight, std=_HEARD)
        nn.init.constant_(self.keys.bias, _RARELY)

    def forward(self, frames: Tensor, state: Memory | None = None) -> tuple[Tensor, Memory]:
        """(B, T, 89) bool -> logits of the keys (B, T, 88) of the frame after each, and the state to go on from."""
        x = frames.to(self.keys.weight.dtype)
        x, state = self.stack(x if self.embedding is None else self.embedding(x), state)
        return self.keys(x), state

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        return {"adam": clipped_adam(self.parameters(), self.config.rate, self.config.clip)}

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        """frames (B, T + 1, 89), the first the mark of the beginning; lengths (B,), how many of them are music."""
        rolls = _rolls(corpus, split)
        frames = np.zeros((self.config.windows, self.config.context + 1, KEYS + 1), bool)
        frames[:, 0, BEGIN] = True
        lengths = np.zeros(self.config.windows, np.int64)
        for index in range(self.config.windows):
            roll = rolls.draw(rng, self.config.context)
            frames[index, 1 : len(roll) + 1, :KEYS] = roll
            lengths[index] = len(roll)
        return {"frames": torch.from_numpy(frames), "lengths": torch.from_numpy(lengths)}

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        yield "adam", self._nats(batch) / (batch["lengths"].sum() * KEYS)  # the mean over frames and keys

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        return {"nats_per_frame": (float(self._nats(batch)), float(batch["lengths"].sum()))}

    def _nats(self, batch: Batch) -> Tensor:
        """Of all frames together."""
        logits, _ = self(batch["frames"][:, :-1])
        nats = _frame_nats(logits, batch["frames"][:, 1:, :KEYS])
        return nats[torch.arange(nats.shape[1], device=nats.device) < batch["lengths"][:, None]].sum()

    # ---- likelihood

    @property
    def likelihood_terms(self) -> str:
        return (
            f"A token is a key of a frame, on or off; 88 keys, {NOTATION.steps_per_second:g} frames a second, without"
            " drums, from the first to the end of the last note, each predicted after all those before it; nothing is"
            " given."
        )

    @torch.inference_mode()
    def piece_nats(self, score: Score, sentence: np.ndarray | None = None) -> PieceNats:
        roll = NOTATION.encode(timed(apply_sustain(score)))
        device = self.keys.weight.device
        frames, targets = (torch.from_numpy(part).to(device) for part in (with_beginning(roll), roll))
        state, nats = None, 0.0
        for before, after in zip(frames[:-1].split(4096), targets.split(4096), strict=True):
            logits, state = self(before.unsqueeze(0), state)
            nats += float(_frame_nats(logits[0], after).sum())
        return PieceNats({"keys": nats}, roll.size, len(runs(roll)[0]))

    # ---- making music

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        primer = primer_roll(request, NOTATION)
        size, begun = max(round(request.length_seconds * NOTATION.steps_per_second), 1), len(primer)
        rolls = np.zeros((request.count, size, KEYS), bool)
        rolls[:, :begun] = primer
        rngs, device, state = rng.spawn(request.count), self.keys.weight.device, None
        inputs = torch.from_numpy(with_beginning(primer)).to(device).expand(request.count, -1, -1)
        total, told = (request.bars if request.seconds is None else ceil(request.seconds)), -1
        for frame in range(begun, size):
            logits, state = self(inputs, state)
            rolls[:, frame] = _drawn(logits[:, -1].double().cpu().numpy(), frame == size - 1, request.temperature, rngs)
            inputs = torch.from_numpy(np.pad(rolls[:, frame], ((0, 0), (0, 1)))).to(device).unsqueeze(1)
            done = total * (frame + 1) // size
            if request.progress and done > told:
                request.progress(done, total)
                told = done
        return [score_of(NOTATION.decode(roll)) for roll in rolls]


def _frame_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Logits and keys (..., 88) -> nats of each frame (...)."""
    nats = F.binary_cross_entropy_with_logits(logits.float(), targets.float(), reduction="none")
    return nats.sum(-1)


def _drawn(logits: np.ndarray, sounds: bool, temperature: float, rngs: list[np.random.Generator]) -> np.ndarray:
    """(B, 88) bool from logits (B, 88), each key by its own odds; where the frame `sounds`, one key is drawn first."""
    uniforms = np.stack([rng.random(KEYS + 1) for rng in rngs])
    with np.errstate(over="ignore", divide="ignore"):
        keys = uniforms[:, :KEYS] < 1 / (1 + np.exp(-logits / temperature)) if temperature else logits > 0
    if sounds:
        legal = np.ones(logits.shape, bool)
        keys[np.arange(len(keys)), draw(logits, legal, uniforms[:, KEYS], temperature=temperature)] = True
    return keys


class _Rolls:
    """The pieces of a split as rolls one after another, kept as bits. Those without a key of the piano are left out."""

    def __init__(self, corpus: Corpus, split: str) -> None:
        rolls = []
        for piece in corpus.pieces(split):
            try:
                rolls.append(np.packbits(NOTATION.encode(piece.timed()), axis=1))
            except NotationError:
                continue
        if not rolls:
            raise NotationError(f"no piece of the {split} split has a note between A0 and C8; give it other music")
        self._bits = np.concatenate(rolls)
        self._ends = np.cumsum([len(roll) for roll in rolls])

    def draw(self, rng: np.random.Generator, length: int) -> np.ndarray:
        """(T, 88) bool: `length` frames from anywhere, or as many as there are to the end of the piece."""
        first = int(rng.integers(self._ends[-1]))
        end = self._ends[np.searchsorted(self._ends, first, side="right")]
        return np.unpackbits(self._bits[first : min(first + length, end)], axis=1, count=KEYS).astype(bool)


@lru_cache(maxsize=4)
def _rolls(corpus: Corpus, split: str) -> _Rolls:
    return _Rolls(corpus, split)
