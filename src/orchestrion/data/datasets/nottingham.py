"""Nottingham: folk tunes as melody and chords."""

from __future__ import annotations

import hashlib
from pathlib import Path

from symusic import Score

from orchestrion.data.dataset import Dataset, Facts, Item, existing, read_item

FOLDER = "MIDI"
MELODY, CHORDS = (110, 73, 21, 78), (25, 24, 46, 25)  # fiddle, flute, accordion, whistle; guitars and harp
#: Beginning of a file's name -> quarter notes a minute at which such a dance is played.
DANCES = {
    "jigs": 110, "slip": 120, "reels": 100, "hpps": 90, "morris": 100, "waltzes": 120, "xmas": 100,
}  # fmt: skip


class Nottingham(Dataset):
    """1,034 British and American folk tunes (0.3 MB packed), a melody and its chords. No official split."""

    name = "nottingham"
    licence = "GPLv3"
    source = "Nottingham Music Database, cleaned by J. Ridge"
    defects = (
        "the sources name no instruments: here melody and chords are given one pair of four, by the name of the file",
        "the sources name no tempo: here each kind of dance has its own",
        "chords are plain blocks, velocity is constant",
    )

    def recognises(self, directory: Path) -> bool:
        return (directory / "nottingham.tar.xz").is_file() or (directory / FOLDER / "jigs1.mid").is_file()

    def items(self, root: Path) -> list[Item]:
        facts: Facts = {"genre": ["folk"]}
        files = sorted(path.name for path in (root / FOLDER).glob("*.mid"))
        items = [Item(f"nottingham/{file[:-4]}", f"{FOLDER}/{file}", file[:-4], None, facts) for file in files]
        existing(root, items)
        return items

    def load(self, root: Path, item: Item) -> Score:
        from symusic import Tempo

        score = read_item(root, item)
        tempo = next((qpm for start, qpm in DANCES.items() if item.group.startswith(start)), 110)
        score.tempos = [Tempo(0, tempo)]
        pair = hashlib.sha256(item.id.encode()).digest()[0] % len(MELODY)
        playing = [track for track in score.tracks if len(track.notes)]
        for track, program in zip(playing, (MELODY[pair], *[CHORDS[pair]] * 32), strict=False):
            track.program, track.name = program, ""
        return score
