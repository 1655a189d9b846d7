"""What the music report measures: composed pieces with what was asked of them, and excerpts of held-out pieces."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from symusic import Score

from orchestrion.data.store import SPLITS, Corpus
from orchestrion.music.files import read
from orchestrion.representations.cells import BAR, DURATION, POSITION, Cells, bar_starts, decode


@dataclass(frozen=True)
class Piece:
    """A piece to measure. group: pieces that are resampled together; controls: name -> whether it holds; key: the one
    asked for, or that of the whole piece an excerpt is from; "" for none."""

    score: Score
    group: str
    sentence: str = ""
    controls: tuple[tuple[str, bool], ...] = field(default=())
    key: str = ""


def composed_pieces(folder: Path) -> list[Piece]:
    """All MIDI files of a folder, by name, with what the JSON beside each says."""
    pieces = []
    for path in sorted(folder.glob("*.mid")):
        beside = path.with_suffix(".json")
        told = json.loads(beside.read_text("utf-8")) if beside.exists() else {}
        sentence = told.get("sentence") or told.get("request", {}).get("sentence") or ""
        controls = tuple((str(row["control"]), bool(row["holds"])) for row in told.get("controls", ()))
        key = "".join(row["asked"] for row in told.get("controls", ()) if row["control"] == "key" and "asked" in row)
        pieces.append(Piece(read(path), sentence or path.stem, sentence, controls, key))
    if not pieces:
        sys.exit(f"no MIDI files in {folder}; name a folder of composed pieces")
    return pieces


def excerpts(corpus: Corpus, lengths: Sequence[int], rng: np.random.Generator) -> list[Piece]:
    """One excerpt for each of `lengths` (bars), from validation and test pieces in random order."""
    held_out = [piece for split in SPLITS if split != "train" for piece in corpus.pieces(split)]
    long = np.array([piece.bars for piece in held_out])
    turn, drawn = rng.permutation(len(held_out)), np.zeros(len(held_out), int)
    result = []
    for length in lengths:
        fits = np.flatnonzero(long >= length)
        if not fits.size:
            sys.exit(f"no validation or test piece of the corpus has {length} bars")
        place = fits[np.lexsort((turn[fits], drawn[fits]))[0]]
        drawn[place] += 1
        piece = held_out[place]
        part = excerpt(piece.cells(), int(rng.integers(piece.bars - length + 1)), length)
        if len(part.notes):
            result.append(Piece(decode(part), piece.group, key=piece.key))
    return result


def excerpt(cells: Cells, first: int, bars: int) -> Cells:
    """`bars` bars of a grid from bar `first`, counted from 0; what sounds on is cut at the end."""
    notes = cells.notes[(cells.notes[:, BAR] >= first) & (cells.notes[:, BAR] < first + bars)].copy()
    notes[:, BAR] -= first
    meters = cells.meters[first : first + bars]
    starts = bar_starts(meters)
    left = starts[-1] - starts[notes[:, BAR]] - notes[:, POSITION]
    notes[:, DURATION] = np.clip(notes[:, DURATION], 1, np.maximum(left, 1))
    return replace(cells, notes=notes, meters=meters)


def fingerprint(folder: Path) -> str:
    """The first half of a SHA-256 over the MIDI files of a folder, by name."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.mid")):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]
