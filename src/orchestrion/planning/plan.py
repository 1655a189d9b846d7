"""The plan of a piece: what a person can read and change before a note is written, as one frozen value and as JSON.

Shapes: S sections, M bars, P parts. Half bars are counted from 0: bar m (from 0) has the half bars 2m and 2m + 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from orchestrion.core.errors import UserError
from orchestrion.core.files import replace_file
from orchestrion.music.chords import Chord
from orchestrion.music.theory import Key, Meter, instrument_name

VERSION = 1
MAX_BARS = 256
LOWEST_TEMPO, HIGHEST_TEMPO = 20, 320  # quarter notes a minute
LEVELS = 8  # levels are 0..7
#: What a level says of a track in a bar; `planning.levels` defines each.
LEVEL_NAMES = ("density", "register", "polyphony", "length", "loudness", "syncopation")
ROLES = ("drums", "bass", "melody", "counter-melody", "chords", "pad", "arpeggio")
FEELS = ("straight", "swing")
MOODS = ("happy", "tense", "sad", "calm")
STYLES = (
    "pop", "rock", "metal", "punk", "blues", "jazz", "funk", "soul", "hip hop", "electronic", "dance", "latin",
    "reggae", "country", "folk", "classical", "baroque", "chorale", "art song", "soundtrack", "video game", "ambient",
    "ragtime", "march", "new age",
)  # fmt: skip
#: Where a field came from.
ORIGINS = ("asked", "given", "planned")


class PlanError(UserError):
    """A plan that cannot be: the message says in one line what is wrong and where."""


@dataclass(frozen=True)
class Section:
    """letter: "A" to "Z"; sections with one letter hold the same material. bars: its length. name: "verse", "chorus" or
    what somebody called it, or "". variation: the share of cells, 0..1, that are written anew where the section takes
    up an earlier one with its letter; 0 copies that one."""

    letter: str
    bars: int
    name: str = ""
    variation: float = 0.0


@dataclass(frozen=True)
class Levels:
    """What one part does in one section: each a level 0..7, or None where it is left open."""

    density: int | None = None
    register: int | None = None
    polyphony: int | None = None
    length: int | None = None
    loudness: int | None = None
    syncopation: int | None = None

    @property
    def values(self) -> tuple[int | None, ...]:
        return tuple(getattr(self, name) for name in LEVEL_NAMES)


@dataclass(frozen=True)
class Part:
    """instrument: 0..127 or theory.DRUMS. role: one of ROLES, or "" where it is open. levels: one a section, None where
    the part is silent."""

    instrument: int
    role: str
    levels: tuple[Levels | None, ...]


@dataclass(frozen=True)
class Plan:
    """meters: runs of (meter, bars) in order. tempo: quarter notes a minute. chords: one a half bar (2M), "N.C." as
    None; () leaves harmony open. feel: one of FEELS, "" where it is open. style, mood: words, "" where they are open.
    origins: field name -> one of ORIGINS. Raises PlanError where the fields do not fit together."""

    meters: tuple[tuple[Meter, int], ...]
    tempo: float
    key: Key
    sections: tuple[Section, ...]
    parts: tuple[Part, ...]
    chords: tuple[Chord | None, ...] = ()
    feel: str = ""
    style: str = ""
    mood: str = ""
    origins: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.bars <= MAX_BARS:
            raise PlanError(f"a plan of {self.bars} bars cannot be composed; plans have 1 to {MAX_BARS} bars")
        if any(bars < 1 for _, bars in self.meters):
            raise PlanError("each meter must hold for at least 1 bar")
        if not LOWEST_TEMPO <= self.tempo <= HIGHEST_TEMPO:
            span = f"{LOWEST_TEMPO} to {HIGHEST_TEMPO}"
            raise PlanError(f"tempo {self.tempo:g} is outside {span} quarter notes a minute")
        for number, section in enumerate(self.sections, start=1):
            if section.bars < 1 or not 0 <= section.variation <= 1 or len(section.letter) != 1:
                raise PlanError(f"section {number}: needs a letter, at least 1 bar and a variation from 0 to 1")
        planned = sum(section.bars for section in self.sections)
        if planned != self.bars:
            raise PlanError(f"the sections have {planned} bars, the meters {self.bars}; both must be the whole piece")
        if self.chords and len(self.chords) != 2 * self.bars:
            raise PlanError(f"there are {len(self.chords)} chords; {self.bars} bars need {2 * self.bars}, two a bar")
        if not self.parts:
            raise PlanError("a plan needs at least one part")
        for number, part in enumerate(self.parts, start=1):
            if len(part.levels) != len(self.sections):
                raise PlanError(f"part {number} has levels for {len(part.levels)} of {len(self.sections)} sections")
            for value in (value for levels in part.levels if levels for value in levels.values):
                if not (value is None or 0 <= value < LEVELS):
                    raise PlanError(f"part {number}, {instrument_name(part.instrument)}: level {value} is not 0 to 7")
        if not any(levels for part in self.parts for levels in part.levels):
            raise PlanError("no part plays in any section; at least one must")

    @cached_property
    def bars(self) -> int:
        return sum(bars for _, bars in self.meters)

    @property
    def instruments(self) -> tuple[int, ...]:
        return tuple(part.instrument for part in self.parts)

    @cached_property
    def bar_meters(self) -> tuple[Meter, ...]:
        """One a bar."""
        return tuple(meter for meter, bars in self.meters for _ in range(bars))

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """(S + 1,) the first bar of each section, from 0, and the end of the last."""
        return (0, *accumulate(section.bars for section in self.sections))

    def section_at(self, bar: int) -> int:
        """The index of the section in which a bar, from 0, lies."""
        return next(index for index, end in enumerate(self.starts[1:]) if bar < end)

    def takes_up(self, section: int) -> int | None:
        """The index of the first section with the same letter, None for that section itself."""
        first = next(i for i, other in enumerate(self.sections) if other.letter == self.sections[section].letter)
        return first if first < section else None

    def to_json(self) -> dict[str, Any]:
        """Plain values that JSON can hold; `planning.files.plan_from_json` reads them back."""
        return {
            "orchestrion_plan": VERSION,
            "bars": self.bars,
            "tempo": self.tempo,
            "key": self.key.name,
            "meter": (self.meters[0][0].name if len(self.meters) == 1
                      else [{"meter": meter.name, "bars": bars} for meter, bars in self.meters]),
            "feel": self.feel,
            "style": self.style,
            "mood": self.mood,
            "sections": [{"letter": s.letter, "bars": s.bars, "name": s.name, "variation": s.variation}
                         for s in self.sections],
            "chords": [self._bar_chords(bar) for bar in range(self.bars)] if self.chords else [],
            "parts": [{"instrument": instrument_name(part.instrument), "role": part.role,
                       "levels": [None if levels is None else _without_open(levels) for levels in part.levels]}
                      for part in self.parts],
            "origins": dict(self.origins),
        }  # fmt: skip

    def _bar_chords(self, bar: int) -> str:
        """ "Am", or "Am F" where the second half has another."""
        first, second = ("N.C." if chord is None else chord.name for chord in self.chords[2 * bar : 2 * bar + 2])
        return first if first == second else f"{first} {second}"

    def write(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all."""
        replace_file(Path(path), json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n")


def _without_open(levels: Levels) -> dict[str, int]:
    return {item.name: value for item in fields(levels) if (value := getattr(levels, item.name)) is not None}
