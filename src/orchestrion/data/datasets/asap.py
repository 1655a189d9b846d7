"""ASAP: scores of classical piano music."""

from __future__ import annotations

import re
from pathlib import Path

from symusic import Score

from orchestrion.data.dataset import SPLIT_NAMES, Dataset, Item, existing, read_item, read_table

TABLE = "asap_metadata_with_splits.csv"
FORMS = {
    "fugue": "fugue", "prelude": "prelude", "preludes": "prelude", "sonata": "sonata", "sonatas": "sonata",
    "etude": "étude", "etudes": "étude", "ballade": "ballade", "ballades": "ballade", "scherzos": "scherzo",
    "impromptu": "impromptu", "waltz": "waltz", "toccata": "toccata", "barcarolle": "barcarolle",
    "berceuse": "berceuse", "polonaises": "polonaise", "pavane": "pavane", "fantasie": "fantasy",
    "concerto": "concerto", "rhapsodies": "rhapsody",
}  # fmt: skip


class Asap(Dataset):
    """235 MIDI scores of piano pieces by 16 composers, Bach to Prokofiev (4.5 MB packed with annotations), two staves a
    piece. Bar lines of the files agree with the annotated downbeats for all of them. Archive: sha256 ce384a963f2bd6a2.

    A piece is in MAESTRO's split where one of its performances is, else in that of its e-competition cluster; never in
    training where any performance is held out.
    """

    name = "asap"
    licence = "CC BY-NC-SA 4.0"
    source = "ASAP: aligned scores and performances, ISMIR 2020, with MAESTRO v2's split"
    defects = (
        "repeats are played out, so sections occur twice; ornaments are written as very short notes",
        "velocity is constant: a score has no touch",
        "14 pieces hold a cadenza written as one bar of more than 64 beats and are refused",
        "key signatures give sharps and flats, not the mode",
    )

    def recognises(self, directory: Path) -> bool:
        return (directory / TABLE).is_file()

    def items(self, root: Path) -> list[Item]:
        rows = read_table(root / TABLE)
        splits: dict[str, str] = {}
        for column in ("ecomp_cluster_split", "official_maestro_v2_split"):
            for split in ("train", "validation", "test"):  # the later wins: what is held out once stays held out
                found = {_group(row): split for row in rows if row[column] == split}
                splits |= found
        pieces = {row["midi_score"]: row for row in rows}
        items = []
        for path, row in sorted(pieces.items()):
            facts: dict[str, str | float | list[str]] = {"composer": row["composer"], "genre": ["classical"]}
            words = re.split(r"[_/]", row["folder"].lower() + "_" + row["title"].lower())
            if form := next((FORMS[word] for word in words if word in FORMS), None):
                facts["style"] = form
            held = SPLIT_NAMES[splits.get(_group(row), "")]
            items.append(Item(f"asap/{row['folder']}", path, _group(row), held, facts))
        existing(root, items)
        return items

    def load(self, root: Path, item: Item) -> Score:
        return read_item(root, item)


def _group(row: dict[str, str]) -> str:
    return f"{row['composer']}/{row['title']}"
