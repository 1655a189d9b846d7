"""Reads a sentence by rule, one kind of words after another."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

from orchestrion.text import lexicon
from orchestrion.text.draft import Draft, phrases, squeeze, squeezed
from orchestrion.text.errors import ControlsError
from orchestrion.text.keys import read_keys
from orchestrion.text.measures import claim_meter, read_lengths, read_meters, read_tempo_numbers
from orchestrion.text.players import claim_style, read_instruments, read_strangers
from orchestrion.text.reading import MAX_CHARACTERS, Reading
from orchestrion.text.shape import read_changes, read_dynamics, read_feel, read_form
from orchestrion.text.styles import STYLES
from orchestrion.text.weighing import weigh


@cache
def _tables() -> tuple[tuple[re.Pattern[str], dict[str, Any]], ...]:
    """The words of each kind: as a pattern, built when the first sentence is read, and what they say."""
    return tuple(
        (re.compile(phrases(table), re.I), squeezed(table))
        for table in (lexicon.TEMPO_WORDS, lexicon.DANCES, lexicon.MOODS, STYLES, lexicon.MOOD_WORDS,
                      lexicon.MOOD_THINGS)
    )  # fmt: skip


def read_controls(sentence: str) -> Reading:
    """Read a sentence. Raises ControlsError where it says two different things outright ("in 3/4 and in 4/4")
    or is no text or longer than MAX_CHARACTERS."""
    from orchestrion.text.harmony import read_chords

    if len(sentence) > MAX_CHARACTERS:
        raise ControlsError(f"the sentence has {len(sentence)} characters; at most {MAX_CHARACTERS} are read")
    if any("\ud800" <= letter <= "\udfff" for letter in sentence):
        raise ControlsError("the sentence holds bytes that are no letters; write it in UTF-8")
    printable = re.sub(r"[\x00-\x1f\x7f]", " ", unicodedata.normalize("NFKC", sentence))
    draft = Draft(" ".join(printable.split()))
    for rule in (
        read_changes, read_chords, read_dynamics, read_form, read_lengths, read_tempo_numbers, read_meters, read_keys,
        read_feel, read_instruments, read_words, read_strangers,
    ):  # fmt: skip
        rule(draft)
    return weigh(draft, sentence)


def read_words(draft: Draft) -> None:
    """Tempo words, dances, moods and styles. A word may be two of these: a bossa nova has its meter and its band."""
    found = [
        (match, table, values[squeeze(match[0])])
        for table, (pattern, values) in enumerate(_tables())
        for match in pattern.finditer(draft.rest)
        if squeeze(match[0]) in values
    ]
    for match, table, value in found:
        draft.blank(match.start(), match.end())
        if table == 0:
            draft.claim("tempo", float(value), match, "word")
        elif table == 1:
            beats, unit = value.split("/")
            claim_meter(draft, int(beats), int(unit), match, "implied")
        elif table == 2:
            mode, tempo = value
            if mode is not None:
                draft.claim("mode", mode, match, "suggested")
            if tempo is not None:
                draft.claim("tempo", float(tempo), match, "suggested")
        elif table == 3:
            claim_style(draft, match)
        else:
            draft.claim("mood", value, match, "implied" if table == 4 else "suggested")
