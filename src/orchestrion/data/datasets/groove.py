"""Groove: drummers play."""

from __future__ import annotations

import re
from pathlib import Path

from symusic import Score, Tempo, TimeSignature

from orchestrion.data.dataset import SPLIT_NAMES, Dataset, Facts, Item, existing, read_item, read_table
from orchestrion.music.theory import Meter

TABLE = "info.csv"
COLUMNS = {"drummer", "style", "beat_type", "time_signature", "midi_filename", "split"}

#: Pads of the electronic kit that General MIDI has no sound for: hi-hat edge closed and open, tom rim.
GENERAL_MIDI = {22: 42, 26: 46, 58: 43}

STYLES = {"hiphop": "hip hop", "neworleans": "new orleans", "afrocuban": "afro-cuban", "purdieshuffle": "shuffle",
          "middleeastern": "middle eastern", "secondline": "second line", "brazilian": "brazilian",
          "prog": "progressive rock", "sambareggae": "samba reggae"}  # fmt: skip
_PACE = re.compile(r"groove\d+|slow|fast|mediumfast|soft|linear")  # words that are no style


class Groove(Dataset):
    """1,150 recordings of drummers on an electronic kit (14 hours, 2.3 MB packed) to a metronome, with style, tempo and
    meter; beats and short fills. Archive: sha256 2d30ffec50539319. Fills under one bar are left out here.

    Official split 897 / 124 / 129. Timing is the drummer's: notes lie around the grid, not on it.
    """

    name = "groove"
    single_parts = True
    licence = "CC BY 4.0"
    source = "Groove MIDI Dataset 1.0.0, Magenta, ICML 2019"
    defects = (
        "pads outside of General MIDI (hi-hat edge, tom rim) are moved to its hi-hats and floor tom",
        "most styles are played by one or two of ten drummers",
    )

    def recognises(self, directory: Path) -> bool:
        return (directory / TABLE).is_file() and set(read_table(directory / TABLE)[0]) >= COLUMNS

    def items(self, root: Path) -> list[Item]:
        items = []
        for row in read_table(root / TABLE):
            meter = Meter.parse(row["time_signature"].replace("-", "/"))
            bars = float(row["duration"]) * float(row["bpm"]) / 60 / meter.quarters
            if bars < 1:
                continue
            words = [STYLES.get(word, word) for word in re.split("[/-]", row["style"]) if not _PACE.fullmatch(word)]
            facts: Facts = {
                "genre": words,
                "meter": meter.name,
                "tempo": float(row["bpm"]),
                "role": "drum beat" if row["beat_type"] == "beat" else "drum fill",
            }
            split = SPLIT_NAMES[row["split"]]
            items.append(Item(f"groove/{row['id']}", f"groove/{row['midi_filename']}", row["id"], split, facts))
        existing(root, items)
        return items

    def load(self, root: Path, item: Item) -> Score:
        score = read_item(root, item)
        for track in score.tracks:
            track.is_drum = True
            for note in track.notes:
                note.pitch = GENERAL_MIDI.get(note.pitch, note.pitch)
        meter = Meter.parse(str(item.facts["meter"]))
        score.time_signatures = [TimeSignature(0, meter.numerator, meter.denominator)]
        score.tempos = [Tempo(0, qpm=float(str(item.facts["tempo"])))]
        return score
