"""A corpus on disk: a folder of note tables, provenance rows, captions and, once made, their embeddings.

    corpus.json     counts, hours, licences, skip reasons, settings and fingerprint; written last
    pieces.jsonl    one row a piece, in the order of notes.npy
    skipped.jsonl   one row a file that was left out, with its reason
    notes.npy       (N, 6) int16: the note tables of `representations.cells` of all pieces, one after another
    timed.npy       (E,) representations.timed.TIMED: the same pieces in real time, in the same order; since format 2
    rolls.npy       (E,) representations.phrases.ROLL: the same notes on 24 steps a quarter note; since format 3
    captions.txt    the different captions, one a line; rows name them by line number from 0
    embeddings.npy  (C, 384) float16, one row a caption, and
    embeddings.json the encoder that they come from; both written by `data.captions.embed`

Cells and timed notes come from one Score, with the sustain pedal written out as note lengths; timed notes are not on a
grid and none is merged or cut. Rolls hold the notes as the keys are pressed, as in the Lakh Pianoroll Dataset. Further
files are made when first asked for: `copies`, `tokens`, `phrases`. Reading needs no torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from symusic import Score

from orchestrion.core.errors import UserError
from orchestrion.music.theory import Meter
from orchestrion.representations import cells
from orchestrion.representations.timed import score_of

FORMAT = 3
SPLITS = ("train", "valid", "test")
#: The files whose bytes the fingerprint covers, in its order.
CONTENT_FILES = ("pieces.jsonl", "skipped.jsonl", "notes.npy", "timed.npy", "rolls.npy", "captions.txt")
#: The first formats with timed notes and with rolls; of earlier ones, which are read as well, all else can be used.
TIMED_FORMAT, ROLLS_FORMAT = 2, 3
EMBEDDINGS, ENCODER = "embeddings.npy", "embeddings.json"


class CorpusError(UserError):
    """A corpus that cannot be built or read; the message says why in one line and what to do."""


@dataclass(frozen=True)
class Piece:
    """One piece of a corpus: its provenance row, with its music a call away.

    sha256 is of the file it came from; path is relative to the folder of the dataset. `key` is the source's label
    (`key_confidence` 1) or estimated from the notes; tempo is quarter notes a minute; `meter_runs` are (meter, bars) in
    order; `captions` are line numbers of `Corpus.captions`; the notes are rows first_note .. first_note + notes of the
    note table, and rows first_timed .. first_timed + timed_notes of the tables of timed notes and of rolls.
    """

    id: str
    dataset: str
    group: str
    split: str
    path: str
    source: str
    licence: str
    sha256: str
    key: str
    key_confidence: float
    tempo: float
    instruments: tuple[int, ...]
    meter_runs: tuple[tuple[str, int], ...]
    bars: int
    notes: int
    seconds: float
    facts: dict[str, Any]
    captions: tuple[int, ...]
    first_note: int
    timed_notes: int
    first_timed: int
    corpus: Corpus = field(repr=False, compare=False)

    @property
    def meters(self) -> tuple[Meter, ...]:
        """One meter a bar."""
        return tuple(meter for name, bars in self.meter_runs for meter in [Meter.parse(name)] * bars)

    def cells(self) -> cells.Cells:
        """The music as a grid of cells; its note table is a read-only view of the file."""
        notes = self.corpus.notes[self.first_note : self.first_note + self.notes]
        return cells.Cells(notes, self.instruments, self.meters, self.tempo)

    def score(self) -> Score:
        """The music as a Score, on the grid of its cells."""
        return cells.decode(self.cells())

    def timed(self) -> np.ndarray:
        """The music in real time: (timed_notes,) TIMED by onset, a read-only view of the file. Raises CorpusError."""
        return self.corpus.timed[self.first_timed : self.first_timed + self.timed_notes]

    def performance(self) -> Score:
        """The music as a Score in real time, on no grid. Raises CorpusError."""
        return score_of(self.timed())

    def roll(self) -> np.ndarray:
        """The notes on steps: (timed_notes,) ROLL by onset, a read-only view of the file. Raises CorpusError."""
        return self.corpus.rolls[self.first_timed : self.first_timed + self.timed_notes]


class Corpus:
    """A corpus opened for reading; see `open_corpus`."""

    def __init__(self, path: Path, summary: dict[str, Any]) -> None:
        self.path = path
        self._summary = summary

    def __repr__(self) -> str:
        return f"Corpus({str(self.path)!r}, {self._summary['pieces']} pieces)"

    def __reduce__(self) -> tuple[Any, ...]:  # a process that is handed a corpus opens it, and is not sent its arrays
        return open_corpus, (self.path,)

    def info(self) -> dict[str, Any]:
        """Counts, hours, licences and skip reasons: what corpus.json holds."""
        return self._summary

    def pieces(self, split: str | None = None) -> Sequence[Piece]:
        """The pieces of one split ("train", "valid", "test"), or all, in the order of the corpus."""
        if split is not None and split not in SPLITS:
            raise CorpusError(f"no split {split!r}; the splits are {', '.join(SPLITS)}")
        return self._pieces if split is None else tuple(piece for piece in self._pieces if piece.split == split)

    @cached_property
    def _pieces(self) -> tuple[Piece, ...]:
        text = (self.path / "pieces.jsonl").read_text("utf-8")
        try:
            rows = json.loads(f"[{','.join(text.splitlines())}]")
            return tuple(self._piece(row) for row in rows)
        except (ValueError, KeyError, TypeError) as error:
            raise CorpusError(f"{self.path}: pieces.jsonl is damaged ({error}); build the corpus again") from error

    def _piece(self, row: dict[str, Any]) -> Piece:
        runs = tuple((str(name), int(bars)) for name, bars in row.pop("meter_runs"))
        instruments, captions = tuple(row.pop("instruments")), tuple(row.pop("captions"))
        if self._summary["format"] < TIMED_FORMAT:
            row |= {"timed_notes": 0, "first_timed": 0}
        return Piece(**row, meter_runs=runs, instruments=instruments, captions=captions, corpus=self)

    @cached_property
    def notes(self) -> np.ndarray:
        """(N, 6) int16, memory-mapped: the note tables of all pieces, one after another."""
        return np.load(self.path / "notes.npy", mmap_mode="r")

    @cached_property
    def timed(self) -> np.ndarray:
        """(E,) representations.timed.TIMED, memory-mapped: the timed notes of all pieces, one after another.

        Raises CorpusError for a corpus of a format that had none."""
        return self._since(TIMED_FORMAT, "timed.npy", "timed notes")

    @cached_property
    def rolls(self) -> np.ndarray:
        """(E,) representations.phrases.ROLL, memory-mapped: the notes of all pieces on steps, one after another.

        Raises CorpusError for a corpus of a format that had none."""
        return self._since(ROLLS_FORMAT, "rolls.npy", "piano rolls")

    def _since(self, version: int, file: str, what: str) -> np.ndarray:
        if self._summary["format"] < version:
            raise CorpusError(
                f"{self.path} is of an older format and holds no {what}; build the corpus again:"
                f" `orchestrion corpus build MUSIC --out {self.path}`"
            )
        return np.load(self.path / file, mmap_mode="r")

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """The different captions; `Piece.captions` are indices into these."""
        return tuple((self.path / "captions.txt").read_text("utf-8").splitlines())

    @cached_property
    def encoder(self) -> str | None:
        """The name of the sentence encoder that made the embeddings; None before there are any."""
        told = self.path / ENCODER
        return str(json.loads(told.read_text("utf-8"))["encoder"]) if told.exists() else None

    @cached_property
    def embeddings(self) -> np.ndarray | None:
        """(C, 384) float16, memory-mapped, one row a caption; None before `data.captions.embed.embed` has made them."""
        return None if self.encoder is None else np.load(self.path / EMBEDDINGS, mmap_mode="r")


def open_corpus(path: str | Path) -> Corpus:
    """Open a corpus folder for reading. Raises CorpusError where it is missing, unfinished, damaged or too new."""
    folder = Path(path)
    try:
        summary = json.loads((folder / "corpus.json").read_text("utf-8"))
        version, files = summary["format"], summary["files"]
    except FileNotFoundError:
        raise CorpusError(f"{folder} is not a corpus (no corpus.json); `orchestrion corpus build` makes one") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{folder}: corpus.json is damaged ({error}); build the corpus again") from error
    if version > FORMAT:
        raise CorpusError(
            f"{folder} has corpus format {version}, this orchestrion reads up to {FORMAT}; update orchestrion"
        )
    for name, told in files.items():
        size = (folder / name).stat().st_size if (folder / name).exists() else None
        if size != told["bytes"]:
            state = "is missing" if size is None else f"has {size} bytes, not {told['bytes']}"
            raise CorpusError(f"{folder}: {name} {state}; build the corpus again")
    return Corpus(folder, summary)
