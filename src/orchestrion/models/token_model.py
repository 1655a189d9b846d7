"""Writing and reading music token by token: what systems that predict the next token of a notation share.

Legend: B pieces, T tokens of each, N tokens of a piece, V tokens of the notation. Token V stands before what is in
sight, be that the beginning of a piece or not, so a model embeds V + 1 tokens and predicts V.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from symusic import Score
from torch import Tensor, nn

from orchestrion.core.errors import UserError
from orchestrion.data.store import Corpus
from orchestrion.data.tokens import PADDING, token_table
from orchestrion.models.base import PieceNats, Request, RequestError, Sampling
from orchestrion.models.sampling import draw
from orchestrion.music.pedal import apply_sustain
from orchestrion.representations.frames import KEYS, Frames
from orchestrion.representations.notation import Notation, Writer
from orchestrion.representations.sliding import Span, spans
from orchestrion.representations.timed import score_of, timed

TOKENS_AT_ONCE = 16384  # read in one call where whole pieces are measured


class TokenModel(Protocol):
    """Reading a sequence and stepping through it are one function."""

    def __call__(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """(B, T) int64, 0..V -> logits (B, T, V) of the token after each, and the state behind the last. With a state,
        go on from what that has read."""


class PrimerError(UserError):
    """Music to go on from that cannot be gone on from; the message says why in one line."""


# ---- learning


def token_batch(
    corpus: Corpus, split: str, rng: np.random.Generator, notation: Notation, count: int, length: int
) -> dict[str, Tensor]:
    """{"tokens": (count, length + 1) int64}: token V, then `length` tokens of a random place, -1 behind the end of a
    piece. The same rng gives the same batch. See `inputs_and_targets`."""
    windows = torch.from_numpy(token_table(corpus, split, notation).windows(rng, count, length - 1))
    return {"tokens": F.pad(windows, (1, 0), value=notation.size)}


def inputs_and_targets(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T + 1) of a `token_batch` -> what is read (B, T), and what follows each (B, T), -1 where nothing does.

    Padding is read as token 0: nothing that is predicted lies behind it.
    """
    return tokens[:, :-1].clamp(min=0), tokens[:, 1:]


def next_token_nats(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (..., V) and targets (...) -> the nats of all targets, in float32, and how many they are. Targets of -1
    are padding and add to neither."""
    nats = F.cross_entropy(logits.float().flatten(0, -2), targets.flatten(), ignore_index=PADDING, reduction="sum")
    return nats, (targets != PADDING).sum()


def batch_nats(model: TokenModel, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The nats of all tokens of a `token_batch`, and how many they are."""
    inputs, targets = inputs_and_targets(batch["tokens"])
    return next_token_nats(model(inputs)[0], targets)


# ---- likelihood


@torch.inference_mode()
def piece_token_nats(model: TokenModel, notation: Notation, score: Score, context: int | None) -> PieceNats:
    """What the whole piece costs, its sustain pedal written out as in a corpus; the first token is predicted too.

    context: how many tokens the model reads at once; each is then predicted after at least half as many, or all there
    are. None for a model whose state holds everything. Raises NotationError for music that the notation cannot hold.
    """
    tokens = torch.from_numpy(notation.encode(timed(apply_sustain(score))).astype(np.int64))
    read = F.pad(tokens, (1, 0), value=notation.size)[:-1]  # what stands before each
    device = _device(model)
    nats = 0.0
    if context is None:
        state = None
        for before, after in zip(read.split(TOKENS_AT_ONCE), tokens.split(TOKENS_AT_ONCE), strict=True):
            logits, state = model(before.to(device).unsqueeze(0), state)
            nats += float(next_token_nats(logits, after.to(device))[0])
    else:
        windows, at_once = spans(len(tokens), context), max(1, TOKENS_AT_ONCE // context)
        for index in range(0, len(windows), at_once):
            inputs, targets = _span_batch(windows[index : index + at_once], tokens, notation.size)
            nats += float(next_token_nats(model(inputs.to(device))[0], targets.to(device))[0])
    notes = len(notation.decode(tokens.numpy()))
    return PieceNats({"token": nats}, len(tokens), min(notes, score.note_num()))


def _span_batch(windows: Sequence[Span], tokens: Tensor, start: int) -> tuple[Tensor, Tensor]:
    """What is read (B, T), and the targets, -1 for those that an earlier span predicts and behind the end."""
    shape = len(windows), max(window.end - window.start for window in windows)
    inputs, targets = torch.zeros(shape, dtype=torch.int64), torch.full(shape, PADDING)
    for own_inputs, own_targets, window in zip(inputs, targets, windows, strict=True):
        size, seen = window.end - window.start, window.first - window.start
        own_inputs[0] = start
        own_inputs[1:size] = tokens[window.start : window.end - 1]
        own_targets[seen:size] = tokens[window.first : window.end]
    return inputs, targets


# ---- making music


@torch.inference_mode()
def autoregress(
    model: TokenModel, notation: Notation, request: Request, rng: np.random.Generator, *, context: int | None
) -> list[Score]:
    """`request.count` pieces of `request.length_seconds`, on the grid of the notation, written token by token under its
    masks. Each begins with the primer, if there is one, as the notation holds it, its sustain pedal written out.

    Used of the request: count, seconds or bars with meter and tempo, primer, temperature (0: the likeliest), top_p and
    progress. Each piece has a random stream of its own. context: how many tokens the model reads at once, at least 2;
    when they are full, the last half is read anew. None for a model whose state holds everything.
    Raises RequestError, PrimerError or NotationError, each with one line, for what cannot be written.
    """
    check_request(request)
    first = notation.writer(request.length_seconds)
    primer = _primer_tokens(notation, request, first)
    pieces = [_Piece(deepcopy(first), list(primer), own) for own in rng.spawn(request.count)]
    session = _Session(model, notation.size, context, pieces)
    total = request.bars if request.seconds is None else ceil(request.seconds)
    told = -1
    while session.step(request):
        done = min(total, int(total * min(piece.writer.seconds for piece in pieces) / request.length_seconds))
        if request.progress and done > told:
            request.progress(done, total)
            told = done
    if request.progress and told < total:
        request.progress(total, total)
    return [score_of(notation.decode(np.array(piece.tokens))) for piece in pieces]


@dataclass
class _Piece:
    writer: Writer
    tokens: list[int]
    rng: np.random.Generator


class _Session:
    """Pieces written in step. As a model's state may be anything, one that is done stays in the batch, unheard, until
    the context is read anew."""

    def __init__(self, model: TokenModel, start: int, context: int | None, pieces: Sequence[_Piece]) -> None:
        self._model, self._start, self._context = model, start, context
        self._device = _device(model)
        self._batch = list(pieces)
        self._state: Any = None
        self._seen = 0  # tokens behind the state

    def step(self, request: Request) -> bool:
        """Write one token of every piece that is not done; False once all are."""
        active = [place for place, piece in enumerate(self._batch) if not piece.writer.done]
        if not active:
            return False
        if self._state is None or self._seen == self._context:
            self._batch, active = [self._batch[place] for place in active], list(range(len(active)))
            read = self._read([[self._start, *self._in_sight(piece.tokens)] for piece in self._batch], None)
        else:
            read = self._read([piece.tokens[-1:] for piece in self._batch], self._state)
        logits = read[active].float().cpu().numpy()
        busy = [self._batch[place] for place in active]
        legal = np.stack([piece.writer.legal() for piece in busy])
        uniforms = np.array([piece.rng.random() for piece in busy])
        drawn = draw(logits, legal, uniforms, temperature=request.temperature, top_p=request.top_p)
        for piece, token in zip(busy, drawn.tolist(), strict=True):
            piece.writer.write(token)
            piece.tokens.append(token)
        return True

    def _in_sight(self, tokens: list[int]) -> list[int]:
        if self._context is None or len(tokens) < self._context:
            return tokens
        return tokens[-max(1, self._context // 2) :]

    def _read(self, tokens: list[list[int]], state: Any) -> Tensor:
        """(B, T) tokens -> logits (B, V) of what follows."""
        self._seen = len(tokens[0]) + (0 if state is None else self._seen)
        logits, self._state = self._model(torch.tensor(tokens, device=self._device), state)
        return logits[:, -1]


def _primer_tokens(notation: Notation, request: Request, writer: Writer) -> list[int]:
    """What the pieces begin with, written into `writer`."""
    if request.primer is None:
        return []
    notes = timed(apply_sustain(request.primer))
    if not len(notes):
        raise PrimerError("the music to go on from has no notes; give music that sounds, or none")
    tokens: list[int] = notation.encode(notes).tolist()
    lasts, asked = notation.writer(), request.length_seconds
    for token in tokens:
        lasts.write(token)
    if lasts.seconds >= asked:
        raise PrimerError(f"the music to go on from lasts {lasts.seconds:.1f} s, and the piece is to be {asked:.1f} s "
                          "long in all; ask for more, or give less to go on from")  # fmt: skip
    for token in tokens:
        writer.write(token)
    return tokens


def check_request(request: Request) -> None:
    """Raises RequestError for what no system can make that writes from the beginning, in real time."""
    if request.given is not None:
        raise RequestError("this system writes music from its beginning and fills no holes in music that is there; "
                           "give it music to go on from, or use a system that fills")  # fmt: skip
    if request.count < 1:
        raise RequestError(f"{request.count} pieces cannot be made; ask for 1 or more")
    if not (isfinite(request.length_seconds) and request.length_seconds > 0):
        raise RequestError(f"music of {request.length_seconds} s cannot be made; ask for more than 0")
    Sampling(request.temperature, request.top_p)


def primer_roll(request: Request, notation: Frames) -> np.ndarray:
    """The frames that pieces of a system over piano rolls begin with (T, 88), none without a primer; the request is
    checked. Raises RequestError, PrimerError or NotationError."""
    check_request(request)
    if request.primer is None:
        return np.zeros((0, KEYS), bool)
    roll, seconds = notation.encode(timed(apply_sustain(request.primer))), request.length_seconds
    if len(roll) >= round(seconds * notation.steps_per_second):
        lasts = len(roll) / notation.steps_per_second
        raise PrimerError(
            f"the music to go on from lasts {lasts:.1f} s, and the piece is to be {seconds:.1f} s long in all;"
            " ask for more, or give less to go on from"
        )
    return roll


def _device(model: TokenModel) -> torch.device:
    parameters = model.parameters() if isinstance(model, nn.Module) else ()
    return next((parameter.device for parameter in parameters), torch.device("cpu"))
