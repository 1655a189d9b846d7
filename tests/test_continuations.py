"""Continuations: what follows an opening, by a model and by playing the opening again, against what truly follows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from conftest import little_song, repeated
from orchestrion.evaluation.continuations import continuations_of
from orchestrion.evaluation.music_sets import Item
from orchestrion.evaluation.report import Continuations
from orchestrion.models.loading import Model
from orchestrion.models.registry import recipe, system_class
from orchestrion.music.edit import replace_cells
from orchestrion.music.files import write_midi


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    return Model(system_class("composer")(recipe("composer", "tiny").config).eval(), "composer", {}, "untrained")


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    """Four bars played twice, four bars and others after them, a piece of three bars, and a file that is none."""
    folder = tmp_path_factory.mktemp("pieces")
    once = little_song(0, bars=4)
    write_midi(replace_cells(once, little_song(1, bars=8), (5, 8), {0: 0, 1: 1, 2: 2}), folder / "other.mid")
    write_midi(repeated(once, 2), folder / "twice.mid")
    write_midi(little_song(2, bars=3), folder / "short.mid")
    (folder / "broken.mid").write_bytes(b"MThd")
    return [Item(name, name, folder / f"{name}.mid") for name in ("twice", "other", "short", "broken")]


def of(model: Model, items: list[Item], seed: int = 0) -> Continuations:
    return continuations_of(model, items, np.random.default_rng(seed), opening_bars=4, continued_bars=4)


def test_repeating_foresees_what_repeats(model: Model, items: list[Item]) -> None:
    found = of(model, items[:1])
    assert {name: value.mean for name, value in found.by_repeating.items()} == pytest.approx(
        {"precision": 1.0, "recall": 1.0, "f1": 1.0, "bleu": 1.0}
    )
    assert all(0 <= value.mean < 1 for value in found.by_model.values())


def test_what_differs_is_foreseen_less(model: Model, items: list[Item]) -> None:
    found = of(model, items[1:2])
    assert all(0 < value.mean < 1 for value in found.by_repeating.values())  # its drums are the same


def test_what_cannot_be_continued_is_told(model: Model, items: list[Item]) -> None:
    found = of(model, items)
    assert found.pieces == 2
    assert [name for name, _ in found.skipped] == ["short", "broken"]
    assert "it has 3 bars; 8 are needed" in found.skipped[0][1]
    nothing = of(model, items[2:])
    assert nothing.missing
    assert np.isnan(nothing.by_model["f1"].mean)


def test_the_seed_decides(model: Model, items: list[Item]) -> None:
    assert of(model, items[:2], 1) == of(model, items[:2], 1)
    assert of(model, items[:2], 1).by_model != of(model, items[:2], 2).by_model
