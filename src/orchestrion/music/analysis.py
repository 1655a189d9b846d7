"""What can be said of a Score in a number or a word: key, density, polyphony, swing.

All functions are pure; where a Score has no notes of the kind that a figure is about, they return 0 or False.
"""

from __future__ import annotations

import numpy as np
from symusic import Score

from orchestrion.music.theory import Key

#: How much of the music each degree of the chromatic scale above the tonic takes up: J. Albrecht and D. Shanahan, "The
#: Use of Large Corpora to Train a New Type of Key-Finding Algorithm", Music Perception 31(1), 2013.
_PROFILES = {
    "major": (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
    "minor": (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
}
_KEYS = tuple(Key(tonic, mode) for mode in _PROFILES for tonic in range(12))
_SHARPNESS = 14.0  # of the softmax over correlations that makes the confidence; see estimate_key


def estimate_key(score: Score) -> tuple[Key, float]:
    """The key whose profile correlates best with the pitch classes of the pitched tracks, weighted by duration.

    The confidence, 0..1, is the share of that key in a softmax over the correlations of all 24, whose sharpness was
    fitted so that it comes near the share of right answers. Without pitched notes: C major, confidence 0.
    Method: C. Krumhansl, "Cognitive Foundations of Musical Pitch", 1990, chapter 4.
    """
    heard = pitch_class_weights(score)
    if not heard.any():
        return Key(0, "major"), 0.0
    profiles = np.stack([np.roll(_PROFILES[key.mode], key.tonic) for key in _KEYS])  # (24, 12)
    profiles -= profiles.mean(axis=1, keepdims=True)
    profiles /= np.linalg.norm(profiles, axis=1, keepdims=True)
    heard = heard - heard.mean()
    correlations = profiles @ heard / max(float(np.linalg.norm(heard)), 1e-12)
    shares = np.exp(_SHARPNESS * (correlations - correlations.max()))
    best = int(correlations.argmax())
    return _KEYS[best], float(shares[best] / shares.sum())


def pitch_class_weights(score: Score) -> np.ndarray:
    """(12,) quarter notes that each pitch class sounds in the pitched tracks, simultaneous notes counted singly."""
    notes = note_columns(score, drums=False)
    return np.bincount(notes["pitch"] % 12, notes["duration"] / score.tpq, minlength=12)


def notes_per_quarter(score: Score) -> float:
    """Notes, drums included, for every quarter note between the first onset and the last end."""
    notes = note_columns(score)
    if not len(notes["time"]):
        return 0.0
    span = (notes["time"] + notes["duration"]).max() - notes["time"].min()
    return float(len(notes["time"]) * score.tpq / max(span, 1))


def mean_polyphony(score: Score) -> float:
    """Mean number of pitched notes that sound at once, over the time in which any sounds."""
    notes = note_columns(score, drums=False)
    order = np.argsort(notes["time"], kind="stable")
    start, end = notes["time"][order], (notes["time"] + notes["duration"])[order]
    # the part of each note that no earlier note covers already
    covered = np.maximum.accumulate(np.concatenate([[0], end]))[:-1]
    sounding = np.maximum(0, end - np.maximum(start, covered)).sum()
    return float((end - start).sum() / sounding) if sounding else 0.0


def swings(ticks_per_quarter: int, onsets: np.ndarray) -> bool:
    """Whether notes between the beats come at two thirds of a beat, and few at a third (triplets) or the half.

    onsets: (N,) ticks, of all tracks."""
    place = (onsets % ticks_per_quarter) / ticks_per_quarter
    third, half, late = (int(np.sum(abs(place - at) < 0.06)) for at in (1 / 3, 1 / 2, 2 / 3))
    return late >= 16 and late > 3 * half and late > 2 * third


def note_columns(score: Score, drums: bool = True) -> dict[str, np.ndarray]:
    """time, duration (ticks), pitch and velocity of the notes of all tracks, int64, track by track; without the drum
    tracks if not `drums`."""
    tables = [track.notes.numpy() for track in score.tracks if track.notes and (drums or not track.is_drum)]
    empty = np.zeros(0, np.int64)
    return {
        name: np.concatenate([empty, *(table[name].astype(np.int64) for table in tables)])
        for name in ("time", "duration", "pitch", "velocity")
    }
