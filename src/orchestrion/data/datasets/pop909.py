"""POP909: pop songs as melody, bridge and piano, put on bar lines."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
from symusic import KeySignature, Note, Score, TimeSignature, Track

from orchestrion.data.dataset import Dataset, Item, existing, read_item
from orchestrion.music.extent import ticks_at
from orchestrion.music.theory import Meter

SONGS, CORRECTED = "POP909", "POP909_CL_processed"
MUSIC = "piano"  # the track of a corrected file that holds the song; the other, variously named, spells the chords
TOLERANCE = 20  # ticks of 480 a quarter: the corrected files lie on 24 steps a quarter
AGREEMENT = 0.9  # of notes that the corrected file must hold as well


class Pop909(Dataset):
    """909 Chinese pop songs arranged for piano, as tracks MELODY, BRIDGE and PIANO (11 MB packed). No official split.
    Archive: sha256 961ccf6ba9e37571.

    The files' own meter is mostly wrong and their notes lie off the beat by a constant. POP909-CL holds the same notes
    moved onto the beat, with meter and keys, but in one track and at one tempo; so the notes here are the original's,
    moved by the constant. Which beat opens a bar is decided by two witnesses that share nothing: downbeats tracked in
    the audio and changes of the chords that people corrected. POP909-CL's own bar lines agree with confident audio
    downbeats in 60 % of songs, chord changes in 94 %.
    """

    name = "pop909"
    licence = "MIT"
    source = "POP909, ISMIR 2020, and POP909-CL, 2025"
    defects = (
        "8 songs whose corrected file holds another arrangement cannot be aligned and are refused",
        "POP909-CL writes some songs in 3/4 as 3/8: they are taken as 3/4",
        "all tracks are piano; 15 % have audio beats at twice the tempo of the file",
    )

    def recognises(self, directory: Path) -> bool:
        return (directory / SONGS).is_dir() or (directory / "pop909.tar.xz").is_file()

    def items(self, root: Path) -> list[Item]:
        songs = sorted(path.name for path in (root / SONGS).iterdir() if (path / f"{path.name}.mid").is_file())
        items = [Item(f"pop909/{n}", f"{SONGS}/{n}/{n}.mid", n, None, {"genre": ["pop"]}) for n in songs]
        existing(root, items)
        return items

    def load(self, root: Path, item: Item) -> Score:
        from orchestrion.music import ScoreError
        from orchestrion.music.files import read

        score = read_item(root, item)
        try:  # one of the files has a blank in its name
            corrected = read(next((root / CORRECTED).glob(f"{item.group}*.mid")))
            # (beats, 2): seconds, and which beat of its bar
            beats = np.loadtxt(root / SONGS / item.group / "beat_audio.txt", ndmin=2)
        except (StopIteration, OSError, ValueError) as error:
            raise ScoreError(f"{item.path} lacks what aligns it: its file in {CORRECTED} and beat_audio.txt") from error
        shift, agreement = _offset(score, corrected)
        if agreement < AGREEMENT:
            raise ScoreError(f"{item.path} cannot be aligned: the corrected file shares {agreement:.0%} of its notes")
        return _on_bars(score, corrected, shift, beats[beats[:, 1] == 1, 0])


def _columns(tracks: Iterable[Track]) -> tuple[np.ndarray, np.ndarray]:
    """(onsets in ticks, pitches) of all notes."""
    notes = [(note.time, note.pitch) for track in tracks for note in track.notes]
    times, pitches = np.array(notes, dtype=np.int64).reshape(-1, 2).T
    return times, pitches


def _offset(score: Score, corrected: Score) -> tuple[int, float]:
    """(ticks that move the notes onto those of the corrected file, share of notes that then agree)."""
    ours, our_pitches = _columns(score.tracks)
    theirs, their_pitches = _columns(track for track in corrected.tracks if track.name == MUSIC)
    apart = [np.subtract.outer(theirs[their_pitches == p], ours[our_pitches == p]).ravel() for p in range(128)]
    ticks = np.sort(np.concatenate(apart))  # between every two notes of one pitch
    bins = (ticks - ticks.min(initial=0)) // TOLERANCE
    most = np.bincount(bins, minlength=1).argmax()
    shift = int(np.median(ticks[np.abs(bins - most) <= 1])) if len(ticks) else 0
    agreeing = np.abs(ticks - shift) <= TOLERANCE
    return shift, float(agreeing.sum() / max(1, len(ours)))


def _on_bars(score: Score, corrected: Score, shift: int, downbeats_seconds: np.ndarray) -> Score:
    """The score moved so that its downbeats stand on bar lines, with the corrected file's meter and keys."""
    written = corrected.time_signatures[0]
    meter = Meter(written.numerator, written.denominator)
    unit = score.tpq * 4 // meter.denominator  # ticks by which the bar line can still be wrong
    if meter == Meter(3, 8):  # half a bar of 3/4, and can be wrong by an eighth note
        meter = Meter(3, 4)
    bar = round(score.tpq * meter.quarters)
    phases = np.zeros(bar // unit)
    for witness in (ticks_at(score, downbeats_seconds) + shift, _chord_changes(corrected)):
        counts = np.bincount(np.rint(witness / unit).astype(np.int64) % len(phases), minlength=len(phases))
        phases += counts / max(1, counts.sum())
    to_bar = -int(phases.argmax()) * unit
    first = min(track.notes.numpy()["time"].min() for track in score.tracks if track.notes) + shift + to_bar
    to_bar -= (first + unit // 4) // bar * bar  # the music starts in the first bar

    for track in score.tracks:
        notes = track.notes.numpy()
        notes["time"] = np.maximum(0, notes["time"] + shift + to_bar).astype(np.int32)
        track.notes = Note.from_numpy(**notes, ttype="tick")
        track.pedals, track.controls, track.pitch_bends = [], [], []  # none carry music here, and they would not move
    for tempo in score.tempos:
        tempo.time = max(0, tempo.time + shift + to_bar)
    score.time_signatures = [TimeSignature(0, meter.numerator, meter.denominator)]
    keys = corrected.key_signatures
    score.key_signatures = [KeySignature(max(0, key.time + to_bar), key.key, key.tonality) for key in keys]
    return score


def _chord_changes(corrected: Score) -> np.ndarray:
    """Ticks at which the spelled chord becomes another."""
    chords: dict[int, set[int]] = {}
    for track in corrected.tracks:
        if track.name != MUSIC:
            for note in track.notes:
                chords.setdefault(note.time, set()).add(note.pitch % 12)
    return np.array([b for a, b in pairwise(sorted(chords)) if chords[a] != chords[b]], dtype=np.int64)
