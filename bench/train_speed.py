"""How many notes a second a recipe of the composer learns from, and how much memory it takes at most.

    python bench/train_speed.py CORPUS [--recipe small] [--steps 5] [--seed 0] [--beside CHECKOUT]

Each combination of threads and precision runs in a process of its own, whose greatest size is its peak memory. Batches
are drawn before the clock starts, as the training loop draws them on another thread. CHECKOUT: a folder with an earlier
commit of this project, which is timed by turns with this one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from record import RESULTS, record

PRECISIONS = ("float32", "bf16")


def run(corpus_folder: Path, recipe_name: str, threads: int, precision: str, steps: int, seed: int) -> dict[str, float]:
    """Take steps in this process: medians over them."""
    import numpy as np
    import torch

    from orchestrion.data.store import open_corpus
    from orchestrion.models.base import Batch
    from orchestrion.models.registry import recipe
    from orchestrion.models.zoo.composer import Composer
    from orchestrion.training.processes import Processes
    from orchestrion.training.trainer import _precision, _step

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    chosen, processes, corpus = recipe("composer", recipe_name), Processes(), open_corpus(corpus_folder)
    training = replace(chosen.training, precision=precision)
    system = Composer(chosen.config).to(processes.device)
    optimizers = system.optimizers()
    seconds, cpu_seconds, rows, notes = [], [], [], []
    for step in range(steps + 1):
        drawn = [
            system.batch(corpus, "train", np.random.default_rng((seed, step, number)))
            for number in range(training.accumulate)
        ]
        batches: list[Batch] = [{name: value.to(processes.device) for name, value in batch.items()} for batch in drawn]
        start, start_cpu = perf_counter(), process_time()
        _step(system, optimizers, training, processes, _precision(training, processes.device), batches)
        seconds.append(perf_counter() - start)
        cpu_seconds.append(process_time() - start_cpu)
        rows.append(sum(int((batch["targets"][..., 0] >= 0).sum()) for batch in drawn))
        notes.append(sum(int((batch["targets"][..., 1] >= 0).sum()) for batch in drawn))
    used = slice(1, None)  # the first step sets up the optimizer's state
    return {
        "notes a second": statistics.median(n / s for n, s in zip(notes[used], seconds[used], strict=True)),
        "rows a second": statistics.median(n / s for n, s in zip(rows[used], seconds[used], strict=True)),
        "notes a second of processor time": statistics.median(
            n / s for n, s in zip(notes[used], cpu_seconds[used], strict=True)
        ),
        "seconds a step": statistics.median(seconds[used]),
        "peak memory, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
    } | (
        {"peak memory of the GPU, MiB": torch.cuda.max_memory_allocated() / 2**20} if torch.cuda.is_available() else {}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--steps", type=int, default=5, help="timed steps, after one that is not")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "train_speed.json")
    parser.add_argument("--one", nargs=2, metavar=("THREADS", "PRECISION"), help="run one combination and print it")
    options = parser.parse_args()
    if options.one:
        threads, precision = options.one
        print(json.dumps(run(options.corpus, options.recipe, int(threads), precision, options.steps, options.seed)))
        return
    from orchestrion.data.store import open_corpus

    figures: dict[str, Any] = {"load of the machine at the start": os.getloadavg()[0]}
    checkouts = {"": Path(__file__).resolve().parents[1]} | (
        {", the commit beside": options.beside.resolve()} if options.beside else {}
    )
    for threads in options.threads:
        for precision in options.precisions:
            for name, checkout in checkouts.items():
                one = [sys.executable, str(checkout / "bench" / "train_speed.py"), str(options.corpus.resolve()),
                       "--recipe", options.recipe, "--steps", str(options.steps), "--seed", str(options.seed),
                       "--one", str(threads), precision]  # fmt: skip
                environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(checkout / "src")}
                answer = subprocess.run(one, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
                figures[f"{threads} threads, {precision}{name}"] = json.loads(answer)
    runs = {name: values for name, values in figures.items() if isinstance(values, dict)}
    columns = list(next(iter(runs.values())))
    table = {
        "title": f"Training composer/{options.recipe}",
        "columns": ["what", *columns],
        "rows": [[name, *values.values()] for name, values in runs.items()],
        "note": f"Load of the machine at the start: {figures['load of the machine at the start']:.1f}.",
    }
    path = record(
        options.out.stem, figures, command=shlex.join(["python", *sys.argv]), seed=options.seed,
        data={"corpus": open_corpus(options.corpus).info()["fingerprint"]}, tables=[table], folder=options.out.parent,
    )  # fmt: skip
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
