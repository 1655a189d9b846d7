"""What the player is told of a plan, held against the analysis of music, and whether music keeps to a plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conftest import little_song, repeated
from orchestrion.music.chords import Chord
from orchestrion.music.theory import DRUMS, Key, Meter
from orchestrion.planning import arrays
from orchestrion.planning.arrays import COLUMN, PLAYS, SILENT, analyzed, features
from orchestrion.planning.cell_plan import bar_sources, cell_plan, form_kept, header, levels_hit
from orchestrion.planning.estimate import estimate_plan
from orchestrion.planning.plan import FEELS, LEVEL_NAMES, MOODS, STYLES, Levels, Part, Plan, PlanError, Section
from orchestrion.representations.cells import BAR, TRACK, Cells, decode, encode
from orchestrion.representations.steps import END
from orchestrion.representations.writer import CellWriter

COMMON = Meter(4, 4)
BAND = (DRUMS, 33, 0, 73)
ROLES = ("drums", "bass", "chords", "melody")


def planned(form: str = "AABA", bars: int = 8, variation: float = 0.0, **options: object) -> Plan:
    sections = tuple(
        Section(letter, bars, "", variation if letter in form[:at] else 0.0) for at, letter in enumerate(form)
    )
    parts = tuple(
        Part(instrument, role, (Levels(density=3),) * len(form)) for instrument, role in zip(BAND, ROLES, strict=True)
    )
    plan = Plan(((COMMON, bars * len(form)),), 120, Key(0, "major"), sections, parts)
    return replace(plan, **options)  # type: ignore[arg-type]


def empty(plan: Plan) -> Cells:
    return Cells(np.zeros((0, 6), np.int16), plan.instruments, plan.bar_meters, plan.tempo)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", range(6))
def test_features_of_an_estimated_plan_are_those_of_the_music(seed: int) -> None:
    score = repeated(little_song(seed, 6, ((4, 4), (3, 4))[seed % 2]), 3)
    cells, plan = encode(score), estimate_plan(score)
    known = cell_plan(plan, cells, 3, rng=rng())
    bars, tracks = len(cells.meters), len(cells.instruments)
    told = analyzed(cells)
    assert (known.features == features(told, cells, np.arange(bars), np.arange(tracks), 3)).all()
    assert (known.source == told.source).all()
    assert known.features.dtype == np.int64


def test_what_is_open_is_not_known() -> None:
    plan = planned()
    levels = (Levels(), None, Levels(loudness=7, register=2), Levels(density=0))
    plan = replace(plan, parts=(Part(DRUMS, "", levels), *plan.parts[1:]))
    known = cell_plan(plan, empty(plan), 0, rng=rng()).features
    assert (known[:8, 0, : len(LEVEL_NAMES)] == 0).all()
    assert (known[:, 0, COLUMN["plays"]] == np.repeat([PLAYS, SILENT, PLAYS, PLAYS], 8)).all()
    assert (known[16:24, 0, COLUMN["loudness"]] == 8).all()
    assert (known[16:24, 0, COLUMN["register"]] == 0).all()  # drums have none
    assert (known[24:, 0, COLUMN["density"]] == 1).all()
    assert (known[:, 0, COLUMN["role"]] == 0).all()
    assert (known[:, 3, COLUMN["role"]] > 0).all()
    for name in ("chord", "bass", "second chord", "second bass", "next chord"):
        assert (known[..., COLUMN[name]] == 0).all()
    assert known[:, 0, COLUMN["letter"]].tolist() == [1] * 16 + [2] * 8 + [1] * 8
    assert known[:, 0, COLUMN["occurrence"]].tolist() == [1] * 8 + [2] * 8 + [1] * 8 + [3] * 8
    sizes = np.array(list(arrays.FEATURES.values()))
    assert ((known >= 0) & (known < sizes)).all()


def test_letters_count_in_order_of_appearance() -> None:
    known = cell_plan(planned("QZQ"), empty(planned("QZQ")), 0, rng=rng()).features
    assert known[::8, 0, COLUMN["letter"]].tolist() == [1, 2, 1]


def test_header() -> None:
    plan = planned(style="jazz", mood="calm", feel="swing")
    assert header(plan).tolist() == [1 + STYLES.index("jazz"), 1 + MOODS.index("calm"), 1 + FEELS.index("swing"), 1]
    assert header(planned()).tolist() == [0, 0, 0, 1]
    assert header(planned(style="bossa nova"))[0] == 1 + STYLES.index("latin")
    assert header(planned(style="something else"))[0] == 0


def test_sources_end_where_the_first_section_does() -> None:
    plan = planned()
    plan = replace(plan, sections=(Section("A", 4), Section("B", 8), Section("A", 6), Section("B", 14)))
    source = bar_sources(plan)
    assert source[12:18].tolist() == [0, 1, 2, 3, -1, -1]
    assert source[18:].tolist() == [*range(4, 12)] + [-1] * 6
    assert (source[:12] == -1).all()


def test_variation_none_copies_all_but_the_ending_and_one_copies_nothing() -> None:
    plan = planned()
    told = cell_plan(plan, empty(plan), 0, rng=rng())
    assert (told.copies[:8] == -1).all()
    assert (told.copies[8:16] == np.arange(8)[:, None]).all()
    assert (told.copies[16:24] == -1).all()
    assert (told.copies[24:31] == np.arange(7)[:, None]).all()
    assert (told.copies[31] == -1).all()
    assert (cell_plan(planned(variation=1.0), empty(plan), 0, rng=rng()).copies == -1).all()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("variation", [0.05, 0.25, 0.5, 0.8])
def test_variation_is_the_share_of_cells_written_anew(variation: float, seed: int) -> None:
    plan = planned(variation=variation)
    told = cell_plan(plan, empty(plan), 0, rng=rng(seed))
    assert (told.copies == cell_plan(plan, empty(plan), 0, rng=rng(seed)).copies).all()
    second = told.copies[8:16] < 0
    assert second.sum() == int(variation * 32 + 0.5)
    assert second[7, 0] or variation < 0.06  # melody first, then the drums' fill
    assert second[7, 3]
    changes = (np.diff(second.astype(int), axis=0) != 0).sum(0)
    assert changes.max() <= 3  # runs of whole bars, no scatter


def test_only_what_the_plan_repeats_is_copied() -> None:
    chords = tuple(Chord(bar % 5) for bar in range(32) for _ in range(2))
    again = (*chords[:16], *chords[:16], *chords[32:48], *chords[:16])
    plan = planned(chords=again)
    assert (cell_plan(plan, empty(plan), 0, rng=rng()).copies[8:16] >= 0).all()
    changed = replace(plan, chords=(*again[:17], Chord(11, "dim"), *again[18:]))
    copies = cell_plan(changed, empty(plan), 0, rng=rng()).copies
    assert copies[8].tolist() == [0, -1, -1, -1]  # drums have no chords
    louder = tuple(Levels(density=3, loudness=level) for level in (3, 4, 3, 6))
    louder_plan = replace(plan, parts=(Part(DRUMS, "drums", louder), *plan.parts[1:]))
    copies = cell_plan(louder_plan, empty(plan), 0, rng=rng()).copies
    assert (copies[8:16, 0] >= 0).all()
    assert (copies[24:, 0] == -1).all()
    enters = (None, Levels(), Levels(), None)
    entering = replace(plan, parts=(Part(DRUMS, "drums", enters), *plan.parts[1:]))
    told = cell_plan(entering, empty(plan), 0, rng=rng())
    assert (told.copies[:, 0] == -1).all()
    assert told.plays[::8, 0].tolist() == [SILENT, PLAYS, PLAYS, SILENT]
    meters = replace(plan, meters=((COMMON, 8), (Meter(3, 4), 24)))
    copies = cell_plan(meters, empty(meters), 0, rng=rng()).copies
    assert (copies[8:16] == -1).all()


def test_tracks_in_another_order_more_tracks_and_a_hole() -> None:
    plan = planned()
    plan = replace(plan, parts=(Part(DRUMS, "drums", (None,) * 4), *plan.parts[1:]))
    others = replace(empty(plan), instruments=(33, 73, 40, DRUMS, 0))
    hole = np.zeros((32, 5), bool)
    hole[8:] = True
    told = cell_plan(plan, others, 0, rng=rng(), hole=hole)
    assert told.plays[20].tolist() == [PLAYS, PLAYS, 0, SILENT, PLAYS]
    assert (told.plays[:8] == 0).all()
    assert told.copies[9].tolist() == [1, 1, -1, -1, 1]
    assert told.features[9, 2, COLUMN["plays"]] == 0
    with pytest.raises(PlanError, match="the same instruments"):
        cell_plan(plan, replace(others, instruments=(33, 73, 0)), 0, rng=rng())
    with pytest.raises(PlanError, match="the plan has 32 bars, the music 31"):
        cell_plan(plan, replace(others, meters=others.meters[1:]), 0, rng=rng())


def test_the_writer_keeps_to_it() -> None:
    plan = planned(variation=0.2)
    plan = replace(plan, parts=(Part(DRUMS, "drums", (Levels(), Levels(), None, Levels())), *plan.parts[1:]))
    nothing, draws = empty(plan), rng(1)
    told = cell_plan(plan, nothing, 0, rng=rng())
    writer = CellWriter(
        nothing, np.ones(told.plays.shape, bool), key=plan.key, shift=0, plays=told.plays, copies=told.copies,
        source=told.source,
    )  # fmt: skip
    while not writer.done:
        legal = writer.positions()
        if legal[END] and (draws.random() < 0.3 or legal.sum() == 1):
            writer.close()
            continue
        legal[END] = False
        position = int(draws.choice(np.flatnonzero(legal)))
        code = int(draws.choice(np.flatnonzero(writer.pitches(position))))
        writer.write(position, code, 2, 10, 0)
    cells = writer.cells()
    kept, apart = form_kept(plan, cells)
    assert kept > 0.4
    assert apart == 1
    at = cells.notes
    assert not ((at[:, TRACK] == 0) & (at[:, BAR] >= 16) & (at[:, BAR] < 24)).any()
    assert encode(decode(cells)).meters == plan.bar_meters


def music(form: str, levels: int = 4) -> tuple[Plan, Cells]:
    """A plan and music in its form: a piano whose notes tell the letters apart."""
    rows = [
        (4 * at + bar, 0, beat * 12, 48 + 5 * ord(letter) % 30 + bar, 12, 8)
        for at, letter in enumerate(form) for bar in range(4) for beat in range(4)
    ]  # fmt: skip
    sections = tuple(Section(letter, 4) for letter in form)
    part = Part(0, "melody", (Levels(density=levels),) * len(form))
    plan = Plan(((COMMON, 4 * len(form)),), 120, Key(0, "major"), sections, (part,))
    return plan, Cells(np.array(rows, np.int16), (0,), plan.bar_meters, 120.0)


def test_form_kept() -> None:
    plan, cells = music("ABA")
    assert form_kept(plan, cells) == (1, 1)
    notes = cells.notes.copy()
    notes[notes[:, BAR] == 9, 3] += 1  # one of the four bars that take up another
    assert form_kept(plan, replace(cells, notes=notes)) == (0.75, 1)
    same = music("AAA")[1]
    assert form_kept(plan, same) == (1, 0)
    kept, apart = form_kept(music("A")[0], music("A")[1])
    assert np.isnan(kept)
    assert np.isnan(apart)
    assert form_kept(plan, replace(cells, notes=cells.notes[:16], meters=cells.meters[:4]))[0] == 0


def test_levels_hit() -> None:
    cells = music("ABA")[1]
    measured = 3  # one onset a quarter note
    assert levels_hit(music("ABA", measured)[0], cells) == 1
    assert levels_hit(music("ABA", measured + 1)[0], cells) == 1
    assert levels_hit(music("ABA", measured + 2)[0], cells) == 0
    plan = music("ABA", measured)[0]
    absent = Part(40, "", (Levels(density=3), None, Levels()))
    assert levels_hit(replace(plan, parts=(*plan.parts, absent)), cells) == pytest.approx(3 / 4)
    assert np.isnan(levels_hit(replace(plan, parts=(Part(0, "", (Levels(),) * 3),)), cells))
    short = replace(cells, notes=cells.notes[:16], meters=cells.meters[:4])
    assert levels_hit(plan, short) == pytest.approx(1 / 3)
    score = repeated(little_song(1, 6), 3)
    assert levels_hit(estimate_plan(score), encode(score)) == 1
