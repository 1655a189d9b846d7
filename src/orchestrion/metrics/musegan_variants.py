"""MuseGAN's measures as published code computes them, wrongly in places, to explain old tables.

`musegan-v1`: the code of the AAAI paper on the rolls of the notes as they are, 84 pitches from C1 = 24 a bar.
`musegan-v1-midi`: the same on the rolls that its converter makes of MIDI, see `as_converted`.
`pypianoroll-1.0.4`: the library's functions, where they give a figure at all on 24 steps a quarter note.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
from symusic import Score

from orchestrion.metrics.definition import Metric
from orchestrion.metrics.families import STEPS_PER_BEAT, beats_of, distances_of, fine_grid, parts_of, runs_of
from orchestrion.metrics.grid import Grid
from orchestrion.metrics.musegan import EACH_PAIR, EACH_PITCHED, rows, steps_with, used_pitch_classes
from orchestrion.music.theory import DRUMS

_LOWEST, _HIGHEST = 24, 107


@lru_cache(maxsize=2)
def as_converted(fine: Grid) -> Grid:
    """The notes as MuseGAN's converter (midi2pianoroll.py, September 2017) lays them: a place within a beat is
    multiplied by half of the 24 steps, so that the second half of each beat holds neither onset nor end, and a note
    leaves out its last step but keeps one. Drums keep their places."""
    pitched = fine.instrument != DRUMS
    onset, end = (step - np.where(pitched, (step % STEPS_PER_BEAT + 1) // 2, 0) for step in (fine.onset, fine.end))
    return replace(fine, onset=onset, end=np.where(pitched, np.maximum(end - 1, onset + 1), fine.end))


def qualified_notes_v1(music: Score | Grid, family: str, *, converted: bool = False) -> float:
    """Runs of at least 2 steps over runs, 0..1, mean over the bars in which the family sounds. Runs are cut at the bar
    lines, and notes of one pitch that touch are one. nan without notes.

    The code's threshold is 2 where the paper says 3; but its converter wrote every note a step short (`converted`)."""
    fine = fine_grid(music)
    if not len(runs_of(fine).of(family)):
        return np.nan
    parts, bar = parts_of(as_converted(fine) if converted else fine)
    here = parts.where(family)
    counted = _in_range(parts.pitch[here])
    bar, length = bar[here][counted], (parts.end - parts.start)[here][counted]
    count, qualified = np.bincount(bar), np.bincount(bar, length >= 2)
    return float((qualified[count > 0] / count[count > 0]).mean()) if len(bar) else np.nan


def drum_pattern_v1(music: Score | Grid) -> float:
    """Drum onsets, 0..1, each worth 1 on the sixteenth notes, 0.3 a step beside and 0 elsewhere, over their number: at
    the best of six shifts of that pattern in every bar, mean over the bars with drums. A hit is one cell, so that a
    drum struck in two steps running has one onset. nan without drums."""
    fine = fine_grid(music)
    hit = (fine.instrument == DRUMS) & _in_range(fine.pitch)
    width = int(fine.end.max(initial=0)) + 1
    cell = np.unique(fine.pitch[hit] * width + fine.onset[hit])
    step = cell % width
    bar = np.clip(np.searchsorted(fine.edges, step, side="right") - 1, 0, max(fine.bars - 1, 0))
    within = step - fine.edges[bar]
    opening = (within == 0) | ~np.isin(cell - 1, cell)
    phases = np.bincount(bar[opening] * 6 + within[opening] % 6, minlength=fine.bars * 6).reshape(-1, 6)
    worth = np.array([np.roll([1, 0.3, 0, 0, 0, 0.3], shift) for shift in range(6)])  # (shift, phase)
    struck = phases.sum(axis=1)
    return float(((phases @ worth.T).max(axis=1)[struck > 0] / struck[struck > 0]).mean()) if len(cell) else np.nan


def tonal_distance_v1(music: Score | Grid, family: str, other: str) -> float:
    """Mean over the bars in which both sound in every beat (elsewhere 0 / 0 loses the whole bar) of the mean distance
    of their beats, with classes of seven neighbouring pitches; nan where there is no such bar."""
    fine = fine_grid(music)
    distance, (_, bar) = distances_of(fine, family, other, "musegan-v1"), beats_of(fine)
    means = np.bincount(bar, distance, minlength=1) / np.maximum(np.bincount(bar, minlength=1), 1)
    known = means[~np.isnan(means)] if fine.bars else means[:0]
    return float(known.mean()) if len(known) else np.nan


def polyphonic_rate_pypianoroll(music: Score | Grid, family: str) -> float:
    """Steps at which more than two pitches of the family sound over all steps of the piece, 0..1; nan where it has no
    notes, for which the library gives 0."""
    fine = fine_grid(music)
    runs = runs_of(fine).of(family)
    return min(1.0, steps_with(runs, 3) / int(fine.edges[-1])) if len(runs) else np.nan


def _in_range(pitch: np.ndarray) -> np.ndarray:
    return (pitch >= _LOWEST) & (pitch <= _HIGHEST)


_V1 = "MuseGAN's code v1 (metrics.py)"
_PYPIANOROLL = "pypianoroll 1.0.4 (metrics.py)"

METRICS: tuple[Metric, ...] = (
    *(
        row
        for variant, of, folded in (
            ("musegan-v1", _V1, "(pitch - 24) // 7 for pitches 24..107"),
            ("pypianoroll-1.0.4", _PYPIANOROLL, "pitch // 10, pitches from 120 in all"),
        )
        for row in rows(
            "musegan-used-pitch-classes", "used pitch classes",
            "Bands of neighbouring keys, not pitch classes, that {who} uses in a bar; only to explain old tables.",
            partial(used_pitch_classes, chroma=variant), EACH_PITCHED,
            formula=f"distinct {folded}, sounding in a bar, mean over the bars in which any sounds",
            unit="bands a bar", source=of, high=12.0, undefined="no {who} notes", variant=f":{variant}",
        )
    ),
    *(
        row
        for variant, converted, of in (
            ("musegan-v1", False, ""),
            ("musegan-v1-midi", True, " after squeezing each beat into its first 12 steps and shortening notes by one"),
        )
        for row in rows(
            "musegan-qualified-notes", "qualified notes",
            "Notes of {who} of at least 2 steps when bar lines cut them; only to explain old tables.",
            partial(qualified_notes_v1, converted=converted), EACH_PITCHED,
            formula=f"runs of at least 2 steps / runs in a bar{of}, mean over the bars in which any sounds",
            unit="share", source=_V1, high=1.0, undefined="no {who} notes", variant=f":{variant}",
        )
    ),
    *rows(
        "musegan-polyphonic-rate", "polyphonic rate",
        "How much of the whole piece {who} plays three pitches or more at once; only to explain old tables.",
        polyphonic_rate_pypianoroll, EACH_PITCHED,
        formula="steps at which more than 2 pitches sound / all steps of the piece", unit="share",
        source=_PYPIANOROLL, high=1.0, undefined="no {who} notes", variant=":pypianoroll-1.0.4",
    ),
    Metric(
        "musegan-drum-pattern-16-beat:musegan-v1", "drum pattern, 16-beat",
        "How near the drum strokes of a bar lie to an even sixteenth grid, wherever it starts; to explain old tables.",
        formula="max over 6 shifts of the sum over onsets of (1, .3, 0, 0, 0, .3)[step % 6] / onsets, mean over bars",
        unit="share", source=_V1, function=drum_pattern_v1, high=1.0, undefined="no drums",
    ),
    *rows(
        "musegan-tonal-distance", "tonal distance",
        "Distance of {who} with neighbouring keys taken for one pitch class; only to explain old tables.",
        tonal_distance_v1, EACH_PAIR,
        formula="as musegan-tonal-distance with classes (pitch - 24) // 7, over bars in which both sound in every beat",
        unit="distance", source=_V1, high=3.0, undefined="{who} have no bar in which both sound in every beat",
        variant=":musegan-v1",
    ),
)  # fmt: skip
