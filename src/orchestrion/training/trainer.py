"""The one training loop: any system on any corpus, on one process or several, that goes on where it was stopped.

Batch m of step s is drawn from the seeds (seed, s, m) alone, so that a run resumed, or spread over processes, sees the
same music. Gradients of `accumulate` batches, over all processes, make one step.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from orchestrion.data.store import Corpus
from orchestrion.models import checkpoint
from orchestrion.models.base import Batch, Recipe, System, Training
from orchestrion.models.layers.sharding import clip_gradients
from orchestrion.models.layers.stepping import bf16_is_fast
from orchestrion.models.registry import system_class
from orchestrion.training.processes import Processes
from orchestrion.training.run_folder import Log, TrainingError, claim, drop_earlier, last_checkpoint

VALIDATION_SEED = 2**31
_ENDED: tuple[str, Tensor | None] = ("", None)  # in place of what a generator of losses yields


@dataclasses.dataclass(frozen=True)
class Progress:
    """What the loop tells after each step: losses by optimizer, validation figures where it measured.

    seconds: since the run was started or gone on with; seconds_left: at the mean pace since then. remarks: what the
    system says has gone wrong.
    """

    step: int
    steps: int
    losses: dict[str, float]
    validation: dict[str, float]
    seconds: float
    seconds_left: float
    remarks: tuple[str, ...] = ()


def train(
    name: str,
    recipe: Recipe,
    corpus: Corpus,
    out: Path,
    *,
    seed: int = 0,
    start: Path | None = None,
    told: Callable[[Progress], None] | None = None,
) -> None:
    """Train the system `name` by its recipe into the run folder `out`, or go on with the run that is there.

    start: a checkpoint of the same system whose weights a new run begins with; what it lacks begins as new.
    told: called after each step, in the first process; what it raises stops the run, which can be gone on with.
    Raises TrainingError where `out` holds another run, the corpus is too small to learn from, or a loss is not finite.
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
        claim(out, name, recipe, corpus, seed)
        checkpoint.clear_rests(out / "checkpoints")
    processes.meet()
    last = last_checkpoint(out)
    if last is None:
        torch.manual_seed(seed)
        system, step, best = system_class(name)(recipe.config), 0, float("inf")
        if start is not None:
            checkpoint.begin_with(system, name, start)
        optimizers = system.to(processes.device).optimizers()
    else:
        system, optimizers, notes = checkpoint.load(last, optimizers=True)
        step, best = int(notes["step"]), float(notes["best"])
        _move(system, optimizers, processes.device)
    if training.shard and processes.count > 1:
        optimizers = processes.shard(system, optimizers)
    first = processes.rank == 0
    save = partial(checkpoint.save, name=name, system=system, write=first, encoder=corpus.encoder)
    precision = _precision(training, processes.device)

    begun, started = step, monotonic()
    with _Ahead(system, corpus, training, seed, processes) as ahead, Log(out, step, first) as log:
        while step < training.steps:
            if step == training.best_from:
                best = float("inf")
            system.train()
            _set_rates(optimizers, training, step)
            torch.manual_seed(seed * 1_000_003 + step * 1009 + processes.rank)
            try:
                losses = _step(system, optimizers, training, processes, precision, step, ahead.batches(step))
            except FloatingPointError as error:
                raise TrainingError(f"{error} at step {step + 1}; {_kept(out)}; start anew with a lower rate") from None
            step += 1
            validation: dict[str, float] = {}
            if step % training.validate_every == 0 or step == training.steps:
                validation = _validate(system, corpus, training, processes, precision)
                figure = next(iter(validation.values()))
                if figure < best:
                    best = figure
                    save(out / "checkpoints" / "best", step=step, best=best, validation=validation)
            remarks = tuple(system.remarks(validation)) if validation else ()
            log.add(step, losses, validation, remarks)
            if validation:
                log.draw()
            if step % training.save_every == 0 or step == training.steps:
                log.flush()
                save(out / "checkpoints" / str(step), optimizers=optimizers, step=step, best=best)
                if first:
                    drop_earlier(out, step)
            if told is not None and first:
                seconds = monotonic() - started
                left = seconds / (step - begun) * (training.steps - step)
                told(Progress(step, training.steps, losses, validation, seconds, left, remarks))
    processes.leave()


def _kept(out: Path) -> str:
    last = last_checkpoint(out)
    return f"the checkpoint of step {last.name} is kept, and the best" if last else "there is no checkpoint yet"


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

    def __enter__(self) -> _Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

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
    step: int,
    batches: list[Batch],
) -> dict[str, float]:
    """Drive the losses of all batches side by side to their ends; each round of them is one step of the optimizer they
    name. Raises FloatingPointError, before it steps, for a loss that is not finite, and RuntimeError where batches name
    different optimizers."""
    sums: dict[str, list[float]] = defaultdict(list)
    generators = [system.losses(batch, step) for batch in batches]
    while True:
        yielded, total = "", torch.zeros((), device=processes.device)
        for index, generator in enumerate(generators):
            with precision():
                name, loss = next(generator, _ENDED)
            if index and name != yielded:
                raise RuntimeError(
                    f"{type(system).__name__} steps {_named(yielded)} for one batch and {_named(name)} for another;"
                    " all batches of a step must yield the same optimizers in the same order"
                )
            yielded = name
            if loss is None:
                continue
            if index == 0:
                optimizers[yielded].zero_grad()
            loss.backward()
            total += loss.detach()
        if not yielded:
            break
        mean = processes.sum_numbers([float(total)])[0] / training.accumulate
        if not np.isfinite(mean):
            raise FloatingPointError(f"the loss of {yielded} is {mean}")
        optimizer = optimizers[yielded]
        processes.sum_gradients(optimizer, training.accumulate)
        if training.clip_norm:
            clip_gradients([p for group in optimizer.param_groups for p in group["params"]], training.clip_norm)
        with precision():
            optimizer.step()
        sums[yielded].append(mean)
    with precision():
        system.after_step(step, batches)
    return {name: float(np.mean(values)) for name, values in sums.items()}


def _named(optimizer: str) -> str:
    return repr(optimizer) if optimizer else "no further optimizer"


@torch.no_grad()
def _validate(
    system: System, corpus: Corpus, training: Training, processes: Processes, precision: Callable[[], Any]
) -> dict[str, float]:
    """Figures over the validation batches. Each process measures equally many; those beyond the last do not count."""
    system.eval()
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
    for start in range(0, training.validation_batches, processes.count):
        index = start + processes.rank
        batch = system.batch(corpus, "valid", np.random.default_rng((VALIDATION_SEED, index)))
        with precision():
            for key, pair in system.measure(_to(batch, processes.device)).items():
                sums[key] += pair if index < training.validation_batches else (0.0, 0.0)
    names = list(sums)
    flat = processes.sum_numbers([float(x) for key in names for x in sums[key]])
    return {key: flat[2 * i] / max(flat[2 * i + 1], 1) for i, key in enumerate(names)}


def rate_factor(training: Training, step: int) -> float:
    """The share of the full rate at a step counted from 0."""
    rising = (step + 1) / max(training.warm_up_steps, 1)
    falling = (training.steps - step) / max(training.decay_share * training.steps, 1)
    return min(1.0, rising, falling) * (training.fall_to ** (step // training.fall_every) if training.fall_every else 1)


def _set_rates(optimizers: dict[str, Optimizer], training: Training, step: int) -> None:
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group.setdefault("full_rate", group["lr"])
            group["lr"] = group["full_rate"] * rate_factor(training, step)


def _precision(training: Training, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    able = torch.cuda.is_bf16_supported() if device.type == "cuda" else bf16_is_fast()
    enabled = training.precision == "bf16" and able
    return lambda: torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def _to(batch: Batch, device: torch.device) -> Batch:
    return {key: value.to(device) for key, value in batch.items()}


def _move(system: System, optimizers: dict[str, Optimizer], device: torch.device) -> None:
    system.to(device)
    for optimizer in optimizers.values():
        for state in optimizer.state.values():
            state.update({key: value.to(device) for key, value in state.items() if isinstance(value, Tensor)})
