"""Rhythm: the length of notes, the time between them, what bars share of it, and how hard notes are struck."""

from __future__ import annotations

import numpy as np
from symusic import Score

from orchestrion.metrics.bars import bar_length
from orchestrion.metrics.definition import Metric
from orchestrion.metrics.grid import STEPS_PER_QUARTER, Grid, on_grid
from orchestrion.music.extent import seconds_at
from orchestrion.music.theory import DRUMS


def qualified_note_rate(score: Score | Grid, shortest_steps: int = STEPS_PER_QUARTER // 4) -> float:
    """Share of pitched notes, 0..1, that last at least `shortest_steps` steps of 1/12 quarter; 3 is a sixteenth.

    Onset and end are rounded to the grid first: that is the tolerance for MIDI's shortened note-offs, and a sixteenth
    held for 5/6 of its length qualifies. A note across a bar line is one note, and repeated notes do not merge, unlike
    in a piano roll (MuseGAN's QN, Dong et al. 2018; there at least a 32nd by the paper, 1/12 quarter by its code).
    Percussion has no length and does not count; nan without pitched notes.
    """
    grid = on_grid(score, drums=False)
    return float((grid.end - grid.onset >= shortest_steps).mean()) if len(grid) else np.nan


def groove_consistency(score: Score | Grid) -> float:
    """1 - mean share of positions, 0..1, at which one of two neighbouring bars has an onset and the other has none.

    Onsets are of all tracks, drums included; the positions are the steps of 1/12 quarter in the bar (48 in 4/4). Pairs
    count where both bars are equally long and at least one has an onset, so that silence keeps no groove; nan without
    such a pair. After MusPy (Dong et al. 2020), less the empty bar it adds to music that ends on a bar line. Few
    positions hold onsets, so even unlike bars reach 0.7: read it against real music, not against 1.
    """
    grid = on_grid(score)
    length, onsets = np.diff(grid.edges), grid.onsets
    alike = np.append(length[1:] == length[:-1], False)[: len(length)]  # of each bar and the next
    bar = grid.bar_at(onsets)
    count = np.bincount(bar, minlength=len(length))
    followed = alike[bar]
    repeated = _in_both(onsets, onsets[followed] + length[bar[followed]])
    shared = np.bincount(grid.bar_at(repeated) - 1, minlength=len(length))[:-1]
    compared = alike[:-1] & (count[:-1] + count[1:] > 0)
    differing = (count[:-1] + count[1:] - 2 * shared)[compared]
    return float(1 - np.mean(differing / length[:-1][compared])) if compared.any() else np.nan


def groove_consistency_muspy(score: Score | Grid) -> float:
    """`groove_consistency` as MusPy 0.5.0 computes it: silent bars count as alike, and music that ends on a bar line
    has one more. nan without notes, in music shorter than a bar and where not all bars have one length."""
    grid = on_grid(score)
    length, onsets = bar_length(grid), grid.onsets
    pairs = grid.steps // length if length else 0  # of neighbouring bars: one less than there are by MusPy
    if not (len(grid) and pairs):
        return np.nan
    at_the_ends = np.count_nonzero(onsets < length) + np.count_nonzero(onsets >= pairs * length)  # these have one pair
    differing = 2 * len(onsets) - at_the_ends - 2 * len(_in_both(onsets, onsets + length))
    return 1 - differing / (pairs * length)


def groove_similarity(score: Score | Grid) -> float:
    """`groove_consistency` over all pairs of equally long bars, not neighbours alone, silent bars among them, 0..1: by
    how much the bars share one rhythm throughout the piece; nan without notes or such a pair.

    MusDr's GS (Wu and Yang 2020), which has 64 positions a bar and draws 1000 pairs by chance; here the positions are
    steps of 1/12 quarter (48 in 4/4) and no pair is left out. A position struck in m of n bars tells m (n - m) pairs
    apart.
    """
    grid = on_grid(score)
    length, onsets = np.diff(grid.edges), grid.onsets
    bar = grid.bar_at(onsets)
    position = onsets - grid.edges[bar]
    pairs, differing = 0, 0.0
    for steps in np.unique(length):
        among = length == steps
        bars = int(among.sum())
        struck = np.bincount(position[among[bar]])
        pairs += bars * (bars - 1) // 2
        differing += (struck * (bars - struck)).sum() / steps
    return float(1 - differing / pairs) if pairs and len(grid) else np.nan


def average_inter_onset_interval(score: Score | Grid) -> float:
    """Mean seconds from one onset to the next, of all tracks together, drums included; nan where all notes begin at one
    step, and without notes.

    Notes that begin at the same step of 1/12 quarter, a chord say, are one onset: the time between two consecutive
    notes of a melody (Yang and Lerch 2020) stays what it is when a voice is added in parallel. The time is as written:
    from the first note to the last by the tempo marks, over the number of onsets less one.
    """
    return _interval(score, len(on_grid(score).onsets))


def average_inter_onset_interval_mgeval(score: Score | Grid) -> float:
    """As mgeval computes it: the notes of a chord are onsets 0 s apart. nan below two notes."""
    return _interval(score, len(on_grid(score)))


def mean_note_length(score: Score | Grid) -> float:
    """Mean length of the pitched notes in quarter notes, on the grid, so at least 1/12; nan without any."""
    grid = on_grid(score, drums=False)
    return float((grid.end - grid.onset).mean() / grid.steps_per_quarter) if len(grid) else np.nan


def drums_on_sixteenths(score: Score | Grid) -> float:
    """Share of the notes of percussion tracks, 0..1, that begin on one of the four sixteenths of a quarter, after they
    are rounded to 1/12 quarter (MusPy's drum-in-pattern rate with the duple pattern); nan without any."""
    grid = on_grid(score)
    onset = grid.onset[grid.instrument == DRUMS]
    return float((onset * 4 % grid.steps_per_quarter == 0).mean()) if len(onset) else np.nan


def mean_velocity(score: Score | Grid) -> float:
    """Mean MIDI velocity of all notes, 1..127; nan without notes."""
    velocity = on_grid(score).velocity
    return float(velocity.mean()) if len(velocity) else np.nan


def velocity_range(score: Score | Grid) -> float:
    """Loudest less softest MIDI velocity of all notes, 0..126; nan without notes."""
    velocity = on_grid(score).velocity
    return float(velocity.max() - velocity.min()) if len(velocity) else np.nan


def velocity_deviation(score: Score | Grid) -> float:
    """Standard deviation of the MIDI velocity of all notes (over N), 0..63; nan without notes."""
    velocity = on_grid(score).velocity
    return float(velocity.std()) if len(velocity) else np.nan


def _interval(score: Score | Grid, onsets: int) -> float:
    grid = on_grid(score)
    if onsets < 2:
        return np.nan
    first, last = seconds_at(grid.score, np.array([grid.ticks[0].min(), grid.ticks[0].max()]))
    return float(last - first) / (onsets - 1)


def _in_both(steps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The steps that are among both, each of which has no step twice."""
    both = np.sort(np.concatenate([steps, others]))
    return both[1:][both[1:] == both[:-1]]


METRICS = (
    Metric(
        "qualified-note-rate",
        "notes of a sixteenth or more",
        "The share of notes that last at least a sixteenth; low means fragments too short to be heard as notes.",
        "notes of at least 3 steps of 1/12 quarter / notes, drums apart",
        "share",
        "MuseGAN's QN (Dong et al. 2018) on 12 steps a quarter",
        function=qualified_note_rate,
        high=1,
        undefined="no pitched notes",
        style=True,
    ),
    Metric(
        "mean-note-length",
        "mean note length",
        "How long notes are held; 1 is a quarter note, low is short or staccato.",
        "mean of end - onset, both rounded to 1/12 quarter, drums apart",
        "quarters",
        "Yang and Lerch (2020), as one figure",
        function=mean_note_length,
        low=1 / STEPS_PER_QUARTER,
        undefined="no pitched notes",
        style=True,
    ),
    Metric(
        "average-inter-onset-interval",
        "time between onsets",
        "How many seconds pass from one onset to the next; low means fast music, and a chord counts as one onset.",
        "(last onset - first onset in seconds) / (#{steps of 1/12 quarter with an onset} - 1), all tracks together",
        "seconds",
        "Yang and Lerch (2020)",
        function=average_inter_onset_interval,
        undefined="fewer than two onsets",
        style=True,
    ),
    Metric(
        "average-inter-onset-interval:mgeval",
        "time between onsets, as mgeval counts",
        "Explains tables made with mgeval: the notes of a chord count as onsets that follow at once.",
        "(last onset - first onset in seconds) / (notes - 1), all tracks together",
        "seconds",
        "mgeval, avg_IOI",
        function=average_inter_onset_interval_mgeval,
        undefined="fewer than two notes",
    ),
    Metric(
        "groove-consistency",
        "groove consistency",
        "How much each bar keeps the rhythm of the bar before; 1 is one rhythm on and on, below 0.9 ever new ones.",
        "1 - mean over neighbouring bars, equally long and not both silent, of: steps of 1/12 quarter struck in one "
        "bar only / steps a bar",
        "share",
        "MusPy (Dong et al. 2020), less the empty bar it adds",
        function=groove_consistency,
        high=1,
        undefined="no two neighbouring bars of one length with notes",
        style=True,
    ),
    Metric(
        "groove-consistency:muspy-0.5.0",
        "groove consistency, as MusPy 0.5.0 counts",
        "Explains tables made with MusPy: silent bars count, and music that ends on a bar line gets one more of them.",
        "1 - #{steps struck in only one of two neighbouring bars} / (b (length // b)), b steps a bar",
        "share",
        "MusPy 0.5.0, groove_consistency",
        function=groove_consistency_muspy,
        high=1,
        undefined="no notes, less than a bar, or bars of different lengths",
    ),
    Metric(
        "groove-similarity",
        "groove similarity",
        "How much all bars of the piece share one rhythm; low where the rhythm changes from part to part.",
        "1 - mean over all pairs of equally long bars of: steps of 1/12 quarter struck in one bar only / steps a bar",
        "share",
        "MusDr's GS (Wu and Yang 2020) over all pairs",
        function=groove_similarity,
        high=1,
        undefined="no two bars of one length",
        style=True,
    ),
    Metric(
        "drums-on-sixteenths",
        "drums on the sixteenths",
        "The share of drum strokes on a sixteenth of the beat; low means triplets, swing or strokes off the grid.",
        "drum notes at a multiple of 1/4 quarter, after rounding to 1/12 / drum notes",
        "share",
        "MusPy's drum-in-pattern rate, duple (Dong et al. 2020)",
        function=drums_on_sixteenths,
        high=1,
        undefined="no drums",
    ),
    Metric(
        "mean-velocity",
        "mean velocity",
        "How loud the notes are struck on average; 127 is as hard as can be.",
        "mean MIDI velocity of all notes",
        "velocity",
        "Orchestrion",
        function=mean_velocity,
        high=127,
        style=True,
    ),
    Metric(
        "velocity-range",
        "velocity range",
        "How far the softest note lies below the loudest; 0 means one loudness for all.",
        "highest - lowest MIDI velocity",
        "velocity",
        "Orchestrion",
        function=velocity_range,
        high=127,
    ),
    Metric(
        "velocity-deviation",
        "velocity deviation",
        "How much loudness varies from note to note; 0 means machine-like, 15 and more a pianist's touch.",
        "standard deviation of MIDI velocity over all notes",
        "velocity",
        "Orchestrion",
        function=velocity_deviation,
        high=63.5,
        style=True,
    ),
)
