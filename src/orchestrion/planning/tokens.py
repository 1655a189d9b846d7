"""A plan as tokens, and the automaton that reads them; `planning.plan_writer` writes them under what is asked.

The order of tokens: style, mood, feel, mode, tempo, meter, bars; instrument and role of each part; letter, length and,
where it takes up an earlier one, variation of each section; then section by section its chords by half bars and of each
part its levels, or that it is silent. Chords are written in C major or A minor. What comes again costs one token: a
chord that is held, the harmony of the first section with the same letter, the levels of a part there. From the whole
to the parts, as in Whole-Song Hierarchical Generation (Wang et al. 2024); a plan in words of the field before any note,
as in Text2Score and MuseCoco (Lu et al. 2023).

Shapes: S sections, P parts, V tokens, F features of a place. Half bars are counted from 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import numpy as np

from orchestrion.music.chords import BASS_CODES, CHORD_CODES, FIRST_CHORD, QUALITIES, QUALITY_NAMES, Chord
from orchestrion.music.theory import DRUMS, FAMILY_NAMES, INSTRUMENTS, Key, family
from orchestrion.planning.arrays import METERS
from orchestrion.planning.asked import MAX_PARTS, MAX_SECTIONS
from orchestrion.planning.plan import (
    FEELS,
    LEVEL_NAMES,
    LEVELS,
    MAX_BARS,
    MOODS,
    ROLES,
    STYLES,
    Levels,
    Part,
    Plan,
    PlanError,
    Section,
)
from orchestrion.representations.steps import shift_to_common_key

MODES = ("major", "minor")
#: Quarter notes a minute: equal in ratio from 40 to 240.
TEMPOS = tuple(round(40 * 6 ** (index / 23)) for index in range(24))
EXACT_BARS, BARS_A_CLASS = 64, 8  # numbers of bars up to here have a token each, more share one
LONGEST_SECTION = 32  # bars that a length can say
LETTERS = 26
VARIATIONS = (0.0, 0.2, 0.55, 0.85)
DRUM_LEVELS = (0, 2, 4, 5)  # those that mean something for drums

#: What is written at a place, with how many values each has.
SLOTS: dict[str, int] = {
    "style": 1 + len(STYLES), "mood": 1 + len(MOODS), "feel": 1 + len(FEELS), "mode": len(MODES), "tempo": len(TEMPOS),
    "meter": len(METERS), "bars": EXACT_BARS + (MAX_BARS - EXACT_BARS) // BARS_A_CLASS, "instrument": INSTRUMENTS + 1,
    "role": len(ROLES), "letter": LETTERS + 1, "lasts": LONGEST_SECTION, "variation": len(VARIATIONS),
    "chord": 3 + 12 * sum(map(len, QUALITIES.values())), LEVEL_NAMES[0]: LEVELS + 2,
    **dict.fromkeys(LEVEL_NAMES[1:], LEVELS),
}  # fmt: skip
NAMES = tuple(SLOTS)
HEADER_SLOTS = NAMES[:7]
#: The kind of a slot, by which likelihoods are told apart.
KINDS = ("header", "form", "chords", "levels")
KIND_OF = {name: KINDS[0 if index < 9 else 1 if index < 12 else 2 if index == 12 else 3]
           for index, name in enumerate(NAMES)}  # fmt: skip
PADDING, START = 0, 1
#: The first token of each slot.
FIRST = dict(zip(NAMES, accumulate(SLOTS.values(), initial=2), strict=False))
SIZE = 2 + sum(SLOTS.values())
#: Values with a meaning of their own.
END_OF_PARTS, END_OF_FORM = INSTRUMENTS, LETTERS
HELD, SAME_HARMONY, NO_CHORD = 0, 1, 2  # of chords
SILENT, SAME_LEVELS = LEVELS, LEVELS + 1  # of densities

CHORDS: tuple[Chord, ...] = tuple(
    Chord(root, quality, (root + tone) % 12)
    for quality, tones in QUALITIES.items()
    for root in range(12)
    for tone in tones
)
_VALUE_OF = {(c.root, c.quality, c.bass): 3 + index for index, c in enumerate(CHORDS)}
#: (CHORD_CODES, BASS_CODES) value of each chord code and bass code; a bass that is no tone of the chord is its root.
CHORD_VALUES = np.full((CHORD_CODES, BASS_CODES), NO_CHORD)
for _code in range(FIRST_CHORD, CHORD_CODES):
    _quality, _root = divmod(_code - FIRST_CHORD, 12)
    for _bass in range(BASS_CODES):
        _known = _bass and (_bass - 1 - _root) % 12 in QUALITIES[QUALITY_NAMES[_quality]] and _bass - 1 != _root
        CHORD_VALUES[_code, _bass] = _VALUE_OF[_root, QUALITY_NAMES[_quality], _bass - 1 if _known else None]

#: Features of a place, the size of each: the slot to be written, and where it stands.
FEATURES: dict[str, int] = {
    "slot": 1 + len(SLOTS), "letter": 1 + LETTERS, "occurrence": 5, "place": 66, "left": 66,
    "instrument": 1 + INSTRUMENTS, "role": 1 + len(ROLES), "share": 9, "first": SIZE, "before": SIZE,
    "held": 18,
}  # fmt: skip
Cell = tuple[int | None, ...] | None


def chord_value(chord: Chord | None) -> int:
    """The value of a chord in the common key; a bass that is none of its tones is left out."""
    return NO_CHORD if chord is None else int(CHORD_VALUES[chord.code, chord.bass_code])


def tempo_value(tempo: float) -> int:
    return int(np.abs(np.log(np.array(TEMPOS) / tempo)).argmin())


def bars_value(bars: int) -> int:
    return bars - 1 if bars <= EXACT_BARS else EXACT_BARS + (bars - EXACT_BARS - 1) // BARS_A_CLASS


def bars_of(value: int) -> tuple[int, int]:
    """The fewest and the most bars that a value stands for."""
    if value < EXACT_BARS:
        return value + 1, value + 1
    low = EXACT_BARS + (value - EXACT_BARS) * BARS_A_CLASS + 1
    return low, low + BARS_A_CLASS - 1


def is_bass(instrument: int, role: int) -> bool:
    return instrument != DRUMS and (ROLES[role] == "bass" or FAMILY_NAMES[family(instrument)] == "bass")


@dataclass
class Outline:
    """A plan as numbers: values of the header's slots in order; instruments and roles a part; letters, lengths and
    variations a section, letters in order of first appearance; chords a half bar, in the common key, none of them HELD;
    levels a section and a part, None where it is silent."""

    header: list[int] = field(default_factory=list)
    instruments: list[int] = field(default_factory=list)
    roles: list[int] = field(default_factory=list)
    letters: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    variations: list[int] = field(default_factory=list)
    chords: list[int] = field(default_factory=list)
    levels: list[list[Cell]] = field(default_factory=list)

    def first_with(self, section: int) -> int | None:
        """The first section with the letter of this one, None for that itself."""
        first = self.letters.index(self.letters[section])
        return first if first < section else None

    def half_bars(self, section: int) -> tuple[int, int]:
        start = 2 * sum(self.lengths[:section])
        return start, start + 2 * self.lengths[section]


def harmony_again(outline: Outline, section: int) -> list[int] | None:
    """The chords of a section as in the first with its letter, from the beginning again where it is longer."""
    first = outline.first_with(section)
    if first is None:
        return None
    start, end = outline.half_bars(first)
    source, count = outline.chords[start:end], 2 * outline.lengths[section]
    return (source * (count // len(source) + 1))[:count]


def outline_of(plan: Plan) -> Outline:
    """What the tokens hold of a plan. Roles and levels that are open are taken as likely ones, the meter as the one of
    most bars. Raises PlanError for what they cannot hold."""
    if len(plan.parts) > MAX_PARTS or max(section.bars for section in plan.sections) > LONGEST_SECTION:
        raise PlanError(f"tokens hold {MAX_PARTS} parts and sections of {LONGEST_SECTION} bars; the plan has more")
    letters = list(dict.fromkeys(section.letter for section in plan.sections))
    if len(letters) > LETTERS or len(plan.sections) > MAX_SECTIONS:
        raise PlanError(f"tokens hold {LETTERS} letters and {MAX_SECTIONS} sections; the plan has more")
    shift = shift_to_common_key(plan.key)
    meter = max(METERS, key=lambda one: sum(bars for own, bars in plan.meters if own == one))
    header = [
        1 + STYLES.index(plan.style) if plan.style in STYLES else 0,
        1 + MOODS.index(plan.mood) if plan.mood in MOODS else 0,
        1 + FEELS.index(plan.feel) if plan.feel in FEELS else 0,
        MODES.index(plan.key.mode), tempo_value(plan.tempo), METERS.index(meter), bars_value(plan.bars),
    ]  # fmt: skip
    chords = [chord_value(None if chord is None else chord.transposed(shift)) for chord in plan.chords]
    return Outline(
        header, list(plan.instruments), [_role(part) for part in plan.parts],
        [letters.index(section.letter) for section in plan.sections], [section.bars for section in plan.sections],
        [0 if plan.takes_up(index) is None else int(np.abs(np.array(VARIATIONS) - section.variation).argmin())
         for index, section in enumerate(plan.sections)],
        chords or [NO_CHORD] * (2 * plan.bars),
        [[_cell(part.instrument, part.levels[section]) for part in plan.parts]
         for section in range(len(plan.sections))],
    )  # fmt: skip


def _role(part: Part) -> int:
    guess = "drums" if part.instrument == DRUMS else "bass" if is_bass(part.instrument, 0) else "chords"
    return ROLES.index(part.role or guess)


def _cell(instrument: int, levels: Levels | None) -> Cell:
    if levels is None:
        return None
    drums = instrument == DRUMS
    return tuple(None if drums and index not in DRUM_LEVELS else LEVELS // 2 if value is None else value
                 for index, value in enumerate(levels.values))  # fmt: skip


def tokens_of(outline: Outline) -> list[int]:
    """The tokens of a whole plan, without START."""
    told = [FIRST[name] + value for name, value in zip(HEADER_SLOTS, outline.header, strict=True)]
    for instrument, role in zip(outline.instruments, outline.roles, strict=True):
        told += [FIRST["instrument"] + instrument, FIRST["role"] + role]
    told.append(FIRST["instrument"] + END_OF_PARTS)
    for section, (letter, length) in enumerate(zip(outline.letters, outline.lengths, strict=True)):
        told += [FIRST["letter"] + letter, FIRST["lasts"] + length - 1]
        if outline.first_with(section) is not None:
            told.append(FIRST["variation"] + outline.variations[section])
    told.append(FIRST["letter"] + END_OF_FORM)
    for section in range(len(outline.letters)):
        told += _chord_tokens(outline, section)
        told += _level_tokens(outline, section)
    return told


def _chord_tokens(outline: Outline, section: int) -> list[int]:
    start, end = outline.half_bars(section)
    own, first = outline.chords[start:end], FIRST["chord"]
    if harmony_again(outline, section) == own:
        return [first + SAME_HARMONY]
    before = [*outline.chords[max(start - 1, 0) : start], *own]
    held = [False] * (len(own) - len(before) + 1) + [a == b for a, b in pairwise(before)]
    return [first + (HELD if same else chord) for chord, same in zip(own, held, strict=True)]


def _level_tokens(outline: Outline, section: int) -> list[int]:
    told: list[int] = []
    first, density = outline.first_with(section), FIRST[LEVEL_NAMES[0]]
    for part, cell in enumerate(outline.levels[section]):
        if cell is None:
            told.append(density + SILENT)
        elif first is not None and outline.levels[first][part] == cell:
            told.append(density + SAME_LEVELS)
        else:
            told += [FIRST[name] + value for name, value in zip(LEVEL_NAMES, cell, strict=True) if value is not None]
    return told


class PlanReader:
    """Reads the tokens of a plan in order and says of the next one what it is and where it stands."""

    def __init__(self) -> None:
        self.outline = Outline()
        self.slot: int | None = 0  # index of NAMES, None at the end
        self.section = self.part = 0
        self._own: list[int | None] = []  # levels of the part that is being read
        self.bars = 0  # of the sections so far, of all once the form is read
        self.most_bars = MAX_BARS
        self.fewest_bars = 1
        self._held = 0  # half bars for which the chord has been held
        self._edges: list[int] = [0]  # half bars at which sections begin

    @property
    def done(self) -> bool:
        return self.slot is None

    @property
    def name(self) -> str:
        assert self.slot is not None
        return NAMES[self.slot]

    def features(self) -> tuple[int, ...]:
        """Of the next token, one number for each of FEATURES; 0 is for what means nothing there."""
        if self.slot is None:
            return (0,) * len(FEATURES)
        outline, slot = self.outline, self.slot
        if slot < 7:
            return (1 + slot, *_NOTHING)
        if slot < 9:
            instrument = 1 + outline.instruments[-1] if slot == 8 else 0
            return (1 + slot, 0, 0, 1 + len(outline.instruments), 0, instrument, 0, 0, 0, 0, 0)
        if slot < 12:
            letter, occurrence = 0, 0
            if slot > 9:
                letter, occurrence = 1 + outline.letters[-1], min(outline.letters.count(outline.letters[-1]), 4)
            share = 1 + 8 * self.bars // (self.most_bars + 1)
            left = 1 + min(self.most_bars - self.bars, 64)
            first = before = 0
            if slot == 10 and len(outline.lengths):
                before = FIRST["lasts"] + min(outline.lengths[-1], LONGEST_SECTION) - 1
                index = outline.letters.index(outline.letters[-1])
                if index < len(outline.lengths):
                    first = FIRST["lasts"] + min(outline.lengths[index], LONGEST_SECTION) - 1
            elif slot == 9 and outline.letters:
                before = FIRST["letter"] + outline.letters[-1]
            return (1 + slot, letter, occurrence, 1 + min(self.bars, 64), left, 0, 0, share, first, before, 0)
        section, letter = self.section, outline.letters[self.section]
        source = self._sources[section]
        occurrence = min(outline.letters[: section + 1].count(letter), 4)
        share = 1 + 4 * self._edges[section] // self.bars  # of eight
        if slot == 12:
            half = len(outline.chords) - self._edges[section]
            left = 2 * outline.lengths[section] - half
            before = FIRST["chord"] + outline.chords[-1] if outline.chords else 0
            first = 0
            if source is not None:
                first = FIRST["chord"] + outline.chords[self._edges[source] + half % (2 * outline.lengths[source])]
            return (
                13,
                1 + letter,
                occurrence,
                1 + min(half, 64),
                min(left, 65),
                0,
                0,
                share,
                first,
                before,
                self._held,
            )
        part, level = self.part, slot - 13
        first = 0 if source is None else _level_token(outline.levels[source][part], level)
        before = _level_token(outline.levels[section - 1][part], level) if section else 0
        return (
            1 + slot, 1 + letter, occurrence, 1 + part, len(outline.instruments) - part, 1 + outline.instruments[part],
            1 + outline.roles[part], share, first, before, 0,
        )  # fmt: skip

    def push(self, token: int) -> None:
        """Read the next token."""
        assert self.slot is not None
        value, outline = token - FIRST[self.name], self.outline
        if self.slot < 7:
            outline.header.append(value)
            if self.slot == 6:
                self.fewest_bars, self.most_bars = bars_of(value)
            self.slot += 1
        elif self.slot == 7:
            if value == END_OF_PARTS:
                self.slot = 9
            else:
                outline.instruments.append(value)
                self.slot = 8
        elif self.slot == 8:
            outline.roles.append(value)
            self.slot = 7
        elif self.slot < 12:
            self._push_form(value)
        elif self.slot == 12:
            self._push_chord(value)
        else:
            self._push_level(value)

    def _push_form(self, value: int) -> None:
        outline = self.outline
        if self.slot == 9 and value == END_OF_FORM:
            self._edges = [2 * bars for bars in accumulate(outline.lengths, initial=0)]
            self._sources = [outline.first_with(section) for section in range(len(outline.letters))]
            self._begin_section(0)
        elif self.slot == 9:
            outline.letters.append(value)
            self.slot = 10
        elif self.slot == 10:
            outline.lengths.append(self._length(value + 1))
            self.bars += outline.lengths[-1]
            again = outline.first_with(len(outline.lengths) - 1) is not None
            if not again:
                outline.variations.append(0)
            self.slot = 11 if again else 9
        else:
            outline.variations.append(value)
            self.slot = 9

    def _length(self, bars: int) -> int:
        return bars

    def _begin_section(self, section: int) -> None:
        self.section, self.part, self.slot = section, 0, 12
        if section == len(self.outline.letters):
            self.slot = None

    def _push_chord(self, value: int) -> None:
        outline = self.outline
        if value == SAME_HARMONY:
            again = harmony_again(outline, self.section)
            assert again is not None
            outline.chords += again
            self._held = 1
        else:
            outline.chords.append(outline.chords[-1] if value == HELD else value)
            self._held = min(self._held + 1, 17) if value == HELD else 1
        if len(outline.chords) == self._edges[self.section + 1]:
            outline.levels.append([])
            self.slot = 13

    def _push_level(self, value: int) -> None:
        assert self.slot is not None
        level = self.slot - 13
        if level == 0 and value == SILENT:
            self._end_part(None)
        elif level == 0 and value == SAME_LEVELS:
            source = self._sources[self.section]
            assert source is not None
            self._end_part(self.outline.levels[source][self.part])
        else:
            drums = self.outline.instruments[self.part] == DRUMS
            self._own.append(value)
            while drums and len(self._own) < 6 and len(self._own) not in DRUM_LEVELS:
                self._own.append(None)
            self.slot = 13 + len(self._own)
            if len(self._own) == 6:
                self._end_part(tuple(self._own))

    def _end_part(self, cell: Cell) -> None:
        self.outline.levels[self.section].append(cell)
        self._own, self.slot = [], 13
        self.part += 1
        if self.part == len(self.outline.instruments):
            self._begin_section(self.section + 1)


_NOTHING = (0,) * 10


def _level_token(cell: Cell, level: int) -> int:
    """The token of one level of a cell; 0 where it means nothing."""
    if cell is None:
        return FIRST[LEVEL_NAMES[0]] + SILENT if level == 0 else 0
    value = cell[level]
    return 0 if value is None else FIRST[LEVEL_NAMES[level]] + value


def plan_of(outline: Outline, key: Key) -> Plan:
    """The plan that an outline says, in a key; its letters from A."""
    shift = shift_to_common_key(key)
    chords = [None if value == NO_CHORD else CHORDS[value - 3].transposed(-shift) for value in outline.chords]
    sections = tuple(
        Section(chr(ord("A") + letter), length, "", VARIATIONS[variation])
        for letter, length, variation in zip(outline.letters, outline.lengths, outline.variations, strict=True)
    )
    parts = tuple(
        Part(instrument, ROLES[role], tuple(None if row[part] is None else Levels(*row[part] or ())
                                            for row in outline.levels))
        for part, (instrument, role) in enumerate(zip(outline.instruments, outline.roles, strict=True))
    )  # fmt: skip
    style, mood, feel, _, tempo, meter, _ = outline.header
    return Plan(
        ((METERS[meter], sum(outline.lengths)),), float(TEMPOS[tempo]), key, sections, parts, tuple(chords),
        ("", *FEELS)[feel], ("", *STYLES)[style], ("", *MOODS)[mood],
    )  # fmt: skip


def encode(plan: Plan) -> list[int]:
    """The tokens of a plan, without START; see `outline_of`. The tonic is not held."""
    return tokens_of(outline_of(plan))


def decode(tokens: list[int], tonic: int | None = None) -> Plan:
    """The plan of whole tokens, in C major or A minor where no tonic (0..11) is given."""
    reader = PlanReader()
    for token in tokens:
        reader.push(token)
    if not reader.done:
        raise PlanError("the tokens of a plan end before it does")
    mode = MODES[reader.outline.header[3]]
    return plan_of(reader.outline, Key((0 if mode == "major" else 9) if tonic is None else tonic, mode))
