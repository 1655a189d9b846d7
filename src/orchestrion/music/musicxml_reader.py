"""MusicXML -> Score. Notes, meters, keys and tempos come from partitura, which the extra `notation` installs; what it
leaves out, the instruments and the transposition of parts, is read here.

A pickup bar becomes a bar of its own length. Lost: dynamics, controls, grace notes, unpitched percussion; repeats are
not unfolded.
"""

from __future__ import annotations

import io
import lzma
import re
import struct
import warnings
import zipfile
import zlib
from typing import Any
from xml.etree import ElementTree

import numpy as np
from symusic import KeySignature, Note, Score, Tempo, TimeSignature, Track

from orchestrion.music import ScoreError

TICKS_PER_QUARTER = 480
VELOCITY = 80  # of every note


def parse_musicxml(data: bytes, unpacked_bytes: int) -> Score:
    """The Score in MusicXML or compressed MusicXML (at most `unpacked_bytes` when unpacked). Raises ScoreError."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of its own dependencies
            import partitura
    except ImportError as error:
        raise ScoreError("MusicXML needs partitura; install it with: pip install 'orchestrion[notation]'") from error
    if data[:2] == b"PK":
        data = _unpacked(data, unpacked_bytes)
    if b"<!ENTITY" in data:
        raise ScoreError("it declares XML entities, which no score needs")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise ScoreError(f"it is not well-formed XML ({error})") from error
    if root.tag != "score-partwise":
        raise ScoreError(f"its outermost element is <{root.tag}>, expected <score-partwise>")
    try:
        parts = partitura.load_musicxml(io.BytesIO(data), quiet=True).parts
        return _score_of(parts, _instruments(root))
    except ScoreError:
        raise
    except Exception as error:  # the library promises no particular class for what it cannot follow
        raise ScoreError(f"the MusicXML could not be followed ({type(error).__name__}: {error})") from error


def _unpacked(data: bytes, limit: int) -> bytes:
    """The first score inside a .mxl archive. Its container.xml is often malformed, so that it is not parsed as XML."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            container = ""
            if "META-INF/container.xml" in names:
                with archive.open("META-INF/container.xml") as file:
                    container = file.read(2**16).decode("utf-8", "replace")
            wanted = re.findall(r"""full-path\s*=\s*["']([^"<>]*?\.(?:xml|musicxml))["']""", container)
            wanted += [name for name in names if not name.startswith("META-INF")]
            name = next((n for n in wanted if n in names and n.lower().endswith((".xml", ".musicxml"))), None)
            if name is None:
                raise ScoreError("the archive holds no MusicXML file")
            with archive.open(name) as file:
                unpacked = file.read(limit + 1)
    except ScoreError:
        raise
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, ValueError, RuntimeError, EOFError,
            OSError) as error:  # fmt: skip
        raise ScoreError(f"the compressed MusicXML is damaged ({error})") from error
    if len(unpacked) > limit:
        raise ScoreError(f"it unpacks to more than the {limit / 2**20:g} MiB allowed")
    return unpacked


def _instruments(root: ElementTree.Element) -> dict[str, tuple[int, bool]]:
    """Part id -> (program, whether drums), from the first <midi-instrument> of each part that has one."""
    found = {}
    for entry in root.iter("score-part"):
        channel = entry.findtext("midi-instrument/midi-channel", "").strip()
        written = entry.findtext("midi-instrument/midi-program", "").strip()
        program = int(written) - 1 if re.fullmatch(r"[0-9]{1,3}", written) else 0
        found[entry.get("id", "")] = (program if 0 <= program <= 127 else 0, channel == "10")
    return found


def _score_of(parts: list[Any], instruments: dict[str, tuple[int, bool]]) -> Score:
    from partitura import score as symbols

    score = Score(TICKS_PER_QUARTER)
    if not parts:
        return score
    for part in parts:
        track = Track(part.part_name or "", *instruments.get(part.id, (0, False)))
        rows = part.note_array()
        start = _ticks(part, rows["onset_div"])
        duration = _ticks(part, rows["onset_div"] + rows["duration_div"]) - start
        pitch = rows["pitch"] + _transposition(part, rows["onset_div"], symbols)
        if len(rows) and not 0 <= pitch.min() <= pitch.max() <= 127:
            raise ScoreError("it holds pitches outside of 0 to 127")
        velocity = np.full(len(rows), VELOCITY, np.int8)
        columns = start.astype(np.int32), duration.astype(np.int32), pitch.astype(np.int8), velocity
        track.notes = Note.from_numpy(*columns, ttype="tick")
        track.notes.sort()
        score.tracks.append(track)

    tempos = {}
    for part in reversed(parts):  # where parts disagree, the first has the last word
        for mark in part.iter_all(symbols.Tempo):
            tempos[int(_ticks(part, mark.start.t))] = float(mark.bpm)
    for time, qpm in sorted(tempos.items()):
        score.tempos.append(Tempo(time, qpm=qpm))
    first = parts[0]
    for time, numerator, denominator in _meters(first, symbols):
        score.time_signatures.append(TimeSignature(time, numerator, denominator))
    for sign in first.iter_all(symbols.KeySignature):
        minor = int(sign.mode in ("minor", -1))
        score.key_signatures.append(KeySignature(int(_ticks(first, sign.start.t)), sign.fifths, minor))
    return score


def _ticks(part: Any, divisions: Any) -> np.ndarray:
    """Ticks of times in the divisions of a part; time 0 is the start of the part, also where a pickup bar stands."""
    ticks = (np.asarray(part.quarter_map(divisions)) - part.quarter_map(0)) * TICKS_PER_QUARTER
    if ticks.size and not np.abs(ticks).max() < 2**31:
        raise ScoreError("its times are beyond any length that music has")
    return np.asarray(np.rint(ticks), np.int64)


def _transposition(part: Any, onsets: np.ndarray, symbols: Any) -> np.ndarray:
    """Semitones from written to sounding pitch at each onset."""
    changes = sorted((sign.start.t, sign.chromatic or 0) for sign in part.iter_all(symbols.Transposition))
    semitones = np.array([0] + [chromatic for _, chromatic in changes])
    return np.asarray(semitones[np.searchsorted([time for time, _ in changes], onsets, side="right")])


def _meters(part: Any, symbols: Any) -> list[tuple[int, int, int]]:
    """(tick, numerator, denominator) wherever the meter changes; a bar of unwritten length, such as a pickup, gets a
    meter of its own, except at the end of the piece."""
    signs = {sign.start.t: (sign.beats, sign.beat_type) for sign in part.iter_all(symbols.TimeSignature)}
    measures = [(measure.start.t, measure.end.t) for measure in part.iter_all(symbols.Measure)]
    written = (4, 4)
    meters: list[tuple[int, int, int]] = []
    for index, (start, end) in enumerate(measures):
        written = signs.get(start, written)
        ticks = int(_ticks(part, end) - _ticks(part, start))
        meter = written
        if ticks * written[1] != 4 * TICKS_PER_QUARTER * written[0] and index < len(measures) - 1:
            for denominator in (4, 8, 16, 32, 64):
                numerator, left = divmod(ticks * denominator, 4 * TICKS_PER_QUARTER)
                if left == 0 and 1 <= numerator <= 64:
                    meter = (numerator, denominator)
                    break
        if not meters or meters[-1][1:] != meter:
            meters.append((int(_ticks(part, start)), *meter))
    return meters
