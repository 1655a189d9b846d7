"""Seconds from the command to finished files."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from orchestrion.composing import compose
from orchestrion.models import load
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
