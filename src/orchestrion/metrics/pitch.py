"""Pitch: how many classes, which scale, how many at once. Percussion tracks never count; their pitch names a drum.

The pitch class is pitch % 12: C in three octaves is one class. (Code that folds a piano roll by reshaping it to
(..., 12, -1) counts bands of neighbouring keys instead: three classes for those C's, one for a cluster.)
"""

from __future__ import annotations

import numpy as np
from symusic import Score

from orchestrion.metrics.grid import Grid, on_grid
from orchestrion.theory import Key

_CHROMATIC = np.arange(12)
#: (12, 12) bool: row t marks the seven pitch classes of the major scale on t, which natural minor on t + 9 shares.
_DIATONIC = np.isin((_CHROMATIC[None, :] - _CHROMATIC[:, None]) % 12, sorted(Key(0, "major").pitch_classes))


def pitch_classes_a_bar(score: Score | Grid) -> float:
    """Mean over pitched tracks of `pitch_classes_by_track`, 1..12; nan without pitched notes."""
    by_track = pitch_classes_by_track(score)
    return float(by_track.mean()) if by_track.size else np.nan


def pitch_classes_by_track(score: Score | Grid) -> np.ndarray:
    """(K,) mean number of different pitch classes that sound in a bar, over the bars in which the track sounds, of each
    of the K pitched tracks that have notes (MuseGAN's UPC, Dong et al. 2018)."""
    grid = on_grid(score, drums=False)
    note, bar = grid.sounding()
    cells = np.unique(np.stack([grid.track[note], bar, grid.pitch[note] % 12]), axis=1)
    tracks, classes = np.unique(cells[0], return_counts=True)
    sounding = np.unique(np.unique(cells[:2], axis=1)[0], return_counts=True)[1]
    return classes / sounding if len(tracks) else np.zeros(0)


def in_scale_rate(score: Score | Grid, key: Key | None = None) -> float:
    """Share of pitched notes, 0..1, whose class is among `key.pitch_classes`; notes count alike, whatever their length.

    Without a key: the best share of all 24 keys with minor as natural minor, which are twelve sets of seven classes
    (MusPy's scale consistency, Dong et al. 2020), so at least 7/12. Theory's minor has nine classes and would win
    nearly always; shares with a given minor key and without a key do not compare. nan without pitched notes.
    """
    histogram = pitch_class_histogram(score)
    if not histogram.sum():
        return np.nan
    scales = _DIATONIC if key is None else np.isin(_CHROMATIC, sorted(key.pitch_classes))[None]
    return float((scales @ histogram).max() / histogram.sum())


def pitch_class_histogram(score: Score | Grid) -> np.ndarray:
    """(12,) number of pitched notes of each class, from C."""
    return np.bincount(on_grid(score, drums=False).pitch % 12, minlength=12)


def polyphony(score: Score | Grid) -> float:
    """Mean number of pitched notes that sound at a step, over steps at which at least one does, 1 or more; two tracks
    on one pitch are two notes (the WGAN-GP paper's "polyphonic rate"; not MuseGAN's). nan without pitched notes."""
    grid = on_grid(score, drums=False)
    if not len(grid):
        return np.nan
    order = np.argsort(grid.onset)
    onset, reached = grid.onset[order], np.maximum.accumulate(grid.end[order])
    silence = np.maximum(onset[1:] - reached[:-1], 0).sum()
    return float((grid.end - grid.onset).sum() / (reached[-1] - onset[0] - silence))


def mean_pitch(score: Score | Grid) -> float:
    """Mean MIDI number of the pitched notes, 0..127; nan without any."""
    pitch = on_grid(score, drums=False).pitch
    return float(pitch.mean()) if len(pitch) else np.nan
