"""What a dataset is: its terms and defects in words, its items, and how one of them becomes a Score.

A dataset lies as its source shipped it, a folder with archives and tables; `unpack` makes one plain folder of that, its
root, and `datasets.recognise` finds who can read it. Datasets hold no state, so that workers can be sent them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import lzma
import os
import shutil
import tarfile
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import ClassVar

from symusic import Score

from orchestrion.data.store import SPLITS, CorpusError

Facts = Mapping[str, str | float | list[str]]

#: What sources call the splits, and the name of each in a corpus; "" where a source has none.
SPLIT_NAMES = {"train": SPLITS[0], "val": SPLITS[1], "valid": SPLITS[1], "validation": SPLITS[1], "test": SPLITS[2],
               "": None}  # fmt: skip

ARCHIVES = (".tar", ".tar.xz", ".tar.gz", ".tgz", ".tar.bz2")
UNPACKED_BYTES = 16 * 2**30  # the most that the archives of one dataset may unpack to


@dataclass(frozen=True)
class Item:
    """One piece of a dataset.

    id: stable and unique over all datasets, "pop909/001". path: its file, relative to the root.
    group: pieces of one group (a song, a cluster of near duplicates) stay in one split.
    split: one of store.SPLITS where the source has one.
    facts: what the source says of the piece, in words people use: genre, mood, emotion, style, role, key, meter and so
    on. Never a song's title or its artist; classical composers are allowed.
    """

    id: str
    path: str
    group: str
    split: str | None
    facts: Facts


class Dataset(ABC):
    """A collection of pieces. `licence`: the terms as its source states them; `defects`: what is known to be wrong;
    `draw_weight`: factor on its share of the windows drawn in training."""

    name: ClassVar[str]
    licence: ClassVar[str]
    source: ClassVar[str]
    defects: ClassVar[tuple[str, ...]] = ()
    single_parts: ClassVar[bool] = False  # whether its pieces are each one part of something that is not there
    draw_weight: ClassVar[float] = 1.0

    @abstractmethod
    def recognises(self, directory: Path) -> bool:
        """Whether the folder, as shipped or unpacked, holds this dataset."""

    @abstractmethod
    def items(self, root: Path) -> Sequence[Item]:
        """All pieces, always in the same order. Raises CorpusError."""

    @abstractmethod
    def load(self, root: Path, item: Item) -> Score:
        """The piece, bars and beats on the grid. Raises score.files.ScoreError where it cannot be used."""


def read_item(root: Path, item: Item) -> Score:
    """The file of an item as it is, if it has bars. Raises score.files.ScoreError."""
    from orchestrion.music import ScoreError
    from orchestrion.music.bars import bars
    from orchestrion.music.files import read

    score = read(root / item.path)
    try:
        bars(score)
    except ScoreError as error:
        raise ScoreError(f"cannot read {root / item.path}: {error}") from error
    return score


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a csv file with a header, compressed where its name ends in .xz. Raises CorpusError."""
    try:
        data = path.read_bytes()
        text = (lzma.decompress(data) if path.suffix == ".xz" else data).decode("utf-8-sig")
        return [{k: v or "" for k, v in row.items() if k is not None} for row in csv.DictReader(io.StringIO(text))]
    except (OSError, lzma.LZMAError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"cannot read the table {path} ({error}); expected csv in UTF-8 with a header") from error


def existing(root: Path, items: Sequence[Item]) -> Sequence[Item]:
    """The same items. Raises CorpusError for a file that is not there or lies outside of the root."""
    for item in items:
        if not is_inside(item.path) or not (root / item.path).is_file():
            raise CorpusError(f"{item.id} should lie in {item.path!r} in {root}, but does not; is the dataset whole?")
    return items


def unpack(dataset: Dataset, directory: str | Path, cache: str | Path) -> Path:
    """The root of a dataset: the folder itself, or, where it holds archives, a folder in `cache` with everything.

    Done once for the same files (names, sizes, times); written beside and renamed when whole. Raises CorpusError for an
    archive that is damaged, too large, or has a member that would land outside of the root.
    """
    directory, cache = Path(directory), Path(cache)
    archives = [path for path in sorted(directory.iterdir()) if path.name.endswith(ARCHIVES)]
    if not archives:
        return directory
    told = sorted((str(path.relative_to(directory)), path.stat().st_size, path.stat().st_mtime_ns)
                  for path in directory.rglob("*") if path.is_file())  # fmt: skip
    root = cache / f"{dataset.name}-{hashlib.sha256(repr(told).encode()).hexdigest()[:16]}"
    if root.is_dir():
        return root
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=cache))
    try:
        for archive in archives:
            _extract(archive, unfinished)
        skip = shutil.ignore_patterns(*(path.name for path in archives))
        shutil.copytree(directory, unfinished, ignore=skip, dirs_exist_ok=True, copy_function=shutil.copyfile)
        unfinished.chmod(0o755)
        try:
            os.rename(unfinished, root)
        except OSError:
            if not root.is_dir():  # another process was first
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return root


def is_inside(path: str) -> bool:
    """Whether a relative path stays below where it starts, on any system."""
    return not any(kind(path).is_absolute() or ".." in kind(path).parts for kind in (PurePosixPath, PureWindowsPath))


def _extract(archive: Path, target: Path) -> None:
    try:
        with tarfile.open(archive) as tar:
            size = 0
            for member in tar:
                size += member.size
                if not is_inside(member.name):
                    raise CorpusError(f"{archive} holds {member.name!r}, which would land outside; it is not unpacked")
                if size > UNPACKED_BYTES:
                    raise CorpusError(f"{archive} holds more than {UNPACKED_BYTES / 2**30:g} GiB; it is left packed")
                tar.extract(member, target, filter="data")
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise CorpusError(f"cannot unpack {archive}: {error}") from error
