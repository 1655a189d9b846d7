"""Words that lean the music, and that they do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from orchestrion.metrics.bars import notes_a_bar
from orchestrion.metrics.pitch import mean_pitch
from orchestrion.metrics.rhythm import mean_velocity
from orchestrion.models.base import Request, System
from orchestrion.models.registry import recipe, system_class
from orchestrion.text.leaning import Leaning, read_leaning


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("a calm piano waltz", Leaning(-0.7, 0, -0.9)),
        ("busy, loud and high-pitched", Leaning(1, 1, 1)),
        ("BUSY busy busy", Leaning(1, 0, 0)),
        ("a tune with many notes", Leaning(1, 0, 0)),
        ("not sad, never too busy", Leaning()),
        ("a lo-fi tune for high-hat, in low-fi", Leaning()),
        ("sparse but dense", Leaning()),
        ("", Leaning()),
    ],
)
def test_words_lean(sentence: str, expected: Leaning) -> None:
    leaning, understood = read_leaning(sentence)
    assert leaning == expected
    assert all(words.words.lower() in sentence.lower() and words.value for words in understood)


@given(st.text(max_size=200))
def test_any_text_leans_within_bounds(sentence: str) -> None:
    leaning, _ = read_leaning(sentence)
    assert all(-1 <= value <= 1 for value in vars(leaning).values())


@pytest.fixture(scope="module")
def composer() -> System:
    torch.manual_seed(0)
    return system_class("composer")(recipe("composer", "tiny").config).eval()


@pytest.mark.parametrize(
    ("direction", "measure"), [("density", notes_a_bar), ("register", mean_pitch), ("loudness", mean_velocity)]
)
def test_music_follows(composer: System, direction: str, measure: object) -> None:
    means = []
    for amount in (-1.0, 0.0, 1.0):
        request = Request(count=4, bars=4, leaning=Leaning(**{direction: amount}))
        scores = composer.generate(request, np.random.default_rng(0))
        means.append(float(np.mean([measure(score) for score in scores])))  # type: ignore[operator]
    assert means[0] < means[1] < means[2]
