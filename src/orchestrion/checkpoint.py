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

from orchestrion.registry import UnknownSystemError, system_class, system_module
from orchestrion.system import System

FORMAT = 1


class CheckpointError(ValueError):
    """A checkpoint that cannot be read; the message says why in one line."""


def save(
    folder: Path, name: str, system: System, *, optimizers: dict[str, Optimizer] | None = None, **notes: Any
) -> None:
    """Write a system and, with `optimizers`, what training needs to go on. `notes` are kept in config.json."""
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    config = {"format": FORMAT, "system": name, "config": dataclasses.asdict(system.config), **notes}
    (beside / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file({key: value.contiguous() for key, value in system.state_dict().items()}, beside / "model.safetensors")
    if optimizers is not None:
        tensors, numbers = _flatten(optimizers)
        save_file(tensors, beside / "state.safetensors")
        (beside / "state.json").write_text(json.dumps(numbers))
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(beside, folder)


def load(folder: Path | str, optimizers: bool = False) -> tuple[System, dict[str, Optimizer], dict[str, Any]]:
    """The system of a checkpoint, its optimizers as they stood (empty unless asked for) and config.json as written.

    Raises CheckpointError.
    """
    folder = Path(folder)
    try:
        notes = json.loads((folder / "config.json").read_text())
        if notes["format"] != FORMAT:
            raise CheckpointError(f"{folder} has format {notes['format']}; this version reads {FORMAT}")
        kind = system_class(notes["system"])
        config_class = type(next(iter(system_module(notes["system"]).RECIPES.values())).config)
        system = kind(config_class(**notes["config"]))
        system.load_state_dict(load_file(folder / "model.safetensors"))
        owned = _restored(system, folder) if optimizers else {}
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} is not a checkpoint: {Path(error.filename).name} is missing") from error
    except (KeyError, TypeError, json.JSONDecodeError, SafetensorError, RuntimeError, UnknownSystemError) as error:
        raise CheckpointError(f"{folder} cannot be read: {str(error).splitlines()[0]}") from error
    return system, owned, notes


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
                    tensors[f"{name}/{index}/{key}"] = value.contiguous()
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
