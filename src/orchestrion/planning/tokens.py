"""A plan as tokens, and the automaton that writes plans token by token under what is asked.

The order of tokens: style, mood, feel, mode, tempo, meter, bars; instrument and role of each part; letter, length and,
where it takes up an earlier one, variation of each section; then section by section its chords by half bars and of each
part its levels, or that it is silent. Chords are written in C major or A minor. What comes again costs one token: a
chord that is held, the harmony of the first section with the same letter, the levels of a part there. From the whole
to the parts, as in Whole-Song Hierarchical Generation (Wang et al. 2024); a plan in words of the field before any note,
as in Text2Score and MuseCoco (Lu et al. 2023).

Shapes: S sections, P parts, V tokens, F features of a place. Half bars are counted from 0.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import numpy as np

from orchestrion.chords import BASS_CODES, CHORD_CODES, FIRST_CHORD, QUALITIES, QUALITY_NAMES, Chord, Progression
from orchestrion.planning.arrays import METERS
from orchestrion.planning.asked import LONGEST, MAX_PARTS, MAX_SECTIONS, SHORTEST, Asked
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
from orchestrion.representations.cells import instrument_order
from orchestrion.representations.steps import shift_to_common_key
from orchestrion.theory import DRUMS, FAMILY_NAMES, INSTRUMENTS, SCALES, Key, Meter, family

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
    """The plan that an outline says, in a key."""
    return PlanWriter._plan(outline, key, Asked())


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


# ---- writing under what is asked

_BASE = np.zeros((len(NAMES), SIZE), bool)
for _index, _name in enumerate(NAMES):
    _BASE[_index, FIRST[_name] : FIRST[_name] + SLOTS[_name]] = True
#: Of each mode, values of the chords whose tones all lie in its scale, and of its tonic chord.
_IN_SCALE = {
    mode: np.array([True, True, True, *({(t - tonic) % 12 for t in c.pitch_classes} <= set(SCALES[mode])
                                        for c in CHORDS)])
    for mode, tonic in (("major", 0), ("minor", 9))
}  # fmt: skip
_TONIC = {"major": _VALUE_OF[0, "", None], "minor": _VALUE_OF[9, "m", None]}
_ORDER = np.array([sorted(range(INSTRUMENTS), key=instrument_order).index(one) for one in range(INSTRUMENTS)])
_MOST_ALIKE = 3  # parts of one instrument where they are planned
_OPEN: object = object()


class PlanWriter(PlanReader):
    """Says what may come next so that what is asked holds: whatever legal tokens are pushed, the result is a Plan.

    Where chords are asked and no key, the key that holds most of their tones is taken. tonic: of the key otherwise.
    """

    def __init__(self, asked: Asked, tonic: int = 0) -> None:
        super().__init__()
        self.asked, self.tonic = asked, tonic
        self.key = asked.key or _likely_key(asked)
        self._mode = self.key.mode if self.key else asked.mode
        self._letters = list(dict.fromkeys(section.letter for section in asked.form))
        self._shift = shift_to_common_key(self.key) if self.key else 0
        ordered = sorted(range(len(asked.instruments)), key=lambda i: instrument_order(asked.instruments[i]))
        self._wanted = ordered if asked.more_parts else list(range(len(asked.instruments)))
        self._of_asked: list[int | None] = []  # of each part, which of those asked it is
        self._asked_chords: list[object] = []  # of the section at hand, _OPEN or a value

    def legal(self) -> np.ndarray:
        """(V,) bool, what may come next; at least one token."""
        assert self.slot is not None
        mask = _BASE[self.slot].copy()
        first, size = FIRST[self.name], SLOTS[self.name]
        mask[first : first + size] &= self._values()
        return mask

    def _values(self) -> np.ndarray:
        """(values of the slot,) bool."""
        assert self.slot is not None
        if self.slot < 7:
            return self._header_values()
        if self.slot < 9:
            return self._instrument_values() if self.slot == 7 else self._role_values()
        if self.slot < 12:
            return (self._letter_values, self._length_values, lambda: np.ones(len(VARIATIONS), bool))[self.slot - 9]()
        return self._chord_values() if self.slot == 12 else self._level_values()

    def push(self, token: int) -> None:
        if self.slot == 7 and token != FIRST["instrument"] + END_OF_PARTS:
            self._take_asked(token - FIRST["instrument"])
        super().push(token)
        if len(self.outline.header) == 7 and self.slot == 7 and not self.outline.instruments:
            low, high = self.asked.bars_between
            self.fewest_bars, self.most_bars = max(low, self.fewest_bars), min(high, self.most_bars)

    # ---- header and parts

    def _header_values(self) -> np.ndarray:
        asked, name = self.asked, self.name
        if name == "bars":
            low, high = asked.bars_between
            edges = [bars_of(value) for value in range(SLOTS["bars"])]
            return np.array([first <= high and last >= low for first, last in edges])
        known = asked_header(asked, self._mode).get(name)
        return _all(SLOTS[name]) if known is None else _only(SLOTS[name], known)

    def _instrument_values(self) -> np.ndarray:
        size, there = SLOTS["instrument"], self.outline.instruments
        if self.asked.instruments and not self.asked.more_parts:
            instruments = self.asked.instruments
            return _only(size, instruments[len(there)] if len(there) < len(instruments) else END_OF_PARTS)
        left = [i for i in self._wanted if i not in self._of_asked]
        if len(there) + len(left) >= MAX_PARTS:
            return _only(size, self.asked.instruments[left[0]] if left else END_OF_PARTS)
        order = np.append(_ORDER, 0)
        mask = order >= (_ORDER[there[-1]] if there else 0)
        if left:
            mask &= order <= _ORDER[self.asked.instruments[left[0]]]
        for instrument in {*there}:
            most = 1 if instrument == DRUMS else _MOST_ALIKE
            mask[instrument] &= there.count(instrument) < most or instrument in [
                self.asked.instruments[i] for i in left
            ]
        mask[END_OF_PARTS] = bool(there) and not left
        return mask

    def _take_asked(self, instrument: int) -> None:
        left = [i for i in self._wanted if i not in self._of_asked and self.asked.instruments[i] == instrument]
        self._of_asked.append(left[0] if left else None)

    def _role_values(self) -> np.ndarray:
        own, size = self._of_asked[-1], len(ROLES)
        if own is not None and self.asked.roles and self.asked.roles[own]:
            return _only(size, ROLES.index(self.asked.roles[own]))
        if self.outline.instruments[-1] == DRUMS:
            return _only(size, ROLES.index("drums"))
        mask = _all(size)
        mask[ROLES.index("drums")] = False
        mask[ROLES.index("melody")] = ROLES.index("melody") not in self.outline.roles
        return mask

    # ---- form

    def _letter_values(self) -> np.ndarray:
        size, letters, form = SLOTS["letter"], self.outline.letters, self.asked.form
        if form:
            whole = len(letters) == len(form)
            return _only(size, END_OF_FORM if whole else self._letters.index(form[len(letters)].letter))
        room = self.most_bars - self.bars
        mask = np.zeros(size, bool)
        if (room >= SHORTEST or (room and not letters)) and len(letters) < MAX_SECTIONS:
            mask[: min(max(letters, default=-1) + 2, LETTERS)] = True
        mask[END_OF_FORM] = self.bars >= self.fewest_bars or not mask.any()
        return mask

    def _length(self, bars: int) -> int:
        form, index = self.asked.form, len(self.outline.lengths)
        return (form[index].bars or bars) if form else bars

    def _length_values(self) -> np.ndarray:
        size, index, form = SLOTS["lasts"], len(self.outline.lengths), self.asked.form
        if form and (fixed := form[index].bars) is not None:
            return _only(size, min(fixed, LONGEST_SECTION) - 1)
        lengths = np.arange(1, size + 1)
        fewest, most = self.fewest_bars - self.bars - lengths, self.most_bars - self.bars - lengths
        mask = (lengths >= SHORTEST) & (lengths <= LONGEST)
        if form:
            rest = [section.bars for section in form[index + 1 :]]
            shortest = sum(SHORTEST if bars is None else bars for bars in rest)
            longest = sum(LONGEST if bars is None else bars for bars in rest)
            return mask & (most >= shortest) & (fewest <= longest)
        sections_left = MAX_SECTIONS - index - 1
        ends = (fewest <= 0) & (most >= 0)
        mask &= ends | ((most >= SHORTEST) & (fewest <= LONGEST * sections_left))
        mask[0] = not self.bars and self.most_bars == 1
        return mask

    # ---- chords

    def _begin_section(self, section: int) -> None:
        super()._begin_section(section)
        if self.slot is not None:
            start, end = self._edges[section], self._edges[section + 1]
            self._asked_chords = [self._asked_chord(half, half - start) for half in range(start, end)]

    def _asked_chord(self, half: int, within: int) -> object:
        """The value asked for a half bar, or _OPEN."""
        chord = asked_chord(self.asked, half, within, self._letter(self.section))
        if chord is _OPEN:
            return _OPEN
        assert chord is None or isinstance(chord, Chord)
        return chord_value(None if chord is None else chord.transposed(self._shift))

    def _letter(self, section: int) -> str:
        return letter_of(self.outline, section, self.asked)

    def _chord_values(self) -> np.ndarray:
        outline, size = self.outline, SLOTS["chord"]
        half, end = len(outline.chords), self._edges[-1]
        before = outline.chords[-1] if outline.chords else -1
        asked = self._asked_chords[half - self._edges[self.section]]
        if asked is not _OPEN:
            assert isinstance(asked, int)
            return _only(size, HELD if asked == before else asked)
        mode = MODES[outline.header[3]]
        tonic = _TONIC[mode]
        if half >= end - 2:
            mask = _only(size, HELD if before == tonic else tonic)
        else:
            mask = _IN_SCALE[mode].copy() if self.asked.strict_key else _all(size)
            mask[HELD] = before >= 0
            if before >= 0:
                mask[before] = False
        mask[SAME_HARMONY] = half == self._edges[self.section] and self._may_come_again(tonic)
        return mask

    def _may_come_again(self, tonic: int) -> bool:
        again = harmony_again(self.outline, self.section)
        if again is None or any(asked is not _OPEN for asked in self._asked_chords):
            return False
        last = self.section == len(self.outline.letters) - 1
        return not last or again[-2:] == [tonic, tonic]

    # ---- levels

    def _level_values(self) -> np.ndarray:
        assert self.slot is not None
        level, section, part = self.slot - 13, self.section, self.part
        asked = self._levels_at(section, part)
        wanted = None if asked is None else asked.values[level]
        size = SLOTS[self.name]
        if level:
            return _all(size) if wanted is None else _only(size, wanted)
        plays = self._plays_at(section, part)
        if plays is False:
            return _only(size, SILENT)
        source = self._sources[section]
        mask = _all(size) if wanted is None else _only(size, wanted)
        mask[SILENT] = plays is None and not self._must_play(section, part)
        mask[SAME_LEVELS] = asked is None and source is not None and self.outline.levels[source][part] is not None
        return mask

    def _asked_part(self, part: int) -> int:
        """The number by which a part is asked; -1 for one that joined those asked."""
        if not self.asked.more_parts:
            return part
        own = self._of_asked[part]
        return -1 if own is None else own

    def _levels_at(self, section: int, part: int) -> Levels | None:
        return self.asked.levels_at(section, self._asked_part(part))

    def _plays_at(self, section: int, part: int) -> bool | None:
        part = self._asked_part(part)
        plays = self.asked.plays_at(section, part)
        return True if plays is None and (section, part) in self.asked.levels else plays

    def _may_play(self, section: int, part: int) -> bool:
        return self._plays_at(section, part) is not False

    def _must_play(self, section: int, part: int) -> bool:
        """Whether silence here would leave a section empty, a part unused, or the beginning thin."""
        outline, parts = self.outline, range(len(self.outline.instruments))
        here = outline.levels[section]
        playing = sum(cell is not None for cell in here)
        later = sum(self._may_play(section, other) for other in parts[part + 1 :])
        needed = 1 if section else (len(parts) + 1) // 2
        if playing + later < needed:
            return True
        if not any(row[part] is not None for row in outline.levels[:section]) and not any(
            self._may_play(other, part) for other in range(section + 1, len(outline.letters))
        ):
            return True
        basses = [p for p in parts if is_bass(outline.instruments[p], outline.roles[p]) and self._may_play(section, p)]
        return not section and basses[-1:] == [part] and all(here[bass] is None for bass in basses[:-1])

    # ---- the result

    def plan(self) -> Plan:
        """The plan once all is written; what was asked beyond the tokens, such as the very tempo, is as asked."""
        assert self.done
        mode = MODES[self.outline.header[3]]
        return self._plan(self.outline, self.key or Key(self.tonic, mode), self.asked)

    @staticmethod
    def _plan(outline: Outline, key: Key, asked: Asked) -> Plan:
        header, shift = outline.header, shift_to_common_key(key)
        bars = sum(outline.lengths)
        edges = [2 * first for first in accumulate(outline.lengths, initial=0)]
        chords: list[Chord | None] = []
        for half, value in enumerate(outline.chords):
            section = bisect_right(edges, half) - 1
            chord = asked_chord(asked, half, half - edges[section], letter_of(outline, section, asked))
            if chord is _OPEN:
                chord = None if value == NO_CHORD else CHORDS[value - 3].transposed(-shift)
            assert chord is None or isinstance(chord, Chord)
            chords.append(chord)
        names = [section.name for section in asked.form] or [""] * len(outline.letters)
        sections = tuple(
            Section(letter_of(outline, index, asked), length, names[index], VARIATIONS[outline.variations[index]])
            for index, length in enumerate(outline.lengths)
        )
        parts = tuple(
            Part(instrument, ROLES[role], tuple(None if row[part] is None else Levels(*row[part] or ())
                                                for row in outline.levels))
            for part, (instrument, role) in enumerate(zip(outline.instruments, outline.roles, strict=True))
        )  # fmt: skip
        return Plan(
            ((asked.meter or METERS[header[5]], bars),), asked.tempo or float(TEMPOS[header[4]]), key, sections, parts,
            tuple(chords), ("", *FEELS)[header[2]], ("", *STYLES)[header[0]], ("", *MOODS)[header[1]],
            origins_of(asked, bars),
        )  # fmt: skip


def asked_header(asked: Asked, mode: str | None) -> dict[str, int]:
    """The values asked for slots of the header, in their order; mode: that of the key, where it is settled."""
    words = (("style", asked.style, STYLES), ("mood", asked.mood, MOODS), ("feel", asked.feel, FEELS))
    found = {name: 1 + known.index(value) for name, value, known in words if value is not None}
    if mode is not None:
        found["mode"] = MODES.index(mode)
    if asked.tempo is not None:
        found["tempo"] = tempo_value(asked.tempo)
    if asked.meter is not None:
        found["meter"] = meter_value(asked.meter)
    if asked.bars is not None:
        found["bars"] = bars_value(asked.bars)
    return found


def letter_of(outline: Outline, section: int, asked: Asked) -> str:
    return asked.form[section].letter if asked.form else chr(ord("A") + outline.letters[section])


def asked_chord(asked: Asked, half: int, within: int, letter: str) -> object:
    """The chord asked for a half bar of the piece, which is the one `within` its section; _OPEN where none is."""
    if half in asked.chords:
        return asked.chords[half]
    row = asked.section_chords.get(letter)
    return row[within % len(row)] if row else _OPEN


def origins_of(asked: Asked, bars: int) -> dict[str, str]:
    """Of each field of a plan, whether it was asked (chords and levels: in part or whole) or planned."""
    told = {
        "style": asked.style, "mood": asked.mood, "feel": asked.feel, "key": asked.key, "mode": asked.asked_mode,
        "tempo": asked.tempo, "meter": asked.meter, "bars": asked.bars or None, "parts": asked.instruments or None,
        "sections": asked.form or None, "chords": asked.chords or asked.section_chords or None,
        "levels": asked.levels or asked.plays or None,
    }  # fmt: skip
    return {name: "planned" if value is None else "asked" for name, value in told.items()}


def meter_value(meter: Meter) -> int:
    """The value of a meter: itself where it is known, else the one whose bar is nearest in length."""
    if meter in METERS:
        return METERS.index(meter)
    return int(np.argmin([abs(known.quarters - meter.quarters) for known in METERS]))


def _likely_key(asked: Asked) -> Key | None:
    chords = [*asked.chords.values(), *(chord for row in asked.section_chords.values() for chord in row)]
    if not any(chords):
        return None
    return Progression(("",) * len(chords), tuple(chords), False).likely_key(asked.mode)


def _all(size: int) -> np.ndarray:
    return np.ones(size, bool)


def _only(size: int, value: int) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[value] = True
    return mask
