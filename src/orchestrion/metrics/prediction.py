"""What a model predicted against what was written: precision and recall of notes, BLEU, perplexity (Luo 2021, 5.1.2).

These ask for one right answer. Music that goes on well in another way gets nothing, so they compare models on one task
and do not rank compositions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from symusic import Score

from orchestrion.metrics.definition import SetMeasure
from orchestrion.metrics.grid import Grid, on_grid
from orchestrion.music.theory import DRUMS


@dataclass(frozen=True)
class Agreement:
    """precision: share of what was predicted that is true, nan if nothing was; recall: share of what is true that was
    predicted, nan if there is nothing; f1: their harmonic mean, 0 where only one of both is empty, nan where both."""

    precision: float
    recall: float
    f1: float

    @classmethod
    def of(cls, predicted: np.ndarray, true: np.ndarray) -> Agreement:
        """Of two sets (n,), (m,), each without repeats."""
        hits = len(np.intersect1d(predicted, true, assume_unique=True))
        precision, recall, f1 = (
            count / total if total else np.nan
            for count, total in ((hits, len(predicted)), (hits, len(true)), (2 * hits, len(predicted) + len(true)))
        )
        return cls(precision, recall, f1)


def note_agreement(predicted: Score | Grid, true: Score | Grid) -> Agreement:
    """Of the notes, each an onset on the grid and a pitch, whatever its length, velocity and track; two alike are one.
    Percussion counts, apart from the rest. Both pieces stand on one grid: bar 1 is bar 1."""
    return Agreement.of(*(_coded(grid, grid.onset, np.arange(len(grid))) for grid in _both(predicted, true)))


def frame_agreement(predicted: Score | Grid, true: Score | Grid) -> Agreement:
    """Of the cells of the piano rolls, each a step of the grid and a pitch that sounds, so that long notes weigh more.
    Percussion, whose notes have no length, does not count."""
    cells = []
    for grid in _both(predicted, true):
        pitched = grid.pitched
        length = pitched.end - pitched.onset
        note = np.repeat(np.arange(len(pitched)), length)
        step = np.arange(len(note)) - np.repeat(np.cumsum(length) - length, length)
        cells.append(_coded(pitched, pitched.onset[note] + step, note))
    return Agreement.of(*cells)


def _both(predicted: Score | Grid, true: Score | Grid) -> tuple[Grid, Grid]:
    one, other = on_grid(predicted), on_grid(true)
    if one.steps_per_quarter != other.steps_per_quarter:
        raise ValueError(f"the grids have {one.steps_per_quarter} and {other.steps_per_quarter} steps a quarter note")
    return one, other


def _coded(grid: Grid, step: np.ndarray, note: np.ndarray) -> np.ndarray:
    """The different (step, percussion or not, pitch), as sorted integers."""
    return np.unique(step * 256 + (grid.instrument[note] == DRUMS) * 128 + grid.pitch[note])


def bleu(
    candidates: Sequence[Sequence[Hashable]],
    references: Sequence[Sequence[Sequence[Hashable]]],
    *,
    longest: int = 4,
    smoothing: Literal["none", "add-one"] = "none",
) -> float:
    """BLEU, 0..1, of a corpus (Papineni et al. 2002): of candidates, lists of tokens, with one or more references each.

    Geometric mean of the precisions of runs of 1 to `longest` tokens, where a run counts at most as often as in the
    reference that has it most often; counts are added up over all candidates. Times exp(1 - r / c) where the candidates
    are shorter (c tokens) than the references nearest in length (r tokens; the shorter in a tie). "none", as published:
    0 if no run of some length is right; "add-one": one is added to hits and runs of each length above 1 (Lin and Och
    2004). nan if no candidate is `longest` tokens long; raises ValueError where a candidate has no reference.
    """
    if len(candidates) != len(references) or not all(references):
        raise ValueError("each candidate needs at least one reference")
    hits, runs = np.zeros(longest), np.zeros(longest)
    written = nearest = 0
    for candidate, known in zip(candidates, references, strict=True):
        written += len(candidate)
        nearest += min((abs(len(each) - len(candidate)), len(each)) for each in known)[1]
        for index in range(longest):
            found = _runs(candidate, index + 1)
            most: Counter[tuple[Hashable, ...]] = Counter()
            for each in known:
                most |= _runs(each, index + 1)
            hits[index] += (found & most).total()
            runs[index] += found.total()
    if not runs[-1:].any():
        return np.nan
    more = (np.arange(longest) > 0) * float(smoothing == "add-one")
    precision = (hits + more) / (runs + more)
    if not precision.all():
        return 0.0
    return float(np.exp(np.log(precision).mean() + min(1 - nearest / written, 0.0)))


def _runs(tokens: Sequence[Hashable], length: int) -> Counter[tuple[Hashable, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(length)), strict=False))


def perplexity(nats_per_token: float) -> float:
    """exp of the mean negative log-likelihood of a token, 1 or more: among how many equally likely tokens the model is
    in doubt. It compares only between models with the same tokens."""
    with np.errstate(over="ignore"):
        return float(np.exp(nats_per_token))


_SOURCE = "Luo (2021), section 5.1.2"

SET_MEASURES = (
    SetMeasure(
        "note-f1", "notes predicted right",
        "How many of the notes that a model predicted are those written, and the other way round: 1 is every note.",
        "hits / predicted (precision), hits / true (recall), 2 hits / (predicted + true) (F1), of the sets of (onset "
        "in steps of 1/12 quarter, percussion or not, pitch)",
        "share", _SOURCE, where="orchestrion.metrics.prediction.note_agreement", high=1.0,
    ),
    SetMeasure(
        "frame-f1", "sounding predicted right",
        "As notes predicted right, moment by moment, so that held notes weigh more.",
        "as note-f1, of the sets of (step, pitch) at which a pitched note sounds",
        "share", _SOURCE, where="orchestrion.metrics.prediction.frame_agreement", high=1.0,
    ),
    SetMeasure(
        "bleu", "BLEU",
        "How many short runs of tokens a prediction shares with what was written: 1 is the same, 0 has no run of four.",
        "exp(mean over n = 1..4 of log precision of runs of n tokens, clipped) min(1, exp(1 - r / c)), unsmoothed",
        "share", f"{_SOURCE}; Papineni et al. 2002", where="orchestrion.metrics.prediction.bleu", high=1.0,
    ),
    SetMeasure(
        "perplexity", "perplexity",
        "Among how many equally likely tokens the model is in doubt at each step: 1 knows the music by heart.",
        "exp(mean negative log-likelihood of a token in nats)",
        "tokens", _SOURCE, where="orchestrion.metrics.prediction.perplexity", low=1.0,
    ),
)  # fmt: skip
