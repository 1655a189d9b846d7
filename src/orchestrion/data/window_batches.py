"""Windows of a corpus as what the composer learns from: rows and targets, their conditions, and what is planned of each
cell, parts of it left open at random.

Legend: B windows, T rows, C columns of a row or cells of a window, F features of a cell, H of a header.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from orchestrion.data.datasets import SINGLE_PARTS
from orchestrion.data.plans import PlanTable, plan_table
from orchestrion.data.store import Corpus
from orchestrion.data.windows import Window, WindowDraw
from orchestrion.music.theory import INSTRUMENTS, Key
from orchestrion.planning import arrays
from orchestrion.representations import steps
from orchestrion.representations.cells import bar_starts
from orchestrion.representations.steps import FIELDS, rows_and_targets, shift_to_common_key

TEMPO_CLASSES = 16
POOLED_BATCHES = 6  # windows of so many batches are sorted by length: with fewer half of a batch was padding
BY_BAR = 0.35  # of the windows in training whose levels are those of the very cells, not of their sections


class Reads(Protocol):
    """What a network reads of windows; `models.zoo.composer.ComposerConfig` says what each number is."""

    @property
    def context_rows(self) -> int: ...
    @property
    def batch_rows(self) -> int: ...
    @property
    def sentence_width(self) -> int: ...
    @property
    def sentence_dropout(self) -> float: ...
    @property
    def reads_plan(self) -> bool: ...
    @property
    def plan_dropout(self) -> float: ...
    @property
    def no_plan(self) -> float: ...
    @property
    def near_bars(self) -> int: ...


def tempo_class(tempo: float) -> int:
    """Sixteen classes, equal in ratio, from 40 to 240 quarter notes a minute."""
    return int(np.clip(np.log(max(tempo, 1) / 40) / np.log(240 / 40) * TEMPO_CLASSES, 0, TEMPO_CLASSES - 1))


def mode_number(key: Key) -> int:
    """0 for major, 1 for minor."""
    return ("major", "minor").index(key.mode)


def ensemble_shares(instruments: tuple[int, ...]) -> np.ndarray:
    """(129,) float32: the share of each instrument among the tracks."""
    return np.bincount(instruments, minlength=INSTRUMENTS).astype(np.float32) / len(instruments)


def similar_windows(windows: WindowDraw, rng: np.random.Generator, reads: Reads) -> list[Window]:
    """Windows of about one length that fill a batch with little padding.

    Several times the rows of a batch are drawn, sorted by length and cut into batches, of which one is kept at random,
    a full one likelier than a rest.
    """
    pool: list[Window] = []
    while sum(window.size for window in pool) < POOLED_BATCHES * reads.batch_rows:
        pool.append(windows(rng, reads.context_rows))
    pool.sort(key=lambda window: window.size)
    batches: list[list[Window]] = [[]]
    for window in pool:
        if batches[-1] and (len(batches[-1]) + 1) * window.size > reads.batch_rows:
            batches.append([])
        batches[-1].append(window)
    shares = np.array([sum(window.size for window in batch) for batch in batches], float)
    return batches[rng.choice(len(batches), p=shares / shares.sum())]


def window_arrays(
    windows: list[Window], corpus: Corpus, rng: np.random.Generator, reads: Reads, *, learning: bool
) -> dict[str, np.ndarray]:
    """Windows as arrays, each with one of its piece's sentences drawn by `rng`. learning: leave sentences and parts of
    plans out as `reads` says. rows (B, T, C), targets (B, T, 4), sentence (B, sentence_width), tempo and mode (B,),
    ensemble (B, 129); with plans features (B, C, F), half (B, C), header (B, H) and the cell of each row (B, T)."""
    count, size = len(windows), max(window.size for window in windows)
    rows = np.zeros((count, size, steps.COLUMNS), np.int64)
    targets = np.full((count, size, len(FIELDS)), -1, np.int64)
    sentences = np.full((count, reads.sentence_width), np.nan, np.float32)
    keys = [Key.parse(window.piece.key) for window in windows]
    for index, (window, key) in enumerate(zip(windows, keys, strict=True)):
        own_rows, own_targets = rows_and_targets(
            window.cells, ~window.hole, window.hole, shift_to_common_key(key),
            bar_numbers=window.bars, bar_times=_bar_times(window), total_bars=window.piece.bars, near=reads.near_bars,
        )  # fmt: skip
        rows[index, : len(own_rows)], targets[index, : len(own_rows)] = own_rows, own_targets
        captions, left_out = window.piece.captions, reads.sentence_dropout if learning else 0.0
        if corpus.embeddings is not None and captions and rng.random() >= left_out:
            sentences[index] = corpus.embeddings[captions[rng.integers(len(captions))]]
    batch: dict[str, np.ndarray] = {
        "rows": rows,
        "targets": targets,
        "sentence": sentences,
        "tempo": np.array([tempo_class(window.cells.tempo) for window in windows]),
        "mode": np.array([mode_number(key) for key in keys]),
        "ensemble": np.stack([ensemble_shares(window.cells.instruments) for window in windows]),
    }
    if reads.reads_plan:
        batch |= _plan_arrays(windows, plan_table(corpus), keys, rng, reads, learning)
        batch["cell"] = np.maximum((rows[..., steps.KIND] == steps.OPENING).cumsum(1) - 1, 0)
    return batch


def _bar_times(window: Window) -> np.ndarray:
    """(M,) the step at which each bar starts, counted from the first of the window."""
    starts = bar_starts(window.piece.meters)[window.bars]
    return starts - starts[0]


def _plan_arrays(
    windows: list[Window], plans: PlanTable, keys: list[Key], rng: np.random.Generator, reads: Reads, learning: bool
) -> dict[str, np.ndarray]:
    """features (B, C, F) and half (B, C) of the cells in the order of the rows; header (B, H)."""
    count, most = len(windows), max(window.hole.size for window in windows)
    features = np.zeros((count, most, len(arrays.FEATURES)), np.int64)
    half = np.zeros((count, most), np.int64)
    header = np.zeros((count, len(arrays.HEADER)), np.int64)
    for index, (window, key) in enumerate(zip(windows, keys, strict=True)):
        hole, cells = window.hole, window.cells
        order = [np.concatenate(pair) for pair in zip(np.nonzero(~hole), np.nonzero(hole), strict=True)]
        known = arrays.unplanned(cells.meters, len(cells.instruments))
        if window.plan is not None and not (learning and rng.random() < reads.no_plan):
            by_bar = bool(learning and rng.random() < BY_BAR)
            shift = shift_to_common_key(key)
            known = arrays.features(window.plan, cells, window.bars, window.tracks, shift, by_bar=by_bar)
        if learning:
            known = arrays.left_open(known, rng, reads.plan_dropout)
        features[index, : hole.size] = known[order[0], order[1]]
        half[index, : hole.size] = arrays.half_steps(cells)[order[0]]
        header[index] = _header(window, plans, rng)
        if learning:
            header[index] *= rng.random(len(arrays.HEADER)) >= reads.plan_dropout
    return {"features": features, "half": half, "header": header}


def _header(window: Window, plans: PlanTable, rng: np.random.Generator) -> tuple[int, int, int, int]:
    styles, mood, feel = plans.header(window.piece)
    whole = window.all_tracks and window.piece.dataset not in SINGLE_PARTS
    return int(styles[rng.integers(2)]), mood, feel, arrays.ALL_TRACKS if whole else arrays.SOME_TRACKS
