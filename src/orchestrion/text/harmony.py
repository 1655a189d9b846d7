"""Reads chords: "Am F C G", "ii–V–I in G", "twelve-bar blues"; tells them from articles, keys and words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from orchestrion.music.chords import BETWEEN, PROGRESSIONS, SYMBOL, parse_chord, parse_progression, roman_chord
from orchestrion.music.theory import Key
from orchestrion.text.draft import Draft, phrases
from orchestrion.text.form import is_letters

#: Names of progressions that are something else in a sentence.
_OTHERWISE = {"axis", "canon", "doo wop", "andalusian"}
_NAMED = re.compile(phrases(PROGRESSIONS.keys() - _OTHERWISE), re.I)
_BLUES = re.compile(r"(?:twelve|12)[ -]?bar[ -]?blues", re.I)
_ANNOUNCED = re.compile(r"\b(?:chords?|chord progression|progression|changes)(?: of| are| is| like|:)*[ |]*$", re.I)
_CALLED = re.compile(r"[ |]*(?:chords?|chord|progression|loop|vamp|changes|cadence|turnaround)(?!\w)", re.I)
_KEY_BEFORE = re.compile(r"(?<!\w)(?:in|key(?: of|:| is)?) $", re.I)
_KEY_BEHIND = re.compile(r"[ -]?(?:major|minor|maj|min|sharp|flat|dorian|phrygian|lydian|mixolydian)(?!\w)", re.I)
_AND = (" and ", ", and ")
_QUESTION = re.compile(r" I(?![\w-])")
_NUMERAL = re.compile(r"[#b♯♭]?(?:[IVX]+|[ivx]+)(?:[0-9°øo+]|maj|dim|sus|m7|/)*[ivIV0-9°ø+b]*")
#: What stands among chords and is none: H, a letter from H on with the signs of a chord, a digit behind a root.
_BROKEN = re.compile(
    r"H|[H-Z](?:#|b|♯|♭)?(?:m|maj|min|dim|aug|sus|add)?[0-9]{0,2}(?<!^[I-Z])|[A-G][#b♯♭]?[A-Za-z]{0,4}[0-9][\w#♯♭+°ø()/-]*"
)


@dataclass(frozen=True)
class _Token:
    """kind: "chord", "numeral", "broken" or "" for a word. sure: it is no letter that could be something else."""

    text: str
    start: int
    end: int
    kind: str
    sure: bool


def read_chords(draft: Draft) -> None:
    """Progressions by name, by chord symbols and by numerals."""
    for match in draft.take(_NAMED):
        draft.claim("chords", parse_progression(match[0]), match)
        if _BLUES.fullmatch(match[0]):
            draft.claim("bars", 12, match, "suggested")
            blues = match.end() - len("blues")
            draft.rest = f"{draft.rest[: blues - 1]} {draft.text[blues : match.end()]}{draft.rest[match.end() :]}"
    for run in _runs(draft.rest):
        if run := _trimmed(run, draft.rest):
            _claim_run(draft, run)


def _runs(text: str) -> list[list[_Token]]:
    """Rows of chords, and rows of numerals, with what is broken among them."""
    runs: list[list[_Token]] = []
    run: list[_Token] = []
    for match in SYMBOL.finditer(text):
        if match[0] == "and":
            continue
        token = _token(match, text)
        kinds = {other.kind for other in run} - {"broken"}
        between = text[run[-1].end : token.start] if run else ""
        joined = run and (
            BETWEEN.fullmatch(between) or (between in _AND and any(other.sure for other in (*run, token)))
        )
        if not (token.kind and joined and (token.kind == "broken" or not kinds or token.kind in kinds)):
            runs.append(run)
            run = []
        if token.kind:
            run.append(token)
    return [run for run in (*runs, run) if len(run) > 1 and any(token.kind != "broken" for token in run)]


def _token(match: re.Match[str], text: str) -> _Token:
    word, behind = match[0], text[match.end() :]
    kind = sure = ""
    try:
        if _NUMERAL.fullmatch(word):
            roman_chord(word, Key(0, "major"))
            kind, sure = "numeral", word.strip("IVivx") or (word if len(word) > 1 else "")
        elif not re.fullmatch(r"[a-g](?:b|m|dim|o)?|[A-G]o", word) and not _KEY_BEHIND.match(behind):
            parse_chord(word)
            kind, sure = "chord", word[1:]
    except ValueError:
        kind, sure = ("broken", "") if _BROKEN.fullmatch(word) or re.fullmatch("[IVX]{3,}", word) else ("", "")
    if word == "Am" and _QUESTION.match(behind):
        kind = ""
    return _Token(word, match.start(), match.end(), kind, bool(sure))


def _trimmed(run: list[_Token], text: str) -> list[_Token]:
    """The run without a key or an article before it; nothing where it is no progression."""
    comma = "," in text[run[0].end : run[1].start]
    if _KEY_BEFORE.search(text[: run[0].start]) and (comma or len(run) == 2):
        run = run[1:]
    followed = re.match(r" (?!(?:in|at|with|for|and) )[a-z]", text[run[-1].end :])
    opens = run[0].text == "A" and re.search(r"(?:^|[.!?]) *$", text[: run[0].start])
    if opens and followed and _is_progression(run[1:], text):
        return run[1:]
    return run if _is_progression(run, text) else []


def _is_progression(run: list[_Token], text: str) -> bool:
    if len(run) < 2:
        return False
    good = [token for token in run if token.kind != "broken"]
    said = _ANNOUNCED.search(text[: run[0].start]) or _CALLED.match(text[run[-1].end :])
    if said and good:
        return True
    sure = sum(token.sure for token in good)
    if good[0].kind == "numeral":
        dashed = all(re.search("[-–—|→>]", text[a.end : b.start]) for a, b in pairwise(run))
        return sure > 0 and (len(run) > 2 or dashed)
    letters = "".join(token.text for token in run)
    if len(good) < 2 or (is_letters(letters) and not sure):
        return False
    return len(run) > 2 if len(good) < len(run) or not sure else True


def _claim_run(draft: Draft, run: list[_Token]) -> None:
    start, end = run[0].start, run[-1].end
    while start and draft.rest[start - 1] in "| ":
        start -= 1
    bar = re.match(r" ?\|", draft.rest[end:])
    end += bar.end() if bar else 0
    start += len(draft.rest[start:end]) - len(draft.rest[start:end].lstrip())
    match = draft.span(start, end)
    draft.blank(start, end)
    for word in (_ANNOUNCED.search(draft.rest[:start]), _CALLED.match(draft.rest, end)):
        if word:
            draft.blank(*word.span())
    try:
        progression = parse_progression(match[0].replace(" and ", " "))
    except ValueError as error:
        broken = [token.text for token in run if token.kind == "broken"]
        others = f" (nor is {', '.join(map(repr, broken[1:]))})" if len(broken) > 1 else ""
        draft.refuse(match, f"{error}{others}")
        return
    draft.claim("chords", progression, match)
    if progression.mode:
        draft.claim("mode", progression.mode, match, "implied")
