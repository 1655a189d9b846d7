"""Reads keys and modes: "in D minor", "F#m", "in C", "in a minor key"; tells them from articles and German names."""

from __future__ import annotations

import re

from orchestrion.music.theory import Key
from orchestrion.text import lexicon
from orchestrion.text.draft import WORDS, Draft

_ACCIDENTAL = r"(?:[ -]?(?P<accidental>#|♯|♭|sharp|flat)|(?P<b>b))?"
_IN = r"(?:(?<!\w)(?P<in>in(?: the key of)?|key(?: of|:| =)?) )"
_NO_KEY = rf"{_IN}?(?<![\w'])[A-H]{_ACCIDENTAL}[ -](?:{'|'.join(lexicon.SCALES_THAT_ARE_NO_KEY)})(?!\w)"
_FULL = rf"{_IN}?(?<![\w'#])(?P<letter>[A-Z]){_ACCIDENTAL}[ -]?(?P<mode>major|minor|maj|min)(?!\w)"
_SHORT = r"(?:\b(?P<in>in) )?(?<![\w'#])(?P<letter>[A-H])(?:(?P<accidental>#|♯|♭)|(?P<b>b))?(?P<mode>m)(?![\w'])(?! I )"
_BARE = rf"{_IN}(?P<letter>[A-Z]){_ACCIDENTAL}(?![\w'&]|-\w|\.\w)(?P<mode>)"
_MODE = r"(?<!\w)(?P<in>in )?(?:an? )?(?P<mode>major|minor)(?!\w)(?P<noun>[ -](?:key|mode|scale|tonality)(?!\w))?"
_CLAUSE_ENDS = re.compile(r"$|[,.;:!?)\x01]")
_PHRASE_ENDS = re.compile(rf"{_CLAUSE_ENDS.pattern}| (?:with|at|for|and|in|by|on|\x01)")
#: Words after "A minor" that no article could stand before: "A minor with ...", unlike "a minor piece".
_FUNCTION_WORDS = lexicon.STOP_WORDS - {"piece", "song", "tune", "track", "melody", "music", "key", "part", "section"}


def read_keys(draft: Draft) -> None:
    for match in draft.take(_NO_KEY):
        draft.refuse(match, "keys are major or minor")
    for pattern, flags, reads in ((_FULL, re.I, _is_key), (_SHORT, 0, lambda *_: True), (_BARE, re.I, _is_bare_key)):
        for match in draft.take(pattern, flags):
            if reads(match, draft.rest):
                claim_key(draft, match)
            else:
                draft.restore(match)
    for match in draft.take(_MODE):
        following = re.match(rf"[ -]({WORDS.pattern})", draft.text[match.end() :])
        plain = following is None or following[1].lower() in lexicon.MODE_NOUNS | lexicon.STOP_WORDS
        if plain or match["noun"] or match[0].lower() in ("in major", "in minor"):
            draft.claim("mode", match["mode"].lower(), match)
        else:  # "a major disaster"
            draft.restore(match)


def _is_key(match: re.Match[str], rest: str) -> bool:
    """Whether letter and mode are a key; not the article of "a minor mood", nor "I major in history"."""
    if match["letter"].upper() > "H":
        return match["in"] is not None
    before, after = rest[: match.start("letter")], rest[match.end() :]
    named = match["accidental"] or match["b"] or (match["in"] or "").lower().startswith(("key", "in the key"))
    if match["letter"].upper() != "A" or named or re.search(r"\b(?:an|the) $", before, re.I):
        return True
    noun = re.match(rf"[ -]({WORDS.pattern})", after)
    if noun is None or noun[1].lower() in _FUNCTION_WORDS:
        return True
    return match["letter"] == "A" and noun[1].lower() not in ("key", "mode", "scale", "mood") and before.strip() != ""


def _is_bare_key(match: re.Match[str], rest: str) -> bool:
    """Whether "in A" is a key: always with an accidental, mostly with a letter; "a" and "I" are words as well."""
    if match["accidental"] or match["b"] or match["letter"] not in "AaIi":
        return True
    ends = _CLAUSE_ENDS if match["letter"] == "a" else _PHRASE_ENDS
    return match["letter"] in "Aa" and ends.match(rest[match.end() :]) is not None


def claim_key(draft: Draft, match: re.Match[str]) -> None:
    """Claim the key that a match spells; a bare letter is major."""
    letter = match["letter"].upper()
    if letter > "G":
        german = " (the German H is B)" if letter == "H" else ""
        draft.refuse(match, f"there is no key of {letter}{german}; a key is a letter A to G, # or b, major or minor")
        return
    mode = "minor" if match["mode"].lower() in ("m", "min", "minor") else "major"
    sign = "b" if match["b"] else (match["accidental"] or "").lower()
    draft.claim("key", Key.parse(f"{letter} {sign} {mode}"), match)
