"""MAESTRO: pianists in competition."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from symusic import Score

from orchestrion.data.dataset import SPLIT_NAMES, Dataset, Facts, Item, existing, read_item, read_table

TABLE = "maestro-v3.0.0.csv"
FOLDER = "maestro-v3.0.0"  # in which the archive holds the files

#: What the written tempo and meter would make of a performance without beats; empty, so that no caption tells it.
UNTOLD: Facts = dict.fromkeys(("tempo", "pace", "meter", "feel"), "")


class Maestro(Dataset):
    """1,276 performances of the piano competition at Minneapolis (199 hours, 7.04 million notes, 50 MB packed), played
    on Disklaviers and recorded by them to the millisecond. Archive: sha256 3dce812d0b0b3a99. Official split
    962 / 137 / 177.

    Times are those of the performance: the 120 quarter notes a minute that files are written at say nothing of beats.
    """

    name = "maestro"
    licence = "CC BY-NC-SA 4.0"
    source = "MAESTRO v3.0.0, Magenta, ICLR 2019"
    defects = (
        "no beats, bars or keys: cells lie on a grid that the music does not follow",
        "5 of 856 compositions, as composer and title name them, lie in two of the official splits",
        "one file may hold several movements; the longest lasts 44 minutes",
    )

    def recognises(self, directory: Path) -> bool:
        return (directory / TABLE).is_file()

    def items(self, root: Path) -> list[Item]:
        inside = FOLDER if (root / FOLDER).is_dir() else ""
        items = []
        for row in read_table(root / TABLE):
            composer, file = row["canonical_composer"], PurePosixPath(row["midi_filename"])
            facts: Facts = {"composer": surname(composer), "genre": ["classical"], **UNTOLD}
            group = hashlib.sha256(f"{composer}/{row['canonical_title']}".encode()).hexdigest()[:16]
            path = (inside / file).as_posix()
            items.append(Item(f"maestro/{file.with_suffix('')}", path, group, SPLIT_NAMES[row["split"]], facts))
        existing(root, items)
        return sorted(items, key=lambda item: item.id)

    def load(self, root: Path, item: Item) -> Score:
        return read_item(root, item)


def surname(composer: str) -> str:
    """Of the one who wrote it, not of who arranged it: "Franz Schubert / Franz Liszt" -> "Schubert"."""
    return composer.split("/")[0].split()[-1]
