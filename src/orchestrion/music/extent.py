"""How long a Score is, in ticks and in seconds."""

from __future__ import annotations

import numpy as np
from symusic import Score

DEFAULT_TEMPO = 120.0  # quarter notes a minute: what the MIDI standard says of music before any tempo event


def last_end(score: Score) -> int:
    """The tick at which the last note ends; 0 for a Score without notes."""
    columns = (track.notes.numpy() for track in score.tracks if track.notes)
    return max((int((c["time"].astype(np.int64) + c["duration"]).max()) for c in columns), default=0)


def seconds_at(score: Score, ticks: np.ndarray) -> np.ndarray:
    """Seconds from tick 0 to each of `ticks`, by the tempos of the Score."""
    changes, seconds, seconds_per_tick = _tempo_map(score)
    here = np.searchsorted(changes, ticks, side="right").clip(1) - 1
    return np.asarray(seconds[here] + (ticks - changes[here]) * seconds_per_tick[here])


def ticks_at(score: Score, seconds: np.ndarray) -> np.ndarray:
    """The tick, as a float, at each time in seconds from tick 0: the reverse of `seconds_at`."""
    changes, starts, seconds_per_tick = _tempo_map(score)
    here = np.searchsorted(starts, seconds, side="right").clip(1) - 1
    return np.asarray(changes[here] + (seconds - starts[here]) / seconds_per_tick[here])


def _tempo_map(score: Score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where tempos begin to hold, in ticks and in seconds, and the seconds a tick that then pass."""
    tempos = sorted(score.tempos, key=lambda tempo: tempo.time)
    ticks = np.array([0] + [max(0, tempo.time) for tempo in tempos], np.float64)
    seconds_per_tick = 60 / score.tpq / np.array([DEFAULT_TEMPO] + [tempo.qpm for tempo in tempos])
    return ticks, np.concatenate([[0.0], np.cumsum(np.diff(ticks) * seconds_per_tick[:-1])]), seconds_per_tick


def length_seconds(score: Score) -> float:
    """Seconds from tick 0 to the end of the last note."""
    return float(seconds_at(score, np.array([last_end(score)]))[0])
