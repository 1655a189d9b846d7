"""ComMU: short single tracks by composers, each with what it was ordered as."""

from __future__ import annotations

import re
from pathlib import Path

from symusic import Score

from orchestrion.data.dataset import SPLIT_NAMES, Dataset, Item, existing, read_item, read_table
from orchestrion.music.theory import PROGRAM_NAMES

TABLE = "commu_recovered_meta_all_11144.csv.xz"

#: Its instrument names as General MIDI programs. "orgel" is what Korean and Japanese call a music box.
PROGRAMS = {
    "acoustic_piano": 0, "electric_piano": 4, "celesta": 8, "glockenspiel": 9, "orgel": 10, "vibraphone": 11,
    "marimba": 12, "xylophone": 13, "bell": 14, "nylon_guitar": 24, "acoustic_guitar": 25, "electric_guitar_clean": 27,
    "electric_guitar_distortion": 30, "electric_bass": 33, "synth_bass": 38, "synth_bass_wobble": 39,
    "string_violin": 40, "string_viola": 41, "string_cello": 42, "string_double_bass": 43, "harp": 46, "timpani": 47,
    "string_ensemble": 48, "choir": 52, "synth_voice": 54, "trombone": 57, "tuba": 58, "horn": 60,
    "brass_ensemble": 61, "oboe": 68, "bassoon": 70, "clarinet": 71, "flute": 73, "synth_pluck": 80, "synth_pad": 89,
}  # fmt: skip


class Commu(Dataset):
    """11,144 pieces of 4 to 16 bars (1.6 MB packed) with key, tempo, meter and chords; 8,924 of them also with genre,
    role, instrument and range. Chords stand in the MIDI as markers. Archive: sha256 d273ebb79a3750e6.

    Official split 8,382 / 542 of the labelled pieces.
    """

    name = "commu"
    single_parts = True
    licence = "CC BY-NC-SA 4.0"
    source = "ComMU: Dataset for Combinatorial Music Generation, POZAlabs, NeurIPS 2022"
    defects = (
        "every file says program 0: the instrument is taken from the table and 2,220 pieces without one stay piano",
        "only C major and A minor; pieces are single tracks of a texture, not whole music",
    )

    def recognises(self, directory: Path) -> bool:
        return (directory / TABLE).is_file()

    def items(self, root: Path) -> list[Item]:
        items = []
        for row in read_table(root / TABLE):
            facts: dict[str, str | float | list[str]] = {
                "key": "A minor" if row["key_midi"] == "Am" else "C major",
                "meter": row["time_signature"],
                "tempo": float(row["bpm"]),
            }
            if row["genre"]:
                program = PROGRAMS[re.sub(r"-\d+$", "", row["inst"])]
                facts |= {"genre": [row["genre"].replace("newage", "new age")], "instrument": PROGRAM_NAMES[program]}
                facts |= {"role": row["track_role"].replace("_", " "), "range": row["pitch_range"].replace("_", " ")}
                facts |= {"rhythm": row["sample_rhythm"]}
            path = f"midiFiles/{row['id']}.mid"
            items.append(Item(f"commu/{row['id']}", path, row["id"], SPLIT_NAMES[row["split_data"]], facts))
        existing(root, items)
        return items

    def load(self, root: Path, item: Item) -> Score:
        score = read_item(root, item)
        for track in score.tracks:
            track.program = PROGRAM_NAMES.index(str(item.facts.get("instrument", PROGRAM_NAMES[0])))
        return score
