"""The pieces of a corpus as tokens of a notation, kept in its folder: `tokens-NOTATION-SPLIT.npy` and `.json`.

P pieces, N tokens of all of them together.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import orchestrion
from orchestrion.core.files import replace_file
from orchestrion.data.cache import Progress, growing, kept_table
from orchestrion.data.store import Corpus, CorpusError
from orchestrion.representations.notation import Notation, NotationError

TOKEN = np.dtype("<i2")
PADDING = -1  # behind the end of a piece


@dataclass(frozen=True, eq=False)
class Tokens:
    """A table of tokens, made by `token_table`.

    tokens: (N,) int16, memory-mapped, the pieces one after another. starts: (P + 1,) int64, where each begins, and N.
    pieces: their ids. skipped: how many pieces were left out, by reason.
    """

    tokens: np.ndarray
    starts: np.ndarray
    pieces: tuple[str, ...]
    skipped: Mapping[str, int]

    def piece(self, index: int) -> np.ndarray:
        """The tokens of one piece, a read-only view of the file."""
        return self.tokens[self.starts[index] : self.starts[index + 1]]

    def windows(self, rng: np.random.Generator, count: int, length: int) -> np.ndarray:
        """(count, length + 1) int64: `length` tokens each with the one that follows; PADDING behind the end of a piece.

        Every place where a whole window fits is drawn as often as any other, and a piece too short for one is drawn
        from its beginning, as often as one place.
        """
        last = np.cumsum(np.maximum(1, np.diff(self.starts) - length))  # places up to the end of each piece
        place = rng.integers(last[-1], size=count)
        piece = np.searchsorted(last, place, side="right")
        before = np.where(piece > 0, last[piece - 1], 0)
        at = (self.starts[piece] + place - before)[:, None] + np.arange(length + 1)
        drawn = self._values[np.minimum(at, len(self._values) - 1)].astype(np.int64)
        return np.where(at < self.starts[piece + 1][:, None], drawn, PADDING)

    @cached_property
    def _values(self) -> np.ndarray:  # a plain array of the same bytes is indexed faster than np.memmap
        return np.asarray(self.tokens)


def token_table(
    corpus: Corpus, split: str, notation: Notation, *, progress: Progress = lambda done, total: None
) -> Tokens:
    """The pieces of one split as tokens: read where they were kept, else encoded and kept, whole or not at all.

    Tied to the fingerprint of the corpus, the name and size of the notation and the version of Orchestrion. A piece
    that the notation refuses, or of which it makes fewer than two tokens, is left out and counted. progress: called
    with (pieces encoded, pieces in all). Opening it again costs microseconds. Raises CorpusError where no piece is left
    or the corpus holds no timed notes, OSError where its folder cannot be written.
    """
    path = corpus.path / f"tokens-{notation.name}-{split}.json"
    made_of = {
        "fingerprint": corpus.info()["fingerprint"],
        "notation": [notation.name, notation.size],
        "version": orchestrion.__version__,
    }
    return kept_table(path, made_of, _opened, lambda: _write(corpus, split, notation, path, made_of, progress))


@lru_cache(maxsize=16)  # a batch is drawn from it thousands of times a minute
def _opened(path: Path, written_ns: int) -> tuple[dict[str, Any], Tokens]:
    told = json.loads(path.read_text("utf-8"))
    tokens, starts = np.load(path.with_suffix(".npy"), mmap_mode="r"), np.array(told["starts"], np.int64)
    if tokens.shape != (starts[-1],) or tokens.dtype != TOKEN:
        raise ValueError(f"{path} tells of other tokens")
    return told, Tokens(tokens, starts, tuple(told["pieces"]), told["skipped"])


def _write(
    corpus: Corpus, split: str, notation: Notation, path: Path, made_of: Mapping[str, Any], progress: Progress
) -> None:
    """Encode the pieces one by one; the .json is written last, and what it tells of is whole then."""
    pieces, starts, names = corpus.pieces(split), [0], []
    skipped: Counter[str] = Counter()
    with growing(path.with_suffix(".npy"), TOKEN) as append:
        for done, piece in enumerate(pieces):
            progress(done, len(pieces))
            try:
                tokens = notation.encode(piece.timed())
            except NotationError as error:
                skipped[str(error)] += 1
                continue
            if len(tokens) < 2:
                skipped["fewer than two tokens"] += 1
                continue
            append(tokens)
            starts.append(starts[-1] + len(tokens))
            names.append(piece.id)
        if not names:
            reason = f": {skipped.most_common(1)[0][0]}" if skipped else ""
            raise CorpusError(
                f"{corpus.path}: none of the {len(pieces)} pieces of its {split} split can be written as"
                f" {notation.name}{reason}; give it other music"
            )
    told = {**made_of, "skipped": dict(skipped.most_common()), "starts": starts, "pieces": names}
    replace_file(path, json.dumps(told) + "\n")
    progress(len(pieces), len(pieces))
