"""A corpus in one small file, to carry to another machine and train there: notes, rows as far as the composer needs
them, and plans.

    MAGIC, the length of the header (8 bytes), the header, the blocks: rows, notes, plans

Header and blocks are .xz each, with its check sums. Notes lie by piece, track and time, four bytes each: steps since
the note before, pitch, duration, velocity. Exact, as note tables are no finer. Left out: timed notes, rolls, captions,
paths and all facts that no plan names. What is unpacked is a corpus of format 1, the last without timed notes.

Shapes: N notes, P pieces, T tracks of all pieces together.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import shutil
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchestrion.core.files import replace_file
from orchestrion.core.workers import pool
from orchestrion.data import plans as planning
from orchestrion.data.build import beside, put_in_place
from orchestrion.data.cache import Progress
from orchestrion.data.merge import CELL_NOTE, add, describe, empty_totals, with_hours, write_header
from orchestrion.data.plans import PlanTable, plan_table
from orchestrion.data.quality import cleanest, near_duplicates
from orchestrion.data.store import Corpus, CorpusError, Piece, open_corpus
from orchestrion.planning import levels
from orchestrion.representations.cells import (
    BAR,
    DURATION,
    MAX_BAR_STEPS,
    PITCH,
    POSITION,
    TRACK,
    VELOCITY,
    sorted_notes,
)

MAGIC = b"orchestrion packed corpus 1\n"
NAME = "corpus.packed"  # in a folder that is named as the target
SPLITS = ("train", "valid")
BLOCK_NOTES = 2_000_000  # at least; so many are packed and unpacked at once, by one process
MARGIN = 0.98  # of the limit is aimed at where pieces have to be left out
CORPUS_FORMAT = 1
#: What is kept of a row, and of its facts what a plan's style, mood and feel are read from.
COLUMNS = ("id", "dataset", "group", "split", "source", "licence", "key", "key_confidence", "tempo", "instruments",
           "meter_runs", "bars", "notes", "seconds")  # fmt: skip
FACTS = ("style", "genre", "emotion", "mood", "guessed mood", "feel", "meter")
_LEFT_OUT: dict[str, Any] = {"path": "", "sha256": "", "captions": [], "timed_notes": 0, "first_timed": 0}
#: Of which sizes of a plan (bars, tracks, sections, cells, section cells) an array has rows; others have one a piece.
_ROWS_OF = {"chords": 0, "basses": 0, "section": 0, "letter": 0, "occurrence": 0, "source": 0, "roles": 1, "levels": 3,
            "section_levels": 4}  # fmt: skip
_OF_NOTES = {"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 2, "pb": 2}  # for units of four bytes
_FARTHEST = 2**26  # bytes back to which what is alike is found
_DAMAGE = (lzma.LZMAError, EOFError, struct.error, ValueError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True)
class Packed:
    """What `pack` wrote: pieces and notes in all, whether plans went in, and how many were left out, by reason."""

    path: Path
    bytes: int
    pieces: int
    notes: int
    plans: bool
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class NoteTables:
    """The notes of some pieces, one after another: (N, 6), and how many notes and tracks each piece has, (P,)."""

    table: np.ndarray
    notes: np.ndarray
    tracks: np.ndarray


#: What the header tells of a block, without its size, and its bytes.
_Block = tuple[dict[str, Any], bytes]


# ---- packing


def pack(
    corpus: Corpus,
    path: Path,
    *,
    max_bytes: int,
    shares: Mapping[str, float] | None = None,
    workers: int = 1,
    progress: Progress = lambda done, total: None,
) -> Packed:
    """Write the training and validation pieces of a corpus, with their plans, into one file of at most `max_bytes`.

    shares: of the notes of a dataset that are taken at all, by its name; of the cleanest pieces. Where all is too large
    the plans are left out, to be estimated again; where it still is, near duplicates and the least clean pieces of each
    dataset. A folder as `path` gets a file in it. Raises CorpusError, WritingError.
    """
    path = path / NAME if path.is_dir() else path
    left_out: Counter[str] = Counter()
    pieces = [piece for piece in corpus.pieces() if piece.split in SPLITS]
    left_out["in the test split"] = len(corpus.pieces()) - len(pieces)
    asked = _asked(pieces, shares or {})
    left_out["by the shares asked for"] = len(pieces) - len(asked)
    blocks = [_rows_block(asked), *_note_blocks(asked, workers, progress)]
    kept: Sequence[Piece] = asked
    plain = _whole(blocks, corpus)
    if len(plain) > max_bytes:
        others = _without_copies(asked)
        kept, blocks = _cut_down(others, max_bytes, len(plain) * len(others) / len(asked), workers, progress)
        plain = _whole(blocks, corpus)
        left_out["near duplicates"] = len(asked) - len(others)
        left_out["less clean than the others of their set"] = len(others) - len(kept)
    planned = _whole([*blocks, *_plan_blocks(plan_table(corpus, workers=workers), corpus, kept)], corpus)
    has_plans = len(planned) <= max_bytes
    data = planned if has_plans else plain
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, data)
    notes = sum(piece.notes for piece in kept)
    return Packed(path, len(data), len(kept), notes, has_plans, {name: n for name, n in left_out.items() if n})


def _asked(pieces: Sequence[Piece], shares: Mapping[str, float]) -> list[Piece]:
    known = sorted({piece.dataset for piece in pieces})
    for name, share in shares.items():
        if name not in known or not 0 <= share <= 1:
            raise CorpusError(f"{name}={share}: expected a share from 0 to 1 of one of {', '.join(known)}")
    some = [piece for piece in pieces if shares.get(piece.dataset, 1.0) < 1]
    ids = {piece.id for piece in _share_of(_ranked(some), lambda name: shares[name])} if some else set()
    asked = [piece for piece in pieces if shares.get(piece.dataset, 1.0) == 1 or piece.id in ids]
    for split in SPLITS:
        if not any(piece.split == split for piece in asked):
            raise CorpusError(f"no piece of the {split} split would be packed; training needs some")
    return asked


def _without_copies(pieces: Sequence[Piece]) -> list[Piece]:
    copies = near_duplicates(pieces)
    return [piece for piece in pieces if piece.id not in copies]


def _ranked(pieces: Iterable[Piece]) -> dict[tuple[str, str], list[Piece]]:
    """The pieces of each dataset and split, the cleanest first."""
    groups: dict[tuple[str, str], list[Piece]] = defaultdict(list)
    for piece in pieces:
        groups[piece.dataset, piece.split].append(piece)
    return {key: sorted(group, key=cleanest, reverse=True) for key, group in groups.items()}


def _share_of(ranked: Mapping[tuple[str, str], list[Piece]], share: Callable[[str], float]) -> list[Piece]:
    """The first pieces of each group, up to a share of its notes that goes by the dataset."""
    found: list[Piece] = []
    for (dataset, _), group in ranked.items():
        reached = np.cumsum([piece.notes for piece in group])
        found += group[: int(np.searchsorted(reached, share(dataset) * reached[-1], side="right"))]
    return found


def _cut_down(
    pieces: Sequence[Piece], max_bytes: int, size: float, workers: int, progress: Progress
) -> tuple[list[Piece], list[_Block]]:
    """The cleanest pieces of each dataset whose notes fit, in their order, and their blocks. size: of all of them."""
    ranked, share = _ranked(pieces), 1.0
    while True:
        share *= min(1.0, MARGIN * max_bytes / size)
        ids = {piece.id for piece in _share_of(ranked, lambda _, share=share: share)}  # type: ignore[misc]
        kept = [piece for piece in pieces if piece.id in ids]
        if not {piece.split for piece in kept} >= set(SPLITS):
            raise CorpusError(f"{max_bytes / 2**20:.3g} MiB hold too few pieces to train on; allow for more")
        blocks = [_rows_block(kept), *_note_blocks(kept, workers, progress)]
        size = len(_whole(blocks, kept[0].corpus))
        if size <= max_bytes:
            return kept, blocks


def _rows_block(pieces: Sequence[Piece]) -> _Block:
    rows = {name: [getattr(piece, name) for piece in pieces] for name in COLUMNS}
    rows["facts"] = [{name: piece.facts[name] for name in FACTS if name in piece.facts} for piece in pieces]
    return {"holds": "rows"}, lzma.compress(json.dumps(rows, separators=(",", ":")).encode())


def _note_blocks(pieces: Sequence[Piece], workers: int, progress: Progress) -> list[_Block]:
    groups = _groups([piece.notes for piece in pieces])
    parts = [_notes_of(pieces[first:last]) for first, last in groups]
    blocks: list[_Block] = []
    for (first, last), data in zip(groups, _mapped(encoded, parts, workers), strict=True):
        blocks.append(({"holds": "notes", "pieces": [first, last]}, data))
        progress(last, len(pieces))
    return blocks


def _groups(notes: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of pieces of BLOCK_NOTES or a little more, as (first, last + 1)."""
    groups, first, count = [], 0, 0
    for place, size in enumerate(notes):
        count += size
        if count >= BLOCK_NOTES or place == len(notes) - 1:
            groups.append((first, place + 1))
            first, count = place + 1, 0
    return groups


def _notes_of(pieces: Sequence[Piece]) -> NoteTables:
    table = np.concatenate([p.corpus.notes[p.first_note : p.first_note + p.notes] for p in pieces])
    return NoteTables(table, np.array([p.notes for p in pieces]), np.array([len(p.instruments) for p in pieces]))


def encoded(part: NoteTables) -> bytes:
    """Note tables as a block: notes of each track (T,), what steps are above 255 (N,), and the notes (N, 4)."""
    table = part.table.astype(np.int64)
    place = np.repeat(np.cumsum(part.tracks) - part.tracks, part.notes) + table[:, TRACK]  # among the T tracks
    onset = table[:, BAR] * MAX_BAR_STEPS + table[:, POSITION]  # as if all bars were of the longest kind
    order = np.lexsort((table[:, PITCH], onset, place))
    table, onset, place = table[order], onset[order], place[order]
    steps = np.diff(onset, prepend=0)
    is_first = np.diff(place, prepend=-1) != 0
    steps[is_first] = onset[is_first]
    counts = np.bincount(place, minlength=int(part.tracks.sum()))
    notes = np.stack([steps % 256, table[:, PITCH], table[:, DURATION], table[:, VELOCITY]], axis=1).astype(np.uint8)
    raw = counts.astype("<u4").tobytes() + (steps // 256).astype("<u4").tobytes() + notes.tobytes()
    reach = min(max(len(raw), 2**12), _FARTHEST)
    return lzma.compress(raw, format=lzma.FORMAT_XZ, filters=[{**_OF_NOTES, "dict_size": reach}])


def _plan_blocks(plans: PlanTable, corpus: Corpus, pieces: Sequence[Piece]) -> list[_Block]:
    """The plans of these pieces, in their order, an array a block."""
    kept = np.zeros(len(corpus.pieces()), bool)
    kept[[plans.index[piece.id] for piece in pieces]] = True
    sizes = np.diff(plans.arrays["starts"], axis=0)
    told = {"version": [planning.VERSION, levels.VERSION]}
    blocks: list[_Block] = []
    for name, array in {**plans.arrays, "sizes": sizes}.items():
        if name == "starts":
            continue
        own = array[np.repeat(kept, sizes[:, _ROWS_OF[name]]) if name in _ROWS_OF else kept]
        about = {"holds": "plans", "name": name, "dtype": own.dtype.str, "shape": own.shape, **told}
        blocks.append((about, lzma.compress(own.tobytes())))
    return blocks


def _whole(blocks: Sequence[_Block], corpus: Corpus) -> bytes:
    told = [{**about, "bytes": len(data)} for about, data in blocks]
    header = lzma.compress(json.dumps({"packed_from": corpus.info()["fingerprint"], "blocks": told}).encode())
    return b"".join([MAGIC, struct.pack("<Q", len(header)), header, *(data for _, data in blocks)])


def _mapped(work: Callable[[Any], Any], parts: Sequence[Any], workers: int) -> Iterator[Any]:
    """The results in order, of several processes where there are several parts."""
    if min(workers, len(parts)) <= 1:
        yield from map(work, parts)
        return
    with pool(min(workers, len(parts))) as executor:
        yield from executor.map(work, parts)


# ---- unpacking


def unpack(path: Path, out: Path, *, workers: int = 1, progress: Progress = lambda done, total: None) -> Corpus:
    """Make a corpus of a packed file; plans that are not in it are estimated. Raises CorpusError where the file is
    damaged or `out` is there already."""
    if out.exists():
        raise CorpusError(f"{out} is there already; choose another folder or delete it")
    made = beside(out, "unpacking")
    try:
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        _unpack(path.read_bytes(), made, workers, progress)
        put_in_place(made, out)
    except _DAMAGE as error:
        raise CorpusError(f"{path} is no packed corpus or damaged ({_line(error)}); pack it again") from error
    except OSError as error:
        raise CorpusError(f"cannot unpack {path}: {error}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    corpus = open_corpus(out)
    plan_table(corpus, workers=workers, progress=progress)
    return corpus


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _unpack(data: bytes, made: Path, workers: int, progress: Progress) -> None:
    header, blocks = _blocks(data)
    columns = json.loads(lzma.decompress(next(data for about, data in blocks if about["holds"] == "rows")))
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    _write_notes(made / "notes.npy", rows, blocks, workers, progress)
    totals, first = empty_totals(), 0
    datasets: dict[str, dict[str, Any]] = {}
    for row in rows:
        row |= {**_LEFT_OUT, "first_note": first}
        first += row["notes"]
        for counts in (totals, datasets.setdefault(row["dataset"], empty_totals())):
            add(counts, row)
    (made / "pieces.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (made / "captions.txt").write_text("", "utf-8")
    files = {name: describe(made / name) for name in ("pieces.jsonl", "notes.npy", "captions.txt")}
    fingerprint = hashlib.sha256("".join(file["sha256"] for file in files.values()).encode()).hexdigest()
    summary = {
        "format": CORPUS_FORMAT, "fingerprint": fingerprint, **with_hours(totals), "captions": 0,
        "datasets": {name: with_hours(counts) for name, counts in datasets.items()}, "skipped": {}, "files": files,
        "packed_from": header["packed_from"],
    }  # fmt: skip
    _write_plans(made, [row["id"] for row in rows], fingerprint, blocks)
    (made / "corpus.json").write_text(json.dumps(summary, indent=1) + "\n", "utf-8")


def _blocks(data: bytes) -> tuple[dict[str, Any], list[_Block]]:
    """The header and the blocks of a file. Raises what is in _DAMAGE."""
    if not data.startswith(MAGIC):
        raise ValueError("it does not begin as one")
    start = len(MAGIC) + 8
    (size,) = struct.unpack("<Q", data[len(MAGIC) : start])
    header = json.loads(lzma.decompress(data[start : start + size]))
    ends = np.cumsum([start + size, *(about["bytes"] for about in header["blocks"])]).tolist()
    if ends[-1] != len(data):
        raise ValueError(f"{len(data)} bytes, not {ends[-1]}")
    return header, [
        (about, data[first:last]) for about, first, last in zip(header["blocks"], ends[:-1], ends[1:], strict=True)
    ]


def _write_notes(
    path: Path, rows: Sequence[Mapping[str, Any]], blocks: Sequence[_Block], workers: int, progress: Progress
) -> None:
    own = [(about["pieces"], data) for about, data in blocks if about["holds"] == "notes"]
    parts = [
        (data, np.array([row["notes"] for row in rows[first:last]]),
         np.array([len(row["instruments"]) for row in rows[first:last]]))
        for (first, last), data in own
    ]  # fmt: skip
    with path.open("wb") as file:
        write_header(file, CELL_NOTE, (sum(row["notes"] for row in rows), 6))
        for ((_, last), _), table in zip(own, _mapped(decoded, parts, workers), strict=True):
            file.write(table.astype(CELL_NOTE).tobytes())
            progress(last, len(rows))


def decoded(part: tuple[bytes, np.ndarray, np.ndarray]) -> np.ndarray:
    """What was `encoded`, and how many notes and tracks each piece has -> the note tables, (N, 6) int16."""
    data, sizes, tracks = part
    raw, count, width = lzma.decompress(data), int(sizes.sum()), int(tracks.sum())
    if len(raw) != 4 * (width + 2 * count):
        raise ValueError(f"a block of {len(raw)} bytes for {count} notes")
    counts, high = np.split(np.frombuffer(raw, "<u4", width + count).astype(np.int64), [width])
    notes = np.frombuffer(raw, np.uint8, offset=4 * (width + count)).reshape(-1, 4)
    steps = high * 256 + notes[:, 0]
    ends = np.concatenate([[0], steps.cumsum()])
    firsts = np.cumsum(counts) - counts
    onset = ends[1:] - np.repeat(ends[firsts], counts)
    track = np.concatenate([np.arange(own) for own in tracks])
    table = np.empty((count, 6), np.int16)
    table[:, BAR], table[:, POSITION] = np.divmod(onset, MAX_BAR_STEPS)
    table[:, TRACK] = np.repeat(track, counts)
    table[:, [PITCH, DURATION, VELOCITY]] = notes[:, 1:]
    ends = np.cumsum(sizes)
    for first, last in zip(ends - sizes, ends, strict=True):
        table[first:last] = sorted_notes(table[first:last])
    return table


def _write_plans(made: Path, ids: Sequence[str], fingerprint: str, blocks: Sequence[_Block]) -> None:
    """The plans as `data.plans` keeps them; none where there are none or an older analysis made them."""
    made_of = {"fingerprint": fingerprint, "version": [planning.VERSION, levels.VERSION]}
    own = [block for block in blocks if block[0]["holds"] == "plans" and block[0]["version"] == made_of["version"]]
    if not own:
        return
    arrays = {
        about["name"]: np.frombuffer(lzma.decompress(data), about["dtype"]).reshape(about["shape"])
        for about, data in own
    }
    arrays["starts"] = np.concatenate([np.zeros((1, 5), np.int64), arrays.pop("sizes").cumsum(0)])
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    replace_file(made / "plans.npz", buffer.getvalue())
    replace_file(made / "plans.json", json.dumps({**made_of, "pieces": list(ids)}) + "\n")
