"""Music as a grid of cells: one bar of one track each, with its notes on a grid of twelve steps a quarter note.

The array is the representation of the composer (`models/zoo/composer.py`); it is exact for every Score whose onsets,
lengths and velocities lie on the grid (`encode(decode(cells)) == cells`), and rounds absolute times, not differences,
otherwise. Shapes: N notes, K tracks, M bars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from symusic import Note, Score, Tempo, TimeSignature, Track

from orchestrion.core.errors import UserError
from orchestrion.music.bars import Bar, bars, instrument, tempo
from orchestrion.music.theory import DRUMS, FAMILY_NAMES, Meter, family, instrument_name

STEPS_PER_QUARTER = 12
TICKS_PER_QUARTER = 480
TICKS_PER_STEP = TICKS_PER_QUARTER // STEPS_PER_QUARTER
MAX_BAR_STEPS = 96  # eight quarter notes
MAX_DURATION = 192  # steps; sixteen quarter notes
VELOCITY_LEVELS = 16
DRUM_DURATION = 3  # a drum stroke has no length: it is stored as a sixteenth
MAX_TRACKS = 32

#: Columns of the note table, all int16. `position` is the onset within the bar, 0..MAX_BAR_STEPS-1, and `duration` is
#: 1..MAX_DURATION, both in steps; `velocity` is a level 0..15 (MIDI velocity 8 * level + 4).
BAR, TRACK, POSITION, PITCH, DURATION, VELOCITY = range(6)


class CellsError(UserError):
    """Music that does not fit a grid of cells; the message says why in one line."""


@dataclass(frozen=True)
class Cells:
    """A piece as cells.

    notes: (N, 6) int16, sorted by bar, track, position, pitch; no two rows share those four, and no note of a track
        sounds on when the same pitch starts again.
    instruments: K of them, 0..127 or theory.DRUMS; two tracks may share one.
    meters: M of them, one a bar.
    tempo: quarter notes a minute.
    """

    notes: np.ndarray
    instruments: tuple[int, ...]
    meters: tuple[Meter, ...]
    tempo: float


def bar_steps(meter: Meter) -> int:
    """Length of a bar on the grid, 1..MAX_BAR_STEPS. Raises CellsError where the grid cannot hold it."""
    steps = meter.quarters * STEPS_PER_QUARTER
    if steps != int(steps):
        raise CellsError(f"a {meter.name} bar does not fall on a grid of {STEPS_PER_QUARTER} steps a quarter note")
    if steps > MAX_BAR_STEPS:
        raise CellsError(f"a {meter.name} bar is longer than {MAX_BAR_STEPS // STEPS_PER_QUARTER} quarter notes")
    return int(steps)


def bar_starts(meters: tuple[Meter, ...]) -> np.ndarray:
    """(M + 1,) int64: the step at which each bar starts, and the end of the last."""
    return np.concatenate([[0], np.cumsum([bar_steps(meter) for meter in meters], dtype=np.int64)])


def encode(score: Score) -> Cells:
    """Score -> Cells; see `encode_tracks`."""
    return encode_tracks(score)[0]


def encode_tracks(score: Score) -> tuple[Cells, tuple[int, ...]]:
    """Score -> Cells with every bar up to the end of the last note, and which track of the Score each cell track is.

    Tracks without notes are left out; tracks are ordered drums, basses, then by program and, within one program, from
    high to low. Onsets and ends are rounded to the nearest step, each by its absolute time; a note ends where its pitch
    starts again; a note longer than MAX_DURATION is cut to it. Raises CellsError.
    """
    parts = [(index, track.notes.numpy()) for index, track in enumerate(score.tracks) if len(track.notes)]
    if not parts:
        raise CellsError("there are no notes")
    if len(parts) > MAX_TRACKS:
        raise CellsError(f"{len(parts)} tracks with notes; a grid of cells holds at most {MAX_TRACKS}")
    lines = bars(score)
    meters = [_fitting_meter(bar, score.tpq, number) for number, bar in enumerate(lines, start=1)]
    meters.append(meters[-1])  # for what rounds up to the bar line at the very end
    ticks = np.array([bar.start for bar in lines] + [lines[-1].start + lines[-1].length], dtype=np.int64)
    starts = bar_starts(tuple(meters))

    tables: list[tuple[int, int, np.ndarray]] = []
    for index, notes in parts:
        program = instrument(score.tracks[index])
        time = notes["time"].astype(np.int64)
        onset = _ticks_to_steps(time, ticks, starts, score.tpq)
        end = _ticks_to_steps(time + notes["duration"], ticks, starts, score.tpq)
        table = np.empty((len(onset), 6), np.int64)
        table[:, BAR] = np.searchsorted(starts, onset, side="right") - 1
        table[:, POSITION] = onset - starts[table[:, BAR]]
        table[:, PITCH] = notes["pitch"]
        table[:, DURATION] = np.clip(end - onset, 1, MAX_DURATION)
        table[:, VELOCITY] = np.clip(notes["velocity"], 1, 127) // 8
        if program == DRUMS:  # a stroke never reaches over the bar line: it would add a bar in which nothing starts
            table[:, DURATION] = np.minimum(DRUM_DURATION, starts[table[:, BAR] + 1] - onset)
        tables.append((program, index, without_overlaps(table, onset)))
    tables.sort(key=lambda part: (*instrument_order(part[0]), -part[2][:, PITCH].mean()))
    for track, (_, _, table) in enumerate(tables):
        table[:, TRACK] = track
    notes = np.concatenate([table for _, _, table in tables])
    notes = sorted_notes(notes)
    last_step = int((starts[notes[:, BAR]] + notes[:, POSITION] + notes[:, DURATION]).max())
    while starts[-1] < last_step:
        starts, meters = np.append(starts, starts[-1] + bar_steps(meters[-1])), [*meters, meters[-1]]
    count = int(np.searchsorted(starts, last_step, side="left"))
    instruments = tuple(program for program, _, _ in tables)
    cells = Cells(notes.astype(np.int16), instruments, tuple(meters[:count]), tempo(score))
    return cells, tuple(index for _, index, _ in tables)


def decode(cells: Cells) -> Score:
    """Cells -> Score at TICKS_PER_QUARTER; one Score track a cell track, in order, named after its instrument."""
    score = Score(TICKS_PER_QUARTER)
    score.tempos.append(Tempo(0, cells.tempo))
    starts = bar_starts(cells.meters)
    previous = None
    for start, meter in zip(starts, cells.meters, strict=False):
        if meter != previous:
            score.time_signatures.append(TimeSignature(int(start) * TICKS_PER_STEP, meter.numerator, meter.denominator))
            previous = meter
    table = cells.notes.astype(np.int64)
    onset = (starts[table[:, BAR]] + table[:, POSITION]) * TICKS_PER_STEP
    for index, program in enumerate(cells.instruments):
        own = table[:, TRACK] == index
        drums = program == DRUMS
        track = Track(instrument_name(program), 0 if drums else program, drums)
        track.notes = Note.from_numpy(
            onset[own].astype(np.int32),
            (table[own, DURATION] * TICKS_PER_STEP).astype(np.int32),
            table[own, PITCH].astype(np.int8),
            (table[own, VELOCITY] * 8 + 4).astype(np.int8),
        )
        score.tracks.append(track)
    return score


def instrument_order(program: int) -> tuple[int, int]:
    """Sorts tracks by instrument: drums, basses, then by program."""
    return (0 if program == DRUMS else 1 if FAMILY_NAMES[family(program)] == "bass" else 2), program


def _fitting_meter(bar: Bar, ticks_per_quarter: int, number: int) -> Meter:
    """The bar's own meter, or, where a change of meter cut the bar short, one that has its length."""
    quarters = bar.length / ticks_per_quarter
    if quarters == bar.meter.quarters:
        bar_steps(bar.meter)
        return bar.meter
    for denominator in (4, 8, 16, 32):
        numerator = quarters * denominator / 4
        if numerator == int(numerator) and 1 <= numerator <= 64:
            cut = Meter(int(numerator), denominator)
            bar_steps(cut)
            return cut
    raise CellsError(f"bar {number} is cut short by a change of meter at a place that no grid line meets")


def _ticks_to_steps(time: np.ndarray, ticks: np.ndarray, starts: np.ndarray, ticks_per_quarter: int) -> np.ndarray:
    """Absolute ticks -> absolute steps, counted from the bar line before them so that nothing drifts."""
    bar = np.clip(np.searchsorted(ticks, time, side="right") - 1, 0, len(ticks) - 1)
    within = ((time - ticks[bar]) * (2 * STEPS_PER_QUARTER) + ticks_per_quarter) // (2 * ticks_per_quarter)
    return starts[bar] + within


def sorted_notes(notes: np.ndarray) -> np.ndarray:
    """Rows in the order of a note table: bar, track, position, pitch."""
    return notes[np.lexsort((notes[:, PITCH], notes[:, POSITION], notes[:, TRACK], notes[:, BAR]))]


def without_overlaps(table: np.ndarray, onset: np.ndarray) -> np.ndarray:
    """The notes of one track, one row for each (onset, pitch), the longest; each cut where its pitch starts again.

    onset: (N,) in steps from the start of the piece.
    """
    if not len(table):
        return table
    order = np.lexsort((-table[:, DURATION], onset, table[:, PITCH]))
    table, onset = table[order], onset[order]
    same_pitch = table[1:, PITCH] == table[:-1, PITCH]
    keep = np.append(True, ~(same_pitch & (onset[1:] == onset[:-1])))
    table, onset = table[keep], onset[keep]
    same_pitch = table[1:, PITCH] == table[:-1, PITCH]
    room = np.where(same_pitch, onset[1:] - onset[:-1], MAX_DURATION)
    table[:-1, DURATION] = np.minimum(table[:-1, DURATION], room)
    return table
