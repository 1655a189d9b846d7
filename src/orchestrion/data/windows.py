"""Windows of pieces to train on: some bars, some tracks, and which of their cells are given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from orchestrion.data.datasets import DATASETS
from orchestrion.data.plans import PlanTable
from orchestrion.data.store import Corpus, Piece
from orchestrion.planning.arrays import PlanArrays
from orchestrion.planning.levels import cell_levels, roles, section_levels
from orchestrion.representations.cells import BAR, DURATION, PITCH, POSITION, TRACK, Cells

DROPPED_TRACKS = 0.35  # share of the windows of several tracks from which some are left out
FROM_THE_START, TO_THE_END = 0.3, 0.12  # shares of windows
RECALLED = (
    0.4  # of the windows of a piece with a plan: those that are shown the bars which theirs take up, if they can be
)
RECALLED_ROWS = 0.35  # the most that these take up of a window
ONE_PIANIST = 0.6  # of the windows of music for several pianos those in which one plays it all
#: Kinds of holes and how often each is drawn.
HOLES = {"all": 0.66, "tracks": 0.12, "bars": 0.06, "cells": 0.1, "start": 0.06}


@dataclass(frozen=True)
class Window:
    """A cut of a piece as cells of their own. `hole` is (M, K) bool, True where to compose; bars (M,) and tracks (K,)
    are those of the piece, bars in order but not all in a row; `plan` is of the piece, None where none was asked for;
    `size` is rows: notes and cell openings."""

    piece: Piece
    cells: Cells
    hole: np.ndarray
    bars: np.ndarray
    tracks: np.ndarray
    plan: PlanArrays | None = None
    all_tracks: bool = True  # whether no track of the piece was left out

    @property
    def size(self) -> int:
        return len(self.cells.notes) + self.hole.size


def dataset_weights(pieces: Sequence[Piece]) -> tuple[list[list[Piece]], np.ndarray]:
    """Pieces by dataset, and the share of draws of each: the square root of its notes, so that small sets are heard,
    times its `draw_weight`."""
    by_dataset: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        by_dataset[piece.dataset].append(piece)
    factors = {dataset.name: dataset.draw_weight for dataset in DATASETS}
    weights = np.array([
        factors.get(name, 1.0) * sum(piece.notes for piece in group) ** 0.5 for name, group in by_dataset.items()
    ])  # fmt: skip
    return list(by_dataset.values()), weights / weights.sum()


class WindowDraw:
    """Draws windows of one split of a corpus; `rng` decides everything."""

    def __init__(self, corpus: Corpus, split: str, plans: PlanTable | None = None) -> None:
        self._groups, self._weights = dataset_weights(corpus.pieces(split))
        self._plans = plans

    def __call__(self, rng: np.random.Generator, max_rows: int) -> Window:
        """A window of at most `max_rows` rows, and at least one note."""
        while True:
            group = self._groups[rng.choice(len(self._groups), p=self._weights)]
            piece = group[rng.integers(len(group))]
            window = cut(piece, rng, max_rows, None if self._plans is None else self._plans.of(piece))
            if window is not None:
                return window


def cut(piece: Piece, rng: np.random.Generator, max_rows: int, plan: PlanArrays | None = None) -> Window | None:
    """A random window of a piece, or None where the bars drawn hold no note.

    plan: of the piece. With it some windows begin with the bars, given, which their other bars take up, and music for
    several pianos is played by one in some of the windows.
    """
    cells, source = piece.cells(), None if plan is None else plan.source
    if plan is not None and len(cells.instruments) > 1 and set(cells.instruments) == {0} and rng.random() < ONE_PIANIST:
        cells, plan = by_one_player(cells, plan)
    tracks = _some_tracks(len(cells.instruments), rng)
    notes = cells.notes
    first = np.searchsorted(notes[:, BAR], np.arange(piece.bars + 1))  # where each bar begins, and the last ends
    sizes = _sizes(notes, first, tracks, piece.bars)
    room = max_rows
    recalls = source is not None and (source >= 0).any() and rng.random() < RECALLED
    if recalls:
        room = int(max_rows * (1 - RECALLED_ROWS))
    start = _start(sizes, room, rng)
    if recalls and source is not None:
        taking = np.flatnonzero(source >= 0)
        start = int(taking[rng.integers(len(taking))])
    count = int(np.searchsorted(sizes[start:].cumsum(), room, side="right"))
    bars = np.arange(start, start + count)
    if recalls and source is not None:
        earlier = np.unique(source[bars])
        earlier = earlier[(earlier >= 0) & (earlier < start)]
        fitting = np.searchsorted(sizes[earlier].cumsum(), max_rows - room, side="right")
        bars = np.concatenate([earlier[:fitting], bars])
    recalled = len(bars) - count
    own = np.concatenate([np.zeros((0, 6), np.int16), *(notes[first[bar] : first[bar + 1]] for bar in bars)])
    own = own[np.isin(own[:, TRACK], tracks)]
    playing = np.unique(own[:, TRACK])
    if not count or not (own[:, BAR] >= start).any():
        return None
    place = np.zeros(len(cells.instruments), np.int16)
    place[playing] = np.arange(len(playing))
    own[:, BAR] = np.searchsorted(bars, own[:, BAR])
    own[:, TRACK] = place[own[:, TRACK]]
    everyone = len(tracks) == len(cells.instruments)
    meters = tuple(cells.meters[bar] for bar in bars)
    cells = Cells(own, tuple(cells.instruments[track] for track in playing), meters, piece.tempo)
    hole = np.zeros((len(bars), len(playing)), bool)
    hole[recalled:] = _hole(count, len(playing), rng)
    if not hole.any():
        hole[recalled:] = True
    return Window(piece, cells, hole, bars, playing, plan, everyone)


def by_one_player(cells: Cells, plan: PlanArrays) -> tuple[Cells, PlanArrays]:
    """All tracks of one instrument as one track, and the plan of that; of equal notes the longest stays."""
    notes = cells.notes[np.argsort(-cells.notes[:, DURATION], kind="stable")]
    _, kept = np.unique(notes[:, [BAR, POSITION, PITCH]], axis=0, return_index=True)
    notes = notes[kept]  # unique sorts by bar, position, pitch
    notes[:, TRACK] = 0
    one = Cells(notes, cells.instruments[:1], cells.meters, cells.tempo)
    levels = cell_levels(one)
    starts = np.flatnonzero(np.diff(plan.section, prepend=-1))
    sections = section_levels(levels, starts)
    return one, replace(plan, levels=levels, section_levels=sections, roles=roles(one))


def _some_tracks(count: int, rng: np.random.Generator) -> np.ndarray:
    if count == 1 or rng.random() >= DROPPED_TRACKS:
        return np.arange(count)
    return np.sort(rng.permutation(count)[: rng.integers(1, count + 1)])


def _sizes(notes: np.ndarray, first: np.ndarray, tracks: np.ndarray, bars: int) -> np.ndarray:
    """(M,) int64: how many rows each bar of a piece takes, of these tracks."""
    kept = np.isin(notes[:, TRACK], tracks)
    counts = np.concatenate([[0], np.cumsum(kept)])
    return np.asarray(counts[first[1:]] - counts[first[:-1]] + len(tracks), np.int64)[:bars]


def _start(sizes: np.ndarray, room: int, rng: np.random.Generator) -> int:
    """The first bar of a window: that of the piece, any, or the one from which it just reaches the end."""
    kind = rng.random()
    if kind < FROM_THE_START:
        return 0
    if kind < FROM_THE_START + TO_THE_END:
        fitting = int(np.searchsorted(sizes[::-1].cumsum(), room, side="right"))
        return max(0, len(sizes) - max(1, fitting))
    return int(rng.integers(len(sizes)))


def _hole(bars: int, tracks: int, rng: np.random.Generator) -> np.ndarray:
    hole = np.ones((bars, tracks), bool)
    kind = rng.choice(tuple(HOLES), p=tuple(HOLES.values()))
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
