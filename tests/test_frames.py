"""Piano rolls of 88 keys, and FrameRNN: exact likelihoods, stepping that equals reading, pieces of exact length."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conftest import little_song
from orchestrion.core.errors import UserError
from orchestrion.data.store import Corpus
from orchestrion.models.base import RecipeError, Request
from orchestrion.models.zoo.frame_rnn import RECIPES, FrameRNN, IndependentHead, JointHead, Reading
from orchestrion.representations.frames import BEGIN, KEYS, LOWEST, Frames, runs, transposed
from orchestrion.representations.notation import NotationError
from orchestrion.representations.timed import TIMED, score_of, timed

BENCH = Path(__file__).resolve().parents[1] / "bench"
TINY = RECIPES["tiny"].config


def notes(*rows: tuple[int, int, int, int]) -> np.ndarray:
    """Rows of onset, length (ms), pitch and instrument."""
    return np.array([(onset, length, pitch, 80, instrument) for onset, length, pitch, instrument in rows], TIMED)


def random_roll(seed: int, frames: int = 40, share: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).random((frames, KEYS)) < share


# ---- rolls


def test_a_roll_by_hand() -> None:
    roll = Frames(8).encode(notes((0, 250, 60, 0), (130, 10, 64, 40), (500, 125, 108, 0), (0, 900, 38, 128)))
    sounding = np.argwhere(roll).tolist()
    assert roll.shape == (5, KEYS)
    assert sounding == [[0, 60 - LOWEST], [1, 60 - LOWEST], [1, 64 - LOWEST], [4, 87]]


def test_decoded_notes_by_hand() -> None:
    roll = np.zeros((4, KEYS), bool)
    roll[[0, 1, 3], 0] = True
    assert Frames(10).decode(roll).tolist() == [(0, 200, 21, 80, 0), (300, 100, 21, 80, 0)]


@given(
    seed=st.integers(0, 2**32), rate=st.sampled_from([0.7, 3, 8, 12.5, 23, 100, 441, 500]), frames=st.integers(1, 60)
)
def test_rolls_come_back_exactly(seed: int, rate: float, frames: int) -> None:
    roll = random_roll(seed, frames)
    roll[-1, 30] = True
    assert np.array_equal(Frames(rate).encode(Frames(rate).decode(roll)), roll)


def test_silence_at_the_end_alone_is_lost() -> None:
    roll = random_roll(1, 20)
    roll[:3] = roll[-4:] = False
    roll[-5, 7] = True
    assert np.array_equal(Frames(8).encode(Frames(8).decode(roll)), roll[:-4])


@pytest.mark.parametrize("row", [(0, 100, 20, 0), (0, 100, 109, 0), (0, 100, 60, 128)])
def test_music_without_a_key_is_refused(row: tuple[int, int, int, int]) -> None:
    with pytest.raises(NotationError, match="pitched note"):
        Frames(8).encode(notes(row))
    with pytest.raises(NotationError):
        Frames(8).encode(notes())


@pytest.mark.parametrize("rate", [0, -1, 501, float("nan")])
def test_a_rate_that_makes_no_sense_is_refused(rate: float) -> None:
    with pytest.raises(UserError, match="rate"):
        Frames(rate)


def test_transposing() -> None:
    roll = random_roll(3)
    assert np.array_equal(transposed(roll, 0), roll)
    assert np.array_equal(transposed(roll, 5)[:, 5:], roll[:, :-5])
    assert np.array_equal(transposed(roll, -3)[:, :-3], roll[:, 3:])
    assert not transposed(roll, 5)[:, :5].any()
    assert not transposed(roll, -3)[:, -3:].any()
    assert np.array_equal(transposed(transposed(roll, 4), -4)[:, :-4], roll[:, :-4])


# ---- the heads are distributions


def head_of(kind: str, width: int = 6) -> IndependentHead | JointHead:
    torch.manual_seed(0)
    head = IndependentHead(width) if kind == "independent" else JointHead(width, 8)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return head.eval()


@torch.no_grad()
@pytest.mark.parametrize("kind", ["independent", "joint"])
def test_the_odds_of_all_frames_add_up_to_one(kind: str) -> None:
    """All frames of ten keys, where the others cannot sound."""
    head, keys = head_of(kind), [0, 1, 5, 23, 40, 41, 60, 80, 86, 87]
    head.keys.bias[[key for key in range(KEYS) if key not in keys]] = -200.0
    frames = np.zeros((2 ** len(keys), KEYS), bool)
    frames[:, keys] = list(itertools.product([False, True], repeat=len(keys)))
    states = torch.randn(1, 6).expand(len(frames), -1)
    nats = head(states, torch.from_numpy(frames)).double()
    assert nats.shape == (len(frames),)
    assert float((-nats).exp().sum()) == pytest.approx(1, abs=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["independent", "joint"])
@pytest.mark.parametrize("must_sound", [False, True])
def test_frames_are_drawn_with_their_odds(kind: str, must_sound: bool) -> None:
    head, keys, count = head_of(kind), [3, 50, 70], 4000
    head.keys.bias[[key for key in range(KEYS) if key not in keys]] = -200.0
    states, rngs = torch.randn(1, 6).expand(count, -1), np.random.default_rng(0).spawn(count)
    drawn = head.write(states, must_sound, Request(), rngs)[:, keys] @ [1, 2, 4]
    frames = np.zeros((8, KEYS), bool)
    frames[:, keys] = np.arange(8)[:, None] >> np.arange(3) & 1
    odds = (-head(states[:8], torch.from_numpy(frames))).double().exp().numpy()
    if must_sound:
        odds[0] = 0
    np.testing.assert_allclose(np.bincount(drawn, minlength=8) / count, odds / odds.sum(), atol=0.04)
    coldest = head.write(states, must_sound, Request(temperature=0.0), rngs)
    assert (coldest == coldest[0]).all()
    assert coldest[0].any() or not must_sound


# ---- the system


@pytest.fixture(scope="module", params=["independent", "joint"])
def system(request: pytest.FixtureRequest) -> FrameRNN:
    torch.manual_seed(1)
    built = FrameRNN(dataclasses.replace(TINY, head=request.param, layers=2, memory=7, inner_width=32)).eval()
    for name, parameter in built.named_parameters():
        if "memory" in name or "shifts" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return built


def inputs_of(rolls: list[np.ndarray]) -> torch.Tensor:
    """(B, T, 89): the beginning, then the frames but for the last."""
    frames = np.zeros((len(rolls), len(rolls[0]), KEYS + 1), bool)
    frames[:, 0, BEGIN] = True
    frames[:, 1:, :KEYS] = np.stack(rolls)[:, :-1]
    return torch.from_numpy(frames)


@torch.no_grad()
def test_stepping_equals_reading_and_sees_no_future(system: FrameRNN) -> None:
    inputs, shift = inputs_of([random_roll(seed, 30) for seed in range(3)]), torch.tensor([0, -5, 6])
    known, _ = system(inputs, shift)
    reading, at = None, 0
    for size in (1, 4, 1, 12, 2, 10):
        states, reading = system(inputs[:, at : at + size], shift, reading)
        torch.testing.assert_close(states, known[:, at : at + size], atol=1e-5, rtol=1e-5)
        at += size
    assert at == 30
    changed = inputs.clone()
    changed[:, 20:, :KEYS] ^= True
    other, _ = system(changed, shift)
    torch.testing.assert_close(other[:, :20], known[:, :20], atol=1e-6, rtol=0)
    assert not torch.allclose(other[:, 20:], known[:, 20:], atol=1e-2)


@torch.no_grad()
def test_pieces_of_different_lengths_step_together(system: FrameRNN) -> None:
    """A shorter piece has holes in its memory, which are not seen."""
    inputs, shift = inputs_of([random_roll(seed, 20) for seed in (1, 2)]), torch.zeros(2, dtype=torch.int64)
    known, _ = system(inputs, shift)
    long, short = (system(inputs[row : row + 1, :size], shift[:1])[1] for row, size in ((0, 9), (1, 3)))
    missing = long.keys.shape[2] - short.keys.shape[2]
    padded = [torch.nn.functional.pad(part, (0, 0, missing, 0)) for part in (short.keys, short.values)]
    together = Reading(
        [tuple(torch.cat(pair, 1) for pair in zip(a, b, strict=True)) for a, b in zip(long.carries, short.carries,
                                                                                      strict=True)],
        torch.cat([long.before, short.before]),
        torch.cat([long.keys, padded[0]]),
        torch.cat([long.values, padded[1]]),
        torch.cat([long.seen, torch.nn.functional.pad(short.seen, (missing, 0))]),
    )  # fmt: skip
    for step in range(8):
        frames = torch.stack([inputs[0, 9 + step], inputs[1, 3 + step]]).unsqueeze(1)
        states, together = system(frames, shift, together)
        expected = torch.stack([known[0, 9 + step], known[1, 3 + step]])
        torch.testing.assert_close(states[:, 0], expected, atol=1e-5, rtol=1e-5)


def test_a_long_roll_is_measured_in_parts_as_in_one(system: FrameRNN) -> None:
    roll = random_roll(5, 3 * TINY.window + 5)
    with torch.no_grad():
        states, _ = system(inputs_of([roll]), torch.zeros(1, dtype=torch.int64))
        whole = system.head(states[0], torch.from_numpy(roll))
    np.testing.assert_allclose(system.roll_nats(roll), whole.numpy(), rtol=1e-4)


def test_a_batch_holds_what_follows_each_frame(system: FrameRNN, corpus: Corpus) -> None:
    batch = system.batch(corpus, "train", np.random.default_rng(0))
    assert batch["inputs"][:, 0, BEGIN].any()
    inputs, targets, lengths = (batch[name].numpy() for name in ("inputs", "targets", "lengths"))
    assert inputs.shape == (TINY.windows, lengths.max(), KEYS + 1)
    for own, following, length in zip(inputs, targets, lengths, strict=True):
        assert 0 < length <= TINY.window
        assert np.array_equal(own[1:length, :KEYS], following[: length - 1])
        assert not own[1:, BEGIN].any()
        assert own[0, BEGIN] == (not own[0, :KEYS].any()), "little songs begin with a note and never rest"
        assert not following[length:].any()


def test_pieces_are_moved_in_training_alone_and_that_is_told(corpus: Corpus) -> None:
    moved = FrameRNN(dataclasses.replace(TINY, transpose=5, transposed_share=1.0))
    assert len(moved.batch(corpus, "train", np.random.default_rng(0))["shift"].unique()) > 1
    assert not moved.batch(corpus, "valid", np.random.default_rng(0))["shift"].any()
    still = FrameRNN(dataclasses.replace(TINY, transpose=0, transposed_share=1.0))
    assert not still.batch(corpus, "train", np.random.default_rng(0))["shift"].any()


def test_what_it_writes_is_on_its_grid_and_ends_where_asked(system: FrameRNN) -> None:
    for seconds in (0.2, 3.0, 4.07):
        for score in system.generate(Request(count=2, seconds=seconds), np.random.default_rng(0)):
            own = score.tracks[0].notes.numpy()
            ends = own["time"] + own["duration"]
            assert ends.max() == round(seconds * 1000)
            assert not (own["time"] % 125).any()
            assert not (ends[ends != ends.max()] % 125).any()


def test_a_primer_comes_first_frame_by_frame(system: FrameRNN) -> None:
    primer = Frames(8).decode(random_roll(2, 16, 0.05) | (np.arange(KEYS) == 40))
    score = system.generate(Request(seconds=4.0, primer=score_of(primer)), np.random.default_rng(0))[0]
    assert np.array_equal(Frames(8).encode(timed(score))[:16], Frames(8).encode(primer))


@pytest.mark.parametrize(
    "asked",
    [
        Request(seconds=0),
        Request(seconds=float("inf")),
        Request(temperature=-1),
        Request(seconds=2, primer=little_song(0)),
    ],
)
def test_requests_that_cannot_be_met_are_refused_in_one_line(system: FrameRNN, asked: Request) -> None:
    with pytest.raises(UserError) as raised:
        system.generate(asked, np.random.default_rng(0))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "numbers",
    [
        {"head": "both"},
        {"width": 9},
        {"layers": 0},
        {"transpose": 6},
        {"window": 0},
        {"memory": 65},
        {"dropout": 1},
    ],
)
def test_numbers_that_make_no_network_are_refused(numbers: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        dataclasses.replace(TINY, **numbers)


def test_notes_of_a_roll_count_once(system: FrameRNN) -> None:
    known = system.piece_nats(little_song(0))
    roll = Frames(8).encode(Frames(8).decode(random_roll(0)))
    assert len(runs(roll)[0]) == (np.diff(roll.astype(int), axis=0, prepend=0) == 1).sum()
    assert known.notes > 0
    assert sum(known.nats.values()) > 0


# ---- the benchmark


def test_the_benchmark_weighs_frames_alike_and_leaves_the_first_out_beside() -> None:
    """Two pieces of two and three frames, two seeds; by hand."""
    if not BENCH.exists():  # an installed package has no bench
        pytest.skip("no bench folder")
    sys.path.insert(0, str(BENCH))
    from frame_likelihood import summary

    def run(seed: int, *pieces: list[float]) -> dict[str, object]:
        beside = {"cpu_seconds": 60.0, "parameters": 1, "steps": 1, "config": {}}
        return {"seed": seed, "nats": {"test": list(pieces), "valid": [[5.0], [1.0, 3.0]]}, **beside}

    found = summary(
        [run(0, [8.0, 2.0], [1.0, 2.0, 3.0]), run(1, [10.0, 4.0], [3.0, 4.0, 5.0])], np.random.default_rng(0)
    )
    assert found["test"]["mean"] == pytest.approx((9 + 3 + 2 + 3 + 4) / 5)
    assert found["without_first"] == pytest.approx((3 + 3 + 4) / 3)
    assert found["mean_of_pieces"] == pytest.approx((6 + 3) / 2)
    assert found["valid"] == pytest.approx(3)
    assert found["by_seed"] == {"0": pytest.approx(16 / 5), "1": pytest.approx(26 / 5)}
