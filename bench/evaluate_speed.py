"""How fast music is measured: piano performances beside MusPy, and real multi-track files through the whole suite.

    python bench/evaluate_speed.py --performances DIR --band DIR [--files 100] [--band-files 1000]

Needs `pip install muspy`. Both readers take the same performances, file by file in turn, in one process on one thread;
seconds are those that the processor worked for it, as others may use the machine. "The same eleven" are MusPy's metrics
that need no arguments of taste, and ours of that meaning. The whole suite runs in processes, one a core, as
`orchestrion evaluate` does; its seconds are those on the clock.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from record import record
from rich.progress import Progress

SUFFIXES = (".mid", ".midi")
OURS = (
    "pitch-range", "pitches-used", "pitch-classes-used", "polyphony", "polyphony-rate", "pitch-entropy",
    "pitch-class-entropy", "scale-consistency", "empty-beat-rate", "empty-bar-rate", "groove-consistency",
)  # fmt: skip


def ours(path: Path) -> tuple[float, float]:
    """Processor seconds to read, and to measure."""
    from orchestrion.metrics.grid import on_grid
    from orchestrion.metrics.suite import METRICS
    from orchestrion.music.files import read

    chosen = [metric.function for metric in METRICS if metric.id in OURS]
    assert len(chosen) == len(OURS)
    start = time.process_time()
    score = read(path)
    middle = time.process_time()
    grid = on_grid(score)
    for function in chosen:
        function(grid)
    return middle - start, time.process_time() - middle


def muspy_s(path: Path) -> tuple[float, float]:
    """Processor seconds to read, and to measure, with MusPy."""
    import muspy

    start = time.process_time()
    music = muspy.read_midi(path)
    middle = time.process_time()
    for metric in (muspy.pitch_range, muspy.n_pitches_used, muspy.n_pitch_classes_used, muspy.polyphony,
                   muspy.polyphony_rate, muspy.pitch_entropy, muspy.pitch_class_entropy, muspy.scale_consistency,
                   muspy.empty_beat_rate):  # fmt: skip
        metric(music)
    for by_bar in (muspy.empty_measure_rate, muspy.groove_consistency):
        by_bar(music, 4 * music.resolution)
    return middle - start, time.process_time() - middle


def in_turn(paths: Sequence[Path], *measures: Callable[[Path], tuple[float, float]]) -> np.ndarray:
    """(measures, 2) seconds in all, each file given to every one before the next."""
    for measure in measures:
        measure(paths[0])  # imports and first calls are not counted
    with Progress() as progress:
        task = progress.add_task("performances", total=len(paths))
        total = np.zeros((len(measures), 2))
        for path in paths:
            total += np.array([measure(path) for measure in measures])
            progress.advance(task)
    return total


def whole_suite(folder: Path, files: int, workers: int) -> dict[str, float]:
    """Seconds and peak memory of measuring a folder as `orchestrion evaluate` does."""
    from orchestrion.evaluation.measuring import measure_side
    from orchestrion.evaluation.music_sets import open_side

    side = open_side(folder).sample(files, 0)
    start = time.perf_counter()
    with Progress() as progress:
        task = progress.add_task("the whole suite", total=len(side.items))
        table = measure_side(side, workers=workers, told=lambda done, total: progress.update(task, completed=done))
    seconds = time.perf_counter() - start
    peak = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "files": len(side.items), "measured": len(table), "left out": len(table.skipped), "workers": workers,
        "notes": sum(row.measured.notes for row in table.rows), "seconds": round(seconds, 1),
        "files a second": round(len(side.items) / seconds, 1),
        "peak memory, MiB (main process and largest worker)": round(peak / 1024),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--performances", type=Path, required=True)
    parser.add_argument("--band", type=Path, required=True)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--band-files", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # MusPy's readers warn of what they drop

    paths = sorted(path for path in options.performances.rglob("*") if path.suffix.lower() in SUFFIXES)
    paths = paths[: options.files]
    (our_read, our_measure), (their_read, their_measure) = in_turn(paths, ours, muspy_s)
    scale = 100 / len(paths)
    figures = {
        "performances": len(paths),
        "ours: read, s per 100": our_read * scale,
        "ours: the same eleven metrics, s per 100": our_measure * scale,
        "ours: both, s per 100": (our_read + our_measure) * scale,
        "MusPy: read, s per 100": their_read * scale,
        "MusPy: eleven metrics, s per 100": their_measure * scale,
        "times as fast as MusPy, reading included": (their_read + their_measure) / (our_read + our_measure),
        "times as fast, reading": their_read / our_read,
        "times as fast, metrics": their_measure / our_measure,
    }
    fifth = whole_suite(options.band, options.band_files // 5, options.workers)  # does memory grow with the files?
    whole = whole_suite(options.band, options.band_files, options.workers)
    digest = hashlib.sha256("\n".join(path.name for path in paths).encode()).hexdigest()[:16]
    print(figures, fifth, whole, sep="\n")
    record(
        "evaluate_speed",
        {"beside MusPy": figures, "whole suite": whole, "whole suite, a fifth of the files": fifth},
        command=shlex.join(["python", *sys.argv]),
        seed=None,
        data={"performances (names)": digest, "band files": options.band_files},
        tables=[
            {"title": title, "columns": ["figure", "value"], "rows": list(part.items())}
            for title, part in (("Measuring piano performances, one thread", figures),
                                ("Multi-track files through the whole suite, a fifth of them", fifth),
                                ("Multi-track files through the whole suite", whole))
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
