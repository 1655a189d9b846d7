"""The phrases of a corpus on a grid, kept in its folder sparsely: `phrases-GRID-SPLIT.npy`, `-bars.npy` and `.json`.

They are cut from every stretch of bars of four quarter notes, and laid out as piano rolls when they are drawn.

Legend: M parts of notes, B bars, C phrases, K tracks, S steps of a phrase, P pitches.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

import orchestrion
from orchestrion.core.errors import UserError
from orchestrion.core.files import replace_file
from orchestrion.data.cache import Progress, growing, kept_table
from orchestrion.data.store import Corpus, CorpusError, Piece
from orchestrion.representations.phrases import BAR_STEPS, PhraseGrid

#: What sounds of one note in one bar: its place as `PhraseGrid.parts` gives it, and in the lowest seven bits its steps.
PART, LENGTH_BITS = np.dtype("<u4"), 7


@dataclass(frozen=True)
class Selection:
    """Which phrases to use: those in which at least `tracks` tracks hold `notes` notes or more, of pieces in which at
    least `piece_tracks` do. A note counts in each bar in which it sounds.

    MuseGAN's authors took songs in which all five tracks play, `piece_tracks=5`. Raises UserError for numbers below 1.
    """

    notes: int = 10
    tracks: int = 1
    piece_tracks: int = 1

    def __post_init__(self) -> None:
        if min(self.notes, self.tracks, self.piece_tracks) < 1:
            raise UserError(f"a selection of phrases needs numbers from 1, not {self}")


ALL_THAT_PLAY = Selection()


@dataclass(frozen=True, eq=False)
class Phrases:
    """Phrases of the pieces of one split, made by `phrase_table`; as a sequence, those that do not overlap, in order.

    parts: (M,) PART, memory-mapped, bar by bar. bars: (B,) `bar_kind`, in order. pieces: ids of the pieces that bars
    name by number. firsts: (F,) int64, the bars with which a phrase may begin when drawn; apart: (C,) int64, those of
    the sequence. skipped: how many pieces were left out, by reason. sparse: how many beginnings were for lack of notes.
    """

    grid: PhraseGrid
    parts: np.ndarray
    bars: np.ndarray
    pieces: tuple[str, ...]
    firsts: np.ndarray
    apart: np.ndarray
    skipped: Mapping[str, int]
    sparse: int

    def __len__(self) -> int:
        return len(self.apart)

    def phrase(self, index: int) -> np.ndarray:
        """(K, S, P) bool, one of the sequence."""
        return np.asarray(self.at(self.apart[[index]])[0])

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self.phrase, range(len(self)))

    def origin(self, index: int) -> tuple[str, int]:
        """The piece of a phrase of the sequence, and its first bar there, from 0."""
        bar = self.bars[self.apart[index]]
        return self.pieces[bar["piece"]], int(bar["bar"])

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """(count, K, S, P) bool: phrases from any bar line on, each as likely as any other."""
        return self.at(self.firsts[rng.integers(len(self.firsts), size=count)])

    def at(self, firsts: np.ndarray) -> np.ndarray:
        """(C, K, S, P) bool, the phrases that begin with these bars."""
        bar = firsts[:, None] + np.arange(self.grid.bars)
        begin, end = self._edges[bar].ravel(), self._edges[bar + 1].ravel()
        count = end - begin
        moved = np.arange(bar.size) // self.grid.bars * self.grid.cells
        moved += np.arange(bar.size) % self.grid.bars * self.grid.bar_cells
        index = np.repeat(begin - np.cumsum(count) + count, count)
        part = self._parts[index + np.arange(len(index))]
        place = (part >> LENGTH_BITS).astype(np.int64) + np.repeat(moved, count)
        return self.grid.filled(place, (part & (2**LENGTH_BITS - 1)).astype(np.int64), len(firsts))

    @cached_property
    def _parts(self) -> np.ndarray:  # a plain array of the same bytes is indexed faster than np.memmap
        return np.asarray(self.parts)

    @cached_property
    def _edges(self) -> np.ndarray:
        return np.append(self.bars["first"], len(self.parts))


def bar_kind(grid: PhraseGrid) -> np.dtype[Any]:
    """A bar of four quarter notes: its first part, its piece and its number there, and notes that sound by track."""
    return np.dtype([("first", "<i8"), ("piece", "<i4"), ("bar", "<i4"), ("notes", "<u2", (grid.shape[0],))])


def phrase_table(
    corpus: Corpus,
    split: str,
    grid: PhraseGrid,
    *,
    selection: Selection = ALL_THAT_PLAY,
    progress: Progress = lambda done, total: None,
) -> Phrases:
    """The phrases of one split: read where they were kept, else cut and kept, whole or not at all.

    Tied to the fingerprint of the corpus, the grid and the version of Orchestrion; any selection is made from the same
    files. progress: called with (pieces cut, pieces in all). Opening it again costs microseconds. Raises CorpusError
    where no phrase is left or the corpus holds no rolls, OSError where its folder cannot be written.
    """
    path = corpus.path / f"phrases-{grid.name}-{split}.json"
    made_of = {
        "fingerprint": corpus.info()["fingerprint"],
        "grid": grid.name,
        "version": orchestrion.__version__,
    }

    def opened(path: Path, written_ns: int) -> tuple[Mapping[str, Any], Phrases]:
        return _opened(path, written_ns, grid, selection)

    phrases = kept_table(path, made_of, opened, lambda: _write(corpus, split, grid, path, made_of, progress))
    if not len(phrases):
        reasons = [*phrases.skipped, *(["phrases with fewer notes"] if phrases.sparse else [])] or ["it has no piece"]
        raise CorpusError(
            f"{corpus.path}: its {split} split has no phrase of {grid.bars} bars of four quarter notes in which"
            f" {selection.tracks} tracks hold {selection.notes} notes, of pieces in which {selection.piece_tracks} do"
            f" ({'; '.join(reasons)}); give it other music or ask for less"
        )
    return phrases


@lru_cache(maxsize=16)  # a batch is drawn from it thousands of times a minute
def _opened(path: Path, written_ns: int, grid: PhraseGrid, selection: Selection) -> tuple[Mapping[str, Any], Phrases]:
    told = json.loads(path.read_text("utf-8"))
    parts, bars = np.load(path.with_suffix(".npy"), mmap_mode="r"), np.load(_bars_path(path))
    if (parts.shape, parts.dtype, bars.shape, bars.dtype) != (
        (told["parts"],), PART, (told["bars"],), bar_kind(grid)
    ):  # fmt: skip
        raise ValueError(f"{path} tells of other phrases")
    firsts, sparse, quiet = _selected(bars, grid, selection)
    run = np.append(True, ~_adjoin(bars[:-1], bars[1:]))  # where a stretch of bars begins
    within = np.arange(len(bars)) - np.maximum.accumulate(np.where(run, np.arange(len(bars)), 0))
    skipped = Counter(told["skipped"])
    if quiet:
        skipped[f"fewer than {selection.piece_tracks} tracks with {selection.notes} notes"] = quiet
    apart = firsts[within[firsts] % grid.bars == 0]
    return told, Phrases(grid, parts, bars, tuple(told["pieces"]), firsts, apart, dict(skipped), sparse)


def _selected(bars: np.ndarray, grid: PhraseGrid, selection: Selection) -> tuple[np.ndarray, int, int]:
    """(F,) the bars with which a phrase of the selection begins; how many have too few notes; how many pieces do."""
    whole = np.flatnonzero(_adjoin(bars[: len(bars) - grid.bars + 1], bars[grid.bars - 1 :], grid.bars - 1))
    counts = np.concatenate([np.zeros((1, grid.shape[0]), np.int32), bars["notes"].cumsum(axis=0, dtype=np.int32)])
    playing = ((counts[whole + grid.bars] - counts[whole]) >= selection.notes).sum(axis=1)
    edges = np.flatnonzero(np.diff(bars["piece"], prepend=-1, append=-1))
    band = (np.diff(counts[edges], axis=0) >= selection.notes).sum(axis=1) >= selection.piece_tracks
    kept, enough = band[bars["piece"][whole]], playing >= selection.tracks
    return whole[kept & enough], int((kept & ~enough).sum()), int((~band).sum())


def _adjoin(bars: np.ndarray, later: np.ndarray, apart: int = 1) -> np.ndarray:
    """(B,) bool, whether each of `later` comes so many bars after its counterpart, in the same piece and stretch."""
    return np.asarray((later["piece"] == bars["piece"]) & (later["bar"] == bars["bar"] + apart))


def _bars_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}-bars.npy")


def _write(
    corpus: Corpus, split: str, grid: PhraseGrid, path: Path, made_of: Mapping[str, Any], progress: Progress
) -> None:
    """Cut the pieces one by one; the .json is written last, and what it tells of is whole then."""
    pieces, names = corpus.pieces(split), list[str]()
    skipped: Counter[str] = Counter()
    parts = bars = 0
    with growing(path.with_suffix(".npy"), PART) as append, growing(_bars_path(path), bar_kind(grid)) as append_bars:
        for done, piece in enumerate(pieces):
            progress(done, len(pieces))
            stretches = [one for one in _stretches(piece) if one[2] >= grid.bars]
            if not stretches:
                skipped[f"no {grid.bars} bars of four quarter notes in a row"] += 1
                continue
            for first_bar, first_step, count in stretches:
                bar, place, length = grid.parts(piece.roll(), first_step, count)
                table = np.zeros(count, bar_kind(grid))
                table["first"] = parts + np.searchsorted(bar, np.arange(count))
                table["piece"], table["bar"] = len(names), first_bar + np.arange(count)
                track = place // (grid.cells // grid.shape[0])
                notes = np.bincount(bar * grid.shape[0] + track, minlength=table["notes"].size)
                table["notes"] = np.minimum(notes, np.iinfo(np.uint16).max).reshape(table["notes"].shape)
                append(place << LENGTH_BITS | length)
                append_bars(table)
                parts, bars = parts + len(place), bars + count
            names.append(piece.id)
    told = {**made_of, "parts": parts, "bars": bars, "pieces": names, "skipped": dict(skipped)}
    replace_file(path, json.dumps(told) + "\n")
    progress(len(pieces), len(pieces))


def _stretches(piece: Piece) -> Iterator[tuple[int, int, int]]:
    """The stretches of bars of four quarter notes: first bar, the step where it begins, and how many bars."""
    bar, quarters = 0, 0.0
    for whole, meters in groupby(piece.meters, lambda meter: meter.quarters == 4):
        lengths = [meter.quarters for meter in meters]
        if whole:
            yield bar, round(quarters * BAR_STEPS / 4), len(lengths)
        bar, quarters = bar + len(lengths), quarters + sum(lengths)
