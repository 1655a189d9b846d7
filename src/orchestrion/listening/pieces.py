"""A file of music as the pages hear and draw it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from orchestrion.metrics.grid import on_grid
from orchestrion.music.bars import bar_edges
from orchestrion.music.extent import seconds_at
from orchestrion.music.files import read
from orchestrion.music.theory import instrument_name
from orchestrion.rendering.player import playable, track_colours

MOST_NOTES = 20_000  # of a piece; what follows is not sent, and the page says so


def piece(path: str | Path) -> dict[str, Any]:
    """What the player needs (`rendering.player.playable`), and "tracks": the name and colour of each; "bars": seconds
    at which bars begin; "seconds": the length of what is sent; "cut": whether the piece is longer. Nothing of the
    file's own words is in it, as a title may give away whose music it is. Raises ScoreError."""
    grid = on_grid(read(path))
    start, end = grid.seconds
    order = np.argsort(start, kind="stable")
    cut, order = len(order) > MOST_NOTES, order[:MOST_NOTES]
    used, track = np.unique(grid.track[order], return_inverse=True)
    notes = np.stack([start[order], (end - start)[order], grid.pitch[order], grid.velocity[order] / 127, track], axis=1)
    instruments = [int(grid.instruments[index]) for index in used]
    length = float(end[order].max())
    edges = seconds_at(grid.score, bar_edges(grid.score))
    named = zip(instruments, track_colours(instruments), strict=True)
    return {
        **playable(notes, instruments),
        "tracks": [{"name": instrument_name(program), "colour": colour} for program, colour in named],
        "bars": [round(float(edge), 3) for edge in edges[edges <= length + 1e-6]],
        "seconds": round(length, 3),
        "cut": cut,
    }
