"""The plans of all pieces of a corpus, estimated from their notes and kept in its folder: `plans.npz` and `.json`.

P pieces, M bars, K tracks, S sections; the arrays of all pieces lie one after another.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from orchestrion.core.files import replace_file
from orchestrion.core.workers import pool
from orchestrion.data.cache import Progress, kept_table
from orchestrion.data.store import Corpus, Piece
from orchestrion.planning import levels
from orchestrion.planning.arrays import PlanArrays, analyzed
from orchestrion.planning.plan import FEELS, LEVEL_NAMES, MOODS, STYLES

VERSION = 1  # of the analysis
CHUNK_PIECES = 64

#: Words by which sources name a genre or a style, and the style that they are taken as.
STYLE_OF = {
    **{style: style for style in STYLES}, "pop rock": "rock", "alternative": "rock", "indie": "rock",
    "psychedelic": "rock", "oldies": "pop", "r&b": "soul", "irish folk": "folk", "world": "folk", "lounge": "jazz",
    "techno": "dance", "house": "dance", "trance": "dance", "hiphop": "hip hop", "cinematic": "soundtrack",
    "newage": "new age", "new age": "new age", "bach": "chorale", "swing": "jazz", "bossa nova": "latin",
    "neworleans": "jazz", "afrobeat": "funk", "afrocuban": "latin", "gospel": "soul", "highlife": "folk",
    "middleeastern": "folk", "dance": "dance", "art song": "art song", "chorale": "chorale",
}  # fmt: skip
MOOD_OF = {
    **{mood: mood for mood in MOODS}, "mellow": "calm", "relaxed": "calm", "fun": "happy", "party": "happy",
    "melancholy": "sad",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class PlanTable:
    """index: id of a piece -> its place. In arrays: starts (P + 1, 5), where the bars, tracks, sections, cells and
    section cells of each begin; style (P, 2), mood and feel (P,), 0 where not known; and the fields of PlanArrays."""

    index: Mapping[str, int]
    arrays: Mapping[str, np.ndarray]

    def of(self, piece: Piece) -> PlanArrays:
        """The plan of one piece; views of the arrays."""
        place, arrays = self.index[piece.id], self.arrays
        (bar, track, _, cell, part), (bars, tracks, _, cells, parts) = arrays["starts"][place : place + 2]
        count = int(tracks - track)
        return PlanArrays(
            arrays["chords"][bar:bars], arrays["basses"][bar:bars], arrays["section"][bar:bars],
            arrays["letter"][bar:bars], arrays["occurrence"][bar:bars], arrays["source"][bar:bars],
            arrays["levels"][cell:cells].reshape(-1, count, len(LEVEL_NAMES)),
            arrays["section_levels"][part:parts].reshape(-1, count, len(LEVEL_NAMES)), arrays["roles"][track:tracks],
        )  # fmt: skip

    def header(self, piece: Piece) -> tuple[np.ndarray, int, int]:
        """(styles (2,), mood, feel) of one piece, 0 where not known; the styles are alternatives."""
        place = self.index[piece.id]
        return self.arrays["style"][place], int(self.arrays["mood"][place]), int(self.arrays["feel"][place])


def plan_table(
    corpus: Corpus, *, workers: int = 1, progress: Progress = lambda done, total: None
) -> PlanTable:  # fmt: skip
    """The plans of all pieces: read where they were kept, else estimated and kept, whole or not at all. Tied to the
    fingerprint of the corpus and the version of the analysis. Raises CorpusError, OSError."""
    made_of = {"fingerprint": corpus.info()["fingerprint"], "version": [VERSION, levels.VERSION]}
    path = corpus.path / "plans.json"
    return kept_table(path, made_of, _opened, lambda: _write(corpus, path, made_of, workers, progress))


@lru_cache(maxsize=4)
def _opened(path: Path, written_ns: int) -> tuple[dict[str, Any], PlanTable]:
    told = json.loads(path.read_text("utf-8"))
    with np.load(path.with_suffix(".npz")) as file:
        arrays = {name: file[name] for name in file.files}
    if len(arrays["starts"]) != len(told["pieces"]) + 1:
        raise ValueError(f"{path} tells of other plans")
    return told, PlanTable({id: place for place, id in enumerate(told["pieces"])}, arrays)


def _write(corpus: Corpus, path: Path, made_of: Mapping[str, Any], workers: int, progress: Progress) -> None:
    pieces = corpus.pieces()
    chunks = [(corpus, first, min(first + CHUNK_PIECES, len(pieces))) for first in range(0, len(pieces), CHUNK_PIECES)]
    parts: list[dict[str, np.ndarray]] = []
    for part in _all(chunks, workers):
        parts.append(part)
        progress(min(len(parts) * CHUNK_PIECES, len(pieces)), len(pieces))
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    arrays["starts"] = np.concatenate([np.zeros((1, 5), np.int64), arrays.pop("sizes").cumsum(0)])
    arrays["style"] = np.array([_styles(piece.facts) for piece in pieces], np.uint8).reshape(-1, 2)
    arrays["mood"] = np.array([_mood(piece.facts) for piece in pieces], np.uint8)
    arrays["feel"] = np.array([_feel(piece.facts) for piece in pieces], np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    replace_file(path.with_suffix(".npz"), buffer.getvalue())
    replace_file(path, json.dumps({**made_of, "pieces": [piece.id for piece in pieces]}) + "\n")


def _all(chunks: Sequence[tuple[Corpus, int, int]], workers: int) -> Any:
    if min(workers, len(chunks)) <= 1:
        yield from map(_analyzed, chunks)
        return
    executor: Executor
    with pool(min(workers, len(chunks))) as executor:
        yield from executor.map(_analyzed, chunks)


def _analyzed(chunk: tuple[Corpus, int, int]) -> dict[str, np.ndarray]:
    corpus, first, last = chunk
    plans = [analyzed(piece.cells()) for piece in corpus.pieces()[first:last]]

    def joined(name: str, kind: type) -> np.ndarray:
        return np.concatenate([getattr(plan, name) for plan in plans]).astype(kind)

    flat = {
        name: np.concatenate([getattr(plan, name).reshape(-1, len(LEVEL_NAMES)) for plan in plans]).astype(np.int8)
        for name in ("levels", "section_levels")
    }
    sizes = [
        (len(p.section), len(p.roles), len(p.section_levels), len(p.section) * len(p.roles),
         len(p.section_levels) * len(p.roles))
        for p in plans
    ]  # fmt: skip
    return {
        "chords": joined("chords", np.uint8), "basses": joined("basses", np.uint8),
        "section": joined("section", np.int16), "letter": joined("letter", np.uint8),
        "occurrence": joined("occurrence", np.uint8), "source": joined("source", np.int16),
        "roles": joined("roles", np.uint8), **flat, "sizes": np.array(sizes, np.int64),
    }  # fmt: skip


def _words(facts: Mapping[str, Any], *names: str) -> list[str]:
    told = [facts.get(name, []) for name in names]
    return [str(word).lower() for words in told for word in (words if isinstance(words, list) else [words])]


def _styles(facts: Mapping[str, Any]) -> tuple[int, int]:
    """The first two styles that the source names, 1 + index of STYLES; twice the same where it names one."""
    found = [1 + STYLES.index(STYLE_OF[word]) for word in _words(facts, "style", "genre") if word in STYLE_OF]
    found = list(dict.fromkeys(found)) or [0]
    return found[0], found[1] if len(found) > 1 else found[0]


def _mood(facts: Mapping[str, Any]) -> int:
    words = _words(facts, "emotion", "mood", "guessed mood")
    return next((1 + MOODS.index(MOOD_OF[word]) for word in words if word in MOOD_OF), 0)


def _feel(facts: Mapping[str, Any]) -> int:
    """Swing is measured; where it is not found in music in quarter notes the feel is straight."""
    if facts.get("feel") == "swing":
        return 1 + FEELS.index("swing")
    return 1 + FEELS.index("straight") if facts.get("meter") in ("4/4", "3/4", "2/4") else 0
