"""The controls of a piece, from a sentence and from options.

    reading = merge(read_controls("a slow waltz in D minor, sixteen bars"), bars=8)

An option beats the words; `Reading.understood` says so.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from typing import Any

from orchestrion.text import lexicon
from orchestrion.text.draft import squeeze, squeezed
from orchestrion.text.reading import (
    MAX_BARS,
    MAX_INSTRUMENTS,
    MAX_TEMPO,
    MIN_BARS,
    MIN_TEMPO,
    Controls,
    ControlsError,
    NotUnderstood,
    Reading,
    Understood,
    bars_lasting,
    value_text,
)
from orchestrion.text.sentence import read_controls
from orchestrion.text.weighing import TYPICAL_TEMPO
from orchestrion.theory import COMMON_METERS, DRUMS, Key, Meter

__all__ = [
    "Controls", "ControlsError", "NotUnderstood", "Reading", "Understood", "merge", "parse_bars", "parse_instruments",
    "parse_key", "parse_meter", "parse_tempo", "read_controls",
]  # fmt: skip


def parse_bars(text: str | int) -> int:
    """Read "16". Raises ControlsError outside 1..256."""
    words = str(text).strip()
    if not re.fullmatch(r"[0-9]{1,9}", words) or not MIN_BARS <= int(words) <= MAX_BARS:
        raise ControlsError(f"{words!r} bars cannot be composed; ask for {MIN_BARS} to {MAX_BARS}, a whole number")
    return int(words)


def parse_tempo(text: str | float) -> float:
    """Read "120", "92.5 bpm" or a tempo word such as "andante", in quarter notes a minute. Raises ControlsError."""
    words = str(text).strip().lower()
    if words in lexicon.TEMPO_WORDS:
        return float(lexicon.TEMPO_WORDS[words])
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(?:bpm)?", words)
    if match is None or not MIN_TEMPO <= float(match[1]) <= MAX_TEMPO:
        raise ControlsError(f"{words!r} is not a tempo; ask for {MIN_TEMPO} to {MAX_TEMPO} quarter notes a minute")
    return float(match[1])


def parse_key(text: str) -> Key:
    """Read "D minor", "F#", "Bb major", "Am". Raises ControlsError."""
    try:
        return Key.parse(text)
    except ValueError as error:
        raise ControlsError(str(error)) from None


def parse_meter(text: str) -> Meter:
    """Read one of COMMON_METERS, such as "3/4". Raises ControlsError."""
    for meter in COMMON_METERS:
        if "".join(text.split()) == meter.name:
            return meter
    names = ", ".join(meter.name for meter in COMMON_METERS)
    raise ControlsError(f"{text.strip()!r} is not one of the meters that can be composed: {names}")


_SINGLES = squeezed(lexicon.INSTRUMENTS) | squeezed(lexicon.SHORT_NAMES)
_GROUPS = squeezed(lexicon.ENSEMBLES)
_ALL_NAMES = (*lexicon.INSTRUMENTS, *lexicon.SHORT_NAMES, *lexicon.ENSEMBLES)


def parse_instruments(text: str) -> tuple[int, ...]:
    """Read "piano, bass, drums" or "string quartet, 2 flutes": names with commas between, one track each, repeats kept;
    a number alone is a General MIDI program 0..127. Raises ControlsError that names the nearest known names."""
    found: list[int] = []
    for item in (" ".join(part.lower().split()) for part in re.split(r"[,;+]", text)):
        if not item:
            continue
        programs = _programs(squeeze(item))
        counted = re.fullmatch(r"([0-9]{1,2}|[a-z]+) (.+)", item)
        if not programs and counted:
            times = int(counted[1]) if counted[1].isdigit() else lexicon.NUMBERS.get(counted[1], 0)
            programs = _programs(squeeze(counted[2])) * times
        if not programs:
            close = difflib.get_close_matches(item, _ALL_NAMES, 3, 0.6)
            hint = (
                f"did you mean {', '.join(close)}?" if close else "use General MIDI names such as violin, flute, drums"
            )
            raise ControlsError(f"{item!r} is not a known instrument; {hint}")
        found += programs
    if not 1 <= len(found) <= MAX_INSTRUMENTS:
        raise ControlsError(f"{len(found)} instruments were given; give 1 to {MAX_INSTRUMENTS}, with commas between")
    return tuple(found)


def _programs(name: str) -> tuple[int, ...]:
    """The players of a squeezed name in singular or plural, or of a program number; () where there are none."""
    for form in (name, name.removesuffix("s"), name.removesuffix("es")):
        if form in _GROUPS:
            return tuple(_GROUPS[form])
        if form in _SINGLES:
            return (_SINGLES[form],)
    return (int(name),) if re.fullmatch(r"[0-9]{1,3}", name) and int(name) < DRUMS else ()


def merge(
    reading: Reading,
    *,
    bars: int | None = None,
    tempo: float | None = None,
    key: Key | None = None,
    meter: Meter | None = None,
    instruments: tuple[int, ...] = (),
) -> Reading:
    """The reading with options laid over it: an option beats the words, and both stand in `understood`.

    A length that was asked for in seconds is kept under a new tempo or meter. Raises ControlsError where it then needs
    more than 256 bars."""
    given: dict[str, Any] = {"bars": bars, "tempo": tempo, "key": key, "meter": meter, "instruments": instruments}
    options = {control: value for control, value in given.items() if value not in (None, ())}
    if reading.seconds is not None and "bars" not in options and options.keys() & {"tempo", "meter"}:
        new_tempo = tempo or reading.controls.tempo or TYPICAL_TEMPO
        needed = bars_lasting(reading.seconds, new_tempo, meter or reading.controls.meter or Meter(4, 4))
        if needed > MAX_BARS:
            raise ControlsError(f"{reading.seconds:g} seconds need {needed} bars at this tempo; at most {MAX_BARS}")
        options["bars"] = needed
    understood = []
    for words in reading.understood:
        control = "key" if words.control == "mode" else words.control
        beaten = control in options and words.overruled_by == "" and value_text(options[control]) != words.value
        agrees = words.control == "mode" and key is not None and key.mode == words.value
        understood.append(replace(words, overruled_by=f"--{control}") if beaten and not agrees else words)
    understood += [Understood(f"--{name}", name, value_text(value), "option") for name, value in options.items()]
    if key is not None:
        options["mode"] = None
    controls = replace(reading.controls, **options)
    return replace(reading, controls=controls, understood=tuple(understood))
