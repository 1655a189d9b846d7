"""Yang and Lerch's features of one piece (2020; as Luo 2021 used them): what is played and what follows what.

Percussion tracks never count. Histograms and matrices sum to 1, so that the length of the piece does not count (mgeval,
the authors' code, compares plain counts), and are all nan where there is nothing to count. Two sets of pieces are
compared by them in `distances`.
"""

from __future__ import annotations

import numpy as np
from symusic import Score

from orchestrion.metrics.definition import Feature, Metric
from orchestrion.metrics.grid import Grid, on_grid
from orchestrion.music.theory import PITCH_CLASS_NAMES

#: The classes of note lengths in 96ths of a whole note: plain, then dotted, then triplets. In a tie the first one wins.
NOTE_LENGTHS = {
    "whole": 96, "half": 48, "quarter": 24, "eighth": 12, "sixteenth": 6,
    "dotted half": 72, "dotted quarter": 36, "dotted eighth": 18, "dotted sixteenth": 9,
    "half triplet": 32, "quarter triplet": 16, "eighth triplet": 8,
}  # fmt: skip
_UNITS = np.array(list(NOTE_LENGTHS.values()))
_BY_LENGTH = np.argsort(_UNITS)
_TWICE_MIDPOINTS = _UNITS[_BY_LENGTH[:-1]] + _UNITS[_BY_LENGTH[1:]]
_SHORTER_WINS = _BY_LENGTH[:-1] < _BY_LENGTH[1:]  # where a length lies on the midpoint


def pitch_class_shares(music: Score | Grid) -> np.ndarray:
    """(12,) share of the notes of each pitch class, from C: Luo's octave-independent pitch histogram."""
    return _normalised(np.bincount(on_grid(music, drums=False).pitch % 12, minlength=12))


def pitch_class_time_shares(music: Score | Grid) -> np.ndarray:
    """(12,) share of the time, in note lengths on the grid, of each pitch class."""
    grid = on_grid(music, drums=False)
    return _normalised(np.bincount(grid.pitch % 12, weights=grid.end - grid.onset, minlength=12))


def bar_pitch_class_shares(music: Score | Grid) -> np.ndarray:
    """(12,) mean over bars of the `pitch_class_shares` of what begins in the bar; bars without a note do not count."""
    grid = on_grid(music, drums=False)
    return _normalised(np.bincount(grid.pitch % 12, weights=1 / np.bincount(grid.bar)[grid.bar], minlength=12))


def pitch_shares(music: Score | Grid) -> np.ndarray:
    """(128,) share of the notes of each pitch: the occurrences between which Luo takes his distances."""
    return _normalised(np.bincount(on_grid(music, drums=False).pitch, minlength=128))


def pitch_class_transitions(music: Score | Grid) -> np.ndarray:
    """(12, 12) share of the steps that lead from the row's pitch class to the column's.

    A step goes from each note of one onset of a track to each note of the track's next onset, however long the rest
    between. All pairs of one step together weigh 1, so that chords do not outweigh melody."""
    grid = on_grid(music, drums=False)
    return _transitions(grid, grid.pitch % 12)


def pitch_class_transitions_mgeval(music: Score | Grid) -> np.ndarray:
    """(12, 12) counts as in mgeval, which takes them from pretty_midi: every ordered pair of notes of a track of which
    one ends less than 0.05 s from where the other begins, a note shorter than that with itself among them; tracks of
    one note have none. Distances of 0.05 s up to a nanosecond, which a float may put on either side, are not less."""
    grid = on_grid(music, drums=False)
    if not len(grid):
        return np.full((12, 12), np.nan)
    onset, end = grid.seconds
    apart = grid.track * (end.max() + 1)  # so that no note of another track lies near
    order = np.argsort(onset + apart, kind="stable")
    before = np.zeros((12, len(grid) + 1), np.int32)  # how many of the notes before this one have each class
    before[grid.pitch[order] % 12, np.arange(1, len(grid) + 1)] = 1
    before = np.cumsum(before, axis=1, out=before)
    by_end = np.flatnonzero(np.bincount(grid.track)[grid.track] > 1)
    by_end = by_end[np.argsort((end + apart)[by_end], kind="stable")]  # a sorted search is twice as fast
    low, high = np.searchsorted((onset + apart)[order], (end + apart)[by_end] + [[1e-9 - 0.05], [0.05 - 1e-9]])
    source = grid.pitch[by_end] % 12
    return np.stack([np.bincount(source, target[high] - target[low], 12) for target in before], axis=1)


def note_length_shares(music: Score | Grid) -> np.ndarray:
    """(12,) share of the notes of each class of NOTE_LENGTHS; see `note_length_classes`."""
    return _normalised(np.bincount(note_length_classes(music), minlength=len(NOTE_LENGTHS)))


def note_length_transitions(music: Score | Grid) -> np.ndarray:
    """(12, 12) share of the steps that lead from the row's class of NOTE_LENGTHS to the column's; steps as in
    `pitch_class_transitions`."""
    grid = on_grid(music, drums=False)
    return _transitions(grid, note_length_classes(grid))


def note_length_classes(music: Score | Grid) -> np.ndarray:
    """(N,) for each pitched note the index of the nearest class of NOTE_LENGTHS.

    Lengths are those written, in ticks and not rounded to the grid, against the whole note: a quarter is a quarter in
    any meter (mgeval divides the bar). In a tie plain wins over dotted over triplet. However far off a length is, it
    gets a class: a 64th counts as a sixteenth, and notes held over several bars are whole notes."""
    grid = on_grid(music, drums=False)
    twice = 48 * (grid.ticks[1] - grid.ticks[0])  # twice the length in 96ths of a whole, times ticks a quarter
    thresholds = _TWICE_MIDPOINTS * grid.score.tpq + _SHORTER_WINS
    return _BY_LENGTH[np.searchsorted(thresholds, twice, side="right")]


def pitches_used_a_bar(music: Score | Grid) -> float:
    """Mean number of different pitches that sound in a bar, 1..128, over bars with any; nan without pitched notes."""
    sounding = _bar_pitches(music)
    return float(sounding.sum() / len(sounding)) if len(sounding) else np.nan


def pitch_range_a_bar(music: Score | Grid) -> float:
    """Mean semitones, 0..127, from the lowest to the highest pitch that sounds in a bar, over bars with any; nan
    without pitched notes."""
    sounding = _bar_pitches(music)
    spans = 127 - sounding[:, ::-1].argmax(axis=1) - sounding.argmax(axis=1)
    return float(spans.mean()) if len(sounding) else np.nan


def _bar_pitches(music: Score | Grid) -> np.ndarray:
    """(M, 128) bool, which pitches sound in each of the M bars in which any does."""
    grid = on_grid(music, drums=False)
    note, bar = grid.sounding()
    sounding = np.zeros((grid.bars, 128), bool)
    sounding[bar, grid.pitch[note]] = True
    return sounding[sounding.any(axis=1)]


def _transitions(grid: Grid, label: np.ndarray, classes: int = 12) -> np.ndarray:
    """(classes, classes) by the labels (N,) of the notes of a grid; rule in `pitch_class_transitions`."""
    new_track = np.diff(grid.track, prepend=-1) != 0
    new_onset = np.diff(grid.onset, prepend=-1) != 0
    chord = np.cumsum((new_track | new_onset) + new_track.astype(int))  # with an empty one before each track
    cells = (int(chord.max(initial=0)) + 1) * classes
    shares = np.bincount(chord * classes + label, 1 / np.bincount(chord)[chord], cells).reshape(-1, classes)
    return _normalised(shares[:-1].T @ shares[1:])


def _normalised(counts: np.ndarray) -> np.ndarray:
    total = counts.sum()
    return counts / total if total else np.full(counts.shape, np.nan)


_SOURCE = "Yang and Lerch (2020); Luo (2021), section 5.1.2"
_PITCHES = tuple(f"{PITCH_CLASS_NAMES[pitch % 12]}{pitch // 12 - 1}" for pitch in range(128))
_LENGTHS = tuple(NOTE_LENGTHS)

METRICS = (
    Metric(
        "pitches-used-a-bar",
        "pitches used a bar",
        "How many different pitches sound in a bar: few is plain, many is busy or chromatic.",
        "mean over bars with pitched notes of the number of different MIDI pitches that sound in the bar",
        "pitches", "Yang and Lerch (2020)", function=pitches_used_a_bar, low=1, high=128, undefined="no pitched notes",
        style=True,
    ),
    Metric(
        "pitch-range-a-bar",
        "pitch range a bar",
        "How far the lowest and the highest pitch of a bar lie apart: small is close together, large is wide.",
        "mean over bars with pitched notes of highest less lowest MIDI pitch that sounds in the bar",
        "semitones", "Yang and Lerch (2020)", function=pitch_range_a_bar, high=127, undefined="no pitched notes",
        style=True,
    ),
)  # fmt: skip

FEATURES = (
    Feature(
        "pitch-class-histogram",
        "pitch classes",
        "How often each of the twelve tones is played, in whatever octave: a few high bars mean a clear key.",
        "pitched notes with pitch % 12 == c, over all pitched notes",
        "share of notes", _SOURCE, function=pitch_class_shares, labels=(PITCH_CLASS_NAMES,),
        undefined="no pitched notes",
    ),
    Feature(
        "pitch-class-histogram-by-duration",
        "pitch classes by duration",
        "How long each of the twelve tones sounds, in whatever octave: held tones weigh more than passing ones.",
        "sum of the lengths in steps of 1/12 quarter of the pitched notes with pitch % 12 == c, over that of all",
        "share of time", "Yang and Lerch (2020), whose code also weighs by velocity", function=pitch_class_time_shares,
        labels=(PITCH_CLASS_NAMES,), undefined="no pitched notes",
    ),
    Feature(
        "bar-pitch-class-histogram",
        "pitch classes bar by bar",
        "How often each of the twelve tones is played in an average bar: sparse bars speak as loud as full ones.",
        "mean over bars in which pitched notes begin of the bar's own shares of notes with pitch % 12 == c",
        "share of notes", _SOURCE, function=bar_pitch_class_shares, labels=(PITCH_CLASS_NAMES,),
        undefined="no pitched notes",
    ),
    Feature(
        "pitch-histogram",
        "pitches",
        "How often each pitch is played: shows the registers that the music lives in.",
        "pitched notes of MIDI pitch p, over all pitched notes",
        "share of notes", "Luo (2021), figures 5.6 and 5.9", function=pitch_shares, labels=(_PITCHES,),
        undefined="no pitched notes",
    ),
    Feature(
        "pitch-class-transitions",
        "pitch-class transitions",
        "Which tone follows which, in whatever octave: a bright diagonal means repeated tones.",
        "mean over steps (an onset of a track to its next) of the share of pairs (note of the one, note of the other) "
        "with pitch classes (row, column)",
        "share of steps", _SOURCE + ", figure 5.5", function=pitch_class_transitions,
        labels=(PITCH_CLASS_NAMES, PITCH_CLASS_NAMES), undefined="no pitched track with two onsets",
    ),
    Feature(
        "pitch-class-transitions:mgeval",
        "pitch-class transitions as mgeval counts them",
        "Which tone begins where another ends, in plain counts that grow with the length of the piece.",
        "pairs (i, j) of notes of one pitched track of at least two notes with |end_i - onset_j| < 0.05 s, pitch class "
        "of i by that of j, not normalised",
        "pairs", "mgeval (Yang and Lerch), pretty_midi 0.2.11", function=pitch_class_transitions_mgeval,
        labels=(PITCH_CLASS_NAMES, PITCH_CLASS_NAMES), undefined="no pitched notes",
    ),
    Feature(
        "note-length-histogram",
        "note lengths",
        "How often each note length is played, from whole notes to sixteenths: shows how lively the music is.",
        "pitched notes whose length as written is nearest to the class, over all; in a tie plain wins over dotted over "
        "triplet; no bound on the distance",
        "share of notes", _SOURCE, function=note_length_shares, labels=(_LENGTHS,), undefined="no pitched notes",
    ),
    Feature(
        "note-length-transitions",
        "note-length transitions",
        "Which note length follows which: a bright diagonal means even motion.",
        "as pitch-class-transitions, of the classes of note-length-histogram",
        "share of steps", _SOURCE, function=note_length_transitions, labels=(_LENGTHS, _LENGTHS),
        undefined="no pitched track with two onsets",
    ),
)  # fmt: skip
