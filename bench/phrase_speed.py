"""How fast phrases are drawn and written, and what the training loop costs beside the plain steps of the same network.

    taskset -c 0 python bench/phrase_speed.py CORPUS [--system muse_gan] [--recipe small] [--phrases 1024]

One thread. Rounds of all kinds take turns, so that a noisy machine slows all of them; medians of rounds.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from record import RESULTS, record
from torch import nn

from orchestrion.data.store import Corpus, open_corpus
from orchestrion.generation.batch import Asked, write_pieces
from orchestrion.models.base import Recipe, Request, System
from orchestrion.models.loading import Model
from orchestrion.models.registry import recipe, system_class
from orchestrion.training.trainer import train

GOAL, PUBLIC = 2000, 986  # phrases a second: asked for, and of a public generator of that size


def seconds_of(work: Callable[[], object], clock: Callable[[], float] = perf_counter) -> float:
    start = clock()
    work()
    return clock() - start


def drawing(system: Any, phrases: int, rounds: int, seed: int) -> dict[str, float]:
    """Phrases a second: by the generator alone as arrays of what sounds; as Scores; written as MIDI files."""
    bars = system.config.grid.bars
    model = Model(system, "muse_gan", {}, "")
    rngs = np.random.default_rng(seed).spawn(phrases)
    found: dict[str, list[float]] = {"as piano rolls": [], "as Scores": [], "as MIDI files": []}
    with TemporaryDirectory() as folder, torch.inference_mode():
        for number in range(-1, rounds):  # the first round warms up
            times = (
                seconds_of(lambda: system.draw(rngs)),
                seconds_of(lambda: system.generate(Request(count=phrases, bars=bars), np.random.default_rng(seed))),
                seconds_of(lambda: write_pieces(model, Asked(phrases, bars=bars, seed=seed),
                                                Path(folder) / f"{number}")),  # noqa: B023
            )  # fmt: skip
            if number >= 0:
                for kind, seconds in zip(found, times, strict=True):
                    found[kind].append(phrases / seconds)
    return {kind: statistics.median(values) for kind, values in found.items()}


def plain(system: System, chosen: Recipe, corpus: Corpus, steps: int, seed: int) -> float:
    """Processor seconds a step of nothing but losses, gradients, optimizers and `after_step`, on batches that lie
    ready."""
    system.train()
    optimizers = system.optimizers()
    batches = [system.batch(corpus, "train", np.random.default_rng((seed, step))) for step in range(steps)]
    bf16 = chosen.training.precision == "bf16"

    def work() -> None:
        for step, batch in enumerate(batches):
            losses = system.losses(batch, step)
            while True:
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    told = next(losses, None)
                if told is None:
                    break
                optimizer = optimizers[told[0]]
                optimizer.zero_grad()
                told[1].backward()
                if chosen.training.clip_norm:
                    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
                    nn.utils.clip_grad_norm_(weights, chosen.training.clip_norm)
                optimizer.step()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                system.after_step(step, [batch])

    return seconds_of(work, process_time) / steps


def looped(system_name: str, chosen: Recipe, corpus: Corpus, steps: int, seed: int) -> float:
    """Processor seconds a step of `orchestrion train`, validation and checkpoints aside: what twice as many steps take
    more than once as many."""

    def run(count: int) -> float:
        training = replace(chosen.training, steps=count, validate_every=count, save_every=count, validation_batches=1)
        with TemporaryDirectory() as folder:
            return seconds_of(
                lambda: train(system_name, replace(chosen, training=training), corpus, Path(folder) / "run", seed=seed),
                process_time,
            )

    return (run(2 * steps) - run(steps)) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--system", default="muse_gan")
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--phrases", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40, help="of training, a round")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    corpus, chosen, load = open_corpus(options.corpus), recipe(options.system, options.recipe), os.getloadavg()[0]
    system: Any = system_class(options.system)(chosen.config)
    name = f"{options.system}/{options.recipe}"
    generator = sum(weight.numel() for weight in system.generator.parameters())
    rates = drawing(system.eval(), options.phrases, options.rounds, options.seed)
    costs: list[tuple[float, float]] = []
    for _ in range(options.rounds):
        costs.append((plain(system, chosen, corpus, options.steps, options.seed),
                      looped(options.system, chosen, corpus, options.steps, options.seed)))  # fmt: skip
    of_plain, of_loop = (statistics.median(values) for values in zip(*costs, strict=True))
    share = statistics.median(loop / bare for bare, loop in costs) - 1
    tables = [
        {
            "title": f"Phrases a second by {name}", "columns": ["what", "four-bar phrases a second"],
            "rows": [*rates.items(), ["goal, as piano rolls", GOAL], ["a public generator of that size", PUBLIC]],
            "note": f"One thread; a generator of {generator:,} parameters, untrained: how long it takes does not hang"
            f" on weights, but what is written does, as so many notes are written. Load at the start: {load:.1f}.",
        },
        {
            "title": f"A training step of {name}", "columns": ["what", "milliseconds of processor time"],
            "rows": [["plain steps in torch", 1000 * of_plain], ["`orchestrion train`", 1000 * of_loop],
                     ["share that the loop adds, %, median of rounds", 100 * share]],
            "note": "The loop draws batches, checks that losses are finite, keeps the history; aim: below 5 %.",
        },
    ]  # fmt: skip
    path = record(
        "phrase_speed",
        {"phrases a second": rates, "parameters of the generator": generator, "seconds a step, plain": of_plain,
         "seconds a step, loop": of_loop, "share that the loop adds": share},
        command=shlex.join(["python", *sys.argv]), seed=options.seed,
        data={corpus.path.name: corpus.info()["fingerprint"]}, tables=tables, folder=options.out,
    )  # fmt: skip
    print(f"wrote {path}: {rates}, the loop adds {share:.1%}")


if __name__ == "__main__":
    main()
