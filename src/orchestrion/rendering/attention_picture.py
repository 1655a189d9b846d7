"""Weights of attention as pictures, one square a head, as figures 5.15 to 5.18 of Luo's report: bright is much.

Legend: T steps, H heads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from orchestrion.rendering import RenderError
from orchestrion.rendering.piano_roll import DOTS_PER_INCH, FONT, INK, PALE_INK, PAPER, write_figure

SQUARE, GAP, TOP, LEFT, FOOT, SHORT_FOOT = 3.0, 0.25, 0.42, 0.75, 0.75, 0.15  # inches
MOST_COLUMNS, MOST_LABELS = 4, 64


def write_attention(
    weights: np.ndarray,
    path: str | os.PathLike[str],
    labels: Sequence[str] | None = None,
    *,
    titles: Sequence[str] | None = None,
) -> None:
    """Write (T, T) or (H, T, T) weights, a row a query, as PNG, whole or not at all.

    labels: what stands at each of the T steps, left and below; with more than MOST_LABELS every so manieth is written.
    titles: one a head; "head 1" ... by default. The brightest point of each square is its greatest weight. Raises
    RenderError for weights of another shape, not finite or negative, and for labels or titles of another number.
    """
    from matplotlib.figure import Figure

    squares = np.asarray(weights, float)
    squares = squares[None] if squares.ndim == 2 else squares
    if squares.ndim != 3 or squares.shape[1] != squares.shape[2] or not squares.size:
        raise RenderError(f"attention weights have the shape {np.shape(weights)}: give (T, T) or (H, T, T)")
    if not np.isfinite(squares).all() or squares.min() < 0:
        raise RenderError("attention weights are negative or not finite: give what a softmax makes")
    heads, steps, _ = squares.shape
    names = list(titles) if titles is not None else [f"head {number + 1}" for number in range(heads)]
    if len(names) != heads or (labels is not None and len(labels) != steps):
        raise RenderError(f"attention has {heads} heads and {steps} steps: give as many titles, and labels if any")

    columns = min(heads, MOST_COLUMNS)
    rows = -(-heads // columns)
    width = LEFT + columns * (SQUARE + GAP)
    pitch = TOP + SQUARE + (FOOT if labels is not None else GAP)
    height = rows * pitch + (0 if labels is not None else SHORT_FOOT)
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor=PAPER)
    shown = np.arange(0, steps, -(-steps // MOST_LABELS))
    for number, (square, name) in enumerate(zip(squares, names, strict=True)):
        left, top = LEFT + number % columns * (SQUARE + GAP), number // columns * pitch + TOP
        place = (left / width, 1 - (top + SQUARE) / height, SQUARE / width, SQUARE / height)
        axes = figure.add_axes(place)
        axes.imshow(square, cmap="magma", vmin=0.0, vmax=square.max() or 1.0, interpolation="nearest", aspect="auto")
        axes.set_title(name, color=INK, fontsize=9, fontfamily=FONT, pad=4, parse_math=False)
        axes.tick_params(colors=PALE_INK, labelsize=7, labelfontfamily=FONT, length=2)
        for spine in axes.spines.values():
            spine.set_visible(False)
        if labels is not None:
            size = min(7.0, 72 * SQUARE / len(shown))
            written = [labels[step] for step in shown]
            style: dict[str, Any] = {"fontsize": size, "fontfamily": FONT, "parse_math": False}
            axes.set_xticks(shown, written, rotation=90, **style)
            axes.set_yticks(shown, written if number % columns == 0 else [""] * len(shown), **style)
        elif number % columns:
            axes.set_yticklabels([])
    figure.text(0.5, 0.03 / height, "attended to", color=PALE_INK, fontsize=8, fontfamily=FONT, ha="center")
    figure.text(0.06 / width, 0.5, "attending", color=PALE_INK, fontsize=8, fontfamily=FONT, va="center", rotation=90)
    write_figure(figure, path)
