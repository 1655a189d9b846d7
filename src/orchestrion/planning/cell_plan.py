"""A plan as the player reads it, cell by cell, and how far music keeps to its plan.

Shapes: M bars, K tracks of the cells, S sections; a cell is a bar of a track. A track is the part of the plan with its
instrument; of several that have one instrument the first is the first.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from orchestrion.music.chords import NO_CHORD, UNKNOWN
from orchestrion.music.theory import DRUMS
from orchestrion.planning.arrays import ALL_TRACKS, COLUMN, PLAYS, SILENT, CellPlan, PlanArrays, features
from orchestrion.planning.levels import LENGTH, OPEN, REGISTER, cell_levels, section_levels
from orchestrion.planning.plan import FEELS, LEVEL_NAMES, MOODS, ROLES, STYLES, Levels, Part, Plan, PlanError
from orchestrion.representations.cells import BAR, PITCH, POSITION, TRACK, Cells
from orchestrion.text.styles import STYLES as NAMED_STYLES

NEAR, APART = 0.7, 0.5  # Jaccard index of two bars from which on they are nearly equal, and below which they differ
RUN = 4  # bars of a track that are written anew together
_FILLS = ("melody", "drums")  # roles that end a section in a new way first
_ORDER = ("melody", "drums", "counter-melody", "arpeggio")  # roles that vary first; the others follow
_NO_PART = Part(0, "", ())


def cell_plan(
    plan: Plan, cells: Cells, shift: int, *, rng: np.random.Generator, hole: np.ndarray | None = None
) -> CellPlan:
    """What the player is told of each cell of a plan.

    cells: the music given or none, with the meters and instruments of the plan, its tracks in any order. shift:
    semitones to the common key. hole: (M, K) bool, True where to compose; else everywhere.

    A section that takes up an earlier one copies its cells but for those that are written anew: the share that its
    variation asks for, of the cells in which something plays. Bars beyond the end of the first section and the last bar
    of the piece are always new, and so are cells in which the plan itself differs: the track was silent, its chords or
    meter are others, or a level is more than one step away. Where these are not enough, `rng` chooses more, in runs of
    a track: first the last bar of melody and drums, then mostly towards the end. Raises PlanError."""
    if len(cells.meters) != plan.bars:
        raise PlanError(f"the plan has {plan.bars} bars, the music {len(cells.meters)}; both must have the same")
    parts = _parts_of_tracks(plan, cells.instruments)
    where = np.ones((plan.bars, len(parts)), bool) if hole is None else hole
    section = np.repeat(np.arange(len(plan.sections)), [s.bars for s in plan.sections])
    source = bar_sources(plan)
    plays = np.array([[_plays(part, number) for part in parts] for number in range(len(plan.sections))], np.int8)
    plays = np.where(where, plays[section], 0)
    copyable = _copyable(plan, cells, parts, section, source) & where & (plays == PLAYS)
    new = _written_anew(plan, parts, plays == PLAYS, copyable, rng)
    copies = np.where(copyable & ~new, source[:, None], -1)
    told = _features(plan, cells, parts, section, source, shift)
    return CellPlan(told, header(plan), plays, copies, source, plan.feel == "swing")


def header(plan: Plan) -> np.ndarray:
    """(H,) style, mood and feel, 0 where they are open, and that all tracks are there."""
    return header_of(plan.style, plan.mood, plan.feel)


def header_of(style: str, mood: str, feel: str) -> np.ndarray:
    """(H,) the same of words, "" where they are open."""
    named = NAMED_STYLES.get(style)
    words = ((named.tag if named else style, STYLES), (mood, MOODS), (feel, FEELS))
    known = [1 + names.index(word) if word in names else 0 for word, names in words]
    return np.array([*known, ALL_TRACKS], np.int64)


def bar_sources(plan: Plan) -> np.ndarray:
    """(M,) the bar at the same place of the first section with the same letter, -1 for none."""
    source = np.full(plan.bars, -1, np.int64)
    for number, section in enumerate(plan.sections):
        first = plan.takes_up(number)
        if first is not None:
            shared = min(section.bars, plan.sections[first].bars)
            source[plan.starts[number] : plan.starts[number] + shared] = plan.starts[first] + np.arange(shared)
    return source


def _parts_of_tracks(plan: Plan, instruments: tuple[int, ...]) -> list[Part | None]:
    """The part of each track, None for a track that the plan does not know. Raises PlanError for a part without one."""
    parts: list[Part | None] = [None] * len(instruments)
    for part, track in zip(plan.parts, tracks_of(plan, instruments), strict=True):
        if track is None:
            raise PlanError("the music lacks tracks that the plan has; both must have the same instruments")
        parts[track] = part
    return parts


def _plays(part: Part | None, section: int) -> int:
    return 0 if part is None else SILENT if part.levels[section] is None else PLAYS


# ---- what is copied


def _copyable(
    plan: Plan, cells: Cells, parts: list[Part | None], section: np.ndarray, source: np.ndarray
) -> np.ndarray:
    """(M, K) bool: cells that may be as those that they take up, as far as the plan tells."""
    possible = np.zeros((plan.bars, len(parts)), bool)
    for bar in np.flatnonzero(source[:-1] >= 0):  # the piece's last bar is an ending
        first = source[bar]
        if plan.bar_meters[bar] != plan.bar_meters[first]:
            continue
        same_chords = plan.chords[2 * bar : 2 * bar + 2] == plan.chords[2 * first : 2 * first + 2]
        for track, part in enumerate(parts):
            drums = cells.instruments[track] == DRUMS
            alike = part is not None and _alike(part.levels[section[bar]], part.levels[section[first]])
            possible[bar, track] = alike and (drums or same_chords)
    return possible


def _alike(levels: Levels | None, first: Levels | None) -> bool:
    """Whether no level that is planned for both is more than one step away; nothing is like silence."""
    if levels is None or first is None:
        return False
    pairs = zip(levels.values, first.values, strict=True)
    return all(a is None or b is None or abs(a - b) <= 1 for a, b in pairs)


def _written_anew(
    plan: Plan, parts: list[Part | None], playing: np.ndarray, copyable: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(M, K) bool: which of the cells that could be copied are not."""
    new = np.zeros(playing.shape, bool)
    roles = [_NO_PART.role if part is None else part.role for part in parts]
    for number, section in enumerate(plan.sections):
        start, end = plan.starts[number], plan.starts[number + 1]
        possible = copyable[start:end]
        if plan.takes_up(number) is None or not possible.any():
            continue
        sounding = int(playing[start:end].sum())
        wanted = int(section.variation * sounding + 0.5) - (sounding - int(possible.sum()))
        for bar, track in _order_of_change(possible, roles, rng)[: max(wanted, 0)]:
            new[start + bar, track] = True
    return new


def _order_of_change(possible: np.ndarray, roles: list[str], rng: np.random.Generator) -> list[tuple[int, int]]:
    """The (bar, track) of a section's cells in the order in which they are written anew: fills in its last bar, then
    runs of up to RUN bars of a track, each from its end."""
    bars, tracks = possible.shape
    ranks = [_ORDER.index(role) if role in _ORDER else len(_ORDER) for role in roles]
    runs = sorted(
        (from_end + 0.3 * ranks[track] + 1.5 * rng.random(), from_end, track)
        for track in range(tracks)
        for from_end in range(-(-bars // RUN))
    )
    fills = sorted((ranks[track], track) for track in range(tracks) if roles[track] in _FILLS)
    order = [(bars - 1, track) for _, track in fills]
    for _, from_end, track in runs:
        last = bars - 1 - RUN * from_end
        order += [(bar, track) for bar in range(last, max(last - RUN, -1), -1)]
    return [cell for cell in dict.fromkeys(order) if possible[cell]]


# ---- what the network reads


def _features(
    plan: Plan, cells: Cells, parts: list[Part | None], section: np.ndarray, source: np.ndarray, shift: int
) -> np.ndarray:
    """(M, K, F): everything that the plan says, 0 where it leaves something open."""
    levels = np.array([[_level_row(part, number) for part in parts] for number in range(len(plan.sections))], np.int8)
    levels[:, np.asarray(cells.instruments) == DRUMS, REGISTER] = OPEN
    levels[:, np.asarray(cells.instruments) == DRUMS, LENGTH] = OPEN
    roles = np.array([ROLES.index(part.role) if part and part.role else -1 for part in parts])
    letters = [s.letter for s in plan.sections]
    in_order = list(dict.fromkeys(letters))
    chords = np.array([NO_CHORD if chord is None else chord.code for chord in plan.chords], np.int64)
    basses = np.array([0 if chord is None else chord.bass_code for chord in plan.chords], np.int64)
    unknown = np.full(2 * plan.bars, UNKNOWN, np.int64)
    arrays = PlanArrays(
        (chords if plan.chords else unknown).reshape(-1, 2), (basses if plan.chords else unknown).reshape(-1, 2),
        section, np.array([in_order.index(letter) for letter in letters])[section],
        np.array([letters[:number].count(letter) for number, letter in enumerate(letters)])[section], source,
        levels[section], levels, roles,
    )  # fmt: skip
    known = features(arrays, cells, np.arange(plan.bars), np.arange(len(parts)), shift)
    known[..., : len(LEVEL_NAMES)] = levels[section] + 1
    plays = np.array([[_plays(part, number) for part in parts] for number in range(len(plan.sections))])
    known[..., COLUMN["plays"]] = plays[section]  # `features` takes an open density for silence
    return known


def _level_row(part: Part | None, section: int) -> list[int]:
    levels = None if part is None else part.levels[section]
    return [OPEN if value is None else value for value in (levels or Levels()).values]


# ---- whether music keeps to its plan


def levels_hit(plan: Plan, cells: Cells) -> float:
    """Share, 0..1, of the planned levels of a part in a section that the music hits within one step, by the median of
    its cells. Register and length of drums do not count; nan where no level is planned."""
    found = measured_levels(plan, cells)
    hits, count = 0, 0
    for place, part in enumerate(plan.parts):
        for number, levels in enumerate(part.levels):
            for index, level in enumerate((levels or Levels()).values):
                if level is None or (part.instrument == DRUMS and index in (REGISTER, LENGTH)):
                    continue
                heard = int(found[number, place, index])
                hits += heard != OPEN and abs(heard - level) <= 1
                count += 1
    return hits / count if count else float("nan")


def measured_levels(plan: Plan, cells: Cells) -> np.ndarray:
    """(S, P, 6) the levels that the music has in the sections of a plan, for each of its parts; OPEN where it is silent
    or there is no such track or bar."""
    result = np.full((len(plan.sections), len(plan.parts), len(LEVEL_NAMES)), OPEN, np.int8)
    starts = np.array([start for start in plan.starts[:-1] if start < len(cells.meters)])
    found = section_levels(cell_levels(cells)[: plan.bars], starts)
    for place, track in enumerate(tracks_of(plan, cells.instruments)):
        if track is not None:
            result[: len(starts), place] = found[:, track]
    return result


def tracks_of(plan: Plan, instruments: tuple[int, ...]) -> list[int | None]:
    """(P,) the track of each part, None where there is none: of several that have one instrument the first is the
    first."""
    left = list(enumerate(instruments))
    tracks: list[int | None] = []
    for part in plan.parts:
        found = next((track for track in left if track[1] == part.instrument), None)
        if found is not None:
            left.remove(found)
        tracks.append(None if found is None else found[0])
    return tracks


def form_kept(plan: Plan, cells: Cells) -> tuple[float, float]:
    """(share of the bars that take up another which are at least nearly equal to it, share of the pairs of letters
    whose first sections differ); nan where there are none.

    Two bars are compared by the Jaccard index of their notes (track, position, pitch): nearly equal from NEAR on. Two
    sections differ where the mean over the bars that both have is below APART."""
    notes: list[set[tuple[int, ...]]] = [set() for _ in range(max(plan.bars, len(cells.meters)))]
    for note in cells.notes.tolist():
        notes[note[BAR]].add((note[TRACK], note[POSITION], note[PITCH]))
    taken = [(bar, first) for bar, first in enumerate(bar_sources(plan).tolist()) if first >= 0]
    kept = [_jaccard(notes[bar], notes[first]) >= NEAR for bar, first in taken]
    firsts = [number for number in range(len(plan.sections)) if plan.takes_up(number) is None]
    differing = []
    for one, other in combinations(firsts, 2):
        shared = range(min(plan.sections[one].bars, plan.sections[other].bars))
        alike = [_jaccard(notes[plan.starts[one] + bar], notes[plan.starts[other] + bar]) for bar in shared]
        differing.append(float(np.mean(alike)) < APART)
    return (float(np.mean(kept)) if kept else float("nan"), float(np.mean(differing)) if differing else float("nan"))


def _jaccard(one: set[tuple[int, ...]], other: set[tuple[int, ...]]) -> float:
    """1 for two silent bars."""
    return len(one & other) / len(one | other) if one | other else 1.0
