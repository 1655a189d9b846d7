"""Chords found in POP909 against people's labels, beside the estimator of `metrics.harmony`.

    python bench/chord_labels.py --data FOLDER [--songs 303]

FOLDER holds pop909.tar.xz and pop909_structure.tar.xz, unpacked into each other: POP909, POP909_CL_processed.

Protocol. Every third song, from the second on: none of them was used to choose a weight. A half bar has the label that
lasts longest in it; half bars without one, or with one that is no chord, do not count. Two sets of labels: the chords
spelled by POP909-CL, read from their lowest note up, and those of pop909_structure, by name. Sixths and added ninths
count as their triads, ninths as sevenths; sus2 has a root but no triad. Root and triad: share of half bars. Quality: of
the half bars with the right triad, the share whose seventh, or none, is right. Sevenths: F1 of the right one there.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from record import record
from section_labels import SIXTEENTH, Song, distance, read_songs

from orchestrion.data.datasets.pop909 import CORRECTED, MUSIC
from orchestrion.metrics import harmony
from orchestrion.music.chords import FIRST_CHORD, NO_CHORD, QUALITIES, QUALITY_NAMES, TRIAD_OF
from orchestrion.music.files import read
from orchestrion.music.theory import Key
from orchestrion.planning.harmony import chord_codes
from orchestrion.representations.cells import BAR, PITCH, POSITION, STEPS_PER_QUARTER, bar_starts, decode

Label = tuple[float, float, int, int, int]  # from and to in steps, root, quality or -1, bass
LEAST_SHARED = 0.45  # of the notes that POP909-CL holds to the very step; it is rounded otherwise
STRUCTURE_SHARED = 0.9  # of the melody; with less, the two count beats differently somewhere
SEVENTHS = np.array(["7" in name for name in QUALITY_NAMES])
NAMED = {
    "maj": "", "min": "m", "dim": "dim", "aug": "aug", "7": "7", "maj7": "maj7", "min7": "m7", "hdim7": "m7b5",
    "sus4": "sus4", "sus4(b7)": "sus4", "sus4(b7,9)": "sus4", "maj6": "", "maj(9)": "", "maj6(9)": "", "min6": "m",
    "min(9)": "m", "minmaj7": "m", "dim7": "dim", "9": "7", "maj9": "maj7", "min9": "m7", "min7(11)": "m7",
}  # fmt: skip
FIGURES = ("root", "triad", "quality", "sevenths", "bass")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--songs", type=int, default=303)
    arguments = parser.parse_args(argv)

    songs = read_songs(arguments.data, arguments.songs)
    began = process_time()
    ours = [chord_codes(song.cells) for song in songs]
    milliseconds = 1000 * (process_time() - began) / len(songs)
    before = [earlier_codes(song) for song in songs]
    figures: dict[str, Any] = {"songs": len(songs), "milliseconds a song": milliseconds}
    for name, labels_of in {"POP909-CL": spelled(arguments.data), "pop909_structure": named}.items():
        halves = [by_half_bars(song, labels_of(song)) for song in songs]
        figures[name] = {
            "half bars": int(sum((half[0] >= 0).sum() for half in halves)),
            "planning.harmony": agreement(halves, ours),
            "metrics.harmony": agreement(halves, before),
        }
        print(name, figures[name])
    print(f"{len(songs)} songs, {milliseconds:.1f} ms each")
    record(
        "chord_labels",
        figures,
        command=shlex.join(["python", *sys.argv]),
        seed=None,
        data={"set": "POP909", "songs": len(songs)},
        tables=[
            {
                "title": f"Chords against the labels of {labels}",
                "columns": ["", *FIGURES],
                "rows": [
                    [name, *(round(figures[labels][name][figure], 3) for figure in FIGURES)]
                    for name in ("planning.harmony", "metrics.harmony")
                ],
            }
            for labels in ("POP909-CL", "pop909_structure")
        ],
    )


def earlier_codes(song: Song) -> tuple[np.ndarray, np.ndarray]:
    """(chord codes, zeros) of `metrics.harmony`."""
    count = 2 * len(song.cells.meters)
    chords = harmony.chords(decode(song.cells))[:count]
    codes = np.full(count, NO_CHORD)
    codes[: len(chords)] = np.where(chords < 0, NO_CHORD, FIRST_CHORD + chords)  # major, minor, diminished in both
    return codes, np.zeros(count, int)


def readings() -> dict[frozenset[int], tuple[int, int]]:
    """Pitch classes above the lowest note -> root above it, quality or -1."""
    found: dict[frozenset[int], tuple[int, int]] = {}
    for number, tones in enumerate(QUALITIES.values()):
        for lowest in tones:
            found.setdefault(frozenset((tone - lowest) % 12 for tone in tones), (-lowest % 12, number))
    minor_seventh = QUALITY_NAMES.index("m7")
    found[frozenset({0, 3, 5, 8})] = (5, minor_seventh)
    from_lowest = {
        "": [{0, 4, 7, 9}, {0, 2, 4, 7}], "m": [{0, 3, 7, 9}, {0, 2, 3, 7}], "dim": [{0, 3, 6, 9}],
        "sus4": [{0, 5, 7}, {0, 5, 7, 10}], "aug": [{0, 4, 8}], "m7b5": [{0, 3, 6, 10}],
    }  # fmt: skip
    for name in ("7", "maj7", "m7"):
        tones = set(QUALITIES[name])
        from_lowest[name] = [tones, tones | {2}, tones - {7}, (tones | {2}) - {7}]
    for name, sets in from_lowest.items():
        found |= {frozenset(tones): (0, QUALITY_NAMES.index(name)) for tones in sets}
    found[frozenset({0, 2, 7})] = (0, -1)
    return found


def spelled(root: Path) -> Callable[[Song], list[Label]]:
    """The chords of POP909-CL, laid upon ours by the notes of the song; none where they do not meet."""
    known = readings()

    def labels(song: Song) -> list[Label]:
        path = next((root / CORRECTED).glob(f"{song.name}*.mid"), None)
        if path is None:
            return []
        corrected = read(path)
        steps = STEPS_PER_QUARTER / corrected.tpq
        theirs = [(note.time * steps, note.pitch) for t in corrected.tracks if t.name == MUSIC for note in t.notes]
        onset, pitch = np.array(theirs).T
        notes = song.cells.notes.astype(int)
        ours = bar_starts(song.cells.meters)[notes[:, BAR]] + notes[:, POSITION]
        shift, shared = distance(np.rint(onset).astype(int), pitch.astype(int), ours, notes[:, PITCH])
        chords: dict[int, list[tuple[float, int]]] = {}
        for note in (note for t in corrected.tracks if t.name != MUSIC for note in t.notes):
            chords.setdefault(round(note.time * steps) + shift, []).append((note.duration * steps, note.pitch))
        times = sorted(chords)
        found: list[Label] = []
        for time, following in zip(times, [*times[1:], np.inf], strict=True):
            bass = min(pitch for _, pitch in chords[time])
            reading = known.get(frozenset((pitch - bass) % 12 for _, pitch in chords[time]))
            end = min(time + max(length for length, _ in chords[time]), following)
            if reading:
                found.append((time, end, (bass + reading[0]) % 12, reading[1], bass % 12))
        return found if shared >= LEAST_SHARED else []

    return labels


def named(song: Song) -> list[Label]:
    """The chords of pop909_structure: name, pitch classes, bass, beats."""
    if song.shared < STRUCTURE_SHARED:
        return []
    found: list[Label] = []
    time = float(song.offset * SIXTEENTH)
    for line in (song.folder / "finalized_chord.txt").read_text("utf-8").splitlines():
        if not line.strip():
            continue
        name, beats = line.split()[0], int(line.split()[-1])
        root, _, quality = name.partition(":")
        if quality:
            bass = int(line.split("]")[1].split()[0])
            quality_name = NAMED.get(quality.split("/")[0])
            number = -1 if quality_name is None else QUALITY_NAMES.index(quality_name)
            found.append((time, time + beats * STEPS_PER_QUARTER, Key.parse(root).tonic, number, bass))
        time += beats * STEPS_PER_QUARTER
    return found


def by_half_bars(song: Song, labels: list[Label]) -> np.ndarray:
    """(3, 2M) root, quality and bass of the label that lasts longest in each half bar; -1 for none."""
    starts = bar_starts(song.cells.meters)
    edges = np.union1d(starts, (starts[:-1] + starts[1:]) // 2)
    longest = np.zeros(len(edges) - 1)
    result = np.full((3, len(edges) - 1), -1)
    for start, end, *values in labels:
        overlap = np.minimum(end, edges[1:]) - np.maximum(start, edges[:-1])
        wins = overlap > longest
        result[:, wins] = np.array(values)[:, None]
        longest[wins] = overlap[wins]
    return result


def agreement(labels: list[np.ndarray], found: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """The FIGURES, and precision and recall of sevenths."""
    root, quality, bass = np.concatenate(labels, axis=1)
    codes = np.concatenate([codes for codes, _ in found])
    basses = np.concatenate([basses for _, basses in found]) - 1
    ours, our_root = np.divmod(codes - FIRST_CHORD, 12)
    chord = codes >= FIRST_CHORD
    known, whole = root >= 0, (root >= 0) & (quality >= 0)
    right_root = chord & (our_root == root)
    right = whole & right_root & (TRIAD_OF[ours] == TRIAD_OF[quality])
    hits = (right & SEVENTHS[ours] & (ours == quality)).sum()
    ours_there, labelled = (right & SEVENTHS[ours]).sum(), (right & SEVENTHS[quality]).sum()
    return {
        "root": float(right_root[known].mean()),
        "triad": float(right.sum() / whole.sum()),
        "quality": float((ours == quality)[right].mean()),
        "sevenths": float(2 * hits / (ours_there + labelled)),
        "sevenths, precision": float(hits / max(1, ours_there)),
        "sevenths, recall": float(hits / labelled),
        "bass": float((basses == bass)[known].mean()) if (basses >= 0).any() else float("nan"),
    }


if __name__ == "__main__":
    main()
