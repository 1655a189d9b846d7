"""Weighs what a sentence claims: said outright beats implied, implied beats suggested, and what comes first holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from orchestrion.music.theory import DRUMS, Meter
from orchestrion.text.draft import STRENGTHS, WORDS, Claim, Draft
from orchestrion.text.errors import ControlsError
from orchestrion.text.form import MAX_SECTIONS, Dynamic, Form
from orchestrion.text.lexicon import STOP_WORDS
from orchestrion.text.lineup import LineUp, line_up
from orchestrion.text.reading import (
    MAX_BARS,
    MAX_INSTRUMENTS,
    Controls,
    NotUnderstood,
    Reading,
    Understood,
    bars_lasting,
    value_text,
)
from orchestrion.text.shape import with_edges

TYPICAL_TEMPO = 112.0  # where a length in seconds is asked for and nothing names a tempo
_LONE_PLAYERS = (0, 24, 46, 40, 73)  # who plays where nobody is named: the first who is wanted
_NAMES = {"bars": "number of bars", "seconds": "length", "chords": "chord progression", "form": "form"}
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
    for control in ("style", "mood"):
        _prefer(control, draft, won, record)
    for control in ("bars", "tempo", "key", "mode", "meter", "seconds", "chords", "form", "edges", "feel", "ending"):
        _contest(control, draft, won, record)
    form = _form(won, record)
    chosen: dict[str, Any] = {
        control: won[control].value for control in ("bars", "tempo", "key", "mode", "meter") if control in won
    }
    if "key" in chosen:
        chosen.pop("mode", None)
    seconds = won["seconds"].value if "seconds" in won else None
    if seconds is not None:
        length = _length(won, record)
        seconds = seconds if length else None
        chosen |= length
    players, suggested = _players(draft, record, won["style"].value if "style" in won else "")
    dynamics = _dynamics(draft, record)
    worth = {control: claim.value for control, claim in won.items()}
    return Reading(
        sentence,
        Controls(**chosen, instruments=players.instruments),
        tuple(entry for _, entry in sorted(record.understood, key=lambda item: item[0])),
        tuple(entry for _, entry in sorted(record.refused, key=lambda item: item[0])),
        suggested,
        seconds,
        tuple(w for w in WORDS.findall(draft.rest) if w.lower() not in STOP_WORDS and len(w) > 1),
        players.band,
        players.solo,
        worth.get("chords"),
        form,
        worth.get("feel", ""),
        dynamics,
        worth.get("style", ""),
        worth.get("mood", ""),
        "ending" in won,
    )


def _form(won: dict[str, Claim], record: _Record) -> Form | None:
    """The form with its intro and outro, and its length as that of the piece. Raises ControlsError where a number of
    bars that is named cannot be its length; one that is only suggested gives way."""
    edges, claim = won.get("edges"), won.get("form")
    if edges is None and claim is None:
        return None
    form = claim.value if claim else None
    form = with_edges(form, edges.value) if edges else form
    said = claim or edges
    assert form is not None
    assert said is not None
    if edges is not None:
        record.note(edges, "form", form)
    least = sum(section.bars or 1 for section in form.sections)
    if least > MAX_BARS or len(form.sections) > MAX_SECTIONS:
        record.refuse(said, f"at most {MAX_BARS} bars and {MAX_SECTIONS} sections can be composed")
        return None
    if "bars" in won and won["bars"].strength == "suggested":
        del won["bars"]
    if "bars" in won:
        form.fitted(won["bars"].value)
    elif form.bars is not None:
        won["bars"] = Claim("bars", form.bars, said.words, "implied", said.start)
        record.note(won["bars"], "bars", form.bars)
    return form


def _dynamics(draft: Draft, record: _Record) -> tuple[Dynamic, ...]:
    """All that is said of loudness, in order; of two that differ about one place the first holds."""
    found: dict[str, list[Dynamic]] = {}
    for claim in sorted((c for c in draft.claims if c.control == "dynamics"), key=lambda c: c.start):
        others = found.setdefault(claim.value.where, [])
        if claim.value.where and others and claim.value not in others:
            record.note(claim, "dynamics", claim.value, str(others[0]))
        else:
            record.note(claim, "dynamics", claim.value)
            others.append(claim.value)
    return tuple(dict.fromkeys(dynamic for row in found.values() for dynamic in row))


def _prefer(control: str, draft: Draft, won: dict[str, Claim], record: _Record) -> None:
    """The strongest and first claim holds; none contradicts another."""
    claims = [claim for claim in draft.claims if claim.control == control]
    for claim in sorted(claims, key=lambda c: (-STRENGTHS.index(c.strength), c.start)):
        rival = won.setdefault(control, claim)
        said = replace(claim, strength="suggested")
        record.note(said, control, claim.value, "" if claim.value == rival.value else rival.words)


def _contest(control: str, draft: Draft, won: dict[str, Claim], record: _Record) -> None:
    """Find the claim of one control that holds, and record what became of the others."""
    claims = [claim for claim in draft.claims if claim.control == control]
    for claim in sorted(claims, key=lambda c: (-STRENGTHS.index(c.strength), c.start)):
        rival = won["key"] if control == "mode" and "key" in won else won.setdefault(control, claim)
        value = rival.value.mode if rival.control == "key" and control == "mode" else rival.value
        if claim.value == value:
            if control not in ("seconds", "edges"):
                record.note(claim, control, claim.value)
        elif claim.strength == rival.strength == "named" and control in ("chords", "form"):
            record.refuse(claim, f"{rival.words!r} holds; a piece has one {_NAMES[control]}")
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
    if "bars" in won and won["bars"].strength == "suggested":
        del won["bars"]
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


def _players(draft: Draft, record: _Record, style: str) -> tuple[LineUp, tuple[int, ...]]:
    """Who plays, and who suggests themselves where nobody is named; none of either that is not wanted."""
    without = [claim for claim in draft.claims if claim.control == "without"]
    unwanted = {program for claim in without for program in claim.value}
    for claim in without:
        record.note(claim, "without", claim.value)
    for player in sorted(draft.players, key=lambda p: p.start):
        kept = tuple(program for program in player.programs if program not in unwanted)
        if not kept or (kept != player.programs and not player.ensemble):
            denial = next(claim for claim in without if set(claim.value) & set(player.programs))
            raise ControlsError(f"the sentence says both {player.words!r} and {denial.words!r}; leave one out")
    players = line_up(draft, unwanted, style)
    for player, programs in players.named:
        record.note(Claim("instruments", programs, player.words, "named", player.start), "instruments", programs)
    if len(players.instruments) > MAX_INSTRUMENTS:
        count = len(players.instruments)
        raise ControlsError(f"the sentence names {count} instruments; at most {MAX_INSTRUMENTS} play")
    bands = sorted((claim for claim in draft.claims if claim.control == "band"), key=lambda claim: claim.start)
    for place, claim in enumerate(bands):
        members = players.band if players.band and place == 0 else claim.value
        kept = tuple(program for program in members if program not in unwanted)
        named = "the instruments named" if players.instruments and not players.band else ""
        record.note(claim, "band", kept, named or ("an earlier style" if place else ""))
    lone = next((program for program in (*_LONE_PLAYERS, *range(DRUMS + 1)) if program not in unwanted), 0)
    return players, players.suggested or (lone,)
