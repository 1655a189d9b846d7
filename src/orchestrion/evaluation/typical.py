"""Which pieces to look at: those most and least like the reference, and in what."""

from __future__ import annotations

import numpy as np

from orchestrion.evaluation.measuring import Row, Table
from orchestrion.evaluation.report import Shown
from orchestrion.metrics.frechet import StyleVectors
from orchestrion.metrics.grid import on_grid
from orchestrion.metrics.structure import self_similarity
from orchestrion.metrics.suite import METRICS
from orchestrion.music.bars import bars
from orchestrion.music.extent import seconds_at

MOST_NOTES = 4000  # of a piece on the page; the rest of a longer one is not shown
SHOWN = 3  # of the most typical, and of the least
TRAITS = 3  # that are named


def shown_pieces(vectors: StyleVectors, generated: Table, reference: Table) -> list[Shown]:
    """The generated pieces nearest to the mean style of the reference, those farthest from it, and the most typical
    pieces of the reference itself. Distance: root mean square of the standardised metrics."""
    result = []
    for table, side, style in (
        (generated, "generated", vectors.generated),
        (reference, "reference", vectors.reference),
    ):
        distance = np.sqrt((style**2).mean(axis=1)) if style.shape[1] else np.zeros(len(style))
        order = np.argsort(distance, kind="stable")
        typical = order[:SHOWN]
        odd = [index for index in order[::-1][:SHOWN] if index not in typical] if table is generated else []
        for index in typical:
            result.append(shown(table.rows[index], side, f"most typical ({distance[index]:.2f} deviations away)"))
        for index in odd:
            said = f"least typical ({distance[index]:.2f} deviations away): {_traits(style[index], vectors.ids)}"
            result.append(shown(table.rows[index], side, said))
    return result


def _traits(style: np.ndarray, ids: tuple[str, ...]) -> str:
    """What sets a piece apart, in words: "notes a bar 4.1 above, pitch range 2.2 below"."""
    names = {metric.id: metric.name for metric in METRICS}
    return ", ".join(
        f"{names[ids[column]]} {abs(style[column]):.1f} {'above' if style[column] > 0 else 'below'}"
        for column in np.argsort(-np.abs(style))[:TRAITS]
    )


def shown(row: Row, side: str, why: str) -> Shown:
    """A piece as the page draws and plays it."""
    grid = on_grid(row.item.score())
    start, end = grid.seconds
    order = np.argsort(start, kind="stable")[:MOST_NOTES]
    tracks, track = np.unique(grid.track[order], return_inverse=True)
    notes = np.stack([start[order], (end - start)[order], grid.pitch[order], grid.velocity[order] / 127, track], axis=1)
    layout = bars(grid.score)
    bar_seconds = seconds_at(grid.score, np.array([bar.start for bar in layout] + [layout[-1].end]))
    instruments = [int(grid.instruments[index]) for index in tracks]
    return Shown(row.item.name, side, why, notes, instruments, bar_seconds, self_similarity(grid))
