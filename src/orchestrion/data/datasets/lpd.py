"""Lakh Pianoroll Dataset: songs as piano rolls of five or seventeen tracks, or of those of their MIDI files."""

from __future__ import annotations

import lzma
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from symusic import Score

from orchestrion.data.dataset import ARCHIVES, SPLIT_NAMES, Dataset, Item, read_item
from orchestrion.data.datasets.band import GENRES, MOODS
from orchestrion.data.store import CorpusError

#: Folders and archives of its versions: lpd_5_cleansed, lpd_17, lpd_full ...
VERSION = re.compile(r"lpd(_5|_17)?(_full|_matched|_cleansed)?")
#: Its lists, compressed or not: songs of a label, files and their songs, and files of Lakh held out by others.
LABEL, SONGS, HELD_OUT = (re.compile(rf"{name}\.txt(\.xz)?") for name in
                          (r"id_list_(.+)", r".*(?:cleansed|matched)_ids", r".*(test|valid)"))  # fmt: skip
SONG = re.compile(r"TR[A-Z0-9]{16}")  # of the Million Song Dataset


class Lpd(Dataset):
    """Up to 174,154 songs of the Lakh MIDI Dataset on 24 steps a quarter note, read as they are: any version, with all
    its lists that lie in the folder. 21,425 are `cleansed`: 4/4, first beat at zero, one file a song.

    A song of the Million Song Dataset is a group. The split is that of lists of files held out, such as
    `mmt_lmdfull_test.txt`, where there are any.
    """

    name = "lpd"
    licence = "CC BY 4.0, as its authors say of their work; the songs are of others"
    source = "Lakh Pianoroll Dataset, AAAI 2018"
    defects = (
        "genres come by way of matched audio, and some matches are wrong",
        "lpd_5 leaves out synth effects, percussive and sound effects, which its paper counts as strings",
        "a note struck again is told from one held by a step of silence alone",
    )

    def recognises(self, directory: Path) -> bool:
        return any(
            VERSION.fullmatch(path.name.partition(".")[0])
            and (path.name.endswith(ARCHIVES) if path.is_file() else any(path.rglob("*.npz")))
            for path in (directory.resolve(), *directory.iterdir())
        )

    def items(self, root: Path) -> list[Item]:
        files: list[str] = []
        labels: dict[str, list[str]] = defaultdict(list)  # of a song
        songs: dict[str, str] = {}  # of the md5 of a MIDI file
        held_out: dict[str, str] = {}  # and its split
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            if path.suffix == ".npz":
                files.append(path.relative_to(root).as_posix())
            elif label := LABEL.fullmatch(path.name):
                for words in _rows(path):
                    labels[words[0]].append(label[1].lower())
            elif SONGS.fullmatch(path.name):
                songs |= {words[0]: words[1] for words in _rows(path) if len(words) > 1}
            elif split := HELD_OUT.fullmatch(path.name):
                held_out |= {PurePosixPath(words[0]).stem: str(SPLIT_NAMES[split[1]]) for words in _rows(path)}
        groups = {path: _song(path) or songs.get(Path(path).stem) or Path(path).stem for path in files}
        splits = {groups[path]: held_out[Path(path).stem] for path in files if Path(path).stem in held_out}
        unlisted = SPLIT_NAMES["train"] if held_out else None
        return [
            Item(
                f"{self.name}/{path.removesuffix('.npz')}",
                path,
                group,
                splits.get(group, unlisted),
                _facts(labels[group]),
            )
            for path, group in groups.items()
        ]

    def load(self, root: Path, item: Item) -> Score:
        return read_item(root, item)


def _rows(path: Path) -> Iterator[list[str]]:
    """The words of each line that is no comment."""
    try:
        data = path.read_bytes()
        text = (lzma.decompress(data) if path.suffix == ".xz" else data).decode("utf-8")
    except (OSError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise CorpusError(f"cannot read the list {path} ({error}); expected lines of ids in UTF-8") from error
    return (line.split() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _song(path: str) -> str | None:
    """The song in whose folder a file lies."""
    return next((part for part in PurePosixPath(path).parts if SONG.fullmatch(part)), None)


def _facts(labels: list[str]) -> Mapping[str, list[str]]:
    facts = {}
    for kind, words in (("genre", GENRES), ("mood", MOODS)):
        if found := list(dict.fromkeys(words[label] for label in labels if label in words)):
            facts[kind] = found
    return facts
