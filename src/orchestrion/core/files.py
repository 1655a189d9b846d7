"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from orchestrion.core.errors import UserError


class WritingError(UserError):
    """A file that cannot be written; the message says which and why."""


def replace_file(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Write `data` (text as UTF-8) beside `path`, then rename, so that no reader ever meets half a file.

    Raises WritingError.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            beside.write_bytes(data.encode() if isinstance(data, str) else data)
            os.replace(beside, path)
        except BaseException:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise WritingError(f"cannot write {path}: {error.strerror or error}") from error
