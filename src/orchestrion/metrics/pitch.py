"""Pitch: how many classes, which scale, how many at once. Percussion tracks never count; their pitch names a drum.

The pitch class is pitch % 12: C in three octaves is one class. (Code that folds a piano roll by reshaping it to
(..., 12, -1) counts bands of neighbouring keys instead: three classes for those C's, one for a cluster.)
"""

from __future__ import annotations

import numpy as np
from symusic import Score

from orchestrion.metrics.definition import Metric
from orchestrion.metrics.grid import Grid, on_grid
from orchestrion.music.theory import Key

_CHROMATIC = np.arange(12)
#: (12, 12) bool: row t marks the seven pitch classes of the major scale on t, which natural minor on t + 9 shares.
_DIATONIC = np.isin((_CHROMATIC[None, :] - _CHROMATIC[:, None]) % 12, sorted(Key(0, "major").pitch_classes))
_MOST_BITS = float(np.log2(12))
_UNPITCHED = "no pitched notes"


def pitch_classes_a_bar(score: Score | Grid) -> float:
    """Mean over pitched tracks of `pitch_classes_by_track`, 1..12; nan without pitched notes."""
    by_track = pitch_classes_by_track(score)
    return float(by_track.mean()) if by_track.size else np.nan


def pitch_classes_by_track(score: Score | Grid) -> np.ndarray:
    """(K,) mean number of different pitch classes that sound in a bar, over the bars in which the track sounds, of each
    of the K pitched tracks that have notes (MuseGAN's UPC, Dong et al. 2018)."""
    grid = on_grid(score, drums=False)
    classes = grid.sounds(grid.row * 12 + grid.pitch % 12, grid.rows * 12)
    return classes.reshape(grid.rows, 12 * grid.bars).sum(axis=1) / grid.cells.sum(axis=1)


def pitches_used(score: Score | Grid) -> float:
    """Number of different pitches, 1..128; nan without pitched notes."""
    return float(np.count_nonzero(on_grid(score, drums=False).pitch_counts)) or np.nan


def pitch_classes_used(score: Score | Grid) -> float:
    """Number of different pitch classes, 1..12; nan without pitched notes."""
    return float(np.count_nonzero(pitch_class_histogram(score))) or np.nan


def pitch_range(score: Score | Grid) -> float:
    """Semitones from the lowest to the highest pitch, 0..127; nan without pitched notes (MusPy 0.5.0: 0, and -127 for
    drums alone)."""
    used = np.flatnonzero(on_grid(score, drums=False).pitch_counts)
    return float(used[-1] - used[0]) if len(used) else np.nan


def mean_pitch(score: Score | Grid) -> float:
    """Mean MIDI number of the pitched notes, 0..127; nan without any."""
    pitch = on_grid(score, drums=False).pitch
    return float(pitch.mean()) if len(pitch) else np.nan


def pitch_entropy(score: Score | Grid) -> float:
    """Entropy in bits, 0..7, of how often each of the 128 pitches is struck; nan without pitched notes."""
    return float(entropy_bits(on_grid(score, drums=False).pitch_counts))


def pitch_class_entropy(score: Score | Grid) -> float:
    """Entropy in bits, 0..log2(12), of how often each of the twelve classes is struck; nan without pitched notes."""
    return float(entropy_bits(pitch_class_histogram(score)))


def pitch_class_entropy_of_bars(score: Score | Grid, bars: int = 1) -> float:
    """Mean over all windows of so many neighbouring bars, one starting with each bar, in which pitched notes begin, of
    the entropy in bits, 0..log2(12), of the pitch classes struck in it; nan without pitched notes.

    MusDr's H1 and H4 (Wu and Yang 2020). A piece of fewer bars is one window.
    """
    grid = on_grid(score, drums=False)
    if not len(grid):
        return np.nan
    counts = np.bincount(grid.bar * 12 + grid.pitch % 12, minlength=grid.bars * 12).reshape(-1, 12)
    before = np.concatenate([np.zeros((1, 12), np.int64), counts.cumsum(axis=0)])
    bars = min(bars, grid.bars)
    windows = before[bars:] - before[:-bars]
    return float(entropy_bits(windows[windows.any(axis=1)]).mean())


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


def in_written_scale_rate(score: Score | Grid) -> float:
    """Share of pitched notes, 0..1, among the seven classes of the key signature in force where they begin, so those
    that need no accidental; before the first signature its own classes hold. Whether the signature is called major or
    minor makes no difference, and files are often wrong about it. nan without pitched notes or a key signature."""
    grid = on_grid(score, drums=False)
    marks = sorted((mark.time, mark.key) for mark in grid.score.key_signatures)
    if not (len(grid) and marks):
        return np.nan
    ticks, sharps = np.array(marks).T
    tonic = 7 * sharps % 12  # of the major key, a fifth up a sharp
    here = tonic[np.maximum(np.searchsorted(ticks, grid.ticks[0], side="right") - 1, 0)]
    return float(_DIATONIC[here, grid.pitch % 12].mean())


def pitch_class_histogram(score: Score | Grid) -> np.ndarray:
    """(12,) number of pitched notes of each class, from C."""
    counts = on_grid(score, drums=False).pitch_counts
    return np.append(counts, np.zeros(4, np.int64)).reshape(-1, 12).sum(axis=0)


def polyphony(score: Score | Grid) -> float:
    """Mean number of different pitches that sound at a step, over steps at which at least one does, 1 or more; tracks
    in unison sound one pitch (MusPy, Dong et al. 2020). nan without pitched notes."""
    grid = on_grid(score, drums=False)
    if not len(grid):
        return np.nan
    start, stop = grid.held_pitches
    return float((stop - start).sum() / grid.steps_with(1))


def polyphony_rate(score: Score | Grid, pitches: int = 2) -> float:
    """Share of steps, 0..1, at which at least so many different pitches sound, over all steps of 1/12 quarter from tick
    0 to the end of the last note of any track, silence included; nan without pitched notes. MusPy 0.5.0 by default
    counts more than two, pypianoroll 1.0.4 does so too, under words that say two or more."""
    grid = on_grid(score)
    return grid.pitched.steps_with(pitches) / grid.steps if len(grid.pitched) else np.nan


def polyphonic_rate(score: Score | Grid) -> float:
    """Mean number of pitches that sound at a step in an instrument family, over all steps from tick 0 to the end of the
    last note, silence included, and over the families that have notes, drums among them; nan without notes.

    The WGAN-GP paper's polyphonic rate ("the average number of simultaneous notes per time step", 1.237 for 1,000 rock
    pieces of LPD-17), which leaves open whose notes and which steps. A family is a track of LPD-17. Of the readings
    tried on 1,000 other rock files, 24 steps a quarter, this one comes nearest, with 1.34 (1.24 where all steps of all
    pieces go into one mean): all families summed make 5.5, the steps at which the family sounds 2.1, files' own tracks
    in place of families 0.9.
    """
    grid = on_grid(score)
    if not len(grid):
        return np.nan
    start, stop = grid.held
    return float((stop - start).sum() / (grid.steps * len(grid.families)))


def average_pitch_interval(score: Score | Grid) -> float:
    """Mean semitones, 0..127, up or down, from one onset of a pitched track to its next, over all such steps of all
    tracks; of notes that begin at the same step of 1/12 quarter the highest counts. After Yang and Lerch (2020), who
    measure one melody (mgeval goes from note to note in file order, through chords). nan where no track has two onsets.
    """
    grid = on_grid(score, drums=False)
    top = np.append(grid.strikes[1:], len(grid))[: len(grid.strikes)] - 1
    track, pitch = grid.track[top], grid.pitch[top]
    steps = np.abs(np.diff(pitch))[track[1:] == track[:-1]]
    return float(steps.mean()) if len(steps) else np.nan


def entropy_bits(counts: np.ndarray) -> np.ndarray:
    """Shannon entropy in bits of counts along the last axis, which goes; nan where all are 0."""
    total = counts.sum(axis=-1)
    weighted = (counts * np.log2(np.maximum(counts, 1))).sum(axis=-1)
    bits = np.log2(np.maximum(total, 1)) - weighted / np.maximum(total, 1)
    return np.where(total > 0, np.maximum(bits, 0.0), np.nan)


METRICS = (
    Metric(
        "pitch-classes-a-bar",
        "pitch classes a bar",
        "How many of the twelve note names a player uses in a bar; low is a line of few notes, high chords or runs.",
        "mean over pitched tracks of: #{classes that sound in the bar}, mean over the bars in which the track sounds",
        "classes",
        "MuseGAN's UPC (Dong et al. 2018), mean over tracks, classes by pitch % 12",
        function=pitch_classes_a_bar,
        low=1,
        high=12,
        undefined=_UNPITCHED,
        style=True,
    ),
    Metric(
        "pitches-used",
        "pitches used",
        "How many different pitches the piece has; longer pieces have more.",
        "#{pitches with a note}, drums apart",
        "pitches",
        "MusPy (Dong et al. 2020); Yang and Lerch (2020)",
        function=pitches_used,
        low=1,
        high=128,
        undefined=_UNPITCHED,
    ),
    Metric(
        "pitch-classes-used",
        "pitch classes used",
        "How many of the twelve note names the piece has; seven is a plain scale, twelve all there are.",
        "#{pitch % 12 of a note}, drums apart",
        "classes",
        "MusPy (Dong et al. 2020)",
        function=pitch_classes_used,
        low=1,
        high=12,
        undefined=_UNPITCHED,
    ),
    Metric(
        "pitch-range",
        "pitch range",
        "How far the lowest note lies below the highest; 12 semitones are an octave, a piano has 87.",
        "highest pitch - lowest pitch, drums apart",
        "semitones",
        "MusPy (Dong et al. 2020); Yang and Lerch (2020)",
        function=pitch_range,
        high=127,
        undefined=_UNPITCHED,
    ),
    Metric(
        "mean-pitch",
        "mean pitch",
        "How high the notes lie on average; 60 is middle C.",
        "mean MIDI number of the notes, drums apart",
        "MIDI pitch",
        "Orchestrion",
        function=mean_pitch,
        high=127,
        undefined=_UNPITCHED,
        style=True,
    ),
    Metric(
        "average-pitch-interval",
        "mean interval",
        "How far the top line of a player moves from onset to onset; 2 is stepwise singing, 7 and more leaps.",
        "mean of |pitch - pitch before| over successive onsets of a track, the highest note of each, drums apart",
        "semitones",
        "Yang and Lerch (2020), for chords and several tracks",
        function=average_pitch_interval,
        high=127,
        undefined="no track with two onsets",
        style=True,
    ),
    Metric(
        "pitch-entropy",
        "pitch entropy",
        "How evenly the notes spread over the pitches; low means that a few pitches make up the piece.",
        "-sum of p log2 p over the 128 pitches, p the share of notes with that pitch, drums apart",
        "bits",
        "MusPy (Dong et al. 2020)",
        function=pitch_entropy,
        high=7,
        undefined=_UNPITCHED,
        style=True,
    ),
    Metric(
        "pitch-class-entropy",
        "pitch-class entropy",
        "How evenly the notes spread over the twelve note names; low is few notes of one key, 3.58 all alike.",
        "-sum of p log2 p over the 12 pitch classes, p the share of notes of that class, drums apart",
        "bits",
        "MusPy (Dong et al. 2020)",
        function=pitch_class_entropy,
        high=_MOST_BITS,
        undefined=_UNPITCHED,
        style=True,
    ),
    Metric(
        "pitch-class-entropy-1-bar",
        "pitch-class entropy of a bar",
        "How many note names mix within a bar; low means that bars stay on one chord or note, high that they wander.",
        "mean over bars with an onset of -sum of p log2 p over the 12 classes of the bar's onsets, drums apart",
        "bits",
        "MusDr's H1 (Wu and Yang 2020)",
        function=pitch_class_entropy_of_bars,
        high=_MOST_BITS,
        undefined=_UNPITCHED,
        style=True,
    ),
    Metric(
        "pitch-class-entropy-4-bars",
        "pitch-class entropy of four bars",
        "How many note names mix within a phrase of four bars; far above the figure of one bar where harmony moves.",
        "mean entropy of the classes struck in every four neighbouring bars (all bars if fewer than four)",
        "bits",
        "MusDr's H4 (Wu and Yang 2020)",
        function=lambda grid: pitch_class_entropy_of_bars(grid, bars=4),
        high=_MOST_BITS,
        undefined=_UNPITCHED,
        style=True,
    ),
    Metric(
        "scale-consistency",
        "scale consistency",
        "The share of notes that fit the one scale that fits best; 1 is strictly in one key, 0.58 no key at all.",
        "largest share of notes, drums apart, in one of the 12 major scales (natural minor has the same notes)",
        "share",
        "MusPy (Dong et al. 2020), after C-RNN-GAN (Mogren 2016)",
        function=in_scale_rate,
        low=7 / 12,
        high=1,
        undefined=_UNPITCHED,
        style=True,
    ),
    Metric(
        "in-scale-rate",
        "notes in the written key",
        "The share of notes that need no accidental under the key signature that the file states.",
        "notes of the seven classes of the key signature in force / notes, drums apart",
        "share",
        "MuseGAN and MusPy's pitch-in-scale rate, with the written key",
        function=in_written_scale_rate,
        high=1,
        undefined="no key signature, or no pitched notes",
    ),
    Metric(
        "polyphony",
        "polyphony",
        "How many pitches sound at once where any sounds; 1 is a single line, 3 or 4 full chords.",
        "sum over steps of 1/12 quarter of the pitches that sound / steps at which one sounds, drums apart",
        "pitches",
        "MusPy (Dong et al. 2020)",
        function=polyphony,
        low=1,
        high=128,
        undefined=_UNPITCHED,
        style=True,
    ),
    Metric(
        "polyphonic-rate",
        "polyphonic rate",
        "How many notes a family of instruments (pianos, guitars, drums) holds at a time, its rests counted as none.",
        "mean over families with notes of: sum over all steps of 1/12 quarter of the pitches that sound / all steps",
        "pitches",
        "WGAN-GP on LPD-17's rock pieces (its polyphonic rate; the paper leaves the reading open)",
        function=polyphonic_rate,
        high=128,
        style=True,
    ),
    Metric(
        "polyphony-rate",
        "polyphony rate",
        "The share of time in which two or more pitches sound together; 0 is a single line throughout.",
        "steps of 1/12 quarter with at least 2 pitches, drums apart / steps from the beginning to the last end",
        "share",
        "MuseGAN's polyphonicity (Dong et al. 2018)",
        function=polyphony_rate,
        high=1,
        undefined=_UNPITCHED,
        style=True,
    ),
    Metric(
        "polyphony-rate:more-than-two",
        "polyphony rate, more than two",
        "Explains tables made with MusPy or pypianoroll, which count three or more pitches by default.",
        "steps of 1/12 quarter with at least 3 pitches, drums apart / steps from the beginning to the last end",
        "share",
        "MusPy 0.5.0 and pypianoroll 1.0.4, polyphony rate with its default threshold",
        function=lambda grid: polyphony_rate(grid, pitches=3),
        high=1,
        undefined=_UNPITCHED,
    ),
)
