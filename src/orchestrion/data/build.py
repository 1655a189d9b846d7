"""Folders of music -> a corpus: in parallel, with bounded memory, resumable, and the same bytes however it was run.

Work proceeds in chunks of items. A finished chunk is a part file in `<out>.parts`, written atomically and named by a
hash of all that decided it, so a restart takes up where the last run was killed; when all parts are there they are
merged, in the order of the items, into a folder beside the corpus that then takes its name.

Pieces whose source gives no split are put into one by a hash of their group. Where that leaves none to train on or none
for validation, the group whose hash lies nearest is moved there, so that two pieces are enough to train.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import symusic

import orchestrion
from orchestrion.core.files import replace_file
from orchestrion.core.workers import pool
from orchestrion.data.convert import Filters, LeftOut, convert
from orchestrion.data.dataset import Dataset, Item, unpack
from orchestrion.data.datasets import recognise
from orchestrion.data.merge import Converted, write_corpus
from orchestrion.data.store import FORMAT, SPLITS, Corpus, CorpusError, open_corpus
from orchestrion.representations.phrases import ROLL
from orchestrion.representations.timed import TIMED

CHUNK_ITEMS = 64
SPLIT_SHARES = (0.94, 0.03, 0.03)  # of SPLITS, where a dataset has no split of its own
DEFAULTS = Filters()
MADE_OF = "made_of.txt"  # in a corpus that `build_once` made: a hash of all that decided it

Progress = Callable[[int, int], None]
Group = tuple[str, str]  # (dataset, group)
Source = tuple[Dataset, Path, Sequence[Item]]  # a folder of music: who reads it, its root and its pieces


@dataclass(frozen=True)
class Chunk:
    """Items of one dataset that are converted together into one part file."""

    dataset: Dataset
    root: Path
    items: tuple[Item, ...]
    filters: Filters

    @property
    def name(self) -> str:
        """Name of its part file: a hash of everything that decides what is in it."""
        stats = [(self.root / item.path).stat() for item in self.items]
        told = {
            "format": FORMAT,
            "versions": versions(),
            "dataset": [type(self.dataset).__name__, self.dataset.source, self.dataset.licence],
            "filters": asdict(self.filters),
            "items": [[i.id, i.path, i.facts, s.st_size, s.st_mtime_ns]
                      for i, s in zip(self.items, stats, strict=True)],
        }  # fmt: skip
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:32] + ".part"


def build(
    directories: Sequence[str | Path],
    out: str | Path,
    *,
    cache: str | Path | None = None,
    filters: Filters = DEFAULTS,
    workers: int = 1,
    progress: Progress = lambda done, total: None,
) -> Corpus:
    """Build the corpus `out` from folders of music and open it.

    directories: datasets that `data.datasets` knows by their files, or any folders of MIDI and MusicXML.
    cache: folder for what is unpacked from archives; `<out>.cache` where none is named.
    progress: called with (items done, items in all) as chunks are finished.
    A run that was stopped, at any moment, goes on when it is started again. Raises CorpusError.
    """
    out = Path(out)
    if out.exists() and not (out / "corpus.json").exists():
        raise CorpusError(f"{out} exists and is not a corpus; name another folder")
    try:
        chunks = plan(directories, cache or beside(out, "cache"), filters)
        parts = beside(out, "parts")
        parts.mkdir(parents=True, exist_ok=True)
        paths = [parts / chunk.name for chunk in chunks]
        convert_all(chunks, paths, workers, progress)
        made = beside(out, "merged")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        settings = {"settings": asdict(filters) | {"split_shares": SPLIT_SHARES}, "versions": versions()}
        write_corpus(made, merged(chunks, paths, filters.seed), settings)
        put_in_place(made, out)
        shutil.rmtree(parts)
    except OSError as error:
        raise CorpusError(f"cannot build {out}: {error}") from error
    return open_corpus(out)


def build_once(
    directories: Sequence[str | Path],
    out: str | Path,
    *,
    filters: Filters = DEFAULTS,
    workers: int = 1,
    progress: Progress = lambda done, total: None,
) -> Corpus:
    """As `build`; but where this built `out` before from the same files, which have not changed since, it opens it."""
    out = Path(out)
    chunks = plan(directories, beside(out, "cache"), filters)
    made_of = hashlib.sha256("".join(chunk.name for chunk in chunks).encode()).hexdigest()
    if (out / MADE_OF).exists() and (out / MADE_OF).read_text("utf-8") == made_of:
        return open_corpus(out)
    corpus = build(directories, out, filters=filters, workers=workers, progress=progress)
    replace_file(out / MADE_OF, made_of)
    return corpus


def put_in_place(made: Path, out: Path) -> None:
    """Give a finished folder the name of the corpus, in place of what had it."""
    old = beside(out, "old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        os.replace(out, old)
    os.replace(made, out)
    shutil.rmtree(old, ignore_errors=True)


def beside(out: Path, what: str) -> Path:
    """A working folder next to the corpus."""
    return out.parent / f"{out.name}.{what}"


def versions() -> dict[str, str]:
    return {"orchestrion": orchestrion.__version__, "symusic": symusic.__version__, "numpy": np.__version__}


def plan(directories: Sequence[str | Path], cache: str | Path, filters: Filters) -> list[Chunk]:
    """The work, in order. Raises CorpusError where a folder is missing or there is nothing to read."""
    sources: list[Source] = []
    seen: Counter[str] = Counter()
    for directory in map(Path, directories):
        if not directory.is_dir():
            raise CorpusError(f"{directory} is not a folder; give folders with MIDI files or known datasets")
        dataset = recognise(directory)
        root = unpack(dataset, directory, cache)
        items = list(dataset.items(root))
        for place, item in enumerate(items):  # two plain folders may each hold a file of one name
            seen[item.id] += 1
            if seen[item.id] > 1:
                items[place] = replace(item, id=f"{item.id} #{seen[item.id]}")
        sources.append((dataset, root, items))
    if not any(items for *_, items in sources):
        raise CorpusError(f"no music in {', '.join(map(str, directories))}; expected MIDI or MusicXML files")
    return [
        Chunk(dataset, root, tuple(items[first : first + CHUNK_ITEMS]), filters)
        for dataset, root, items in chosen(sources, filters)
        for first in range(0, len(items), CHUNK_ITEMS)
    ]


def chosen(sources: Sequence[Source], filters: Filters) -> list[Source]:
    """What is to be read of the sources, in their order. Raises CorpusError where nothing has the genre asked for."""
    result: list[Source] = list(sources)
    if filters.genre is not None:
        genre = filters.genre.casefold()
        filed = Counter(own for *_, items in sources for item in items for own in genres(item))
        if genre not in filed:
            known = ", ".join(name for name, _ in filed.most_common(12)) or "none"
            raise CorpusError(f"no piece is filed under {filters.genre!r}; the genres named most are {known}")
        result = [(who, root, [item for item in items if genre in genres(item)]) for who, root, items in sources]
    ranked = sorted(
        (hashed_place(f"{dataset.name}/choice", item.group, filters.seed), item.id)
        for dataset, _, items in result
        for item in items
    )
    count = min(round(filters.share * len(ranked)), filters.pieces or len(ranked))
    kept = {id for _, id in ranked[: max(count, 1)]}
    return [(dataset, root, [item for item in items if item.id in kept]) for dataset, root, items in result]


def genres(item: Item) -> set[str]:
    """Those that the source files a piece under."""
    told = item.facts.get("genre", [])
    return {str(genre).casefold() for genre in (told if isinstance(told, list) else [told])}


def convert_all(chunks: Sequence[Chunk], paths: Sequence[Path], workers: int, progress: Progress) -> None:
    """Write the part files that are not there yet."""
    total = sum(len(chunk.items) for chunk in chunks)
    missing = [(chunk, path) for chunk, path in zip(chunks, paths, strict=True) if not path.exists()]
    done = total - sum(len(chunk.items) for chunk, _ in missing)
    progress(done, total)
    if min(workers, len(missing)) <= 1:
        for chunk, path in missing:
            done += convert_chunk(chunk, path)
            progress(done, total)
        return
    try:
        with pool(min(workers, len(missing))) as executor:
            for future in as_completed([executor.submit(convert_chunk, *work) for work in missing]):
                done += future.result()
                progress(done, total)
    except BrokenProcessPool as error:
        raise CorpusError("a worker died (out of memory?); run the same line again with fewer workers") from error


def convert_chunk(chunk: Chunk, path: Path) -> int:
    """Write the part file of one chunk, and return how many items it took."""
    rows: list[dict[str, Any]] = []
    tables: dict[str, list[np.ndarray]] = {
        "notes": [np.zeros((0, 6), np.int16)],
        "timed": [np.zeros(0, TIMED)],
        "rolls": [np.zeros(0, ROLL)],
    }
    for item in chunk.items:
        try:
            row, *made = convert(chunk.dataset, chunk.root, item, chunk.filters)
        except LeftOut as out:
            row = {"dataset": chunk.dataset.name, "path": item.path, "reason": out.reason, "detail": out.detail}
        except Exception as error:
            error.add_note(f"while reading {chunk.root / item.path}")
            raise
        else:
            for parts, table in zip(tables.values(), made, strict=True):
                parts.append(table)
        rows.append(row)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        rows=np.frombuffer(json.dumps(rows).encode(), np.uint8),
        notes=np.concatenate(tables["notes"]),
        timed=np.concatenate(tables["timed"]),
        rolls=np.concatenate(tables["rolls"]),
    )
    replace_file(path, buffer.getvalue())
    return len(chunk.items)


def merged(chunks: Sequence[Chunk], paths: Sequence[Path], seed: int) -> Iterator[Converted]:
    """What the part files hold, in order, one part in memory at a time; rows of pieces with their split."""
    splits = splits_to_train_on(chunks, paths, seed)
    for chunk, path in zip(chunks, paths, strict=True):
        with np.load(path) as part:
            rows, notes, timed, rolls = json.loads(part["rows"].tobytes()), part["notes"], part["timed"], part["rolls"]
        first = first_timed = 0
        for row, item in zip(rows, chunk.items, strict=True):
            last, last_timed = first + row.get("notes", 0), first_timed + row.get("timed_notes", 0)
            if "reason" not in row:
                row["split"] = item.split or splits[chunk.dataset.name, item.group]
            yield row, notes[first:last], timed[first_timed:last_timed], rolls[first_timed:last_timed]
            first, first_timed = last, last_timed


def splits_to_train_on(chunks: Sequence[Chunk], paths: Sequence[Path], seed: int) -> dict[Group, str]:
    """As `split_of_groups`, with as few groups moved as it takes for train and valid to hold a piece each, of those
    that go by a hash: one from the test split if it can be, always the one whose hash lies nearest."""
    splits = split_of_groups(chunks, seed)
    given = {(chunk.dataset.name, item.group) for chunk in chunks for item in chunk.items if item.split}
    held: dict[str, set[Group]] = {split: set() for split in SPLITS}  # the groups with a piece in each split
    seen: set[str] = set()
    for chunk, path in zip(chunks, paths, strict=True):
        with np.load(path) as part:
            rows = json.loads(part["rows"].tobytes())
        for row, item in zip(rows, chunk.items, strict=True):
            if "reason" not in row and row["content"] not in seen:
                seen.add(row["content"])
                group = chunk.dataset.name, item.group
                held[item.split or splits[group]].add(group)
    borders = np.cumsum((0, *SPLIT_SHARES))
    for lacking, other, wanted in (("train", "valid", borders[:2].mean()), ("valid", "train", borders[1:3].mean())):
        spare: set[Group] = held["test"] - given or (held[other] - given if len(held[other]) > 1 else set())
        if spare and not held[lacking]:
            moved = min(sorted(spare), key=lambda group: abs(hashed_place(group[0], group[1], seed) - wanted))
            held[splits[moved]].remove(moved)
            held[lacking].add(moved)
            splits[moved] = lacking
    return splits


def split_of_groups(chunks: Iterable[Chunk], seed: int) -> dict[Group, str]:
    """The split of each group's items that the dataset itself gives none, so that a group never lies in two: that of
    another item of the group, else by a hash."""
    given: dict[Group, str | None] = {}
    for chunk in chunks:
        for item in chunk.items:
            group = chunk.dataset.name, item.group
            given[group] = given.get(group) or item.split
    return {group: split or hashed_split(*group, seed) for group, split in given.items()}


def hashed_split(dataset: str, group: str, seed: int) -> str:
    """The split of a group by a hash of its name, in the proportions of SPLIT_SHARES."""
    borders = np.cumsum(SPLIT_SHARES[:-1])
    return SPLITS[int(np.searchsorted(borders, hashed_place(dataset, group, seed), side="right"))]


def hashed_place(dataset: str, group: str, seed: int) -> float:
    """The hash of a group's name as a number from 0 to 1."""
    digest = hashlib.sha256(f"{seed}/{dataset}/{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
