"""Many pieces from any trained system, without words: what samples, listening tests and measurements are made of."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from symusic import Score

from orchestrion.composing import ComposeError, Model, versions
from orchestrion.score.files import write_midi
from orchestrion.system import Request
from orchestrion.writing import replace_file

AT_ONCE = 32  # pieces that are made as one batch
RECORD = "generated.json"


@dataclass(frozen=True)
class Asked:
    """What pieces to make: `count` of so many bars at a tempo in quarter notes a minute or, of systems that write in
    real time, of so many seconds. temperature, top_p: as the system is best drawn from, where they are None. The same
    numbers give the same pieces."""

    count: int
    bars: int = 16
    seconds: float | None = None
    tempo: float = 120.0
    seed: int = 0
    temperature: float | None = None
    top_p: float | None = None


def generate(
    model: Model,
    asked: Asked,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    rejected: Callable[[str], None] | None = None,
) -> Iterator[Score]:
    """The pieces one by one, each from a random stream of its own. progress: called with (pieces done, pieces in all);
    rejected: with a reason whenever something that is no music was drawn again.

    Raises ComposeError for numbers that make no sense, and whatever the system raises for what it cannot make.
    """
    if asked.count < 1 or asked.seed < 0:
        raise ComposeError(f"{asked.count} pieces of seed {asked.seed} cannot be made; ask for 1 or more, from seed 0")
    if asked.seconds is not None and model.has_bars:
        raise ComposeError(f"{model.name} writes bars and knows no seconds; ask for a number of bars")
    sampling, rng = model.system.sampling.but(asked.temperature, asked.top_p), np.random.default_rng(asked.seed)
    for first in range(0, asked.count, AT_ONCE):
        progress(first, asked.count)
        request = Request(
            count=min(AT_ONCE, asked.count - first), bars=asked.bars, seconds=asked.seconds, tempo=asked.tempo,
            temperature=sampling.temperature, top_p=sampling.top_p, rejected=rejected,
        )  # fmt: skip
        yield from model.system.generate(request, rng)
    progress(asked.count, asked.count)


def write_pieces(
    model: Model, asked: Asked, folder: Path, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Counter[str]:
    """Write the pieces into a folder as 001.mid and so on, and beside them a record of how they came about; returns
    how often something was rejected, by reason. Raises ComposeError where the folder holds other files already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ComposeError(f"{folder} is there already and not empty; name another --out")
    rejected: Counter[str] = Counter()
    digits = max(3, int(math.log10(max(asked.count, 1))) + 1)
    pieces = generate(model, asked, progress=progress, rejected=lambda reason: rejected.update([reason]))
    for number, score in enumerate(pieces, 1):
        folder.mkdir(parents=True, exist_ok=True)
        write_midi(score, folder / f"{number:0{digits}}.mid")
    record = {
        "model": {"system": model.name, "sha256": model.sha256, "step": model.notes.get("step")},
        "asked": asdict(asked),
        "rejected": dict(rejected),
        "versions": versions(),
    }
    replace_file(folder / RECORD, json.dumps(record, indent=1) + "\n")
    return rejected
