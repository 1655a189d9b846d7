"""What systems that draw phrases share: features that can be worked out by hand, and pieces of phrases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from orchestrion.metrics.phrases import among_real, coverage, energy_distance, phrase_features, relative_spread
from orchestrion.models.base import Request, RequestError
from orchestrion.models.pianoroll_gan import MAX_TRIES, compose_phrases, phrase_figures, said_of
from orchestrion.music.bars import bars, tempo
from orchestrion.representations.phrases import PhraseGrid

GRID = PhraseGrid("five", 2, 16, 24, 36)


def test_features_by_hand() -> None:
    phrase = np.zeros((1, *GRID.shape), bool)
    phrase[0, 1, 0:4, [12, 16]] = True  # two notes of four steps in the first bar
    phrase[0, 1, 6:7, 24] = True  # and one an octave above the first
    empty_bars, classes, onsets, lengths, pitch, at_once = phrase_features(phrase, 2).reshape(6, 5)[:, 1]
    assert (empty_bars, classes) == (0.5, 1.0)  # two classes in one bar, none in the other
    assert onsets == pytest.approx(np.log1p(3 / 2))
    assert lengths == pytest.approx(np.log1p(9 / 3))
    assert pitch == pytest.approx((4 * 12 + 4 * 16 + 24) / 9 / 12)
    assert at_once == pytest.approx(9 / 5)
    silent = phrase_features(phrase, 2).reshape(6, 5)[:, 0]
    assert silent.tolist() == [1, 0, 0, 0, 0, 0]


def test_the_distance_is_small_for_one_kind_and_grows() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(300, 3)), rng.normal(size=(300, 3))
    assert energy_distance(one, one) == pytest.approx(0, abs=1e-12)
    near, far = energy_distance(one, other), energy_distance(one, other + 1)
    assert 0 <= near < 0.02 < far
    assert energy_distance(one * 100, other * 100) == pytest.approx(near), "scaled by the real ones"


def test_lost_modes_are_seen() -> None:
    rng = np.random.default_rng(0)
    places = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0], [8.0, 8.0]])
    real, made = (places[rng.integers(4, size=400)] + rng.normal(size=(400, 2)) for _ in range(2))
    assert coverage(real, made) == pytest.approx(1 - 2**-5, abs=0.05)
    assert relative_spread(real, made) == pytest.approx(1, abs=0.05)
    half = made[made[:, 0] < 4]
    assert coverage(real, half) == pytest.approx(0.5, abs=0.06), "two of four modes"
    assert relative_spread(real, half) < 0.9
    assert relative_spread(real, np.repeat(made[:1], 50, axis=0)) == 0
    assert coverage(real * 100, made * 100) == coverage(real, made), "scaled by the real ones"


def test_what_lies_among_real_music_and_what_lies_apart() -> None:
    rng = np.random.default_rng(0)
    real, made = rng.normal(size=(400, 2)), rng.normal(size=(300, 2))
    found = among_real(real, np.concatenate([made, made + 20]))
    assert found[:300].mean() > 0.9
    assert not found[300:].any()
    assert among_real(real, real).all(), "each is one of them"
    alone = [bool(among_real(real, one[None])[0]) for one in made[:20]]
    assert alone == found[:20].tolist(), "whatever else is asked about"
    assert np.array_equal(among_real(real * 100, made * 100), found[:300]), "scaled by the real ones"
    assert len(among_real(real, real[:0])) == 0


def noisy(share: float = 0.05, silent_first: int = 0) -> tuple[list[int], object]:
    """A generator that draws each phrase from its stream, the first few of all silent."""
    calls: list[int] = []

    def draw(rngs: Sequence[np.random.Generator]) -> np.ndarray:
        calls.append(len(rngs))
        phrases = np.stack([rng.random(GRID.shape) < share for rng in rngs])
        return phrases & (len(calls) > silent_first)

    return calls, draw


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_pieces_have_as_many_bars_as_asked(length: int) -> None:
    _, draw = noisy()
    told: list[tuple[int, int]] = []
    request = Request(count=3, bars=length, tempo=91.0, progress=lambda *done: told.append(done))
    scores = compose_phrases(draw, GRID, request, np.random.default_rng(0))  # type: ignore[arg-type]
    assert [len(bars(score)) for score in scores] == [length] * 3
    assert all(tempo(score) == pytest.approx(91.0, abs=0.01) for score in scores)
    assert told[-1] == (length, length)
    alone = compose_phrases(draw, GRID, Request(count=1, bars=length, tempo=91.0), np.random.default_rng(0))  # type: ignore[arg-type]
    assert alone[0].dumps_midi() == scores[0].dumps_midi(), "each piece has a stream of its own"


def test_what_is_no_music_is_drawn_again_and_counted() -> None:
    calls, draw = noisy(silent_first=2)
    reasons: Counter[str] = Counter()
    request = Request(count=4, bars=2, rejected=lambda reason: reasons.update([reason]))
    assert len(compose_phrases(draw, GRID, request, np.random.default_rng(0))) == 4  # type: ignore[arg-type]
    assert reasons == {"silent": 8}
    assert calls == [4, 4, 4]


@pytest.mark.parametrize(("share", "reason"), [(0.0, "silent"), (0.95, "flooded")])
def test_a_generator_of_nothing_ends_with_one_line(share: float, reason: str) -> None:
    calls, draw = noisy(share)
    with pytest.raises(RequestError, match=f"{MAX_TRIES} phrases in a row were {reason}") as raised:
        compose_phrases(draw, GRID, Request(count=2, bars=4), np.random.default_rng(0))  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)
    assert len(calls) == MAX_TRIES


def test_what_phrases_cannot_do_is_refused() -> None:
    _, draw = noisy()
    for request in (
        Request(seconds=5),
        Request(count=0),
        Request(bars=0),
        Request(primer=GRID.decode(np.zeros(GRID.shape, bool))),
    ):
        with pytest.raises(RequestError):
            compose_phrases(draw, GRID, request, np.random.default_rng(0))  # type: ignore[arg-type]


def test_repetition_and_a_dead_critic_are_said() -> None:
    rng = np.random.default_rng(0)
    real = torch.from_numpy(rng.random((16, *GRID.shape)) < 0.05)
    same = real[:1].expand(16, -1, -1, -1)
    figures = {name: total / count for name, (total, count) in phrase_figures(real, same, 2).items()}
    assert figures["distinct"] == 1 / 16
    assert "repeats itself" in said_of(figures)[0]
    assert said_of({name: a / b for name, (a, b) in phrase_figures(real, real, 2).items()}) == []
    assert phrase_figures(real, real, 2)["phrase_distance"][0] == pytest.approx(0, abs=1e-9)
    assert "critic is dead" in said_of({"critic_gap": 0.0})[0]
