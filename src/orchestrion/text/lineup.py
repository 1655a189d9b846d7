"""Who plays: the players named, the band of a style that is named, or both.

Players named "with" a style join its band: those of a kind that the band has take that place, others are added. Players
"for" whom a piece is, "solo", "only", or who stand before it ("a piano waltz") or behind a style ("jazz piano") are all
who play; so are players who fill a band by themselves (drums, bass and chords, or any three roles).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrion.music.theory import DRUMS
from orchestrion.text.draft import Claim, Draft, Players, squeeze
from orchestrion.text.styles import HORN_SECTIONS

#: Players of one kind: one named takes the place of one in the band.
_KINDS: tuple[range | tuple[int, ...], ...] = (
    range(0, 7), range(16, 21), (21, 23), range(24, 32), (*range(32, 40), 43), (40, 110), range(48, 52), range(52, 55),
    (56, 59), range(61, 64), range(64, 68), (72, 73), range(80, 88), range(88, 96),
)  # fmt: skip
#: In an ensemble only these give way: a quartet with a second kind of reed has one more player.
_RHYTHM_KINDS = (range(0, 7), range(24, 32), (*range(32, 40), 43))
#: Plain names, and what a band may have for them: who names "bass" takes the bass of the style.
_PLAIN: dict[str, range] = {
    "piano": range(0, 4), "guitar": range(24, 32), "electricguitar": range(26, 32), "bass": range(32, 40),
    "bassline": range(32, 40), "sax": range(64, 68), "saxophone": range(64, 68), "synth": range(80, 91),
    "synthesizer": range(80, 91), "pad": range(88, 96), "organ": range(16, 21), "brass": range(61, 64),
    "string": range(48, 52), "voice": range(52, 55), "vocal": range(52, 55), "choir": range(52, 55),
    "horn": range(60, 64),
}  # fmt: skip
_ADJECTIVE = r"(?:(?!(?:with|featuring|and|for|in|only|just|solo)\b)[\w'-]+ )?"
_ARTICLES = r"(?:(?:an?|the|some|my|our|solo|lone) )*"
_ALONE_BEFORE = re.compile(
    rf"(?<!not )\b(?:just|only|nothing but|unaccompanied) {_ARTICLES}{_ADJECTIVE}$|\b(?:solo|lone) {_ADJECTIVE}$", re.I
)
_ONLY_BEHIND = re.compile(r" (?:only|alone|unaccompanied|by itself|on its own)(?!\w)", re.I)
_SOLO_BEHIND = re.compile(r" solo(?!\w)(?! section)", re.I)
_JOINS = re.compile(
    rf"\b(?:with|featuring|feat\.?|plus|includ(?:e|es|ing)|add(?:ing|s)?|and|has|having|us(?:e|es|ing)) "
    rf"{_ARTICLES}{_ADJECTIVE}$",
    re.I,
)
_ONLY = re.compile(r"\b(?:just|only|nothing but|unaccompanied) ", re.I)
_OUTRIGHT = re.compile(rf"\b(?:for|on|by|of) {_ARTICLES}{_ADJECTIVE}$", re.I)
_LIST = re.compile(r" ?(?:,|and|&|\+|/|, ?and|, ?plus|plus|as well as)? ?(?:(?:an?|the|some) )?(?:[\w'-]+ )?", re.I)
_NO_NOUN = re.compile(
    r"(?: (?:and|or|with|in|at|for|of|to|on|by|from|as|but|plus|then|that|which|is|are|only|alone|please|via)(?!\w)"
    r"|[^\w -]|[ -]*$| *[0-9]|[ -]+[^\w])",
    re.I,
)


@dataclass(frozen=True)
class LineUp:
    """instruments: who plays where players are named, () where none is; band: those of them who came with the style;
    suggested: the style's band; solo: one player alone, as asked; named: each player named and the programs taken."""

    instruments: tuple[int, ...]
    band: tuple[int, ...]
    suggested: tuple[int, ...]
    solo: bool
    named: tuple[tuple[Players, tuple[int, ...]], ...]


def line_up(draft: Draft, unwanted: set[int], style: str) -> LineUp:
    """style: the tag of the style, "" where there is none."""
    bands = sorted((claim for claim in draft.claims if claim.control == "band"), key=lambda claim: claim.start)
    own = tuple(program for program in bands[0].value if program not in unwanted) if bands else ()
    players = [player for player in sorted(draft.players, key=lambda p: p.start) if not _is_noun(player, bands)]
    ways = _ways(draft, players, bands)
    kept = [(player, _wanted(player, own, unwanted, style)) for player in players]
    if not players:
        return LineUp((), (), own, False, ())
    added = own and "outright" not in ways and not _fill(kept)
    base = list(own) if added else []
    for player, programs in kept:
        if player.ensemble:
            _join(base, programs, ())
    for player, programs in kept:
        if not player.ensemble:
            ensemble = any(other.ensemble for other, _ in kept)
            _join(base, programs, _KINDS if added else _RHYTHM_KINDS if ensemble else (), player)
    named = [program for _, programs in kept for program in programs]
    rest = tuple(program for program in base if program in own and program not in named) if added else ()
    solo = len(base) == 1 and not players[0].ensemble and ways[0] != "joins"
    return LineUp(tuple(base), rest, own, solo, tuple(kept))


def _wanted(player: Players, band: tuple[int, ...], unwanted: set[int], style: str) -> tuple[int, ...]:
    """The programs of a player that are wanted, as the style has them: its own bass where "bass" is named."""
    programs = tuple(program for program in player.programs if program not in unwanted)
    plain = squeeze(player.phrase)
    if plain == "horns" and len(programs) == 1 and style in HORN_SECTIONS:
        programs = (61,)
    kind = _PLAIN.get(plain) or _PLAIN.get(plain.removesuffix("s")) or ()
    at_home = [program for program in band if program in kind] if not player.ensemble else []
    return tuple(at_home[min(place, len(at_home) - 1)] if at_home else program
                 for place, program in enumerate(programs))  # fmt: skip


def _join(
    base: list[int],
    programs: tuple[int, ...],
    kinds: tuple[range | tuple[int, ...], ...],
    player: Players | None = None,
) -> None:
    """Let players join: naming one again adds none, one of a kind that is there takes its place, others are added."""
    plain = squeeze(player.phrase) if player else ""
    same = _PLAIN.get(plain) or _PLAIN.get(plain.removesuffix("s")) or ()
    taken: list[int] = []
    for program in dict.fromkeys(programs):
        missing = programs.count(program) - base.count(program)
        for _ in range(missing):
            if kinds and sum(p in same for p in base) >= len(programs):
                break
            kind = next((kind for kind in kinds if program in kind), ())
            others = [p for p in base if p in kind and p not in programs and p not in taken]
            if others:
                base[base.index(min(others, key=lambda p: abs(p - program)))] = program
                taken.append(program)
            else:
                base.append(program)


def _fill(kept: list[tuple[Players, tuple[int, ...]]]) -> bool:
    """Whether the players named are a band by themselves."""
    roles = {_role(program) for _, programs in kept for program in programs}
    return len(roles) >= 3


def _role(program: int) -> str:
    if program == DRUMS:
        return "drums"
    if 32 <= program < 40 or program == 43:
        return "bass"
    chords = program < 8 or 16 <= program < 32 or program == 46 or 48 <= program < 52 or 88 <= program < 96
    return "chords" if chords else "melody"


def _ways(draft: Draft, players: list[Players], bands: list[Claim]) -> list[str]:
    """How each player is named: "outright", "joins" a band, or "bare", which does so where there is one."""
    ways: list[str] = []
    text, first = draft.text, 0
    for place, player in enumerate(players):
        if place and _LIST.fullmatch(text[players[place - 1].end : player.start]):
            ways.append(ways[-1])
        else:
            ways.append(_way(draft, player, bands))
            first = place
        if _ONLY_BEHIND.match(text, player.end):
            ways[first:] = ["outright"] * len(ways[first:])
    return ways


def _way(draft: Draft, player: Players, bands: list[Claim]) -> str:
    text, before = draft.text, draft.text[: player.start]
    if draft.rest.startswith((" \x01", "\x01"), player.end) and re.match(" solo(?!\\w)", text[player.end :], re.I):
        return "joins"  # "verse, guitar solo, chorus"
    joins = _JOINS.search(before)
    alone = _ALONE_BEFORE.search(before)
    if alone and (_ONLY.search(alone[0]) or not joins):
        return "outright"
    if joins:
        return "joins"
    if _SOLO_BEHIND.match(text, player.end) or _OUTRIGHT.search(before) or player.ensemble:
        return "outright"
    if any(_follows(player, claim) for claim in bands):  # "jazz piano"
        return "outright"
    style = next((claim for claim in bands if 0 < claim.start - player.end <= 1), None)
    if style is not None:  # "guitar rock"
        return "joins" if len(style.value) > 1 else "outright"
    return "bare" if _NO_NOUN.match(text, player.end) else "outright"


def _follows(player: Players, style: Claim) -> bool:
    return 0 < player.start - style.start - len(style.words) <= 1


def _is_noun(player: Players, bands: list[Claim]) -> bool:
    """A "hip-hop beat" is a piece and no drums alone."""
    return squeeze(player.phrase) in ("beat", "beats") and any(_follows(player, claim) for claim in bands)
