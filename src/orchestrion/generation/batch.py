"""Many pieces from any trained system, without words: what samples, listening tests and measurements are made of."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from symusic import Score

from orchestrion.core.files import replace_file
from orchestrion.generation.compose import ComposeError
from orchestrion.generation.filters import Gate, Verdict, acceptance, candidates, check_own_tries
from orchestrion.generation.wishes import versions
from orchestrion.models.base import Request
from orchestrion.models.loading import Model
from orchestrion.music.files import write_midi

AT_ONCE = 32  # pieces that are made as one batch
RECORD = "generated.json"


@dataclass(frozen=True)
class Asked:
    """What pieces to make: `count` of so many bars at a tempo in quarter notes a minute or, of systems that write in
    real time, of so many seconds. temperature, top_p: as the system is best drawn from, where they are None. tries: of
    a system with a discriminator of its own, as in Request. The same numbers give the same pieces."""

    count: int
    bars: int = 16
    seconds: float | None = None
    tempo: float = 120.0
    seed: int = 0
    temperature: float | None = None
    top_p: float | None = None
    tries: int | None = None


@dataclass(frozen=True)
class Generated:
    """A piece; where a critic checks, what it says of it."""

    score: Score
    verdict: Verdict | None = None


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
    return (piece.score for piece in generate_checked(model, asked, progress=progress, rejected=rejected))


def generate_checked(
    model: Model,
    asked: Asked,
    gate: Gate | None = None,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    rejected: Callable[[str], None] | None = None,
) -> Iterator[Generated]:
    """As `generate`; with a gate, what its critic refuses is composed again, from further random streams of the seed,
    and the system's own discriminator checks nothing. Raises UnheardError for music that the critic cannot hear."""
    if asked.count < 1 or asked.seed < 0:
        raise ComposeError(f"{asked.count} pieces of seed {asked.seed} cannot be made; ask for 1 or more, from seed 0")
    if asked.seconds is not None and model.has_bars:
        raise ComposeError(f"{model.name} writes bars and knows no seconds; ask for a number of bars")
    check_own_tries(model.system, model.name, asked.tries)
    sampling, first_rng = model.system.sampling.but(asked.temperature, asked.top_p), np.random.default_rng(asked.seed)
    for first in range(0, asked.count, AT_ONCE):
        progress(first, asked.count)
        request = Request(
            count=min(AT_ONCE, asked.count - first), bars=asked.bars, seconds=asked.seconds, tempo=asked.tempo,
            temperature=sampling.temperature, top_p=sampling.top_p, tries=0 if gate else asked.tries, rejected=rejected,
        )  # fmt: skip
        if gate is None:
            yield from map(Generated, model.system.generate(request, first_rng))
        else:
            yield from _passed(model, request, gate, first_rng, (asked.seed, first))
    progress(asked.count, asked.count)


def _passed(
    model: Model, request: Request, gate: Gate, first_rng: np.random.Generator, seed: tuple[int, int]
) -> list[Generated]:
    """The pieces of a request that a gate lets out. first_rng: of the first candidates, which are those of no gate;
    seed: of all others."""

    def draw(places: list[int], turn: int) -> list[tuple[Score, float]]:
        rng = first_rng if turn == 1 else np.random.default_rng((*seed, turn))
        scores = model.system.generate(replace(request, count=len(places)), rng)
        return [(score, gate.odds_of(score, None, None)) for score in scores]

    passed = []
    for tried in candidates(request.count, draw, lambda tried: gate.wants([odds for _, odds in tried])):
        verdict = Verdict(tuple(odds for _, odds in tried))
        passed.append(Generated(tried[verdict.index][0], verdict))
    return passed


def write_pieces(
    model: Model,
    asked: Asked,
    folder: Path,
    *,
    gate: Gate | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Counter[str], list[Verdict]]:
    """Write the pieces into a folder as 001.mid and so on, and beside them a record of how they came about; returns
    how often something was rejected, by reason, and what a gate's critic says of each piece. Raises ComposeError where
    the folder holds other files already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ComposeError(f"{folder} is there already and not empty; name another --out")
    rejected: Counter[str] = Counter()
    digits = max(3, int(math.log10(max(asked.count, 1))) + 1)
    verdicts: dict[str, Verdict] = {}
    pieces = generate_checked(model, asked, gate, progress=progress, rejected=lambda reason: rejected.update([reason]))
    for number, piece in enumerate(pieces, 1):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{number:0{digits}}.mid"
        write_midi(piece.score, path)
        if piece.verdict:
            verdicts[path.name] = piece.verdict
    record = {
        "model": model.named,
        "asked": asdict(asked),
        "rejected": dict(rejected),
        "check": _checked(gate, verdicts) if gate else None,
        "versions": versions(),
    }
    replace_file(folder / RECORD, json.dumps(record, indent=1) + "\n")
    return rejected, list(verdicts.values())


def _checked(gate: Gate, verdicts: Mapping[str, Verdict]) -> dict[str, Any]:
    accepted, heard = acceptance(list(verdicts.values()))
    pieces = {name: verdict.record for name, verdict in verdicts.items()}
    return {**gate.record, "candidates": heard, "accepted": accepted, "pieces": pieces}
