"""A trained system ready to play: of a run, of a checkpoint, or one that comes with the package."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrion.models import checkpoint
from orchestrion.models.base import System
from orchestrion.models.checkpoint import CheckpointError

WEIGHTS = Path(__file__).parent / "weights"
BUNDLED = WEIGHTS / "composer"
MODEL_VARIABLE = "ORCHESTRION_MODEL"


@dataclass(frozen=True)
class Model:
    """A system ready to play, with what names it in a record, and the folder it was read from, if it was."""

    system: System
    name: str
    notes: dict[str, Any]
    sha256: str
    folder: Path | None = None

    @property
    def has_bars(self) -> bool:
        """Whether the model writes bars; the others write in real time."""
        return "bars" in self.system.holds

    @property
    def reads_plans(self) -> bool:
        """Whether it composes by a plan."""
        return bool(getattr(self.system.config, "reads_plan", False))

    @property
    def named(self) -> dict[str, Any]:
        """What names it in a record."""
        return {"system": self.name, "sha256": self.sha256, "step": self.notes.get("step")}


def load(model: str | Path | None = None) -> Model:
    """The system of a run folder or checkpoint folder, or the bundled one of that name; where none is named, of the one
    that the environment variable ORCHESTRION_MODEL names, else the bundled composer.

    Raises CheckpointError."""
    folder = folder_of(model or os.environ.get(MODEL_VARIABLE) or BUNDLED)
    system, _, notes = checkpoint.load(folder)
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    return Model(system.eval(), notes["system"], notes, digest, folder.resolve())


def folder_of(model: str | Path) -> Path:
    """The checkpoint that is meant: the best of a run, a checkpoint itself, or bundled weights by their name."""
    folder = Path(model)
    if not folder.exists() and (WEIGHTS / folder).is_dir():
        folder = WEIGHTS / folder
    best = folder / "checkpoints" / "best"
    return best if best.exists() else folder


def bundled(system: str) -> Path:
    """The weights of a system that come with the package. Raises CheckpointError where there are none."""
    there = sorted(folder.name for folder in WEIGHTS.iterdir() if (folder / "config.json").exists())
    if system not in there:
        raise CheckpointError(
            f"no weights of {system!r} come with the package, only of {', '.join(there)}; name a run of your own as the"
            " model"
        )
    return WEIGHTS / system
