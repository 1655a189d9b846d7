"""Packed corpora: exact there and back, as small as asked, and what a lent machine does with them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from time import monotonic
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrion.cli import main
from orchestrion.data import packed
from orchestrion.data.packed import FACTS, NoteTables, pack, unpack
from orchestrion.data.plans import plan_table
from orchestrion.data.store import Corpus, CorpusError
from orchestrion.models import loading as models
from orchestrion.models.checkpoint import load, save
from orchestrion.models.registry import recipe, system_class
from orchestrion.representations.cells import sorted_notes
from orchestrion.training.trainer import Progress, train

ROOT = Path(__file__).parent.parent
NOTE = st.tuples(st.integers(0, 3000), st.integers(0, 3), st.integers(0, 95), st.integers(0, 127), st.integers(1, 192),
                 st.integers(0, 15))  # fmt: skip
PIECE = st.lists(NOTE, min_size=1, max_size=12, unique_by=lambda note: note[:4])


@settings(deadline=None, max_examples=50)
@given(st.lists(PIECE, min_size=1, max_size=4))
def test_notes_come_back_exactly(pieces: list[list[tuple[int, ...]]]) -> None:
    tables = [sorted_notes(np.array(piece, np.int16)) for piece in pieces]
    notes, tracks = np.array([len(table) for table in tables]), np.full(len(tables), 4)
    table = np.concatenate(tables)
    found = packed.decoded((packed.encoded(NoteTables(table, notes, tracks)), notes, tracks))
    assert found.dtype == np.int16
    assert (found == table).all()


def test_a_corpus_comes_back_with_its_plans(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(packed, "BLOCK_NOTES", 100)  # several blocks
    told = pack(corpus, tmp_path, max_bytes=10**6)
    assert (told.path, told.bytes) == (tmp_path / "corpus.packed", (tmp_path / "corpus.packed").stat().st_size)
    assert (told.pieces, told.plans, told.left_out) == (12, True, {})
    monkeypatch.setattr("orchestrion.data.plans._write", None)  # nothing is estimated again
    again = unpack(told.path, tmp_path / "again")
    for one, other in zip(corpus.pieces(), again.pieces(), strict=True):
        assert (one.cells().notes == other.cells().notes).all()
        assert (one.id, one.split, one.key, one.cells().meters) == (other.id, other.split, other.key, other.meters)
        assert (one.tempo, one.instruments, one.licence) == (other.tempo, other.instruments, other.licence)
        assert other.facts == {name: one.facts[name] for name in FACTS if name in one.facts}
    mine, theirs = plan_table(corpus).arrays, plan_table(again).arrays
    assert mine.keys() == theirs.keys()
    for name, array in mine.items():
        assert array.dtype == theirs[name].dtype
        assert (array == theirs[name]).all()
    with pytest.raises(CorpusError, match="holds no timed notes"):
        again.pieces()[0].timed()
    with pytest.raises(CorpusError, match="is there already"):
        unpack(told.path, again.path)


def test_what_does_not_fit_is_left_out(corpus: Corpus, tmp_path: Path) -> None:
    whole = pack(corpus, tmp_path / "whole", max_bytes=10**6)
    plain = pack(corpus, tmp_path / "plain", max_bytes=whole.bytes - 1)
    assert (plain.plans, plain.pieces) == (False, 12)
    found = unpack(plain.path, tmp_path / "found")
    assert (plan_table(found).arrays["levels"] == plan_table(corpus).arrays["levels"]).all()
    small = pack(corpus, tmp_path / "small", max_bytes=plain.bytes - 300)
    assert small.bytes <= plain.bytes - 300
    assert small.pieces + sum(small.left_out.values()) == 12
    few = unpack(small.path, tmp_path / "few")
    assert few.pieces("train")
    assert few.pieces("valid")
    with pytest.raises(CorpusError, match="too few pieces"):
        pack(corpus, tmp_path / "none", max_bytes=100)


def test_shares_take_the_cleanest(corpus: Corpus, tmp_path: Path) -> None:
    (name,) = {piece.dataset for piece in corpus.pieces()}
    half = pack(corpus, tmp_path / "half", max_bytes=10**6, shares={name: 0.5})
    assert half.left_out == {"by the shares asked for": 12 - half.pieces}
    with pytest.raises(CorpusError, match="expected a share"):
        pack(corpus, tmp_path / "no", max_bytes=10**6, shares={"other": 0.5})


def test_the_commands(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def orchestrion(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["orchestrion", "corpus", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return captured.out if not ended.value.code else captured.err

    file = tmp_path / "made" / "small.packed"
    assert "12 pieces" in orchestrion("pack", corpus.path, "--out", file, "--max-mib", 1, "--workers", 1)
    assert "0 captions" in orchestrion("unpack", file, "--out", tmp_path / "again", "--workers", 1)
    assert "is there already" in orchestrion("unpack", file, "--out", tmp_path / "again", "--workers", 1)
    assert "expected NAME=SHARE" in orchestrion("pack", corpus.path, "--out", file, "--dataset-shares", "folder=half")


def test_damage_is_told_in_a_line(corpus: Corpus, tmp_path: Path) -> None:
    data = pack(corpus, tmp_path / "whole", max_bytes=10**6).path.read_bytes()
    rng = np.random.default_rng(0)
    harmed = [b"", data[:20], data[:-1], data[: len(data) // 2], data + b"x"]
    for place in [*range(0, 40, 3), *rng.integers(40, len(data), 20)]:
        harmed.append(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
    for number, bad in enumerate(harmed):
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(CorpusError) as told:
            unpack(tmp_path / "bad", tmp_path / f"out{number}")
        assert "\n" not in str(told.value)
    assert not list(tmp_path.glob("out*"))
    with pytest.raises(CorpusError):
        unpack(tmp_path / "missing", tmp_path / "out")


@pytest.fixture
def ship(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "runs"))
    import ship

    return ship


def test_weights_come_back_in_parts(ship: ModuleType, tmp_path: Path) -> None:
    system = system_class("composer")(recipe("composer", "tiny").config)
    save(tmp_path / "best", "composer", system, step=3, best=1.0, validation={"nats": 1.0})
    paths = ship.write_parts(tmp_path / "best", tmp_path / "parts", 60_000)
    assert len(paths) > 1
    assert all(path.stat().st_size <= 60_000 for path in paths)
    ship.join(tmp_path / "parts", tmp_path / "joined")
    again, _, notes = load(tmp_path / "joined")
    assert (notes["step"], "parts" in notes) == (3, False)
    for name, value in system.state_dict().items():
        assert torch.equal(again.state_dict()[name], value.half().float())
    assert models.load(tmp_path / "joined").name == "composer"
    paths[0].write_bytes(paths[0].read_bytes()[:-1] + b"!")
    with pytest.raises(SystemExit, match="damaged"):
        ship.join(tmp_path / "parts", tmp_path / "other")
    paths[1].unlink()
    paths[0].unlink()
    with pytest.raises(SystemExit, match="does not hold"):
        ship.join(tmp_path / "parts", tmp_path / "other")


def test_a_lent_machine_trains_until_the_time_is_up(ship: ModuleType, tmp_path: Path) -> None:
    import accelerator

    source = accelerator.made_corpus(tmp_path / "made")
    told = pack(source, tmp_path, max_bytes=10**6)
    end = monotonic() + 15
    files = accelerator.run(
        told.path, tmp_path / "work", tmp_path / "out", recipe("composer", "tiny"), end=end, workers=1
    )
    assert {path.name for path in files} == {"config.json", "history.jsonl", "loss.png", "weights-1-of-1.safetensors"}
    rows = [json.loads(line) for line in (tmp_path / "out" / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    ship.join(tmp_path / "out", tmp_path / "checkpoint")
    assert models.load(tmp_path / "checkpoint").reads_plans
    kept = json.loads((tmp_path / "work" / "run" / "run.json").read_text())["training"]
    assert kept["steps"] != 20 or monotonic() > end  # set by the pace


def test_batches_of_other_processes_are_the_same(ship: ModuleType, corpus: Corpus) -> None:
    import accelerator

    tiny = recipe("composer", "tiny")
    composer = system_class("composer")(tiny.config)
    seeds = (5, 7, 0)
    mine = composer.batch(corpus, "train", np.random.default_rng(seeds))
    with accelerator.drawn_ahead(tiny, corpus, 1):
        theirs = composer.batch(corpus, "train", np.random.default_rng(seeds))
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert value.dtype == theirs[name].dtype
        assert torch.equal(value.nan_to_num(7), theirs[name].nan_to_num(7))


def test_the_steps_fit_the_time(ship: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    import accelerator

    assert accelerator.steps_in(100, 0.5, 100) == 100 + 194
    assert accelerator.steps_in(100, 0.5, -3) == 101
    now = 0.0
    monkeypatch.setattr(accelerator, "monotonic", lambda: now)
    watch, stops = accelerator.Watch(100.0, [0.0, 50.0], 10, lambda progress: None), []
    for step in range(1, 1000):
        now += 0.5
        try:
            watch(Progress(step, 1000, {}, {}, 0.0, 0.0))
        except accelerator.Stopped as stop:
            stops.append((step, str(stop)))
            assert watch.pace == 0.5
            if stop.args:
                break
            watch = watch.again()
    assert stops == [(10, ""), (100, ""), (195, "the time is up")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "runs" / "accelerator.sh", "--packed", tmp_path / "none"],
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "OUT": str(tmp_path / "out")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("PyTorch sees no GPU")


def test_training_needs_no_pictures(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorboardX", "matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    train("composer", recipe("composer", "tiny"), corpus, tmp_path / "run")
    assert (tmp_path / "run" / "history.jsonl").exists()
    assert not (tmp_path / "run" / "loss.png").exists()
