"""FrameRNN: piano rolls frame by frame, the keys of one independent or chained (RNN-NADE; Boulanger-Lewandowski 2012).

Faithful: a recurrent network reads the frames of 88 keys so far and gives the odds of the next one, either of each key
by itself or jointly. Different: the joint head names the keys that sound from low to high and then ends, which is as
exact a likelihood as NADE's over all 88 keys in five decisions instead of 88; LSTM layers are residual; behind them
each frame looks back for what followed when the music was as it is now, as music repeats itself. Pieces transposed in
training are told how far, so that sets in one key stay in it. Uses count, seconds or bars with meter and tempo, primer,
temperature, progress, and with the joint head top_p; plays the piano.

Legend: B pieces, T new frames, S frames remembered, H heads, D width, N frames or decisions in a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np
import torch
import torch.nn.functional as F
from symusic import Score
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from orchestrion.data.store import Corpus
from orchestrion.models.base import Batch, PieceNats, Recipe, RecipeError, Request, System, Training
from orchestrion.models.sampling import draw
from orchestrion.models.token_model import primer_roll
from orchestrion.music.pedal import apply_sustain
from orchestrion.representations.frames import KEYS, Frames, runs, transposed, with_beginning
from orchestrion.representations.notation import NotationError
from orchestrion.representations.timed import score_of, timed

END = KEYS  # the decision that no higher key sounds
HEADS = ("independent", "joint")
NEVER = -1e9  # a logit of what cannot be, finite so that no gradient becomes nan
COLDEST = 1e-6  # the temperature that 0 is for independent keys


@dataclass(frozen=True)
class FrameRNNConfig:
    """head: "independent" keys, or "joint". width D of `layers` LSTMs; `memory` frames in sight of `attention_heads`,
    0 for none; `inner_width` of the joint head.
    transpose: a `transposed_share` of what is learned from is moved by up to so many semitones down, or one more up.
    window frames of a piece, `windows` a batch. Raises RecipeError for numbers that make no network.
    """

    head: str = "joint"
    width: int = 256
    layers: int = 2
    attention_heads: int = 4
    memory: int = 256
    inner_width: int = 256
    dropout: float = 0.3
    transpose: int = 5
    transposed_share: float = 0.5
    steps_per_second: float = 8.0
    window: int = 256
    windows: int = 16
    rate: float = 2e-3
    weight_decay: float = 0.05

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise RecipeError(f"there is no head {self.head!r}; choose {' or '.join(HEADS)}")
        if self.attention_heads < 0 or self.width < 1 or self.width % max(self.attention_heads, 1):
            raise RecipeError(f"width {self.width} must be a multiple of the heads, {self.attention_heads}")
        if min(self.layers, self.memory, self.inner_width, self.window, self.windows) < 1:
            raise RecipeError("layers, memory, inner_width, window and windows must be at least 1")
        if self.memory > self.window:
            raise RecipeError(
                f"memory {self.memory} must be at most the window, {self.window}: no more is learned from"
            )
        if not (0 <= self.transpose <= 5 and 0 <= self.transposed_share <= 1 and 0 <= self.dropout < 1):
            raise RecipeError("transpose must be 0 to 5 semitones, transposed_share 0 to 1 and dropout 0 to below 1")


RECIPES = {
    "tiny": Recipe(
        FrameRNNConfig(head="independent", width=64, layers=1, attention_heads=2, memory=32, dropout=0.0, transpose=0,
                       window=64, windows=4, rate=0.01, weight_decay=0.0),
        Training(steps=20, warm_up_steps=2, validate_every=10, validation_batches=1, save_every=5),
    ),
    "small": Recipe(FrameRNNConfig(), Training(steps=4000, validate_every=200, save_every=200)),
    "independent": Recipe(FrameRNNConfig(head="independent"), Training(steps=4000, validate_every=200, save_every=200)),
    "large": Recipe(
        FrameRNNConfig(width=512, layers=3, attention_heads=8, inner_width=512, dropout=0.5, windows=32, rate=1e-3),
        Training(steps=10000, warm_up_steps=500, validate_every=500, save_every=500),
    ),
}  # fmt: skip


@dataclass
class Reading:
    """What the network knows of the frames read so far.

    carries: of each LSTM its output and cell, (1, B, D) each. before: (B, 1, D), the state before the memory of the
    last frame. keys, values (B, H, S, D / H) of what is remembered, and seen (B, S) bool, False where a shorter piece
    has nothing.
    """

    carries: list[tuple[Tensor, Tensor]]
    before: Tensor
    keys: Tensor
    values: Tensor
    seen: Tensor


class FrameRNN(System):
    config: FrameRNNConfig
    holds = frozenset({"seconds"})

    def __init__(self, config: FrameRNNConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.inward = nn.Linear(KEYS + 1, width)
        self.shifts = nn.Embedding(12, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(config.layers))
        self.layers = nn.ModuleList(nn.LSTM(width, width, batch_first=True) for _ in range(config.layers))
        self.memory = Memory(width, config.attention_heads, config.memory) if config.attention_heads else None
        self.norm = nn.LayerNorm(width)
        self.head = JointHead(width, config.inner_width) if config.head == "joint" else IndependentHead(width)
        self.dropout = SteadyDropout(config.dropout)
        nn.init.zeros_(self.shifts.weight)

    def forward(self, inputs: Tensor, shift: Tensor, reading: Reading | None = None) -> tuple[Tensor, Reading]:
        """Frames (B, T, 89) bool, each the one before that which is predicted; semitones (B,) that the music has been
        moved by -> states (B, T, D) for the heads, and the reading to go on from."""
        if reading is None:
            reading = self.nothing_read(len(inputs))
        known = inputs.to(self.inward.weight.dtype)
        x = self.inward(known) + self.shifts(shift % 12).unsqueeze(1)
        carries = []
        for norm, layer, carry in zip(self.norms, self.layers, reading.carries, strict=True):
            y, carry = layer(self.dropout(norm(x)), carry)
            x = x + self.dropout(y)
            carries.append(carry)
        after = Reading(carries, reading.before, reading.keys, reading.values, reading.seen)
        if self.memory is not None:
            found, after = self.memory(x, after)
            x = x + self.dropout(found)
        return self.dropout(self.norm(x)), after

    def nothing_read(self, count: int) -> Reading:
        """The reading of so many pieces before their first frame."""
        config, like = self.config, self.inward.weight
        zeros = like.new_zeros(1, count, config.width)
        heads = max(config.attention_heads, 1)
        empty = like.new_zeros(count, heads, 0, config.width // heads)
        seen = torch.zeros(count, 0, dtype=torch.bool, device=like.device)
        return Reading([(zeros, zeros)] * config.layers, like.new_zeros(count, 1, config.width), empty, empty, seen)

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        config = self.config
        decayed = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
        return {"adam": AdamW(groups, lr=config.rate, betas=(0.9, 0.98))}

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        config = self.config
        rolls = _rolls(corpus, split, config.steps_per_second)
        frames = np.zeros((config.windows, config.window + 1, KEYS + 1), bool)
        lengths, shifts = np.zeros(config.windows, np.int64), np.zeros(config.windows, np.int64)
        for index in range(config.windows):
            if split == "train" and config.transpose and rng.random() < config.transposed_share:
                shifts[index] = rng.integers(-config.transpose, config.transpose + 2)
            piece = rolls.draw(rng, config.window)
            piece[:, :KEYS] = transposed(piece[:, :KEYS], int(shifts[index]))
            lengths[index] = len(piece) - 1
            frames[index, : len(piece)] = piece
        frames = frames[:, : int(lengths.max()) + 1]
        return {
            "inputs": torch.from_numpy(frames[:, :-1]),
            "targets": torch.from_numpy(frames[:, 1:, :KEYS]),
            "lengths": torch.from_numpy(lengths),
            "shift": torch.from_numpy(shifts),
        }

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        yield "adam", self.head(*self._states(batch)).mean()

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        nats = self.head(*self._states(batch))
        return {"nats_per_step": (float(nats.sum()), float(len(nats)))}

    def _states(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Of all frames that are not padding: the states they are predicted from (N, D), and their keys (N, 88)."""
        states, _ = self(batch["inputs"], batch["shift"])
        known = torch.arange(states.shape[1], device=states.device) < batch["lengths"][:, None]
        return states[known], batch["targets"][known]

    # ---- likelihood

    @property
    def likelihood_terms(self) -> str:
        token = "a key of a frame, on or off" if self.config.head == "independent" else "a key that sounds or the end"
        return (
            f"A token is {token}; frames of 88 keys, {self.config.steps_per_second:g} a second, without drums, from the"
            " first to the end of the last note, each predicted after all those before it; nothing is given."
        )

    @torch.inference_mode()
    def roll_nats(self, roll: np.ndarray) -> np.ndarray:
        """Roll (T, 88) bool -> nats of each frame (T,), the first predicted from nothing."""
        size, keys = self.config.window, torch.from_numpy(roll).to(self.inward.weight.device)
        nats = [self.head(*part) for part in zip(self.roll_states(roll).split(size), keys.split(size), strict=True)]
        return torch.cat(nats).double().cpu().numpy()

    @torch.inference_mode()
    def roll_states(self, roll: np.ndarray) -> Tensor:
        """Roll (T, 88) bool -> the states (T, D) that its frames are predicted from."""
        frames = torch.from_numpy(with_beginning(roll))[:-1].to(self.inward.weight.device)
        shift, reading, found = torch.zeros(1, dtype=torch.int64, device=frames.device), None, []
        for part in frames.split(self.config.window):
            states, reading = self(part.unsqueeze(0), shift, reading)
            found.append(states[0])
        return torch.cat(found)

    def piece_nats(self, score: Score, sentence: np.ndarray | None = None) -> PieceNats:
        roll = Frames(self.config.steps_per_second).encode(timed(apply_sustain(score)))
        tokens = roll.size if self.config.head == "independent" else int(roll.sum()) + len(roll)
        return PieceNats({"frames": float(self.roll_nats(roll).sum())}, tokens, len(runs(roll)[0]))

    # ---- making music

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        notation, seconds = Frames(self.config.steps_per_second), request.length_seconds
        primer = primer_roll(request, notation)
        size, begun = max(round(seconds * notation.steps_per_second), 1), len(primer)
        rolls = np.zeros((request.count, size, KEYS), bool)
        rolls[:, :begun] = primer
        rngs, device = rng.spawn(request.count), self.inward.weight.device
        inputs = torch.from_numpy(with_beginning(primer)).to(device).expand(request.count, -1, -1)
        shift, reading = torch.zeros(request.count, dtype=torch.int64, device=device), None
        total, told = (request.bars if request.seconds is None else ceil(seconds)), -1
        for frame in range(begun, size):
            states, reading = self(inputs, shift, reading)
            rolls[:, frame] = self.head.write(states[:, -1], frame == size - 1, request, rngs)
            inputs = torch.from_numpy(np.pad(rolls[:, frame], ((0, 0), (0, 1)))).to(device).unsqueeze(1)
            done = total * (frame + 1) // size
            if request.progress and done > told:
                request.progress(done, total)
                told = done
        return [_score(roll, notation, seconds) for roll in rolls]


class SteadyDropout(nn.Module):
    """Drops the same part of the width in all frames of a piece (Gal and Ghahramani 2016), (B, T, D) -> (B, T, D)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.share:
            return x
        return x * F.dropout(torch.ones_like(x[:, :1]), self.share)


class Memory(nn.Module):
    """Attention from each frame to those before: it is sought by what came before them, and they are what is found.

    So a frame that follows music like that at hand is found at once (the induction heads of Olsson et al. 2022, laid
    out by hand). A learned bias for each distance lets repetition after a period count more.
    """

    def __init__(self, width: int, heads: int, frames: int) -> None:
        super().__init__()
        self.heads, self.frames = heads, frames
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.outward = nn.Linear(width, width, bias=False)
        self.distance = nn.Parameter(torch.zeros(heads, frames))
        nn.init.zeros_(self.outward.weight)

    def forward(self, x: Tensor, reading: Reading) -> tuple[Tensor, Reading]:
        """(B, T, D) -> (B, T, D), and the reading with these frames remembered."""
        x = self.norm(x)
        before = torch.cat([reading.before.to(x.dtype), x[:, :-1]], dim=1)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(x), self.key(before), self.value(x))
        )
        keys = torch.cat([reading.keys.to(key.dtype), key], dim=2)
        values = torch.cat([reading.values.to(value.dtype), value], dim=2)
        seen = torch.cat([reading.seen, reading.seen.new_ones(x.shape[:2])], dim=1)
        new, size = x.shape[1], keys.shape[2]
        places = torch.arange(size, device=x.device)
        distance = places[size - new :, None] - places  # (T, S + T)
        near = (distance >= 0) & (distance < self.frames)
        bias = self.distance[:, distance.clamp(0, self.frames - 1)].masked_fill(~near, NEVER)  # (H, T, S + T)
        scores = query @ keys.mT * query.shape[-1] ** -0.5 + bias
        scores = scores.float().masked_fill(~seen[:, None, None], NEVER)
        mixed = (scores.softmax(-1).to(values.dtype) @ values).transpose(1, 2).flatten(2)
        kept = slice(max(size - self.frames + 1, 0), None)
        after = Reading(reading.carries, x[:, -1:], keys[:, :, kept], values[:, :, kept], seen[:, kept])
        return self.outward(mixed), after


class IndependentHead(nn.Module):
    """The odds of each key by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.keys = nn.Linear(width, KEYS)

    def forward(self, states: Tensor, targets: Tensor) -> Tensor:
        """(N, D), (N, 88) bool -> nats (N,)."""
        logits = self.keys(states).float()
        return F.binary_cross_entropy_with_logits(logits, targets.float(), reduction="none").sum(-1)

    def write(
        self, states: Tensor, must_sound: bool, request: Request, rngs: Sequence[np.random.Generator]
    ) -> np.ndarray:
        """Draw a frame for each state (B, D): (B, 88) bool. One that `must_sound` is drawn from those not empty."""
        logits = self.keys(states).double() / max(request.temperature, COLDEST)
        uniforms = np.stack([rng.random(KEYS + 1) for rng in rngs])
        frames = uniforms[:, :KEYS] < logits.sigmoid().cpu().numpy()
        if must_sound:  # first the lowest key that sounds: all below it are silent, those above are as drawn
            silent = F.pad(F.logsigmoid(-logits).cumsum(1)[:, :-1], (1, 0))
            odds, keys = (F.logsigmoid(logits) + silent).cpu().numpy(), np.arange(KEYS)
            lowest = draw(odds, np.ones_like(odds, bool), uniforms[:, KEYS])
            frames = (keys == lowest[:, None]) | (frames & (keys > lowest[:, None]))
        return frames


class JointHead(nn.Module):
    """The keys that sound from the lowest up, then the end: each drawn knowing those below it."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.state = nn.Linear(width, inner)
        self.below = nn.Linear(KEYS, inner, bias=False)  # all that sound below
        self.last = nn.Embedding(KEYS + 1, inner)  # the highest of them; KEYS for none
        self.inner = nn.Linear(inner, inner)
        self.keys = nn.Linear(inner, KEYS + 1)
        nn.init.normal_(self.last.weight, std=0.1)

    def forward(self, states: Tensor, targets: Tensor) -> Tensor:
        """(N, D), (N, 88) bool -> nats (N,)."""
        decided = F.pad(targets, (0, 1), value=True)  # the end is decided in every frame
        frame, choice = decided.nonzero(as_tuple=True)  # by frame, then from low to high
        below = targets[frame] & (torch.arange(KEYS, device=choice.device) < choice[:, None])
        last = torch.where(frame == frame.roll(1), choice.roll(1), KEYS)
        last[:1] = KEYS
        logits = self._logits(self.state(states)[frame], below, last)
        nats = F.cross_entropy(logits, choice, reduction="none")
        return torch.zeros(len(states), device=nats.device).index_add(0, frame, nats)

    def _logits(self, states: Tensor, below: Tensor, last: Tensor) -> Tensor:
        """(N, inner), keys that sound (N, 88) and the highest of them (N,), KEYS for none -> (N, 89), float32."""
        hidden = states + self.below(below.to(states.dtype)) + self.last(last)
        hidden = F.relu(hidden)
        hidden = hidden + F.relu(self.inner(hidden))
        highest = torch.where(last == KEYS, -1, last)
        passed = torch.arange(KEYS + 1, device=last.device) <= highest[:, None]
        return self.keys(hidden).float().masked_fill(passed, NEVER)

    def write(
        self, states: Tensor, must_sound: bool, request: Request, rngs: Sequence[np.random.Generator]
    ) -> np.ndarray:
        """As IndependentHead.write."""
        count, states = len(states), self.state(states)
        frames, last, unfinished = np.zeros((count, KEYS), bool), np.full(count, KEYS), np.ones(count, bool)
        while unfinished.any():
            below, highest = (torch.from_numpy(known).to(states.device) for known in (frames, last))
            logits = self._logits(states, below, highest).cpu().numpy()
            legal = logits > NEVER / 2
            legal[:, END] = (last != KEYS) | (not must_sound)
            uniforms = np.array([rng.random() if own else 0.0 for rng, own in zip(rngs, unfinished, strict=True)])
            choice = draw(logits, legal, uniforms, temperature=request.temperature, top_p=request.top_p)
            unfinished &= choice != END
            frames[unfinished, choice[unfinished]] = True
            last[unfinished] = choice[unfinished]
        return frames


class _Rolls:
    """The pieces of a split as rolls, made when they are first drawn and kept as bits. Those without a key are none."""

    def __init__(self, corpus: Corpus, split: str, steps_per_second: float) -> None:
        self._pieces, self._notation = corpus.pieces(split), Frames(steps_per_second)
        self._shares = np.array([piece.seconds for piece in self._pieces], float)
        self._packed: dict[int, np.ndarray] = {}

    def draw(self, rng: np.random.Generator, window: int) -> np.ndarray:
        """At most window + 1 frames (T, 89) bool of a piece drawn by its length, the first of them given: a cut from
        anywhere, or the mark of the beginning and what follows it."""
        while True:
            if not self._shares.any():
                raise NotationError("no piece has a pitched note between A0 and C8; a piano roll needs music that does")
            index = int(rng.choice(len(self._shares), p=self._shares / self._shares.sum()))
            try:
                frames = with_beginning(self._roll(index))
            except NotationError:
                self._shares[index] = 0
                continue
            first = int(rng.integers(-window // 2, max(len(frames) - window // 2, 1)))
            first = int(np.clip(first, 0, max(len(frames) - window - 1, 0)))
            return frames[first : first + window + 1]

    def _roll(self, index: int) -> np.ndarray:
        if index not in self._packed:
            self._packed[index] = np.packbits(self._notation.encode(self._pieces[index].timed()), axis=1)
        return np.unpackbits(self._packed[index], axis=1, count=KEYS).astype(bool)


@lru_cache(maxsize=4)
def _rolls(corpus: Corpus, split: str, steps_per_second: float) -> _Rolls:
    return _Rolls(corpus, split, steps_per_second)


def _score(roll: np.ndarray, notation: Frames, seconds: float) -> Score:
    """The last frame lasts until the end that was asked for, so it is up to half as long again, or as short."""
    notes, end = notation.decode(roll), round(seconds * 1000)
    last = round(len(roll) / notation.steps_per_second * 1000)
    ends = notes["onset"].astype(np.int64) + notes["length"]
    notes["length"] = np.where(ends == last, end, ends) - notes["onset"]
    return score_of(notes)
