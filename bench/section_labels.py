"""Sections found in POP909 against two people's labels: where they begin and which of them share a letter.

    python bench/section_labels.py --data FOLDER [--songs 300]

FOLDER holds pop909.tar.xz and pop909_structure.tar.xz, unpacked into each other: POP909, POP909_CL_processed.

Protocol. Every third song, from the second on: none of them was used to choose a weight. People's bars are laid upon
ours by the most frequent distance between equal notes of their melody and of our melody track; songs are left out
where that is no whole number of bars, where less than 55 % of the melody meets, and those not in 4/4. The first section
of whoever starts later and the end do not count. A boundary is found when one is set within 0 or 1 bars, each once. Of
letters, pairs of bars: F1 of "the same letter". "X" and "x" stand for material of its own: no two are the same. A
figure is the mean over songs, and over both people. The fixed sections begin at our first bar, or (aligned) at the
person's; their letters are found like ours. "Own letters" are found between a person's boundaries.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from record import record

from orchestrion.data.datasets.pop909 import SONGS, Pop909
from orchestrion.music import ScoreError
from orchestrion.planning.sections import bar_similarity, find_form, section_letters
from orchestrion.representations.cells import (
    BAR,
    PITCH,
    POSITION,
    STEPS_PER_QUARTER,
    TRACK,
    Cells,
    bar_starts,
    encode_tracks,
)

EVERY, FIRST = 3, 1
SIXTEENTH = STEPS_PER_QUARTER // 4
BAR_SIXTEENTHS = 16
LEAST_SHARED = 0.55
FIGURES = ("boundaries at 0 bars", "boundaries within 1 bar", "pairs of bars")


@dataclass(frozen=True)
class Labels:
    """Sections from their first bars, in our bars; letters one each; and the bar after the last."""

    starts: np.ndarray
    letters: tuple[Any, ...]
    end: int

    def of_bars(self, low: int, high: int) -> np.ndarray:
        names = {name: number for number, name in enumerate(dict.fromkeys(self.letters))}
        numbers = np.array([names[name] for name in self.letters])
        return numbers[np.searchsorted(self.starts, np.arange(low, high), side="right") - 1]


@dataclass(frozen=True)
class Song:
    """A song as cells; offset: where the melody file of its folder starts, in sixteenths of ours."""

    name: str
    folder: Path
    cells: Cells
    offset: int
    shared: float

    @cached_property
    def note_likeness(self) -> np.ndarray:
        return bar_similarity(self.cells).notes


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--songs", type=int, default=303)
    arguments = parser.parse_args(argv)

    songs = [song for song in read_songs(arguments.data, arguments.songs) if whole_bars(song)]
    people = [[person(song, number) for number in (1, 2)] for song in songs]
    began = process_time()
    forms = [found(song) for song in songs]
    seconds = process_time() - began
    rows = {
        "the two people": [[agreement(one, other)] for one, other in people],
        "found": scores(forms, people),
        "8 bars each": scores([fixed(song, 8) for song in songs], people),
        "4 bars each": scores([fixed(song, 4) for song in songs], people),
        "8 bars each, aligned": against(songs, people, lambda song, labels: fixed(song, 8, int(labels.starts[0]))),
        "4 bars each, aligned": against(songs, people, lambda song, labels: fixed(song, 4, int(labels.starts[0]))),
        "a person's boundaries, own letters": against(songs, people, lettered),
    }
    figures: dict[str, Any] = {
        name: dict(zip(FIGURES, np.mean([np.mean(song, axis=0) for song in values], axis=0).tolist(), strict=True))
        for name, values in rows.items()
    }
    for name, values in figures.items():
        print(f"{name:36}" + "".join(f"  {figure}: {value:.3f}" for figure, value in values.items()))
    figures["songs"] = len(songs)
    figures["milliseconds a song"] = 1000 * seconds / len(songs)
    print(f"{len(songs)} songs, {figures['milliseconds a song']:.0f} ms each")
    record(
        "section_labels",
        figures,
        command=shlex.join(["python", *sys.argv]),
        seed=None,
        data={"set": "POP909 with the labels of pop909_structure", "songs": len(songs)},
        tables=[
            {
                "title": "Sections against two people's labels (F1)",
                "columns": ["", *FIGURES],
                "rows": [[name, *(round(figures[name][figure], 3) for figure in FIGURES)] for name in rows],
            }
        ],
    )


def read_songs(root: Path, most: int) -> list[Song]:
    """Every third song that can be read."""
    dataset, songs = Pop909(), []
    for item in dataset.items(root)[FIRST::EVERY][:most]:
        try:
            score = dataset.load(root, item)
        except ScoreError:
            continue
        cells, tracks = encode_tracks(score)
        names = [score.tracks[track].name for track in tracks]
        folder = root / SONGS / item.group
        if "MELODY" not in names or not (folder / "melody.txt").is_file():
            continue
        pitch, length = np.loadtxt(folder / "melody.txt", int, ndmin=2).T
        own = cells.notes[cells.notes[:, TRACK] == names.index("MELODY")].astype(int)
        onset = np.rint((bar_starts(cells.meters)[own[:, BAR]] + own[:, POSITION]) / SIXTEENTH).astype(int)
        sounds = pitch > 0
        offset, shared = distance((np.cumsum(length) - length)[sounds], pitch[sounds], onset, own[:, PITCH])
        songs.append(Song(item.group, folder, cells, offset, shared))
    return songs


def distance(
    onset: np.ndarray, pitch: np.ndarray, onset_there: np.ndarray, pitch_there: np.ndarray
) -> tuple[int, float]:
    """(what is most often between notes here and notes of the same pitch there, share of the notes here with it)."""
    apart = [np.subtract.outer(onset_there[pitch_there == p], onset[pitch == p]).ravel() for p in np.unique(pitch)]
    values, counts = np.unique(np.concatenate(apart), return_counts=True)
    if not len(values):
        return 0, 0.0
    return int(values[counts.argmax()]), float(counts.max() / len(onset))


def whole_bars(song: Song) -> bool:
    common = all(meter.quarters == 4 for meter in song.cells.meters)
    return common and song.offset % BAR_SIXTEENTHS == 0 and song.shared >= LEAST_SHARED


def person(song: Song, number: int) -> Labels:
    """Such as i4A8B8x4A8o2."""
    pairs = re.findall(r"([A-Za-z])(\d+)", (song.folder / f"human_label{number}.txt").read_text("utf-8"))
    ends = song.offset // BAR_SIXTEENTHS + np.cumsum([0, *(int(bars) for _, bars in pairs)])
    letters = tuple((letter, place if letter in "xX" else 0) for place, (letter, _) in enumerate(pairs))
    return Labels(ends[:-1], letters, int(ends[-1]))


def found(song: Song) -> Labels:
    form = find_form(song.cells)
    return Labels(form.starts, tuple(form.letters.tolist()), len(song.cells.meters))


def fixed(song: Song, bars: int, first: int = 0) -> Labels:
    """Sections of so many bars, one of which begins at `first`."""
    starts = np.union1d([0], np.arange(first % bars, len(song.cells.meters), bars))
    return Labels(starts, tuple(section_letters(song.note_likeness, starts).tolist()), len(song.cells.meters))


def lettered(song: Song, labels: Labels) -> Labels:
    """A person's sections with our letters."""
    bars = len(song.cells.meters)
    starts = labels.starts[(labels.starts >= 0) & (labels.starts < bars)]
    return Labels(starts, tuple(section_letters(song.note_likeness, starts).tolist()), min(labels.end, bars))


def scores(ours: list[Labels], people: list[list[Labels]]) -> list[list[tuple[float, float, float]]]:
    return [[agreement(own, labels) for labels in pair] for own, pair in zip(ours, people, strict=True)]


def against(
    songs: list[Song], people: list[list[Labels]], make: Callable[[Song, Labels], Labels]
) -> list[list[tuple[float, float, float]]]:
    pairs = zip(songs, people, strict=True)
    return [[agreement(make(song, labels), labels) for labels in pair] for song, pair in pairs]


def agreement(one: Labels, other: Labels) -> tuple[float, float, float]:
    """The three FIGURES, 0..1."""
    low, high = max(int(one.starts[0]), int(other.starts[0]), 0), min(one.end, other.end)
    lines = [labels.starts[(labels.starts > low) & (labels.starts < high)] for labels in (one, other)]
    same = [np.equal.outer(bars, bars) for bars in (one.of_bars(low, high), other.of_bars(low, high))]
    above = np.triu_indices(high - low, 1)
    first, second = same[0][above], same[1][above]
    pairs = 2 * (first & second).sum() / max(1, first.sum() + second.sum())
    return boundary_f1(*lines, 0), boundary_f1(*lines, 1), float(pairs)


def boundary_f1(one: np.ndarray, other: np.ndarray, tolerance: int) -> float:
    if not len(one) or not len(other):
        return float(len(one) == len(other))
    free, hits = other.tolist(), 0
    for line in one.tolist():
        nearest = min(free, key=lambda place: abs(place - line), default=None)
        if nearest is not None and abs(nearest - line) <= tolerance:
            free.remove(nearest)
            hits += 1
    return 2 * hits / (len(one) + len(other))


if __name__ == "__main__":
    main()
