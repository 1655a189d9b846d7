"""How near a model comes to how pieces truly go on, which they do in one way of many (Luo 2021, 5.1.2).

The figures rank models on the same pieces and mean little by themselves, so what playing the opening again would reach
stands beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from symusic import Score

from orchestrion.core.errors import UserError
from orchestrion.evaluation.music_sets import EvaluationError, Item
from orchestrion.evaluation.report import Continuations
from orchestrion.generation.compose import continue_score
from orchestrion.metrics.grid import on_grid
from orchestrion.metrics.prediction import bleu, note_agreement
from orchestrion.metrics.sets import Interval, mean_interval
from orchestrion.models.loading import Model
from orchestrion.music.bars import bars
from orchestrion.music.edit import slice_bars
from orchestrion.music.pedal import apply_sustain
from orchestrion.music.theory import DRUMS
from orchestrion.representations.cells import encode

FIGURES = ("precision", "recall", "f1", "bleu")
_DRAWS = 16  # of a place to cut, until one is fit to go on from


def continuations_of(
    model: Model,
    items: Sequence[Item],
    rng: np.random.Generator,
    *,
    opening_bars: int = 8,
    continued_bars: int = 8,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Continuations:
    """One excerpt of each piece: its opening is given and continued once, without words, and what comes is compared
    with what truly follows. Pieces that are too short or cannot be read are told in `skipped`; bounds are over groups.
    """
    by_model, by_repeating, groups = [], [], []
    skipped: list[tuple[str, str]] = []
    for item in items:
        try:
            opening, truth = _halves(apply_sustain(item.score()), opening_bars, continued_bars, rng)
            made = continue_score(opening, continued_bars, model=model, seed=int(rng.integers(2**31)))[0].score
            by_model.append(_agreement(_part(made, opening_bars + 1, opening_bars + continued_bars), truth))
        except UserError as error:
            skipped.append((item.name, str(error)))
        else:
            by_repeating.append(_agreement(opening, truth))
            groups.append(item.group)
        told(len(groups) + len(skipped), len(items))

    def over_pieces(rows: list[tuple[float, ...]]) -> dict[str, Interval]:
        columns = np.array(rows).reshape(-1, len(FIGURES)).T
        return {name: mean_interval(column, rng, groups=groups) for name, column in zip(FIGURES, columns, strict=True)}

    return Continuations(
        model=model.name,
        pieces=len(groups),
        opening_bars=opening_bars,
        continued_bars=continued_bars,
        by_model=over_pieces(by_model),
        by_repeating=over_pieces(by_repeating),
        skipped=skipped,
        missing="" if groups else f"none of the {len(items):,} pieces can be continued",
    )


def _halves(score: Score, opening: int, continued: int, rng: np.random.Generator) -> tuple[Score, Score]:
    """An opening and what follows it, from a place drawn at random where the meter stays, the opening sounds into its
    last bar and something follows."""
    layout, length = bars(score), opening + continued
    if len(layout) < length:
        raise EvaluationError(f"it has {len(layout)} bars; {length} are needed")
    for first in rng.integers(1, len(layout) - length + 2, _DRAWS).tolist():
        if len({bar.meter for bar in layout[first - 1 : first - 1 + length]}) > 1:
            continue
        before = slice_bars(score, first, first + opening - 1)
        after = slice_bars(score, first + opening, first + length - 1)
        if before.note_num() and after.note_num() and len(encode(before).meters) == opening:
            return before, after
    raise EvaluationError("no place was found where the meter stays and both the opening and what follows sound")


def _part(score: Score, first: int, last: int) -> Score:
    """Bars first .. last; fewer where the music ends before."""
    return slice_bars(score, first, min(last, len(bars(score))))


def _agreement(predicted: Score, true: Score) -> tuple[float, ...]:
    """The FIGURES of one continuation."""
    notes = note_agreement(predicted, true)
    runs = bleu([_tokens(predicted)], [[_tokens(true)]], smoothing="add-one")
    return notes.precision, notes.recall, notes.f1, runs


def _tokens(score: Score) -> list[tuple[int, int, int]]:
    """A token a note, by onset and pitch: steps since the note before, percussion or not, pitch."""
    grid = on_grid(score)
    drums = grid.instrument == DRUMS
    order = np.lexsort((grid.pitch, drums, grid.onset))
    columns = np.diff(grid.onset[order], prepend=0), drums[order], grid.pitch[order]
    return list(zip(*(column.tolist() for column in columns), strict=True))
