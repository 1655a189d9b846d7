"""JSB: Bach's chorales in four voices."""

from __future__ import annotations

import json
import lzma
from functools import lru_cache
from pathlib import Path

import numpy as np
from symusic import Note, Score, Tempo, TimeSignature, Track

from orchestrion.data.dataset import SPLIT_NAMES, Dataset, Facts, Item
from orchestrion.data.store import CorpusError

FILE = "Jsb16thSeparated.json.xz"
VOICES = ("soprano", "alto", "tenor", "bass")
CHOIR = 52  # General MIDI choir aahs
STEPS_PER_BAR, TICKS_PER_STEP = 16, 120
VELOCITY = 80
TEMPO = 80.0  # quarter notes a minute: ours, none is recorded


class Jsb(Dataset):
    """382 chorales harmonised by Bach (0.07 MB packed), four voices on a grid of sixteenths.
    File: sha256 b63a0436054d77ee. Official split 229 / 76 / 77.

    Equal pitches in a row are joined into one held note. Pieces whose length leaves a beat over begin with an upbeat of
    one beat: chords held for a half note or longer then begin on the first or third beat in 90 % of cases.
    """

    name = "jsb"
    licence = "none stated for the data; the music is in the public domain"
    source = "JSB Chorales in sixteenths, after Boulanger-Lewandowski 2012 and Huang 2017"
    defects = (
        "no meter is recorded: all are given 4/4, wrong for the few in 3/4",
        "no tempo is recorded: all are given 80 quarter notes a minute",
        "repeated notes cannot be told from held ones, and fermatas are missing",
    )

    def recognises(self, directory: Path) -> bool:
        return (directory / FILE).is_file()

    def items(self, root: Path) -> list[Item]:
        facts: Facts = {"composer": "Bach", "style": "chorale", "genre": ["classical"]}
        return [
            Item(f"jsb/{split}/{number:03d}", FILE, f"{split}/{number:03d}", SPLIT_NAMES[split], facts)
            for split in ("train", "valid", "test")
            for number in range(len(_chorales(root / FILE)[split]))
        ]

    def load(self, root: Path, item: Item) -> Score:
        _, split, number = item.id.split("/")
        voices = np.array(_chorales(root / FILE)[split][int(number)], dtype=np.int64)  # (steps, 4), below 0 is silence
        upbeat = STEPS_PER_BAR // 4 if len(voices) % 8 == 4 else 0
        lead = (STEPS_PER_BAR - upbeat) % STEPS_PER_BAR
        score = Score(4 * TICKS_PER_STEP)
        score.tempos = [Tempo(0, qpm=TEMPO)]
        score.time_signatures = [TimeSignature(0, 4, 4)]
        for name, pitches in zip(VOICES, voices.T, strict=True):
            starts = np.flatnonzero(np.r_[True, pitches[1:] != pitches[:-1]])
            lengths = np.diff(np.r_[starts, len(pitches)])
            sounding = pitches[starts] >= 0
            columns = ((starts + lead) * TICKS_PER_STEP, lengths * TICKS_PER_STEP, pitches[starts])
            time, duration, pitch = (column[sounding].astype(np.int32) for column in columns)
            velocity = np.full(len(time), VELOCITY, np.int8)
            track = Track(name, CHOIR, False)
            track.notes = Note.from_numpy(time, duration, pitch.astype(np.int8), velocity, "tick")
            score.tracks.append(track)
        return score


@lru_cache(maxsize=1)  # all chorales lie in one file
def _chorales(path: Path) -> dict[str, list[list[list[int]]]]:
    try:
        chorales: dict[str, list[list[list[int]]]] = json.loads(lzma.decompress(path.read_bytes()))
    except (OSError, ValueError, lzma.LZMAError) as error:
        raise CorpusError(f"cannot read the chorales in {path} ({error})") from error
    return chorales
