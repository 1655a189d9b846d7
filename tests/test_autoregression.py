"""Music token by token with a tiny network: nats, batches, stepping, sliding, primers, lengths and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from symusic import Note, Score, Track
from torch import Tensor, nn

from conftest import little_song, repeated
from orchestrion.core.errors import UserError
from orchestrion.data.store import Corpus
from orchestrion.models.base import Request, RequestError
from orchestrion.models.sampling import draw
from orchestrion.models.token_model import (
    PrimerError,
    autoregress,
    inputs_and_targets,
    next_token_nats,
    piece_token_nats,
    token_batch,
)
from orchestrion.music.extent import length_seconds
from orchestrion.music.pedal import apply_sustain
from orchestrion.music.theory import Meter
from orchestrion.representations.cells import encode
from orchestrion.representations.chorale import Chorale
from orchestrion.representations.melody import Melody, MelodyEvents
from orchestrion.representations.notation import Notation, NotationError
from orchestrion.representations.performance import Performance
from orchestrion.representations.timed import timed

NOTATIONS = [Performance(), Melody(), MelodyEvents(), Chorale()]


class Recurrent(nn.Module):
    """An LSTM whose state is all it has read."""

    def __init__(self, notation: Notation, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.table = nn.Embedding(notation.size + 1, 24)
        self.cells = nn.LSTM(24, 24, batch_first=True)
        self.out = nn.Linear(24, notation.size)
        with torch.no_grad():
            self.out.weight *= 12  # tokens of clearly different odds

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        seen, state = self.cells(self.table(tokens), state)
        return self.out(seen), state


class Seeing:
    """A network that reads at most `context` tokens, and all of them anew at each step; notes what it read."""

    def __init__(self, notation: Notation, context: int) -> None:
        self.network, self.context = Recurrent(notation), context
        self.calls: list[tuple[tuple[int, ...], bool]] = []

    def __call__(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        self.calls.append((tuple(tokens.shape), state is None))
        everything = tokens if state is None else torch.cat([state, tokens], 1)
        assert everything.shape[1] <= self.context
        return self.network(everything)[0][:, -tokens.shape[1] :], everything


def midi(scores: list[Score]) -> list[bytes]:
    return [score.dumps_midi() for score in scores]


# ---- nats and batches


def test_padding_is_no_token() -> None:
    logits = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[1, 2, 6], [0, -1, -1]])
    total, count = next_token_nats(logits, targets)
    logarithms = logits.log_softmax(-1)
    by_hand = -sum(float(logarithms[b, t, targets[b, t]]) for b, t in [(0, 0), (0, 1), (0, 2), (1, 0)])
    assert float(total) == pytest.approx(by_hand)
    assert int(count) == 4
    certain = logits.clone()
    certain[1, 1:] = torch.tensor([1e4, *[0.0] * 6])  # a network sure of itself where nothing is
    longer = torch.cat([certain, torch.full((2, 90, 7), 1e4)], 1), torch.cat([targets, torch.full((2, 90), -1)], 1)
    for got, known in zip(next_token_nats(*longer), (total, count), strict=True):
        torch.testing.assert_close(got, known)
    nothing = next_token_nats(logits, torch.full((2, 3), -1))
    assert (float(nothing[0]), int(nothing[1])) == (0.0, 0)
    half = next_token_nats(logits.to(torch.bfloat16), targets)[0]
    assert half.dtype == torch.float32


def test_a_batch_is_its_seed_and_begins_with_what_stands_before(corpus: Corpus) -> None:
    notation = Performance()
    length = 3 + max(len(notation.encode(piece.timed())) for piece in corpus.pieces("train"))
    first, again, other = (
        token_batch(corpus, "train", np.random.default_rng(seed), notation, 5, length)["tokens"] for seed in (1, 1, 2)
    )
    assert first.shape == (5, length + 1)
    assert first.dtype == torch.int64
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first[:, 0] == notation.size).all()
    read, targets = inputs_and_targets(first)
    assert read.shape == targets.shape == (5, length)
    assert (read.min(), targets.min()) == (0, -1), "pieces are shorter than that"
    known = {tuple(notation.encode(piece.timed()).tolist()) for piece in corpus.pieces("train")}
    for row in targets:
        assert tuple(row[row >= 0].tolist()) in known, "whole pieces, each from its beginning"
    short = token_batch(corpus, "train", np.random.default_rng(1), notation, 5, 16)["tokens"]
    assert (short >= 0).all()
    assert (short[:, 1:] < notation.size).all()


# ---- likelihood


def naive_nats(model: Recurrent, notation: Notation, score: Score) -> float:
    tokens = torch.from_numpy(notation.encode(timed(apply_sustain(score))).astype(np.int64))
    read = torch.cat([torch.tensor([notation.size]), tokens[:-1]])
    with torch.no_grad():
        return float(nn.functional.cross_entropy(model(read[None])[0][0], tokens, reduction="sum"))


@pytest.mark.parametrize("notation", NOTATIONS, ids=repr)
def test_a_piece_costs_what_its_tokens_cost(notation: Notation) -> None:
    model, score = Recurrent(notation), little_song(0, bars=8)
    known = naive_nats(model, notation, score)
    tokens = len(notation.encode(timed(score)))
    for context in (None, tokens, 10 * tokens):
        found = piece_token_nats(model, notation, score, context)
        assert sum(found.nats.values()) == pytest.approx(known, rel=1e-5)
        assert found.tokens == tokens
        assert 0 < found.notes <= score.note_num()
    near = sum(piece_token_nats(model, notation, score, 20).nats.values())
    assert near != pytest.approx(known, rel=1e-5)
    assert near == pytest.approx(known, rel=0.3)


@pytest.mark.parametrize("context", [2, 3, 7, 64, 1000, None])
def test_each_token_is_predicted_once(context: int | None) -> None:
    def ignorant(tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        assert tokens.shape[1] <= (context or 20_000)
        assert ((tokens >= 0) & (tokens <= 388)).all()
        return torch.zeros(*tokens.shape, 388), "state"

    score = repeated(little_song(0), 10)
    found = piece_token_nats(ignorant, Performance(), score, context)
    tokens = len(Performance().encode(timed(score)))
    assert found.tokens == tokens
    assert found.nats["token"] == pytest.approx(tokens * np.log(388), rel=1e-4)


def test_a_long_piece_goes_on_from_its_state() -> None:
    model, score = Recurrent(Performance()), repeated(little_song(2), 200)
    assert len(Performance().encode(timed(score))) > 20_000, "more than is read at once"
    found = piece_token_nats(model, Performance(), score, None)
    assert found.nats["token"] == pytest.approx(naive_nats(model, Performance(), score), rel=1e-4)


# ---- making music


def by_rereading(model: Recurrent, notation: Notation, seconds: float) -> list[int]:
    """The likeliest legal token, everything read anew for each."""
    writer, tokens = notation.writer(seconds), [notation.size]
    while not writer.done:
        with torch.no_grad():
            logits = model(torch.tensor([tokens]))[0][0, -1].numpy()
        tokens.append(int(np.where(writer.legal(), logits, -np.inf).argmax()))
        writer.write(tokens[-1])
    return tokens[1:]


@pytest.mark.parametrize("notation", NOTATIONS, ids=repr)
def test_at_temperature_0_it_takes_the_likeliest(notation: Notation) -> None:
    model = Recurrent(notation)
    expected = notation.decode(np.array(by_rereading(model, notation, 3.0)))
    for context in (None, 5000):
        made = autoregress(model, notation, Request(count=2, seconds=3.0, temperature=0.0), np.random.default_rng(0),
                           context=context)  # fmt: skip
        for score in made:
            assert np.array_equal(timed(score), timed(made[0]))
            assert np.array_equal(np.sort(timed(score)), np.sort(expected))


@pytest.mark.parametrize("notation", NOTATIONS, ids=repr)
def test_pieces_have_the_length_asked_for_and_differ(notation: Notation) -> None:
    model = Recurrent(notation)
    request = Request(count=4, seconds=6.0)
    first, again, other = (
        autoregress(model, notation, request, np.random.default_rng(seed), context=None) for seed in (1, 1, 2)
    )
    assert midi(first) == midi(again)
    assert len(set(midi(first) + midi(other))) == 8
    for score in first:
        assert length_seconds(score) == pytest.approx(6.0, abs=1e-3)
    waltz = Request(bars=5, meter=Meter(3, 4), tempo=90.0)
    score = autoregress(model, notation, waltz, np.random.default_rng(0), context=None)[0]
    assert length_seconds(score) == pytest.approx(10.0, abs=0.1), "on the grid"


def test_a_batch_is_its_pieces_one_by_one() -> None:
    """What is done early stays in the batch and is not heard."""
    notation, request = Performance(), Request(count=5, seconds=4.0)
    for context in (None, 40):
        model: Any = Seeing(notation, 10_000 if context is None else context)
        together = autoregress(model, notation, request, np.random.default_rng(3), context=context)
        assert len({len(notation.encode(timed(score))) for score in together}) > 1, "they end at different steps"
        if context is None:  # else the context of a piece would be read anew with the others'
            for score, own in zip(together, np.random.default_rng(3).spawn(5), strict=True):
                alone = _alone(Recurrent(notation), notation, own)
                assert np.array_equal(notation.decode(np.array(alone)), timed(score))


def _alone(model: Recurrent, notation: Notation, rng: np.random.Generator) -> list[int]:
    writer, tokens = notation.writer(4.0), [notation.size]
    while not writer.done:
        with torch.no_grad():
            logits = model(torch.tensor([tokens]))[0][:, -1].numpy()
        tokens.append(int(draw(logits, writer.legal()[None], np.array([rng.random()]))[0]))
        writer.write(tokens[-1])
    return tokens[1:]


def test_a_full_context_is_read_anew_from_its_last_half() -> None:
    notation = Melody()
    model = Seeing(notation, 10)
    autoregress(model, notation, Request(count=3, seconds=4.0), np.random.default_rng(0), context=10)
    steps = [shape[1] for shape, _ in model.calls]
    assert {shape[0] for shape, _ in model.calls} == {3}
    assert steps[:10] == [1] * 10, "the first token is all that stands before"
    assert [at for at, (_, fresh) in enumerate(model.calls) if fresh] == [0, 10, 15, 20, 25, 30]
    assert {steps[at] for at in (10, 15, 20, 25, 30)} == {6}, "one that stands before, and five"
    assert len(steps) == 32


def test_progress_rises_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    request = Request(count=2, bars=4, progress=lambda *bars: told.append(bars))
    autoregress(Recurrent(Melody()), Melody(), request, np.random.default_rng(0), context=None)
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    told.clear()
    autoregress(Recurrent(Performance()), Performance(), dataclasses.replace(request, seconds=2.5),
                np.random.default_rng(0), context=None)  # fmt: skip
    assert told == sorted(set(told))
    assert told[-1] == (3, 3)


# ---- priming


@pytest.mark.parametrize("context", [None, 12, 4000])
@pytest.mark.parametrize("notation", NOTATIONS, ids=repr)
def test_a_piece_begins_with_its_primer(notation: Notation, context: int | None) -> None:
    primer = little_song(4)
    held = notation.decode(notation.encode(timed(primer)))
    end = int((held["onset"].astype(int) + held["length"]).max())
    request = Request(count=3, seconds=end / 1000 + 3, primer=primer)
    made = autoregress(Recurrent(notation), notation, request, np.random.default_rng(0), context=context)
    for score in made:
        music = timed(score)
        before, sure = music[music["onset"] < end - 300], held[held["onset"] < end - 300]
        assert np.array_equal(before[["onset", "pitch", "velocity"]], sure[["onset", "pitch", "velocity"]])
        assert length_seconds(score) == pytest.approx(end / 1000 + 3, abs=0.1), "on the grid"
    assert len(set(midi(made))) == 3
    request = dataclasses.replace(request, primer=little_song(5), seconds=30.0)
    other = autoregress(Recurrent(notation), notation, request, np.random.default_rng(0), context=context)
    assert not set(midi(other)) & set(midi(made))


def test_the_primer_is_read_and_not_only_kept() -> None:
    """What follows depends on it: two primers of one length, the same random numbers."""
    notation, made = Melody(), []
    for pitch in (60, 61):
        score = Score(500)
        score.tracks.append(Track("", 0, notes=[Note(0, 4000, pitch, 80)]))
        request = Request(seconds=8.0, primer=score)
        made.append(notation.encode(timed(autoregress(Recurrent(notation), notation, request,
                                                      np.random.default_rng(0), context=None)[0])))  # fmt: skip
    assert not np.array_equal(made[0][32:], made[1][32:])


def drums_alone() -> Score:
    score = little_song(0)
    score.tracks = [track for track in score.tracks if track.is_drum]
    return score


@pytest.mark.parametrize(("request_", "kind", "words"), [
    (Request(seconds=9.0, primer=Score(480)), PrimerError, "no notes"),
    (Request(seconds=9.0, primer=drums_alone()), NotationError, "no pitched instrument"),
    (Request(seconds=2.0, primer=little_song(0)), PrimerError, "ask for more, or give less"),
    (Request(seconds=0.0), RequestError, "more than 0"),
    (Request(seconds=float("nan")), RequestError, "more than 0"),
    (Request(count=0), RequestError, "1 or more"),
    (Request(temperature=-0.5), RequestError, "temperature"),
    (Request(temperature=float("inf")), RequestError, "temperature"),
    (Request(top_p=0.0), RequestError, "top-p"),
    (Request(given=encode(little_song(0)), hole=np.ones((4, 3), bool)), RequestError, "fills no holes"),
])  # fmt: skip
def test_what_cannot_be_written_is_told_in_one_line(request_: Request, kind: type[UserError], words: str) -> None:
    for notation in (Performance(), Melody()):
        with pytest.raises(kind, match=words) as raised:
            autoregress(Recurrent(notation), notation, request_, np.random.default_rng(0), context=64)
        assert "\n" not in str(raised.value)
