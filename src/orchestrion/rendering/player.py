"""What a page needs to play and to draw a piece: the script of the player, and notes as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import numpy as np

from orchestrion.music.theory import DRUMS
from orchestrion.rendering.piano_roll import COLOURS, DRUM_COLOURS


def player_script() -> str:
    """The synthesiser as JavaScript without dependencies; its head says what it defines."""
    return (files("orchestrion.rendering") / "player.js").read_text("utf-8")


def playable(notes: np.ndarray, instruments: Sequence[int]) -> dict[str, list[int]]:
    """Numbers for the player.

    notes: (N, 5), by onset: onset and length in seconds, pitch, loudness 0..1, track. instruments: one a track.
    "programs": the instruments; "notes": 5 N numbers, of each note milliseconds since the onset before it, length in
    milliseconds, pitch, loudness of 100, track.
    """
    onsets = np.rint(notes[:, 0] * 1000)
    rows = np.column_stack(
        [np.diff(onsets, prepend=0), notes[:, 1] * 1000, notes[:, 2], notes[:, 3] * 100, notes[:, 4]]
    )
    return {"programs": [int(p) for p in instruments], "notes": np.rint(rows).astype(int).ravel().tolist()}


def track_colours(instruments: Sequence[int]) -> list[str]:
    """A colour a track, drums apart from the others, as `rendering.piano_roll` gives them."""
    seen = {True: 0, False: 0}
    colours = []
    for program in instruments:
        drums = program == DRUMS
        palette = DRUM_COLOURS if drums else COLOURS
        colours.append(palette[seen[drums] % len(palette)])
        seen[drums] += 1
    return colours
