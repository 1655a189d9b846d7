"""Phrases of trained systems, and of the songs held out from them, as the same kind of music: Scores of one grid."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchestrion.core.errors import UserError
from orchestrion.data.phrases import Selection, phrase_table
from orchestrion.data.store import Corpus, open_corpus
from orchestrion.generation.batch import Asked, generate
from orchestrion.metrics.preference import wilson_interval
from orchestrion.models.loading import Model, load
from orchestrion.representations.phrases import PhraseGrid


@dataclass(frozen=True)
class Run:
    """A trained system. name: SYSTEM/RECIPE; seed: that it was trained with; steps: of the training, `best` of the
    checkpoint that is measured; figures: its validation figures."""

    name: str
    seed: int
    folder: Path
    corpus: Corpus
    model: Model
    steps: int
    best: int
    figures: dict[str, float]

    @property
    def system(self) -> Any:
        return self.model.system

    @property
    def parameters(self) -> int:
        return sum(weight.numel() for weight in self.system.parameters())


def open_runs(folder: Path, corpora: Sequence[Path], system: str = "") -> list[Run]:
    """The runs in a folder, each named SYSTEM-RECIPE-SEED, that have a best checkpoint, or those of one system. Each
    was trained on one of the corpora. Raises UserError where that is not so."""
    by_fingerprint = {(corpus := open_corpus(place)).info()["fingerprint"]: corpus for place in corpora}
    found = []
    for place in sorted(folder.iterdir()):
        if not (place / "checkpoints" / "best").is_dir() or not place.name.startswith(system):
            continue
        told = json.loads((place / "run.json").read_text("utf-8"))
        if told["corpus"] not in by_fingerprint:
            raise UserError(f"{place} was trained on none of the corpora that are named")
        model = load(place)
        stem, _, seed = place.name.rpartition("-")
        recipe = stem.removeprefix(f"{model.name}-")
        figures = model.notes["validation"]
        found.append(Run(f"{model.name}/{recipe}", int(seed), place, by_fingerprint[told["corpus"]], model,
                         told["training"]["steps"], model.notes["step"], figures))  # fmt: skip
    return found


def grid_of(run: Run) -> PhraseGrid:
    grid = getattr(run.system, "grid", None) or run.system.config.grid
    assert isinstance(grid, PhraseGrid)
    return grid


def selection_of(run: Run) -> Selection:
    """Which phrases it learns from."""
    config = run.system.config
    return Selection(notes=getattr(config, "notes", Selection.notes), piece_tracks=getattr(config, "piece_tracks", 1))


def data_name(run: Run) -> str:
    """Runs of one name have the same music to compare with."""
    grid, selection = grid_of(run), selection_of(run)
    chosen = f"{selection.notes} notes or more"
    if selection.piece_tracks > 1:
        chosen += f", songs with {selection.piece_tracks} tracks"
    return f"{run.corpus.path.name}, {grid.tracks}, {grid.bars} x {grid.steps_a_bar} x {grid.pitches}, {chosen}"


def real_rolls(run: Run, count: int, rng: np.random.Generator, split: str = "test") -> tuple[np.ndarray, list[str]]:
    """(C, K, S, P) bool, at most `count` phrases of songs held out, each as likely as in training, and their songs."""
    grid = grid_of(run)
    table = phrase_table(run.corpus, split, grid, selection=selection_of(run))
    chosen = rng.permutation(len(table))[:count]
    rolls = np.stack([table.phrase(int(index)) for index in chosen])
    as_learned = getattr(run.system, "as_learned", None)  # of a system that learns from a part of what sounds
    rolls = rolls if as_learned is None else np.asarray(as_learned(rolls))
    sounds = np.any(rolls, axis=(1, 2, 3))  # a part of it may be silent, which nothing that is made is
    return rolls[sounds], [table.origin(int(index))[0] for index in chosen[sounds]]


def made_rolls(run: Run, count: int, seed: int) -> tuple[np.ndarray, int]:
    """(C, K, S, P) bool, phrases that it draws, and how many it drew in vain. Each is the first of a piece of two: no
    piece may end in silence, but a phrase may."""
    rejected: Counter[str] = Counter()
    grid = grid_of(run)
    asked = Asked(count, bars=2 * grid.bars, seed=seed)
    scores = generate(run.model, asked, rejected=lambda reason: rejected.update([reason]))
    return np.concatenate([grid.encode(score)[:1] for score in scores]), rejected.total()


def percent(right: int, asked: int) -> dict[str, float]:
    """A share with its 95 % interval (Wilson), in %, as a cell of a table."""
    share = wilson_interval(right, asked)
    return {"mean": 100 * share.mean, "low": 100 * share.low, "high": 100 * share.high}


def said_of(corpus: Corpus) -> dict[str, str]:
    """What a result was made on, for its record."""
    info = corpus.info()
    return {"corpus": f"{corpus.path.name}, {info['pieces']} pieces", "fingerprint": info["fingerprint"]}


def history(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "history.jsonl").read_text("utf-8").splitlines()]
