"""What may be appended to the log of answers: entries that are whole, and new by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from orchestrion.listening import StudioError
from orchestrion.listening.database import answers, items
from orchestrion.listening.entries import Entry
from orchestrion.listening.queries import UNDO, undo_key

LONGEST_TEXT = 200  # letters of a name, a key, an answer


def checked(entry: Entry) -> dict[str, Any]:
    """The entry as a row. Raises StudioError."""
    if (entry.answer == UNDO) != entry.key.startswith(undo_key("")):
        raise StudioError(f"the key {entry.key!r} does not go with the answer {entry.answer!r}")
    texts = {name: checked_text(f"the {name}", getattr(entry, name)) for name in ("item", "labeler", "answer", "key")}
    texts["question"] = checked_text("the question", entry.question) if entry.question else ""
    seconds = None if entry.seconds is None else round(float(entry.seconds), 3)
    if seconds is not None and not 0 <= seconds < 1e9:
        raise StudioError(f"{entry.seconds} is no number of seconds")
    return texts | {"time": entry.time, "seconds": seconds}


def not_held(connection: Connection, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those whose keys the log does not hold, each key once. Raises StudioError."""
    keys, named = {row["key"] for row in rows}, {row["item"] for row in rows}
    there: dict[str, Any] = {
        row.key: row._mapping for row in connection.execute(select(answers).where(answers.c.key.in_(keys)))
    }
    known = set(connection.execute(select(items.c.id).where(items.c.id.in_(named))).scalars())
    new = []
    for row in rows:
        if (held := there.get(row["key"])) is not None:
            if any(held[name] != row[name] for name in ("item", "labeler", "answer", "question")):
                raise StudioError(f"the key {row['key']} belongs to another answer; nothing was changed")
            continue
        if row["item"] not in known:
            raise StudioError(f"the store knows no item {row['item']}; label the folder or run that it is of")
        there[row["key"]] = row
        new.append(row)
    return new


def checked_text(what: str, text: str) -> str:
    if not text or len(text) > LONGEST_TEXT or not text.isprintable() or text != text.strip():
        raise StudioError(f"{what} must be 1 to {LONGEST_TEXT} printable letters without spaces around, not {text!r}")
    return text
