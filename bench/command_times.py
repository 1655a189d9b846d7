"""Seconds from the command to finished files, and of planning alone; beside an earlier composer in the same run.

    python bench/command_times.py [--before WEIGHTS] [--repeats 3]

Run it on a quiet machine; the load at the start is recorded.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from record import record

from orchestrion.generation.by_plan import plan
from orchestrion.generation.compose import compose
from orchestrion.models.loading import load
from orchestrion.text.encoder import SentenceEncoder

SENTENCE = "a calm piano waltz in D minor, 16 bars"


def commands(model: Path | None, repeats: int) -> dict[str, float]:
    """Seconds from a command to its files in a new process; then of a second call within one process."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "piece"
        command = [sys.executable, "-m", "orchestrion", "compose", SENTENCE, "--seed", "7", "--out", str(base)]
        command += ["--model", str(model)] if model else []
        for formats in ("mid", "mid,wav", "mid,wav,png,json"):
            seconds, used = [], []
            for _ in range(repeats + 1):  # the first one fills the file cache and is left out
                start, start_cpu = perf_counter(), sum(os.times()[2:4])
                subprocess.run([*command, "--formats", formats], check=True, capture_output=True)
                seconds.append(perf_counter() - start)
                used.append(sum(os.times()[2:4]) - start_cpu)
            figures[f"new process to {formats}: median"] = statistics.median(seconds[1:])
            figures[f"new process to {formats}: least"] = min(seconds[1:])
            figures[f"new process to {formats}: processor time, median"] = statistics.median(used[1:])
        kept, encoder = load(model), SentenceEncoder.load()
        for name, held in (("model and encoder kept", (kept, encoder)), ("model and encoder read again", (None, None))):
            seconds = []
            for _ in range(repeats + 1):
                start = perf_counter()
                piece = compose(SENTENCE, seed=7, model=held[0] or load(model), encoder=held[1])[0]
                piece.write(base, ("mid", "wav"))
                seconds.append(perf_counter() - start)
            figures[f"same process to mid,wav, {name}: median"] = statistics.median(seconds[1:])
    return figures


def planning(repeats: int) -> dict[str, float]:
    """Seconds of a plan in a process that has planned before, by its bars."""
    planner = load("planner")
    figures = {}
    for bars in (16, 32, 64):
        seconds = []
        for seed in range(repeats + 1):
            start = perf_counter()
            plan("a pop song with piano, guitar, bass and drums", bars=bars, seed=seed, planner=planner)
            seconds.append(perf_counter() - start)
        figures[f"plan of {bars} bars and four parts: median"] = statistics.median(seconds[1:])
    return figures


def writing(model: Path | None, repeats: int) -> dict[str, float]:
    """Notes a second of one piece of 16 bars for four players, one candidate, model kept."""
    kept, rates = load(model), []
    for seed in range(repeats + 1):
        one = {"candidates": 1} if kept.reads_plans else {}
        start = perf_counter()
        piece = compose("rock, 16 bars, in E minor", seed=seed, model=kept, **one)[0]
        rates.append(piece.score.note_num() / (perf_counter() - start))
    return {"notes a second of one candidate for four players, plan included: median": statistics.median(rates[1:])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    load_at_start = os.getloadavg()[0]
    models = {"now": None} | ({"before": options.before} if options.before else {})
    figures = {
        name: commands(model, options.repeats) | writing(model, options.repeats)
        | (planning(options.repeats) if model is None else {})
        for name, model in models.items()
    }  # fmt: skip
    measures = list(dict.fromkeys(measure for own in figures.values() for measure in own))
    rows = [[measure, *(own.get(measure) for own in figures.values())] for measure in measures]
    record("command_times", {**figures, "load at start": load_at_start}, command=shlex.join(["python", *sys.argv]),
           seed=7, data={name: load(model).sha256 for name, model in models.items()},
           tables=[{"title": "From the command to the files", "columns": ["seconds, or notes a second", *figures],
                    "rows": rows, "note": f"{SENTENCE!r}, best of eight now; before: the composer of the first round, "
                    "one candidate. Both in one run, one after the other."}])  # fmt: skip


if __name__ == "__main__":
    main()
