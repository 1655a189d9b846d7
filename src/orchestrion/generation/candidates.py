"""Candidates of one piece, ranked by how well they keep to their plan and by what tells dull music from real music.

Nothing here is the classifier that the benchmarks measure with. Idea: Text2midi-InferAlign (Roy et al. 2025) reranks
without training; very likely music is dull (Holtzman et al. 2020), so of the likelihoods the middle is best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from symusic import Score

from orchestrion.music.analysis import estimate_key
from orchestrion.music.theory import DRUMS
from orchestrion.planning.cell_plan import levels_hit, tracks_of
from orchestrion.planning.harmony import found_share
from orchestrion.planning.plan import Plan
from orchestrion.representations.cells import BAR, PITCH, POSITION, TRACK, Cells, encode

COUNT = 8  # candidates of a piece
#: What each part counts in the sum; each is 0..1, higher is better.
WEIGHTS = {"chords": 1.0, "levels": 1.0, "key": 0.3, "plays": 0.6, "moves": 0.6, "typical": 0.3}
STUCK_RUN = 12  # onsets of one pitch in a row from which on a line is stuck


@dataclass(frozen=True)
class Candidate:
    """A piece, the mean nats a note with which it was drawn, what each part of WEIGHTS gave (nan: not asked), and their
    weighted mean over those that were."""

    score: Score
    nats: float
    marks: dict[str, float]
    mark: float


def ranked(plan: Plan, scores: Sequence[Score], nats: Sequence[float]) -> list[Candidate]:
    """The candidates, the best first; of equals the first."""
    middle, spread = float(np.median(nats)), float(np.std(nats)) or 1.0
    found = []
    for score, own in zip(scores, nats, strict=True):
        marks = marks_of(plan, score) | {"typical": float(np.exp(-(((own - middle) / (1.5 * spread)) ** 2)))}
        known = {name: value for name, value in marks.items() if not np.isnan(value)}
        total = sum(WEIGHTS[name] * value for name, value in known.items())
        found.append(Candidate(score, float(own), marks, total / sum(WEIGHTS[name] for name in known)))
    return sorted(found, key=lambda candidate: -candidate.mark)


def marks_of(plan: Plan, score: Score) -> dict[str, float]:
    """How far a finished piece keeps to its plan: chords found again, levels hit within one step, the key heard, cells
    that are planned to sound and do, and onsets of pitched tracks outside of stuck runs; each 0..1 or nan."""
    cells = encode(score)
    asked = np.array([0 if chord is None else chord.code for chord in plan.chords], np.int64)
    return {
        "chords": found_share(asked, cells) if plan.chords else float("nan"),
        "levels": levels_hit(plan, cells),
        "key": float(estimate_key(score)[0] == plan.key),
        "plays": sounding_share(plan, cells),
        "moves": 1 - stuck_share(cells),
    }


def sounding_share(plan: Plan, cells: Cells) -> float:
    """Of the sections in which a part is to play, the share whose first two bars and a half of whose bars it does."""
    hits = total = 0
    for part, track in zip(plan.parts, tracks_of(plan, cells.instruments), strict=True):
        own = cells.notes[cells.notes[:, TRACK] == (-1 if track is None else track), BAR]
        for number, levels in enumerate(part.levels):
            if levels is not None:
                start, end = plan.starts[number], plan.starts[number + 1]
                bars = np.unique(own[(own >= start) & (own < end)])
                hits += bool(len(bars) * 2 >= end - start and (bars < start + 2).any())
                total += 1
    return hits / total if total else float("nan")


def stuck_share(cells: Cells) -> float:
    """Share of the onsets of pitched tracks, 0..1, in runs of STUCK_RUN or more on one lowest pitch."""
    stuck = total = 0
    for track, instrument in enumerate(cells.instruments):
        notes = cells.notes[cells.notes[:, TRACK] == track]
        if instrument == DRUMS or not len(notes):
            continue
        first = np.flatnonzero(np.diff(notes[:, BAR] * 128 + notes[:, POSITION], prepend=-1) != 0)
        pitch = notes[first, PITCH]  # notes are sorted by pitch within an onset
        edges = np.flatnonzero(np.diff(pitch, prepend=-1, append=-1))
        runs = np.diff(edges)
        stuck += int(runs[runs >= STUCK_RUN].sum())
        total += len(pitch)
    return stuck / total if total else 0.0
