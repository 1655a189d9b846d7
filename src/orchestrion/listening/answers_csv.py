"""Answers as CSV, out and in: item,labeler,answer,time,seconds,key and, where it is not empty, question."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from orchestrion.core.files import replace_file
from orchestrion.listening import StudioError
from orchestrion.listening.entries import Entry
from orchestrion.listening.queries import UNDO
from orchestrion.listening.store import Store

COLUMNS = ("item", "labeler", "answer", "time", "seconds", "key")
LARGEST_FILE = 500 * 2**20  # bytes


def export_csv(store: Store, path: str | Path) -> int:
    """Write the whole log, what was taken back included, whole or not at all; how many rows. Raises WritingError."""
    entries = store.entries()
    columns = (*COLUMNS, "question") if any(entry.question for entry in entries) else COLUMNS
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for entry in entries:
        writer.writerow(["" if (value := getattr(entry, name)) is None else value for name in columns])
    replace_file(path, text.getvalue())
    return len(entries)


def import_csv(store: Store, path: str | Path, allowed: Collection[str] | None = None) -> tuple[int, int]:
    """Append the rows that the log does not hold yet, all or none: (how many were new, how many rows there are).

    allowed: the words that are answers, None for any. Raises StudioError, one line that names the row, for a file that
    cannot be read, for an item that the store does not know, and for a key that belongs to another answer.
    """
    try:
        if Path(path).stat().st_size > LARGEST_FILE:
            raise StudioError(f"{path} is larger than the {LARGEST_FILE / 2**20:g} MiB allowed")
        rows = csv.DictReader(io.StringIO(Path(path).read_text("utf-8-sig")), strict=True)
        if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
            raise StudioError(f"{path} has no column {', '.join(missing)}; expected {','.join(COLUMNS)}")
        known = {item.id for item in store.items()}
        entries = [_entry(row, f"{path}, row {number}", known, allowed) for number, row in enumerate(rows, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StudioError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    return store.add(entries), len(entries)


def _entry(
    row: dict[str | None, str | None], where: str, known: Collection[str], allowed: Collection[str] | None
) -> Entry:
    if None in row or None in row.values():
        raise StudioError(f"{where} does not have as many fields as the first row")
    said = {str(name): str(value) for name, value in row.items()}
    if said["item"] not in known:
        raise StudioError(f"{where} is of the item {said['item']!r}, which is not among those labelled here")
    if allowed is not None and said["answer"] not in (*allowed, UNDO):
        raise StudioError(f"{where} answers {said['answer']!r}; answers are {', '.join(allowed)} and {UNDO}")
    try:
        time = datetime.fromisoformat(said["time"])
        seconds = float(said["seconds"]) if said["seconds"] else None
    except ValueError as error:
        raise StudioError(f"{where}: the time or the seconds cannot be read ({error})") from error
    if time.tzinfo is None:
        raise StudioError(f"{where}: the time has no zone; write it as 2030-01-31T18:05:59.250Z")
    return Entry(
        said["item"], said["labeler"], said["answer"], said["time"], seconds, said["key"], said.get("question", "")
    )
