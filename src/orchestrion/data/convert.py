"""One file of a dataset -> one row of a corpus with its three tables of notes, or the reason why it is left out."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from symusic import Score

from orchestrion.data.captions.sentences import captions, facts_of
from orchestrion.data.dataset import Dataset, Item
from orchestrion.music import ScoreError
from orchestrion.music.analysis import estimate_key
from orchestrion.music.pedal import apply_sustain
from orchestrion.music.theory import Key, Meter
from orchestrion.representations.cells import BAR, MAX_TRACKS, PITCH, POSITION, TRACK, Cells, CellsError, encode
from orchestrion.representations.phrases import roll
from orchestrion.representations.timed import timed


@dataclass(frozen=True)
class Filters:
    """What a piece must be to enter a corpus, and how many captions it gets; `seed` is of captions and splits.

    A performance without beats has bars too, of the two seconds at which its file counts: 2,700 s are 1,350 of them.
    genre: read only what the source files under it. share, pieces: read only so much of it, at most so many, drawn by
    the seed; groups stay whole. pianoroll: only 4/4 with the first beat at zero, as the Lakh Pianoroll Dataset was
    cleansed."""

    seed: int = 0
    captions: int = 6
    min_bars: int = 2
    max_bars: int = 4096
    max_tracks: int = MAX_TRACKS
    genre: str | None = None
    share: float = 1.0
    pieces: int | None = None
    pianoroll: bool = False


class LeftOut(Exception):
    """A file that does not enter the corpus: a reason to count by, and its detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def convert(
    dataset: Dataset, root: Path, item: Item, filters: Filters
) -> tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray]:
    """(row, (N, 6) int16 note table, (E,) timed notes, (E,) the same on steps) of one file. The row holds the fields of
    `store.Piece` that one file decides, and `captions` as sentences and `content`, a hash of the notes. Raises
    LeftOut."""
    try:
        score = dataset.load(root, item)
    except ScoreError as error:
        raise LeftOut("unreadable", str(error).removeprefix(f"cannot read {root / item.path}: ")) from error
    tracks = sum(len(track.notes) > 0 for track in score.tracks)
    if tracks == 0:
        raise LeftOut("no notes", "no track has a note")
    if tracks > filters.max_tracks:
        raise LeftOut("too many tracks", f"{tracks} tracks, at most {filters.max_tracks}")
    pressed = roll(score)
    score = apply_sustain(score)  # for the other tables: what sounds, as published performance systems read it too
    try:
        cells = encode(score)
    except CellsError as error:
        raise LeftOut("not on a grid of cells", str(error)) from error
    bars = len(cells.meters)
    if not filters.min_bars <= bars <= filters.max_bars:
        bound = f"at least {filters.min_bars}" if bars < filters.min_bars else f"at most {filters.max_bars}"
        raise LeftOut("too short" if bars < filters.min_bars else "too long", f"{bars} bars, {bound}")
    if filters.pianoroll:
        _check_as_lakh(score, cells)
    labelled = item.facts.get("key")
    key, confidence = (Key.parse(str(labelled)), 1.0) if labelled else estimate_key(score)
    facts = facts_of(score, item.facts)
    in_time = timed(score)
    rng = np.random.default_rng([filters.seed, *hashlib.sha256(item.id.encode()).digest()])
    row = {
        "id": item.id,
        "dataset": dataset.name,
        "group": item.group,
        "path": item.path,
        "source": facts.pop("source", dataset.source),
        "licence": facts.pop("licence", dataset.licence),
        "sha256": hashlib.sha256((root / item.path).read_bytes()).hexdigest(),
        "key": key.name,
        "key_confidence": round(float(confidence), 4),
        "tempo": cells.tempo,
        "instruments": list(cells.instruments),
        "meter_runs": meter_runs(cells.meters),
        "bars": bars,
        "notes": len(cells.notes),
        "timed_notes": len(in_time),
        "seconds": round(float(score.to("second").end()), 3),
        "facts": facts,
        "captions": captions(facts, rng, filters.captions),
        "content": content_hash(cells),
    }
    return row, cells.notes, in_time, pressed


def _check_as_lakh(score: Score, cells: Cells) -> None:
    """LeftOut unless it is in 4/4 throughout and its first beat, where the first time signature stands, is at zero. A
    file without a time signature is in 4/4 from the beginning, as MIDI has it."""
    if start := min((signature.time for signature in score.time_signatures), default=0):
        raise LeftOut("first beat not at zero", f"its first time signature stands at {start / score.tpq:g} quarters")
    if others := sorted({meter.name for meter in cells.meters} - {"4/4"}):
        raise LeftOut("not in 4/4", f"it has bars of {', '.join(others)}")


def meter_runs(meters: Iterable[Meter]) -> list[tuple[str, int]]:
    """(meter, bars) in order."""
    return [(name, sum(1 for _ in run)) for name, run in itertools.groupby(meter.name for meter in meters)]


def content_hash(cells: Cells) -> str:
    """Equal for pieces with the same notes: instrument, bar from the first with a note, position and pitch."""
    notes = cells.notes.astype(np.int64)
    instruments = np.asarray(cells.instruments)[notes[:, TRACK]]
    bars = notes[:, BAR] - notes[:, BAR].min()
    packed = ((bars * 256 + instruments) * 128 + notes[:, POSITION]) * 128 + notes[:, PITCH]
    return hashlib.sha256(np.sort(packed).astype("<i8").tobytes()).hexdigest()
