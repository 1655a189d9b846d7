"""A run of training on disk.

run.json            system, recipe, config, training, seed and corpus: all that decides the result
checkpoints/STEP/   the last and the best checkpoint
history.jsonl       a row a step: training loss and, where it was measured, validation figures
loss.png            the curve so far
tensorboard/        the same for TensorBoard

The curve takes matplotlib and TensorBoard tensorboardX; where one is not installed a run goes on without.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrion.core.errors import UserError
from orchestrion.core.files import replace_file
from orchestrion.data.store import Corpus
from orchestrion.models.base import Recipe


class TrainingError(UserError):
    """Training that cannot start or go on; the message says why and what to do."""


def claim(out: Path, name: str, recipe: Recipe, corpus: Corpus, seed: int) -> None:
    """Write run.json, or see that the one there is of the same run. The steps may change, and whether it is sharded.

    Raises TrainingError where the folder holds another run.
    """
    training = dataclasses.asdict(recipe.training)
    wanted: dict[str, Any] = {
        "system": name,
        "config": dataclasses.asdict(recipe.config),
        "training": training,
        "seed": seed,
        "corpus": corpus.info()["fingerprint"],
    }
    text = json.dumps(wanted, indent=1) + "\n"
    wanted = json.loads(text)  # as what is read: without tuples
    path = out / "run.json"
    if path.exists():
        there = json.loads(path.read_text())
        changed = [key for key in wanted if key != "training" and there.get(key) != wanted[key]]
        fixed = training.keys() - {"steps", "shard"}
        changed += sorted(key for key in fixed if there["training"].get(key) != training[key])
        if changed:
            raise TrainingError(
                f"{out} holds a run with another {', '.join(changed)}; choose another folder or delete it"
            )
    out.mkdir(parents=True, exist_ok=True)
    replace_file(path, text)


def last_checkpoint(out: Path) -> Path | None:
    """The checkpoint that training goes on from, if there is one."""
    steps = sorted(int(folder.name) for folder in (out / "checkpoints").glob("[0-9]*"))
    return out / "checkpoints" / str(steps[-1]) if steps else None


def drop_earlier(out: Path, step: int) -> None:
    """Delete the checkpoints of steps before this one; the best stays."""
    for old in (out / "checkpoints").glob("[0-9]*"):
        if int(old.name) < step:
            shutil.rmtree(old)


class Log:
    """history.jsonl, the curve and TensorBoard; rows after the checkpoint that a run goes on from are dropped.

    Only the first process writes.
    """

    def __init__(self, out: Path, step: int, write: bool) -> None:
        self.out, self.path = out, out / "history.jsonl"
        self.rows: list[dict[str, Any]] = [row for row in _rows(self.path) if row["step"] <= step]
        self.board, self.write = _board(out / "tensorboard", step, write), write

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        if self.board is not None:
            self.board.close()

    def add(
        self, step: int, losses: dict[str, float], validation: dict[str, float], remarks: Sequence[str] = ()
    ) -> None:
        figures = {f"train/{k}": v for k, v in losses.items()} | {f"validation/{k}": v for k, v in validation.items()}
        if self.board is not None:
            for key, value in figures.items():
                self.board.add_scalar(key, value, step)
        self.rows.append({"step": step, **figures, **({"remarks": list(remarks)} if remarks else {})})

    def flush(self) -> None:
        if self.board is not None:
            self.board.flush()
        if self.write:
            replace_file(self.path, "".join(json.dumps(row) + "\n" for row in self.rows))

    def draw(self) -> None:
        from orchestrion.rendering.piano_roll import write_loss_curve

        if self.write:
            with suppress(ModuleNotFoundError):
                write_loss_curve(self.rows, self.out / "loss.png")


def _board(folder: Path, step: int, write: bool) -> Any:
    """A writer for TensorBoard, None where tensorboardX is missing."""
    try:
        from tensorboardX import SummaryWriter
    except ModuleNotFoundError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1, write_to_disk=write)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text().splitlines():
            yield json.loads(line)
