"""A trained system on disk: a folder with config.json and model.safetensors, and state for going on with training.

Nothing is pickled. A folder appears under its name only when it is whole.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from orchestrion.core.errors import UserError
from orchestrion.models.base import System
from orchestrion.models.layers.sharding import whole
from orchestrion.models.registry import config_class, system_class

FORMAT = 1
#: What a file that is cut short, edited or of another version can raise on its way into a system.
_DAMAGE = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RuntimeError, SafetensorError)


class CheckpointError(UserError):
    """A checkpoint that cannot be read; the message says why in one line."""


def save(
    folder: Path,
    name: str,
    system: System,
    *,
    optimizers: dict[str, Optimizer] | None = None,
    write: bool = True,
    **notes: Any,
) -> None:
    """Write a system and, with `optimizers`, what training needs to go on. `notes` are kept in config.json.

    Weights that lie in parts on several processes are put together, for which all processes must call; those that are
    not to write pass `write` False.
    """
    weights = {key: whole(value).contiguous() for key, value in system.state_dict().items()}
    tensors, numbers = _flatten(optimizers or {})
    if not write:
        return
    beside, former = (folder.with_name(f".{folder.name}.{what}.{os.getpid()}") for what in ("new", "old"))
    config = {"format": FORMAT, "system": name, "config": dataclasses.asdict(system.config), **notes}
    _clear(beside, former)
    try:
        beside.mkdir(parents=True)
        (beside / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        save_file(weights, beside / "model.safetensors")
        if optimizers is not None:
            save_file(tensors, beside / "state.safetensors")
            (beside / "state.json").write_text(json.dumps(numbers))
        if folder.exists():
            os.rename(folder, former)
        os.rename(beside, folder)
    finally:
        _clear(beside, former)


def clear_rests(parent: Path) -> None:
    """Delete what writers that were killed left beside the checkpoints of a folder; see `_clear`."""
    for what in ("new", "old"):
        _clear(*parent.glob(f".*.{what}.*"))


def _clear(*rests: Path) -> None:
    """Delete what lies beside a checkpoint; but one that was put away is put back where no new one has come."""
    for rest in rests:
        name, what, _ = rest.name[1:].rsplit(".", 2)
        if what == "old" and rest.exists() and not rest.with_name(name).exists():
            os.rename(rest, rest.with_name(name))
        else:
            shutil.rmtree(rest, ignore_errors=True)


def load(folder: Path | str, optimizers: bool = False) -> tuple[System, dict[str, Optimizer], dict[str, Any]]:
    """The system of a checkpoint, its optimizers as they stood (empty unless asked for) and config.json as written.

    Raises CheckpointError.
    """
    folder = Path(folder)
    try:
        notes = json.loads((folder / "config.json").read_text())
        if notes["format"] != FORMAT:
            raise CheckpointError(f"{folder} has format {notes['format']}; this version reads {FORMAT}")
        config = {key: _frozen(value) for key, value in notes["config"].items()}
        system = system_class(notes["system"])(config_class(notes["system"])(**config))
        system.load_state_dict(load_file(folder / "model.safetensors"))
        owned = _restored(system, folder) if optimizers else {}
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{folder} is not a checkpoint: {_missing(folder, optimizers)}") from error
    except _DAMAGE as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CheckpointError(f"{folder} is damaged or of another version ({reason})") from error
    return system, owned, notes


def begin_with(system: System, name: str, folder: Path) -> None:
    """Take over the weights of a checkpoint of the same system; those that it lacks stay as they are.

    Raises CheckpointError where it is of another system or nothing fits."""
    try:
        notes = json.loads((folder / "config.json").read_text())
        weights = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder} is not a checkpoint: {_missing(folder, False)}") from error
    if notes.get("system") != name:
        raise CheckpointError(f"{folder} is of the system {notes.get('system')}; a run of {name} cannot begin with it")
    own = system.state_dict()
    fitting = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
    if len(fitting) < len(weights):
        other = sorted(weights.keys() - fitting.keys())[0]
        raise CheckpointError(f"{folder} has other sizes ({other}); begin with one of the same width and layers")
    system.load_state_dict({**own, **fitting})


def _missing(folder: Path, optimizers: bool) -> str:
    names = ["config.json", "model.safetensors", *(["state.safetensors", "state.json"] if optimizers else [])]
    missing = [name for name in names if not (folder / name).is_file()]
    if not folder.is_dir():
        return "there is no such folder"
    return f"{missing[0]} is missing" if missing else "its files cannot be read"


def _frozen(value: Any) -> Any:
    """JSON knows no tuples, and configs hold no lists."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _flatten(optimizers: dict[str, Optimizer]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors under "optimizer/parameter/name", all else as numbers for JSON."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for name, optimizer in optimizers.items():
        state = optimizer.state_dict()
        numbers[name] = {"groups": state["param_groups"], "state": {}}
        for index, values in state["state"].items():
            for key, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f"{name}/{index}/{key}"] = whole(value).contiguous()
                else:
                    numbers[name]["state"].setdefault(str(index), {})[key] = value
    return tensors, numbers


def _restored(system: System, folder: Path) -> dict[str, Optimizer]:
    optimizers = system.optimizers()
    tensors = load_file(folder / "state.safetensors")
    numbers = json.loads((folder / "state.json").read_text())
    for name, optimizer in optimizers.items():
        state: dict[int, dict[str, Any]] = {int(k): dict(v) for k, v in numbers[name]["state"].items()}
        for path, value in tensors.items():
            owner, index, key = path.split("/")
            if owner == name:
                state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": state, "param_groups": numbers[name]["groups"]})
    return optimizers
