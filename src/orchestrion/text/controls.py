"""The controls of a piece, from a sentence and from options.

    reading = merge(read_controls("a slow waltz in D minor, sixteen bars"), bars=8)

An option beats the words; `Reading.understood` says so.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrion.music.theory import COMPOSABLE_METERS, DRUMS, Key, Meter
from orchestrion.text import lexicon
from orchestrion.text.draft import squeeze, squeezed
from orchestrion.text.errors import ControlsError
from orchestrion.text.form import Dynamic, Form, FormSection, parse_form
from orchestrion.text.reading import (
    MAX_BARS,
    MAX_INSTRUMENTS,
    MAX_TEMPO,
    MIN_BARS,
    MIN_TEMPO,
    Controls,
    NotUnderstood,
    Reading,
    Understood,
    bars_lasting,
    value_text,
)
from orchestrion.text.sentence import read_controls
from orchestrion.text.weighing import TYPICAL_TEMPO

if TYPE_CHECKING:
    from orchestrion.music.chords import Progression

__all__ = [
    "Controls", "ControlsError", "Dynamic", "Form", "FormSection", "NotUnderstood", "Reading",
    "Understood", "merge", "parse_bars", "parse_chords", "parse_feel", "parse_form", "parse_instruments", "parse_key",
    "parse_meter", "parse_tempo", "read_controls",
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
    """Read one of COMPOSABLE_METERS, such as "3/4". Raises ControlsError."""
    for meter in COMPOSABLE_METERS:
        if "".join(text.split()) == meter.name:
            return meter
    names = ", ".join(meter.name for meter in COMPOSABLE_METERS)
    raise ControlsError(f"{text.strip()!r} is not one of the meters that can be composed: {names}")


def parse_chords(text: str, key: Key | None = None) -> Progression:
    """Read "Am F C G", "| Am F | C |", "ii V I" or a name such as "twelve-bar blues"; numerals are chords of the key.
    Raises ControlsError with the place of what is no chord."""
    from orchestrion.music.chords import parse_progression

    try:
        return parse_progression(text, key)
    except ValueError as error:
        raise ControlsError(str(error)) from None


def parse_feel(text: str) -> str:
    """Read "swing", "shuffle" or "straight". Raises ControlsError."""
    words = text.strip().lower()
    if words in ("swing", "swung", "shuffle"):
        return "swing"
    if words != "straight":
        raise ControlsError(f"{text.strip()!r} is not a feel; ask for swing or straight")
    return words


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
    chords: Progression | None = None,
    form: Form | None = None,
    feel: str | None = None,
) -> Reading:
    """The reading with options laid over it: an option beats the words, and both stand in `understood`.

    A length that was asked for in seconds is kept under a new tempo or meter. A form of fixed length fixes the bars;
    where `bars` is another, the lengths in a form of the sentence are open again. Raises ControlsError where seconds
    need more than 256 bars, or where the options `bars` and `form` do not fit."""
    given: dict[str, Any] = {"bars": bars, "tempo": tempo, "key": key, "meter": meter, "instruments": instruments,
                             "chords": chords, "form": form, "feel": feel}  # fmt: skip
    options = {control: value for control, value in given.items() if value not in (None, (), "")}
    reading = _fitted(reading, bars, form)
    if reading.seconds is not None and "bars" not in options and options.keys() & {"tempo", "meter"}:
        new_tempo = tempo or reading.controls.tempo or TYPICAL_TEMPO
        needed = bars_lasting(reading.seconds, new_tempo, meter or reading.controls.meter or Meter(4, 4))
        if needed > MAX_BARS:
            raise ControlsError(f"{reading.seconds:g} seconds need {needed} bars at this tempo; at most {MAX_BARS}")
        options["bars"] = needed
    understood = []
    for words in reading.understood:
        control = _RULED_BY.get(words.control, words.control)
        beaten = control in options and words.overruled_by == "" and value_text(options[control]) != words.value
        agrees = words.control == "mode" and key is not None and key.mode == words.value
        understood.append(replace(words, overruled_by=f"--{control}") if beaten and not agrees else words)
    understood += [Understood(f"--{name}", name, value_text(value), "option") for name, value in options.items()]
    if key is not None:
        options["mode"] = None
    own = {"progression": options.pop("chords", None), "form": options.pop("form", None),
           "feel": options.pop("feel", None)}  # fmt: skip
    if instruments:
        own |= {"band": (), "solo": len(instruments) == 1}
    controls = replace(reading.controls, **options)
    return replace(reading, controls=controls, understood=tuple(understood),
                   **{name: value for name, value in own.items() if value is not None})  # fmt: skip


def _fitted(reading: Reading, bars: int | None, form: Form | None) -> Reading:
    """The reading with a form that can have the bars asked for. An option for the form fixes the bars where its lengths
    are decided, and beats bars that followed from other words; an option for the bars opens the lengths of a form."""
    if form is None:
        if bars is not None and reading.form is not None:
            fits = reading.form.bars in (None, bars)
            reading = reading if fits else replace(reading, form=reading.form.opened())
            assert reading.form is not None
            reading.form.fitted(bars)
        return reading
    form.fitted(bars)
    held = [words for words in reading.understood if words.control == "bars" and not words.overruled_by]
    follows = any(words.strength in ("implied", "suggested") for words in held)
    if bars is not None:
        return reading
    if form.bars is None and not follows:
        form.fitted(reading.controls.bars)
        return reading
    understood = [replace(words, overruled_by="--form") if words in held and words.value != str(form.bars) else words
                  for words in reading.understood]  # fmt: skip
    if form.bars is not None:
        understood.append(Understood("--form", "bars", str(form.bars), "option"))
        reading = replace(reading, seconds=None)
    return replace(reading, controls=replace(reading.controls, bars=form.bars), understood=tuple(understood))


#: Controls of which words are beaten by the option for another.
_RULED_BY = {"mode": "key", "band": "instruments", "edges": "form"}
