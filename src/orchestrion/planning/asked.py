"""What is asked of a plan: any subset of its fields, the rest of which a planner completes.

Shapes: S sections, P parts. Half bars are counted from 0 at the beginning of the piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orchestrion.music.chords import Chord
from orchestrion.music.theory import Key, Meter
from orchestrion.planning.plan import FEELS, MAX_BARS, MOODS, ROLES, STYLES, Levels, PlanError

SHORTEST, LONGEST = 2, 16  # bars of a section whose length is planned
MAX_SECTIONS, MAX_PARTS = 64, 16


@dataclass(frozen=True)
class AskedSection:
    """letter: any one character, the same for the same material; bars: None where its length is open; name: kept."""

    letter: str
    bars: int | None = None
    name: str = ""


@dataclass(frozen=True)
class Asked:
    """None, () and {} where nothing is asked. Raises PlanError where fields do not fit together.

    style, mood, feel: of plan.STYLES, MOODS, FEELS. mode: "major" or "minor", where no key is asked. strict_key: only
    chords whose tones lie in the scale are planned. tempo: quarter notes a minute, kept exactly. bars: hit exactly.
    instruments: one a part, in the order of the plan's parts (drums, basses, then by program, as players take tracks;
    any order is kept); roles: one a part, "" where open, or () for all open. more_parts: others may join those asked.
    form: sections in order; letters are kept, lengths may be open.
    chords: half bar -> chord, None for no chord. section_chords: letter -> chords by half bars, again and again through
    every section of the form with that letter; letters of planned forms are "A", "B" ...
    levels, plays: (section, part) -> what is asked; None in place of an index means all of them; what is said of one
    outweighs what is said of all (part before section). Levels may be open in part. plays: False silences.
    """

    style: str | None = None
    mood: str | None = None
    feel: str | None = None
    key: Key | None = None
    mode: str | None = None
    strict_key: bool = False
    tempo: float | None = None
    meter: Meter | None = None
    bars: int | None = None
    instruments: tuple[int, ...] = ()
    roles: tuple[str, ...] = ()
    more_parts: bool = False
    form: tuple[AskedSection, ...] = ()
    chords: Mapping[int, Chord | None] = field(default_factory=dict)
    section_chords: Mapping[str, tuple[Chord | None, ...]] = field(default_factory=dict)
    levels: Mapping[tuple[int | None, int | None], Levels] = field(default_factory=dict)
    plays: Mapping[tuple[int | None, int | None], bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, known in (("style", STYLES), ("mood", MOODS), ("feel", FEELS), ("mode", ("major", "minor"))):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise PlanError(f"there is no {name} {value!r}; choose one of {', '.join(known)}")
        if self.bars is not None and not 1 <= self.bars <= MAX_BARS:
            raise PlanError(f"a plan of {self.bars} bars cannot be composed; plans have 1 to {MAX_BARS} bars")
        if len(self.instruments) > MAX_PARTS or len(self.form) > MAX_SECTIONS:
            raise PlanError(f"a plan has at most {MAX_PARTS} parts and {MAX_SECTIONS} sections")
        if self.roles and (len(self.roles) != len(self.instruments) or {*self.roles} - {*ROLES, ""}):
            raise PlanError(f"roles are one a part, each of {', '.join(ROLES)} or empty")
        shortest, longest = self.bars_between
        if shortest > longest:
            raise PlanError(f"{self.bars} bars do not fit the sections asked for; change the bars or their lengths")

    @property
    def asked_mode(self) -> str | None:
        return self.mode if self.key is None else self.key.mode

    @property
    def bars_between(self) -> tuple[int, int]:
        """The fewest and the most bars that the piece can have; the first is greater where it can have none."""
        low, high = (1, MAX_BARS) if self.bars is None else (self.bars, self.bars)
        if not self.form:
            return low, high
        shortest = sum(SHORTEST if section.bars is None else section.bars for section in self.form)
        longest = sum(LONGEST if section.bars is None else section.bars for section in self.form)
        return max(low, shortest), min(high, longest)

    def plays_at(self, section: int, part: int) -> bool | None:
        """Whether a part is asked to play in a section; None where that is open."""
        for place in _places(section, part):
            if place in self.plays:
                return self.plays[place]
        return None

    def levels_at(self, section: int, part: int) -> Levels | None:
        """The levels asked of a part in a section, each as the most specific says that says anything of it."""
        found = [self.levels[place] for place in _places(section, part) if place in self.levels]
        if not found:
            return None
        columns = zip(*(levels.values for levels in found), strict=True)
        return Levels(*(next((value for value in column if value is not None), None) for column in columns))


def _places(section: int, part: int) -> Iterator[tuple[int | None, int | None]]:
    yield section, part
    yield None, part
    yield section, None
    yield None, None
