"""A sentence, or music with a hole in it, becomes music: the main job, as functions.

    piece = compose("a calm piano waltz in D minor, 16 bars", seed=7)[0]
    piece.write("waltz")

Composing, continuing and filling are one operation on the grid of cells: some cells are given, the rest is composed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from symusic import Score

from orchestrion.generation.around import chords_kept, plan_around
from orchestrion.generation.brief import around_music, without_plan
from orchestrion.generation.by_plan import MAX_CANDIDATES, by_plan, drawn_key, planned
from orchestrion.generation.candidates import COUNT
from orchestrion.generation.infill import Given, bound, composed_part, followed, joined, key_around
from orchestrion.generation.wishes import ComposeError, Composition, Progress, Wish
from orchestrion.metrics.copying import CopyIndex
from orchestrion.models.base import Request
from orchestrion.models.loading import Model, load
from orchestrion.music.bars import bars as bars_of
from orchestrion.music.bars import tempo as tempo_of
from orchestrion.music.chords import Progression
from orchestrion.music.edit import slice_bars
from orchestrion.music.extent import length_seconds
from orchestrion.music.theory import Key, Meter, instrument_name
from orchestrion.planning.plan import Plan
from orchestrion.representations.cells import CellsError, encode, instrument_order
from orchestrion.text.controls import Controls, ControlsError, NotUnderstood, Reading, merge, read_controls
from orchestrion.text.encoder import SentenceEncoder
from orchestrion.text.form import Form
from orchestrion.text.reading import MAX_BARS, value_text
from orchestrion.text.weighing import TYPICAL_TEMPO

DEFAULT_BARS = 16


def compose(
    sentence: str = "",
    *,
    bars: int | None = None,
    tempo: float | None = None,
    key: Key | None = None,
    meter: Meter | None = None,
    instruments: tuple[int, ...] = (),
    like: Score | None = None,
    count: int = 1,
    seed: int = 0,
    temperature: float | None = None,
    top_p: float | None = None,
    model: Model | None = None,
    encoder: SentenceEncoder | None = None,
    reject: int | None = None,
    against: CopyIndex | None = None,
    seconds: float | None = None,
    check: Model | None = None,
    tries: int | None = None,
    best_of: int | None = None,
    chords: Progression | None = None,
    form: Form | None = None,
    feel: str | None = None,
    plan: Plan | None = None,
    planner: Model | None = None,
    candidates: int | None = None,
    progress: Progress | None = None,
) -> list[Composition]:
    """Compose `count` pieces from a sentence; options beat its words.

    chords, form, feel: what the plan of the piece has to hold. plan: a whole plan in place of one that a planner makes;
    then bars, tempo, key, meter and instruments are those of the plan. planner: who plans, else the one that comes with
    the package. candidates: how many are composed of each piece, of which the one that keeps to its plan best is handed
    out (generation.candidates.COUNT). These need a model that reads plans, as the bundled composer does.

    seconds: a length in place of bars, for a model that writes in real time, as it then says.
    like: music to open with; what follows goes on from it, and instruments that it lacks play along.
    temperature, top_p: as the system is best drawn from, where they are not named.
    reject: a piece of which a phrase of more notes than this lies in a piece of `against` is composed again, from a
    further random stream of the same seed, at most wishes.MAX_TRIES times in all; what is given does not count.
    check: a critic; a piece that it gives 0.5 or less is composed again, at most `tries` times (checking.TRIES), from
    further random streams of the same seed, and then the best is kept and the record says that it is not accepted.
    best_of: of so many candidates of each piece the one of the highest odds instead. Without a critic `tries` says how
    often a system composes again what its own discriminator refuses, 0 for never; a critic takes the place of that.
    Raises CheckError, UnheardError, ComposeError, EncoderError, CellsError or CheckpointError, each with one line.
    """
    reading = merge(read_controls(sentence), bars=bars, tempo=tempo, key=key, meter=meter, instruments=instruments,
                    chords=chords, form=form, feel=feel)  # fmt: skip
    wish = Wish(reading, count, seed, temperature, top_p, model or load(), encoder, reject, against, seconds, progress,
                 check, tries, best_of)  # fmt: skip
    if like is None and wish.model.reads_plans:
        return _by_plan(wish, plan, planner, COUNT if candidates is None else candidates)
    if plan is not None or candidates is not None:
        raise ComposeError("music that opens with what is given has no plan and no candidates; leave these out"
                           if wish.model.reads_plans else
                           f"{wish.model.name} reads no plans; the bundled composer does")  # fmt: skip
    wish = _told(wish, around=like is not None)
    if like is None:
        return _from_nothing(wish)
    if not wish.model.has_bars:
        raise ComposeError(f"{wish.model.name} cannot open with bars of music given; continue the whole of it instead")
    total = reading.controls.bars or min(2 * len(bars_of(like)), MAX_BARS)
    if total < 2:
        raise ComposeError("1 bar cannot both open with the music given and go on; ask for at least 2")
    opened = slice_bars(like, 1, min(len(bars_of(like)), total // 2))
    if not opened.note_num():
        raise ComposeError(f"bars 1 to {total // 2} of the music given are silent; ask for more bars or cut them off")
    given = Given.of(opened)
    opening = len(given.cells.meters)
    named = _named(reading)
    new = [program for program in named if program not in given.cells.instruments]
    stays = sorted(set(given.cells.instruments) - set(named), key=instrument_order)
    if named and stays:
        asked_alone = NotUnderstood(value_text(named),
                                    f"not alone: {value_text(tuple(stays))} of the music given play on")  # fmt: skip
        wish = replace(wish, reading=replace(reading, not_understood=(*reading.not_understood, asked_alone)))
    given = given.extended(total - opening, new)
    hole = np.zeros((total, len(given.cells.instruments)), bool)
    hole[opening:] = True
    hole[:, [source is None for source in given.sources]] = True
    return _around(wish, given, hole, f"opens with {opening} bars of the music given")


def _named(reading: Reading) -> tuple[int, ...]:
    """The instruments that were named, without those that only the style's band brings."""
    left = list(reading.band)
    named = []
    for program in reading.controls.instruments:
        if program in left:
            left.remove(program)
        else:
            named.append(program)
    return tuple(named)


def continue_score(score: Score, bars: int, sentence: str = "", **options: Any) -> list[Composition]:
    """The music given, note for note, and `bars` more; of a model that writes in real time, as long as these bars would
    last, or `seconds` where they are named. Options as for `compose`, where they make sense."""
    if not 1 <= bars <= MAX_BARS:
        raise ComposeError(f"{bars} bars cannot be added; ask for 1 to {MAX_BARS}")
    wish = _wish_of(sentence, options)
    if not wish.model.has_bars:
        return _behind(wish, score, bars)
    wish = replace(wish, reading=merge(wish.reading, bars=bars))
    given = Given.of(score)
    old = len(given.cells.meters)
    given = given.extended(bars, ())
    hole = np.zeros((old + bars, len(given.cells.instruments)), bool)
    hole[old:] = True
    return _around(wish, given, hole, f"continues {old} bars by {bars}")


def fill(
    score: Score,
    bars: tuple[int, int] | None = None,
    tracks: Sequence[int] = (),
    sentence: str = "",
    *,
    add: Sequence[int] = (),
    **options: Any,
) -> list[Composition]:
    """The music given with the cells of these bars (from 1, both ends included; None for all) and tracks composed anew.

    tracks: indices into score.tracks; add: instruments of new tracks beside them. Where neither is named, all tracks
    that have notes. All else stays note for note.
    """
    wish = _wish_of(sentence, options)
    if not {"hole", "tracks"} & wish.model.system.holds:
        raise ComposeError(f"{wish.model.name} writes from beginning to end and cannot fill bars; the composer can")
    given = Given.of(score).extended(0, add)
    total = len(given.cells.meters)
    first, last = bars or (1, total)
    if not 1 <= first <= last <= total:
        raise ComposeError(f"there are no bars {first}-{last}; the music has bars 1-{total}")
    chosen = [place for place, source in enumerate(given.sources)
              if source is None or source in tracks or not (tracks or add)]  # fmt: skip
    if len(chosen) < len(set(tracks)) + len(add) or not chosen:
        raise ComposeError("a track to fill has no notes; name tracks that play somewhere in the music")
    hole = np.zeros((total, len(given.cells.instruments)), bool)
    hole[first - 1 : last, chosen] = True
    names = ", ".join(instrument_name(given.cells.instruments[place]) for place in chosen)
    return _around(wish, given, hole, f"fills bars {first}-{last} of {names}", keeps_bars=True)


# ---- from wishes to a request


def _wish_of(sentence: str, options: dict[str, Any]) -> Wish:
    """What is wished around music that is given."""
    return _told(Wish.of(sentence, **options), around=True)


def _told(wish: Wish, *, around: bool) -> Wish:
    """The wish, with what it cannot hold told as not understood: what only a plan would carry, where the model reads
    none; around music that is given, what that decides."""
    if not wish.model.reads_plans:
        return replace(wish, reading=without_plan(wish.reading, wish.model.name))
    return replace(wish, reading=around_music(wish.reading)) if around else wish


def _from_nothing(wish: Wish) -> list[Composition]:
    controls = wish.reading.controls
    key, strict = _key(controls, wish.seed)
    asked = Controls(
        bars=controls.bars or DEFAULT_BARS,
        tempo=controls.tempo or TYPICAL_TEMPO,
        key=key if strict else None,
        meter=controls.meter or Meter(4, 4),
        instruments=controls.instruments or wish.reading.suggested_instruments,
    )
    assert asked.bars
    assert asked.tempo
    assert asked.meter
    request = Request(bars=asked.bars, tempo=asked.tempo, meter=asked.meter, instruments=asked.instruments, key=key,
                      strict_key=strict, seconds=wish.seconds)  # fmt: skip
    wish, asked = wish.held(asked)
    takes = wish.generate(request)
    return [wish.composition(request, "composes", take, asked, index) for index, take in enumerate(takes)]


def _by_plan(wish: Wish, given: Plan | None, planner: Model | None, candidates: int) -> list[Composition]:
    """Each piece by a plan of its own, or all by the one that is given; the best of several candidates of each."""
    wish.check_numbers()
    if not 1 <= candidates <= MAX_CANDIDATES:
        raise ComposeError(f"{candidates} candidates of a piece cannot be composed; ask for 1 to {MAX_CANDIDATES}")
    pieces = []
    for index in range(wish.count):
        plan = given or planned(wish.reading, wish.seed, index, planner)
        pieces.append(by_plan(wish, plan, index, candidates))
    return pieces


def _key(controls: Controls, seed: int) -> tuple[Key, bool]:
    """The key to compose in and whether it was asked for. The seed decides what is open."""
    if controls.key is not None:
        return controls.key, True
    rng = np.random.default_rng((seed, 0x6B6579))
    mode = controls.mode or ("major" if rng.random() < 0.6 else "minor")
    return drawn_key(mode, rng), controls.mode is not None


# ---- given music


def _around(wish: Wish, given: Given, hole: np.ndarray, what: str, keeps_bars: bool = False) -> list[Composition]:
    """Compose the hole and put it into the music given, of which not a note changes."""
    wish = replace(wish, reading=bound(wish.reading, given.cells, keeps_bars))
    key, strict = key_around(wish.reading, given.score)
    request = Request(key=key, strict_key=strict, given=given.cells, hole=hole)
    if wish.model.reads_plans:
        request = replace(request, plan=plan_around(given.cells, hole, key, wish.reading))
    composed = wish.generate(request, lambda score: joined(given, hole, score))
    meters, tempi = set(given.cells.meters), {tempo.qpm for tempo in given.score.tempos}
    asked = Controls(
        bars=len(hole),
        tempo=given.cells.tempo if len(tempi) <= 1 else None,
        key=key if strict else None,
        meter=meters.pop() if len(meters) == 1 else None,
        instruments=given.cells.instruments,
    )
    wish, asked = wish.held(asked)
    digest = hashlib.sha256(given.score.dumps_midi()).hexdigest()
    pieces = []
    for index, take in enumerate(composed):
        whole = replace(take, score=joined(given, hole, take.score))
        part = composed_part(take.score, hole)
        piece = wish.composition(request, what, whole, asked, index, part, digest)
        if wish.model.reads_plans and (kept := chords_kept(wish.reading, hole, key, encode(whole.score))):
            piece = replace(piece, record=piece.record | {"plan": piece.record["plan"] | {"kept": kept}})
        pieces.append(piece)
    return pieces


def _behind(wish: Wish, score: Score, bars: int) -> list[Composition]:
    """Go on from the music given in real time, by `bars` of its last meter and tempo or the seconds asked for."""
    last, pace = bars_of(score)[-1], tempo_of(score)
    added = bars * last.meter.quarters * 60 / pace if wish.seconds is None else wish.seconds
    request = Request(bars=bars, meter=last.meter, tempo=pace, primer=score, seconds=length_seconds(score) + added)
    wish, asked = wish.held(wish.reading.controls)
    what = f"continues {length_seconds(score):.1f} seconds by {added:.1f}"
    digest = hashlib.sha256(score.dumps_midi()).hexdigest()
    return [
        wish.composition(request, what, replace(take, score=followed(score, take.score)), asked, index,
                         given_sha256=digest)
        for index, take in enumerate(wish.generate(request, lambda composed: followed(score, composed)))
    ]  # fmt: skip


__all__ = [
    "CellsError",
    "ComposeError",
    "Composition",
    "ControlsError",
    "compose",
    "continue_score",
    "fill",
]
