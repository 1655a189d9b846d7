"""Multi-track piano rolls (`.npz`) -> Score: the format of pypianoroll, 0.x and 1.x, and of the Lakh Pianoroll Dataset.

The archive holds a matrix of T steps by 128 pitches a track as compressed sparse columns (`pianoroll_K_csc_data`,
`_indices`, `_indptr`, `_shape`), `info.json` (resolution in steps a quarter note; program, is_drum and name of each
track) and, where it has them, `tempo` and `downbeat`, a value a step. A step becomes a tick.
Lost: where a note was struck again without a step of silence between.
"""

from __future__ import annotations

import io
import json
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from symusic import Score, Tempo, TimeSignature, Track

from orchestrion.music import ScoreError
from orchestrion.music.edit import notes_of

BINARY_VELOCITY = 100  # of notes in a roll that says only whether a pitch sounds
PITCHES = 128
_INFO_BYTES = 2**20
_MAX_RESOLUTION = 2**15 - 1  # what a MIDI file can hold
_MAX_TEMPOS = 200_000
_HEADER = re.compile(
    r"\{\s*'descr':\s*'([<>|=](?:b1|[iu][1248]|f[248]))',\s*'fortran_order':\s*(?:True|False),"
    r"\s*'shape':\s*\(((?:\s*\d{1,12}L?\s*,?)*)\),?\s*\}\s*"  # 10L: written by Python 2
)


def parse_piano_rolls(data: bytes, unpacked_bytes: int, tracks: int) -> Score:
    """The Score in a piano-roll archive of at most `unpacked_bytes` when unpacked and at most `tracks` tracks.

    A run of cells that are not 0 is one note with the velocity of its first cell, 127 at most; BINARY_VELOCITY where no
    cell of the roll is above 1. Where all downbeats lie equally many quarters apart, these are the bars, an upbeat
    before the first of them included; else the meter is 4/4, as in the published data. Raises ScoreError.
    """
    with _unpacking():
        archive = zipfile.ZipFile(io.BytesIO(data))
    with archive:
        return _score_of(_Arrays(archive, unpacked_bytes), _info(archive), tracks)


@contextmanager
def _unpacking() -> Iterator[None]:
    """All that zipfile raises for a damaged archive becomes a ScoreError."""
    try:
        yield
    except ScoreError:  # a ValueError too
        raise
    except (
        zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, RuntimeError, ValueError, EOFError, OSError
    ) as error:  # fmt: skip
        raise ScoreError(f"the archive of piano rolls is damaged ({error})") from error


def _info(archive: zipfile.ZipFile) -> dict[str, Any]:
    if "info.json" not in archive.namelist():
        raise ScoreError("it holds no info.json, which pypianoroll's files have")
    with _unpacking(), archive.open("info.json") as file:
        text = file.read(_INFO_BYTES + 1)
    try:
        info = json.loads(text) if len(text) <= _INFO_BYTES else None
    except (ValueError, RecursionError) as error:
        raise ScoreError("its info.json cannot be read") from error
    if not isinstance(info, dict):
        raise ScoreError("its info.json is no table of names, or too long")
    return info


@dataclass
class _Arrays:
    """The arrays of the archive. Their sizes are read before them, so that no small file can fill the memory."""

    archive: zipfile.ZipFile
    bytes_left: int
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = frozenset(self.archive.namelist())

    def __contains__(self, name: str) -> bool:
        return f"{name}.npy" in self.names

    def read(self, name: str) -> np.ndarray:
        """The numbers of an array in their order, flat."""
        if name not in self:
            raise ScoreError(f"it holds no array {name}")
        with _unpacking(), self.archive.open(f"{name}.npy") as file:
            magic = file.read(8)
            size = {b"\x01": 2, b"\x02": 4, b"\x03": 4}.get(magic[6:7]) if magic[:6] == b"\x93NUMPY" else None
            length = file.read(size or 0)
            if size is None or len(length) < size:
                raise ScoreError(f"its array {name} is not in numpy's format")
            header = file.read(min(struct.unpack("<H" if size == 2 else "<I", length)[0], 2**16)).decode("latin-1")
            if (match := _HEADER.fullmatch(header)) is None:
                raise ScoreError(f"its array {name} does not hold plain numbers")
            kind = np.dtype(match[1])
            needed = kind.itemsize * prod(int(side) for side in re.findall(r"\d+", match[2]))
            self.bytes_left -= needed
            if self.bytes_left < 0:
                raise ScoreError("it unpacks to more than is allowed")
            content = file.read(needed)
        if len(content) < needed:
            raise ScoreError(f"its array {name} is cut short")
        return np.frombuffer(content, kind)


def _score_of(arrays: _Arrays, info: dict[str, Any], tracks: int) -> Score:
    resolution = info.get("resolution", info.get("beat_resolution"))
    if type(resolution) is not int or not 1 <= resolution <= _MAX_RESOLUTION:
        raise ScoreError(f"its resolution is {str(resolution)[:40]!r}, expected steps a quarter note")
    score = Score(resolution)
    while isinstance(about := info.get(str(len(score.tracks))), dict):
        if len(score.tracks) == tracks:
            raise ScoreError(f"it holds more than the {tracks} tracks allowed")
        index = len(score.tracks)
        program, drums, name = about.get("program"), about.get("is_drum"), about.get("name")
        if type(program) is not int or not 0 <= program <= 127 or type(drums) is not bool:
            raise ScoreError(f"it does not say what plays track {index} (program 0..127, is_drum true or false)")
        track = Track(_text(name), program, drums)
        track.notes = notes_of(_notes(arrays, f"pianoroll_{index}"))
        score.tracks.append(track)
    if not score.tracks:
        raise ScoreError("its info.json names no tracks")
    score.tempos.extend(_tempos(arrays.read("tempo")) if "tempo" in arrays else [])
    downbeats = np.flatnonzero(arrays.read("downbeat")) if "downbeat" in arrays else np.zeros(0, np.int64)
    score.time_signatures.extend(
        [TimeSignature(time, quarters, 4) for time, quarters in _meters(downbeats, resolution)]
    )
    return score


def _tempos(tempo: np.ndarray) -> list[Tempo]:
    """A mark wherever the tempo changes, to the second decimal."""
    tempo = tempo.astype(float)
    if len(tempo) and not (tempo.min() >= 1 and tempo.max() <= 60_000):  # nan fails both
        raise ScoreError("it holds a tempo outside of 1 to 60000 quarter notes a minute")
    tempo = np.round(tempo, 2)
    steps = np.flatnonzero(np.diff(tempo, prepend=-1))
    if len(steps) > _MAX_TEMPOS:
        raise ScoreError(f"its tempo changes {len(steps)} times, more than the {_MAX_TEMPOS} allowed")
    return [Tempo(int(step), float(tempo[step])) for step in steps]


def _text(name: object) -> str:
    """A name that can be written as UTF-8."""
    return name.encode("utf-8", "replace").decode("utf-8") if isinstance(name, str) else ""


def _notes(arrays: _Arrays, name: str) -> dict[str, np.ndarray]:
    """Time, duration (steps), pitch and velocity of the notes of a roll, in the order of time, then pitch."""
    shape, starts = arrays.read(f"{name}_csc_shape"), arrays.read(f"{name}_csc_indptr")
    step, cell = arrays.read(f"{name}_csc_indices"), arrays.read(f"{name}_csc_data")
    if len(shape) != 2 or shape.dtype.kind not in "iu" or not (0 <= shape[0] < 2**31 and shape[1] == PITCHES):
        raise ScoreError(f"{name} is no roll of steps by {PITCHES} pitches")
    whole = starts.dtype.kind in "iu" and step.dtype.kind in "iu" and len(starts) == PITCHES + 1
    if whole:
        starts, step = starts.astype(np.int64), step.astype(np.int64)
        whole = starts[0] == 0 and starts[-1] == len(step) == len(cell) and bool((np.diff(starts) >= 0).all())
    if not whole or (len(step) and not 0 <= step.min() <= step.max() < int(shape[0])):
        raise ScoreError(f"the columns of {name} do not fit together")
    cell = cell.astype(np.float64)
    if not (np.isfinite(cell).all() and (cell >= 0).all()):
        raise ScoreError(f"{name} holds cells that are no velocities")
    pitch = np.repeat(np.arange(PITCHES), np.diff(starts))
    velocity = np.clip(np.rint(cell), 1, 127) if cell.max(initial=0) > 1 else np.full(len(cell), BINARY_VELOCITY)

    # one number a cell, with a gap between pitches, so that a run of numbers is a note
    sounding = cell > 0
    place, velocity = (pitch * (int(shape[0]) + 1) + step)[sounding], velocity[sounding]
    if (np.diff(place) <= 0).any():  # in no order, or twice
        place, first = np.unique(place, return_index=True)
        velocity = velocity[first]
    starting = np.flatnonzero(np.diff(place, prepend=-2) > 1)
    pitch, time = np.divmod(place[starting], int(shape[0]) + 1)
    columns = {
        "time": time,
        "duration": np.diff(starting, append=len(place)),
        "pitch": pitch,
        "velocity": velocity[starting],
    }
    order = np.lexsort((pitch, time))
    return {name: column[order] for name, column in columns.items()}


def _meters(downbeats: np.ndarray, resolution: int) -> list[tuple[int, int]]:
    """When each meter begins, in steps, and how many quarters it has."""
    lengths = np.unique(np.diff(downbeats))
    quarters = int(lengths[0]) // resolution if len(lengths) == 1 else 0
    if not 1 <= quarters <= 64 or lengths[0] % resolution or downbeats[0] % resolution:
        return [(0, 4)]
    upbeat = int(downbeats[0]) % (quarters * resolution)
    return [(0, upbeat // resolution), (upbeat, quarters)] if upbeat else [(0, quarters)]
