"""Levels: what each track does in each bar, as numbers 0..7 whose limits lie near the eighths of a large corpus.

Density, register, polyphony and rhythm are the controls of midigpt and Composer's Assistant 2 that musicians use; here
they are computed from the notes, so that any music can be labelled. Shapes: M bars, K tracks, S sections; a cell is a
bar of a track.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from orchestrion.music.theory import DRUMS, FAMILY_NAMES, family
from orchestrion.planning.plan import LEVEL_NAMES, ROLES
from orchestrion.representations.cells import (
    BAR,
    DURATION,
    PITCH,
    POSITION,
    STEPS_PER_QUARTER,
    TRACK,
    VELOCITY,
    Cells,
    bar_steps,
)

VERSION = 1
OPEN = -1  # in place of a level: the cell is silent, or the level means nothing for its instrument

DENSITY, REGISTER, POLYPHONY, LENGTH, LOUDNESS, SYNCOPATION = range(len(LEVEL_NAMES))
#: Of each level the seven limits between its eight values; a value on a limit belongs to the higher level.
#: density: onsets a quarter note (chords count once). register: mean pitch. polyphony: notes an onset. length: mean
#: length in quarter notes. loudness: mean of the velocity levels 0..15. syncopation: mean weight of the onsets, 0 on a
#: beat, 1/2 on an eighth between beats, 1 elsewhere.
LIMITS = np.array([
    [0.38, 0.63, 0.88, 1.13, 1.6, 2.1, 3.01],
    [43.0, 50.0, 55.0, 60.0, 64.0, 69.0, 75.0],
    [1.01, 1.2, 1.5, 2.01, 2.6, 3.01, 4.01],
    [0.22, 0.34, 0.48, 0.7, 1.0, 1.4, 2.3],
    [6.0, 8.0, 9.5, 10.5, 11.5, 12.5, 13.6],
    [0.01, 0.13, 0.22, 0.3, 0.42, 0.55, 0.7],
])  # fmt: skip
#: The same for drums, whose onsets are denser; their register and length mean nothing.
DRUM_LIMITS = LIMITS.copy()
DRUM_LIMITS[DENSITY] = [0.88, 1.3, 1.76, 2.01, 2.51, 3.01, 3.9]
DRUM_LIMITS[POLYPHONY] = [1.01, 1.2, 1.32, 1.45, 1.6, 1.76, 2.0]


def cell_levels(cells: Cells) -> np.ndarray:
    """(M, K, 6) int8: each level of each cell, OPEN where the cell has no onset or the level means nothing."""
    measured = cell_measures(cells)
    drums = np.array(cells.instruments) == DRUMS
    levels = np.full(measured.shape, OPEN, np.int8)
    for index in range(len(LEVEL_NAMES)):
        pitched = np.searchsorted(LIMITS[index], measured[..., index], side="right")
        beaten = np.searchsorted(DRUM_LIMITS[index], measured[..., index], side="right")
        levels[..., index] = np.where(drums, beaten, pitched)
    levels[np.isnan(measured)] = OPEN
    return levels


def cell_measures(cells: Cells) -> np.ndarray:
    """(M, K, 6) float: what LIMITS divide, nan where the cell has no onset or the measure means nothing."""
    bars, tracks = len(cells.meters), len(cells.instruments)
    notes = cells.notes.astype(np.int64)
    cell = notes[:, BAR] * tracks + notes[:, TRACK]
    count = np.bincount(cell, minlength=bars * tracks)
    first = np.ones(len(notes), bool)  # of each onset; notes are sorted by bar, track, position
    first[1:] = (cell[1:] != cell[:-1]) | (notes[1:, POSITION] != notes[:-1, POSITION])
    onsets = np.bincount(cell[first], minlength=bars * tracks)
    quarters = np.array([bar_steps(meter) for meter in cells.meters]) / STEPS_PER_QUARTER
    within = notes[first, POSITION] % STEPS_PER_QUARTER
    weight = np.where(within == 0, 0.0, np.where(within == STEPS_PER_QUARTER // 2, 0.5, 1.0))

    def mean(values: np.ndarray, of: np.ndarray, own: np.ndarray) -> np.ndarray:
        return np.bincount(own, values, bars * tracks) / np.maximum(of, 1)

    measured = np.stack([
        onsets / np.repeat(quarters, tracks),
        mean(notes[:, PITCH], count, cell),
        count / np.maximum(onsets, 1),
        mean(notes[:, DURATION] / STEPS_PER_QUARTER, count, cell),
        mean(notes[:, VELOCITY], count, cell),
        mean(weight, onsets, cell[first]),
    ], axis=1).reshape(bars, tracks, len(LEVEL_NAMES))  # fmt: skip
    measured[(count == 0).reshape(bars, tracks)] = np.nan
    measured[:, np.array(cells.instruments) == DRUMS, REGISTER] = np.nan
    measured[:, np.array(cells.instruments) == DRUMS, LENGTH] = np.nan
    return measured


def section_levels(levels: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(M, K, 6), (S,) first bars -> (S, K, 6) int8: the median of the cells that play, the lower of two in the middle;
    OPEN where the track is silent for the whole section."""
    edges = [*starts, len(levels)]
    result = np.full((len(starts), *levels.shape[1:]), OPEN, np.int8)
    for index, (start, end) in enumerate(pairwise(edges)):
        own = np.sort(np.where(levels[start:end] == OPEN, 127, levels[start:end]), axis=0)
        playing = (own < 127).sum(0)
        middle = np.take_along_axis(own, np.maximum(playing - 1, 0)[None] // 2, axis=0)[0]
        result[index] = np.where(playing > 0, middle, OPEN)
    return result


def roles(cells: Cells) -> np.ndarray:
    """(K,) int64, of each track an index into ROLES, by its instrument, range and texture.

    The melody is the track of single notes, above the bass, that is high and has much to say; of several the first in
    that order, the others are counter-melodies. A lone pitched track with chords is "chords"."""
    notes, instruments = cells.notes.astype(np.int64), np.array(cells.instruments)
    tracks = len(instruments)
    count = np.maximum(np.bincount(notes[:, TRACK], minlength=tracks), 1)
    pitch = np.bincount(notes[:, TRACK], notes[:, PITCH], tracks) / count
    length = np.bincount(notes[:, TRACK], notes[:, DURATION], tracks) / count
    onset = (notes[:, BAR] * tracks + notes[:, TRACK]) * 128 + notes[:, POSITION]
    onsets = np.maximum(np.bincount(notes[np.unique(onset, return_index=True)[1], TRACK], minlength=tracks), 1)
    texture = count / onsets
    bass_family = np.array([FAMILY_NAMES[family(program)] == "bass" or program == 43 for program in instruments])
    drums = instruments == DRUMS
    bass = ~drums & (bass_family | ((pitch < 48) & (texture < 1.3)))
    single = ~drums & ~bass & (texture < 1.35)
    result = np.full(tracks, ROLES.index("chords"))
    result[~drums & ~bass & (texture >= 1.35) & (length >= 24)] = ROLES.index("pad")
    result[single] = ROLES.index("counter-melody")
    broken = single & (onsets / max(len(cells.meters), 1) > 6) & (length < 9) & (pitch < 67)
    result[broken] = ROLES.index("arpeggio")
    lines = np.flatnonzero(single & ~broken)
    if len(lines):
        result[lines[np.argmax(pitch[lines] + 6 * np.log2(count[lines]))]] = ROLES.index("melody")
    result[bass], result[drums] = ROLES.index("bass"), ROLES.index("drums")
    return result
