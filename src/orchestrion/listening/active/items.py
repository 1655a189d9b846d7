"""What a run has asked people about, in RUN/oracle.

    items.jsonl     a row a phrase: id (16 hexadecimal digits of the SHA-256 of its MIDI file), file, p (its odds then),
                    sentence (none), round; written last, so that nothing counts as asked that is not whole
    midi/ID.mid     the phrase, in C, as it is learned from
    phrases.npz     the same as rolls: ids, phrases (packed bits), made

Legend: N phrases, K tracks, S steps of a phrase, P pitches.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from orchestrion.core.files import replace_file
from orchestrion.listening.active import ActiveError
from orchestrion.listening.sources import ITEMS, ORACLE
from orchestrion.listening.store import item_of
from orchestrion.music.files import write_midi
from orchestrion.representations.phrases import PhraseGrid

PHRASES, MIDI = "phrases.npz", "midi"
TEMPO = 120.0  # quarter notes a minute, of what people hear


@dataclass(frozen=True, eq=False)
class Asked:
    """rows: of items.jsonl, N; phrases: (N, K, S, P) bool; made: (N,) bool, those that the system drew itself."""

    rows: Sequence[dict[str, Any]]
    phrases: np.ndarray
    made: np.ndarray

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(row["id"] for row in self.rows)

    @property
    def rounds(self) -> int:
        return max((row["round"] for row in self.rows), default=0)


def asked_in(run: Path, grid: PhraseGrid) -> Asked:
    """All that a run has asked about, in order; nothing where it has not. Raises ActiveError for what is damaged."""
    oracle = run / ORACLE
    if not (oracle / ITEMS).exists():
        return Asked((), np.zeros((0, *grid.shape), bool), np.zeros(0, bool))
    try:
        rows = [json.loads(line) for line in (oracle / ITEMS).read_text("utf-8").splitlines()]
        rows = [{**row, "id": str(row["id"]), "round": int(row["round"])} for row in rows]
        with np.load(io.BytesIO((oracle / PHRASES).read_bytes())) as arrays:
            place = {str(id): number for number, id in enumerate(arrays["ids"])}
            index = [place[row["id"]] for row in rows]
            packed, made = arrays["phrases"][index], arrays["made"][index]
        cells = np.unpackbits(packed, axis=1, count=grid.cells)
        return Asked(rows, cells.reshape(-1, *grid.shape).astype(bool), made.astype(bool))
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, BadZipFile) as error:
        raise ActiveError(f"{oracle}: {ITEMS} and {PHRASES} are damaged or do not fit ({error}); take both from a copy"
                          f" or delete {oracle}") from error  # fmt: skip


def append(
    run: Path, asked: Asked, grid: PhraseGrid, phrases: np.ndarray, made: np.ndarray, odds: np.ndarray
) -> tuple[str, ...]:
    """Ask about phrases (N, K, S, P) with odds (N,) as one more round, after what was asked before: all of them or
    none. Returns their ids. A phrase whose MIDI file is the same as that of another is not asked about again. Raises
    writing.WritingError."""
    oracle = run / ORACLE
    (oracle / MIDI).mkdir(parents=True, exist_ok=True)
    beside = oracle / MIDI / f".{os.getpid()}.mid"
    rows, kept = {row["id"]: row for row in asked.rows}, []
    for place, phrase in enumerate(phrases):
        write_midi(grid.decode(phrase, tempo=TEMPO), beside)
        id = item_of(beside).id
        file = Path(MIDI) / f"{id}.mid"
        os.replace(beside, oracle / file)
        if id not in rows:
            kept.append(place)
            told = {"file": file.as_posix(), "p": round(float(odds[place]), 4), "sentence": None}
            rows[id] = {"id": id, **told, "round": asked.rounds + 1}
    everything = np.concatenate([asked.phrases, phrases[kept]])
    data = io.BytesIO()
    np.savez_compressed(
        data, ids=np.array(list(rows)), phrases=np.packbits(everything.reshape(len(everything), -1), axis=1),
        made=np.concatenate([asked.made, made[kept]]),
    )  # fmt: skip
    replace_file(oracle / PHRASES, data.getvalue())
    replace_file(oracle / ITEMS, "".join(json.dumps(row) + "\n" for row in rows.values()))
    return tuple(rows)[len(asked.rows) :]
