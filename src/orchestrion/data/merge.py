"""Converted files, in order -> the files of a corpus, with bounded memory."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from orchestrion.data.store import CONTENT_FILES, FORMAT, SPLITS
from orchestrion.representations.phrases import ROLL
from orchestrion.representations.timed import TIMED

#: A row as `convert` makes it, or {dataset, path, reason, detail} of a file left out; its notes, (N, 6); its timed
#: notes, (E,) TIMED; and the same on steps, (E,) ROLL.
Converted = tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray]

CELL_NOTE = np.dtype("<i2")


def write_corpus(folder: Path, converted: Iterable[Converted], settings: dict[str, Any]) -> None:
    """Write a corpus into an empty folder. Of pieces with the same notes the first stays."""
    first_with: dict[str, str] = {}  # content -> the piece that has it
    sentences: dict[str, int] = {}  # caption -> its line
    totals = empty_totals()
    datasets: dict[str, dict[str, Any]] = {}
    reasons: Counter[str] = Counter()
    with (
        (folder / "pieces.jsonl").open("w", encoding="utf-8") as pieces,
        (folder / "skipped.jsonl").open("w", encoding="utf-8") as skipped,
        (folder / "notes.npy").open("wb") as table,
        (folder / "timed.npy").open("wb") as timed_table,
        (folder / "rolls.npy").open("wb") as rolls_table,
    ):
        write_header(table, CELL_NOTE, (0, 6))
        write_header(timed_table, TIMED, (0,))
        write_header(rolls_table, ROLL, (0,))
        for row, notes, timed, roll in converted:
            if twin := first_with.get(row.get("content", "")):
                row = {"dataset": row["dataset"], "path": row["path"], "reason": "duplicate",
                       "detail": f"same notes as {twin}"}  # fmt: skip
            if "reason" in row:
                reasons[row["reason"]] += 1
                skipped.write(json.dumps(row) + "\n")
                continue
            first_with[row.pop("content")] = row["id"]
            row["captions"] = [sentences.setdefault(caption, len(sentences)) for caption in row["captions"]]
            row["first_note"], row["first_timed"] = totals["notes"], totals["timed_notes"]
            for counts in (totals, datasets.setdefault(row["dataset"], empty_totals())):
                add(counts, row)
            pieces.write(json.dumps(row) + "\n")
            table.write(notes.astype(CELL_NOTE).tobytes())
            timed_table.write(timed.astype(TIMED).tobytes())
            rolls_table.write(roll.astype(ROLL).tobytes())
        write_header(table, CELL_NOTE, (totals["notes"], 6))
        write_header(timed_table, TIMED, (totals["timed_notes"],))
        write_header(rolls_table, ROLL, (totals["timed_notes"],))
    (folder / "captions.txt").write_text("".join(f"{sentence}\n" for sentence in sentences), "utf-8")
    files = {name: describe(folder / name) for name in CONTENT_FILES}
    summary = {
        "format": FORMAT,
        "fingerprint": hashlib.sha256("".join(file["sha256"] for file in files.values()).encode()).hexdigest(),
        **with_hours(totals),
        "captions": len(sentences),
        "datasets": {name: with_hours(counts) for name, counts in datasets.items()},
        "skipped": dict(reasons.most_common()),
        "files": files,
        **settings,
    }
    (folder / "corpus.json").write_text(json.dumps(summary, indent=1) + "\n", "utf-8")


def empty_totals() -> dict[str, Any]:
    return {"pieces": 0, "notes": 0, "timed_notes": 0, "seconds": 0.0, "splits": {}, "licences": {}, "sources": {}}


def add(totals: dict[str, Any], row: dict[str, Any]) -> None:
    """Count one piece: in all, in its split, by licence and by source."""
    split = totals["splits"].setdefault(row["split"], {"pieces": 0, "notes": 0, "timed_notes": 0, "seconds": 0.0})
    for counts in (totals, split):
        counts["pieces"] += 1
        for measure in ("notes", "timed_notes", "seconds"):
            counts[measure] += row[measure]
    for terms, term in (("licences", row["licence"]), ("sources", row["source"])):
        totals[terms][term] = totals[terms].get(term, 0) + 1


def with_hours(totals: dict[str, Any]) -> dict[str, Any]:
    """The same counts, in hours where they were in seconds."""
    totals = dict(totals)
    totals["hours"] = round(totals.pop("seconds") / 3600, 3)
    if "splits" in totals:
        totals["splits"] = {name: with_hours(totals["splits"][name]) for name in SPLITS if name in totals["splits"]}
    return totals


def write_header(table: BinaryIO, kind: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Write the .npy header at the start; numpy pads it, so that it stays as long when the count has grown."""
    table.seek(0)
    told = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(table, told)


def describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
