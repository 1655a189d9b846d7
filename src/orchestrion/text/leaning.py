"""Words that lean the music without fixing it: denser or sparser, higher or lower, louder or softer.

A leaning shifts probabilities while composing; what is named outright (`text.controls`) is held by masks instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrion.text.reading import Reading, Understood


@dataclass(frozen=True)
class Leaning:
    """Each -1..1: fewer to more notes, low to high, soft to loud; 0 leaves the music as learned."""

    density: float = 0.0
    register: float = 0.0
    loudness: float = 0.0


#: Words, and how far they lean (density, register, loudness).
_WORDS: dict[str, tuple[float, float, float]] = {
    word: lean
    for words, lean in {
        "calm gentle peaceful quiet soothing relaxed relaxing tender dreamy lullaby serene chilled":
            (-0.7, 0.0, -0.9),
        "sad lonely melancholic melancholy mournful sorrowful gloomy": (-0.4, -0.2, -0.5),
        "energetic wild driving lively intense powerful epic aggressive furious fierce": (0.8, 0.0, 0.9),
        "happy cheerful joyful joyous playful merry": (0.3, 0.3, 0.3),
        "sparse minimal simple spacious": (-1.0, 0.0, 0.0),
        "busy dense virtuosic": (1.0, 0.0, 0.0),
        "low deep dark": (0.0, -1.0, 0.0),
        "high high-pitched sparkling bright": (0.0, 1.0, 0.0),
        "soft softly": (0.0, 0.0, -1.0),
        "loud loudly": (0.0, 0.0, 1.0),
    }.items()
    for word in words.split()
} | {"few notes": (-1.0, 0.0, 0.0), "many notes": (1.0, 0.0, 0.0)}  # fmt: skip
_ANY_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_DENIED = r"(?P<not>(?:not|no|never|without|less)\s+(?:\w+\s+)?)?"
_FOUND = re.compile(rf"{_DENIED}(?<![\w-])(?P<word>{_ANY_WORD})(?![\w-])", re.IGNORECASE)
_SAYS = (("fewer notes", "more notes"), ("lower", "higher"), ("softer", "louder"))


def read_leaning(sentence: str) -> tuple[Leaning, tuple[Understood, ...]]:
    """How the words of a sentence lean the music, and what each was taken for. Denied words lean nothing."""
    sums, understood = [0.0, 0.0, 0.0], []
    for match in _FOUND.finditer(sentence):
        if match["not"]:
            continue
        lean = _WORDS[match["word"].lower()]
        sums = [total + part for total, part in zip(sums, lean, strict=True)]
        says = ", ".join(pair[part > 0] for pair, part in zip(_SAYS, lean, strict=True) if abs(part) >= 0.3)
        understood.append(Understood(match["word"], "leaning", says, "suggested"))
    return Leaning(*(max(-1.0, min(1.0, total)) for total in sums)), tuple(understood)


def leaning_of(reading: Reading) -> tuple[Leaning, tuple[Understood, ...]]:
    """`read_leaning` of a sentence that was read, without the words that say how loudness moves from section to
    section: the loud chorus of a quiet verse does not make all of it loud."""
    sentence = reading.sentence
    for said in reading.understood:
        if said.control == "dynamics":
            sentence = sentence.replace(said.words, " " * len(said.words))
    return read_leaning(sentence)
