"""A reading -> a plan -> candidates -> the best of them, with the record of all three."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import numpy as np
from symusic import Score

from orchestrion.generation.brief import Brief, plain_plan
from orchestrion.generation.candidates import Candidate, ranked
from orchestrion.generation.second_process import Share, Shared, composed
from orchestrion.generation.wishes import Composition, Wish
from orchestrion.models.base import Request
from orchestrion.models.loading import WEIGHTS, Model, load
from orchestrion.music.chords import Progression
from orchestrion.music.theory import Key, Meter
from orchestrion.planning.cell_plan import cell_plan
from orchestrion.planning.plan import Plan
from orchestrion.planning.text import plan_record
from orchestrion.representations.cells import Cells, encode, instrument_order
from orchestrion.representations.steps import shift_to_common_key
from orchestrion.text.controls import Controls, Reading, merge, read_controls
from orchestrion.text.form import Form
from orchestrion.text.weighing import TYPICAL_TEMPO

MAX_CANDIDATES = 64
PLANNER = "planner"
GROUPS = 2  # of candidates, for two processes
TAKES = 3  # further candidates that are kept beside the best


def plan(
    sentence: str = "",
    *,
    bars: int | None = None,
    tempo: float | None = None,
    key: Key | None = None,
    meter: Meter | None = None,
    instruments: tuple[int, ...] = (),
    chords: Progression | None = None,
    form: Form | None = None,
    feel: str | None = None,
    seed: int = 0,
    planner: Model | None = None,
) -> Plan:
    """The plan of a piece from a sentence; options beat its words. `compose(plan=...)` plays it, as it is or changed.

    Raises BriefError, ControlsError or PlanError, each with one line."""
    reading = merge(read_controls(sentence), bars=bars, tempo=tempo, key=key, meter=meter, instruments=instruments,
                    chords=chords, form=form, feel=feel)  # fmt: skip
    return planned(reading, seed, planner=planner)


def planned(reading: Reading, seed: int, index: int = 0, planner: Model | None = None) -> Plan:
    """The plan of piece `index`: what was asked, completed by a planner; by plain rules where there is none. The same
    seed and index give the same plan. Raises BriefError, PlanError or ControlsError."""
    rng = planning_stream(reading, seed, index)
    key, strict = asked_key(reading, rng)
    brief = Brief.of(reading, key, strict)
    if planner is None and (WEIGHTS / PLANNER / "config.json").exists():
        planner = load(PLANNER)
    if planner is None:
        key = key or brief.asked.key or Key(0, "major")
        return plain_plan(brief, key, reading.controls.tempo or TYPICAL_TEMPO)
    states = None
    if reading.sentence.strip():
        from orchestrion.text.token_states import token_states

        states = token_states(reading.sentence)
    system: Any = planner.system
    made = brief.shaped(system.plan(brief.asked, states, rng)[0])
    origins = {**made.origins, "key": "asked" if strict else "planned"}  # of chords alone it binds no notes
    return replace(made, origins=origins)


def planning_stream(reading: Reading, seed: int, index: int = 0) -> np.random.Generator:
    """The random stream of a plan. It depends on the words too, else one seed would bring every sentence one key."""
    return np.random.default_rng((seed, index, zlib.crc32(reading.sentence.encode())))


def asked_key(reading: Reading, rng: np.random.Generator) -> tuple[Key | None, bool]:
    """The key that was asked for and whether it holds: of chords alone the likeliest, which does not bind the notes; of
    a mode alone on a tonic drawn by `rng`."""
    controls = reading.controls
    if controls.key is not None:
        return controls.key, True
    if reading.progression is not None:
        return reading.progression.likely_key(controls.mode), False
    if controls.mode is None:
        return None, False
    return drawn_key(controls.mode, rng), True


def drawn_key(mode: str, rng: np.random.Generator) -> Key:
    """A key of the mode with few signs."""
    return Key(int(rng.choice((0, 7, 2, 5, 9, 4, 10) if mode == "major" else (9, 4, 2, 11, 7, 0))), mode)


def by_plan(wish: Wish, plan: Plan, index: int, count: int) -> Composition:
    """Piece `index` of a wish by its plan: the best of `count` candidates, and its record."""
    instruments = tuple(sorted(plan.instruments, key=instrument_order))
    nothing = Cells(np.zeros((0, 6), np.int16), instruments, plan.bar_meters, plan.tempo)
    rng = np.random.default_rng((wish.seed, index, 0x63656C6C))
    told = cell_plan(plan, nothing, shift_to_common_key(plan.key), rng=rng)
    meter = plan.meters[0][0]
    request = Request(bars=plan.bars, tempo=plan.tempo, meter=meter, instruments=instruments, key=plan.key,
                      strict_key=plan.origins.get("key", "") == "asked", plan=told)  # fmt: skip
    if len(plan.meters) > 1:
        request = replace(request, given=nothing, hole=np.ones((plan.bars, len(instruments)), bool))
    tries: list[
        list[Candidate]
    ] = []  # where copies are rejected or a critic chooses, a piece is composed several times

    def choose(request: Request, rng: np.random.Generator) -> Score:
        tries.append(ranked(plan, *drawn(wish.model, request, count, rng)))
        return tries[-1][0].score

    take = replace(wish, count=1, piece=index, choose=choose).generate(request)[0]
    asked = Controls(plan.bars, plan.tempo, plan.key if request.strict_key else None, None,
                     meter if len(plan.meters) == 1 else None, instruments)  # fmt: skip
    piece = wish.composition(request, f"{plan.bars} bars by a plan", take, asked, index)
    best = next(found for found in tries if found[0].score is take.score)
    record = piece.record | {
        "plan": plan_record(plan, encode(take.score)) | {"whole": plan.to_json()},
        "candidates": {
            "count": count,
            "marks": [_rounded({"mark": c.mark, "nats": c.nats, **c.marks}) for c in best],
        },
    }
    return replace(piece, record=record, plan=plan, takes=tuple(candidate.score for candidate in best[1 : 1 + TAKES]))


def drawn(
    model: Model, request: Request, count: int, rng: np.random.Generator
) -> tuple[list[Score], list[float]]:  # fmt: skip
    """`count` candidates and the mean nats a note of each, in GROUPS batches: the last of them in a second process,
    where one can be had. How they are shared out does not depend on the machine, so neither does the music."""
    sizes = [count // GROUPS + (group < count % GROUPS) for group in range(GROUPS)]
    requests = [replace(request, count=size) for size in sizes if size]
    streams = rng.spawn(GROUPS)

    def compose(group: int, before: int, beside: Shared | None = None) -> Share:
        def told(bars: int) -> None:
            if request.progress:
                other = before if beside is None or beside.bars is None else beside.bars
                request.progress((bars + other) // len(requests), request.bars)

        return composed(model.system, requests[group], streams[group], told)

    if len(requests) == 1:
        return compose(0, 0)
    with Shared(model, requests[1], streams[1]) as share:
        first = compose(0, 0, share)
        second = share.answer() or compose(1, request.bars)
    return first[0] + second[0], first[1] + second[1]


def _rounded(marks: dict[str, float]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else round(float(value), 4) for name, value in marks.items()}
