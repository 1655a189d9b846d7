"""The two sets that are compared, as lists of items: what each holds is read piece by piece, when it is its turn."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from symusic import Score

from orchestrion.core.errors import UserError
from orchestrion.data.store import SPLITS, Piece, open_corpus
from orchestrion.music.bars import bars
from orchestrion.music.edit import slice_bars
from orchestrion.music.files import SUFFIXES, read
from orchestrion.text.controls import parse_bars, parse_instruments, parse_key, parse_meter, parse_tempo
from orchestrion.text.reading import Controls, ControlsError

BESIDE = (".json", ".wav", ".png")  # what composing writes next to a piece
HELD_OUT = ("test", "valid")
_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "bars": parse_bars, "tempo": parse_tempo, "meter": parse_meter, "key": parse_key, "instruments": parse_instruments,
}  # fmt: skip
NO_CONTROLS = Controls()
_DRAWS = 8  # of an excerpt, until one has notes


class EvaluationError(UserError):
    """A comparison that cannot be made; the message is one line for the user."""


@dataclass(frozen=True)
class Item:
    """One piece, not read yet. group: pieces that are no independent witnesses, such as those of one sentence or
    song. asked: the controls that it was composed for; closes: composed whole, so that a key asks for an end on its
    triad. excerpt_bars: cut a longer piece to that many bars, from a place that `seed` and the name decide."""

    name: str
    group: str
    music: Path | Piece
    sentence: str = ""
    asked: Controls = NO_CONTROLS
    closes: bool = False
    excerpt_bars: int | None = None
    seed: int = 0

    def score(self) -> Score:
        """Raises ScoreError where the file cannot be read."""
        score = self.music.score() if isinstance(self.music, Piece) else read(self.music)
        return score if self.excerpt_bars is None else self._excerpt(score, self.excerpt_bars)

    def performance(self) -> Score:
        """The whole of it in real time, where a corpus has it both so and on a grid. Raises ScoreError, CorpusError."""
        return self.music.performance() if isinstance(self.music, Piece) else read(self.music)

    def digest(self) -> str:
        """A SHA-256 of the file that the piece comes from."""
        if isinstance(self.music, Piece):
            return self.music.sha256
        return hashlib.sha256(self.music.read_bytes()).hexdigest()

    def _excerpt(self, score: Score, length: int) -> Score:
        spare = len(bars(score)) - length
        if spare <= 0:
            return score
        word = int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8])
        rng = np.random.default_rng((self.seed, word))
        for first in rng.integers(1, spare + 2, _DRAWS):
            part = slice_bars(score, int(first), int(first) + length - 1)
            if part.note_num():
                return part
        return score


@dataclass(frozen=True)
class Side:
    """A set of pieces. kind: "folder", "corpus" or "model"; remarks: what a reader of the report should know."""

    label: str
    kind: str
    items: tuple[Item, ...]
    remarks: tuple[str, ...] = ()

    @property
    def bars(self) -> list[int]:
        """How many bars each piece has, where that is known without reading it: of a corpus; else empty."""
        return [item.music.bars for item in self.items if isinstance(item.music, Piece)]

    def excerpts(self, lengths: np.ndarray, seed: int) -> Side:
        """The same pieces, of which each longer one is cut to one of these lengths in bars, dealt out in turn."""
        dealt = np.random.default_rng(seed).permutation(lengths)
        items = tuple(
            replace(item, excerpt_bars=int(dealt[index % len(dealt)]), seed=seed)
            for index, item in enumerate(self.items)
        )
        said = f"longer pieces are cut to one excerpt each, of {np.median(lengths):g} bars (median) as the other side"
        return replace(self, items=items, remarks=(*self.remarks, said))

    def sample(self, count: int, seed: int) -> Side:
        """At most `count` of the pieces, drawn without order."""
        if len(self.items) <= count:
            return self
        chosen = np.sort(np.random.default_rng(seed).choice(len(self.items), count, replace=False))
        said = f"{count:,} of {len(self.items):,} pieces, drawn by seed {seed}"
        return replace(self, items=tuple(self.items[index] for index in chosen), remarks=(*self.remarks, said))


def open_side(place: Path, split: str | None = None) -> Side:
    """A folder of music (with all folders in it), a single file, or a corpus, of which `split` is taken ("all" for
    the whole); without a split the test pieces, else those for validation, else all. Raises EvaluationError."""
    if not place.exists():
        raise EvaluationError(f"there is no {place}; name a folder of music, a corpus or a trained run")
    if (place / "corpus.json").exists():
        return _corpus_side(place, split)
    if split is not None:
        raise EvaluationError(f"{place} is a folder of files and has no splits; leave --split out")
    return _folder_side(place)


def _corpus_side(place: Path, split: str | None) -> Side:
    corpus = open_corpus(place)
    if split is None:
        split = next((name for name in HELD_OUT if corpus.pieces(name)), "all")
    if split not in (*SPLITS, "all"):
        raise EvaluationError(f"there is no split {split!r}; choose {', '.join(SPLITS)} or all")
    pieces = corpus.pieces(None if split == "all" else split)
    if not pieces:
        raise EvaluationError(f"{place} has no pieces of the split {split!r}; choose another with --split")
    items = tuple(Item(piece.id, f"{piece.dataset}/{piece.group}", piece) for piece in pieces)
    part = "all splits" if split == "all" else f"split {split}"
    return Side(f"{place.name}, {part}", "corpus", items, (f"{part} of a corpus of {len(corpus.pieces()):,} pieces",))


def _folder_side(place: Path) -> Side:
    found = place.rglob("[!.]*") if place.is_dir() else [place]
    files = sorted(path for path in found if path.is_file())
    music = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not music:
        held = "is empty" if not files else f"holds {len(files):,} files, but none of music"
        raise EvaluationError(f"{place} {held}; files that end in {' '.join(SUFFIXES)} can be read")
    others = Counter(path.suffix or path.name for path in files if path.suffix.lower() not in (*SUFFIXES, *BESIDE))
    remarks = [f"{count:,} files ending in {suffix} are no music and were left" for suffix, count in others.items()]
    root = place if place.is_dir() else place.parent
    items = []
    for path in music:
        told = _record(path.with_suffix(".json"))
        try:
            asked = _asked(told)
        except ControlsError as error:
            asked = Controls()
            remarks.append(f"what {path.with_suffix('.json').name} asks for cannot be read: {error}")
        name, sentence = str(path.relative_to(root)), str(told.get("sentence") or "")
        request = told.get("request")
        closes = isinstance(request, dict) and request.get("operation") == "composes"
        items.append(Item(name, sentence or name, path, sentence, asked, closes))
    return Side(place.name, "folder", tuple(items), tuple(remarks))


def _record(path: Path) -> dict[str, Any]:
    """The JSON object beside a piece; nothing where there is none, or where it is something else."""
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _asked(record: Mapping[str, Any]) -> Controls:
    """The controls that a record says were asked for. Raises ControlsError."""
    rows = record.get("controls")
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    told = {str(row.get("control")): str(row.get("asked")) for row in rows}
    return Controls(**{name: parse(told[name]) for name, parse in _PARSERS.items() if name in told})
