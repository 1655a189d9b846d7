"""Pieces that are about to be written, for timing the writing of them note by note."""

from __future__ import annotations

import numpy as np
import torch

from orchestrion.models.base import Request
from orchestrion.models.zoo.composer import Composer, Stepper, _Session
from orchestrion.music.theory import DRUMS, Key
from orchestrion.representations.cells import Cells
from orchestrion.representations.steps import FIELDS
from orchestrion.representations.writer import CellWriter

ENSEMBLES = {"band of four": (DRUMS, 33, 0, 26), "piano": (0,)}


class RereadingSession(_Session):
    """Writes as its parent, but reads all rows anew for each; what one would do without a cache."""

    def _step_rows(self, rows: list[np.ndarray]) -> None:
        self.read = [*getattr(self, "read", []), rows[0]]
        states = self.composer(torch.from_numpy(np.stack(self.read))[None], self.prefix)
        self.hidden = self.stepper.inner(states[:, -1]).chunk(len(FIELDS), dim=-1)


def session(
    composer: Composer, instruments: tuple[int, ...], *, bars: int = 16, count: int = 1, seed: int = 0,
    int8: bool | None = None, kind: type[_Session] = _Session,
) -> _Session:  # fmt: skip
    """Pieces that are about to be written in C major from no words."""
    request = Request(count=count, bars=bars, instruments=instruments, top_p=0.95)
    nothing = Cells(np.zeros((0, 6), np.int16), instruments, (request.meter,) * bars, request.tempo)
    hole = np.ones((bars, len(instruments)), bool)
    writers = [CellWriter(nothing, hole, key=Key(0, "major"), shift=0) for _ in range(count)]
    rngs = np.random.default_rng(seed).spawn(count)
    return kind(composer, Stepper(composer, int8=int8), writers, request, rngs)
