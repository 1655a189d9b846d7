"""Where items come from: a folder of MIDI files, or what a run of training asks its oracle."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from orchestrion.listening import StudioError
from orchestrion.listening.entries import Item
from orchestrion.listening.store import item_of
from orchestrion.music.files import MIDI_SUFFIXES

ORACLE = "oracle"  # folder in a run
ITEMS = "items.jsonl"
LABELS = "labels.sqlite"
_ID = re.compile(r"[0-9a-f]{16}")


def items_of(source: Path) -> list[Item]:
    """The items of a run (RUN/oracle/items.jsonl, in its order) or of a folder and those in it, ordered by their ids:
    the names of files give no order away. Files of the same bytes are one item. Raises StudioError."""
    if not source.is_dir():
        raise StudioError(f"{source} is {'a file' if source.exists() else 'not there'}; name a folder of MIDI or a run")
    if (source / ORACLE / ITEMS).exists():
        return _asked(source / ORACLE)
    if (source / "run.json").exists():
        raise StudioError(f"{source} is a run that asks nothing yet; run `orchestrion active {source}` first")
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in MIDI_SUFFIXES and path.is_file())
    if not files:
        raise StudioError(f"{source} holds no MIDI files ({' '.join(MIDI_SUFFIXES)})")
    try:
        found = [item_of(path, path.parent.name, {"name": str(path.relative_to(source))}) for path in files]
    except OSError as error:
        raise StudioError(f"cannot read {error.filename}: {error.strerror}") from error
    return list({item.id: item for item in sorted(found, key=lambda item: item.id)}.values())


def labels_of(source: Path) -> Path:
    """Where the labels of a source lie if nothing else is said."""
    return source / ORACLE / LABELS if (source / ORACLE / ITEMS).exists() else source / LABELS


def _asked(oracle: Path) -> list[Item]:
    found: dict[str, Item] = {}
    room = oracle.resolve()
    for number, line in enumerate((oracle / ITEMS).read_text("utf-8").splitlines(), 1):
        where = f"{oracle / ITEMS}, line {number}"
        try:
            row: dict[str, Any] = json.loads(line)
            id, path = str(row.pop("id")), (oracle / str(row.pop("file"))).resolve()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StudioError(f"{where}: expected JSON with id and file ({error})") from error
        if not _ID.fullmatch(id):
            raise StudioError(f"{where}: {id!r} is no id; it is the first 16 hexadecimal digits of the file's SHA-256")
        if not path.is_relative_to(room):
            raise StudioError(f"{where}: the file lies outside of {oracle}")
        if not path.is_file():
            raise StudioError(f"{where}: there is no file {path.name}; run `orchestrion active` again")
        found[id] = Item(id, str(path), oracle.resolve().parent.name, row)
    if not found:
        raise StudioError(f"{oracle / ITEMS} names no items")
    return list(found.values())
