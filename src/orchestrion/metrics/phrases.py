"""How far made phrases lie from real ones, in numbers quick enough to validate by while a system learns.

Legend: C phrases, K tracks, S steps of a phrase, P pitches, F features.
"""

from __future__ import annotations

import numpy as np

_AT_ONCE = 256  # of the features that are compared with all others
_LEAST_SPREAD = 0.05  # of a feature, so that one that hardly varies does not count for all


def phrase_features(phrases: np.ndarray, bars: int) -> np.ndarray:
    """(C, K, S, P) bool -> (C, 6 K): of each track the share of empty bars; pitch classes a bar; the logarithms of 1 +
    onsets a bar, and of 1 + sounding cells an onset; the mean pitch and the mean number of pitches that sound at once,
    where it sounds, else 0."""
    count, tracks, steps, pitches = phrases.shape
    by_bar = phrases.reshape(count, tracks, bars, steps // bars, pitches)
    heard = np.asarray(by_bar.any(axis=3))  # (C, K, bars, P)
    padded = np.pad(heard, ((0, 0), (0, 0), (0, 0), (0, -pitches % 12)))
    classes = np.any(padded.reshape(count, tracks, bars, -1, 12), axis=3).sum(axis=-1)
    onsets = phrases.copy()
    onsets[:, :, 1:] &= ~phrases[:, :, :-1]
    cells, struck = (one.sum(axis=(2, 3), dtype=np.int64) for one in (phrases, onsets))
    by_pitch, sounding = phrases.sum(axis=2, dtype=np.int64), np.any(phrases, axis=3).sum(axis=2)
    return np.concatenate(
        [
            1 - np.any(heard, axis=3).mean(axis=2),
            classes.mean(axis=2),
            np.log1p(struck / bars),
            np.log1p(cells / np.maximum(struck, 1)),
            by_pitch @ np.arange(pitches) / np.maximum(cells, 1) / 12,
            cells / np.maximum(sounding, 1),
        ],
        axis=1,
    )


def energy_distance(real: np.ndarray, made: np.ndarray) -> float:
    """Of two sets of features (C, F) and (D, F), each scaled by its spread in the real ones: at least 0, and near 0 for
    two sets of one kind (Székely and Rizzo 2013)."""
    real, made = _scaled(real, made)
    return 2 * _apart(real, made).mean() - _apart(real, real).mean() - _apart(made, made).mean()


def relative_spread(real: np.ndarray, made: np.ndarray) -> float:
    """Mean distance between two different ones of the made features (D, F) over that of the real ones (C, F), scaled as
    in `energy_distance`: 1 for two sets of one kind, less for a generator that makes few things over and over."""
    of_real, of_made = (_apart(one, one).sum() / len(one) / (len(one) - 1) for one in _scaled(real, made))
    return of_made / of_real


def coverage(real: np.ndarray, made: np.ndarray, neighbours: int = 5) -> float:
    """Share of the real features (C, F), 0..1, that have one of the made ones (D, F) nearer than their own so manieth
    neighbour: what is left are modes that were lost (Naeem et al. 2020). Scaled as in `energy_distance`; of two sets of
    one kind and size it is 1 - 2 ** -neighbours."""
    real, made = _scaled(real, made)
    reach = np.partition(_apart(real, real), neighbours, axis=1)[:, neighbours]  # the nearest of all is itself
    return float((_apart(real, made).min(axis=1) <= reach).mean())


def among_real(real: np.ndarray, made: np.ndarray, neighbours: int = 5) -> np.ndarray:
    """(D,) bool: which of the made features (D, F) lie nearer to one of the real ones (C, F) than this to its own so
    manieth neighbour; their share is precision (Kynkäänniemi et al. 2019). Scaled as in `energy_distance`."""
    real, made = _scaled(real, made)
    reach = np.partition(_apart(real, real), neighbours, axis=1)[:, neighbours]
    return np.concatenate([np.any(_apart(part, real) <= reach, axis=1)
                           for part in np.array_split(made, -(-len(made) // _AT_ONCE) or 1)])  # fmt: skip


def _scaled(real: np.ndarray, made: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scale = np.maximum(real.std(axis=0), _LEAST_SPREAD)
    return real / scale, made / scale


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(C, D) distances."""
    return np.asarray(np.linalg.norm(one[:, None] - other[None], axis=-1))
