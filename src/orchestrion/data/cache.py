"""Tables made of a corpus when they are first asked for and kept in its folder: arrays, and a .json, written last, that
says what they were made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_ident
from typing import Any, TypeVar

import numpy as np

from orchestrion.data.merge import write_header
from orchestrion.data.store import CorpusError

Table = TypeVar("Table")
Progress = Callable[[int, int], None]


def kept_table(
    path: Path,
    made_of: Mapping[str, Any],
    opened: Callable[[Path, int], tuple[Mapping[str, Any], Table]],
    write: Callable[[], None],
) -> Table:
    """The table that the .json at `path` tells of; made by `write` where it is missing, damaged or of something else.

    opened: (path, when it was written in ns) -> (what the .json holds, the table). It raises ValueError, KeyError or
    TypeError where they do not fit together, and keeps what it has opened, as tables are asked for at every batch.
    Raises CorpusError where what was written cannot be read back.
    """
    for attempt in (1, 2):
        try:
            told, table = opened(path, path.stat().st_mtime_ns)
            if all(told.get(key) == value for key, value in made_of.items()):
                return table
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass
        if attempt == 1:
            path.unlink(missing_ok=True)
            write()
    raise CorpusError(f"{path} cannot be read back; is another process writing to {path.parent}?")


@contextmanager
def growing(path: Path, kind: np.dtype[Any]) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that appends to an array (N,) of this kind, which appears at `path` when the block has ended well."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}.part")
    count = 0

    def append(values: np.ndarray) -> None:
        nonlocal count
        table.write(values.astype(kind, copy=False).tobytes())
        count += len(values)

    try:
        with beside.open("wb") as table:
            write_header(table, kind, (0,))
            yield append
            write_header(table, kind, (count,))
        os.replace(beside, path)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
