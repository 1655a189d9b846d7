"""How near each trained system comes to real music, and the page that shows them all: docs/systems.md.

    python bench/systems.py --run SYSTEM/RECIPE=RUN@CORPUS ... [--pieces 200] [--work DIR] [--seed 0]

RUN is a run's folder or the name of bundled weights, CORPUS what it was trained on. Each makes pieces, which `evaluate`
compares with as many held-out pieces of the same kind: phrases on its grid, or excerpts as long as what it writes. What
lies in DIR already is not made again. A picture and a MIDI file of each go to docs/samples.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from phrase_sides import Run, data_name, grid_of, real_rolls
from record import BENCH, record
from symusic import Score

from orchestrion.core.errors import UserError
from orchestrion.core.files import replace_file
from orchestrion.data.store import Corpus, open_corpus
from orchestrion.evaluation.evaluate import Wishes, evaluate_places
from orchestrion.evaluation.report import as_json
from orchestrion.generation.batch import Asked, write_pieces
from orchestrion.models.loading import Model, load
from orchestrion.models.registry import system_module
from orchestrion.music.bars import bars
from orchestrion.music.edit import slice_bars
from orchestrion.music.files import read, write_midi
from orchestrion.rendering.piano_roll import write_picture

SAMPLES = BENCH.parent / "docs" / "samples"
SECONDS, BARS = 30.0, 16  # of what is written in real time, and bar by bar
_DRAWS = 8  # of an excerpt, until one has notes


@dataclass(frozen=True)
class Shown:
    """One trained system. name: SYSTEM/RECIPE."""

    name: str
    model: Model
    corpus: Corpus

    @property
    def run(self) -> Run:
        return Run(self.name, 0, Path(), self.corpus, self.model, 0, 0, {})

    @property
    def draws_phrases(self) -> bool:
        return hasattr(self.model.system, "grid") or hasattr(self.model.system.config, "grid")

    @property
    def kind(self) -> str:
        """Systems of one kind are compared with the same pieces."""
        if self.draws_phrases:
            part = f", {self.model.name}" if hasattr(self.model.system, "as_learned") else ""
            return f"phrases: {data_name(self.run)}{part}"
        return f"{self.corpus.path.name}, " + (f"{BARS} bars" if self.model.has_bars else f"{SECONDS:g} s")

    def asked(self, pieces: int, seed: int) -> Asked:
        if self.draws_phrases:
            return Asked(pieces, bars=grid_of(self.run).bars, seed=seed)
        return Asked(pieces, bars=BARS, seed=seed) if self.model.has_bars else Asked(pieces, seconds=SECONDS, seed=seed)

    def real(self, pieces: int, rng: np.random.Generator) -> list[Score]:
        """Held-out music of this kind, one phrase or excerpt a piece."""
        if self.draws_phrases:
            rolls, _ = real_rolls(self.run, 4 * pieces, rng)
            ends = rolls[:, :, -grid_of(self.run).steps_a_bar :].any(axis=(1, 2, 3))  # as every piece that is made does
            return [grid_of(self.run).decode(roll) for roll in rolls[ends][:pieces]]
        found = []
        held_out = self.corpus.pieces("test")
        for index in rng.permutation(len(held_out))[:pieces]:
            piece = held_out[int(index)]
            score = piece.score() if self.model.has_bars else piece.performance()
            found.append(excerpt(score, BARS if self.model.has_bars else SECONDS, rng))
        return [score for score in found if score.note_num()]


def excerpt(score: Score, length: float, rng: np.random.Generator) -> Score:
    """So many bars, or of a performance at any tempo as many as last so many seconds at 120 quarters a minute."""
    if isinstance(length, float):
        length = round(length / 2)  # a performance's bar lines say nothing: it lies on 4/4 at that tempo
    spare = len(bars(score)) - int(length)
    if spare <= 0:
        return score
    for first in rng.integers(1, spare + 2, _DRAWS):
        part = slice_bars(score, int(first), int(first) + int(length) - 1)
        if part.note_num():
            return part
    return score


def evaluated(shown: Shown, work: Path, pieces: int, seed: int) -> dict[str, Any]:
    """The report of a system, made in `work` unless it is there."""
    out = work / shown.name.replace("/", "-")
    path = out / "report.json"
    if path.exists():
        return json.loads(path.read_text("utf-8"))
    real = work / f"held-out-{hashlib.sha256(shown.kind.encode()).hexdigest()[:8]}"
    if not real.exists():
        partial = real.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for number, score in enumerate(shown.real(pieces, np.random.default_rng(seed))):
            write_midi(score, partial / f"{number:03}.mid")
        partial.rename(real)
    made = out / "pieces"
    if not (made / "generated.json").exists():
        shutil.rmtree(made, ignore_errors=True)
        write_pieces(shown.model, shown.asked(pieces, seed), made)
    wishes = Wishes(lengths="whole", training=shown.corpus.path, most=pieces, seed=seed)
    report = as_json(evaluate_places(made, real, out, wishes, lambda what, unit: nullcontext(lambda done, total: None)))
    replace_file(path, json.dumps(report, indent=1) + "\n")
    assert isinstance(report, dict)
    return report


def sample(shown: Shown, out: Path) -> str:
    """Copy the piece whose notes are most nearly as many as in the middle one, and draw it; returns its name."""
    files = sorted((out / "pieces").glob("*.mid"))
    counts = np.array([read(file).note_num() for file in files])
    chosen = files[int(np.abs(counts - np.median(counts)).argmin())]
    stem = shown.name.replace("/", "-")
    SAMPLES.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(chosen, SAMPLES / f"{stem}.mid")
    write_picture(read(chosen), SAMPLES / f"{stem}.png", title=shown.name)
    return stem


def over_floor(frechet: dict[str, Any]) -> float | None:
    value, floor = (frechet[name]["mean"] for name in ("value", "floor"))
    return value / floor if floor else None


def row(shown: Shown, report: dict[str, Any], stem: str) -> list[Any]:
    told = {test["by"]: test["accuracy"] for test in report["two_sample"]}
    copied = report["copying"]
    docstring = system_module(shown.model.name).__doc__ or ""
    picture = f'<img src="samples/{stem}.png" width="240" alt="piano roll of {shown.name}">'
    return [
        f"`{shown.name}`", docstring.splitlines()[0].partition(": ")[2],
        sum(weight.numel() for weight in shown.model.system.parameters()), shown.kind,
        told["features"], told["rolls"], over_floor(report["frechet"]),
        copied["longest_generated"]["mean"], copied["longest_reference"]["mean"], copied["novelty_generated"]["mean"],
        f"[MIDI](samples/{stem}.mid)", f"[{picture}](samples/{stem}.png)",
    ]  # fmt: skip


COLUMNS = ["system", "what it is", "parameters", "beside held-out", "told apart by style", "told apart by rolls",
           "Fréchet distance over its floor", "longest copy, notes", "longest copy in held-out music", "novelty",
           "to hear", "to see"]  # fmt: skip
NOTE = (
    "Told apart: how often a classifier tells the pieces from held-out ones, 0.5 is chance and 1 is always; by vectors"
    " of style, and by a small network that looks at piano rolls. Fréchet distance of style vectors, over that of two"
    " halves of the held-out pieces. Copies are of the training split: the longest run of intervals and lengths shared"
    " with a piece there, mean over pieces, and the same of held-out music; novelty is the share of runs of 12 notes"
    " that are in none. Within one kind of held-out music figures compare, across kinds they do not: four bars say less"
    " than half a minute."
)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="append", required=True, metavar="SYSTEM/RECIPE=RUN@CORPUS")
    parser.add_argument("--pieces", type=int, default=200)
    parser.add_argument("--work", type=Path, default=Path("runs/local/systems"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for the result, by default bench/results")
    options = parser.parse_args(argv)
    rows, reports, data = [], {}, {}
    for text in options.run:
        name, _, place = text.partition("=")
        run, _, corpus = place.rpartition("@")
        shown = Shown(name, load(run), open_corpus(corpus))
        if shown.model.name != name.partition("/")[0]:
            raise UserError(f"{run} is a {shown.model.name} and not {name}")
        report = evaluated(shown, options.work, options.pieces, options.seed)
        rows.append(row(shown, report, sample(shown, options.work / name.replace("/", "-"))))
        reports[name] = {key: report[key] for key in ("two_sample", "frechet", "copying")}
        reports[name]["copying"].pop("worst", None)  # names pieces of the corpus
        data[shown.corpus.path.name] = shown.corpus.info()["fingerprint"]
        print(f"{name}: told apart by style {rows[-1][4]['mean']:.2f}, by rolls {rows[-1][5]['mean']:.2f}", flush=True)
    rows.sort(key=lambda cells: (cells[3], cells[4]["mean"]))
    table = {"title": "Systems, nearest to held-out music first", "columns": COLUMNS, "rows": rows, "note": NOTE}
    path = record("systems", reports, command=shlex.join(["python", *sys.argv]), seed=options.seed, data=data,
                  tables=[table], **({"folder": options.out} if options.out else {}))  # fmt: skip
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
