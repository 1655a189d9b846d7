"""A piece as a listener hears it: as long as the others at most, and nothing that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from orchestrion.listening.pieces import piece
from orchestrion.music import ScoreError
from orchestrion.rendering.player import playable


def excerpt(path: str | Path, seconds: float) -> dict[str, Any]:
    """The first `seconds` of a file from its first note on, as the player takes them: "programs" and "notes" of
    `rendering.player.playable`, and "seconds", its length. Raises ScoreError."""
    whole = piece(path)
    notes = unpacked(whole["notes"])
    notes = notes[notes[:, 3] > 0]
    if not len(notes):
        raise ScoreError(f"{path} is silent: the velocity of all its notes is 0")
    notes[:, 0] -= notes[0, 0]
    notes = notes[notes[:, 0] < seconds]
    notes[:, 1] = np.minimum(notes[:, 1], seconds - notes[:, 0])
    used, notes[:, 4] = np.unique(notes[:, 4].astype(int), return_inverse=True)
    programs = [whole["programs"][index] for index in used]
    return {**playable(notes, programs), "seconds": round(float((notes[:, 0] + notes[:, 1]).max()), 3)}


def unpacked(flat: list[int]) -> np.ndarray:
    """(N, 5) notes, by onset, of the numbers that `rendering.player.playable` makes."""
    notes = np.array(flat, float).reshape(-1, 5) * (0.001, 0.001, 1, 0.01, 1)
    notes[:, 0] = np.cumsum(notes[:, 0])
    return notes
