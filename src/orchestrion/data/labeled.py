"""Phrases that people judged, and a corpus that is learned from together with them.

Legend: N phrases, K tracks, S steps of a phrase, P pitches.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from orchestrion.core.files import replace_file
from orchestrion.data.store import Corpus, CorpusError


@dataclass(frozen=True, eq=False)
class Judged:
    """ids: (N,) of the items that people heard; phrases: (N, K, S, P) bool; real: (N,) bool, what they said."""

    ids: tuple[str, ...]
    phrases: np.ndarray
    real: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def fingerprint(self) -> str:
        """Of what decides a training: the phrases and what was said of them."""
        return sha256(np.packbits(self.phrases).tobytes() + np.packbits(self.real).tobytes()).hexdigest()

    def draw(self, rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
        """judged: (count, K, S, P) bool; judged_real: (count,) bool, each answer as often as the other, where both were
        given."""
        sides = [side for side in (np.flatnonzero(self.real), np.flatnonzero(~self.real)) if len(side)]
        rows = [sides[which] for which in rng.integers(len(sides), size=count)]
        index = np.array([row[rng.integers(len(row))] for row in rows])
        return {"judged": self.phrases[index], "judged_real": self.real[index]}

    def subset(self, chosen: np.ndarray) -> Judged:
        """Those of which `chosen`, (N,) bool, is True."""
        ids = tuple(id for id, kept in zip(self.ids, chosen, strict=True) if kept)
        return Judged(ids, self.phrases[chosen], self.real[chosen])

    def joined(self, later: Judged) -> Judged:
        """Both; what was judged in both counts as it was judged later."""
        kept = self.subset(np.array([id not in set(later.ids) for id in self.ids], bool))
        return Judged(
            kept.ids + later.ids,
            np.concatenate([kept.phrases, later.phrases]),
            np.concatenate([kept.real, later.real]),
        )

    def write(self, path: Path) -> None:
        """Whole or not at all. Raises writing.WritingError."""
        data = io.BytesIO()
        np.savez_compressed(
            data, ids=np.array(self.ids, "U"), phrases=np.packbits(self.phrases), real=self.real,
            shape=np.array(self.phrases.shape),
        )  # fmt: skip
        replace_file(path, data.getvalue())

    @staticmethod
    def read(path: Path) -> Judged:
        """Raises CorpusError where the file is damaged."""
        try:
            with np.load(io.BytesIO(path.read_bytes())) as arrays:
                shape = tuple(int(size) for size in arrays["shape"])
                cells = np.unpackbits(arrays["phrases"], count=int(np.prod(shape)))
                ids, real = tuple(str(id) for id in arrays["ids"]), arrays["real"].astype(bool)
            phrases = cells.reshape(shape).astype(bool)
            if not len(ids) == len(phrases) == len(real):
                raise ValueError("its parts differ in length")
            return Judged(ids, phrases, real)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise CorpusError(f"{path} is damaged ({error}); delete it, or take it from a copy") from error


class JudgedCorpus(Corpus):
    """A corpus and judged phrases: what a run learns from that goes on after people were asked. Its fingerprint is of
    both, so that the run's record tells them apart. `plain` is the corpus alone."""

    def __init__(self, plain: Corpus, judged: Judged) -> None:
        told: dict[str, Any] = plain.info()
        both = sha256(f"{told['fingerprint']} {judged.fingerprint}".encode()).hexdigest()
        super().__init__(plain.path, {**told, "fingerprint": both})
        self.plain, self.judged = plain, judged

    def __reduce__(self) -> tuple[Any, ...]:
        return JudgedCorpus, (self.plain, self.judged)
