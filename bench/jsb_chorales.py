"""Bach's chorales in sixteenths: nats a token of the Music Transformer, with and without what it sees of distances.

    python bench/jsb_chorales.py --data FOLDER --out RUNS [--rows ROW ...] [--seeds 0 1 2]

FOLDER holds Jsb16thSeparated.json.xz. Each row, a recipe of the system, is trained with each seed in a folder of RUNS,
gone on with where it was stopped, or read where it is done; then all that are done are measured and recorded.

Protocol. The file's own split of 229 / 76 / 77 pieces, no other data. A piece of S sixteenths is 4 S tokens: of each
sixteenth soprano, alto, tenor and bass, each one of 128 pitches or a rest, the pitch that sounds; so a held note is
repeated. Every token of every piece is predicted exactly once: the first of a piece from a start token, the others
after at least half a context of the same piece, or all there is. No end is predicted and padding does not count. The
figure is the sum of nats of a split over its tokens; a quarter note is 16 of them. Training moves pieces by semitones
within the ranges of the voices, measuring moves nothing. What is measured is the running mean of the weights at the
step that the validation split likes best; the test split is measured once, with that. Of several networks, and of
several readings of a network with some of its units dropped (Gal and Ghahramani 2016; READINGS, READING_DROPOUT), the
probabilities of each token are averaged.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import lzma
import shlex
import sys
from collections.abc import Mapping, Sequence
from math import log
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from record import record
from torch.nn.utils import clip_grad_norm_

from orchestrion.data.datasets.jsb import FILE
from orchestrion.data.tokens import PADDING, TOKEN, Tokens
from orchestrion.metrics.sets import ratio_interval
from orchestrion.models import checkpoint
from orchestrion.models.base import Recipe
from orchestrion.models.layers.stepping import bf16_is_fast
from orchestrion.models.registry import recipe
from orchestrion.models.zoo.music_transformer import MusicTransformer, drawn_windows
from orchestrion.representations.chorale import BAR, VOICES, tokens_of_voices
from orchestrion.representations.sliding import Span, spans
from orchestrion.training.trainer import rate_factor

SYSTEM = "music_transformer"
ROWS = {
    "jsb_baseline": "Transformer: absolute positions",
    "jsb_relative": "+ relative attention",
    "jsb_relative_axes": "+ relative pitch and time",
    "jsb_voices": "ours: rotary time and pitch, voice inputs",
}
OURS = "jsb_voices"
PUBLISHED = {  # validation nats a token: Huang et al. 2018, table 2
    "Transformer, published": 0.417,
    "+ relative attention, published": 0.357,
    "+ relative pitch and time, published": 0.335,
}
QUARTER = BAR // 4 * VOICES  # tokens
MEAN_SHARE = 0.99  # of the running mean of the weights that stays at each step
SPANS_AT_ONCE = 16
READINGS, READING_DROPOUT = 8, 0.4  # chosen on validation; shared among the networks that read together


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args(argv)

    path = arguments.data / FILE
    tables = read_tables(path)
    for seed in arguments.seeds:
        for row in arguments.rows:
            train_row(recipe(SYSTEM, row), tables, arguments.out / f"{row}-{seed}", seed)
    figures: dict[str, Any] = {}
    for row in ROWS:
        runs = sorted(path.parent for path in arguments.out.glob(f"{row}-[0-9]*/done"))
        if runs:
            figures[row] = {run.name.rpartition("-")[2]: measured([run], tables) for run in runs}
        if runs and row == OURS:
            figures[row]["readings"] = measured(runs[:1], tables, READINGS)
            figures[row]["together"] = measured(runs, tables, READINGS // len(runs))
    record(
        "jsb_chorales",
        figures,
        command=shlex.join(["python", *sys.argv]),
        seed=min(arguments.seeds),
        data={"file": FILE, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        tables=[table(figures)],
    )


def read_tables(path: Path) -> dict[str, Tokens]:
    """The three splits of the file as tokens, the voices kept apart as they stand there."""
    tables = {}
    for split, pieces in json.loads(lzma.decompress(path.read_bytes())).items():
        tokens = [tokens_of_voices(np.array(piece)) for piece in pieces]
        starts = np.cumsum([0, *map(len, tokens)])
        names = tuple(f"{split}/{number:03d}" for number in range(len(pieces)))
        tables[split] = Tokens(np.concatenate(tokens).astype(TOKEN), starts, names, {})
    return tables


def train_row(chosen: Recipe, tables: Mapping[str, Tokens], out: Path, seed: int) -> None:
    """Train a row into `out`: `last` to go on from, `best` to measure, and `done`."""
    training, precision = chosen.training, chosen.training.precision == "bf16" and bf16_is_fast()
    if (out / "done").exists():
        return
    if (out / "last").exists():
        system, optimizers, notes = checkpoint.load(out / "last", optimizers=True)
        mean, _, _ = checkpoint.load(out / "mean")
    else:
        torch.manual_seed(seed)
        system, notes = MusicTransformer(chosen.config), {"step": 0, "best": float("inf"), "seconds": 0.0}
        optimizers, mean = system.optimizers(), copy.deepcopy(system)
    assert isinstance(system, MusicTransformer)
    assert isinstance(mean, MusicTransformer)
    step, best, begun = int(notes["step"]), float(notes["best"]), process_time() - float(notes["seconds"])
    (optimizer,) = optimizers.values()
    losses: list[float] = []
    while step < training.steps:
        for group in optimizer.param_groups:
            group.setdefault("full_rate", group["lr"])
            group["lr"] = group["full_rate"] * rate_factor(training, step)
        torch.manual_seed(seed * 1_000_003 + step)
        rng = np.random.default_rng((seed, step))
        tokens = torch.from_numpy(drawn_windows(tables["train"], rng, chosen.config, moved=True))
        system.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision):
            ((_, loss),) = system.losses({"tokens": tokens}, step)
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(system.parameters(), training.clip_norm)
        optimizer.step()
        step += 1
        losses.append(float(loss.detach()))
        follow(mean, system, min(MEAN_SHARE, step / (step + 9)))
        if step % training.validate_every == 0 or step == training.steps:
            nats = piece_nats([mean], tables["valid"]).sum() / len(tables["valid"].tokens)
            seconds = process_time() - begun
            print(f"{out.name} step {step} trained at {np.mean(losses):.4f} valid {nats:.4f} after {seconds:.0f} s",
                  flush=True)  # fmt: skip
            losses = []
            if nats < best:
                best = nats
                checkpoint.save(out / "best", SYSTEM, mean, step=step, seconds=seconds)
            checkpoint.save(out / "mean", SYSTEM, mean)
            checkpoint.save(out / "last", SYSTEM, system, optimizers=optimizers, step=step, best=best, seconds=seconds)
    (out / "done").touch()


@torch.no_grad()
def follow(mean: torch.nn.Module, system: torch.nn.Module, stays: float) -> None:
    """Move the running mean of the weights towards the weights."""
    for of_mean, weight in zip(mean.parameters(), system.parameters(), strict=True):
        of_mean.lerp_(weight, 1 - stays)


@torch.inference_mode()
def piece_nats(systems: Sequence[MusicTransformer], table: Tokens, readings: int = 0) -> np.ndarray:
    """Nats of each piece of a split, (P,), by the protocol above, of the systems together; readings: so many of each,
    with units dropped, in place of one with all."""
    context, start = systems[0].config.context, systems[0].notation.size
    jobs = [
        (index, span)
        for index, size in enumerate(np.diff(table.starts))
        for span in spans(int(size), context)
    ]  # fmt: skip
    jobs.sort(key=lambda job: job[1].end - job[1].start)  # so that little is padding
    for system in systems:
        system.train(readings > 0)
        for layer in system.modules():
            if isinstance(layer, torch.nn.Dropout) and readings:
                layer.p = READING_DROPOUT
    torch.manual_seed(0)
    nats = np.zeros(len(table.pieces))
    for first in range(0, len(jobs), SPANS_AT_ONCE):
        own = jobs[first : first + SPANS_AT_ONCE]
        length = max(span.end - span.start for _, span in own)
        rows = [read_and_targets(table.piece(index), span, length, start) for index, span in own]
        read, targets = (torch.from_numpy(np.stack(part)) for part in zip(*rows, strict=True))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16_is_fast()):
            each = [system(read)[0].float().log_softmax(-1) for system in systems for _ in range(max(1, readings))]
        together = torch.stack(each).logsumexp(0) - log(len(each))
        lost = torch.nn.functional.nll_loss(together.transpose(1, 2), targets, ignore_index=PADDING, reduction="none")
        np.add.at(nats, [index for index, _ in own], lost.sum(1).double().numpy())
    return nats


def read_and_targets(piece: np.ndarray, span: Span, length: int, start: int) -> tuple[np.ndarray, np.ndarray]:
    """What stands before each token of the span, and those to predict, else -1; (length,) each."""
    size = span.end - span.start
    read, targets = np.zeros(length, np.int64), np.full(length, PADDING, np.int64)
    read[:size] = np.append(piece[span.start - 1] if span.start else start, piece[span.start : span.end - 1])
    targets[span.first - span.start : size] = piece[span.first : span.end]
    return read, targets


def measured(runs: Sequence[Path], tables: Mapping[str, Tokens], readings: int = 0) -> dict[str, Any]:
    """Nats a token with its interval (bootstrap over pieces), and nats a quarter note, of both held-out splits, of the
    networks of some runs together. readings: see `piece_nats`."""
    systems, notes = [], []
    for run in runs:
        system, _, told = checkpoint.load(run / "best")
        assert isinstance(system, MusicTransformer)
        systems.append(system)
        notes.append(told)
    figures: dict[str, Any] = {
        "parameters": sum(parameter.numel() for system in systems for parameter in system.parameters()),
        "steps": [told["step"] for told in notes],
        "minutes": round(sum(told["seconds"] for told in notes) / 60, 1),
    }
    for split in ("valid", "test"):
        nats, sizes = piece_nats(systems, tables[split], readings), np.diff(tables[split].starts)
        interval = ratio_interval(nats, sizes, np.random.default_rng(0))
        figures[split] = {
            "nats_per_token": round(interval.mean, 4),
            "low": round(interval.low, 4),
            "high": round(interval.high, 4),
            "nats_per_quarter": round(interval.mean * QUARTER, 3),
            "tokens": int(sizes.sum()),
        }
    return figures


def table(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    rows: list[list[Any]] = [
        [name, 1, value, None, round(value * QUARTER, 3), None, None, None] for name, value in PUBLISHED.items()
    ]
    for row, found in figures.items():
        seeds = [each for name, each in found.items() if name not in ("readings", "together")]
        rows.append([ROWS[row], 1, *summary(seeds)])
        if "readings" in found:
            rows.append([f"+ mean of {READINGS} readings", 1, *summary([found["readings"]])])
        if len(seeds) > 1:
            rows.append([f"+ mean of networks, {READINGS} readings in all", len(seeds), *summary([found["together"]])])
    return {
        "title": "JSB chorales in sixteenths: nats a token",
        "columns": [
            "system",
            "networks",
            "valid",
            "95 %",
            "valid, a quarter note",
            "test",
            "test, a quarter note",
            "minutes",
        ],
        "rows": rows,
        "note": "Four tokens a sixteenth, soprano to bass; about four in five repeat the token before them in their "
        "voice and cost little. Brackets: the least and the greatest of the seeds. Bounds: bootstrap over pieces, of "
        f"the first seed. Readings: with {READING_DROPOUT:.0%} of the units dropped by chance, a rate chosen on "
        "validation. Minutes of training on one core, of all networks together.",
    }


def summary(seeds: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Valid, its bounds, a quarter note of it; test, a quarter note of it; minutes."""
    cells: list[Any] = []
    for split in ("valid", "test"):
        for unit in ("nats_per_token", "nats_per_quarter"):
            values = [found[split][unit] for found in seeds]
            mean = round(float(np.mean(values)), 4)
            cells.append({"mean": mean, "low": min(values), "high": max(values)} if len(values) > 1 else mean)
    first = seeds[0]["valid"]
    return [cells[0], f"{first['low']} to {first['high']}", *cells[1:], round(sum(f["minutes"] for f in seeds), 1)]


if __name__ == "__main__":
    main()
