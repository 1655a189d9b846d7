"""Mutopia: music of the public domain, typeset by volunteers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from symusic import Score, Track

from orchestrion.data.dataset import Dataset, Facts, Item, existing, read_table
from orchestrion.data.datasets.openscore import (
    CHOIR,
    HARPSICHORD,
    INDEX,
    PIANO,
    VOICE,
    VOICES,
    first_row,
    one_track_each,
    read_engraved,
    with_tempo_untold,
    work_group,
)
from orchestrion.music.theory import pitch_range

ORGAN, GUITAR, HARP = 19, 24, 46
CHORDAL = {PIANO, HARPSICHORD, ORGAN, 20, 21, GUITAR, HARP}
KEYED = (PIANO, HARPSICHORD, ORGAN, 20, 21)
CHORDS = 0.2  # of a track's notes struck together with another, from which on its player plays chords
WITHIN = 0.95  # of its notes that must lie in the range of its player
#: Words of the column `instrument` and of tracks, in the order in which they are tried, and the program of each.
WORDS = {
    r"reed organ|harmonium": 20, r"org(an|el|ue)|pedale?\b": ORGAN, r"harpsi|cembalo|clavi|hpsi|continuo": HARPSICHORD,
    r"piano|klavier": PIANO, r"accordion": 21, r"guitar|\blute|vihuela": GUITAR, r"harp|arpa": HARP,
    r"string ensemble": 48, r"violoncell|cello": 42, r"contra-?bass|double bass": 43, r"viol[io]n": 40,
    r"viola": 41, r"trumpet|trpt": 56, r"bass trombone|trombone": 57, r"tuba": 58, r"english horn|caccia": 69,
    r"horn|cornu|\bcor\b": 60, r"brass": 61, r"alto sax": 65, r"oboe|oboi|hautbois": 68, r"bassoon|fagott": 70,
    r"clarinet": 71, r"recorder": 74, r"fl[uû]te|flaut|flte": 73, r"shakuhachi": 77, r"shamisen": 106, r"koto": 107,
    r"glockenspiel": 9, r"\bbell": 14, r"xylophone": 13,
}  # fmt: skip
_CHOIR = re.compile(r"\b(?!bass\b)[satb]{3,}\b|choir|\bs\.s\.|soprani")
_SUNG = re.compile(r"voice|choir|satb|soprano|mezzo|tenore|ttbb|s\.s\.")
_HANDS = re.compile(r"(.+?) +\d")  # a staff of several: "upper 2"

COMPOSERS = {
    "Faure": "Fauré", "Dvorak": "Dvořák", "Burgmuller": "Burgmüller", "RougetdeLisle": "Rouget de Lisle",
    "Mendelssohn-Bartholdy": "Mendelssohn", "Saint-Saens": "Saint-Saëns", "Pres": "Josquin des Prez",
}  # fmt: skip
STYLES: dict[str, Facts] = {
    "Baroque": {"genre": ["classical", "baroque"]}, "Renaissance": {"genre": ["classical", "renaissance"]},
    "Folk": {"genre": ["folk"]}, "Jazz": {"genre": ["jazz"]}, "Gospel": {"genre": ["gospel"]},
    "Hymn": {"style": "hymn"}, "March": {"genre": ["classical"], "style": "march"}, "Popular / Dance": {},
    "Technique": {"genre": ["classical"], "style": "étude"}, "Song": {"style": "song"},
    "Motet": {"genre": ["classical"], "style": "motet"}, "strophic with chorus": {"style": "song"},
}  # fmt: skip


class Mutopia(Dataset):
    """1,466 files of pieces for piano, choir, harpsichord, organ, guitar and many others (42 hours, 1.03 M notes, 1.1
    MB packed). What the index and the tracks are called gives the instruments; both hands of a player are one track. No
    official split: what lies in one folder of a composer, mostly an opus, is a group.
    """

    name = "mutopia"
    licence = "public domain, or CC BY as `licence` of each piece says"
    source = "Mutopia Project"
    defects = (
        "typeset scores played by a program: velocity is constant in half of them, and time is strict",
        "1,330 scores name no tempo: they play at 120, which no caption tells",
        "of some pieces every part, or every hand, is a file of its own; their groups hold them together",
        "where the index lists several players and a track has no name, its range and chords decide who plays it",
    )

    def recognises(self, directory: Path) -> bool:
        return {"maintainer", "style", "source_path"} <= first_row(directory).keys()

    def items(self, root: Path) -> list[Item]:
        items = []
        for row in sorted(read_table(root / INDEX), key=lambda row: row["file"]):
            facts = {**STYLES.get(row["style"], {"genre": ["classical"]}), **_terms(row)}
            if named := re.fullmatch(r"([A-Z].*[a-z])[A-Z]+[a-z]?", row["composer"]):  # surname and initials
                facts["composer"] = COMPOSERS.get(named[1], named[1])
            group = work_group(*row["source_path"].split("/")[1:3])
            items.append(Item(f"{self.name}/{Path(row['file']).stem}", row["file"], group, None, facts))
        existing(root, items)
        return [with_tempo_untold(root, item) for item in items]

    def load(self, root: Path, item: Item) -> Score:
        score = read_engraved(root, item)
        told = _instruments(root / INDEX).get(item.path, "")
        score.tracks = with_players([track for track in score.tracks if len(track.notes)], told)
        return score


@lru_cache(maxsize=1)  # one table for all pieces
def _instruments(index: Path) -> dict[str, str]:
    """The column `instrument` by file."""
    return {row["file"]: row["instrument"] for row in read_table(index)}


def _terms(row: dict[str, str]) -> Facts:
    if not row["licence"].startswith("CC BY"):
        return {"licence": row["licence"]}
    version = row["licence"].split()[-1]
    return {"licence": f"CC BY {version}", "source": f"Mutopia Project, typeset by {row['maintainer']}"}


def with_players(tracks: Sequence[Track], told: str) -> list[Track]:
    """The tracks with the programs of those who play them, as `told` by the index, and each player's hands in one."""
    told = told.lower()
    players = listed(told)
    singer = CHOIR if _CHOIR.search(told) else VOICE if _SUNG.search(told) else None
    keyed = [player for player in players if player in KEYED]
    for track in tracks:
        name = track.name.lower().strip()
        own = listed(name)
        if own:
            track.program = own[0]
        elif singer is not None and VOICES.search(name) and not _HANDS.fullmatch(name):
            track.program = singer
        elif keyed and _HANDS.fullmatch(name):
            track.program = track.program if track.program in keyed and track.program else keyed[0]
        elif players or singer is not None:
            candidates = ([singer] if singer is not None else []) + players
            track.program = _fitting(track, candidates, all_told="orchestra" not in told)
        track.is_drum = False
    return one_track_each(tracks, KEYED)


def listed(told: str) -> list[int]:
    """Programs of the players that a text in lower case names, in its order, each once."""
    places: dict[int, int] = {}
    for word, program in WORDS.items():
        if match := re.search(word, told):
            places.setdefault(program, match.start())
            told = told[: match.start()] + "_" * len(match[0]) + told[match.end() :]  # no harp in a harpsichord
    return sorted(places, key=places.__getitem__)


def _fitting(track: Track, players: list[int], all_told: bool) -> int:
    """Who of the players plays the track: the only one, where all are told, or its own program where listed;
    else the first whose range holds its notes, those before others who play chords as it does. Its own program where
    no one fits."""
    if (all_told and len(set(players)) == 1) or (track.program and track.program in players):
        return track.program if track.program in players else players[0]
    notes = track.notes.numpy()
    chords = 1 - len(np.unique(notes["time"])) / len(notes["time"]) >= CHORDS
    for player in sorted(players, key=lambda player: (player in CHORDAL) != chords):
        low, high = pitch_range(player)
        if ((notes["pitch"] >= low) & (notes["pitch"] <= high)).mean() >= WITHIN:
            return player
    return track.program
