"""Score -> MusicXML 4.0, with the standard library alone.

Times are rounded to DIVISIONS a quarter note. Each track becomes a part, drums too, with its name and General MIDI
program; keyboards get two staves. Velocities and controls are left out.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from symusic import Score, Track

from orchestrion.music import ScoreError
from orchestrion.music.bars import Bar, bars, instrument
from orchestrion.music.theory import DRUMS, instrument_name

DIVISIONS = 24  # a quarter note: exact for 32nds and for triplets of 16ths
MIDDLE_C = 60
#: Lengths that one sign can show, longest first: divisions, sign, dots, and whether it is one of a triplet.
SIGNS = (
    (96, "whole", 0, False), (72, "half", 1, False), (48, "half", 0, False), (36, "quarter", 1, False),
    (24, "quarter", 0, False), (18, "eighth", 1, False), (16, "quarter", 0, True), (12, "eighth", 0, False),
    (9, "16th", 1, False), (8, "eighth", 0, True), (6, "16th", 0, False), (4, "16th", 0, True),
    (3, "32nd", 0, False), (2, "32nd", 0, True), (1, "64th", 0, True),
)  # fmt: skip
STEPS = "FCGDAEB"  # in fifths, as sharps arrive


@dataclass(frozen=True)
class _Chord:
    """Notes that start and end together; `start` and `end` in divisions."""

    start: int
    end: int
    pitches: tuple[int, ...]


def render_musicxml(score: Score, compressed: bool = False) -> bytes:
    """The Score as MusicXML, or as an .mxl archive; the same Score gives the same bytes.

    Raises ScoreError for a Score without notes."""
    tracks = [track for track in score.tracks if track.notes]
    if not tracks:
        raise ScoreError("a score without notes cannot be written as MusicXML")
    root = Element("score-partwise", version="4.0")
    part_list = SubElement(root, "part-list")
    layout = bars(score)
    for number, track in enumerate(tracks, 1):
        _add_part_entry(part_list, track, f"P{number}", number)
        part = SubElement(root, "part", id=f"P{number}")
        _add_measures(part, score, track, layout, with_tempos=number == 1)
    indent(root)
    text = b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="utf-8") + b"\n"
    return _packed(text) if compressed else text


def _packed(text: bytes) -> bytes:
    container = b'<container><rootfiles><rootfile full-path="score.musicxml"/></rootfiles></container>\n'
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in (("META-INF/container.xml", container), ("score.musicxml", text)):
            # a fixed date, so that the same score gives the same bytes
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _add(parent: Element, tag: str, text: object, **attributes: str) -> None:
    SubElement(parent, tag, attributes).text = str(text)


def _printable(name: str) -> str:
    """A name without the control characters that XML cannot hold."""
    return "".join(c for c in name if c.isprintable())


def _add_part_entry(part_list: Element, track: Track, part_id: str, number: int) -> None:
    played = instrument(track)
    entry = SubElement(part_list, "score-part", id=part_id)
    _add(entry, "part-name", _printable(track.name))
    _add(SubElement(entry, "score-instrument", id=f"{part_id}-I1"), "instrument-name", instrument_name(played))
    midi = SubElement(entry, "midi-instrument", id=f"{part_id}-I1")
    pitched_channels = [channel for channel in range(1, 17) if channel != 10]
    _add(midi, "midi-channel", 10 if played == DRUMS else pitched_channels[(number - 1) % 15])
    _add(midi, "midi-program", track.program + 1)


def _add_measures(part: Element, score: Score, track: Track, layout: list[Bar], with_tempos: bool) -> None:
    def divisions(tick: int) -> int:
        return round(tick * DIVISIONS / score.tpq)

    sounding: dict[tuple[int, int], set[int]] = {}
    for note in track.notes:
        start = divisions(note.time)
        sounding.setdefault((start, max(start + 1, divisions(note.end))), set()).add(note.pitch)
    drums = instrument(track) == DRUMS
    pitches = {pitch for group in sounding.values() for pitch in group}
    grand = not drums and track.program < 8 and min(pitches) < MIDDLE_C <= max(pitches)
    staves: list[list[_Chord]] = [[], []] if grand else [[]]
    for (start, end), group in sorted(sounding.items()):
        for index, staff in enumerate(staves):
            there = tuple(sorted(p for p in group if not grand or (p < MIDDLE_C) == bool(index)))
            if there:
                staff.append(_Chord(start, end, there))
    voices = [(number, voice) for number, staff in enumerate(staves, 1) for voice in _voices(staff)]
    median = sorted(pitches)[len(pitches) // 2]
    clefs = ["percussion"] if drums else ["G", "F"] if grand else ["G" if median >= MIDDLE_C else "F"]

    keys = {divisions(sign.time): sign for sign in score.key_signatures}
    fifths, previous = 0, None
    for number, bar in enumerate(layout, 1):
        start, end = divisions(bar.start), divisions(bar.end)
        measure = SubElement(part, "measure", number=str(number))
        attributes = Element("attributes")
        if number == 1:
            _add(attributes, "divisions", DIVISIONS)
        for key in [sign for time, sign in sorted(keys.items()) if start <= time < end][-1:]:
            fifths = key.key
            element = SubElement(attributes, "key")
            _add(element, "fifths", fifths)
            _add(element, "mode", "minor" if key.tonality else "major")
        if bar.meter != previous:
            element = SubElement(attributes, "time")
            _add(element, "beats", bar.meter.numerator)
            _add(element, "beat-type", bar.meter.denominator)
            previous = bar.meter
        if number == 1:
            if grand:
                _add(attributes, "staves", 2)
            for index, sign in enumerate(clefs, 1):
                element = SubElement(attributes, "clef", number=str(index))
                _add(element, "sign", sign)
                if not drums:
                    _add(element, "line", 2 if sign == "G" else 4)
        if len(attributes):
            measure.append(attributes)
        tempos = [(divisions(tempo.time), tempo.qpm) for tempo in score.tempos] if with_tempos else []
        for _, qpm in [tempo for tempo in tempos if tempo[0] == start]:
            _add_tempo(measure, qpm)
        for index, (staff_number, voice) in enumerate(voices, 1):
            here = [chord for chord in voice if chord.start < end and chord.end > start]
            if not here and index > 1:
                continue
            if index > 1:
                _move(measure, "backup", end - start)
            position = start
            for chord in here:
                _add_signs(measure, None, position, chord.start, index, staff_number, grand, fifths)
                position = max(start, chord.start)
                _add_signs(measure, chord, position, min(end, chord.end), index, staff_number, grand, fifths)
                position = min(end, chord.end)
            _add_signs(measure, None, position, end, index, staff_number, grand, fifths)
        # after the notes, because partitura reads a tempo only where it has met a note's start or end before
        for time, qpm in [tempo for tempo in tempos if start < tempo[0] < end]:
            _move(measure, "backup", end - time)
            _add_tempo(measure, qpm)
            _move(measure, "forward", end - time)


def _voices(chords: list[_Chord]) -> list[list[_Chord]]:
    """Chords in order of their start, dealt to as few voices as overlap needs."""
    voices: list[list[_Chord]] = [[]]
    for chord in chords:
        free = next((voice for voice in voices if not voice or voice[-1].end <= chord.start), None)
        if free is None:
            voices.append(free := [])
        free.append(chord)
    return voices


def _lengths(length: int) -> Iterator[tuple[int, str, int, bool]]:
    """Signs that add up to a length in divisions."""
    while length > 0:
        sign = next(sign for sign in SIGNS if sign[0] <= length)
        yield sign
        length -= sign[0]


def _add_signs(
    measure: Element, chord: _Chord | None, start: int, end: int, voice: int, staff: int, grand: bool, fifths: int
) -> None:
    """Add the tied notes, or the rests where `chord` is None, from `start` to `end` within one bar."""
    if chord is None and voice > 1:  # only the first voice shows its rests
        return _move(measure, "forward", end - start)
    position = start
    for length, sign, dots, triplet in _lengths(end - start):
        for index, pitch in enumerate(chord.pitches if chord else (None,)):
            note = SubElement(measure, "note")
            if index:
                SubElement(note, "chord")
            if pitch is None:
                SubElement(note, "rest")
            else:
                note.append(_spelled(pitch, fifths))
            _add(note, "duration", length)
            ties = []
            if chord and position > chord.start:
                ties.append("stop")
            if chord and position + length < chord.end:
                ties.append("start")
            for kind in ties:
                SubElement(note, "tie", type=kind)
            _add(note, "voice", voice)
            _add(note, "type", sign)
            for _ in range(dots):
                SubElement(note, "dot")
            if triplet:
                modification = SubElement(note, "time-modification")
                _add(modification, "actual-notes", 3)
                _add(modification, "normal-notes", 2)
            if grand:
                _add(note, "staff", staff)
            if ties:
                notations = SubElement(note, "notations")
                for kind in ties:
                    SubElement(notations, "tied", type=kind)
        position += length


def _move(measure: Element, tag: str, length: int) -> None:
    if length > 0:
        _add(SubElement(measure, tag), "duration", length)


def _add_tempo(measure: Element, qpm: float) -> None:
    direction = SubElement(measure, "direction", placement="above")
    metronome = SubElement(SubElement(direction, "direction-type"), "metronome")
    _add(metronome, "beat-unit", "quarter")
    _add(metronome, "per-minute", f"{qpm:.5g}")
    SubElement(direction, "sound", tempo=f"{qpm:.5g}")


def _spelled(pitch: int, fifths: int) -> Element:
    """A pitch as the step and accidental that lie closest to the key on the line of fifths (C is 0, sharps go up)."""
    place = pitch % 12 * 7 % 12
    while place < fifths - 3:
        place += 12
    while place > fifths + 8:
        place -= 12
    accidental, step = divmod(place + 1, 7)
    element = Element("pitch")
    _add(element, "step", STEPS[step])
    if accidental:
        _add(element, "alter", accidental)
    _add(element, "octave", (pitch - accidental) // 12 - 1)
    return element
