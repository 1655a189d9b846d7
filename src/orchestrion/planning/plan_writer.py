"""Writes plans token by token under what is asked: masks say what may come next, so that every result is a Plan in
which all that was asked holds.

Shapes: P parts, V tokens; values of a slot are counted from its first token. Half bars are counted from 0.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace

import numpy as np

from orchestrion.music.chords import Chord, Progression
from orchestrion.music.theory import DRUMS, INSTRUMENTS, SCALES, Key, Meter
from orchestrion.planning.arrays import METERS
from orchestrion.planning.asked import LONGEST, MAX_PARTS, MAX_SECTIONS, SHORTEST, Asked
from orchestrion.planning.plan import FEELS, MOODS, ROLES, STYLES, Levels, Plan
from orchestrion.planning.tokens import (
    CHORDS,
    END_OF_FORM,
    END_OF_PARTS,
    FIRST,
    HELD,
    LETTERS,
    LONGEST_SECTION,
    MODES,
    NAMES,
    SAME_HARMONY,
    SAME_LEVELS,
    SILENT,
    SIZE,
    SLOTS,
    VARIATIONS,
    Outline,
    PlanReader,
    bars_of,
    bars_value,
    chord_value,
    harmony_again,
    is_bass,
    plan_of,
    tempo_value,
)
from orchestrion.representations.cells import instrument_order
from orchestrion.representations.steps import shift_to_common_key

_BASE = np.zeros((len(NAMES), SIZE), bool)
for _index, _name in enumerate(NAMES):
    _BASE[_index, FIRST[_name] : FIRST[_name] + SLOTS[_name]] = True
#: Of each mode, values of the chords whose tones all lie in its scale, and of its tonic chord.
_IN_SCALE = {
    mode: np.array([True, True, True, *({(t - tonic) % 12 for t in c.pitch_classes} <= set(SCALES[mode])
                                        for c in CHORDS)])
    for mode, tonic in (("major", 0), ("minor", 9))
}  # fmt: skip
_TONIC = {"major": chord_value(Chord(0)), "minor": chord_value(Chord(9, "m"))}
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
        outline, asked = self.outline, self.asked
        made = plan_of(outline, self.key or Key(self.tonic, MODES[outline.header[3]]))
        names = [section.name for section in asked.form] or [""] * len(outline.letters)
        sections = tuple(
            replace(section, letter=self._letter(index), name=names[index])
            for index, section in enumerate(made.sections)
        )
        chords = list(made.chords)
        for half in range(len(chords)):
            section = bisect_right(self._edges, half) - 1
            chord = asked_chord(asked, half, half - self._edges[section], self._letter(section))
            if chord is not _OPEN:
                assert chord is None or isinstance(chord, Chord)
                chords[half] = chord
        ((meter, bars),) = made.meters
        return replace(
            made, meters=((asked.meter or meter, bars),), tempo=asked.tempo or made.tempo, sections=sections,
            chords=tuple(chords), origins=origins_of(asked),
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


def origins_of(asked: Asked) -> dict[str, str]:
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
