"""The one training loop: any system on any corpus, on one process or several, that goes on where it was stopped.

A run is a folder:
    run.json            system, recipe, config, training, seed and corpus: all that decides the result
    checkpoints/STEP/   the last and the best checkpoint
    history.jsonl       a row every few steps: training loss, validation figures, rates
    loss.png            the curve so far
    tensorboard/        the same for TensorBoard
Batch m of step s is drawn from the seeds (seed, s, m) alone, so that a run resumed, or spread over processes, sees the
same music. Gradients of `accumulate` batches, over all processes, make one step.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
import torch.distributed as distributed
from torch import Tensor
from torch.optim import Optimizer

from orchestrion import checkpoint
from orchestrion.corpus.store import Corpus
from orchestrion.registry import system_class
from orchestrion.system import Batch, Recipe, System, Training

VALIDATION_SEED = 2**31


class TrainingError(ValueError):
    """Training that cannot start or go on; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """What the loop tells after each step: losses by optimizer, validation figures where it measured."""

    step: int
    steps: int
    losses: dict[str, float]
    validation: dict[str, float]
    seconds: float


class Processes:
    """This process among those that `torchrun` started; alone where it did not."""

    def __init__(self) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        cuda = torch.cuda.is_available()
        self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
        if self.count > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if cuda else "gloo")

    def sum_gradients(self, optimizer: Optimizer, batches: int) -> None:
        """Add up the gradients of all processes and divide by the number of batches."""
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if self.count > 1:
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            distributed.all_reduce(flat)
            for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(part.view_as(gradient))
        if batches > 1:
            for gradient in gradients:
                gradient.div_(batches)

    def sum_numbers(self, numbers: list[float]) -> list[float]:
        if self.count == 1:
            return numbers
        total = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return [float(number) for number in total]

    def leave(self) -> None:
        if self.count > 1:
            distributed.barrier()  # gloo aborts at exit where one process leaves early
            distributed.destroy_process_group()


def train(
    name: str,
    recipe: Recipe,
    corpus: Corpus,
    out: Path,
    *,
    seed: int = 0,
    told: Callable[[Progress], None] | None = None,
) -> None:
    """Train the system `name` by its recipe into the run folder `out`, or go on with the run that is there.

    Raises TrainingError where `out` holds another run, or the corpus is too small to learn from.
    """
    training = recipe.training
    processes = Processes()
    if training.accumulate % processes.count:
        raise TrainingError(
            f"{processes.count} processes cannot share {training.accumulate} batches a step evenly;"
            f" set accumulate to a multiple of {processes.count}"
        )
    for split in ("train", "valid"):
        if not corpus.pieces(split):
            raise TrainingError(f"the corpus has no piece in its {split} split; give it more music")
    if processes.rank == 0:
        _claim(out, name, recipe, corpus, seed)
    last = _last_checkpoint(out)
    if last is None:
        torch.manual_seed(seed)
        system, step, best = system_class(name)(recipe.config), 0, float("inf")
        optimizers = system.to(processes.device).optimizers()
    else:
        system, optimizers, notes = checkpoint.load(last, optimizers=True)
        step, best = int(notes["step"]), float(notes["best"])
        _move(system, optimizers, processes.device)
    log = _Log(out, step) if processes.rank == 0 else None
    precision = _precision(training, processes.device)

    started, losses = monotonic(), {}
    ahead = _Ahead(system, corpus, training, seed, processes)
    while step < training.steps:
        system.train()
        _set_rates(optimizers, training, step)
        torch.manual_seed(seed * 1_000_003 + step * 1009 + processes.rank)
        losses = _step(system, optimizers, training, processes, precision, ahead.batches(step))
        step += 1
        validation: dict[str, float] = {}
        if step % training.validate_every == 0 or step == training.steps:
            validation = _validate(system, corpus, training, processes, precision)
            figure = next(iter(validation.values()))
            if figure < best:
                best = figure
                if processes.rank == 0:
                    checkpoint.save(
                        out / "checkpoints" / "best", name, system, step=step, best=best, validation=validation
                    )
        if log is not None:
            log.add(step, losses, validation)
            if step % training.save_every == 0 or step == training.steps:
                log.flush()
                _save_last(out, name, system, optimizers, step, best)
            if validation:
                log.draw()
        if told is not None and processes.rank == 0:
            told(Progress(step, training.steps, losses, validation, monotonic() - started))
    processes.leave()


class _Ahead:
    """This process's batches of each step, drawn on another thread while the step before is taken."""

    def __init__(self, system: System, corpus: Corpus, training: Training, seed: int, processes: Processes) -> None:
        self._draw = lambda step: [
            system.batch(corpus, "train", np.random.default_rng((seed, step, number)))
            for number in range(processes.rank, training.accumulate, processes.count)
        ]
        self._device, self._steps = processes.device, training.steps
        self._thread = ThreadPoolExecutor(1)
        self._waiting: dict[int, Future[list[Batch]]] = {}

    def batches(self, step: int) -> list[Batch]:
        future = self._waiting.pop(step, None) or self._thread.submit(self._draw, step)
        if step + 1 < self._steps:
            self._waiting[step + 1] = self._thread.submit(self._draw, step + 1)
        return [_to(batch, self._device) for batch in future.result()]


def _step(
    system: System,
    optimizers: dict[str, Optimizer],
    training: Training,
    processes: Processes,
    precision: Callable[[], AbstractContextManager[Any]],
    batches: list[Batch],
) -> dict[str, float]:
    """Drive the losses of all batches side by side; each round of them is one step of the optimizer they name."""
    sums: dict[str, list[float]] = defaultdict(list)
    generators = [system.losses(batch) for batch in batches]
    while True:
        yielded, total = "", torch.zeros((), device=processes.device)
        for index, generator in enumerate(generators):
            with precision():
                item = next(generator, None)
            if item is None:
                return {name: float(np.mean(values)) for name, values in sums.items()}
            yielded, loss = item
            if index == 0:
                optimizers[yielded].zero_grad()
            loss.backward()
            total += loss.detach()
        optimizer = optimizers[yielded]
        processes.sum_gradients(optimizer, training.accumulate)
        if training.clip_norm:
            owned = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(owned, training.clip_norm)
        with precision():
            optimizer.step()
        sums[yielded].append(processes.sum_numbers([float(total)])[0] / training.accumulate)


@torch.no_grad()
def _validate(
    system: System, corpus: Corpus, training: Training, processes: Processes, precision: Callable[[], Any]
) -> dict[str, float]:
    system.eval()
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
    for index in range(processes.rank, training.validation_batches, processes.count):
        batch = system.batch(corpus, "valid", np.random.default_rng((VALIDATION_SEED, index)))
        with precision():
            for key, pair in system.measure(_to(batch, processes.device)).items():
                sums[key] += pair
    names = list(sums)
    flat = processes.sum_numbers([float(x) for key in names for x in sums[key]])
    return {key: flat[2 * i] / max(flat[2 * i + 1], 1) for i, key in enumerate(names)}


def rate_factor(training: Training, step: int) -> float:
    """The share of the full rate at a step counted from 0."""
    rising = (step + 1) / max(training.warm_up_steps, 1)
    falling = (training.steps - step) / max(training.decay_share * training.steps, 1)
    return min(1.0, rising, falling)


def _set_rates(optimizers: dict[str, Optimizer], training: Training, step: int) -> None:
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group.setdefault("full_rate", group["lr"])
            group["lr"] = group["full_rate"] * rate_factor(training, step)


def _precision(training: Training, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    able = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_computes_bf16()
    enabled = training.precision == "bf16" and able
    return lambda: torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def _cpu_computes_bf16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported())


def _to(batch: Batch, device: torch.device) -> Batch:
    return {key: value.to(device) for key, value in batch.items()}


def _move(system: System, optimizers: dict[str, Optimizer], device: torch.device) -> None:
    system.to(device)
    for optimizer in optimizers.values():
        for state in optimizer.state.values():
            state.update({key: value.to(device) for key, value in state.items() if isinstance(value, Tensor)})


# ---- the run folder


def _claim(out: Path, name: str, recipe: Recipe, corpus: Corpus, seed: int) -> None:
    """Write run.json, or see that the one there is of the same run. The number of steps alone may change."""
    training = dataclasses.asdict(recipe.training)
    wanted = {
        "system": name,
        "config": dataclasses.asdict(recipe.config),
        "training": training,
        "seed": seed,
        "corpus": corpus.info()["fingerprint"],
    }
    path = out / "run.json"
    if path.exists():
        there = json.loads(path.read_text())
        changed = [key for key in wanted if key != "training" and there.get(key) != wanted[key]]
        changed += [key for key in training if key != "steps" and there["training"].get(key) != training[key]]
        if changed:
            raise TrainingError(
                f"{out} holds a run with another {', '.join(changed)}; choose another folder or delete it"
            )
    out.mkdir(parents=True, exist_ok=True)
    _write(path, json.dumps(wanted, indent=1) + "\n")


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text)
    os.replace(beside, path)


def _last_checkpoint(out: Path) -> Path | None:
    steps = sorted(int(folder.name) for folder in (out / "checkpoints").glob("[0-9]*"))
    return out / "checkpoints" / str(steps[-1]) if steps else None


def _save_last(out: Path, name: str, system: System, optimizers: dict[str, Optimizer], step: int, best: float) -> None:
    folder = out / "checkpoints"
    checkpoint.save(folder / str(step), name, system, optimizers=optimizers, step=step, best=best)
    for old in folder.glob("[0-9]*"):
        if int(old.name) < step:
            shutil.rmtree(old)


class _Log:
    """history.jsonl, the curve and TensorBoard; rows after the checkpoint that a run goes on from are dropped."""

    def __init__(self, out: Path, step: int) -> None:
        from tensorboardX import SummaryWriter

        self.out, self.path = out, out / "history.jsonl"
        self.rows: list[dict[str, Any]] = [row for row in _rows(self.path) if row["step"] <= step]
        self.board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)

    def add(self, step: int, losses: dict[str, float], validation: dict[str, float]) -> None:
        self.rows.append({"step": step, **{f"train/{k}": v for k, v in losses.items()},
                          **{f"validation/{k}": v for k, v in validation.items()}})  # fmt: skip
        for key, value in self.rows[-1].items():
            if key != "step":
                self.board.add_scalar(key, value, step)

    def flush(self) -> None:
        _write(self.path, "".join(json.dumps(row) + "\n" for row in self.rows))
        self.board.flush()

    def draw(self) -> None:
        from orchestrion.render.picture import write_loss_curve

        write_loss_curve(self.rows, self.out / "loss.png")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text().splitlines():
            yield json.loads(line)
