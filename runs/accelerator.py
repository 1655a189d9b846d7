"""Train the composer on a packed corpus until a time is up, and write its best weights in parts; see accelerator.sh.

Batches are drawn by many processes, as one cannot feed a GPU: each is what `Composer.batch` gives for its seeds. The
number of steps is set by the pace: at the first checkpoint, and again when half of the time has gone, training is
stopped and goes on with as many steps as fit, so that its rates have fallen to 0 at the end.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, time

import numpy as np
import torch
from ship import write_parts

from orchestrion.core.errors import UserError
from orchestrion.core.workers import pool
from orchestrion.data.build import build
from orchestrion.data.packed import pack, unpack
from orchestrion.data.store import Corpus, open_corpus
from orchestrion.models.base import Batch, Recipe
from orchestrion.models.registry import recipe as recipe_of
from orchestrion.models.zoo.composer import Composer, ComposerConfig
from orchestrion.music.files import write_midi
from orchestrion.music.theory import Meter
from orchestrion.rendering.piano_roll import write_loss_curve
from orchestrion.representations.cells import Cells, decode, sorted_notes
from orchestrion.training.run_folder import last_checkpoint
from orchestrion.training.trainer import VALIDATION_SEED, Progress, train

SKIPPED_STEPS = 5  # at the start of each part of a training, which are slower and tell nothing of the pace
RESERVE = 0.03  # of the time of training, that is not planned for
LAST_SECONDS = 3.0  # before the end, in which a training that is late is stopped as it stands
TINY_SECONDS = 40.0
Told = Callable[[Progress], None]


class Stopped(Exception):
    """Training stopped on purpose: at a checkpoint, to set its steps, or because the time is up."""


@dataclasses.dataclass
class Watch:
    """Is told each step, measures the pace, checkpoints and validations included, and stops training where it is time.

    end: a time of `monotonic`. looks: the times at whose next checkpoint training is stopped for its steps to be set.
    """

    end: float
    looks: list[float]
    save_every: int
    told: Told
    skipped: int = SKIPPED_STEPS
    points: list[tuple[int, float]] = dataclasses.field(default_factory=list)  # the first and the last (step, time)

    def __call__(self, progress: Progress) -> None:
        self.told(progress)
        now = monotonic()
        if self.skipped:
            self.skipped -= 1
        else:
            self.points = [*self.points[:1], (progress.step, now)]
        if progress.step == progress.steps:
            return
        if now > self.end - LAST_SECONDS and progress.step >= self.save_every:  # so that there is a checkpoint
            raise Stopped("the time is up")
        if progress.step % self.save_every == 0 and len(self.points) == 2 and self.looks and now >= self.looks[0]:
            raise Stopped

    @property
    def pace(self) -> float:
        """Seconds a step."""
        (first, begun), (last, ended) = self.points
        return (ended - begun) / (last - first)

    def again(self) -> Watch:
        """The same for going on."""
        now = monotonic()
        return Watch(self.end, [look for look in self.looks if look > now], self.save_every, self.told)


def steps_in(step: int, pace: float, seconds: float) -> int:
    """All steps of a training that is at `step` and has so many seconds left, at so many seconds a step."""
    return step + max(1, int(seconds * (1 - RESERVE) / pace))


def train_until(end: float, recipe: Recipe, corpus: Corpus, out: Path, *, seed: int, told: Told) -> bool:
    """Train the composer up to a time of `monotonic`; returns whether it came to the end of its steps, which are as
    many as fit."""
    begun, training = monotonic(), recipe.training
    watch = Watch(end, [begun, begun + (end - begun) / 2], training.save_every, told)
    while True:
        try:
            wanted = dataclasses.replace(recipe, training=training)
            train("composer", wanted, corpus, out, seed=seed, told=watch)
            return True
        except Stopped as stop:
            if stop.args:
                return False
            pace, (step, _) = watch.pace, watch.points[-1]
            training = dataclasses.replace(training, steps=steps_in(step, pace, end - monotonic()))
            print(f"{pace:.3f} seconds a step: {training.steps} steps in all", flush=True)
            watch = watch.again()


# ---- batches


@functools.lru_cache(maxsize=1)
def _drawer(path: Path, config: ComposerConfig) -> tuple[Composer, Corpus]:
    torch.set_num_threads(1)
    with torch.device("meta"):  # only its config is of use here
        return Composer(config), open_corpus(path)


def drawn(path: Path, config: ComposerConfig, split: str, seeds: tuple[int, ...]) -> dict[str, np.ndarray]:
    """A batch of these seeds, its whole numbers in 32 bits, to be sent."""
    composer, corpus = _drawer(path, config)
    batch = composer.batch(corpus, split, np.random.default_rng(seeds))
    return {
        name: value.numpy().astype(np.int32) if value.dtype == torch.int64 else value.numpy()
        for name, value in batch.items()
    }


@contextmanager
def drawn_ahead(recipe: Recipe, corpus: Corpus, workers: int) -> Iterator[None]:
    """Within the block batches of the composer come from so many processes, those of the next steps drawn ahead; those
    of validation are drawn once."""
    waiting: dict[tuple[int, ...], Future[dict[str, np.ndarray]]] = {}
    count = recipe.training.accumulate

    with pool(workers) as executor:

        def ask(split: str, seeds: tuple[int, ...]) -> None:
            if seeds not in waiting:
                waiting[seeds] = executor.submit(drawn, corpus.path, recipe.config, split, seeds)

        def batch(self: Composer, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
            seeds = tuple(rng.bit_generator.seed_seq.entropy)  # type: ignore[attr-defined]
            ask(split, seeds)
            if split == "train":
                seed, step, _ = seeds
                for later in range(step, step + 1 + 2 * workers // count):
                    for number in range(count):
                        ask(split, (seed, later, number))
            found = waiting[seeds].result()
            if split == "train":
                del waiting[seeds]
            return {name: torch.from_numpy(value.astype(np.int64) if value.dtype == np.int32 else value)
                    for name, value in found.items()}  # fmt: skip

        for index in range(recipe.training.validation_batches):
            ask("valid", (VALIDATION_SEED, index))
        before = Composer.batch
        Composer.batch = batch  # type: ignore[method-assign]
        try:
            yield
        finally:
            Composer.batch = before  # type: ignore[method-assign]
            executor.shutdown(cancel_futures=True)


# ---- the whole of it


def made_corpus(folder: Path) -> Corpus:
    """A corpus of twelve little pieces made by chance, for trying out."""
    rng = np.random.default_rng(0)
    (folder / "music").mkdir(parents=True)
    for number in range(12):
        bars = 8 + number
        rows = np.stack([
            np.repeat(np.arange(bars), 8), np.tile([0, 1], 4 * bars), rng.integers(0, 16, 8 * bars) * 3,
            rng.integers(48, 72, 8 * bars), rng.integers(1, 13, 8 * bars), rng.integers(4, 14, 8 * bars),
        ], axis=1).astype(np.int16)  # fmt: skip
        _, once = np.unique(rows[:, :4], axis=0, return_index=True)
        cells = Cells(sorted_notes(rows[once]), (0, 40), (Meter.parse("4/4"),) * bars, 100.0)
        write_midi(decode(cells), folder / "music" / f"{number:02}.mid")
    return build([folder / "music"], folder / "corpus")


def run(packed: Path, work: Path, out: Path, recipe: Recipe, *, end: float, workers: int, seed: int = 0) -> list[Path]:
    """Unpack, train until a time of `monotonic`, and write what is to come back; returns its files."""
    corpus = unpack(packed, work / "unpacked", workers=workers)
    print(f"{len(corpus.pieces()):,} pieces unpacked; {end - monotonic():.0f} seconds left", flush=True)
    folder, shown = work / "run", monotonic()

    def told(progress: Progress) -> None:
        nonlocal shown
        if progress.validation or monotonic() - shown > 10:
            shown = monotonic()
            figures = "  ".join(f"{k} {v:.4g}" for k, v in {**progress.losses, **progress.validation}.items())
            print(f"step {progress.step} of {progress.steps}  {figures}  {end - shown:.0f} seconds left", flush=True)

    try:
        with drawn_ahead(recipe, corpus, workers):
            whole = train_until(end, recipe, corpus, folder, seed=seed, told=told)
        print("trained to the end" if whole else "the time was up before the end", flush=True)
    except UserError as error:  # such as a loss that is not finite; what was saved before is worth having
        print(f"training stopped: {error}", flush=True)
    return written(folder, out)


def written(folder: Path, out: Path) -> list[Path]:
    """The best weights of a run, or the last where none were measured, in parts; config, history and curve."""
    best = folder / "checkpoints" / "best"
    chosen = best if best.exists() else last_checkpoint(folder)
    if chosen is None:
        raise UserError("no checkpoint was saved in the time there was")
    write_parts(chosen, out)
    shutil.copy(folder / "history.jsonl", out)
    with suppress(ModuleNotFoundError):  # matplotlib
        write_loss_curve(
            [json.loads(row) for row in (out / "history.jsonl").read_text().splitlines()], out / "loss.png"
        )
    return sorted(path for path in out.iterdir() if path.is_file())


def main() -> None:
    started = monotonic()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--packed", type=Path, help="a packed corpus")
    options.add_argument("--corpus", type=Path, help="instead: a corpus, which is packed first")
    options.add_argument("--recipe", default="medium", help="of the composer")
    options.add_argument("--end", type=float, help="when training is to end, in seconds since 1970")
    options.add_argument("--workers", type=int, default=15, help="processes that draw batches")
    options.add_argument("--tiny", action="store_true", help="try all of it out on a CPU")
    given = options.parse_args()
    if not torch.cuda.is_available() and not given.tiny:
        raise SystemExit("PyTorch sees no GPU here; --tiny tries it out on a CPU")
    torch.set_float32_matmul_precision("high")
    seconds = TINY_SECONDS if given.end is None else given.end - time()
    recipe = recipe_of("composer", "tiny" if given.tiny else given.recipe)
    with tempfile.TemporaryDirectory(prefix="orchestrion-") as folder:
        work, packed = Path(folder), given.packed
        if packed is None:
            corpus = open_corpus(given.corpus) if given.corpus else made_corpus(work)
            packed = pack(corpus, work / "small.packed", max_bytes=60 * 2**20).path
        try:
            files = run(packed, work, given.out, recipe, end=started + seconds, workers=given.workers)
        except UserError as error:
            raise SystemExit(f"error: {error}") from None
    for path in files:
        print(f"{path.stat().st_size / 2**20:8.2f} MiB  {path}")


if __name__ == "__main__":
    main()
