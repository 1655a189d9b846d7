"""Whether words make the music of APE-GAN: its figure 6 with controls, and sentences in words never learned.

    python bench/word_groups.py --runs DIR --corpus CORPUS [--pieces 128] [--seed 0] [--tries 16]
        [--workers 1] [--work FOLDER]

DIR holds runs of ape_gan, each a folder ape_gan-RECIPE-SEED. Sentences are those of sentence_groups.json, each set in
six groups of meaning, three of which are the opposites of the others: sentences held out, as people would type them,
and sentences of which no word that carries a meaning was learned from. What lies in --work is not made again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from phrase_sides import open_runs, percent, said_of
from record import BENCH, record
from rich.progress import Progress

from orchestrion.core.files import replace_file
from orchestrion.core.workers import pool
from orchestrion.data.captions.pairs import Pairs, shifted
from orchestrion.data.captions.templates import MEANINGS, sentences
from orchestrion.metrics.sentences import divergence, note_counts, pair_matrix
from orchestrion.models.base import Request
from orchestrion.models.loading import load
from orchestrion.models.zoo.ape_gan import ApeGan
from orchestrion.music.theory import Key
from orchestrion.text.encoder import SentenceEncoder

SETS: dict[str, dict[str, list[str]]] = json.loads((BENCH / "sentence_groups.json").read_text("utf-8"))
HELD_OUT, NEVER_LEARNED = SETS
MEANING = {"joy": "happy", "sorrow": "sad", "calm": "calm", "tension": "tense", "low": "low", "high": "high"}
OPPOSED = {"joy": "sorrow", "sorrow": "joy", "calm": "tension", "tension": "calm", "low": "high", "high": "low"}
DISTRIBUTION = "pitch x length"
KNOWN = 8  # sentences of a meaning, learned from, that a group's own music is made of
TWICE = 3  # sentences of a group that are composed twice
SIDES = ("within", "median within", "opposed", "others")
SHOWN = ("small, seed 0", "small, seed 1")  # as pictures
IN_C = Key(0, "major")


def told_in(name: str) -> tuple[list[str], list[str]]:
    """The sentences of a set, and the group of each."""
    groups = SETS[name]
    return [one for told in groups.values() for one in told], [group for group, told in groups.items() for _ in told]


class Heard:
    """The notes of what a system makes of sentences, (S, pieces, C), and how often its gate let music pass."""

    def __init__(self, system: ApeGan, embeddings: np.ndarray, pieces: int, seed: int, tries: int) -> None:
        refused: Counter[str] = Counter()
        request = Request(count=pieces, bars=system.config.bars, key=IN_C, tries=tries,
                          rejected=lambda reason: refused.update([reason]))  # fmt: skip
        counts = []
        for number, embedding in enumerate(embeddings):
            rng = np.random.default_rng((seed, number))
            scores = system.generate(replace(request, sentence=embedding), rng)
            counts.append(np.stack([note_counts(score, DISTRIBUTION) for score in scores]))
        self.counts = np.stack(counts)
        self.refused = refused["judged to be made"]

    @property
    def totals(self) -> np.ndarray:
        """(S, C)"""
        return self.counts.sum(axis=1)

    @property
    def accepted(self) -> float:
        """Share of what was drawn that was handed out, whether it passed or was the likeliest."""
        handed = self.counts.shape[0] * self.counts.shape[1]
        return handed / (handed + self.refused)


def sides(matrix: np.ndarray, groups: Sequence[str]) -> dict[str, np.ndarray]:
    """Off the diagonal of (S, S): pairs within a group, across opposed groups, and across the others."""
    one, other = np.array(groups)[:, None], np.array(groups)[None]
    within = (one == other) & ~np.eye(len(matrix), dtype=bool)
    opposed = np.vectorize(OPPOSED.get)(one) == other
    return {"within": matrix[within], "opposed": matrix[opposed], "others": matrix[(one != other) & ~opposed]}


@dataclass(frozen=True)
class Job:
    """One system, in a process of its own. folder: of a run; untrained: as it was before it learned; known: (6 KNOWN,
    D) embeddings; embeddings: (S, D) of a set."""

    name: str
    folder: Path
    untrained: bool
    told: str
    embeddings: np.ndarray
    known: np.ndarray
    tries: int
    pieces: int
    seed: int

    @property
    def file(self) -> str:
        """Where it is kept: another of any of this is another job."""
        told = (
            f"{self.name} {self.told} {self.pieces} {self.seed} {self.embeddings.tobytes()!r} {self.known.tobytes()!r}"
            + (f" {self.tries}" if self.tries else "")
        )
        weights = (self.folder / "checkpoints" / "best" / "model.safetensors").read_bytes()
        return hashlib.sha256(told.encode() + weights).hexdigest()[:16] + ".json"


def measured(job: Job) -> dict[str, Any]:
    """Figure 6 of one system: its matrix, and how many sentences fall with their group."""
    torch.set_num_threads(1)
    system = load(job.folder).system
    assert isinstance(system, ApeGan)
    if job.untrained:
        torch.manual_seed(job.seed)
        system = ApeGan(system.config)
    rng, seed, pieces = np.random.default_rng(job.seed), job.seed, job.pieces
    names, group_of = told_in(job.told)
    heard = Heard(system, job.embeddings, pieces, seed, job.tries)
    matrix = pair_matrix(list(heard.counts), rng)
    groups = list(SETS[job.told])
    again = [group_of.index(group) + place for group in groups for place in range(TWICE)]
    second = Heard(system, job.embeddings[again], pieces, seed + 1000, job.tries).totals
    twice = [divergence(heard.totals[row], other) for row, other in zip(again, second, strict=True)]
    known = Heard(system, job.known, pieces, seed + 2000, job.tries).totals.reshape(len(groups), KNOWN, -1).sum(axis=1)
    nearest = [groups[int(np.argmin([divergence(total, group) for group in known]))] for total in heard.totals]
    right = [near == group for near, group in zip(nearest, group_of, strict=True)]
    apart = sides(matrix, group_of)
    return {
        "matrix": matrix,
        **{side: float(np.nanmean(values)) for side, values in apart.items()},
        "median within": float(np.nanmedian(apart["within"])),
        "twice": float(np.mean(twice)),
        "right": [sum(right), len(right)],
        "astray": [f"{name}: {near}" for name, near, ok in zip(names, nearest, right, strict=True) if not ok],
        "accepted": heard.accepted if job.tries else None,
    }


def once(job: Job, work: Path | None) -> dict[str, Any]:
    """`measured`, as plain numbers, kept in a folder where one is named."""
    path = None if work is None else work / job.file
    if path is None or not path.exists():
        found = measured(job)
        text = json.dumps({**found, "matrix": np.round(found["matrix"], 4).tolist()})
        if path is None:
            return dict(json.loads(text))
        replace_file(path, text)
    return dict(json.loads(path.read_text("utf-8")))


def of_real_music(pairs: Pairs, rng: np.random.Generator) -> dict[str, float]:
    """The same of held-out phrases of which the meanings are true, in as many parts of each group as fit."""
    parts, groups = [], []
    grid = pairs.phrases.grid
    for group, meaning in MEANING.items():
        rows = rng.permutation(np.flatnonzero(pairs.true[:, MEANINGS.index(meaning)]))[:256]
        rolls = shifted(pairs.phrases.at(pairs.firsts[rows]), pairs.shifts[rows], grid)
        counts = np.stack([note_counts(grid.decode(roll), DISTRIBUTION) for roll in rolls])
        for half in np.array_split(counts, max(2, len(counts) // 64)):
            parts.append(half)
            groups.append(group)
    apart = sides(pair_matrix(parts, rng), groups)
    means = {side: float(np.mean(values)) for side, values in apart.items()}
    return {**means, "median within": float(np.median(apart["within"]))}


def figure_6(
    told: str, found: Mapping[str, Mapping[str, Any]], real: Mapping[str, float], pieces: int, tries: int
) -> dict[str, Any]:
    rows: list[list[Any]] = [["held-out music of the same meanings", *(real[side] for side in SIDES), None, None, None]]
    for name, one in found.items():
        again = None if one["accepted"] is None else 1 / one["accepted"] - 1
        rows.append([name, *(one[side] for side in SIDES), one["twice"], percent(*one["right"]), again])
    count = len(told_in(told)[0])
    said = {
        HELD_OUT: "None of the sentences was learned from; words of theirs may have been.",
        NEVER_LEARNED: "No word of theirs that carries a meaning was learned from.",
    }
    return {
        "title": f"Figure 6 of the APE-GAN paper, with controls: {told}",
        "columns": ["", "within groups", "median within", "opposed groups", "other groups", "the same twice",
                    "sentences with their group, %", "drawn again, times a phrase"],
        "rows": rows,
        "note": f"KL divergence in nats between the notes of {pieces} pieces of 4 bars of each of {count} sentences, by"
        f" {DISTRIBUTION}, mean over pairs of sentences. {said[told]} The gate tries {tries} times at a phrase, and"
        " then lets the likeliest pass. Aims: below 0.1 within groups, above 0.9 across"
        " opposed ones, 80 % with their group.",
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--pieces", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tries", type=int, default=16, help="of the gate at a phrase")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args(argv)
    if options.work is not None:
        options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    runs = open_runs(options.runs, [options.corpus], "ape_gan-")
    encoder = SentenceEncoder.load()
    rng = np.random.default_rng(options.seed)
    known = encoder.encode([one for meaning in MEANING.values() for one in sentences(meaning, "train", KNOWN, rng)])
    embeddings = {told: encoder.encode(told_in(told)[0]) for told in SETS}
    small = next(run for run in runs if run.name.endswith("/small"))
    asked = [(f"{run.name.partition('/')[2]}, seed {run.seed}", run.folder, False, tries)
             for run in runs for tries in ((options.tries, 0) if run.name.endswith("/small") else (0,))]  # fmt: skip
    asked.append(("untrained", small.folder, True, 0))
    jobs = [
        Job(name if tries else f"{name}, no gate", folder, untrained, told, embeddings[told], known, tries,
            options.pieces, options.seed)
        for told in SETS
        for name, folder, untrained, tries in asked
        if tries == 0 or told == HELD_OUT  # some thirty draws to a phrase that passes
    ]  # fmt: skip
    found: dict[str, dict[str, dict[str, Any]]] = {told: {} for told in SETS}
    with Progress() as progress, pool(options.workers) as executor:
        task = progress.add_task("systems", total=len(jobs))
        waiting: dict[Future[dict[str, Any]], Job] = {executor.submit(once, job, options.work): job for job in jobs}
        for done in as_completed(waiting):
            found[waiting[done].told][waiting[done].name] = done.result()
            progress.advance(task)
    found = {told: {job.name: found[told][job.name] for job in jobs if job.told == told} for told in SETS}
    real = of_real_music(small.system.pairs(small.corpus, "test"), rng)
    figures = {
        told: {
            "groups": SETS[told],
            "runs": {name: {key: value for key, value in one.items() if key != "matrix"} for name, one in of.items()},
            "matrices": {name: one["matrix"] for name, one in of.items() if name in SHOWN},
        }
        for told, of in found.items()
    }
    command = shlex.join(["python", "bench/word_groups.py", *(sys.argv[1:] if argv is None else argv)])
    tables = [figure_6(told, of, real, options.pieces, options.tries) for told, of in found.items()]
    print(
        record("word_groups", figures, command=command, seed=options.seed, data=said_of(runs[0].corpus), tables=tables)
    )


if __name__ == "__main__":
    main()
