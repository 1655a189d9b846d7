"""Whether unlike sentences make unlike music: KL divergence between the notes of what was composed from each, for every
pair of sentences (the heat map of the APE-GAN paper, figure 6).

The paper names no distribution, and prints the sum of P log(Q / P), which is never positive, while its figure runs from
0 to 1; so the sum of P log(P / Q) is meant, and taken here. Legend: C classes of notes; S sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from symusic import Score

from orchestrion.metrics.definition import SetMeasure
from orchestrion.metrics.grid import Grid, on_grid
from orchestrion.metrics.yang_lerch import NOTE_LENGTHS, note_length_classes

#: This many notes are added to every class before KL is taken (Krichevsky and Trofimov 1981).
ALPHA = 0.5
SPLITS = 10

#: What the pitched notes are told apart by: how many classes there are, and the class of each note (N,) of a grid.
DISTRIBUTIONS: Mapping[str, tuple[int, Callable[[Grid], np.ndarray]]] = {
    "pitch": (128, lambda grid: grid.pitch),
    "pitch-class": (12, lambda grid: grid.pitch % 12),
    "length": (len(NOTE_LENGTHS), note_length_classes),
    "pitch-class x length": (
        12 * len(NOTE_LENGTHS),
        lambda grid: grid.pitch % 12 * len(NOTE_LENGTHS) + note_length_classes(grid),
    ),
    "pitch x length": (
        128 * len(NOTE_LENGTHS),
        lambda grid: grid.pitch.astype(np.int64) * len(NOTE_LENGTHS) + note_length_classes(grid),
    ),
}


def note_counts(music: Score | Grid, distribution: str) -> np.ndarray:
    """(C,) how many pitched notes of a piece belong to each class of the named one of DISTRIBUTIONS; all 0 without.
    Lengths are the classes of `yang_lerch.NOTE_LENGTHS`."""
    classes, classed = DISTRIBUTIONS[distribution]
    return np.bincount(classed(on_grid(music, drums=False)), minlength=classes)


def divergence(p: np.ndarray, q: np.ndarray, alpha: float = ALPHA) -> float:
    """KL(P || Q) = sum P log(P / Q) in nats, 0 or more, of the counts p, q (C,) with `alpha` notes added to each class.
    It is not symmetric: large where P has what Q lacks. nan where either has no notes; raises ValueError without alpha,
    as a class that only P has would make it infinite."""
    if not alpha > 0:
        raise ValueError(f"alpha must be above 0, not {alpha}")
    if not (p.sum() and q.sum()):
        return np.nan
    log_p, log_q = (np.log((counts + alpha) / (counts.sum() + alpha * len(counts))) for counts in (p, q))
    return max(float(np.exp(log_p) @ (log_p - log_q)), 0.0)


def pair_matrix(groups: Sequence[np.ndarray], rng: np.random.Generator, alpha: float = ALPHA) -> np.ndarray:
    """(S, S) nats: row i, column j holds `divergence` of all notes of group i from all notes of group j.

    groups: for each sentence the `note_counts` (pieces, C) of its pieces. The diagonal, which would be 0, holds the
    noise floor: what one random half of a sentence's own pieces comes to against the other, mean of 10 cuts; as halves
    have fewer notes than the whole, it is rather too high than too low. nan there with one piece, and in the row and
    column of a sentence without notes."""
    totals = [np.sum(group, axis=0) for group in groups]
    matrix = np.array([[divergence(p, q, alpha) for q in totals] for p in totals]).reshape(len(groups), len(groups))
    for index, group in enumerate(groups):
        halves = (rng.permutation(len(group)) < len(group) // 2 for _ in range(SPLITS))
        floor = [divergence(group[half].sum(axis=0), group[~half].sum(axis=0), alpha) for half in halves]
        matrix[index, index] = np.mean(floor)
    return matrix


SET_MEASURES = (
    SetMeasure(
        "sentence-divergence", "divergence of two sentences",
        "How differently two sentences make the system play: near the diagonal's noise it is the same music, larger is "
        "other music.",
        "sum P log(P / Q), P and Q the distributions of the pitched notes of all pieces of a sentence over the classes "
        f'named beside it (one of: {", ".join(DISTRIBUTIONS)}), {ALPHA} notes added to each class; diagonal: mean over '
        f"{SPLITS} cuts of the sentence's pieces into random halves",
        "nats", "APE-GAN paper, equation 8 (its sign put right) and figure 6",
        where="orchestrion.metrics.sentences.pair_matrix",
        fewest_pieces=10,
    ),
)  # fmt: skip
