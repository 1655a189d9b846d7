"""A system on disk: what is written is read back whole, and what is not whole is refused with one line."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import orchestrion
from orchestrion.data.store import Corpus
from orchestrion.models import checkpoint
from orchestrion.models.base import System
from orchestrion.models.checkpoint import CheckpointError
from orchestrion.models.registry import recipe, system_class, system_names

FILES = {"config.json", "model.safetensors", "state.json", "state.safetensors"}


def step(system: System, optimizers: dict[str, torch.optim.Optimizer], corpus: Corpus, seed: int) -> None:
    torch.manual_seed(seed)
    batch = system.batch(corpus, "train", np.random.default_rng(seed))
    for name, loss in system.losses(batch, seed):
        optimizers[name].zero_grad()
        loss.backward()
        optimizers[name].step()
    system.after_step(seed, [batch])


@pytest.fixture(scope="module")
def written(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of each system after two steps, with its optimizers."""
    folders = {}
    for name in system_names():
        torch.manual_seed(0)
        system = system_class(name)(recipe(name, "tiny").config)
        optimizers = system.optimizers()
        for seed in range(2):
            step(system, optimizers, corpus, seed)
        folders[name] = tmp_path_factory.mktemp(name) / "there"
        checkpoint.save(folders[name], name, system, optimizers=optimizers, step=2, best=1.5)
    return folders


@pytest.fixture
def folder(written: dict[str, Path], tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(written["composer"], tmp_path / "copy.v2"))


@pytest.mark.parametrize("name", system_names())
def test_what_is_written_is_read_back(name: str, written: dict[str, Path], corpus: Corpus, tmp_path: Path) -> None:
    system, optimizers, notes = checkpoint.load(written[name], optimizers=True)
    assert isinstance(system, system_class(name))
    assert system.config == recipe(name, "tiny").config
    assert (notes["system"], notes["step"], notes["best"]) == (name, 2, 1.5)
    checkpoint.save(tmp_path / "again", name, system, optimizers=optimizers, step=2, best=1.5)
    for file in FILES:
        assert (tmp_path / "again" / file).read_bytes() == (written[name] / file).read_bytes()
    before = {key: value.clone() for key, value in system.state_dict().items()}
    step(system, optimizers, corpus, 2)
    again, its_optimizers, _ = checkpoint.load(tmp_path / "again", optimizers=True)
    step(again, its_optimizers, corpus, 2)
    after = system.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in again.state_dict().items())
    assert not all(torch.equal(value, after[key]) for key, value in before.items())


def test_a_system_alone_needs_no_state(written: dict[str, Path], tmp_path: Path) -> None:
    system, owned, _ = checkpoint.load(written["composer"])
    assert owned == {}
    checkpoint.save(tmp_path / "alone", "composer", system)
    assert {path.name for path in (tmp_path / "alone").iterdir()} == {"config.json", "model.safetensors"}
    checkpoint.load(tmp_path / "alone")
    with pytest.raises(CheckpointError, match=r"state\.safetensors is missing"):
        checkpoint.load(tmp_path / "alone", optimizers=True)


def edit(file: str, change: Callable[[dict], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        change(content)
        (folder / file).write_text(json.dumps(content))

    return damage


def cut(file: str, share: float) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = (folder / file).read_bytes()
        (folder / file).write_bytes(data[: int(len(data) * share)])

    return damage


def overwrite(file: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_bytes(data) and None


def swap(first: str, second: str) -> Callable[[Path], None]:
    return lambda folder: shutil.copy(folder / first, folder / second) and None


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda folder: shutil.rmtree(folder), "there is no such folder"),
    "no config": (lambda folder: (folder / "config.json").unlink(), r"config\.json is missing"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), r"model\.safetensors is missing"),
    "no numbers": (lambda folder: (folder / "state.json").unlink(), r"state\.json is missing"),
    "newer format": (edit("config.json", lambda c: c.update(format=99)), "has format 99; this version reads 1"),
    "unknown system": (edit("config.json", lambda c: c.update(system="../oracle")), "no system"),
    "unknown option": (edit("config.json", lambda c: c["config"].update(depth=3)), "depth"),
    "impossible option": (edit("config.json", lambda c: c["config"].update(heads=0)), "damaged"),
    "other size": (edit("config.json", lambda c: c["config"].update(width=64)), "damaged"),
    "no option": (edit("config.json", lambda c: c.pop("config")), "config"),
    "no object": (overwrite("config.json", b"[1, 2]"), "damaged"),
    "bytes": (overwrite("config.json", bytes(range(128, 256))), "damaged"),
    "empty": (overwrite("config.json", b""), "damaged"),
    "cut config": (cut("config.json", 0.5), "damaged"),
    "cut header": (cut("model.safetensors", 0.001), "damaged"),
    "cut weights": (cut("model.safetensors", 0.9), "damaged"),
    "empty weights": (overwrite("model.safetensors", b""), "damaged"),
    "other weights": (swap("state.safetensors", "model.safetensors"), "damaged"),
    "cut state": (cut("state.safetensors", 0.9), "damaged"),
    "other state": (swap("model.safetensors", "state.safetensors"), "damaged"),
    "cut numbers": (cut("state.json", 0.5), "damaged"),
    "other groups": (edit("state.json", lambda c: c["adam"]["groups"].pop()), "damaged"),
    "no optimizer": (edit("state.json", lambda c: c.clear()), "adam"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_named_in_one_line(kind: str, folder: Path) -> None:
    damage, expected = DAMAGES[kind]
    damage(folder)
    with pytest.raises(CheckpointError, match=expected) as raised:
        checkpoint.load(folder, optimizers=True)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_is_no_checkpoint(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        checkpoint.load(folder / "config.json")


class Unwritable:
    """A note whose writing fails after the folder was begun."""


def test_a_write_that_fails_leaves_what_was_there(folder: Path) -> None:
    system, optimizers, _ = checkpoint.load(folder, optimizers=True)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(TypeError):
        checkpoint.save(folder, "composer", system, optimizers=optimizers, step=Unwritable())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_newer_checkpoint_takes_the_place(folder: Path) -> None:
    system, _, _ = checkpoint.load(folder)
    checkpoint.save(folder, "composer", system, step=3)
    assert checkpoint.load(folder)[2]["step"] == 3
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_rests_of_killed_writers_are_cleared(folder: Path) -> None:
    for what in ("new", "old"):
        shutil.copytree(folder, folder.with_name(f".{folder.name}.{what}.4711"))
    checkpoint.clear_rests(folder.parent)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    checkpoint.load(folder, optimizers=True)


def test_a_checkpoint_put_away_is_put_back_where_the_new_one_never_came(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name(f".{folder.name}.new.4711"))
    folder.rename(folder.with_name(f".{folder.name}.old.4711"))
    checkpoint.clear_rests(folder.parent)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    checkpoint.load(folder, optimizers=True)


def test_nothing_is_pickled(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == FILES
    for path in sorted(Path(orchestrion.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text())
        names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        imports = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)
                   for alias in node.names}  # fmt: skip
        if path.name != "second_process.py":  # which speaks with the process that it started itself, and reads no file
            assert not imports & {"pickle", "dill", "joblib", "shelve", "marshal"}, path
        assert not names & {"torch.save", "torch.load"}, path
        assert not re.search(r"allow_pickle\s*=\s*True", path.read_text()), path
