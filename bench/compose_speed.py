"""How fast the composer writes, what a command takes from start to files, and what bounds a step.

    python bench/compose_speed.py [--model RUN] [--corpus CORPUS] [--repeats 3] [--seed 0]

Run it on a quiet machine; the load at the start is recorded. All ratios are taken within the run. With --corpus, what
weights in eight bits cost in nats a note is measured on its validation split.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from command_times import SENTENCE, commands
from record import RESULTS, record
from sessions import ENSEMBLES, RereadingSession, session
from step_parts import parts_of_a_step

from orchestrion.data.store import open_corpus
from orchestrion.models.layers.attention import Cache
from orchestrion.models.layers.stepping import int8_is_fast
from orchestrion.models.loading import Model, load
from orchestrion.models.zoo.composer import PREFIX_ROWS, Composer, Reading, Stepper, _Session
from orchestrion.representations.cells import BAR
from orchestrion.representations.steps import FIELDS

LONG_BARS = 256
EARLY, LATE = (8, 24), (224, 256)  # bars, counted from 0, over which the rates at bar 16 and at bar 256 are taken
NOTES = 512  # at which stepping is set against reading all anew


def rates(composer: Composer, instruments: tuple[int, ...], count: int, repeats: int, **how: Any) -> dict[str, float]:
    """Medians over runs, of wall time; and of processor time, which other work on the machine disturbs less."""
    runs = []
    for seed in range(repeats):
        start, start_cpu = perf_counter(), process_time()
        pieces = session(composer, instruments, count=count, seed=seed, **how)
        writers, steps = list(pieces.writers), 0
        while pieces.step():
            steps += 1
        took, took_cpu = perf_counter() - start, process_time() - start_cpu
        notes = sum(len(writer.cells().notes) for writer in writers)
        runs.append((notes / took, 16 * count / took, notes / took_cpu, 1000 * took / steps))
    names = ("notes a second", "bars a second", "notes a second of processor time", "milliseconds a step")
    return {name: statistics.median(values) for name, values in zip(names, zip(*runs, strict=True), strict=True)}


def along_a_long_piece(composer: Composer, seed: int) -> dict[str, float]:
    """Notes and rows (notes and ends of cells) a second around bar 16 and around bar 256 of one piece; their ratio also
    in processor time, which other work on the machine disturbs less."""
    piece = session(composer, ENSEMBLES["band of four"], bars=LONG_BARS, seed=seed)
    writer, steps = piece.writers[0], 0
    marks = [(perf_counter(), process_time(), 0)]  # when each bar begins, and after how many steps
    while piece.step():
        steps += 1
        while len(marks) <= writer.bar:
            marks.append((perf_counter(), process_time(), steps))
    notes = np.bincount(writer.cells().notes[:, BAR], minlength=LONG_BARS)
    figures, cpu = {}, {}
    for name, (first, end) in (("bar 16", EARLY), ("bar 256", LATE)):
        seconds, cpu_seconds, rows = np.subtract(marks[end], marks[first])
        for what, count in (("notes", notes[first:end].sum()), ("rows", rows)):
            figures[f"{what} a second at {name}"] = float(count / seconds)
            cpu[what, name] = float(count / cpu_seconds)
    for what in ("notes", "rows"):
        late, early = (figures[f"{what} a second at {name}"] for name in ("bar 256", "bar 16"))
        figures[f"{what} a second, bar 256 over bar 16"] = late / early
        figures[f"the same in processor time: {what}"] = cpu[what, "bar 256"] / cpu[what, "bar 16"]
    return figures


def against_rereading(composer: Composer, seed: int) -> dict[str, float]:
    """Times of the first NOTES rows of one piece, stepping with a cache and reading all rows anew at each."""
    times: dict[str, np.ndarray] = {}
    for name, kind in (("stepping", _Session), ("re-reading", RereadingSession)):
        piece, marks = session(composer, ENSEMBLES["band of four"], bars=64, seed=seed, kind=kind), [perf_counter()]
        for _ in range(NOTES):
            piece.step()
            marks.append(perf_counter())
        times[name] = np.diff(marks)
    over = times["re-reading"].sum() / times["stepping"].sum()
    last = times["re-reading"][-32:].mean() / np.median(times["stepping"][-32:])
    return {
        "milliseconds a row, stepping": 1000 * float(times["stepping"].mean()),
        "milliseconds a row, re-reading": 1000 * float(times["re-reading"].mean()),
        f"stepping over re-reading, the first {NOTES} rows": float(over),
        f"stepping over re-reading, at row {NOTES}": float(last),
    }


@torch.inference_mode()
def nats(composer: Composer, folder: Path, int8: bool) -> float:
    """Nats a note of a validation batch, read row by row by the stepper; fields as the loss counts them."""
    batch = composer.batch(open_corpus(folder), "valid", np.random.default_rng(0))
    rows, targets = batch["rows"].numpy(), batch["targets"].numpy()
    prefix = composer.condition(batch["sentence"], batch["tempo"], batch["mode"], batch["ensemble"])
    config, count = composer.config, len(rows)
    caches = [Cache.empty(count, config.heads, rows.shape[1] + PREFIX_ROWS, config.width // config.heads, prefix)
              for _ in range(config.layers)]  # fmt: skip
    reading = Reading(caches, np.zeros(count, np.int64), composer.join(prefix.flatten(1)))
    composer(torch.zeros(count, 0, rows.shape[2], dtype=torch.int64), prefix, reading)
    stepper, total = Stepper(composer, int8=int8), 0.0
    for step in range(rows.shape[1]):
        hidden = stepper.inner(stepper(rows[:, step], reading)).chunk(len(FIELDS), dim=-1)
        values = [np.maximum(targets[:, step, field], 0) for field in range(len(FIELDS))]
        for field in range(len(FIELDS)):
            logits = torch.from_numpy(stepper.field_logits(hidden[field], field, values[:field]))
            aim = torch.from_numpy(targets[:, step, field])
            total += float(F.cross_entropy(logits, aim, ignore_index=-1, reduction="sum"))
    return total / int((targets[..., 1] >= 0).sum())


def measured(model: Model, options: argparse.Namespace) -> dict[str, Any]:
    composer = model.system
    assert isinstance(composer, Composer)
    figures: dict[str, Any] = {"load of the machine at the start": os.getloadavg()[0]}
    with torch.inference_mode():
        session(composer, (0,), bars=4).step()
        figures["rates"] = {}
        for threads in options.threads:
            torch.set_num_threads(threads)
            for name, instruments in ENSEMBLES.items():
                for count in (1, 8):
                    figures["rates"][f"{name}, {count} at once, {threads} threads"] = rates(
                        composer, instruments, count, options.repeats
                    )
        torch.set_num_threads(1)
        kinds = {"eight bits": True, "float32": False} if int8_is_fast() else {"float32": False}
        figures["weights"] = {
            name: {
                f"{what}, {count} at once": value
                for count in (1, 8)
                for what, value in rates(
                    composer, ENSEMBLES["band of four"], count, options.repeats, int8=small
                ).items()
                if what.startswith("notes")
            } | ({"nats a note": nats(composer, options.corpus, small)} if options.corpus else {})
            for name, small in kinds.items()
        }  # fmt: skip
        long = [along_a_long_piece(composer, options.seed + number) for number in range(options.repeats)]
        figures["a long piece"] = {name: statistics.median(one[name] for one in long) for name in long[0]}
        figures["cache"] = against_rereading(composer, options.seed)
        figures["a step"] = parts_of_a_step(composer)
    figures["seconds"] = commands(options.model, options.repeats)
    return figures


def tables(figures: dict[str, Any]) -> list[dict[str, Any]]:
    def wide(title: str, first: str, source: dict[str, dict[str, float]], note: str = "") -> dict[str, Any]:
        columns = list(next(iter(source.values())))
        rows = [[name, *(values[column] for column in columns)] for name, values in source.items()]
        return {"title": title, "columns": [first, *columns], "rows": rows, "note": note}

    def long(title: str, source: dict[str, float], note: str = "") -> dict[str, Any]:
        return {"title": title, "columns": ["", "value"], "rows": [[k, v] for k, v in source.items()], "note": note}

    load_note = f"Load of the machine at the start: {figures['load of the machine at the start']:.1f}."
    return [
        wide("Composing 16 bars", "what", figures["rates"], load_note),
        wide("Weights in eight bits and in float32", "weights", figures["weights"], "One thread, the band."),
        long("Seconds from the command to the files", figures["seconds"], f"“{SENTENCE}”."),
        long("A piece of 256 bars", figures["a long piece"], "Medians over pieces; one thread, the band."),
        long("Stepping with a cache", figures["cache"]),
        long("What a step is made of", figures["a step"], "One piece, one thread, 512 rows in the cache."),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a run or checkpoint folder; the bundled composer without it")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="two crawl where others use the cores")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "compose_speed.json")
    options = parser.parse_args(arguments)
    model = load(options.model)
    figures = measured(model, options)
    data: dict[str, Any] = {"model": model.sha256, "step": model.notes.get("step")}
    if options.corpus:
        data["corpus"] = open_corpus(options.corpus).info()["fingerprint"]
    command = shlex.join(["python", *sys.argv])
    path = record(
        options.out.stem, figures, command=command, seed=options.seed, data=data, tables=tables(figures),
        folder=options.out.parent,
    )  # fmt: skip
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
