"""Luo's tables (2021) of his five recurrent networks, over melodies, events and piano rolls: trained, sampled, counted.

    python bench/luo_tables.py --corpus CORPUS --runs FOLDER [--seeds 0 1 2] [--pieces 200] [--seconds 30]

Each network is trained with each seed (rolls with the first alone); pieces from it stand beside excerpts of held-out
music of the same number and length, in the same notation, and other such excerpts beside those: the floor. What is
finished in FOLDER is used again, so a run that was stopped goes on. --trained measures what is trained and no more.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from piano_excerpts import step_transitions
from record import record
from symusic import Score

from orchestrion.data.store import Corpus, Piece, open_corpus
from orchestrion.metrics.distances import inter_distances, intra_distances, kl_of_histograms
from orchestrion.metrics.grid import on_grid
from orchestrion.metrics.pitch import pitches_used
from orchestrion.metrics.rhythm import average_inter_onset_interval, average_inter_onset_interval_mgeval
from orchestrion.metrics.yang_lerch import pitch_class_transitions, pitch_shares
from orchestrion.models import checkpoint
from orchestrion.models.base import Request
from orchestrion.models.registry import recipe
from orchestrion.representations.frames import Frames
from orchestrion.representations.melody import Melody
from orchestrion.representations.performance import Performance, stuck_notes_a_minute
from orchestrion.representations.timed import score_of, timed
from orchestrion.training.trainer import train

VARIANTS = ("attention-residual-embedding", "attention-residual", "attention", "embedding", "basic")
SHORT = dict(zip(VARIANTS, ("attn res emb", "attn res", "attn", "emb", "basic"), strict=True))


@dataclass(frozen=True)
class Kind:
    """A notation that the five are trained on: the system, what its recipes' names begin with, and the notation."""

    name: str
    system: str
    prefix: str
    notation: Melody | Performance | Frames
    every_seed: bool = True


KINDS = (
    Kind("melodies", "luo_rnn", "", Melody(8)),
    Kind("events", "luo_rnn", "poly-", Performance()),
    Kind("piano rolls", "luo_roll_rnn", "", Frames(8.0), every_seed=False),
)


@dataclass(frozen=True)
class Printed:
    """A table of the report: its number, what it is of, and the figures in the order of VARIANTS. target: what the
    figures should come near, where less is not simply better."""

    number: str
    kind: str
    measure: str
    values: tuple[float, ...]
    target: float | None = None

    def ranked(self) -> list[str]:
        """The variants, the best first."""
        off = [value if self.target is None else abs(value - self.target) for value in self.values]
        return [VARIANTS[index] for index in np.argsort(off, kind="stable")]


PRINTED = (
    Printed("5.1", "melodies", "transitions", (0.0431, 0.0482, 0.0495, 0.0485, 0.0502)),
    Printed("5.2", "melodies", "intra", (1469.066, 1507.901, 1526.397, 1583.879, 1553.075)),
    Printed("5.3", "melodies", "inter", (3255.256, 3142.493, 3034.470, 2949.661, 2981.271)),
    Printed("5.4", "events", "inter", (1781.840, 1813.039, 1834.427, 1834.581, 1826.264)),
    Printed("5.5", "events", "intra", (423.424, 454.790, 444.436, 447.900, 442.526)),
    Printed("5.6", "events", "interval_mgeval", (0.104, 0.106, 0.091, 0.099, 0.108), target=0.114),
)  # fmt: skip
MEASURES = {
    "transitions": "KL of transitions, note to note",
    "steps": "KL of transitions, step to step",
    "intra": "sum of intra distances",
    "inter": "sum of inter distances",
    "intra_mean": "mean intra distance",
    "inter_mean": "mean inter distance",
    "interval": "inter-onset interval, s",
    "interval_mgeval": "inter-onset interval by mgeval, s",
    "used": "used pitches",
}
ACROSS = ("transitions", "steps", "inter", "inter_mean")  # what tells two sets apart


# ---- training


@dataclass(frozen=True)
class Run:
    kind: Kind
    variant: str
    seed: int
    size: str

    @property
    def recipe(self) -> str:
        return f"{self.kind.prefix}{self.size}-{self.variant}"

    def folder(self, runs: Path) -> Path:
        return runs / f"{self.kind.system}-{self.recipe}-{self.seed}"

    def finished(self, runs: Path) -> bool:
        steps = recipe(self.kind.system, self.recipe).training.steps
        return (self.folder(runs) / "checkpoints" / str(steps) / "config.json").exists()


def all_runs(seeds: Sequence[int], size: str) -> list[Run]:
    """First all with the first seed, so that there is something to see early."""
    return [
        Run(kind, variant, seed, size)
        for seed in seeds for kind in KINDS for variant in VARIANTS if kind.every_seed or seed == seeds[0]
    ]  # fmt: skip


def learn(run: Run, corpus: Corpus, runs: Path) -> None:
    if run.finished(runs):
        return
    began = time.process_time()
    train(run.kind.system, recipe(run.kind.system, run.recipe), corpus, run.folder(runs), seed=run.seed)
    print(f"{run.folder(runs).name}: trained in {time.process_time() - began:.0f} s of one core", flush=True)


# ---- music


@dataclass(frozen=True)
class Counted:
    """What is counted of n pieces: transitions and steps (n, 12, 12), counts and shares of pitches (n, 128), and a
    number a piece of each other kind, (n,)."""

    transitions: np.ndarray
    steps: np.ndarray
    counts: np.ndarray
    shares: np.ndarray
    interval: np.ndarray
    interval_mgeval: np.ndarray
    used: np.ndarray
    stuck: np.ndarray

    @classmethod
    def of(cls, scores: Sequence[Score]) -> Counted:
        grids = [on_grid(score) for score in scores]
        notes = [timed(score) for score in scores]
        lines = [_line(each) for each in notes]
        return cls(
            np.array([np.nan_to_num(pitch_class_transitions(grid)) for grid in grids]),
            np.array([step_transitions(line) for line in lines]),
            np.array([grid.pitch_counts for grid in grids], float),
            np.array([np.nan_to_num(pitch_shares(grid)) for grid in grids]),
            np.array([average_inter_onset_interval(grid) for grid in grids]),
            np.array([average_inter_onset_interval_mgeval(grid) for grid in grids]),
            np.array([pitches_used(grid) for grid in grids]),
            np.array([stuck_notes_a_minute(each) for each in notes]),
        )


def _line(notes: np.ndarray) -> np.ndarray:
    """The highest pitch at each eighth of a second, -1 for silence."""
    if not len(notes):
        return np.zeros(0, int)
    tokens = Melody(8).encode(notes).astype(int)
    return np.where(tokens == 128, -1, tokens)


def excerpts(corpus: Corpus, seconds: float, count: int, rng: np.random.Generator) -> tuple[list[Any], list[Any]]:
    """Twice `count` excerpts (TIMED notes) of held-out pieces, no group of pieces on both sides; pieces are taken again
    where there are too few, from another place."""
    pieces = [p for split in ("valid", "test") for p in corpus.pieces(split) if p.seconds > seconds]
    groups = sorted({piece.group for piece in pieces})
    first = {groups[index] for index in rng.permutation(len(groups))[: len(groups) // 2]}
    sides: tuple[list[Any], list[Any]] = ([], [])
    for side, own in zip(sides, (first, set(groups) - first), strict=True):
        among = [piece for piece in pieces if piece.group in own]
        order = rng.permutation(len(among))
        while len(side) < count:
            part = _excerpt(among[order[len(side) % len(among)]], seconds, rng)
            if len(part):
                side.append(part)
    return sides


def _excerpt(piece: Piece, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """What begins within a stretch of that length, cut at its end."""
    notes, length = piece.timed(), int(seconds * 1000)
    first = int(rng.integers(max(int(piece.seconds * 1000) - length, 1)))
    part = np.array(notes[(notes["onset"] >= first) & (notes["onset"] < first + length)])
    part["onset"] -= first
    part["length"] = np.minimum(part["length"], length - part["onset"])
    return part


def sampled(run: Run, runs: Path, pieces: int, seconds: float, *, cured: bool = True) -> Counted:
    """What the network of a run makes, counted once and kept beside it."""
    kept = run.folder(runs) / f"{'made' if cured else 'uncured'}-{pieces}x{seconds:g}.npz"
    if kept.exists():
        try:
            with np.load(kept) as file:
                return Counted(**file)
        except (OSError, ValueError, TypeError, zipfile.BadZipFile):  # cut short: make it again
            pass
    system = checkpoint.load(run.folder(runs) / "checkpoints" / "best")[0].eval()
    if not cured:
        other = type(system)(replace(system.config, longest_note_seconds=0.0))
        other.load_state_dict(system.state_dict())
        system = other.eval()
    began = time.process_time()
    counted = Counted.of(system.generate(Request(count=pieces, seconds=seconds), np.random.default_rng(run.seed)))
    np.savez(kept, **vars(counted))
    print(f"{run.folder(runs).name}: {pieces} pieces in {time.process_time() - began:.0f} s", flush=True)
    return counted


# ---- figures


def figures(made: Counted, real: Counted) -> dict[str, Any]:
    """Of pieces beside as many real ones."""
    return {
        "transitions": kl_of_histograms(made.transitions.mean(0), real.transitions.mean(0)),
        "steps": kl_of_histograms(made.steps.sum(0), real.steps.sum(0)),
        "intra": float(intra_distances(made.counts).mean(1).sum()),
        "inter": float(inter_distances(made.counts, real.counts).mean(1).sum()),
        "intra_mean": float(intra_distances(made.shares).mean()),
        "inter_mean": float(inter_distances(made.shares, real.shares).mean()),
        "interval": float(np.nanmean(made.interval)),
        "interval_mgeval": float(np.nanmean(made.interval_mgeval)),
        "used": float(np.nanmean(made.used)),
    }


def spread(values: Sequence[float]) -> Any:
    """The mean over seeds with the least and the greatest; one seed alone is a number."""
    if len(values) == 1:
        return values[0]
    return {"mean": float(np.mean(values)), "low": float(np.min(values)), "high": float(np.max(values))}


def compared(printed: Printed, found: Mapping[str, Sequence[float]], target: float) -> list[Any]:
    """How the printed ranking stands: of its pairs, how many hold with every seed, are reversed with every seed, or are
    not told apart. target: of the real music here, where the figures should come near one."""
    off = {
        name: np.abs(np.array(values) - target) if printed.target is not None else np.array(values)
        for name, values in found.items()
    }
    order = [name for name in printed.ranked() if name in off]
    pairs = [(one, other) for place, one in enumerate(order) for other in order[place + 1 :]]
    holds = sum(off[one].max() < off[other].min() for one, other in pairs)
    reversed_ = sum(off[one].min() > off[other].max() for one, other in pairs)
    here = sorted(order, key=lambda name: float(off[name].mean()))
    told = [", ".join(SHORT[name] for name in names) for names in (order, here)]
    return [f"{printed.number}: {printed.kind}, {MEASURES[printed.measure]}", *told, int(holds), int(reversed_),
            len(pairs) - int(holds) - int(reversed_)]  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True, help="folder of the trained networks")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--size", choices=("small", "paper"), default="small", help="which recipes")
    parser.add_argument("--pieces", type=int, default=200, help="a network; the report has 500 melodies, 200 others")
    parser.add_argument("--seconds", type=float, default=30.0, help="a piece; the report has 60")
    parser.add_argument("--trained", action="store_true", help="measure what is trained, train nothing")
    parser.add_argument("--name", default="luo_tables", help="of the result")
    arguments = parser.parse_args(argv)
    corpus, runs = open_corpus(arguments.corpus), arguments.runs

    todo = all_runs(arguments.seeds, arguments.size)
    if not arguments.trained:
        for run in todo:
            learn(run, corpus, runs)
    done = [run for run in todo if run.finished(runs)]
    if not done:
        sys.exit(f"no network is trained in {runs}; leave out --trained")
    one, other = excerpts(corpus, arguments.seconds, arguments.pieces, np.random.default_rng(0))
    result: dict[str, Any] = {}
    for kind in KINDS:
        real, floor = (
            Counted.of([score_of(kind.notation.decode(kind.notation.encode(notes))) for notes in side])
            for side in (one, other)
        )
        made = {
            variant: [
                sampled(run, runs, arguments.pieces, arguments.seconds)
                for run in done if run.kind is kind and run.variant == variant
            ]
            for variant in VARIANTS
        }  # fmt: skip
        result[kind.name] = {
            variant: [figures(each, real) for each in of_seeds] for variant, of_seeds in made.items() if of_seeds
        }
        itself = {name: None if name in ACROSS else value for name, value in figures(real, real).items()}
        result[kind.name] |= {"real": [itself], "other real": [figures(floor, real)]}
        if kind.name == "events":
            result["stuck"] = _stuck(done, kind, real, arguments)
    result["learning"] = {run.folder(runs).name: _learned(run, runs) for run in done}
    record(
        arguments.name,
        result,
        command=shlex.join(["python", *sys.argv]),
        seed=arguments.seeds[0],
        data={"corpus": corpus.info()["fingerprint"], "pieces": arguments.pieces, "seconds": arguments.seconds},
        tables=list(tables(result, arguments)),
    )


def _stuck(done: Sequence[Run], kind: Kind, real: Counted, arguments: argparse.Namespace) -> dict[str, Any]:
    """Stuck notes a minute by variant and seed, as published and cured, and of real music."""
    found: dict[str, Any] = {"real": float(real.stuck.mean())}
    for run in done:
        if run.kind is kind:
            made = [sampled(run, arguments.runs, arguments.pieces, arguments.seconds, cured=c) for c in (False, True)]
            found.setdefault(run.variant, []).append([float(each.stuck.mean()) for each in made])
    return found


def _learned(run: Run, runs: Path) -> float:
    """The least validation figure of a run: nats a token, or a frame of a roll."""
    told = json.loads((run.folder(runs) / "checkpoints" / "best" / "config.json").read_text("utf-8"))
    return float(next(iter(told["validation"].values())))


def tables(result: Mapping[str, Any], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    count = f"{arguments.pieces} pieces of {arguments.seconds:g} s a network"
    for kind in KINDS:
        found = result[kind.name]
        if not found.keys() & SHORT:
            continue
        ours = {name: {m: spread([f[m] for f in found[name]]) for m in MEASURES} for name in found}
        printed = {(p.measure): dict(zip(VARIANTS, p.values, strict=True)) for p in PRINTED if p.kind == kind.name}
        names = [name for name in (*VARIANTS, "real", "other real") if name in found]
        labels = SHORT | {"real": "real", "other real": "real, other works: the floor"}
        learned = {
            name: spread([nats for run, nats in result["learning"].items()
                          if run.rpartition("-")[0] == f"{kind.system}-{kind.prefix}{arguments.size}-{name}"])
            for name in VARIANTS if name in found
        }  # fmt: skip
        unit = "nats a frame" if kind.name == "piano rolls" else "nats a token"
        yield {
            "title": f"Luo's networks over {kind.name}",
            "columns": ["network", unit, *MEASURES.values()],
            "rows": [[labels[n], learned.get(n), *(ours[n][m] for m in MEASURES)] for n in names],
            "note": f"{count}, beside as many held-out excerpts in the same notation; brackets hold the least and the"
            " greatest of the seeds. Sums are of each piece's mean distance between counts of pitches; means are"
            " between shares, and hold for any number of pieces. Nats are of validation.",
        }
        for measure, values in printed.items():
            number = next(p.number for p in PRINTED if p.kind == kind.name and p.measure == measure)
            yield {
                "title": f"Luo's table {number}: {kind.name}, {MEASURES[measure]}",
                "columns": ["network", "printed", "here"],
                "rows": [[labels[n], values.get(n), ours[n][measure]] for n in names],
            }
    rankings = [
        compared(p, {v: [f[p.measure] for f in result[p.kind][v]] for v in VARIANTS if v in result[p.kind]},
                 result[p.kind]["real"][0][p.measure])
        for p in PRINTED if len(result[p.kind].keys() & SHORT) > 1
    ]  # fmt: skip
    yield {
        "title": "Which of Luo's rankings hold",
        "columns": ["table", "printed, the best first", "here", "pairs that hold", "reversed", "not told apart"],
        "rows": rankings,
        "note": "A pair holds or is reversed where every seed of the one network lies beyond every seed of the other.",
    }
    stuck = result["stuck"]
    of_networks = [[SHORT[v], *(spread(each) for each in zip(*stuck[v], strict=True))] for v in VARIANTS if v in stuck]
    yield {
        "title": "Notes that never end: stuck notes a minute",
        "columns": ["network", "as published", "ended by the notation"],
        "rows": [*of_networks, ["real", stuck["real"], stuck["real"]]],
        "note": "Notes of more than ten seconds. As published, a note ends where the network says so; cured, the writer"
        " of the notation ends it after ten seconds, as one of the tokens that the network reads.",
    }


if __name__ == "__main__":
    main()
