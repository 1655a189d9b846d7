"""Reads who plays: instruments, ensembles, counts, what is not wanted, and names that are no instrument."""

from __future__ import annotations

import difflib
import re

from orchestrion.music.theory import DRUMS, Meter
from orchestrion.text import lexicon
from orchestrion.text.draft import PLAYED, SMALL, Claim, Draft, Players, number, phrases, squeeze, squeezed
from orchestrion.text.reading import MAX_INSTRUMENTS, NotUnderstood
from orchestrion.text.styles import ENSEMBLE_STYLES, STYLES

_INSTRUMENTS = squeezed(lexicon.INSTRUMENTS)
_ENSEMBLES = squeezed(lexicon.ENSEMBLES)
_KINDS = squeezed(lexicon.KINDS)
_ABSENT = squeezed(lexicon.ABSENT)
_STYLES = squeezed(STYLES)
_DANCES = squeezed(lexicon.DANCES)
_COUNT = rf"(?:(?P<count>[0-9]{{1,3}}|(?:an? )?{SMALL}|pair|a pair)(?: of)? (?:[a-z]+ )??)?"
_SIZE = rf"(?:[ -](?P<size>{'|'.join(lexicon.GROUP_SIZES)}))?"
_NAMES = [p for p in (*lexicon.INSTRUMENTS, *lexicon.ENSEMBLES) if p not in lexicon.EVERYDAY]
_PLAYERS = re.compile(_COUNT + rf"(?P<phrase>{phrases(_NAMES, '(?:e?s)?')})(?<!up[ -]beat){_SIZE}(?!\w)", re.I)
_PATCH = re.compile(rf"(?P<phrase>{phrases(lexicon.EVERYDAY)}) (?:{'|'.join(lexicon.PATCH_WORDS)})(?!\w)", re.I)
_ARTICLES = "(?: (?:any|the|an?|no|without|use))*"
_AND = rf"(?:or|nor|and){_ARTICLES} \x02+"
#: A comma goes on with what is unwanted only in a list that "and" or "or" closes, and never after "no".
_WITHOUT = re.compile(
    rf"(?<!\w)(?:(?P<no>without|minus|sans|except(?: for)?|excluding|avoid){_ARTICLES}"
    rf" (?P<list>\x02+(?:(?:, \x02+)+(?=,? {_AND}))?(?:,? {_AND})*)"
    rf"|(?P<not>(?:but )?no|not|drop|never){_ARTICLES} (?P<these>\x02+(?: {_AND})*))",
    re.I,
)
_TEXTURE = rf"(?<!\w)(?:in (?:{SMALL}|[2-9])[ -](?:voices|parts)|(?:{SMALL}|[2-9])[ -](?:voice|part))(?!\w)(?! choir)"
_ENDS = r"(?=$|[,.;!?\x01]| (?:in|at|with|for|of|from|by|to|on|that|which|and|\x01))"
_JOINED = (
    r"(?<=\x02)(?:,? and|,? &|,? plus|,? or) (?:an? |the |some )?(?P<name>[a-z'-]{1,30}(?: [a-z'-]{1,30})?)" + _ENDS
)
_ANNOUNCED = (
    r"(?<!\w)(?:(?:for|with|on|featuring)(?: solo| an?| the| some)*|solo) "
    r"(?P<name>(?P<first>[a-z]{4,30})(?: (?!(?:and|or|in|with|for|at)\b)[a-z]{1,30})?)(?![a-z])"
)
#: Styles with an instrument's name inside ("drum and bass", "synth-pop"): read before the instruments are.
_STYLES_FIRST = list(filter(re.compile(phrases(_NAMES)).search, STYLES))


def read_instruments(draft: Draft) -> None:
    """Who plays and who is not to; instruments that we lack are refused with the nearest that we have."""
    for match in draft.take(phrases(lexicon.ABSENT, "s?"), mark=PLAYED):
        nearest = _ABSENT.get(squeeze(match[0])) or _ABSENT.get(squeeze(match[0])[:-1], "another")
        draft.refuse(match, f"General MIDI has no such instrument; the nearest: {nearest}")
    for match in draft.take(phrases(_STYLES_FIRST)):
        claim_style(draft, match)
    for match in draft.take(_TEXTURE):  # the texture of a fugue, not singers
        draft.blank(match.start(), match.end())
    for match in draft.take(_PATCH, mark=PLAYED):
        programs = (_INSTRUMENTS[squeeze(match["phrase"])],)
        draft.players.append(Players(match.start(), match.end(), programs, match[0], False, match["phrase"]))
    for match in draft.take(_PLAYERS, mark=PLAYED):
        _note_players(draft, match)
    for match in list(_WITHOUT.finditer(draft.rest)):
        word, first, last = match["no"] or match["not"], max(match.start("list"), match.start("these")), match.end()
        unwanted = [player for player in draft.players if first <= player.start < last]
        draft.players = [player for player in draft.players if player not in unwanted]
        draft.blank(match.start(), first)
        for player in unwanted:
            name = squeeze(player.words)
            kind = tuple(_KINDS.get(name) or _KINDS.get(name.removesuffix("s")) or player.programs)
            draft.claims.append(Claim("without", kind, f"{word} {player.words}", "named", player.start))
    for match in draft.take(r"(?<!\w)(?P<name>drum|beat|bass|guitar|piano)less(?!\w)"):
        kind = tuple(_KINDS.get(match["name"].lower(), (DRUMS,)))
        draft.claims.append(Claim("without", kind, match[0], "named", match.start()))


def _note_players(draft: Draft, match: re.Match[str]) -> None:
    """Note the players that a match names, as many as its count or its group ("guitar duo") says."""
    name = squeeze(match["phrase"])
    known = [n for n in (name, name.removesuffix("s"), name.removesuffix("es")) if n in _ENSEMBLES or n in _INSTRUMENTS]
    if not known:  # a letter whose case has no equal in ASCII
        draft.restore(match)
        return
    ensemble = known[0] in _ENSEMBLES
    programs = _ENSEMBLES[known[0]] if ensemble else (_INSTRUMENTS[known[0]],)
    times, start = 1, match.start()
    if match["count"]:
        times = 2 if "pair" in match["count"].lower() else int(number(match["count"]))
        if times != 1 and known[0] == name and not name.endswith("s"):  # "two slow piano pieces" are not two pianos
            times, start = 1, match.start("phrase")
            draft.rest = draft.rest[: match.start()] + draft.text[match.start() : start] + draft.rest[start:]
    joined = re.search(r"(?:and|&|,|/|-) ?$|\x02 ?$", draft.rest[:start])  # "flute and piano duo": one of each
    if match["size"] and not joined and not ensemble:
        times = lexicon.GROUP_SIZES[match["size"].lower()]
    words = draft.text[start : match.end()]
    if 1 <= times * len(programs) <= MAX_INSTRUMENTS:
        draft.players.append(Players(start, match.end(), programs * times, words, ensemble, match["phrase"]))
        if ensemble:
            _claim_ensemble_style(draft, match)
    else:
        draft.refused.append((start, NotUnderstood(words, f"a piece has 1 to {MAX_INSTRUMENTS} instruments")))


def claim_style(draft: Draft, match: re.Match[str]) -> None:
    """A style suggests its band, its tempo, its feel, and where it is typical its meter."""
    style = _STYLES.get(squeeze(match[0]))
    if style is None:
        return
    draft.claim("band", style.band, match, "suggested")
    draft.claim("tempo", float(style.tempo), match, "suggested")
    if style.tag:
        draft.claim("style", style.tag, match, "implied")  # stronger than what an ensemble says
    if style.feel:
        draft.claim("feel", style.feel, match, "suggested")
    if style.meter and squeeze(match[0]) not in _DANCES:
        draft.claim("meter", Meter.parse(style.meter), match, "suggested")


def _claim_ensemble_style(draft: Draft, match: re.Match[str]) -> None:
    """A "jazz trio" plays jazz."""
    name = " ".join(re.split(r"[ -]+", match["phrase"].lower()))
    tag, feel = next((style for words, style in ENSEMBLE_STYLES.items() if name.startswith(words)), ("", ""))
    if tag:
        draft.claim("style", tag, match, "suggested")
    if feel:
        draft.claim("feel", feel, match, "suggested")


def read_strangers(draft: Draft) -> None:
    """Unknown words that stand where an instrument would: "piano and wobbleboard", "for pinao"."""
    for match in draft.take(_ANNOUNCED, mark=PLAYED):
        if hint := _near(match["name"]) or _near(match["first"]):
            draft.refuse(match, "no instrument of that name" + hint, match.start("name"))
        else:
            draft.restore(match)
    for match in draft.take(_JOINED, mark=PLAYED):
        if all(word in lexicon.STOP_WORDS for word in match["name"].lower().split()):
            draft.restore(match)
        else:
            draft.refuse(match, "no instrument of that name" + _near(match["name"]), match.start("name"))


def _near(name: str) -> str:
    """ "; did you mean piano?", or "" where nothing is near."""
    found = difflib.get_close_matches(name.lower(), _NAMES, 3, 0.78)
    return f"; did you mean {' or '.join(found)}?" if found else ""
