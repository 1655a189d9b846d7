"""A plan as music that lets it be heard: block chords and a plain beat, nothing composed."""

from __future__ import annotations

import numpy as np
from symusic import Score

from orchestrion.music.chords import Chord
from orchestrion.music.theory import DRUMS, pitch_range
from orchestrion.planning.levels import DENSITY, DRUM_LIMITS, LIMITS, LOUDNESS, POLYPHONY, REGISTER
from orchestrion.planning.plan import LEVELS, Levels, Part, Plan
from orchestrion.representations.cells import (
    BAR,
    DRUM_DURATION,
    POSITION,
    STEPS_PER_QUARTER,
    Cells,
    bar_starts,
    bar_steps,
    decode,
    sorted_notes,
    without_overlaps,
)

_KICK, _SNARE, _HAT = 36, 38, 42


def sketch(plan: Plan, rng: np.random.Generator) -> Score:
    """Every part plays chord tones, or a beat, in the register and about as densely as its levels say. rng: touch."""
    rows = [row for index, part in enumerate(plan.parts) for row in _part(plan, index, part, rng)]
    table = np.array(rows, np.int64).reshape(-1, 6)
    starts = bar_starts(plan.bar_meters)
    onset = starts[table[:, BAR]] + table[:, POSITION]
    notes = [without_overlaps(table[own], onset[own]) for own in (table[:, 1] == k for k in range(len(plan.parts)))]
    whole = sorted_notes(np.concatenate(notes)).astype(np.int16)
    return decode(Cells(whole, plan.instruments, plan.bar_meters, plan.tempo))


def _part(plan: Plan, index: int, part: Part, rng: np.random.Generator) -> list[tuple[int, ...]]:
    rows: list[tuple[int, ...]] = []
    for bar, meter in enumerate(plan.bar_meters):
        levels = part.levels[plan.section_at(bar)]
        if levels is None:
            continue
        steps = bar_steps(meter)
        half = (steps + 1) // 2
        if part.instrument == DRUMS:
            rows += [(bar, index, *note) for note in _beat(levels, steps, rng)]
            continue
        for start, end, chord in zip((0, half), (half, steps), _chords(plan, bar), strict=True):
            rows += [(bar, index, *note) for note in _block(part, levels, chord, plan, start, end, rng)]
    return rows


def _chords(plan: Plan, bar: int) -> tuple[Chord, Chord]:
    tonic = Chord(plan.key.tonic, "" if plan.key.mode == "major" else "m")
    first, second = plan.chords[2 * bar : 2 * bar + 2] if plan.chords else (tonic, tonic)
    return first or tonic, second or tonic


def _middle(limits: np.ndarray, level: int | None) -> float:
    """A value in the middle of a level."""
    edges = np.concatenate([[1.5 * limits[0] - limits[1] / 2], limits, [1.5 * limits[-1] - limits[-2] / 2]])
    level = LEVELS // 2 if level is None else level
    return float((edges[level] + edges[level + 1]) / 2)


def _velocity(levels: Levels, rng: np.random.Generator) -> int:
    return int(np.clip(round(_middle(LIMITS[LOUDNESS], levels.loudness) + rng.normal(0, 0.7)), 1, 15))


def _onsets(density: float, start: int, end: int) -> list[int]:
    count = max(1, round(density * (end - start) / STEPS_PER_QUARTER))
    return sorted({start + int(index * (end - start) / count) for index in range(min(count, end - start))})


def _block(
    part: Part, levels: Levels, chord: Chord, plan: Plan, start: int, end: int, rng: np.random.Generator
) -> list[tuple[int, int, int, int]]:
    low, high = pitch_range(part.instrument)
    middle = float(np.clip(_middle(LIMITS[REGISTER], levels.register), low + 4, max(low + 4, high - 8)))
    bass = part.role == "bass"
    lowest = chord.root if chord.bass is None or not bass else chord.bass
    classes = {lowest} if bass else {pc for pc in chord.pitch_classes}
    if not bass and part.role in ("melody", "counter-melody"):
        classes &= set(plan.key.triad) or classes
        classes = classes or set(chord.pitch_classes)
    voices = 1 if bass else int(np.clip(round(_middle(LIMITS[POLYPHONY], levels.polyphony)), 1, len(classes)))
    near = sorted((pitch for pitch in range(low, high + 1) if pitch % 12 in classes), key=lambda p: abs(p - middle))
    onsets = _onsets(_middle(LIMITS[DENSITY], levels.density), start, end)
    return [
        (onset, pitch, max(1, following - onset), _velocity(levels, rng))
        for onset, following in zip(onsets, [*onsets[1:], end], strict=True)
        for pitch in near[: min(voices, 4)]
    ]


def _beat(levels: Levels, steps: int, rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
    onsets = _onsets(_middle(DRUM_LIMITS[DENSITY], levels.density), 0, steps)
    beats = range(0, steps, STEPS_PER_QUARTER)
    strokes = {(onset, _HAT) for onset in onsets}
    strokes |= {(beat, _SNARE if number % 2 else _KICK) for number, beat in enumerate(beats)}
    return [(onset, key, DRUM_DURATION, _velocity(levels, rng)) for onset, key in sorted(strokes)]
