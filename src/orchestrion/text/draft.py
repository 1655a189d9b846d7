"""A sentence while it is read: what is left of it, and what was claimed or refused so far.

Each rule takes its words out of the sentence, so that a later rule cannot read them again ("90 bpm" is no count of
anything). Rules only collect claims; `weighing.weigh` weighs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrion.text import lexicon
from orchestrion.text.reading import NotUnderstood

TAKEN, PLAYED = "\x01", "\x02"  # stand where words were read; PLAYED where they named an instrument
#: From weak to strong. A tempo word gives way to a number of beats a minute; both count as named.
STRENGTHS = ("suggested", "implied", "word", "named")

_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_UNITS = "one|two|three|four|five|six|seven|eight|nine"
SMALL = rf"(?:(?:{_TENS})[ -](?:{_UNITS})|{'|'.join(sorted(lexicon.NUMBERS, key=len, reverse=True))})"
NUMBER = (
    r"(?:(?<![\w.,-])[-+])?(?<![\w.,])(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+(?:\.[0-9]+)?)"
    rf"|(?<!\w)(?:(?:(?:{SMALL}|an?)[ -])?(?:hundred|thousand)(?:[ -](?:and[ -])?{SMALL})?|(?:an? )?{SMALL})"
)
WORDS = re.compile(r"[^\W\d_](?:[\w'’-]*\w)?")
_NOT = re.compile(
    r"(?<!\w)((?:not|never|no|without|isn't|nor|non|hardly|avoid)"
    r"(?:[ -](?:too|so|very|an?|any|really|overly|that|in|be))*)[ -]$",
    re.I,
)


def phrases(table: Iterable[str], tail: str = "") -> str:
    """A regular expression for the phrases, the longest first, on word boundaries."""
    longest_first = sorted(table, key=lambda phrase: (-len(phrase), phrase))
    words = "|".join(re.escape(phrase).replace(r"\ ", "[ -]?") for phrase in longest_first)
    return rf"(?<![\w\x01\x02])(?:{words}){tail}(?!\w)"


def squeeze(words: str) -> str:
    """The form under which a phrase is looked up: lower case without spaces and hyphens."""
    return re.sub(r"[ -]", "", words.lower())


def squeezed(table: Mapping[str, Any]) -> dict[str, Any]:
    return {squeeze(phrase): value for phrase, value in table.items()}


def number(words: str) -> float:
    """The value of "16", "10,000", "thirty-two", "a hundred and twenty"; a billion for more digits than that."""
    words = words.lower().strip()
    if digits := re.fullmatch(r"[-+]?[0-9.,]+", words):
        plain = digits[0].replace(",", "")
        return float(plain) if len(plain) < 12 else 1e9
    total = 0
    for word in re.split(r"[ -]", words):
        if word in ("hundred", "thousand"):
            total = max(total, 1) * (100 if word == "hundred" else 1000)
        else:
            total += lexicon.NUMBERS.get(word, 0)
    return total


@dataclass(frozen=True)
class Claim:
    """Words at a place in the sentence that ask for a value of one control."""

    control: str
    value: Any
    words: str
    strength: str
    start: int


@dataclass(frozen=True)
class Players:
    """Words at [start, end) that name who plays, one program a track; `ensemble` where one word names several."""

    start: int
    end: int
    programs: tuple[int, ...]
    words: str
    ensemble: bool
    phrase: str = ""  # the name alone, without a count


@dataclass
class Draft:
    """A sentence being read: `rest` is what no rule has taken yet, of unchanged length."""

    text: str
    rest: str = ""
    claims: list[Claim] = field(default_factory=list)
    players: list[Players] = field(default_factory=list)
    refused: list[tuple[int, NotUnderstood]] = field(default_factory=list)  # with the place of the words

    denied: set[int] = field(default_factory=set)  # where words begin that "not" stands before

    def __post_init__(self) -> None:
        self.rest = self.text

    def span(self, start: int, end: int) -> re.Match[str]:
        """The text at a place, as a match."""
        match = re.compile(f"(?s:.{{{end - start}}})").match(self.text, start)
        assert match is not None
        return match

    def take(self, pattern: str | re.Pattern[str], flags: int = re.I, mark: str = TAKEN) -> Iterator[re.Match[str]]:
        """Matches in what is left, from left to right; each is taken out unless the caller sends it back."""
        for match in list(re.finditer(pattern, self.rest, flags if isinstance(pattern, str) else 0)):
            if self.rest[match.start() : match.end()] == match[0]:  # not blanked by the caller meanwhile
                self.blank(match.start(), match.end(), mark)
                yield match

    def blank(self, start: int, end: int, mark: str = TAKEN) -> None:
        self.rest = self.rest[:start] + mark * (end - start) + self.rest[end:]

    def restore(self, match: re.Match[str]) -> None:
        self.rest = self.rest[: match.start()] + match[0] + self.rest[match.end() :]

    def claim(self, control: str, value: Any, match: re.Match[str], strength: str = "named") -> None:
        """Note a claim, or refuse it where the words before it say "not"."""
        if match.start() in self.denied:
            return
        denial = _NOT.search(self.text[: match.start()])
        if denial is None:
            self.claims.append(Claim(control, value, match[0].strip(), strength, match.start()))
            return
        self.denied.add(match.start())
        self.blank(denial.start(1), denial.end(1))
        self.refuse(match, "only instruments can be ruled out; say what the music is to be instead", denial.start(1))

    def refuse(self, match: re.Match[str], reason: str, start: int | None = None) -> None:
        start = match.start() if start is None else start
        self.refused.append((start, NotUnderstood(self.text[start : match.end()].strip(), reason)))
