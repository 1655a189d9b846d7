"""MuseGAN's measures of a band (Dong et al. 2018), by their definitions; `families` says what a family is.

Empty bars EB, used pitch classes UPC, qualified notes QN, polyphonic rate PR, drum patterns DP, tonal distance TD. What
differs from the paper: notes are whole (theirs were cut at bar lines and lay in rolls where two of the same pitch merge
when they touch), bars are the real ones (theirs 96 steps), and figures are of a piece, not of a heap of bars. What its
code and later libraries compute instead is in `musegan_variants`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from symusic import Score

from orchestrion.metrics.definition import Metric
from orchestrion.metrics.families import (
    CHROMAS,
    EVERY,
    FAMILIES,
    NONE,
    PAIRS,
    PITCHED,
    Runs,
    distances_of,
    family_of,
    fine_grid,
    parts_of,
    runs_of,
)
from orchestrion.metrics.grid import Grid
from orchestrion.music.theory import DRUMS

QUALIFIED_STEPS = 3  # a 32nd note


def empty_bars(music: Score | Grid, family: str) -> float:
    """Share of bars, 0..1, in which no pitch of the family sounds: 1 where its tracks hold no notes, nan where the
    piece has no track of it or no notes at all."""
    fine = fine_grid(music)
    if not fine.bars or FAMILIES.index(family) not in family_of(fine.instruments):
        return np.nan
    return float(1 - _sounding(fine, family).mean())


def used_pitch_classes(music: Score | Grid, family: str, *, chroma: str = "pitch-class") -> float:
    """Mean number of pitch classes, 1..12, that sound in a bar, over the bars in which the family sounds; nan without
    any. `chroma` names how pitches become classes, see families.CHROMAS."""
    fine = fine_grid(music)
    parts, bar = parts_of(fine)
    here = parts.where(family)
    seen = np.zeros((fine.bars, NONE + 1), bool)
    seen[bar[here], CHROMAS[chroma][parts.pitch[here]]] = True
    count = np.where(seen[:, EVERY], 12, seen[:, :12].sum(axis=1))
    return float(count[count > 0].mean()) if count.any() else np.nan


def qualified_notes(music: Score | Grid, family: str, *, shortest_steps: int = QUALIFIED_STEPS) -> float:
    """Share of the family's notes, 0..1, that last at least `shortest_steps` of 24 steps a quarter note; the paper asks
    for three, a 32nd note. Onset and end are rounded by themselves. nan without notes."""
    fine = fine_grid(music)
    here = family_of(fine.instrument) == FAMILIES.index(family)
    return float((fine.end - fine.onset >= shortest_steps)[here].mean()) if here.any() else np.nan


def polyphonic_rate(music: Score | Grid, family: str, *, pitches: int = 2) -> float:
    """Share of steps, 0..1, at which at least so many different pitches of the family sound, of all steps in the bars
    in which it sounds; nan without notes."""
    fine = fine_grid(music)
    total = np.diff(fine.edges)[_sounding(fine, family)].sum()
    return steps_with(runs_of(fine).of(family), pitches) / total if total else np.nan


def drum_pattern(music: Score | Grid, steps: int) -> float:
    """Share of drum onsets, 0..1, that lie exactly on every `steps`-th step from the bar line: 12 is the 8-beat pattern
    (eighth notes), 6 the 16-beat one. nan without drums."""
    fine = fine_grid(music)
    hit = fine.instrument == DRUMS
    return float(((fine.onset - fine.edges[fine.bar])[hit] % steps == 0).mean()) if hit.any() else np.nan


def tonal_distances(music: Score | Grid, family: str, other: str) -> np.ndarray:
    """(n,) distance in tonal space, 0..3, of two families in each of the n beats (quarter notes from the bar line) in
    which both sound (Harte et al. 2006)."""
    distance = distances_of(fine_grid(music), family, other, "pitch-class")
    return distance[~np.isnan(distance)]


def tonal_distance(music: Score | Grid, family: str, other: str) -> float:
    """Mean of `tonal_distances`; nan where the two never sound in one beat."""
    distances = tonal_distances(music, family, other)
    return float(distances.mean()) if len(distances) else np.nan


def steps_with(runs: Runs, pitches: int) -> int:
    """At how many steps at least so many of the runs sound."""
    start, end = np.sort(runs.start), np.sort(runs.end)

    def beyond(others: int) -> int:
        """Sum over steps of how many runs sound there besides so many others: run i in order of end has not ended, and
        run i + others in order of start has started."""
        return int(np.maximum(end[: max(len(end) - others, 0)] - start[others:], 0).sum())

    return beyond(pitches - 1) - beyond(pitches)


def _sounding(fine: Grid, family: str) -> np.ndarray:
    """(M,) bool, the bars in which the family sounds."""
    parts, bar = parts_of(fine)
    sounding = np.zeros(fine.bars, bool)
    sounding[bar[parts.where(family)]] = True
    return sounding


def mean_over(function: Callable[..., float], choices: Sequence[Mapping[str, str]], music: Score | Grid) -> float:
    """Mean of a measure over those families, or pairs of them, for which it has a value; nan where none has."""
    values = np.array([function(music, **choice) for choice in choices])
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


def rows(
    id: str,
    name: str,
    sentence: str,
    function: Callable[..., float],
    choices: Sequence[Mapping[str, str]],
    *,
    formula: str,
    undefined: str,
    variant: str = "",
    **described: Any,
) -> Iterator[Metric]:
    """A row for each choice of families, for which {who} stands; before these, unless of a variant, one of the mean."""
    kind = "pairs of families" if len(choices[0]) > 1 else "families"
    if not variant:
        yield Metric(
            id,
            f"{name}, mean over {kind}",
            sentence.format(who="two families" if len(choices[0]) > 1 else "a family of instruments"),
            f"mean over the {kind} that have it of: {formula}",
            function=partial(mean_over, function, choices),
            undefined=f"no {kind} with a value",
            style=True,
            **described,
        )
    for choice in choices:
        who, other = " and ".join(choice.values()), len(choice) > 1
        yield Metric(
            f"{id}-{'-'.join(choice.values())}{variant}",
            f"{name}, {who}" + (f", as {variant[1:]} has it" if variant else ""),
            sentence.format(who=" and ".join(f"the {one}" for one in choice.values()) if other else f"the {who} part"),
            formula,
            function=partial(function, **choice),
            undefined=undefined.format(who=who),
            **described,
        )


PAPER = "MuseGAN (Dong et al. 2018)"
EACH = [{"family": family} for family in FAMILIES]
EACH_PITCHED = [{"family": family} for family in PITCHED]
EACH_PAIR = [{"family": family, "other": other} for family, other in PAIRS]

METRICS: tuple[Metric, ...] = (
    *rows(
        "musegan-empty-bars", "empty bars",
        "How much of the time {who} rests for whole bars; 0 means that it plays in every bar.",
        empty_bars, EACH, formula="bars in which no note of the family sounds / bars", unit="share",
        source=f"{PAPER} (EB)", high=1.0, undefined="no {who} track, or no notes",
    ),
    *rows(
        "musegan-used-pitch-classes", "used pitch classes",
        "How many of the twelve pitch classes {who} uses in a bar; high values mean chromatic or crowded bars.",
        used_pitch_classes, EACH_PITCHED,
        formula="distinct pitch % 12 sounding in a bar, mean over the bars in which the family sounds",
        unit="pitch classes a bar", source=f"{PAPER} (UPC)", low=1.0, high=12.0, undefined="no {who} notes",
    ),
    *rows(
        "musegan-qualified-notes", "qualified notes",
        "How much of what {who} plays is no mere fragment but at least a 32nd note; low values mean noise.",
        qualified_notes, EACH_PITCHED,
        formula="whole notes of at least 3 steps of 24 a quarter note / notes", unit="share",
        source=f"{PAPER} (QN)", high=1.0, undefined="no {who} notes",
    ),
    *rows(
        "musegan-polyphonic-rate", "polyphonic rate",
        "How much of the time in its bars {who} plays two pitches or more at once.",
        polyphonic_rate, EACH_PITCHED,
        formula="steps at which at least 2 different pitches sound / steps of the bars in which the family sounds",
        unit="share", source="MuseGAN's code (Dong et al. 2018)", high=1.0, undefined="no {who} notes",
    ),
    *(
        Metric(
            f"musegan-drum-pattern-{beats}-beat", f"drum pattern, {beats}-beat",
            f"How many of the drum strokes lie on the {of}; high values mean a steady rock beat.",
            formula=f"drum onsets on every {steps}th step of 24 a quarter note from the bar line / drum onsets",
            unit="share", source=f"{PAPER} (DP)", function=partial(drum_pattern, steps=steps), high=1.0,
            undefined="no drums", style=beats == 16,
        )
        for beats, steps, of in ((8, 12, "eighth notes"), (16, 6, "sixteenth notes"))
    ),
    *rows(
        "musegan-tonal-distance", "tonal distance",
        "How far apart in harmony {who} play at the same time; 0 means the same pitch classes, high values clash.",
        tonal_distance, EACH_PAIR,
        formula="mean over the quarter-note beats in which both sound of the Euclidean distance of their pitch-class"
        " weights (steps sounded, summing to 1) in the six dimensions of tonal space with radii 1, 1, 0.5",
        unit="distance", source=f"{PAPER} (TD); Harte et al. 2006", high=3.0, undefined="{who} never sound together",
    ),
)  # fmt: skip
