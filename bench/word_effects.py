"""What the words of a sentence change in the music composed for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from pieces import Piece
from symusic import Score

from orchestrion.metrics import bars, pitch, rhythm
from orchestrion.metrics.grid import on_grid
from orchestrion.metrics.sets import difference_interval, jensen_shannon
from orchestrion.music.analysis import estimate_key


def minor(score: Score) -> float:
    """1 where the estimated key is minor, 0 where it is major, nan where nothing speaks for a key."""
    key, confidence = estimate_key(score)
    return float(key.mode == "minor") if confidence else np.nan


TRAITS: dict[str, Callable[[Score], float]] = {
    "notes a bar": bars.notes_a_bar,
    "mean pitch": pitch.mean_pitch,
    "mean velocity": rhythm.mean_velocity,
    "share in minor": minor,
}
WORDS = {
    ("calm", "energetic"): (
        "calm peaceful relaxed relaxing gentle serene quiet soft tender dreamy soothing tranquil",
        "energetic lively exciting driving intense wild powerful fiery aggressive vigorous upbeat furious",
    ),
    ("sad", "happy"): (
        "sad melancholic melancholy dark mournful gloomy sorrowful tragic somber lonely ominous",
        "happy cheerful joyful bright playful merry sunny festive uplifting triumphant",
    ),
    ("sparse", "busy"): (
        "sparse simple minimal minimalist spacious few",
        "busy dense full rich fast virtuosic many intricate",
    ),
    ("low", "high"): ("low deep bass-heavy dark-toned", "high high-pitched sparkling glittering"),
}


def word_effects(pieces: Sequence[Piece], rng: np.random.Generator) -> dict[str, Any]:
    """For pairs of opposite words: each trait's mean with the one, with the other, and the difference."""
    figures: dict[str, Any] = {}
    for names, vocabularies in WORDS.items():
        patterns = [re.compile(rf"\b({'|'.join(words.split())})\b") for words in vocabularies]
        said = np.array([[bool(p.search(piece.sentence.lower())) for p in patterns] for piece in pieces])
        sides = [[piece for piece, (one, other) in zip(pieces, said, strict=True) if (one, other) == side]
                 for side in ((True, False), (False, True))]  # fmt: skip
        if not all(sides):
            continue
        groups = [[piece.group for piece in side] for side in sides]
        for trait, measure in TRAITS.items():
            low, high = ([measure(piece.score) for piece in side] for side in sides)
            figures[f"{names[0]} / {names[1]}: {trait}"] = {
                "pieces": [len(low), len(high)],
                "first word": float(np.nanmean(low)),
                "second word": float(np.nanmean(high)),
                "difference": asdict(difference_interval(high, low, rng, groups=groups[1], other_groups=groups[0])),
            }
    return figures


def histograms(score: Score) -> dict[str, np.ndarray]:
    """Counts of a piece's notes by what words may change."""
    grid, pitched = on_grid(score), on_grid(score, drums=False)
    position = grid.onset - grid.edges[grid.bar]

    def counts(values: np.ndarray, size: int) -> np.ndarray:
        return np.bincount(np.minimum(values, size - 1), minlength=size)

    return {
        "pitch": counts(pitched.pitch, 128),
        "pitch class": counts(pitched.pitch % 12, 12),
        "onset in the bar": counts(position, 96),
        "length": counts(pitched.end - pitched.onset, 96),
        "velocity": counts(grid.velocity // 8, 16),
        "time between onsets": counts(np.diff(np.unique(grid.onset)), 96),
    }


def divergences(pieces: Sequence[Piece], rng: np.random.Generator) -> dict[str, Any]:
    """Mean Jensen-Shannon divergence (bits) between two pieces of one sentence, and of different sentences. Their gap
    is what a sentence fixes; by chance, with the sentences dealt out anew, 95 % of gaps are below the last figure."""
    apart = {}
    tables = [histograms(piece.score) for piece in pieces]
    for name in tables[0]:
        rows = np.stack([table[name] for table in tables])
        apart[name] = np.stack([jensen_shannon(row, rows) for row in rows])
    group = np.unique([piece.group for piece in pieces], return_inverse=True)[1]
    if not 1 < len(set(group)) < len(group):
        return {}
    shuffles = [rng.permutation(group) for _ in range(200)]
    figures = {}
    for name, matrix in apart.items():
        one, different = _within_and_between(matrix, group)
        chance = [between - within for within, between in (_within_and_between(matrix, dealt) for dealt in shuffles)]
        figures[name] = {
            "one sentence": one,
            "different sentences": different,
            "gap": different - one,
            "gap by chance": float(np.quantile(chance, 0.95)),
        }
    return figures


def _within_and_between(matrix: np.ndarray, group: np.ndarray) -> tuple[float, float]:
    """The means of a symmetric (n, n) matrix over pairs of one group and over pairs of different groups."""
    row, column = np.triu_indices(len(group), 1)
    same, values = group[row] == group[column], matrix[row, column]
    return float(np.nanmean(values[same])), float(np.nanmean(values[~same]))
