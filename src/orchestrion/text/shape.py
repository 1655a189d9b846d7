"""Reads how a piece goes over time: form, dynamics, feel, and changes of key and tempo, which cannot be had."""

from __future__ import annotations

import re
from dataclasses import replace

from orchestrion.text.draft import SMALL, Draft, number, phrases
from orchestrion.text.form import (
    FORMS,
    SECTION_NAMES,
    Dynamic,
    Form,
    FormSection,
    is_letters,
    named_form,
    of_letters,
    section,
)
from orchestrion.text.reading import MAX_BARS

_NUM = rf"(?:[0-9]{{1,4}}|{SMALL})"
_NAME = phrases(SECTION_NAMES, "s?")
#: Names that are sections of a piece even where they stand alone, and those that are wherever another is beside them.
_EDGES = {"intro", "outro"}
_WEAK = {"solo", "tag", "head", "break", "drop", "hook", "theme", "ending", "build up", "stanza", "break down"}
_SECTION = (
    rf"(?:(?:the|each|every|last|final|first|second) )*(?P<section>{_NAME}|end|ending|start|beginning|middle)(?!\w)"
)


# ---- changes that cannot be had

_TONIC = r"[A-H](?:[ -]?(?:#|♯|♭|sharp|flat)|b)?"
_KEY = (
    rf"(?:{_TONIC}(?:[ -]?(?:major|minor|maj|min)|m)?"
    r"|(?:the )?(?:relative|parallel|dominant|tonic)(?: major| minor)?|major|minor)(?!\w)"
)
_THERE = rf"(?: (?:in|at|for|before|towards?|near|during) {_SECTION})?"
_STEP = r"(?: (?:up|down))?(?: (?:by )?(?:an? )?(?:half|whole)?[ -]?(?:step|tone|semitone|third|fourth|fifth))?"
_AND_THEN = "(?:(?:then|and|that|which) )*"
_KEY_CHANGE = re.compile(
    rf"(?<!\w){_AND_THEN}(?:modulat(?:es?|ing|ion)|(?:with )?(?:an? )?key[ -]change|chang(?:es|ing) (?:the )?key"
    rf"|(?:an? )?change of key|transpos(?:es|ing)){_STEP}(?: from {_KEY})?(?: (?:in)?to {_KEY})?{_THERE}(?!\w)",
    re.I,
)
_SECTION_KEY = re.compile(
    rf"(?<!\w)(?P<section>{_NAME})(?: is)? in {_TONIC}(?:[ -]?(?:major|minor|maj|min)|m)?(?!\w)"
    rf"|(?<!\w)(?:in )?{_TONIC}[ -]?(?:major|minor|maj|min) (?:in|for|during) the (?P<section2>{_NAME})(?!\w)"
)
_ANY_KEY = re.compile(
    rf"\bin {_TONIC}(?:m|[ -](?:major|minor|maj|min))?(?!\w)|(?<!\w){_TONIC}[ -](?:major|minor|maj|min)(?!\w)"
)
_GETS = r"(?:gets?|getting|grows?|growing|becomes?|becoming|goes|going|turns|then|ever|gradually|slowly)"
_TEMPO_CHANGE = (
    rf"(?<!\w)(?:(?:then|and|that|which|with an?|gradually|slowly) )*"
    r"(?:accelerando|accel\.?|ritardando|ritard|ritenuto|rallentando|rall\.|rit\."
    rf"|speed(?:s|ing)[ -]up|slow(?:s|ing)(?:[ -]down)?|{_GETS} (?:much |a bit |gradually )?(?:faster|slower|quicker)"
    r"|(?:faster|slower) and (?:faster|slower)|tempo changes?|chang(?:es|ing) (?:the )?tempo|picks up (?:speed|pace))"
    rf"(?: (?:and|or) (?:faster|slower))?{_THERE}(?!\w)",
    rf"(?<!\w)(?:much |a bit )?(?:faster|slower|quicker) (?:in|at|for|towards?|near|during) {_SECTION}",
)
_SECTION_TEMPO = (
    rf"(?<!\w)(?:an? )?(?P<word>(?:much |very )?(?:faster|slower|quicker|fast|slow|quick)) (?P<kept>{_NAME})"
)


def read_changes(draft: Draft) -> None:
    """Changes of key and tempo within a piece, each refused by name."""
    key, tempo = "a piece has one key; a change of key cannot be composed", "a piece has one tempo; it cannot change"
    for match in draft.take(_KEY_CHANGE):
        draft.refuse(match, key)
    matches = list(draft.take(_SECTION_KEY))
    elsewhere = _ANY_KEY.search(draft.rest)
    for place, match in enumerate(matches):
        if place == 0 and not elsewhere:
            draft.restore(match)
            continue
        draft.refuse(match, key)
        _keep(draft, match, "section" if match["section"] else "section2")
    for pattern in _TEMPO_CHANGE:
        for match in draft.take(pattern):
            draft.refuse(match, tempo)
    matches = list(draft.take(_SECTION_TEMPO))
    for match in matches:
        word = match["word"].lower()
        if word.endswith("er") or _name(match["kept"]) in _EDGES or len({m["word"].lower() for m in matches}) > 1:
            draft.refuse(match, tempo)
            _keep(draft, match, "kept")
        else:  # "a slow verse-chorus song"
            draft.restore(match)


def _keep(draft: Draft, match: re.Match[str], group: str) -> None:
    """Put one group of a match back into what is left."""
    start = match.start(group)
    if start > match.start():
        draft.rest = f"{draft.rest[: start - 1]} {draft.rest[start:]}"
    draft.rest = draft.rest[:start] + match[group] + draft.rest[match.end(group) :]


# ---- dynamics

_SOFT = r"(?:very )?(?:softly|soft|quietly|quiet|gently|gentle|calmly|calm|pianissimo|subdued|softer|quieter|hushed)"
_LOUD = r"(?:very )?(?:loudly|loud|strongly|strong|big|powerfully|powerful|fortissimo|forte|louder|huge|explosive)"
_STARTS, _ENDS = r"(?:starts?|starting|begins?|beginning|opens?|opening)", r"(?:ends?|ending|finish(?:es|ing)?|closes?)"
_TO = rf",? ?(?:and|to|then|but|and then)? ?(?:it )?(?:{_ENDS}|grows?|gets|becomes|goes|builds? to)? ?"
_STEADILY = "(?:slowly|gradually|steadily|constantly|ever)"
_GROWS = rf"(?:{_STEADILY} )?(?:gets?|getting|grows?|growing|becomes?|becoming|goes)(?: {_STEADILY})?"
_CLAUSE = r"(?:(?<=^)|(?<=, )|(?<=; )|(?<=and )|(?<=that )|(?<=which )|(?<=then ))"
_CLIMAX = r"(?:in|to|towards?|into) an? (?:\w+ )?(?:climax|finale|peak|end|chorus|crescendo)"
#: Patterns and what they mean; where may follow.
_MOVES: tuple[tuple[str, str, str], ...] = (
    (rf"(?:{_STARTS}|from) {_SOFT}{_TO}{_LOUD}", "rising", ""),
    (rf"(?:{_STARTS}|from) {_LOUD}{_TO}{_SOFT}", "falling", ""),
    (r"(?:soft|softly|quiet|quietly),? then (?:loud|loudly)", "rising", ""),
    (r"(?:loud|loudly),? then (?:soft|softly|quiet|quietly)", "falling", ""),
    (rf"{_STARTS} (?:out )?{_SOFT}", "quiet", "start"),
    (rf"{_STARTS} (?:out )?{_LOUD}", "loud", "start"),
    (rf"{_ENDS} {_SOFT}", "quiet", "end"),
    (rf"{_ENDS} {_LOUD}", "loud", "end"),
    (r"(?:an? )?(?:decrescendo|diminuendo)s?|morendo|calando", "falling", ""),
    (r"(?:(?:with )?an? )?fad(?:e|es|ing)[ -](?:out|away)(?: ending)?", "falling", "end"),
    (r"(?:dies|dying) (?:away|down|out)", "falling", "end"),
    (rf"{_GROWS} (?:quieter|softer|calmer|gentler)(?: and (?:quieter|softer))?", "falling", ""),
    (r"quieter and quieter|softer and softer|wind(?:s|ing) down|taper(?:s|ing) off|calms down", "falling", ""),
    (r"(?:an? )?(?:(?:long|big|slow|great) )?crescendo(?:s|ing)?|swell(?:s|ing)?|(?:an? )?build[ -]?up", "rising", ""),
    (rf"{_GROWS} (?:louder|more intense|bigger|stronger)(?: and louder)?|louder and louder", "rising", ""),
    (r"(?:increasing|growing|rising) (?:intensity|loudness|volume|tension|energy)", "rising", ""),
    (rf"(?:{_STEADILY} )?build(?:s|ing)?(?: {_STEADILY})?[ -]up(?: {_STEADILY})?", "rising", ""),
    (rf"(?:{_STEADILY} )?build(?:s|ing)?(?: {_STEADILY})?(?: up)? {_CLIMAX}", "rising", ""),
    (r"build(?:s|ing)? (?:in )?(?:intensity|tension|energy|momentum)", "rising", ""),
    (rf"{_STEADILY} build(?:s|ing)|{_CLAUSE}(?:builds|building)(?: {_STEADILY})?(?= ?(?:$|[,.;!?]))", "rising", ""),
)
_QUIETS = "quiet|soft|gentle|calm|hushed|subdued|sparse|quieter|softer|calmer|gentler"
_LOUDS = "loud|big|powerful|huge|explosive|bombastic|energetic|intense|wild|epic|louder|bigger"
_SECTION_LOUDNESS = (
    rf"(?<!\w)(?P<word>{_QUIETS}|{_LOUDS}),? (?P<kept>{_NAME})",
    rf"(?<!\w)(?P<word>{_QUIETS}|{_LOUDS}) (?:in|during|at) the (?P<kept>{_NAME})",
    rf"(?<!\w)(?:in|during) the (?P<kept>{_NAME}),? (?P<word>{_QUIETS}|{_LOUDS})(?!\w)",
)
_ALONG = rf"(?: (?:at|towards?|near|in|until|by) {_SECTION})?"


def read_dynamics(draft: Draft) -> None:
    """ "crescendo", "builds up", "fading out", "starts soft and ends loud", "quiet verse and loud chorus"."""
    for pattern, move, where in _MOVES:
        for match in draft.take(rf"(?<!\w)(?:{pattern})(?!\w){_ALONG}"):
            draft.claim("dynamics", Dynamic(move, _where(match["section"]) or where), match)
    for pattern in _SECTION_LOUDNESS:
        for match in draft.take(pattern):
            move = "quiet" if re.fullmatch(_QUIETS, match["word"], re.I) else "loud"
            draft.claim("dynamics", Dynamic(move, _name(match["kept"])), match)
            _keep(draft, match, "kept")


def _name(words: str) -> str:
    """The name under which a section is kept: "refrains" is the chorus."""
    plain = " ".join(re.split(r"[ -]+", words.lower()))
    return SECTION_NAMES.get(plain) or SECTION_NAMES.get(plain.removesuffix("s")) or plain


def _where(words: str | None) -> str:
    place = _name(words) if words else ""
    return {"ending": "end", "outro": "end", "beginning": "start", "intro": "start", "middle": ""}.get(place, place)


# ---- feel

_SWINGS = (
    r"(?<!\w)(?:swung(?: (?:eighths?|8ths?)(?: notes)?)?"
    r"|swing(?:ing|y)? (?:feel|rhythm|groove|eighths?(?: notes)?|time|beat)"
    r"|with (?:a |some )?(?:(?:light|gentle|hard) )?swing(?: (?:feel|rhythm|groove|beat))?"
    r"|swinging|swingy|(?<!blues )(?<!blues-)shuffle[ds]?"
    r"(?: (?:feel|rhythm|groove|beat))?|shuffling|triplet feel)(?!\w)"
)
_STRAIGHTS = (
    r"(?<!\w)(?:(?:not|no|without|un)[ -]?(?:swung|swing|shuffle)(?: feel)?|straight (?:feel|rhythm|groove|time|beat"
    r"|(?:eighths?|8ths?|sixteenths?|16ths?)(?: notes?)?)|(?:played )?straight(?= ?(?:$|[,.;!?])))(?!\w)"
)


def read_feel(draft: Draft) -> None:
    """ "swung", "with a swing", "shuffle", "straight eighths", "no swing"."""
    for match in draft.take(_STRAIGHTS):
        draft.claim("feel", "straight", match)
    for match in draft.take(_SWINGS):
        draft.claim("feel", "swing", match)


# ---- form

_LETTERS = re.compile(
    r"(?<![\w'’.&-])(?:(?P<said>(?:form|structure)(?: of|:| is)?|in) )?"
    r"(?P<letters>A['’]?(?:[ –-]?[A-H]['’]?){1,15})(?![\w'’&-])(?P<form>[ -](?:form|structure|pattern))?"
)
_A_NAME_BEFORE = re.compile(r"(?:like|by|of|style of|à la|from) $", re.I)
_A_NAME_BEHIND = re.compile(r"(?:'s|’s|[ -](?:style|song|songs|hit|like|esque|batteries))(?!\w)", re.I)
_FORMS = re.compile(phrases({name for name in FORMS if name not in ("ternary", "binary")}
                            | {"ternary form", "binary form", "verse chorus structure", "pop song structure"},
                            "(?: form)?"), re.I)  # fmt: skip
_LENGTH_UNIT = r"(?:bars?|measures?)"
_BEHIND = re.compile(
    rf"(?: [1-9](?=:? \(?{_NUM}[ -]?{_LENGTH_UNIT})| [1-9](?= [0-9]))?"
    rf"(?:(?: of| with| for| lasting|:)? ?\(?(?P<bars>{_NUM})[ -]?{_LENGTH_UNIT}\)?(?!\w)"
    r"|:? \(?(?P<plain>[0-9]{1,3})\)?(?![\w/.%:]| ?(?:bpm|beats|min|sec)))?",
    re.I,
)
_WORD = r"(?:(?!(?:and|then|with|for|in|of|to|at)\b)[a-z\x01\x02-]+ )"
_GAP = re.compile(
    rf",?(?: ?(?:and|then|followed by|plus|with|to|into|,|/|\||→|>|–|—|-))*\s?(?:(?:an?|the|another|one|same) )?"
    rf"(?:(?P<before>{_NUM})[ -]{_LENGTH_UNIT}[ -](?:long )?)?{_WORD}{{0,2}}",
    re.I,
)
_BEFORE_FIRST = re.compile(rf"(?P<bars>{_NUM})[ -]{_LENGTH_UNIT}[ -](?:long )?(?:[a-z\x01-]+ )?$", re.I)
_TWICE = re.compile(r",? (?:twice|two times|x ?2|× ?2|repeated)(?!\w)", re.I)
_EACH = re.compile(
    rf"(?:,? )?(?<!\w)(?:(?:of )?(?P<one>{_NUM})[ -]{_LENGTH_UNIT} (?:each|per section|a section)"
    rf"|each (?:section |part )?(?:of |has |is |with )?(?P<two>{_NUM}) {_LENGTH_UNIT}"
    rf"|(?:in |with )?(?P<three>{_NUM})[ -]bar sections)(?!\w)",
    re.I,
)
_ENDING = r"(?<!\w)(?:with )?(?:an? (?:\w+ )?(?:ending|final cadence)|(?:proper|clear|real|good|strong) ending)(?!\w)"


def read_form(draft: Draft) -> None:
    """ "AABA", "rondo", "verse 8 bars, chorus 8 bars", "with an intro and an ending"; a name alone is no form."""
    each = next(draft.take(_EACH), None)
    before = len(draft.claims)
    _read_letters(draft)
    for match in draft.take(_FORMS):
        if form := named_form(match[0]):
            draft.claim("form", form, match)
        else:
            draft.restore(match)
    _read_sections(draft)
    forms = [place for place in range(before, len(draft.claims)) if draft.claims[place].control == "form"]
    if each and forms:
        bars = int(number(each["one"] or each["two"] or each["three"]))
        for place in forms:
            claim = draft.claims[place]
            draft.claims[place] = replace(claim, value=claim.value.with_bars(bars), words=f"{claim.words}{each[0]}")
    elif each:
        draft.restore(each)
    for match in draft.take(_ENDING):
        draft.claim("ending", True, match)


def _read_letters(draft: Draft) -> None:
    for match in draft.take(_LETTERS):
        letters = re.sub(r"[^A-H]", "", match["letters"])
        said = bool(match["form"]) or (match["said"] or "in").lower() != "in"
        sure = len(letters) > 2 and 1 < len(set(letters)) < len(letters)
        name = _A_NAME_BEFORE.search(draft.text[: match.start()]) or _A_NAME_BEHIND.match(draft.text[match.end() :])
        if is_letters(letters) and (said or (sure and not name)):
            draft.claim("form", of_letters(letters), match)
        else:
            draft.restore(match)


def _read_sections(draft: Draft) -> None:
    """Rows of names of sections, each with its bars where they stand before or behind it."""
    names = list(re.finditer(_NAME, draft.rest, re.I))
    groups: list[list[tuple[re.Match[str], int | None, int]]] = []  # name, bars, end with what belongs to it
    for match in names:
        behind = _BEHIND.match(draft.rest, match.end())
        assert behind is not None
        said = behind["bars"] or behind["plain"]
        bars = int(number(said)) if said else None
        gap = _GAP.fullmatch(draft.rest[groups[-1][-1][2] : match.start()]) if groups else None
        first = _BEFORE_FIRST.search(draft.rest[: match.start()])
        if gap and gap["before"]:
            bars = int(number(gap["before"]))
        elif gap is None and first:
            bars = int(number(first["bars"]))
        item = (match, bars, behind.end() if said else match.end())
        if gap is None:
            groups.append([item])
        else:
            groups[-1].append(item)
    for group in groups:
        _claim_sections(draft, group)


def _claim_sections(draft: Draft, group: list[tuple[re.Match[str], int | None, int]]) -> None:
    plain = [" ".join(re.split(r"[ -]+", match[0].lower())).removesuffix("s") for match, _, _ in group]
    while group and plain[0] in ("solo", "theme", "tag", "head") and not {"solo", "head"} <= set(plain):
        group, plain = group[1:], plain[1:]
    if not group or (set(plain) <= _WEAK and not {"solo", "head"} <= set(plain)):
        return
    first, end = group[0][0], group[-1][2]
    alone = len(group) == 1
    if alone and (_name(first[0]) not in _EDGES or group[0][1] == 0):
        return
    start = first.start()
    if (length := _BEFORE_FIRST.search(draft.rest[:start])) and group[0][1] is not None:
        start = length.start()
    twice = _TWICE.match(draft.rest, end)
    end = twice.end() if twice else end
    match = draft.span(start, end)
    sections: list[FormSection] = []
    for name, bars, _ in group:
        sections.append(section(_name(name[0]), bars, "".join(s.letter for s in sections)))
    if any(not 1 <= (s.bars or 1) <= MAX_BARS for s in sections):
        draft.refuse(match, f"a section has 1 to {MAX_BARS} bars")
        draft.blank(start, end)
        return
    form = Form(tuple(sections) * (2 if twice else 1))
    only_edges = {s.name for s in sections} <= _EDGES
    draft.claim("edges" if only_edges else "form", form, match)
    if "outro" in {s.name for s in sections}:
        draft.claim("ending", True, match, "implied")
    for name, bars, behind in group:
        prefix = _BEFORE_FIRST.search(draft.rest[: name.start()]) if bars is not None else None
        draft.blank(prefix.start() if prefix else name.start(), behind)
    if twice:
        draft.blank(twice.start(), twice.end())


def with_edges(form: Form | None, edges: Form) -> Form:
    """The form with an intro before it and an outro behind it where it has none; of one part where there is none."""
    middle = form.sections if form else (FormSection("A"),)
    by_name = {s.name: s for s in edges.sections}
    intro, outro = by_name.get("intro"), by_name.get("outro")
    names = {s.name for s in middle}
    before = (intro,) if intro and "intro" not in names else ()
    behind = (outro,) if outro and "outro" not in names else ()
    return Form((*before, *middle, *behind))
