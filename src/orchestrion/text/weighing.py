"""Weighs what a sentence claims: said outright beats implied, implied beats suggested, and what comes first holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orchestrion.text.draft import STRENGTHS, WORDS, Claim, Draft
from orchestrion.text.lexicon import STOP_WORDS
from orchestrion.text.reading import (
    MAX_BARS,
    MAX_INSTRUMENTS,
    Controls,
    ControlsError,
    NotUnderstood,
    Reading,
    Understood,
    bars_lasting,
    value_text,
)
from orchestrion.theory import DRUMS, Meter

TYPICAL_TEMPO = 112.0  # where a length in seconds is asked for and nothing names a tempo
_LONE_PLAYERS = (0, 24, 46, 40, 73)  # who plays where nobody is named: the first who is wanted
_NAMES = {"bars": "number of bars", "seconds": "length"}
_AGREE = 1.35  # two tempo words whose tempi differ by less than this ratio do not contradict each other


@dataclass
class _Record:
    """What is said about the words of a sentence, with their places."""

    understood: list[tuple[int, Understood]] = field(default_factory=list)
    refused: list[tuple[int, NotUnderstood]] = field(default_factory=list)

    def note(self, claim: Claim, control: str, value: Any, overruled_by: str = "") -> None:
        strength = "named" if claim.strength == "word" else claim.strength
        entry = Understood(claim.words, control, value_text(value), strength, overruled_by)
        if (claim.start, entry) not in self.understood:
            self.understood.append((claim.start, entry))

    def refuse(self, claim: Claim, reason: str) -> None:
        self.refused.append((claim.start, NotUnderstood(claim.words, reason)))


def weigh(draft: Draft, sentence: str) -> Reading:
    """The reading that follows from all claims. Raises ControlsError where two outright statements differ."""
    record = _Record(refused=list(draft.refused))
    won: dict[str, Claim] = {}
    for control in ("bars", "tempo", "key", "mode", "meter", "seconds"):
        _contest(control, draft, won, record)
    chosen = {control: claim.value for control, claim in won.items()}
    if "key" in chosen:
        chosen.pop("mode", None)
    seconds = chosen.pop("seconds", None)
    if seconds is not None:
        length = _length(won, record)
        seconds = seconds if length else None
        chosen |= length
    instruments, suggested = _players(draft, record)
    return Reading(
        sentence,
        Controls(**chosen, instruments=instruments),
        tuple(entry for _, entry in sorted(record.understood, key=lambda item: item[0])),
        tuple(entry for _, entry in sorted(record.refused, key=lambda item: item[0])),
        suggested,
        seconds,
        tuple(w for w in WORDS.findall(draft.rest) if w.lower() not in STOP_WORDS and len(w) > 1),
    )


def _contest(control: str, draft: Draft, won: dict[str, Claim], record: _Record) -> None:
    """Find the claim of one control that holds, and record what became of the others."""
    claims = [claim for claim in draft.claims if claim.control == control]
    for claim in sorted(claims, key=lambda c: (-STRENGTHS.index(c.strength), c.start)):
        rival = won["key"] if control == "mode" and "key" in won else won.setdefault(control, claim)
        value = rival.value.mode if rival.control == "key" and control == "mode" else rival.value
        if claim.value == value:
            if control != "seconds":
                record.note(claim, control, claim.value)
        elif claim.strength == rival.strength == "named":
            raise ControlsError(
                f"the sentence says both {rival.words!r} and {claim.words!r}; name one {_NAMES.get(control, control)}"
            )
        elif claim.strength == rival.strength == "word" and not 1 / _AGREE < claim.value / value < _AGREE:
            record.refuse(claim, f"contradicts {rival.words!r}, which holds")
        else:
            record.note(claim, control, claim.value, rival.words)


def _length(won: dict[str, Claim], record: _Record) -> dict[str, Any]:
    """The controls that give the length in seconds that was asked for; none where bars are named or it is too long."""
    claim = won["seconds"]
    if "bars" in won:
        record.refuse(claim, f"{won['bars'].words!r} fixes the length")
        return {}
    tempo = won["tempo"].value if "tempo" in won else TYPICAL_TEMPO
    meter = won["meter"].value if "meter" in won else Meter(4, 4)
    bars = bars_lasting(claim.value, tempo, meter)
    if bars > MAX_BARS:
        record.refuse(
            claim, f"needs {bars} bars of {meter.name} at {tempo:g} quarter notes a minute; at most {MAX_BARS}"
        )
        return {}
    fixed = {"bars": bars, "tempo": tempo, "meter": meter}
    for control, value in fixed.items():
        if control not in won:
            implied = Claim(control, value, claim.words, "named" if control == "bars" else "implied", claim.start)
            record.note(implied, control, value)
    return fixed


def _players(draft: Draft, record: _Record) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The instruments named, and those that suggest themselves; none of either that is not wanted."""
    without = [claim for claim in draft.claims if claim.control == "without"]
    unwanted = {program for claim in without for program in claim.value}
    for claim in without:
        record.note(claim, "without", claim.value)
    instruments: list[int] = []
    for player in sorted(draft.players, key=lambda p: p.start):
        kept = tuple(program for program in player.programs if program not in unwanted)
        if not kept or (kept != player.programs and not player.ensemble):
            denial = next(claim for claim in without if set(claim.value) & set(player.programs))
            raise ControlsError(f"the sentence says both {player.words!r} and {denial.words!r}; leave one out")
        for program in dict.fromkeys(kept):  # naming an instrument again adds no second one
            instruments += [program] * (kept.count(program) - instruments.count(program))
        record.note(Claim("instruments", kept, player.words, "named", player.start), "instruments", kept)
    if len(instruments) > MAX_INSTRUMENTS:
        raise ControlsError(f"the sentence names {len(instruments)} instruments; at most {MAX_INSTRUMENTS} play")
    suggested: tuple[int, ...] = ()
    for claim in sorted((c for c in draft.claims if c.control == "band"), key=lambda c: c.start):
        kept = tuple(program for program in claim.value if program not in unwanted)
        overruled = "the instruments named" if instruments else "an earlier style" if suggested else ""
        record.note(claim, "instruments", kept, overruled)
        suggested = suggested or kept
    lone = next((program for program in (*_LONE_PLAYERS, *range(DRUMS + 1)) if program not in unwanted), 0)
    return tuple(instruments), suggested or (lone,)
