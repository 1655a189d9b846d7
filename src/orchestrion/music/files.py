"""Scores in and out of files: MIDI by symusic, MusicXML read by partitura, piano rolls. All that is read is checked for
`Limits`."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from symusic import Score

from orchestrion.core.files import replace_file
from orchestrion.music import ScoreError
from orchestrion.music.extent import last_end, length_seconds
from orchestrion.music.midi_channels import rechannel
from orchestrion.music.piano_roll_files import parse_piano_rolls

MIDI_SUFFIXES = (".mid", ".midi", ".kar")
MUSICXML_SUFFIXES = (".musicxml", ".xml", ".mxl")
PIANO_ROLL_SUFFIXES = (".npz",)
SUFFIXES = MIDI_SUFFIXES + MUSICXML_SUFFIXES + PIANO_ROLL_SUFFIXES


@dataclass(frozen=True)
class Limits:
    """What `read` accepts, so that a hostile or broken file can neither fill the memory nor hold up a whole corpus."""

    file_bytes: int = 20 * 2**20
    notes: int = 500_000
    tracks: int = 512
    hours: float = 4.0
    quarters: int = 200_000


LIMITS = Limits()


def read(path: str | os.PathLike[str], limits: Limits = LIMITS) -> Score:
    """The Score in a file of MIDI (type 0 or 1), MusicXML or multi-track piano rolls (pypianoroll's), times in ticks.

    MusicXML needs the extra `notation`. Key signatures beyond seven sharps or flats are dropped.
    Raises ScoreError, one line that names the file and the reason.
    """
    path = Path(path)
    try:
        data = _contents(path, limits)
        suffix = path.suffix.lower()
        if suffix in MIDI_SUFFIXES:
            score = _parse_midi(data)
        elif suffix in MUSICXML_SUFFIXES:
            from orchestrion.music.musicxml_reader import parse_musicxml

            score = parse_musicxml(data, limits.file_bytes)
        elif suffix in PIANO_ROLL_SUFFIXES:
            score = parse_piano_rolls(data, limits.file_bytes, limits.tracks)
        else:
            known = " ".join(SUFFIXES)
            raise ScoreError(f"its name ends in {suffix or 'nothing'!r}, expected one of {known}")
        _check(score, limits)
    except ScoreError as error:
        raise ScoreError(f"cannot read {path}: {error}") from error
    return score


def write_midi(score: Score, path: str | os.PathLike[str]) -> None:
    """Write a type 1 MIDI file, whole or not at all; the same Score gives the same bytes. Drums go to channel 10.

    Raises writing.WritingError."""
    data = score.dumps_midi()
    replace_file(path, rechannel(data, score.tracks) if len(score.tracks) > 15 else data)


def write_musicxml(score: Score, path: str | os.PathLike[str]) -> None:
    """Write MusicXML, or compressed MusicXML where the name ends in .mxl.

    Times are rounded to 24 a quarter note. Raises ScoreError or writing.WritingError."""
    from orchestrion.music.musicxml_writer import render_musicxml

    replace_file(path, render_musicxml(score, compressed=Path(path).suffix.lower() == ".mxl"))


def _contents(path: Path, limits: Limits) -> bytes:
    try:
        if not path.is_file():
            raise ScoreError("it is not a file" if path.exists() else "there is no such file")
        with path.open("rb") as file:
            data = file.read(limits.file_bytes + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, ScoreError):
            raise
        raise ScoreError(getattr(error, "strerror", None) or str(error)) from error
    if not data:
        raise ScoreError("the file is empty")
    if len(data) > limits.file_bytes:
        raise ScoreError(f"it is larger than the {limits.file_bytes / 2**20:g} MiB allowed")
    return data


def _parse_midi(data: bytes) -> Score:
    if data[:4] != b"MThd" or len(data) < 14:
        raise ScoreError("it is not a MIDI file (a header beginning with MThd was expected)")
    kind, _, division = struct.unpack(">HHH", data[8:14])
    if kind > 1:
        raise ScoreError(f"it is a MIDI file of type {kind}; only types 0 and 1 can be read")
    if division & 0x8000:
        raise ScoreError("its times are SMPTE frames; only ticks a quarter note can be read")
    if division == 0:
        raise ScoreError("its resolution is 0 ticks a quarter note")
    try:
        return Score.from_midi(data, sanitize_data=True)
    except (RuntimeError, ValueError, MemoryError) as error:
        reason = str(error).splitlines()[0].removeprefix("MiniMidi: ").removesuffix(": iostream error")
        raise ScoreError(f"the MIDI data is damaged ({reason})") from error


def _check(score: Score, limits: Limits) -> None:
    """Hold a parsed Score against the limits and against what the other rooms take for granted."""
    notes = [track.notes.numpy() for track in score.tracks if track.notes]
    count = sum(len(columns["time"]) for columns in notes)
    if not count:
        raise ScoreError("it holds no notes")
    if count > limits.notes:
        raise ScoreError(f"it holds {count} notes, more than the {limits.notes} allowed")
    if len(score.tracks) > limits.tracks:
        raise ScoreError(f"it holds {len(score.tracks)} tracks, more than the {limits.tracks} allowed")
    if any(columns[name].min() < 0 for columns in notes for name in ("time", "duration", "pitch")) or any(
        columns[name].max() > 127 for columns in notes for name in ("pitch", "velocity")
    ):
        raise ScoreError("it holds notes outside of what MIDI allows (time, duration, pitch or velocity)")

    if any(not 1 <= tempo.qpm <= 60_000 for tempo in score.tempos):
        raise ScoreError("it holds a tempo outside of 1 to 60000 quarter notes a minute")

    end = last_end(score)
    if end > limits.quarters * score.tpq:
        raise ScoreError(f"it lasts {end / score.tpq:.0f} quarter notes, more than the {limits.quarters} allowed")
    hours = length_seconds(score) / 3600
    if hours > limits.hours:
        raise ScoreError(f"it lasts {hours:.1f} hours, more than the {limits.hours:g} allowed")

    readable = [key for key in score.key_signatures if abs(key.key) <= 7 and key.tonality in (0, 1)]
    if len(readable) < len(score.key_signatures):
        score.key_signatures.clear()  # a slice cannot be set to nothing in symusic
        score.key_signatures.extend(readable)
