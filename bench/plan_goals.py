"""Does music keep to the plan that was asked for? Chords, levels and form, and the sentences that ask for them.

Shapes: M bars, K tracks, S sections; a cell is a bar of a track.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from symusic import Score

from orchestrion.generation.brief import Brief, plain_plan
from orchestrion.generation.by_plan import asked_key, planning_stream
from orchestrion.music.chords import NO_CHORD
from orchestrion.music.theory import DRUMS, Key
from orchestrion.planning.cell_plan import form_kept, levels_hit, tracks_of
from orchestrion.planning.estimate import estimate_plan
from orchestrion.planning.harmony import found_share
from orchestrion.planning.levels import LENGTH, OPEN, REGISTER, cell_levels
from orchestrion.planning.plan import Part, Plan
from orchestrion.representations.cells import Cells, encode
from orchestrion.text.controls import Reading
from orchestrion.text.weighing import TYPICAL_TEMPO

#: Each asks for chords, in 16 bars or fewer.
CHORD_SENTENCES = (
    "a pop song for piano, bass and drums over Am F C G, 16 bars",
    "a piano piece over C G Am F, 16 bars",
    "a jazz trio over Dm7 G7 Cmaj7 Am7 for piano, double bass and drums, 16 bars",
    "strings playing Dm Bb F C, 16 bars",
    "a rock song for electric guitar, bass and drums with the chords Em C G D, 16 bars",
    "piano and cello over F C Dm Bb, 16 bars",
    "a twelve bar blues in A for organ, bass and drums",
    "a folk song for acoustic guitar and flute over G D Em C, 16 bars",
    "bossa nova for nylon guitar, bass and drums over Am7 D7 Gmaj7 Cmaj7, 16 bars",
    "an electronic track with synth lead, synth bass and drums over Cm Ab Eb Bb, 16 bars",
    "a piano ballad over C Am Dm G, 16 bars",
    "a country song with acoustic guitar, bass and drums over G C D G, 16 bars",
    "soul with electric piano, bass and drums over Fmaj7 Em7 Dm7 Cmaj7, 16 bars",
    "film music for strings and harp over Bm G D A, 16 bars",
    "a reggae tune for organ, guitar, bass and drums over Am Dm, 16 bars",
    "string quartet over D A Bm F#m G D G A, 16 bars",
    "funk for electric guitar, bass and drums over Em7 A7, 16 bars",
    "solo guitar over Am G F E, 16 bars",
    "a metal song for distorted guitar, bass and drums over Em G A C, 16 bars",
    "piano over Eb Cm Ab Bb, 16 bars",
)
#: Each asks for a form in which a section returns.
FORM_SENTENCES = (
    "a pop song for piano, bass and drums: verse, chorus, verse, chorus, 32 bars",
    "a jazz tune for piano, double bass and drums in AABA form, 32 bars",
    "solo piano in ternary form, 24 bars",
    "a folk song for guitar and flute, form ABAB, 32 bars",
    "a rock song with electric guitar, bass and drums: verse, chorus, verse, chorus, bridge, chorus, 48 bars",
    "a piano rondo, form ABACA, 40 bars",
    "a string quartet in ABA form, 24 bars",
    "a funk track for electric guitar, bass, organ and drums, form AABB, 32 bars",
    "an electronic track with synth lead, synth bass and drums, form ABAC, 32 bars",
    "a country song with acoustic guitar, bass and drums: intro, verse, chorus, verse, chorus, outro, 40 bars",
)


@dataclass(frozen=True)
class LevelsKept:
    """hits of `planned` levels of sounding cells within one step; cells that sound of those in which a part is to play;
    sections: share of the planned levels that the medians of sections hit within one step, nan where none is."""

    hits: int
    planned: int
    sounding: int
    playing: int
    sections: float


def sought_plan(reading: Reading, seed: int) -> Plan:
    """What a sentence asks of a plan outright, all else open: chords and form as `generation.by_plan.planned` with that
    seed reads them."""
    key, strict = asked_key(reading, planning_stream(reading, seed))
    brief = Brief.of(reading, key, strict)
    return plain_plan(brief, key or brief.asked.key or Key(0, "major"), reading.controls.tempo or TYPICAL_TEMPO)


def chords_found(plan: Plan, cells: Cells) -> float:
    """Share, 0..1, of the half bars with an asked chord in which the estimator finds it; nan where none is asked."""
    return found_share(np.array([NO_CHORD if chord is None else chord.code for chord in plan.chords], np.int64), cells)


def levels_kept(plan: Plan, cells: Cells) -> LevelsKept:
    """The levels of every cell beside those planned for its section. Silent cells hit and miss nothing."""
    found = cell_levels(cells)[: plan.bars]
    section = np.repeat(np.arange(len(plan.sections)), [s.bars for s in plan.sections])[: len(found)]
    hits = planned = sounding = playing = 0
    for part, track in zip(plan.parts, tracks_of(plan, cells.instruments), strict=True):
        told = _told(part)[section]  # (M, 6)
        plays = np.array([levels is not None for levels in part.levels])[section]
        playing += sum(own.bars for own, levels in zip(plan.sections, part.levels, strict=True) if levels is not None)
        if track is None:
            continue
        sounds = (found[:, track] != OPEN).any(axis=1)
        sounding += int((plays & sounds).sum())
        counted = (told != OPEN) & (found[:, track] != OPEN)
        planned += int(counted.sum())
        hits += int((counted & (np.abs(found[:, track] - told) <= 1)).sum())
    return LevelsKept(hits, planned, sounding, playing, levels_hit(plan, cells))


def _told(part: Part) -> np.ndarray:
    """(S, 6) the levels of a part, OPEN where it is silent, they are open or they mean nothing."""
    rows = np.full((len(part.levels), 6), OPEN, np.int64)
    for number, levels in enumerate(part.levels):
        for index, value in enumerate(levels.values if levels else ()):
            if value is not None and not (part.instrument == DRUMS and index in (REGISTER, LENGTH)):
                rows[number, index] = value
    return rows


def kept_form(plan: Plan, score: Score) -> tuple[float, float]:
    """(share of the bars of repeated sections that are at least nearly equal to the first, share of the pairs of
    letters that differ)."""
    return form_kept(plan, encode(score))


def kept_levels(plan: Plan, score: Score) -> LevelsKept:
    return levels_kept(plan, encode(score))


def own_levels(score: Score) -> LevelsKept:
    """Of music beside the plan that is estimated from it: how far cells stray from the medians of their sections."""
    return levels_kept(estimate_plan(score), encode(score))


def own_form(score: Score) -> tuple[float, float]:
    """`kept_form` of music beside the form that is estimated from it."""
    return form_kept(estimate_plan(score), encode(score))
