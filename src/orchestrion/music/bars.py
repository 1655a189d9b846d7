"""Where the bars of a Score lie, how fast it goes and which instrument plays a track."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from symusic import Score, Track

from orchestrion.music import ScoreError
from orchestrion.music.extent import DEFAULT_TEMPO, last_end
from orchestrion.music.theory import DRUMS, Meter

MAX_BARS = 100_000


@dataclass(frozen=True)
class Bar:
    """One bar: `start` and `length` in ticks. `length` is below the meter's own where the next meter cuts it short."""

    start: int
    length: int
    meter: Meter

    @property
    def end(self) -> int:
        return self.start + self.length


def bars(score: Score) -> list[Bar]:
    """The bars from tick 0 to the end of the last note; none for a Score without notes.

    The meter is 4/4 before the first time signature. A change of meter starts a new bar where it stands and cuts the
    one before short; a signature that repeats the meter in force changes nothing. Bars whose length is no whole number
    of ticks start at the rounded multiple. Raises ScoreError for an impossible meter and beyond MAX_BARS bars.
    """
    return [Bar(a, b - a, meter) for meter, edges in _stretches(score) for a, b in pairwise(edges.tolist())]


def bar_edges(score: Score) -> np.ndarray:
    """(M + 1,) ticks, where the M bars of `bars` start and where the last one ends; (1,), tick 0, where there is none.
    What `bars` raises, this raises."""
    return np.concatenate([np.zeros(1, np.int64), *(edges[1:] for _, edges in _stretches(score))])


def _stretches(score: Score) -> list[tuple[Meter, np.ndarray]]:
    """Each stretch of one meter, with the ticks at which its bars start and the last one ends."""
    end = last_end(score)
    if end == 0:
        return []
    changes = {0: Meter(4, 4)}
    for signature in sorted(score.time_signatures, key=lambda signature: signature.time):
        try:
            meter = Meter(signature.numerator, signature.denominator)
        except ValueError as error:
            written = f"{signature.numerator}/{signature.denominator}"
            raise ScoreError(f"it holds the time signature {written}, which no bar here can have") from error
        changes[max(0, signature.time)] = meter
    segments: list[tuple[int, Meter]] = []
    for start, meter in sorted(changes.items()):
        if start < end and (not segments or segments[-1][1] != meter):
            segments.append((start, meter))

    result: list[tuple[Meter, np.ndarray]] = []
    total = 0
    for (start, meter), stop in zip(segments, [start for start, _ in segments[1:]] + [end], strict=True):
        length = meter.quarters * score.tpq  # ticks; may be fractional
        count = int(np.ceil((stop - start) / length))
        total += count
        if total > MAX_BARS:
            raise ScoreError(f"it has more than {MAX_BARS} bars")
        edges = np.rint(start + length * np.arange(count + 1)).astype(np.int64)
        edges = edges[: np.searchsorted(edges, stop) + 1]  # rounding may move the last start onto `stop`
        if stop < end:  # the next meter cuts it short
            edges[-1] = stop
        if not np.all(np.diff(edges) > 0):
            raise ScoreError(f"a bar of {meter.name} is shorter than one tick at {score.tpq} ticks a quarter note")
        result.append((meter, edges))
    return result


def bars_through(score: Score, count: int) -> list[Bar]:
    """The bars of the score and, up to `count` of them, more of its last meter."""
    layout = bars(score)
    last = layout[-1] if layout else Bar(0, 0, Meter(4, 4))
    length = last.meter.quarters * score.tpq  # ticks; may be fractional
    edges = np.rint(last.end + length * np.arange(max(0, count - len(layout)) + 1)).astype(np.int64)
    return layout + [Bar(int(a), int(b - a), last.meter) for a, b in pairwise(edges)]


def tempo(score: Score) -> float:
    """Quarter notes a minute that hold for most of the music: the median of the tempos, weighted by how many ticks
    between the first onset and the last end each is in force. 120 where none is written. To two decimals, as a MIDI
    file stores whole microseconds a quarter note."""
    tempos = sorted(score.tempos, key=lambda tempo: tempo.time)
    starts = [track.notes.numpy()["time"].min() for track in score.tracks if track.notes]
    first, last = (int(min(starts)), last_end(score)) if starts else (0, 1)
    qpm = np.array([DEFAULT_TEMPO] + [tempo.qpm for tempo in tempos])
    edges = np.array([-np.inf] + [tempo.time for tempo in tempos] + [np.inf]).clip(first, max(last, first + 1))
    ticks = np.diff(edges)
    order = np.argsort(qpm, kind="stable")
    middle = np.searchsorted(np.cumsum(ticks[order]), ticks.sum() / 2)
    return round(float(qpm[order][middle]), 2)


def instrument(track: Track) -> int:
    """The General MIDI program 0..127 of a track, or theory.DRUMS."""
    return DRUMS if track.is_drum else int(track.program)
