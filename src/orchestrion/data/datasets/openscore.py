"""OpenScore: songs for voice and piano, and string quartets, engraved by volunteers."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from symusic import Note, Score, TimeSignature, Track

from orchestrion.data.dataset import Dataset, Facts, Item, existing, read_table

INDEX = "index.csv"
PIANO, HARPSICHORD, VIOLIN, VIOLA, CELLO, CHOIR, VOICE = 0, 6, 40, 41, 42, 52, 53
CHOIR_PARTS = 4  # from so many sung parts on they are a choir
UNNAMED_TEMPO = 120  # what a file has where its score names no tempo
LONGEST_QUARTERS = 8  # of a bar; longer ones are cadenzas, and are cut into shorter bars
SMALLEST = 4  # a bar lasts a whole number of these parts of a quarter note

VOICES = re.compile(
    r"\b(voices?|singstimmen?|stimmen?|gesang|chant|canto|cantus|vocal\w*|sopran\w*|mezzo|alt[oi]?|altus|contralto|"
    r"ten(or\w*)?|ténors?|bariton\w*|bass|bassi|basso|dessus|men|women|femmes|choeur|s|a|t|b)\b"
)
KEYBOARDS = re.compile(r"piano|klavier|harpsichord|cembalo")
ALTERNATIVES = re.compile(r"only|\bossia|\bfacilit|(\bv\.|\bverse|\bstrophe)\s*[2-9]")  # not played with the others
#: First word that fits the name of a track.
PLAYERS = {
    "flute": 73, "oboe": 68, "hautbois": 68, "clarinet": 71, "recorder": 74, "traverso": 73, "horn": 60,
    "trombone": 57, "trumpet": 56, "violonc": CELLO, "cello": CELLO, "violin": VIOLIN, "viola": VIOLA,
    "bratsche": VIOLA, "guit": 24, "harp": 46,
}  # fmt: skip


class OpenScoreLieder(Dataset):
    """1,458 songs of the nineteenth century and around it for voice and piano (51 hours, 1.58 M notes, 2.6 MB packed).
    Both hands of the pianist are one track; a sung part is voice oohs, four or more are choir. No official split: songs
    of one cycle, and copies of one song, are a group.
    """

    name = "openscore_lieder"
    licence = "CC0 1.0"
    source = "OpenScore Lieder Corpus"
    defects = (
        "engraved scores played by a program: velocity is what the dynamics say, with no touch, and time is strict",
        "160 scores name no tempo: they play at 120, which no caption tells",
        "repeats are played out; each verse repeats all notes",
        "the words are left out",
    )

    def recognises(self, directory: Path) -> bool:
        return first_row(directory).get("instrument") == "voice and piano"

    def items(self, root: Path) -> list[Item]:
        return _items(self, root, {"genre": ["classical"], "style": "art song"})

    def load(self, root: Path, item: Item) -> Score:
        score = read_engraved(root, item)
        sung = {track.name for track in score.tracks if len(track.lyrics)}
        tracks = [t for t in score.tracks if len(t.notes) and not ALTERNATIVES.search(t.name.lower())]
        if not tracks:  # all that it holds are alternatives
            tracks = [track for track in score.tracks if len(track.notes)]
        singers = []
        for track in tracks:
            name = track.name.lower()
            if KEYBOARDS.search(name):
                track.program = HARPSICHORD if re.search("harpsi|cembalo", name) else PIANO
            elif track.name in sung or not (player := next((p for word, p in PLAYERS.items() if word in name), None)):
                if track.name in sung or track.program or VOICES.search(name):
                    singers.append(track)
            else:
                track.program = player
        for track in singers:
            track.program = CHOIR if len(singers) >= CHOIR_PARTS else VOICE
        score.tracks = one_track_each(tracks, {PIANO, HARPSICHORD})
        return score


class OpenScoreQuartets(Dataset):
    """122 string quartets and movements of them (48 hours, 1.66 M notes, 1.7 MB packed): two violins, viola and cello,
    a track each. No official split: the movements of a work are a group.
    """

    name = "openscore_quartets"
    licence = "CC0 1.0"
    source = "OpenScore String Quartets"
    defects = (
        "engraved scores played by a program: velocity is what the dynamics say, with no touch, and time is strict",
        "one file may hold all movements, one after the other",
        "where a score names no tempo it plays at 120, which no caption tells",
    )

    def recognises(self, directory: Path) -> bool:
        return first_row(directory).get("instrument") == "string quartet"

    def items(self, root: Path) -> list[Item]:
        return _items(self, root, {"genre": ["classical"], "style": "string quartet"})

    def load(self, root: Path, item: Item) -> Score:
        score = read_engraved(root, item)
        for track in score.tracks:
            track.is_drum = False  # two violins are written on the channel of the drums
            track.program = next((p for word, p in PLAYERS.items() if word in track.name.lower()), track.program)
        return score


def first_row(directory: Path) -> dict[str, str]:
    """The first row of the folder's index by column; empty where there is none."""
    try:
        with (directory / INDEX).open(encoding="utf-8-sig", newline="") as file:
            return next(csv.DictReader(file), {})
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}


def _items(dataset: Dataset, root: Path, facts: Facts) -> list[Item]:
    items = []
    for row in sorted(read_table(root / INDEX), key=lambda row: row["file"]):
        composer, work, *rest = row["source_path"].split("/")[1:-1]
        if work == "_" and rest:  # a song that belongs to no cycle
            work = rest[0]
        own: Facts = {"composer": row["composer"].split(",")[0].replace("_", " "), **facts}
        id_ = f"{dataset.name}/{Path(row['file']).stem}"
        items.append(Item(id_, row["file"], work_group(composer, work), None, own))
    existing(root, items)
    return [with_tempo_untold(root, item) for item in items]


def work_group(*names: str) -> str:
    """One word for a work, that does not tell its title."""
    return hashlib.sha256("/".join(names).encode()).hexdigest()[:16]


def with_tempo_untold(root: Path, item: Item) -> Item:
    """The same item, with facts that keep captions from telling a tempo that the score does not name."""
    try:
        tempos = Score(root / item.path).tempos
    except Exception:  # symusic raises several; `load` says what is wrong with the file
        return item
    if any(round(tempo.qpm, 2) != UNNAMED_TEMPO for tempo in tempos):
        return item
    return Item(item.id, item.path, item.group, item.split, {**item.facts, "tempo": "", "pace": ""})


def read_engraved(root: Path, item: Item) -> Score:
    """The file of an item with bars that a grid of cells can hold: those of more than eight quarter notes are cut into
    shorter ones, those that last no whole number of sixteenths are stretched to one. Raises ScoreError."""
    from orchestrion.music import ScoreError
    from orchestrion.music.bars import bars
    from orchestrion.music.files import read

    score = read(root / item.path)
    score.time_signatures = [_short_enough(signature) for signature in score.time_signatures]
    try:
        lines = bars(score)
    except ScoreError as error:
        raise ScoreError(f"cannot read {root / item.path}: {error}") from error
    unit = score.tpq // SMALLEST  # ticks
    lengths = np.array([bar.length for bar in lines], dtype=np.int64)
    fitted = np.maximum(unit, np.rint(lengths / unit).astype(np.int64) * unit)
    changed = np.flatnonzero(lengths != fitted)
    if not len(changed):
        return score
    old = np.array([bar.start for bar in lines] + [lines[-1].end])
    new = np.concatenate([[0], np.cumsum(fitted)])
    _move(score, old, new)
    signatures = [
        TimeSignature(int(start), bar.meter.numerator, bar.meter.denominator)
        for start, bar in zip(new, lines, strict=False)
    ]
    for index in changed.tolist():
        sixteenths = int(fitted[index]) // unit
        even = next(part for part in (4, 2, 1) if sixteenths % part == 0)
        signatures[index] = TimeSignature(int(new[index]), sixteenths // even, 16 // even)
    score.time_signatures = signatures
    return score


def _short_enough(signature: TimeSignature) -> TimeSignature:
    """The same signature, or that of the shorter bars into which its bars are cut."""
    quarters = signature.numerator * 4 / signature.denominator
    if quarters <= LONGEST_QUARTERS and signature.numerator <= 64:
        return signature
    beats = next((beats for beats in (4, 3, 5) if quarters % beats == 0), 4)
    return TimeSignature(signature.time, beats, 4)


def _move(score: Score, old: np.ndarray, new: np.ndarray) -> None:
    """Move all from the ticks `old`, and what lies between them in proportion, to the ticks `new`."""

    def moved(ticks: np.ndarray) -> np.ndarray:
        return np.rint(np.interp(ticks, old, new)).astype(np.int32)

    for track in score.tracks:
        notes = track.notes.numpy()
        ends = moved(notes["time"] + notes["duration"])
        notes["time"] = moved(notes["time"])
        notes["duration"] = np.maximum(1, ends - notes["time"])
        track.notes = Note.from_numpy(**notes, ttype="tick")
        track.controls, track.pitch_bends, track.pedals = [], [], []  # an engraving has none that matter
    for events in (score.tempos, score.key_signatures):
        for event in events:
            event.time = int(moved(np.array([event.time]))[0])


def one_track_each(tracks: Iterable[Track], programs: Iterable[int]) -> list[Track]:
    """The tracks, with all those of each of the programs in one: the hands of one player."""
    merged: list[Track] = []
    first: dict[int, Track] = {}
    for track in tracks:
        if track.program in programs and track.program in first:
            hands = first[track.program]
            hands.notes.extend(track.notes)
            hands.pedals.extend(track.pedals)
        else:
            merged.append(track)
            first[track.program] = track
    for track in first.values():
        track.sort()
    return merged
