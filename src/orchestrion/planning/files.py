"""Plans in files: the JSON of `Plan.to_json`, read back, and every mistake in it told in one line.

A place is named as in JSON, counted from 0: "parts[1].levels[2]"; bars are counted from 1, as musicians count them.
"""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrion.music.chords import Chord, parse_chord
from orchestrion.music.theory import INSTRUMENTS, Key, Meter, instrument_name
from orchestrion.planning.plan import (
    FEELS,
    HIGHEST_TEMPO,
    LEVEL_NAMES,
    LEVELS,
    LOWEST_TEMPO,
    MAX_BARS,
    MOODS,
    ORIGINS,
    ROLES,
    STYLES,
    VERSION,
    Levels,
    Part,
    Plan,
    PlanError,
    Section,
)
from orchestrion.representations.cells import MAX_TRACKS, bar_steps
from orchestrion.text.controls import ControlsError, parse_instruments
from orchestrion.text.styles import STYLES as NAMED_STYLES

MAX_BYTES = 4_000_000
_VERSION = "orchestrion_plan"
#: Fields of each object, and whether it must be there.
_FIELDS = {
    "plan": {
        _VERSION: True, "bars": True, "tempo": True, "key": True, "meter": True, "feel": False, "style": False,
        "mood": False, "sections": True, "chords": False, "parts": True, "origins": False,
    },
    "meter": {"meter": True, "bars": True},
    "section": {"letter": True, "bars": True, "name": False, "variation": False},
    "part": {"instrument": True, "role": False, "levels": True},
    "levels": dict.fromkeys(LEVEL_NAMES, False),
}  # fmt: skip
#: What else somebody may call a field.
_ALSO_CALLED = {
    "length": "bars", "measures": "bars", "bpm": "tempo", "time signature": "meter", "form": "sections",
    "harmony": "chords", "tracks": "parts", "instruments": "parts", "genre": "style", "swing": "feel",
    "program": "instrument", "label": "name", "volume": "loudness", "dynamics": "loudness", "velocity": "loudness",
    "pitch": "register", "range": "register", "voices": "polyphony", "duration": "length", "busyness": "density",
}  # fmt: skip
_INSTRUMENTS = {instrument_name(program): program for program in range(INSTRUMENTS)}
_SHOWN = 40  # characters of a wrong value


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """The plan in a file of JSON. Raises PlanError, one line that names the file, the place in it and the reason."""
    path = Path(path)
    where = f"cannot read {path}"
    try:
        value = _parsed(_contents(path))
    except PlanError as error:
        raise PlanError(f"{where}: {error}") from None
    return plan_from_json(value, where)


def plan_from_json(value: Any, where: str = "") -> Plan:
    """The plan that `Plan.to_json` wrote, from plain values. where: what a complaint begins with. Raises PlanError.

    The record of a piece that was composed by a plan will do too. chords, feel, style, mood and origins may be missing,
    the name and variation of a section, the role of a part, and any level. Instruments may have the short names that
    sentences know: "piano"."""
    try:
        return _plan(value)
    except PlanError as error:
        raise PlanError(f"{where}: {error}" if where else str(error)) from None


# ---- the file


def _contents(path: Path) -> str:
    try:
        if not path.is_file():
            raise PlanError("it is not a file" if path.exists() else "there is no such file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except PlanError:
        raise
    except (OSError, ValueError) as error:
        raise PlanError(getattr(error, "strerror", None) or str(error)) from None
    if len(data) > MAX_BYTES:
        raise PlanError(f"it is larger than the {MAX_BYTES // 1_000_000} MB that a plan may have")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PlanError(f"it is not text in UTF-8 (byte {error.start + 1}), so no plan in JSON") from None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise PlanError(f"it is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except PlanError:
        raise
    except RecursionError:
        raise PlanError("it is nested too deeply to be a plan") from None
    except ValueError:
        raise PlanError("it holds a number of thousands of digits") from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise PlanError(f"the field {_shown(twice)} stands twice in one object; keep one of them")
    return fields


def _no_number(word: str) -> Any:
    raise PlanError(f"{word} is not a number that a plan can hold")


# ---- objects


def _plan(value: Any) -> Plan:
    record = value.get("plan") if isinstance(value, dict) else None
    if isinstance(record, dict) and "whole" in record:  # the record of a piece holds the plan it was composed by
        value = record["whole"]
    if isinstance(value, dict) and _VERSION not in value:
        raise PlanError(f"it is no plan: the field '{_VERSION}' with its version is missing")
    if isinstance(value, dict):
        _check_version(value[_VERSION])
    given = _object(value, "", "plan")
    bars = _whole(given["bars"], "bars", 1, MAX_BARS)
    sections = tuple(_section(item, place) for item, place in _items(given["sections"], "sections", MAX_BARS))
    planned = sum(section.bars for section in sections)
    if planned != bars:
        raise PlanError(f"sections: they have {planned} bars together, the plan {bars}; make them the same")
    return Plan(
        meters=_meters(given["meter"], bars),
        tempo=_number(given["tempo"], "tempo", LOWEST_TEMPO, HIGHEST_TEMPO),
        key=_key(given["key"]),
        sections=sections,
        parts=tuple(_part(item, place, len(sections)) for item, place in _items(given["parts"], "parts", MAX_TRACKS)),
        chords=_chords(given.get("chords", []), bars),
        feel=_word(given.get("feel", ""), "feel", FEELS),
        style=_word(given.get("style", ""), "style", STYLES, NAMED_STYLES),
        mood=_word(given.get("mood", ""), "mood", MOODS),
        origins=_origins(given.get("origins", {})),
    )


def _check_version(value: Any) -> None:
    version = _whole(value, _VERSION, 1, None)
    if version > VERSION:
        newer = f"this plan is of version {_shown(version)}, this orchestrion reads version {VERSION}"
        raise PlanError(f"{newer}; update orchestrion")


def _meters(value: Any, bars: int) -> tuple[tuple[Meter, int], ...]:
    if isinstance(value, str):
        return ((_meter(value, "meter"), bars),)
    if not isinstance(value, list):
        raise PlanError(f"meter: {_kind(value)} stands where a meter such as '4/4' or a list of them was expected")
    runs = []
    for item, place in _items(value, "meter", MAX_BARS):
        run = _object(item, place, "meter")
        runs.append((_meter(run["meter"], f"{place}.meter"), _whole(run["bars"], f"{place}.bars", 1, MAX_BARS)))
    held = sum(count for _, count in runs)
    if held != bars:
        raise PlanError(f"meter: the meters hold for {held} bars together, the plan has {bars}; make them the same")
    return tuple(runs)


def _meter(value: Any, place: str) -> Meter:
    try:
        meter = Meter.parse(_text(value, place))
        bar_steps(meter)
    except PlanError:
        raise
    except ValueError as error:
        raise PlanError(f"{place}: {error}") from None
    return meter


def _key(value: Any) -> Key:
    text = _text(value, "key")
    try:
        return Key.parse(text)
    except ValueError:
        raise PlanError(f"key: {_shown(text)} is not a key; write one as 'F# minor'") from None


def _section(value: Any, place: str) -> Section:
    given = _object(value, place, "section")
    letter = _text(given["letter"], f"{place}.letter")
    if len(letter) != 1:
        raise PlanError(f"{place}.letter: {_shown(letter)} is not one letter, such as 'A'")
    bars = _whole(given["bars"], f"{place}.bars", 1, MAX_BARS)
    variation = _number(given.get("variation", 0.0), f"{place}.variation", 0, 1)
    return Section(letter, bars, _text(given.get("name", ""), f"{place}.name"), variation)


def _part(value: Any, place: str, sections: int) -> Part:
    given = _object(value, place, "part")
    instrument = _instrument(given["instrument"], f"{place}.instrument")
    role = _word(given.get("role", ""), f"{place}.role", ROLES)
    items = _items(given["levels"], f"{place}.levels", None)
    if len(items) != sections:
        raise PlanError(f"{place}.levels: there are {len(items)}, one a section was expected: {sections}")
    return Part(instrument, role, tuple(_levels(item, at) for item, at in items))


def _levels(value: Any, place: str) -> Levels | None:
    if value is None:
        return None
    given = _object(value, place, "levels")
    return Levels(**{
        name: None if level is None else _whole(level, f"{place}.{name}", 0, LEVELS - 1)
        for name, level in given.items()
    })  # fmt: skip


def _instrument(value: Any, place: str) -> int:
    name = " ".join(_text(value, place).lower().split())
    if name in _INSTRUMENTS:
        return _INSTRUMENTS[name]
    if name.isdecimal():
        raise PlanError(f"{place}: {_shown(value)} is no name; write {instrument_name(0)!r}, 'violin' or 'drums'")
    try:
        found = parse_instruments(name) if name else ()
    except ControlsError as error:
        hint = str(error).partition("; ")[2] or f"use General MIDI names, {instrument_name(0)!r} or 'drums'"
        raise PlanError(f"{place}: {_shown(value)} is not a known instrument; {hint}") from None
    if len(found) != 1:
        raise PlanError(f"{place}: {_shown(value)} names {len(found)} instruments; a part has one")
    return found[0]


def _chords(value: Any, bars: int) -> tuple[Chord | None, ...]:
    items = _items(value, "chords", None)
    if items and len(items) != bars:
        raise PlanError(f"chords: they are for {len(items)} bars, the plan has {bars}; give one entry a bar, or none")
    return tuple(chord for bar, (item, _) in enumerate(items, start=1) for chord in _bar_chords(item, bar))


def _bar_chords(value: Any, bar: int) -> tuple[Chord | None, Chord | None]:
    """ "Am", or "Am F" for two half bars."""
    place = f"chords, bar {bar}"
    symbols = _text(value, place).split()
    if not 1 <= len(symbols) <= 2:
        raise PlanError(f"{place}: there are {len(symbols)} chords; a bar has one or two, or N.C. for none")
    chords = [_chord(symbol, place) for symbol in symbols]
    return chords[0], chords[-1]


def _chord(symbol: str, place: str) -> Chord | None:
    if symbol.upper().replace(".", "") == "NC":
        return None
    try:
        return parse_chord(symbol)
    except ValueError:
        raise PlanError(f"{place}: {_shown(symbol)} is not a chord; write Am, F#7, Bbmaj7, C/E or N.C.") from None


def _origins(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise PlanError(f"origins: {_kind(value)} stands where an object was expected")
    names = {_text(name, "origins"): origin for name, origin in value.items()}
    return {name: _word(origin, f"origins.{_cut(name)}", ORIGINS, needed=True) for name, origin in names.items()}


# ---- values


def _object(value: Any, place: str, kind: str) -> dict[str, Any]:
    """The object with the fields of its kind and no others."""
    at = f"{place}: " if place else ""
    if not isinstance(value, dict):
        raise PlanError(f"{at}{_kind(value)} stands where an object with {_listed(_FIELDS[kind])} was expected")
    fields = _FIELDS[kind]
    missing = [name for name, needed in fields.items() if needed and name not in value]
    for name in value:
        if name not in fields:
            raise PlanError(f"{at}no field {_shown(name)}; {_field_meant(name, list(fields), missing)}")
    if missing:
        raise PlanError(f"{at}the field '{missing[0]}' is missing")
    return value


def _field_meant(name: str, known: list[str], missing: list[str]) -> str:
    names = {**{also: meant for also, meant in _ALSO_CALLED.items() if meant in known}, **{n: n for n in known}}
    close = difflib.get_close_matches(name.lower().replace("_", " "), names, 1, 0.7)
    if close or len(missing) == 1:
        return f"did you mean '{names[close[0]] if close else missing[0]}'?"
    return f"there are {_listed(known)}"


def _items(value: Any, place: str, most: int | None) -> list[tuple[Any, str]]:
    """What a list holds, and where each of it stands."""
    if not isinstance(value, list):
        raise PlanError(f"{place}: {_kind(value)} stands where a list was expected")
    if most is not None and len(value) > most:
        raise PlanError(f"{place}: there are {len(value)}, at most {most} are possible")
    return [(item, f"{place}[{index}]") for index, item in enumerate(value)]


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise PlanError(f"{place}: {_kind(value)} stands where text was expected")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise PlanError(f"{place}: it holds half a character (a surrogate), which is no text")
    return value


def _word(value: Any, place: str, words: tuple[str, ...], also: Mapping[str, Any] | None = None, *,
          needed: bool = False) -> str:  # fmt: skip
    """One of some words, or "" where it is not needed."""
    text = _text(value, place)
    if text in words or text in (also or ()) or not (text or needed):
        return text
    close = difflib.get_close_matches(text.lower(), [*words, *(also or ())], 1, 0.6)
    hint = f"did you mean '{close[0]}'?" if close else f"there are {_listed(words)}"
    raise PlanError(f"{place}: {_shown(text)} is not known; {hint}")


def _whole(value: Any, place: str, least: int, most: int | None) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise PlanError(f"{place}: {_kind(value)} stands where a whole number was expected")
    if value < least or (most is not None and value > most):
        raise PlanError(f"{place}: {_shown(value)} is not {least} {'or more' if most is None else f'to {most}'}")
    return value


def _number(value: Any, place: str, least: float, most: float) -> float:
    wrong = not isinstance(value, int | float) or isinstance(value, bool)
    if wrong or (isinstance(value, float) and not math.isfinite(value)):
        raise PlanError(f"{place}: {_kind(value)} stands where a number was expected")
    if not least <= value <= most:
        raise PlanError(f"{place}: {_shown(value)} is not {least:g} to {most:g}")
    return float(value)


def _kind(value: Any) -> str:
    """What a value is, in words, for a complaint."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | str):
        return _shown(value)
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else type(value).__name__


def _shown(value: Any) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _listed(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in names)
