"""What the documentation shows, runs; and what it names, is there."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from orchestrion.data.store import Corpus
from orchestrion.generation.compose import compose
from orchestrion.models import checkpoint
from orchestrion.models import zoo as systems
from orchestrion.models.base import Recipe, Request, Training
from orchestrion.models.loading import load
from orchestrion.models.registry import recipe, system_names
from orchestrion.music.theory import DRUMS, Key, Meter
from orchestrion.training.trainer import train

ROOT = Path(__file__).parent.parent
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "src").rglob("*.md")])
ADD_A_SYSTEM = ROOT / "docs" / "add-a-system.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", ADD_A_SYSTEM.read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture
def bigram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recipe]:
    """The system of the page in a folder of its own, found as if it lay in `models/zoo/`."""
    (tmp_path / "bigram.py").write_text(BLOCKS[0], "utf-8")
    monkeypatch.setattr(systems, "__path__", [*systems.__path__, str(tmp_path)])
    yield recipe("bigram", "tiny")
    sys.modules.pop("orchestrion.models.zoo.bigram")


def test_the_system_of_the_page_trains_and_composes(bigram: Recipe, corpus: Corpus, tmp_path: Path) -> None:
    assert "bigram" in system_names()
    brief = Recipe(bigram.config, Training(steps=2, validate_every=1, validation_batches=1, save_every=1))
    told = []
    train("bigram", brief, corpus, tmp_path / "run", told=told.append)
    assert [progress.step for progress in told] == [1, 2]
    assert all(np.isfinite(progress.validation["nats_per_note"]) for progress in told)

    model = load(tmp_path / "run")
    key = Key(2, "minor")
    pieces = compose(bars=3, meter=Meter(3, 4), tempo=90, key=key, instruments=(0, 33, DRUMS), count=2, model=model)
    assert all(piece.record["all_hold"] for piece in pieces)
    again = compose(bars=3, meter=Meter(3, 4), tempo=90, key=key, instruments=(0, 33, DRUMS), count=2, model=model)
    assert [piece.score.dumps_midi() for piece in again] == [piece.score.dumps_midi() for piece in pieces]
    assert pieces[0].score.dumps_midi() != pieces[1].score.dumps_midi()


def test_the_system_of_the_page_learns(bigram: Recipe, corpus: Corpus, tmp_path: Path) -> None:
    told = []
    longer = Recipe(bigram.config, Training(steps=40, warm_up_steps=1, validate_every=20, save_every=20))
    train("bigram", longer, corpus, tmp_path / "run", told=told.append)
    first, *_, last = (progress.validation["nats_per_note"] for progress in told if progress.validation)
    assert last < first
    system, _, notes = checkpoint.load(tmp_path / "run" / "checkpoints" / "best")
    assert notes["best"] == min(first, last)
    assert len(system.generate(Request(bars=2), np.random.default_rng(0))[0].tracks) == 1


def test_every_python_block_is_python() -> None:
    for page in DOCS:
        for block in re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE):
            ast.parse(block)


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", page.read_text("utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


def test_rooms_of_the_design_are_the_rooms_there_are() -> None:
    """Every module and folder of the package stands in the table of floors, on the floor that the imports have."""
    from test_floors import FLOOR

    table = {}
    for line in (ROOT / "docs" / "design.md").read_text("utf-8").splitlines():
        if row := re.fullmatch(r"\| (\d+) \| (.+?) \| .+ \|", line):
            table |= {name.strip("/").replace("/", "."): int(row[1]) for name in re.findall(r"`([\w/]+)`", row[2])}
    assert table == {room: floor for room, floor in FLOOR.items() if room != "__main__"}
