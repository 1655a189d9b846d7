"""The form of a piece as values: its sections, and how loudness moves over them.

parse_form("intro 4, verse 8, chorus 8").bars == 20
parse_form("AABA").fitted(32)  # every section 8 bars
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrion.text.errors import ControlsError

MAX_SECTIONS, MAX_BARS = 64, 256
#: What a section may be called -> the name under which it is kept. A space also stands for a hyphen or for nothing.
SECTION_NAMES: dict[str, str] = {
    word: name
    for name, words in {
        "intro": "intro, introduction",
        "verse": "verse, strophe, stanza",
        "pre-chorus": "pre chorus, build up",
        "chorus": "chorus, refrain, hook",
        "bridge": "bridge, middle eight, middle 8",
        "solo": "solo, solo section",
        "interlude": "interlude, break, instrumental break",
        "breakdown": "breakdown, break down",
        "drop": "drop",
        "head": "head",
        "theme": "theme, main theme",
        "outro": "outro, coda, ending, tag",
    }.items()
    for word in words.split(", ")
}
#: The letter of a section by its name; those not here take the next that is free.
_LETTERS = {"verse": "A", "chorus": "B", "bridge": "C", "intro": "I", "outro": "O", "pre-chorus": "P", "solo": "S",
            "interlude": "L", "breakdown": "K", "drop": "D", "head": "A", "theme": "A"}  # fmt: skip
#: Sections that are half as long as others where nothing is said.
_SHORT = frozenset({"intro", "outro", "pre-chorus", "interlude", "breakdown"})
#: Forms that have a name.
FORMS: dict[str, str] = {
    "rondo": "ABACA", "rondeau": "ABACA", "ternary": "ABA", "da capo": "ABA", "binary": "AABB", "strophic": "AAA",
    "theme and variations": "theme, variation 1, variation 2, variation 3",
    "variations on a theme": "theme, variation 1, variation 2, variation 3",
    "verse chorus form": "verse, chorus, verse, chorus", "thirty two bar form": "AABA", "32 bar form": "AABA",
    "pop song form": "intro, verse, chorus, verse, chorus, bridge, chorus, outro",
    "call and response": "ABAB",
}  # fmt: skip
_ITEM = re.compile(
    r"(?:(?P<before>[0-9]+)[ -]?(?:bars?|measures?)?[ -](?:of )?)?"
    r"(?P<name>middle 8|[^\W\d_](?:[\w '’-]*?[^\W\d_'’-])?)['’]*(?P<count> [0-9](?=:? \(?[0-9]))?"
    r"(?:(?::| of| with| for)? ?\(?(?P<bars>[0-9]+)(?P<unit> ?(?:bars?|measures?))?\)?)?(?: ?[x×] ?(?P<times>[0-9]+))?",
    re.I,
)
#: Sections that are often numbered: the first "verse 2" behind a verse is the second, not one of two bars.
_NUMBERED = frozenset({"verse", "chorus", "bridge", "solo", "variation"})


@dataclass(frozen=True)
class FormSection:
    """letter: "A" to "Z", the same for the same material; name: "verse" or ""; bars: None where its length is open."""

    letter: str
    name: str = ""
    bars: int | None = None

    @property
    def weight(self) -> int:
        """Its share where lengths are open: a short kind counts 1, others 2."""
        return 1 if self.name in _SHORT else 2

    def __str__(self) -> str:
        called = self.name or self.letter
        return called if self.bars is None else f"{called} {self.bars}"


@dataclass(frozen=True)
class Form:
    """The sections of a piece in order."""

    sections: tuple[FormSection, ...]

    @property
    def bars(self) -> int | None:
        """Of the whole; None while a length is open."""
        lengths = [section.bars for section in self.sections]
        return None if None in lengths else sum(length for length in lengths if length is not None)

    @property
    def letters(self) -> str:
        return "".join(section.letter for section in self.sections)

    def opened(self) -> Form:
        """The same sections with all lengths open."""
        return Form(tuple(replace(section, bars=None) for section in self.sections))

    def with_bars(self, bars: int) -> Form:
        """Every open section of so many bars."""
        return Form(tuple(replace(s, bars=bars) if s.bars is None else s for s in self.sections))

    def fitted(self, bars: int | None = None) -> Form:
        """With every length decided: those named stay, the open ones share what is left (see `shared`); where no total
        is asked they have 8 bars each, 4 for an intro, an outro and the like. Raises ControlsError where the total
        cannot be met."""
        fixed = sum(section.bars or 0 for section in self.sections)
        unset = [section for section in self.sections if section.bars is None]
        if bars is None:
            lengths = [4 * section.weight for section in unset]
            if fixed + sum(lengths) > MAX_BARS:
                lengths = shared(MAX_BARS - fixed, [section.weight for section in unset])
        elif not unset and bars != fixed:
            raise ControlsError(f"the form has {fixed} bars, {bars} were asked; leave one out or make them equal")
        elif bars - fixed < len(unset):
            raise ControlsError(f"the form has {len(self.sections)} sections and needs at least {fixed + len(unset)} "
                                f"bars; {bars} were asked")  # fmt: skip
        else:
            lengths = shared(bars - fixed, [section.weight for section in unset])
        left = iter(lengths)
        return Form(tuple(replace(s, bars=next(left)) if s.bars is None else s for s in self.sections))

    def __str__(self) -> str:
        if any(section.name or section.bars for section in self.sections):
            return ", ".join(map(str, self.sections))
        return self.letters


def shared(bars: int, weights: Sequence[int]) -> list[int]:
    """Bars shared out by weight: exactly where that goes, else in the largest unit of 4, 2 or 1 bars that gives each
    one unit, with what is left over to the first. At least one bar each."""
    if not weights:
        return []
    total = sum(weights)
    if all(bars * weight % total == 0 for weight in weights):
        return [bars * weight // total for weight in weights]
    equal = [1] * len(weights)
    unit = next(u for u in (4, 2, 1) if bars % u == 0 and (bars // u >= len(weights) or u == 1))
    weights = weights if bars // unit >= total else equal
    whole = bars // unit
    units = [max(1, whole * weight // sum(weights)) for weight in weights]
    order = sorted(range(len(weights)), key=lambda place: (units[place] / weights[place], -weights[place], place))
    for place in (order * whole)[: whole - sum(units)]:
        units[place] += 1
    return [unit * count for count in units]


def section(name: str, bars: int | None = None, taken: str = "") -> FormSection:
    """The section of a name; `taken`: letters that other unknown names have."""
    known = SECTION_NAMES.get(" ".join(re.split(r"[\s-]+", name.strip().lower())), "")
    if known:
        return FormSection(_LETTERS[known], known, bars)
    if name.strip().lower().startswith("variation"):
        return FormSection("A", name.strip().lower(), bars)
    if re.fullmatch(r"[A-Z]", name.strip()):
        return FormSection(name.strip(), "", bars)
    free = (letter for letter in "EFGHJMNQRTUVWXYZ" if letter not in taken)
    return FormSection(next(free, "Z"), name.strip().lower(), bars)


def is_letters(text: str) -> bool:
    """Whether letters are a form: the first is A, and each new one is the next of the alphabet ("AABA", "ABAC")."""
    seen = "".join(dict.fromkeys(text))
    return 2 <= len(text) <= MAX_SECTIONS and seen == "ABCDEFGHIJKLMNOP"[: len(seen)]


def of_letters(text: str, bars: int | None = None) -> Form:
    return Form(tuple(FormSection(letter, "", bars) for letter in text))


def named_form(name: str) -> Form | None:
    """The form that has a name ("rondo", "theme and variations"); None for other words."""
    words = " ".join(re.split(r"[\s-]+", name.strip().lower())).replace(" structure", " form")
    form = FORMS.get(words) or FORMS.get(words.removesuffix(" form"))
    return parse_form(form) if form else None


def parse_form(text: str) -> Form:
    """Read "AABA", "A A B A", "A 8, B 8", "intro 4, verse 8, chorus 8, outro 4", "verse 8 x2" or a name ("rondo").

    The same name is the same letter. Lengths that are not written are open. Raises ControlsError that names the place.
    """
    words = text.strip()
    if form := named_form(words):
        return form
    letters = re.sub(r"['’\s,–-]", "", words)
    if re.fullmatch(r"[A-Z]+", letters):
        if not is_letters(letters) and len(letters) > 1:
            raise ControlsError(f"{words!r} is not a form; its letters begin with A and go on in order, as in AABA")
        return of_letters(letters)
    parts = re.split(r"[,;>→]| – | - | and (?!variations)", words)
    if all(word in SECTION_NAMES for word in re.split(r"[\s-]+", words.lower())) and words.lower() not in SECTION_NAMES:
        parts = re.split(r"[\s-]+", words)
    sections: list[FormSection] = []
    for number, part in enumerate(parts, start=1):
        item = _ITEM.fullmatch(" ".join(part.split()))
        if item is None:
            raise ControlsError(f"section {number} of the form, {part.strip()!r}: write a name and its bars, as in "
                                "'intro 4, verse 8, chorus 8', or letters such as AABA")  # fmt: skip
        written = item["before"] or item["bars"]
        if _is_number(item, sections):
            written = None
        if written and not 1 <= int(written) <= MAX_BARS:
            raise ControlsError(f"section {number} of the form, {part.strip()!r}: a section has 1 to {MAX_BARS} bars")
        name = f"{item['name']} {item['bars']}" if item["name"].lower() == "variation" and not written else item["name"]
        bars = int(written) if written else None
        sections += [_next(name, bars, sections)] * min(int(item["times"] or 1), MAX_SECTIONS + 1)
    if len(sections) > MAX_SECTIONS:
        raise ControlsError(f"the form has {len(sections)} sections; at most {MAX_SECTIONS}")
    return _checked(Form(tuple(sections)))


def _checked(form: Form) -> Form:
    least = sum(section.bars or 1 for section in form.sections)
    if least > MAX_BARS:
        raise ControlsError(f"the form has {least} bars or more; at most {MAX_BARS} can be composed")
    return form


def _is_number(item: re.Match[str], before: Sequence[FormSection]) -> bool:
    """Whether what stands behind a name counts it ("verse 2" after a verse) and is no length."""
    name = item["name"].lower()
    if name not in _NUMBERED or item["bars"] is None or item["unit"] or item["before"] or item["count"]:
        return False
    return int(item["bars"]) == 1 + sum(s.name.split(" ")[0] == name for s in before)


def _next(name: str, bars: int | None, before: Sequence[FormSection]) -> FormSection:
    """A section behind those before it, with the letter of an earlier one of that name."""
    earlier = next((s for s in before if s.name == name.lower()), None)
    return replace(earlier, bars=bars) if earlier else section(name, bars, "".join(s.letter for s in before))


#: How loudness may move.
MOVES = ("rising", "falling", "quiet", "loud")


@dataclass(frozen=True)
class Dynamic:
    """move: one of MOVES; where: "" for the whole, "start", "end", or the name of a section."""

    move: str
    where: str = ""

    def __str__(self) -> str:
        return self.move if not self.where else f"{self.move} ({self.where})"


def loudness_offsets(dynamics: Sequence[Dynamic], names: Sequence[str]) -> tuple[float, ...]:
    """(S,) of each section, -1..1, from softer to louder than it would be; density may go the same way.

    names: of the sections in order, or their letters. Rising goes from -1 to 1 over all sections, falling back, and
    rising before falling makes an arch; of one section alone 0: `planning` then has to move within it.
    """
    count = len(names)
    offsets = [0.0] * count
    moves = [dynamic.move for dynamic in dynamics if not dynamic.where and dynamic.move in ("rising", "falling")]
    for place in range(count if moves and count > 1 else 0):
        along = place / (count - 1) * len(moves)
        move = min(int(along), len(moves) - 1)
        offsets[place] = (2 * (along - move) - 1) * (1 if moves[move] == "rising" else -1)
    for dynamic in dynamics:
        signs = {"rising": 1.0, "loud": 1.0, "falling": -1.0, "quiet": -1.0}
        for place, name in enumerate(names):
            first, last = place == 0, place == count - 1
            whole = not dynamic.where and dynamic.move in ("quiet", "loud")
            if whole or dynamic.where == name or (dynamic.where, True) in (("start", first), ("end", last)):
                offsets[place] += signs[dynamic.move]
    return tuple(max(-1.0, min(1.0, offset)) for offset in offsets)
