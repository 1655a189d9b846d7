"""Is it music? Composed pieces beside excerpts of a corpus's held-out pieces, and what the words change.

    python bench/music_report.py --corpus CORPUS --composed DIR [--shuffled DIR] [--out FILE]

A folder of composed pieces holds X.mid and, beside it, X.json with "sentence" (the words asked for) and "controls"
([{"control", "asked", "holds"}, ...]), as `compose_set.py` and `orchestrion compose` write them. --shuffled is a folder
made from the same sentences and controls, but each with the embedding of another sentence: what differs between the two
is what the words change beyond the controls.

The reference are excerpts of the validation and test pieces: as many as composed pieces, as long in bars, one from each
piece drawn (more only where the pieces do not suffice), notes cut at the end. Intervals resample sentences (composed)
and groups of the split (held out), as pieces of one sentence are not independent. Copies are looked for in the training
split, by the index that `orchestrion corpus index` keeps in the corpus.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pieces import Piece, composed_pieces, excerpts, fingerprint
from record import RESULTS, record
from symusic import Score
from word_effects import divergences, word_effects

from orchestrion.data.copies import copy_index
from orchestrion.data.store import open_corpus
from orchestrion.metrics import bars as fullness
from orchestrion.metrics import pitch, repetition, rhythm
from orchestrion.metrics.copying import PHRASE_MOVES, CopyIndex
from orchestrion.metrics.sets import mean_interval
from orchestrion.music.analysis import estimate_key
from orchestrion.music.bars import bars

KEY_FOUND = "estimated key is the one asked for (held out: that of the whole piece)"

MEASURES: dict[str, Callable[[Score], float]] = {
    "share of pieces without a note": lambda score: float(score.note_num() == 0),
    "empty-bar rate": fullness.empty_bar_rate,
    "empty-bar rate, mean of the tracks": fullness.empty_cell_rate,
    "longest run of empty bars": fullness.longest_empty_run,
    "notes a bar": fullness.notes_a_bar,
    "notes a bar a track": fullness.notes_a_bar_a_track,
    "pitch classes a bar": pitch.pitch_classes_a_bar,
    "share of notes of at least a sixteenth": rhythm.qualified_note_rate,
    "in-scale rate, best key": pitch.in_scale_rate,
    "polyphony": pitch.polyphony,
    "groove consistency": rhythm.groove_consistency,
    "bars that equal an earlier bar": repetition.bar_repetition,
    "cells that equal an earlier cell": repetition.cell_repetition,
    "longest run of one pitch, onsets": repetition.longest_same_pitch_run,
    "longest run of one pitch or chord, onsets": repetition.longest_same_strike_run,
    "share of notes in one-pitch runs of 16 or more": repetition.hammered_share,
}


def measures(pieces: Sequence[Piece], index: CopyIndex, rng: np.random.Generator) -> tuple[dict[str, Any], np.ndarray]:
    """Each measure's mean with its interval, and the lengths of the longest copied phrases."""
    groups = [piece.group for piece in pieces]
    runs = {
        "longest copy, notes": [_notes(index, piece.score, 1) for piece in pieces],
        "longest copied phrase, notes": [_notes(index, piece.score, PHRASE_MOVES) for piece in pieces],
    }
    values = {name: [measure(piece.score) for piece in pieces] for name, measure in MEASURES.items()} | runs
    values[KEY_FOUND] = [_key_found(piece) for piece in pieces]
    figures: dict[str, Any] = {name: asdict(mean_interval(value, rng, groups=groups)) for name, value in values.items()}
    phrases = np.array(runs["longest copied phrase, notes"])
    for name in (name for name in values if name.startswith("longest")):
        figures[f"{name}: 95th percentile"] = float(np.quantile(values[name], 0.95))
        figures[f"{name}: greatest"] = int(max(values[name]))
    return figures, phrases


def _key_found(piece: Piece) -> float:
    return float(estimate_key(piece.score)[0].name == piece.key) if piece.key else np.nan


def _notes(index: CopyIndex, score: Score, distinct_moves: int) -> int:
    copy = index.longest(score, distinct_moves)
    return copy.notes if copy else 0


def controls(pieces: Sequence[Piece]) -> dict[str, float]:
    """The share of pieces in which each control holds, and all of them do."""
    asked = [piece.controls for piece in pieces if piece.controls]
    names = sorted({name for row in asked for name, _ in row})
    shares = {name: float(np.mean([holds for row in asked for told, holds in row if told == name])) for name in names}
    if asked:
        shares["all of them"] = float(np.mean([all(holds for _, holds in row) for row in asked]))
    return shares


def tables(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """What docs/results.md prints."""
    sets = [name for name in ("composed", "shuffled", "held out") if name in figures["measures"]]
    made = [name for name in sets if name != "held out"]

    def table(title: str, first: str, source: str, parts: Sequence[str], note: str = "") -> dict[str, Any]:
        kinds = sets if source == "measures" else made
        columns = [
            f"{kind}: {part}" if part else f"{kind} ({figures['pieces'][kind]})" for kind in kinds for part in parts
        ]
        rows = [
            [name, *(_part(figures[source][kind].get(name), part) for kind in kinds for part in parts)]
            for name in figures[source]["composed"]
        ]
        return {"title": title, "columns": [first, *columns], "rows": rows, "note": note}

    words = ["first word", "second word", "difference"]
    apart = ["one sentence", "different sentences", "gap", "gap by chance"]
    of_words = "Means over the pieces whose sentence has words of the first and of the second kind."
    of_gap = "Mean Jensen-Shannon divergence between two pieces, bits. A gap no wider than by chance says nothing."
    result = [
        table("Composed pieces beside held-out ones", "measure", "measures", [""]),
        table("Controls that hold", "control", "controls", [""]),
        table("What words change", "words: trait", "words", words, of_words),
        table("How far sentences lie apart", "notes by", "divergence", apart, of_gap),
    ]
    return [table for table in result if table["rows"]]


def _part(value: Any, part: str) -> Any:
    return value[part] if part and value is not None else value


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--composed", type=Path, required=True)
    parser.add_argument("--shuffled", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS / "music.json")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(options.seed)
    corpus = open_corpus(options.corpus)

    folders = {"composed": options.composed} | ({"shuffled": options.shuffled} if options.shuffled else {})
    made = {name: composed_pieces(folder) for name, folder in folders.items()}
    sets = made | {"held out": excerpts(corpus, [max(1, len(bars(piece.score))) for piece in made["composed"]], rng)}
    index = copy_index(corpus)

    figures: dict[str, Any] = {"pieces": {name: len(pieces) for name, pieces in sets.items()}, "measures": {}}
    phrases = {}
    for name, pieces in sets.items():
        figures["measures"][name], phrases[name] = measures(pieces, index, rng)
    usual = np.quantile(phrases["held out"], 0.95)
    for name in sets:
        figures["measures"][name]["share whose phrase is longer than 95 % of held-out ones"] = float(
            np.mean(phrases[name] > usual)
        )
    figures["controls"] = {name: controls(pieces) for name, pieces in made.items()}
    figures["words"] = {name: word_effects(pieces, rng) for name, pieces in made.items()}
    figures["divergence"] = {name: divergences(pieces, rng) for name, pieces in made.items()}
    path = record(
        options.out.stem, figures, command=shlex.join(["python", *sys.argv]), seed=options.seed,
        data={"corpus": corpus.info()["fingerprint"]} | {name: fingerprint(folder) for name, folder in folders.items()},
        tables=tables(figures), folder=options.out.parent,
    )  # fmt: skip
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
