"""Windows of pieces to train on: some bars, some tracks, and which of their cells are given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestrion.corpus.store import Corpus, Piece
from orchestrion.representations.cells import BAR, TRACK, Cells


@dataclass(frozen=True)
class Window:
    """A cut of a piece as cells of their own. `hole` is (M, K) bool, True where to compose; `first_bar` counts from 0
    in the piece; `size` is rows: notes and cell openings."""

    piece: Piece
    cells: Cells
    hole: np.ndarray
    first_bar: int

    @property
    def size(self) -> int:
        return len(self.cells.notes) + self.hole.size


def dataset_weights(pieces: Sequence[Piece]) -> tuple[list[list[Piece]], np.ndarray]:
    """Pieces by dataset, and the share of draws of each: the square root of its notes, so that small sets are heard."""
    by_dataset: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        by_dataset[piece.dataset].append(piece)
    weights = np.array([sum(piece.notes for piece in group) ** 0.5 for group in by_dataset.values()])
    return list(by_dataset.values()), weights / weights.sum()


class WindowDraw:
    """Draws windows of one split of a corpus; `rng` decides everything."""

    def __init__(self, corpus: Corpus, split: str) -> None:
        self._groups, self._weights = dataset_weights(corpus.pieces(split))

    def __call__(self, rng: np.random.Generator, max_rows: int) -> Window:
        """A window of at most `max_rows` rows, and at least one note."""
        while True:
            group = self._groups[rng.choice(len(self._groups), p=self._weights)]
            window = cut(group[rng.integers(len(group))], rng, max_rows)
            if window is not None:
                return window


def cut(piece: Piece, rng: np.random.Generator, max_rows: int) -> Window | None:
    """A random window of a piece, or None where the bars drawn hold no note.

    Half of the time some tracks are left out; a quarter start at the first bar; a third have given cells.
    """
    cells = piece.cells()
    tracks = len(cells.instruments)
    chosen = np.arange(tracks)
    if tracks > 1 and rng.random() < 0.5:
        chosen = np.sort(rng.permutation(tracks)[: rng.integers(1, tracks + 1)])
    place = np.full(tracks, -1)
    place[chosen] = np.arange(len(chosen))

    notes = cells.notes
    start = 0 if rng.random() < 0.25 else int(rng.integers(piece.bars))
    notes = notes[np.searchsorted(notes[:, BAR], start) :][: 4 * max_rows]
    if not len(notes):
        return None
    known_bars = int(notes[-1, BAR]) + 1 if len(notes) == 4 * max_rows else piece.bars
    notes = notes[place[notes[:, TRACK]] >= 0]
    sizes = np.bincount(notes[:, BAR] - start, minlength=known_bars - start) + len(chosen)
    bars = int(np.searchsorted(sizes.cumsum(), max_rows, side="right"))
    notes = notes[: np.searchsorted(notes[:, BAR], start + bars)]
    playing = np.unique(notes[:, TRACK])
    if not bars or not len(playing):
        return None
    place[:] = -1
    place[playing] = np.arange(len(playing))
    notes = notes.copy()
    notes[:, BAR] -= start
    notes[:, TRACK] = place[notes[:, TRACK]]
    meters = piece.meters[start : start + bars]
    own = Cells(notes, tuple(cells.instruments[track] for track in playing), meters, piece.tempo)
    return Window(piece, own, _hole(bars, len(playing), rng), start)


def _hole(bars: int, tracks: int, rng: np.random.Generator) -> np.ndarray:
    hole = np.ones((bars, tracks), bool)
    kind = rng.choice(("all", "tracks", "bars", "cells", "start"), p=(0.64, 0.12, 0.08, 0.1, 0.06))
    if kind == "tracks" and tracks > 1:
        hole[:, rng.permutation(tracks)[: rng.integers(1, tracks)]] = False
    elif kind in ("bars", "cells") and bars > 2:
        first, last = np.sort(rng.integers(0, bars, 2))
        if kind == "bars":
            hole[:first] = hole[last + 1 :] = False
        else:
            inside = np.zeros_like(hole)
            inside[first : last + 1, rng.permutation(tracks)[: rng.integers(1, tracks + 1)]] = True
            hole = inside
    elif kind == "start" and bars > 1:
        hole[: rng.integers(1, bars)] = False
    return hole
