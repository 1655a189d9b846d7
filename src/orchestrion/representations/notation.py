"""A notation: music as one sequence of tokens, for systems that predict what comes next, and how it is written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from orchestrion.core.errors import UserError

#: A piece with a length sounds to its end: silence may not begin or go on in the last so many seconds.
CLOSING_SECONDS = 0.5


class NotationError(UserError):
    """Music that a notation cannot hold; the message says why in one line and what would do."""


class Writer(ABC):
    """A piece being written token by token. What it lets pass is legal in whole: it decodes without repair.

    Made by `Notation.writer`; a primer is written into it token by token like anything else.
    """

    @abstractmethod
    def legal(self) -> np.ndarray:
        """(V,) bool: the tokens that may come next, never none unless `done`."""

    @abstractmethod
    def write(self, token: int) -> None:
        """Add a legal token. Raises ValueError for one that is not. Masks that shape what is composed, such as
        how long notes are, do not bind a primer: only what makes a sequence one of the notation's does."""

    @property
    @abstractmethod
    def seconds(self) -> float:
        """How long the music written so far is."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether the length that was asked for is reached and nothing is left open."""


class Notation(ABC):
    """Subclasses are frozen dataclasses; TIMED notes: see `timed`."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Names the notation with its numbers, in file names and reports: "performance", "melody-8"."""

    @property
    @abstractmethod
    def size(self) -> int:
        """V, how many tokens there are: 0..V-1."""

    @abstractmethod
    def encode(self, notes: np.ndarray) -> np.ndarray:
        """TIMED notes by onset -> (N,) int16 tokens. Raises NotationError for music that it cannot hold at all; what it
        rounds or leaves out, the class says."""

    @abstractmethod
    def decode(self, tokens: np.ndarray) -> np.ndarray:
        """Tokens -> TIMED notes by onset; the inverse of `encode` for music on the notation's grid. Any tokens decode:
        what makes no note is passed over."""

    @abstractmethod
    def writer(self, seconds: float | None = None) -> Writer:
        """An empty piece; with `seconds`, one that ends exactly there, on the notation's grid."""


class GridWriter(Writer):
    """Music of a fixed number of tokens a step, each legal anywhere, but for `rests`, those at which nothing sounds:
    not in the last CLOSING_SECONDS, at least the last step, of a length."""

    def __init__(
        self, size: int, rests: Sequence[int], steps_per_second: float, seconds: float | None, voices: int = 1
    ) -> None:
        self._steps_per_second, self._voices = steps_per_second, voices
        self._written = 0
        self._end: int | None = None
        if seconds is not None:
            steps = max(1, round(seconds * steps_per_second))
            self._end = steps * voices
            self._closing = (steps - max(1, int(CLOSING_SECONDS * steps_per_second))) * voices
        self._any, self._sounding = np.ones(size, bool), np.ones(size, bool)
        self._sounding[list(rests)] = False

    @property
    def seconds(self) -> float:
        return self._written // self._voices / self._steps_per_second

    @property
    def done(self) -> bool:
        return self._end is not None and self._written >= self._end

    @property
    def closing(self) -> bool:
        """Whether the last steps are written."""
        return self._end is not None and self._written >= self._closing

    def legal(self) -> np.ndarray:
        if self.done:
            return np.zeros_like(self._any)
        return self._sounding if self.closing else self._any

    def write(self, token: int) -> None:
        if self.done or not 0 <= token < len(self._any):
            raise ValueError(f"token {token} may not come here")
        self._written += 1
