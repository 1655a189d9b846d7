"""A plan as a person reads it: lines for a terminal, values for a record, labels for a picture."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from orchestrion.music.analysis import swings
from orchestrion.music.chords import NO_CHORD, Chord
from orchestrion.music.theory import instrument_name
from orchestrion.planning.cell_plan import form_kept, levels_hit, measured_levels
from orchestrion.planning.harmony import found_share
from orchestrion.planning.levels import OPEN
from orchestrion.planning.plan import LEVEL_NAMES, Levels, Part, Plan
from orchestrion.representations.cells import POSITION, STEPS_PER_QUARTER, Cells

BARS = "▁▂▃▄▅▆▇█"
SILENT, UNSAID = "·", "?"
NO_CHORD_NAME = "N.C."


def plan_lines(plan: Plan) -> list[str]:
    """The plan: what holds for all of it, one line a section with its chords, and a table of the parts."""
    lines = [_head(plan), "", *_section_lines(plan), "", *_part_lines(plan)]
    return ["".join(letter if letter.isprintable() else " " for letter in line).rstrip() for line in lines]


def _head(plan: Plan) -> str:
    meters = [meter.name for meter, _ in plan.meters]
    meter = " ".join(dict.fromkeys(meters)) + (f" ({len(meters) - 1} changes)" if len(meters) > 2 else "")
    count = f"{plan.bars} bar{'s' if plan.bars > 1 else ''}"
    said = (count, meter, f"{plan.tempo:g} quarter notes a minute", plan.key.name, plan.feel, plan.style, plan.mood)
    return "  ".join(word for word in said if word)


def _section_lines(plan: Plan) -> list[str]:
    rows = []
    for number, section in enumerate(plan.sections):
        first, last = plan.starts[number] + 1, plan.starts[number + 1]
        again = "" if plan.takes_up(number) is None else f"again, {section.variation:.0%} new"
        bars = f"{first}-{last}" if last > first else f"{first}"
        rows.append((section.letter, section.name, bars, again, _chord_row(plan, first - 1, last)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        "  ".join([text.ljust(width) for text, width in zip(row, widths, strict=False) if width] + [row[4]])
        for row in rows
    ]


def _chord_row(plan: Plan, start: int, end: int) -> str:
    """ "| Am | % | F G |"; "" where harmony is open."""
    if not plan.chords:
        return ""
    names = [bar_chords(plan, bar) for bar in range(start, end)]
    shown = [name if place == 0 or name != names[place - 1] else "%" for place, name in enumerate(names)]
    return f"| {' | '.join(shown)} |"


def bar_chords(plan: Plan, bar: int) -> str:
    """ "Am", or "Am F" where the second half has another."""
    first, second = map(_name, plan.chords[2 * bar : 2 * bar + 2])
    return first if first == second else f"{first} {second}"


def _name(chord: Chord | None) -> str:
    return NO_CHORD_NAME if chord is None else chord.name


def _part_lines(plan: Plan) -> list[str]:
    names = [(instrument_name(part.instrument), part.role) for part in plan.parts]
    widths = [max(len(row[column]) for row in (*names, ("part", ""))) for column in range(2)]

    def row(name: tuple[str, str], columns: list[str]) -> str:
        titles = [text.ljust(width) for text, width in zip(name, widths, strict=True) if width]
        return "  ".join([*titles, " ".join(columns)])

    head = row(("part", ""), [section.letter.ljust(2) for section in plan.sections])
    lines = [row(name, [_pair(levels) for levels in part.levels]) for name, part in zip(names, plan.parts, strict=True)]
    told = f"density and loudness of each part in each section, {BARS[0]} low to {BARS[-1]} high; {SILENT} silent"
    still_open = any("?" in line[sum(widths) :] for line in lines)
    return [head, *lines, told + (f", {UNSAID} open" if still_open else "")]


def _pair(levels: Levels | None) -> str:
    """Density and loudness."""
    return f"{SILENT} " if levels is None else _bar(levels.density) + _bar(levels.loudness)


def _bar(level: int | None) -> str:
    return UNSAID if level is None else BARS[level]


# ---- for a record


def plan_record(plan: Plan, measured: Cells | None = None) -> dict[str, Any]:
    """Sections, chords and levels as plain values that JSON can hold; bars are counted from 1.

    measured: the finished music. Then each part says in each section what is heard of it (null for silence), and `kept`
    says how far the plan is kept: shares 0..1, null where there is nothing to keep."""
    found = None if measured is None else measured_levels(plan, measured)
    record: dict[str, Any] = {
        "sections": [_section_record(plan, number) for number in range(len(plan.sections))],
        "chords": [bar_chords(plan, bar) for bar in range(plan.bars)] if plan.chords else [],
        "parts": [
            {"instrument": instrument_name(part.instrument), "role": part.role, "sections": [
                _levels_record(plan, part, number, None if found is None else found[number, place].tolist())
                for number in range(len(plan.sections))
            ]}
            for place, part in enumerate(plan.parts)
        ],
    }  # fmt: skip
    if measured is not None:
        repeats, letters = form_kept(plan, measured)
        asked = [NO_CHORD if chord is None else chord.code for chord in plan.chords]
        shares = {
            "levels within one step": levels_hit(plan, measured), "repeated bars nearly equal": repeats,
            "letters that differ": letters, "chords found": found_share(asked, measured),  # type: ignore[arg-type]
        }  # fmt: skip
        if plan.feel == "swing":
            shares["swing heard"] = float(swings(STEPS_PER_QUARTER, measured.notes[:, POSITION].astype(np.int64)))
        record["kept"] = {name: None if math.isnan(share) else round(share, 4) for name, share in shares.items()}
    return record


def _section_record(plan: Plan, number: int) -> dict[str, Any]:
    section, first = plan.sections[number], plan.takes_up(number)
    return {
        "letter": section.letter, "name": section.name, "bars": [plan.starts[number] + 1, plan.starts[number + 1]],
        "takes up section": None if first is None else first + 1, "variation": section.variation,
    }  # fmt: skip


def _levels_record(plan: Plan, part: Part, section: int, found: list[int] | None) -> dict[str, Any]:
    """The levels by where they came from, and what is heard."""
    levels = part.levels[section]
    record: dict[str, Any] = {"plays": levels is not None}
    for name, value in zip(LEVEL_NAMES, (levels or Levels()).values, strict=True):
        if value is not None:
            origin = plan.origins.get(name, plan.origins.get("levels", "planned"))
            record.setdefault(origin, {})[name] = value
    if found is not None:
        heard = {name: level for name, level in zip(LEVEL_NAMES, found, strict=True) if level != OPEN}
        record["measured"] = heard or None
    return record


# ---- for a picture


def section_labels(plan: Plan) -> list[tuple[float, str]]:
    """(bar from 0, label) where each section begins."""
    named = [f"{section.letter}  {section.name}".rstrip() for section in plan.sections]
    return list(zip(map(float, plan.starts), named, strict=False))


def chord_labels(plan: Plan) -> list[tuple[float, str]]:
    """(bar from 0, chord) where a chord begins; the second half of a bar is half a bar further."""
    names = [_name(chord) for chord in plan.chords]
    return [(half / 2, name) for half, name in enumerate(names) if half == 0 or name != names[half - 1]]
