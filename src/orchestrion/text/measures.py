"""Reads lengths in bars or in time, tempi in numbers, and meters."""

from __future__ import annotations

import re

from orchestrion.music.theory import COMPOSABLE_METERS, Meter
from orchestrion.text.draft import NUMBER, Draft, number
from orchestrion.text.reading import MAX_BARS, MAX_TEMPO, MIN_BARS, MIN_TEMPO

_RANGE = (
    rf"(?<![\w.])(?:[0-9]+ ?[-–—] ?[0-9]+|(?:{NUMBER}) (?:to|or) (?:{NUMBER})"
    rf"|(?:less|fewer|more|longer|shorter|slower|faster) than (?:{NUMBER}))[ -]?"
)
_BAR = r"(?:bars?|measures?)(?!\w)"
_BARS = rf"(?P<before>{NUMBER})(?: of)?[ -]?{_BAR}|(?<!\w)bars ?[:=] ?(?P<behind>{NUMBER})"
_HALF = "(?: and a half)?"
_TIME = (
    rf"(?<![\w:])(?:(?P<amount>half an?|{NUMBER}|an?)(?P<early>{_HALF})[ -]?"
    rf"(?P<unit>seconds?|secs?|minutes?|mins?)(?P<late>{_HALF})|(?P<minutes>[0-9]{{1,2}}):(?P<seconds>[0-5][0-9]))(?![\w:])"
)
_PER_MINUTE = r"(?:bpm|(?:beats|quarters|quarter notes)(?: per | a |/)min(?:ute)?)(?!\w)"
_TEMPO = (
    rf"(?:(?<!\w)(?:at|tempo(?: of)?) )?(?P<before>{NUMBER})[ -]?{_PER_MINUTE}",
    r"(?:(?<!\w)(?:bpm|tempo(?: of| is|:| =)?|at(?: a tempo)?(?: of)?|(?:quarter|crotchet)(?: note)? ?=)|[♩♪] ?=) ?"
    rf"(?P<before>{NUMBER})(?! ?[/%:\w])",
)
_BEATS, _UNIT = "two|three|four|five|six|seven|nine|twelve", "two|four|eight|sixteen"
_NO_RANGE = r"(?![\w-]| (?:bars?|measures?|minutes?|seconds?)(?!\w))"
_METERS = (
    r"(?:(?<!\w)in )?(?<![\w/.])(?P<beats>[0-9]{1,9}) ?/ ?(?P<unit>[0-9]{1,9})(?![\w/])(?:[ -](?:time|meter|metre))?",
    rf"(?<!\w)in (?P<beats>{_BEATS})[ -](?P<unit>{_UNIT})(?: time)?(?![\w-])",
    rf"(?<!\w)(?P<beats>{_BEATS})[ -](?P<unit>{_UNIT})[ -](?:time|meter|metre)(?!\w)",
    rf"(?<![\w-])(?P<beats>three|six|nine|twelve)-(?P<unit>eight){_NO_RANGE}",
    rf"(?<![\w-])(?P<beats>five)-(?P<unit>four){_NO_RANGE}",
)


def read_lengths(draft: Draft) -> None:
    """ "16 bars", "a 32-bar", "sixteen measures", "30 seconds", "a minute and a half", "1:30"."""
    for match in draft.take(_RANGE + _BAR):
        draft.refuse(match, "a range; name one number of bars")
    for match in draft.take(_BARS):
        bars = number(match["before"] or match["behind"])
        if bars != int(bars) or not MIN_BARS <= bars <= MAX_BARS:
            draft.refuse(match, f"bars are a whole number from {MIN_BARS} to {MAX_BARS}")
        else:
            draft.claim("bars", int(bars), match)
    for match in draft.take(_TIME):
        seconds = _seconds(match)
        if seconds <= 0:
            draft.refuse(match, "a length is more than 0 seconds")
        else:
            draft.claim("seconds", seconds, match)


def _seconds(match: re.Match[str]) -> float:
    if match["minutes"]:
        return 60.0 * int(match["minutes"]) + int(match["seconds"])
    words = match["amount"].lower()
    amount = 0.5 if words.startswith("half") else 1.0 if words in ("a", "an") else number(words)
    amount += 0.5 * bool(match["early"] or match["late"])
    return amount * (60 if match["unit"].lower().startswith("m") else 1)


def read_tempo_numbers(draft: Draft) -> None:
    """ "120 bpm", "at 90", "tempo 90", "quarter = 72"."""
    for match in draft.take(_RANGE + _PER_MINUTE):
        draft.refuse(match, "a range; name one tempo")
    for pattern in _TEMPO:
        for match in draft.take(pattern):
            tempo = number(match["before"])
            if not MIN_TEMPO <= tempo <= MAX_TEMPO:
                draft.refuse(match, f"a tempo is {MIN_TEMPO} to {MAX_TEMPO} quarter notes a minute")
            else:
                draft.claim("tempo", tempo, match)


def read_meters(draft: Draft) -> None:
    """ "in 3/4", "6/8 time", "in six eight", "three-four time", "nine-eight", "in three.", "in five."."""
    for pattern in _METERS:
        for match in draft.take(pattern):
            claim_meter(draft, int(number(match["beats"])), int(number(match["unit"])), match)
    for match in draft.take(r"(?<!\w)in (?:three|3)(?=$|[,.;!?])"):
        claim_meter(draft, 3, 4, match)
    for match in draft.take(r"(?<!\w)in (?:five|5)(?=$|[,.;!?])"):
        claim_meter(draft, 5, 4, match)


def claim_meter(draft: Draft, beats: int, unit: int, match: re.Match[str], strength: str = "named") -> None:
    if (beats, unit) not in {(meter.numerator, meter.denominator) for meter in COMPOSABLE_METERS}:
        names = ", ".join(meter.name for meter in COMPOSABLE_METERS)
        draft.refuse(match, f"{beats}/{unit} is not one of the meters that can be composed: {names}")
    else:
        draft.claim("meter", Meter(beats, unit), match, strength)
