"""The published sequence systems side by side: each small recipe trained on one corpus, and whole test pieces read.

    python bench/sequence_systems.py --performances CORPUS --melodies CORPUS --runs DIR [--pieces 20] [--only NAME]
    python bench/sequence_systems.py --pop909 FOLDER --melodies CORPUS      makes the corpus of melodies, and ends

Systems of performance events learn from the first corpus, those of melodies from the second. Runs and rows that are
there are not made again.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
import torch
from record import record
from symusic import Score, Tempo, Track

from orchestrion.core.errors import UserError
from orchestrion.core.files import replace_file
from orchestrion.data.build import build
from orchestrion.data.datasets.pop909 import Pop909
from orchestrion.data.store import Corpus, open_corpus
from orchestrion.evaluation.likelihood import likelihood_of
from orchestrion.evaluation.music_sets import open_side
from orchestrion.models.checkpoint import load
from orchestrion.models.registry import recipe
from orchestrion.music.edit import notes_of
from orchestrion.music.files import write_midi
from orchestrion.training.trainer import train

PERFORMANCES = (
    "attention_grid/small-1x1",
    "attention_grid/small-1x3",
    "attention_grid/small-3x1",
    "attention_grid/small-2x2",
    "dilated_convolution/small",
    "performance_rnn/small",
)
MELODIES = ("dilated_convolution/small-melody", "lookback_rnn/small", "attention_rnn/small")
UNITS = {
    "nats a token": "nats_per_token",
    "nats a note": "nats_per_note",
    "bits a second": "bits_per_second",
}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--performances")
    parser.add_argument("--melodies", required=True)
    parser.add_argument("--pop909", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/local/sequence_systems"))
    parser.add_argument("--pieces", type=int, default=20, help="of the test split, at most")
    parser.add_argument("--only", nargs="*", help="SYSTEM/RECIPE names; what is there of the others is kept")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    if arguments.pop909:
        melody_corpus(arguments.pop909, Path(arguments.melodies))
        return
    if not arguments.performances:
        parser.error("--performances is needed to train the systems of performance events")
    torch.set_num_threads(1)
    corpora = {name: open_corpus(arguments.performances) for name in PERFORMANCES}
    corpora |= {name: open_corpus(arguments.melodies) for name in MELODIES}
    for name, corpus in corpora.items():
        if arguments.only is None or name in arguments.only:
            measure(name, corpus, arguments.runs / name.replace("/", "-"), arguments.pieces, arguments.seed)
    found = {}
    for name in corpora:
        path = arguments.runs / name.replace("/", "-") / "likelihood.json"
        if path.exists():
            found[name] = json.loads(path.read_text())
    if found:
        write(found, corpora, arguments.seed)


def measure(name: str, corpus: Corpus, out: Path, pieces: int, seed: int) -> None:
    """Train the recipe into `out`, and write what its best checkpoint makes of test pieces there."""
    if (out / "likelihood.json").exists():
        return
    system_name, _, recipe_name = name.partition("/")
    resumed, began = out.exists(), process_time()
    train(system_name, recipe(system_name, recipe_name), corpus, out, seed=seed)
    seconds = process_time() - began
    system, _, notes = load(out / "checkpoints" / "best")
    items = open_side(corpus.path, "test").items
    order = np.random.default_rng(seed).permutation(len(items))[:pieces]
    likelihood = likelihood_of(system.eval(), name, [items[index] for index in order], np.random.default_rng(seed))
    row = asdict(likelihood) | {
        "validation": notes["validation"]["nats_per_token"],
        "parameters": sum(parameter.numel() for parameter in system.parameters()),
        "core_minutes_of_training": None if resumed else seconds / 60,
        "steps": recipe(system_name, recipe_name).training.steps,
    }
    replace_file(out / "likelihood.json", json.dumps(row, indent=1) + "\n")
    print(f"{name}: {likelihood.nats_per_token.mean:.3f} nats a token", flush=True)


def write(found: dict[str, Any], corpora: dict[str, Corpus], seed: int) -> None:
    columns = ["system", "parameters", "steps", "core minutes", "validation", *UNITS, "pieces"]
    tables = []
    for title, names, data in (
        ("Sequence systems on performance events, small recipes", PERFORMANCES, "MAESTRO v3, official split"),
        ("Sequence systems on melodies, small recipes", MELODIES, "POP909's melodies in 4/4, at 120 quarters a minute"),
    ):
        rows = [
            [name, row["parameters"], row["steps"], row["core_minutes_of_training"], row["validation"],
             *(row[unit] for unit in UNITS.values()), row["pieces"]]
            for name in names if (row := found.get(name))
        ]  # fmt: skip
        terms = " ".join(dict.fromkeys(found[name]["context"] for name in names if name in found))
        note = (
            f"{data}. Whole test pieces, no padding; validation is in nats a token of random windows. {terms} Nats a"
            " token compare only where the tokens are the same. The recipes are brief, some minutes of one core: how"
            " systems rank when each has learned all it can, they do not say."
        )
        if rows:
            tables.append({"title": title, "columns": columns, "rows": rows, "note": note})
    record(
        "sequence_systems",
        found,
        command=shlex.join(["python", *sys.argv]),
        seed=seed,
        data={
            corpora[names[0]].path.name: corpora[names[0]].info()["fingerprint"] for names in (PERFORMANCES, MELODIES)
        },
        tables=tables,
    )


def melody_corpus(pop909: Path, out: Path) -> Corpus:
    """POP909's melodies in 4/4, as on the beat at 120 quarter notes a minute, so that a bar is sixteen tokens."""
    dataset = Pop909()
    with TemporaryDirectory() as folder:
        for item in dataset.items(pop909):
            try:
                score = dataset.load(pop909, item)
            except UserError:
                continue
            (meter,) = score.time_signatures
            melodies = [track for track in score.tracks if track.name == "MELODY" and track.notes]
            if (meter.numerator, meter.denominator) != (4, 4) or not melodies:
                continue
            notes, bar = melodies[0].notes.numpy(), score.tpq * 4
            notes["time"] -= notes["time"].min() // bar * bar
            melody = Track("melody", 0)
            melody.notes = notes_of(notes)
            alone = Score(score.tpq)
            alone.tempos, alone.time_signatures, alone.tracks = [Tempo(0, 120.0)], score.time_signatures, [melody]
            write_midi(alone, Path(folder) / f"{item.group}.mid")
        return build([Path(folder)], out)


if __name__ == "__main__":
    main()
