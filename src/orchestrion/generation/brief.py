"""A brief: what is asked of a plan, from the words of a sentence and from options.

What is asked outright is forced upon the plan (`planning.asked`); what words only lean to, such as "busy" or "builds
up", moves the levels of a plan that is made already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrion.core.errors import UserError
from orchestrion.music.chords import Chord, spread
from orchestrion.music.theory import Key, Meter
from orchestrion.planning.asked import Asked, AskedSection
from orchestrion.planning.plan import LEVELS, STYLES, Levels, Part, Plan, Section
from orchestrion.representations.cells import instrument_order
from orchestrion.text.controls import NotUnderstood, Reading
from orchestrion.text.form import loudness_offsets
from orchestrion.text.leaning import Leaning, leaning_of

DEFAULT_BARS = 16
LEANT_LEVELS = 2  # by which a whole leaning moves a level
DYNAMIC_LEVELS = 2.5  # by which loudness moves between the softest and the loudest section that words ask for
ASKED_VARIED, MOST_VARIED = 0.15, 0.5  # share of a section that is written anew where its form was asked for, or not
SOLO_CHORDS = frozenset((*range(8), *range(16, 24), *range(24, 28), 46))  # who plays bass and melody at once
#: Styles in which the planner chooses a meter where none is asked; in all others people expect four quarters.
ANY_METER = frozenset({"classical", "baroque", "chorale", "art song", "folk"})
BUSIER = 0.5  # of that, by which density moves along


#: Controls that only a plan carries, and those of them that mean something around music that is given.
PLANNED = frozenset({"chords", "form", "feel", "dynamics", "style", "mood", "ending"})
AROUND = frozenset({"chords", "feel", "style", "mood"})
#: Those that still say something where nothing reads them: through tempo, mode, players or an embedding.
IN_PASSING = frozenset({"style", "mood"})


class BriefError(UserError):
    """Wishes that no plan can hold; the message is one line for the user."""


@dataclass(frozen=True)
class Brief:
    """asked: what the plan has to hold. leaning, offsets: how words move its levels, over all and by section name."""

    reading: Reading
    asked: Asked

    @classmethod
    def of(cls, reading: Reading, key: Key | None, strict: bool) -> Brief:
        """key: in which to compose, None where the planner chooses; strict: whether it was asked for.

        Raises BriefError for chords that do not lie in a key that was asked for."""
        controls = reading.controls
        form = () if reading.form is None else reading.form.fitted(controls.bars).sections
        bars = sum(section.bars or 0 for section in form) or controls.bars or DEFAULT_BARS
        chords: Mapping[int, Chord | None] = {}
        if reading.progression is not None:
            key = key or reading.progression.likely_key(controls.mode)
            progression = reading.progression.in_key(key)
            if strict:
                _check_chords(progression, key)
            chords = dict(enumerate(_by_sections(progression, [section.bars or 0 for section in form] or [bars])))
        instruments = controls.instruments or reading.suggested_instruments
        asked = Asked(
            style=reading.style if reading.style in STYLES else None,
            mood=reading.mood or None,
            feel=reading.feel or None,
            key=key,
            mode=None if key is not None else controls.mode,
            strict_key=strict,
            tempo=controls.tempo,
            meter=controls.meter or (None if reading.style in ANY_METER else Meter(4, 4)),
            bars=bars,
            instruments=tuple(sorted(instruments, key=instrument_order)),
            form=tuple(AskedSection(section.letter, section.bars, section.name) for section in form),
            chords=chords,
        )
        return cls(reading, asked)

    def shaped(self, plan: Plan) -> Plan:
        """The plan with its sections taken up as is asked, and its levels moved as the words lean: over all, and from
        section to section."""
        plan = _taken_up(plan) if self.asked.form else _capped(plan, MOST_VARIED)
        plan = _with_both_hands(plan)
        leaning, _ = leaning_of(self.reading)
        offsets = loudness_offsets(self.reading.dynamics, [section.name or section.letter for section in plan.sections])
        if leaning == Leaning() and not any(offsets):
            return plan
        parts = tuple(
            replace(part, levels=tuple(
                None if levels is None else _moved(levels, leaning, offset)
                for levels, offset in zip(part.levels, offsets, strict=True)
            ))
            for part in plan.parts
        )  # fmt: skip
        return replace(plan, parts=parts)


def without_plan(reading: Reading, model: str) -> Reading:
    """The reading for a model that reads no plans: what only a plan would carry is not understood."""
    return _without(reading, PLANNED, f"{model} composes without a plan, which would hold it")


def around_music(reading: Reading) -> Reading:
    """The reading for cells around music that is given: its form and dynamics are those of the music."""
    return _without(reading, PLANNED - AROUND, "the music given keeps its own form and dynamics")


def _without(reading: Reading, lost: frozenset[str], reason: str) -> Reading:
    refused = [NotUnderstood(f"{said.words} {said.value}" if said.strength == "option" else said.words, reason)
               for said in reading.understood
               if said.control in lost - IN_PASSING and not said.overruled_by]  # fmt: skip
    kept = tuple(said for said in reading.understood if said.control not in lost)
    return replace(reading, understood=kept, not_understood=(*reading.not_understood, *refused))


def _taken_up(plan: Plan) -> Plan:
    """The plan of a form that was asked for: a section with the letter of an earlier one has its chords and levels, so
    that it can be told again. The last bar keeps its own chords."""
    chords, levels = list(plan.chords), [list(part.levels) for part in plan.parts]
    for number, section in enumerate(plan.sections):
        first = plan.takes_up(number)
        if first is None:
            continue
        for own in levels:
            own[number] = own[first]
        shared = min(section.bars, plan.sections[first].bars, plan.bars - 1 - plan.starts[number])
        if chords and shared > 0:
            here, there = 2 * plan.starts[number], 2 * plan.starts[first]
            chords[here : here + 2 * shared] = chords[there : there + 2 * shared]
    parts = tuple(replace(part, levels=tuple(own)) for part, own in zip(plan.parts, levels, strict=True))
    return _capped(replace(plan, chords=tuple(chords), parts=parts), ASKED_VARIED)


def _with_both_hands(plan: Plan) -> Plan:
    """The plan of a lone keyboard, guitar or harp in the middle of its range and with chords: a young planner draws
    such parts as one line high up, where real solo pieces keep a mean pitch around middle C."""
    if len(plan.parts) > 1 or plan.parts[0].instrument not in SOLO_CHORDS:
        return plan
    part = plan.parts[0]
    levels = tuple(
        None if own is None else replace(
            own,
            register=None if own.register is None else min(max(own.register, 2), 4),
            polyphony=None if own.polyphony is None else max(own.polyphony, 2),
        )
        for own in part.levels
    )  # fmt: skip
    return replace(plan, parts=(replace(part, levels=levels),))


def _capped(plan: Plan, most: float) -> Plan:
    sections = (replace(section, variation=min(section.variation, most)) for section in plan.sections)
    return replace(plan, sections=tuple(sections))


def _check_chords(progression: tuple[Chord | None, ...], key: Key) -> None:
    for number, chord in enumerate(progression):
        if chord is not None and (outside := chord.pitch_classes - key.pitch_classes):
            raise BriefError(
                f"chord {chord.name} (bar {number // 2 + 1}) has {len(outside)} of its notes outside of {key.name}, "
                "which is asked for; leave the key open or name chords within it"
            )


def _by_sections(progression: tuple[Chord | None, ...], lengths: list[int]) -> list[Chord | None]:
    """The progression from its beginning in each section, again and again."""
    return [chord for bars in lengths for chord in spread(progression, bars)]


def _moved(levels: Levels, leaning: Leaning, offset: float) -> Levels:
    moves: dict[str, float] = {
        "density": LEANT_LEVELS * leaning.density + BUSIER * DYNAMIC_LEVELS * offset,
        "register": LEANT_LEVELS * leaning.register,
        "loudness": LEANT_LEVELS * leaning.loudness + DYNAMIC_LEVELS * offset,
    }
    changes: dict[str, Any] = {}
    for name, move in moves.items():
        value = getattr(levels, name)
        if value is not None and round(move):
            changes[name] = min(max(value + round(move), 0), LEVELS - 1)
    return replace(levels, **changes)


def plain_plan(brief: Brief, key: Key, tempo: float) -> Plan:
    """A plan without a planner: the form that was asked for, else one section every eight bars; all else is open.

    For weights that read no plans, whose writer can still repeat sections, and where a planner is missing."""
    asked = brief.asked
    assert asked.bars
    lengths = [8] * (asked.bars // 8) + ([asked.bars % 8] if asked.bars % 8 else [])
    sections = tuple(Section(s.letter, s.bars or 8, s.name) for s in asked.form) or tuple(
        Section(chr(ord("A") + min(index, 25)), bars) for index, bars in enumerate(lengths)
    )
    parts = tuple(Part(instrument, "", (Levels(),) * len(sections)) for instrument in asked.instruments)
    chords = tuple(asked.chords[half] for half in range(2 * asked.bars)) if asked.chords else ()
    return Plan(((asked.meter or Meter(4, 4), asked.bars),), tempo, key, sections, parts, chords,
                asked.feel or "", asked.style or "", asked.mood or "",
                {"key": "asked" if asked.strict_key else "planned", "chords": "asked" if chords else "planned",
                 "sections": "asked" if asked.form else "planned"})  # fmt: skip
