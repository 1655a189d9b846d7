"""Writes cells note by note and says at each field what may come next, so that what is written holds what was asked.

Held by construction: instruments (every track plays, and rests for a few bars at most), number of bars (the last one
sounds, nothing reaches beyond), meter (positions lie within their bar), key where it is strict (pitched tracks stay in
the scale, and a piece composed to its end closes on the tonic triad), notes in order and never one pitch twice at once,
no two empty bars in a row, no single pitch hammered.
Masks are over the codes of `representations.steps.FIELDS`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from orchestrion.music.theory import DRUMS, Key, pitch_range
from orchestrion.representations.cells import (
    BAR,
    DRUM_DURATION,
    MAX_BAR_STEPS,
    MAX_DURATION,
    PITCH,
    POSITION,
    STEPS_PER_QUARTER,
    TRACK,
    Cells,
    bar_starts,
    sorted_notes,
    without_overlaps,
)
from orchestrion.representations.steps import (
    AT,
    BARS_BEFORE,
    BARS_LEFT,
    COLUMNS,
    END,
    INSTRUMENT,
    KIND,
    LEVEL,
    METER,
    NEAR_BARS,
    OPENING,
    PITCH_CODES,
    SLOT,
    SOUNDING,
    TIME,
    cells_of_rows,
    counted,
    meter_class,
    rows_and_targets,
    slots,
)

MAX_CELL_NOTES = 96
MAX_CHORD_NOTES = 10
MAX_REST_BARS = 4
MAX_STRIKES = 16  # of one pitch alone
MAX_CHORD_STRIKES = 32  # of chords on one lowest pitch
PLAYS, SILENT = 1, 2  # of a cell that is planned
_DURATION_CODES = np.arange(MAX_DURATION)
_ANYWHERE = np.ones(MAX_BAR_STEPS, bool)
_SWUNG = np.arange(MAX_BAR_STEPS) % (STEPS_PER_QUARTER // 3) == 0


class CellWriter:
    """Fills the hole of a grid of cells, cell by cell in the order of `representations.steps`.

    given: the notes that are there, over all bars and tracks of the piece; notes inside the hole are left out.
    hole: (M, K) bool, True where to compose.
    key: the scale that pitched tracks keep to, or None for any pitch.
    shift: semitones from sounding pitch to pitch code.
    near: up to where bars are counted from either end, see `steps.counted`.
    plays: (M, K) int8 where it is planned: 1 for cells of a section in which the track plays, 2 for silent cells.
    copies: (M, K) the bar whose cell of the same track is taken as it is, -1 for none.
    source: (M,) the bar that each bar takes up, -1 for none; it is shown to the network before its bar is written.
    swing: in bars of quarter notes, notes begin on thirds of a beat alone: an eighth off the beat comes late.
    Cells that are silent or copied are settled: the writer passes over them, and `settled_rows` hands out their rows.
    """

    def __init__(
        self, given: Cells, hole: np.ndarray, *, key: Key | None, shift: int, near: int = NEAR_BARS,
        plays: np.ndarray | None = None, copies: np.ndarray | None = None, source: np.ndarray | None = None,
        swing: bool = False,
    ) -> None:  # fmt: skip
        self.swing = swing
        self.hole, self.shift, self.near = hole, shift, near
        self._plays = np.zeros(hole.shape, np.int8) if plays is None else plays
        self._copies = np.full(hole.shape, -1) if copies is None else copies
        self._source = np.full(len(hole), -1) if source is None else source
        self.starts = bar_starts(given.meters)
        kept = given.notes[~hole[given.notes[:, BAR], given.notes[:, TRACK]]].astype(np.int64)
        self.given = replace(given, notes=kept)
        self._slots = slots(given.instruments)
        bars, tracks = hole.shape
        self._order = np.argwhere(hole)
        settled = (self._plays == SILENT) | (self._copies >= 0)
        self._settled = settled[self._order[:, 0], self._order[:, 1]]
        open_cells = np.flatnonzero(~self._settled)
        self._last_of_bar = np.zeros(len(self._order), bool)
        self._last_of_track = np.zeros(len(self._order), bool)
        for flags, column in ((self._last_of_bar, 0), (self._last_of_track, 1)):
            last = np.unique(self._order[open_cells][::-1, column], return_index=True)[1]
            flags[open_cells[len(open_cells) - 1 - last]] = True
        self._bar_plays = np.bincount(kept[:, BAR], minlength=bars) > 0
        self._track_plays = np.bincount(kept[:, TRACK], minlength=tracks) > 0
        self._sounds_until = np.zeros((tracks, PITCH_CODES), np.int64)
        #: Of each pitched track the lowest code of the last onset, how often it came in a row, and how often alone.
        self._struck = [(-1, 0, 0)] * tracks
        self._playable = np.stack([self._codes(track, key.pitch_classes if key else None) for track in range(tracks)])
        self._closing = self._playable
        if key is not None:
            self._closing = np.stack([self._codes(track, key.triad) for track in range(tracks)])
        self._longest_rest = self._rest_limits()
        self._rest = self._longest_rest - self._longest_rest // 2  # a track enters after half of its longest rest
        self._written: list[list[int]] = []
        self._passed: list[int] = []  # settled cells whose rows were not handed out yet, as places in the order
        self.cell = 0  # place in the order; len(order) once all is written
        self._open()

    def _rest_limits(self) -> np.ndarray:
        """(K,) int64: how many cells of a track may be empty in a row: a quarter of those to compose, 1 to
        MAX_REST_BARS; without limit for a track that rests in all given bars so near to the hole."""
        bars, tracks = self.hole.shape
        limits = np.clip(self.hole.sum(0) // 4, 1, MAX_REST_BARS)
        reach = np.ones(2 * MAX_REST_BARS + 1)
        for track in range(tracks):
            near = np.convolve(self.hole[:, track], reach, "full")[MAX_REST_BARS : MAX_REST_BARS + bars] > 0
            near &= ~self.hole[:, track]
            plays = self.given.notes[self.given.notes[:, TRACK] == track, BAR]
            if near.any() and not near[plays].any():
                limits[track] = bars
        return limits

    def _codes(self, track: int, pitch_classes: frozenset[int] | None) -> np.ndarray:
        instrument = self.given.instruments[track]
        own = self.given.notes[self.given.notes[:, TRACK] == track, PITCH]
        low, high = pitch_range(instrument)
        pitches = np.arange(min([low, *own]), max([high, *own]) + 1)
        if instrument != DRUMS and pitch_classes is not None:
            pitches = pitches[np.isin(pitches % 12, list(pitch_classes))]
        codes = pitches + (128 if instrument == DRUMS else self.shift)
        if instrument != DRUMS:
            codes = codes[(codes >= 0) & (codes < 128)]
        return np.isin(np.arange(PITCH_CODES), codes)

    @property
    def done(self) -> bool:
        return self.cell == len(self._order)

    @property
    def bar(self) -> int:
        """The bar being written, from 0; the number of bars once all is written."""
        return len(self.hole) if self.done else int(self._order[self.cell, 0])

    @property
    def drums(self) -> bool:
        return self.given.instruments[self._track] == DRUMS

    def _settle(self) -> None:
        """Take the cell at hand as it is planned, a copy or silence, and go on to the next."""
        bar, track = (int(index) for index in self._order[self.cell])
        source = int(self._copies[bar, track])
        self._passed.append(self.cell)
        self._rest[track] += 1
        self.cell += 1
        if source < 0 or self._plays[bar, track] == SILENT:
            return
        drums, offset = self.given.instruments[track] == DRUMS, self.starts[bar]
        room, end = int(self.starts[bar + 1] - offset), int(self.starts[-1])
        for _, _, position, pitch, duration, velocity in self._cell_notes(source, track):
            if position >= room:
                continue
            duration = min(duration, end - int(offset) - position)
            code = pitch + (128 if drums else self.shift)
            self._written.append([bar, track, position, pitch, duration, velocity])
            if 0 <= code < PITCH_CODES:
                self._sounds_until[track, code] = offset + position + duration
            self._bar_plays[bar] = self._track_plays[track] = True
            self._rest[track] = 0

    def _cell_notes(self, bar: int, track: int) -> list[list[int]]:
        given = self.given.notes
        own = given[(given[:, BAR] == bar) & (given[:, TRACK] == track)]
        return [[int(value) for value in note] for note in own] + [
            note for note in self._written if note[0] == bar and note[1] == track
        ]

    def settled_rows(self, first_bar: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows (T, C) of the settled cells passed since this was asked for last, their TIME from `first_bar`, and the
        (bar, track) of each, (T, 2)."""
        passed, self._passed = self._passed, []
        if not passed:
            return np.zeros((0, COLUMNS), np.int64), np.zeros((0, 2), np.int64)
        settled = np.zeros(self.hole.shape, bool)
        places = self._order[passed]
        settled[places[:, 0], places[:, 1]] = True
        return self._rows(self.cells(), np.zeros_like(settled), settled, first_bar)

    def _rows(
        self, cells: Cells, given: np.ndarray, composed: np.ndarray, first_bar: int
    ) -> tuple[np.ndarray, np.ndarray]:
        times = self.starts - self.starts[first_bar]
        rows = rows_and_targets(cells, given, composed, self.shift, bar_times=times, near=self.near)[0]
        return rows, cells_of_rows(rows, given, composed)

    def _open(self) -> None:
        while not self.done and self._settled[self.cell]:
            self._settle()
        if self.done:
            return
        self._bar, self._track = (int(index) for index in self._order[self.cell])
        self._bar_steps = int(self.starts[self._bar + 1] - self.starts[self._bar])
        self._position, self._code, self._chord, self._count = 0, -1, 0, 0
        swung = self.swing and self.given.meters[self._bar].denominator == 4
        self._on_grid = _SWUNG if swung else _ANYWHERE
        last_bar = self._bar == len(self.hole) - 1
        self._legal_pitches = self._closing[self._track] if last_bar else self._playable[self._track]
        silent = not self._bar_plays[self._bar] and self._last_of_bar[self.cell]
        at_edge = self._bar == 0 or last_bar or not self._bar_plays[self._bar - 1]
        track_waits = not self._track_plays[self._track] and self._last_of_track[self.cell]
        rested = self._rest[self._track] >= self._longest_rest[self._track]
        planned = self._plays[self._bar, self._track] == PLAYS and self._enters()
        self._must_play = bool((silent and at_edge) or track_waits or rested or planned)
        row = np.zeros(COLUMNS, np.int64)
        row[KIND], row[INSTRUMENT], row[SLOT] = OPENING, self.given.instruments[self._track], self._slots[self._track]
        row[BARS_BEFORE] = counted(self._bar, self.near)
        row[BARS_LEFT] = counted(len(self.hole) - 1 - self._bar, self.near)
        row[METER] = meter_class(self.given.meters[self._bar])
        row[TIME] = self.starts[self._bar]
        self._opening = row

    def _enters(self) -> bool:
        """Whether a track that is planned to play has to now: in the first of its cells, and after two bars of rest."""
        first = self._bar == 0 or self._plays[self._bar - 1, self._track] == SILENT
        onset = self.starts[self._bar]
        return not (self._sounds_until[self._track] > onset).any() and (first or self._rest[self._track] >= 2)

    @property
    def place(self) -> tuple[int, int]:
        """(bar, track) of the cell being written."""
        return self._bar, self._track

    def opening(self, first_bar: int) -> np.ndarray:
        """(C,) int64: the row that opens the current cell, its TIME counted from `first_bar`."""
        row = self._opening.copy()
        row[TIME] -= self.starts[first_bar]
        return row

    def positions(self) -> np.ndarray:
        """(97,) bool: where the next note may start, or END."""
        legal = np.zeros(MAX_BAR_STEPS + 1, bool)
        legal[END] = not (self._must_play and self._count == 0)
        if self._count < MAX_CELL_NOTES:
            legal[self._position : self._bar_steps] = self._on_grid[self._position : self._bar_steps]
            if self._count:
                legal[self._position] = self._chord < MAX_CHORD_NOTES and bool(self.pitches(self._position).any())
        return legal

    def pitches(self, position: int) -> np.ndarray:
        """(256,) bool: pitch codes that may start at the position."""
        onset = self.starts[self._bar] + position
        legal = self._legal_pitches & (self._sounds_until[self._track] <= onset)
        if self._count and position == self._position:
            legal[: self._code + 1] = False
            return legal
        struck, strikes, alone = self._struck[self._track]
        hammered = alone >= MAX_STRIKES or strikes >= MAX_CHORD_STRIKES
        if hammered and self._legal_pitches.sum() > 1:
            legal[struck] = False
        if not legal.any():  # every other pitch still sounds: one is struck again and cuts the earlier note
            legal = self._legal_pitches.copy()
            legal[struck] &= not hammered or legal.sum() == 1
        return legal

    def durations(self, position: int) -> np.ndarray:
        """(192,) bool: lengths less one step that end within the piece."""
        left = int(self.starts[-1] - self.starts[self._bar]) - position
        return left > _DURATION_CODES

    def write(self, position: int, code: int, duration_code: int, velocity: int, first_bar: int) -> np.ndarray:
        """Add a note; returns its row. The length of a drum stroke is set here, whatever is passed."""
        onset = int(self.starts[self._bar]) + position
        duration = duration_code + 1
        if self.drums:
            duration = min(DRUM_DURATION, self._bar_steps - position)
        self._chord = self._chord + 1 if position == self._position and self._count else 1
        struck, strikes, alone = self._struck[self._track]
        if self._chord > 1:
            self._struck[self._track] = struck, strikes, 0
        elif not self.drums:
            self._struck[self._track] = (code, strikes + 1, alone + 1) if code == struck else (code, 1, 1)
        self._position, self._code, self._count = position, code, self._count + 1
        self._sounds_until[self._track, code] = onset + duration
        pitch = code - (128 if self.drums else self.shift)
        self._written.append([self._bar, self._track, position, pitch, duration, velocity])
        row = self.opening(first_bar)
        row[KIND] = SOUNDING
        row[AT : LEVEL + 1] = position + 1, code + 1, duration, velocity + 1
        row[TIME] += position
        return row

    def close(self) -> None:
        """End the current cell and open the next."""
        self._rest[self._track] += 1
        if self._count:
            self._bar_plays[self._bar] = self._track_plays[self._track] = True
            self._rest[self._track] = 0
        self.cell += 1
        self._open()

    def cells(self) -> Cells:
        """All notes so far, given and written, each cut where its pitch starts again on its track."""
        written = np.array(self._written, np.int64).reshape(-1, 6)
        notes = np.concatenate([self.given.notes, written])
        onset = self.starts[notes[:, BAR]] + notes[:, POSITION]
        parts = [
            without_overlaps(notes[own], onset[own])
            for own in (notes[:, TRACK] == track for track in range(self.hole.shape[1]))
        ]
        return replace(self.given, notes=sorted_notes(np.concatenate(parts)).astype(np.int16))

    def context(self, limit: int) -> tuple[int, np.ndarray, np.ndarray]:
        """The surroundings of the current cell in about `limit` rows: (first bar, rows (T, C), the (bar, track) of
        each).

        Bars are taken in by turns after and before the current one: given cells of all of them, and what is written.
        """
        bars, tracks = self.hole.shape
        cells = self.cells()
        sizes = np.ones((bars, tracks), np.int64)
        np.add.at(sizes, (cells.notes[:, BAR], cells.notes[:, TRACK]), 1)
        written = np.zeros((bars, tracks), bool)
        done = self._order[: self.cell]
        written[done[:, 0], done[:, 1]] = True
        present = ~self.hole | written
        cost = (sizes * present).sum(1)
        first = last = self._bar
        room = limit - int(cost[first])
        if room < 0:  # one bar alone is too much: keep the tracks that fit
            present[first] &= np.cumsum(sizes[first] * present[first]) <= limit
        while room > 0 and (first > 0 or last < bars - 1):
            if last < bars - 1:
                last += 1
                room -= int(cost[last])
            if first > 0 and room > cost[first - 1]:
                first -= 1
                room -= int(cost[first])
            elif last == bars - 1:
                break
        last -= room < 0
        shown = np.zeros(bars, bool)
        recalled = self._recalled(first, sizes.sum(1), limit // 3)
        shown[recalled] = True
        known = present & ~self.hole
        known[:first] = known[last + 1 :] = False
        known[shown] |= ~self.hole[shown] | written[shown]
        composed = present & self.hole
        composed[:first] = composed[last + 1 :] = False
        return first, *self._rows(cells, known, composed, first)

    def _recalled(self, first: int, sizes: np.ndarray, limit: int) -> np.ndarray:
        """Bars before `first` that the bar at hand and the seven after it take up, as many as `limit` rows hold."""
        source = np.unique(self._source[self._bar : self._bar + 8])
        source = source[(source >= 0) & (source < first)]
        return source[sizes[source].cumsum() <= limit]
