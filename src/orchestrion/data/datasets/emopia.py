"""EMOPIA: pop piano by emotion."""

from __future__ import annotations

from pathlib import Path

from symusic import Score

from orchestrion.data.dataset import SPLIT_NAMES, Dataset, Facts, Item, existing, read_item, read_table

TABLES = ("train", "val", "test")

#: The quadrants of the valence and arousal plane, as the word for each that people use.
EMOTIONS = {"Q1": "happy", "Q2": "tense", "Q3": "sad", "Q4": "calm"}


class Emopia(Dataset):
    """1,078 clips of pop piano (12 hours, 1.2 MB packed) of 387 songs, each heard by annotators as one of four
    emotions: happy (high valence, high arousal), tense (low, high), sad (low, low), calm (high, low).
    Archive: sha256 0e1f470db2b98837.

    Official split by clip, 876 / 114 / 88. Songs are kept whole in it except where the source parted one.
    """

    name = "emopia"
    licence = "CC BY-NC-SA 4.0"
    source = "EMOPIA: A Multi-Modal Pop Piano Dataset, ISMIR 2021"
    defects = (
        "transcribed from audio by a network: no bars and no beats, 120 quarter notes a minute in every file; beats "
        "are found here and can be wrong",
        "the pedal is written as longer notes",
    )
    draw_weight = 0.15  # a beat grid that is guessed teaches little

    def recognises(self, directory: Path) -> bool:
        return all((directory / "split" / f"{name}_clip.csv").is_file() for name in TABLES)

    def items(self, root: Path) -> list[Item]:
        items = []
        for table in TABLES:
            for row in read_table(root / "split" / f"{table}_clip.csv"):
                clip = row["clip_name"].removesuffix(".mid")
                quadrant, rest = clip.split("_", 1)
                song = rest.rsplit("_", 1)[0]
                facts: Facts = {"emotion": EMOTIONS[quadrant], "genre": ["pop"]}
                items.append(Item(f"emopia/{clip}", f"midis/{clip}.mid", song, SPLIT_NAMES[table], facts))
        existing(root, items)
        return sorted(items, key=lambda item: item.id)

    def load(self, root: Path, item: Item) -> Score:
        from orchestrion.music.beats import align_performance

        return align_performance(read_item(root, item))
