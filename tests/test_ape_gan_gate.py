"""APE-GAN's gate: what the discriminator checks of its own music, and how it judges that of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from symusic import Note, Score, TimeSignature, Track

from conftest import little_song
from orchestrion.data.store import Corpus
from orchestrion.models.base import JudgingSystem, RecipeError, Request, RequestError, UnheardError
from orchestrion.models.pianoroll_gan import checked, phrases_of
from orchestrion.models.zoo.ape_gan import ApeGan, transpose
from orchestrion.music.analysis import estimate_key
from orchestrion.music.edit import slice_bars
from orchestrion.music.theory import Key
from small_ape_gan import fresh, said, sounding


@pytest.fixture(scope="module")
def band() -> ApeGan:
    return sounding(fresh())


# ---- the gate


class Drawn:
    """Phrases of one cell each, numbered in the order in which they are drawn, and odds for each of them."""

    def __init__(self, *odds: float) -> None:
        self.odds, self.count = np.array(odds), 0
        self.rejected: Counter[str] = Counter()

    def draw(self, rngs: Sequence[np.random.Generator]) -> np.ndarray:
        self.count += len(rngs)
        return np.arange(self.count - len(rngs), self.count).reshape(-1, 1, 1, 1)

    def check(self, phrases: np.ndarray) -> np.ndarray:
        return self.odds[phrases[:, 0, 0, 0]]

    def passed(self, pieces: int, tries: int) -> list[int]:
        rngs = np.random.default_rng(0).spawn(pieces)
        passed = checked(self.draw, self.check, tries, lambda reason: self.rejected.update([reason]))(rngs)
        return [int(phrase) for phrase in passed[:, 0, 0, 0]]


def test_what_is_not_called_real_is_drawn_again() -> None:
    drawn = Drawn(0.9, 0.5, 0.2, 0.4, 0.51, 0.6)
    assert drawn.passed(3, 16) == [0, 5, 4], "0.5 itself is refused"
    assert drawn.rejected.total() == 3
    assert set(drawn.rejected) == {"judged to be made"}


def test_after_the_bound_the_best_is_kept() -> None:
    drawn = Drawn(0.1, 0.4, 0.3, 0.2, 0.9)
    assert drawn.passed(1, 3) == [1]
    assert drawn.count == 4
    assert drawn.rejected.total() == 3
    assert Drawn(0.4, 0.4, 0.1).passed(1, 2) == [0], "of equals the first"


def test_without_tries_nothing_is_checked() -> None:
    drawn = Drawn(0.1, 0.2)
    assert drawn.passed(2, 0) == [0, 1]
    assert not drawn.rejected


@pytest.fixture(scope="module")
def picky() -> ApeGan:
    """Its discriminator calls about half of its phrases real."""
    system = sounding(fresh())
    phrases = system.draw(np.random.default_rng(1).spawn(64), said(1))
    odds = torch.from_numpy(system.odds(phrases, said(1)))
    with torch.no_grad():
        system.discriminator.body.over_bars[-1].bias -= torch.logit(odds).median()  # type: ignore[operator]
    return system


def test_its_own_discriminator_is_the_gate_of_its_pieces(picky: ApeGan) -> None:
    def made(tries: int | None) -> tuple[list[Score], Counter[str]]:
        rejected: Counter[str] = Counter()
        request = Request(count=6, bars=8, sentence=said(1), tries=tries, rejected=lambda why: rejected.update([why]))
        return picky.generate(request, np.random.default_rng(0)), rejected

    def odds(scores: list[Score]) -> np.ndarray:
        phrases = np.concatenate([picky.grid.encode(score) for score in scores])
        return picky.odds(phrases, said(1))  # asked in C

    unchecked, rejected = made(0)
    assert not rejected["judged to be made"]
    assert 0 < (odds(unchecked) > 0.5).mean() < 1
    gated, rejected = made(None)
    assert rejected["judged to be made"] > 0
    assert (odds(gated) > 0.5).all()
    assert made(None)[0][3].dumps_midi() == gated[3].dumps_midi()


# ---- judging music


def test_it_judges_pieces_in_any_key(picky: ApeGan) -> None:
    assert isinstance(picky, JudgingSystem)
    (piece,) = picky.generate(Request(bars=8, sentence=said(1), tries=0), np.random.default_rng(0))
    in_c = float(picky.odds(picky.grid.encode(piece), said(1)).mean())
    assert picky.odds_of(piece, said(1), Key(0, "major")) == pytest.approx(in_c, abs=1e-6)
    transpose(piece, 3)
    assert picky.odds_of(piece, said(1), Key(3, "minor")) == pytest.approx(in_c, abs=1e-3)
    assert picky.odds_of(piece, said(1)) == picky.odds_of(piece, said(1), estimate_key(piece)[0])
    assert picky.odds_of(piece, said(1)) != picky.odds_of(piece, said(2))
    assert picky.odds_of(piece, said(1)) != picky.odds_of(piece)


@pytest.mark.parametrize(("count", "firsts"), [(4, [0]), (8, [0, 4]), (6, [0, 2]), (9, [0, 4, 5])])
def test_a_piece_is_heard_phrase_by_phrase_to_its_last_bar(picky: ApeGan, count: int, firsts: list[int]) -> None:
    song, grid = little_song(3, bars=count), picky.grid
    heard = phrases_of(song, grid)
    assert heard.shape == (len(firsts), *grid.shape)
    for phrase, first in zip(heard, firsts, strict=True):
        assert np.array_equal(phrase, grid.encode(slice_bars(song, first + 1, first + grid.bars))[0])


def test_what_it_cannot_hear_it_says(picky: ApeGan) -> None:
    cut = little_song(1, bars=6)
    cut.time_signatures.append(TimeSignature(2 * 1920 + 960, 4, 4))
    cut.time_signatures.append(TimeSignature(960, 3, 4))
    high = Score(480)
    high.tracks.append(Track("piccolo", 72))
    high.tracks[0].notes.extend([Note(480 * beat, 480, 120, 80) for beat in range(16)])
    for music, words in (
        (little_song(1, bars=8, meter=(3, 4)), "bars of four quarter notes.*not one of 3 in 3/4"),
        (cut, "bars of four quarter notes"),
        (little_song(1, bars=3), "phrases of 4 bars, and the music has 3"),
        (Score(480), "the music has 0"),
        (high, "hears nothing: .* 24 to 83"),
    ):
        with pytest.raises(UnheardError, match=words) as raised:
            picky.odds_of(music)
        assert "\n" not in str(raised.value)


def test_a_sentence_of_another_encoder_is_refused(picky: ApeGan, corpus: Corpus) -> None:
    with pytest.raises(RequestError, match=r"has 768 numbers.* makes 384"):
        picky.generate(Request(bars=4, sentence=said(1, 768)), np.random.default_rng(0))
    with pytest.raises(RequestError, match="768"):
        picky.odds_of(little_song(0), said(1, 768))
    with pytest.raises(RecipeError, match="makes 384 numbers of a sentence; set sentence_width=384"):
        fresh(sentence_width=32).batch(corpus, "train", np.random.default_rng(0))
