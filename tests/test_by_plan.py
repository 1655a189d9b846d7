"""Composing by a plan: what it says holds, sections return as they are, and the network reads it alike in both ways."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import orchestrion
from conftest import little_song
from orchestrion.generation import compose as composing
from orchestrion.generation.around import plan_around
from orchestrion.generation.brief import Brief, BriefError
from orchestrion.generation.by_plan import planned
from orchestrion.generation.candidates import marks_of, ranked, stuck_share
from orchestrion.models.loading import Model
from orchestrion.models.zoo.composer import RECIPES, Composer, PlanRows
from orchestrion.music.chords import parse_progression
from orchestrion.music.theory import DRUMS, Key, Meter
from orchestrion.planning import arrays
from orchestrion.planning.cell_plan import cell_plan
from orchestrion.planning.files import read_plan
from orchestrion.planning.plan import FEELS, MOODS, Levels, Part, Plan, Section
from orchestrion.representations.cells import BAR, POSITION, TRACK, Cells, encode
from orchestrion.representations.steps import rows_and_targets
from orchestrion.representations.writer import CellWriter
from orchestrion.text.controls import parse_form, read_controls
from orchestrion.text.leaning import Leaning, leaning_of

SOME = Levels(density=3, loudness=4)


@pytest.fixture(scope="module")
def composer() -> Model:
    torch.manual_seed(0)
    system = Composer(RECIPES["tiny"].config).eval().requires_grad_(False)
    for parameter in system.parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=0.2)
    return Model(system, "composer", {}, "0" * 64)


def small_plan(variation: float = 0.0) -> Plan:
    """AABA of four bars each for drums, bass and piano; the drums are silent in B."""
    sections = tuple(Section(letter, 4, variation=variation if place else 0.0) for place, letter in enumerate("AABA"))
    chords = parse_progression("C Am F G").in_key(Key(0, "major")) * 4
    parts = (
        Part(DRUMS, "drums", (SOME, SOME, None, SOME)),
        Part(33, "bass", (SOME,) * 4),
        Part(0, "chords", (Levels(),) * 4),
    )
    return Plan(((Meter(4, 4), 16),), 100.0, Key(0, "major"), sections, parts, chords, origins={"key": "asked"})


def test_what_the_plan_says_holds(composer: Model) -> None:
    piece = composing.compose(plan=small_plan(), model=composer, seed=1, candidates=3)[0]
    cells = encode(piece.score)
    assert piece.record["all_hold"]
    assert cells.instruments == (DRUMS, 33, 0)
    bars = {track: set(cells.notes[cells.notes[:, TRACK] == track, BAR].tolist()) for track in range(3)}
    assert not bars[0] & {8, 9, 10, 11}  # silent in B
    assert all(0 in own for own in bars.values())  # no part waits for two bars
    for first, again in ((0, 4), (0, 12)):
        for bar in range(4 if again == 4 else 3):  # the last bar of the piece is written anew
            one, other = (set(map(tuple, cells.notes[cells.notes[:, BAR] == at][:, 1:4].tolist()))
                          for at in (first + bar, again + bar))  # fmt: skip
            assert one == other
    assert piece.record["candidates"]["count"] == 3
    assert len(piece.takes) == 2
    assert piece.plan is not None


def test_a_repeat_with_variation_changes_some_cells(composer: Model) -> None:
    cells = encode(composing.compose(plan=small_plan(0.4), model=composer, seed=1, candidates=1)[0].score)
    rows = [sorted(map(tuple, cells.notes[cells.notes[:, BAR] // 4 == part][:, 1:4].tolist())) for part in (0, 1)]
    assert rows[0] != rows[1]
    assert set(rows[0]) & set(rows[1])


def test_the_same_seed_gives_the_same_notes_and_another_other_ones(composer: Model) -> None:
    one, again, other = (
        composing.compose(plan=small_plan(), model=composer, seed=seed, candidates=2)[0].score.dumps_midi()
        for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other


def test_words_become_a_brief() -> None:
    reading = read_controls("a folk song in G major over G C D, verse 4 bars, chorus 4 bars, with a swing feel")
    asked = Brief.of(reading, reading.controls.key, strict=True).asked
    assert [(s.name, s.bars) for s in asked.form] == [("verse", 4), ("chorus", 4)]
    assert asked.bars == 8
    assert asked.chords[0].name == asked.chords[8].name == "G"  # type: ignore[union-attr]
    assert (asked.feel, asked.style) == ("swing", "folk")
    with pytest.raises(BriefError, match=r"chord A7 \(bar 2\)"):
        Brief.of(read_controls("in C major over C A7 Dm"), Key(0, "major"), strict=True)


def test_sections_of_a_form_that_was_asked_for_are_told_again() -> None:
    plan = small_plan(0.9)
    parts = (replace(plan.parts[0], levels=(SOME, None, SOME, Levels(density=7))), *plan.parts[1:])
    chords = (*plan.chords[:8], *parse_progression("F G").in_key(Key(0, "major")) * 2, *plan.chords[16:])
    other = replace(plan, parts=parts, chords=chords)
    shaped = Brief.of(read_controls("AABA, 16 bars"), None, strict=False).shaped(other)
    assert shaped.parts[0].levels == (SOME, SOME, SOME, SOME)
    assert shaped.chords[8:16] == shaped.chords[:8]
    assert max(section.variation for section in shaped.sections) == pytest.approx(0.15)


def test_a_lone_pianist_has_both_hands() -> None:
    high = Part(0, "melody", (Levels(register=7, polyphony=0), None, Levels(), Levels(register=0)))
    plan = replace(small_plan(), parts=(high,))
    shaped = Brief.of(read_controls("a piano piece"), None, strict=False).shaped(plan).parts[0].levels
    assert shaped == (Levels(register=4, polyphony=2), None, Levels(), Levels(register=2))
    flute = replace(plan, parts=(replace(high, instrument=73),))
    assert Brief.of(read_controls("for flute"), None, strict=False).shaped(flute).parts == flute.parts


def test_chords_without_a_key_bring_their_own() -> None:
    plan = planned(read_controls("a sad piano tune over Am F C G"), seed=0, planner=None)
    assert plan.key == Key(9, "minor")
    assert plan.chords[0] is not None
    assert plan.chords[0].name == "Am"
    assert plan.origins["key"] == "planned"  # notes outside of it may sound, as chords outside of it may
    assert planned(read_controls("a tune in A minor"), seed=0).origins["key"] == "asked"


def test_dynamics_move_the_levels_of_a_plan() -> None:
    reading = read_controls("builds up")
    plan = replace(small_plan(), sections=(*(Section(letter, 4) for letter in "ABCD"),))
    louder = [part.levels[-1].loudness - part.levels[0].loudness  # type: ignore[union-attr, operator]
              for part in Brief.of(reading, None, strict=False).shaped(plan).parts[:2]]  # fmt: skip
    assert min(louder) >= 3


def test_the_bearing_of_marks() -> None:
    plan = small_plan()
    kept = little_song(1, bars=16)
    best, worst = ranked(plan, [kept, little_song(2, bars=16)], [1.0, 1.0])
    assert best.mark >= worst.mark
    assert set(marks_of(plan, kept)) == {"chords", "levels", "key", "plays", "moves"}
    notes = np.array([[bar, 0, position, 60, 3, 8] for bar in range(4) for position in range(0, 48, 12)], np.int16)
    assert stuck_share(Cells(notes, (0,), (Meter(4, 4),) * 4, 100.0)) == 1.0


def test_rows_that_are_settled_are_those_of_the_cells() -> None:
    plan = small_plan()
    nothing = Cells(np.zeros((0, 6), np.int16), plan.instruments, plan.bar_meters, plan.tempo)
    told = cell_plan(plan, nothing, 0, rng=np.random.default_rng(0))
    hole = np.ones((16, 3), bool)
    writer = CellWriter(nothing, hole, key=None, shift=0, plays=told.plays, copies=told.copies, source=told.source)
    while writer.bar < 3 or writer.place != (3, 2):
        writer.write(0, int(np.flatnonzero(writer.pitches(0))[-1]), 5, 8, 0)
        writer.close()
    writer.write(0, int(np.flatnonzero(writer.pitches(0))[-1]), 5, 8, 0)
    writer.close()  # now all of the second A is copied
    rows, cells = writer.settled_rows(0)
    copied = np.zeros_like(hole)
    copied[4:8] = True
    copied[8, 0] = True  # and the drums are silent
    expected = rows_and_targets(writer.cells(), np.zeros_like(hole), copied, 0)[0]
    np.testing.assert_array_equal(rows, expected)
    assert {tuple(cell) for cell in cells.tolist()} == {tuple(cell) for cell in np.argwhere(copied).tolist()}
    assert writer.place == (8, 1)
    assert not len(writer.settled_rows(0)[0])


def test_a_plan_is_read_in_composing_as_in_training(composer: Model) -> None:
    system = composer.system
    assert isinstance(system, Composer)
    assert system.plan is not None
    cells = encode(little_song(4, bars=4))
    hole = np.ones((4, 3), bool)
    plan = arrays.analyzed(cells)
    known = arrays.features(plan, cells, np.arange(4), np.arange(3), 0)
    rows = rows_and_targets(cells, ~hole, hole, 0)[0]
    cell = np.cumsum(rows[:, 0] == 1) - 1
    half = arrays.half_steps(cells)[np.argwhere(hole)[:, 0]]
    whole = system.plan.of_rows(
        torch.from_numpy(known.reshape(1, 12, -1)), torch.from_numpy(cell)[None],
        torch.from_numpy(rows[:, 7] > half[cell])[None],
    )  # fmt: skip
    told = arrays.CellPlan(known, np.zeros(4, np.int64), np.zeros((4, 3)), np.full((4, 3), -1), plan.source)
    stepped = PlanRows(system.plan, told, cells).of_rows(rows, np.argwhere(hole)[cell])
    torch.testing.assert_close(stepped, whole)


def test_filling_reads_the_chords_around(composer: Model, tmp_path: object) -> None:
    cells = encode(little_song(4, bars=8))
    hole = np.zeros((8, 3), bool)
    hole[2:4, 2] = True
    around = plan_around(cells, hole, Key(0, "major"), read_controls("something sad with a swing feel"))
    assert around.header.tolist() == [0, 1 + MOODS.index("sad"), 1 + FEELS.index("swing"), arrays.ALL_TRACKS]
    assert (around.features[..., arrays.CHORD][:, 1:] > 1).any()
    asked = plan_around(cells, hole, Key(0, "major"), read_controls("over Dm G"))
    codes = asked.features[2:4, 2, arrays.CHORD]
    assert [int(code) for code in codes] == [chord.code for chord in parse_progression("Dm G").chords]  # type: ignore[union-attr]


def test_plans_from_python(tmp_path: Path) -> None:
    made = orchestrion.plan("a waltz in D minor, 8 bars", seed=3)
    assert (made.bars, made.key, made.meters[0][0]) == (8, Key(2, "minor"), Meter(3, 4))
    made.write(tmp_path / "waltz.json")
    assert orchestrion.read_plan(tmp_path / "waltz.json") == made
    heard = orchestrion.analyze(little_song(1, bars=8))
    assert isinstance(heard, orchestrion.Plan)
    assert heard.bars == 8


def test_what_has_no_effect_is_not_understood(composer: Model) -> None:
    words = "verse and chorus, quiet verse and loud chorus, over Am F, softly"
    song = little_song(3, bars=4)
    (filled,) = composing.fill(song, (2, 3), sentence=words, model=composer, seed=1)
    told = {said["control"] for said in filled.record["understood"]}
    assert {"chords", "leaning"} <= told
    assert not told & {"form", "dynamics"}
    assert {said["reason"] for said in filled.record["not_understood"]} == {
        "the music given keeps its own form and dynamics"
    }
    system = Composer(replace(RECIPES["tiny"].config, reads_plan=False)).eval()
    plain = Model(system, "composer", {}, "1" * 64)
    (piece,) = composing.compose(f"{words}, 4 bars", model=plain, encoder=None, seed=1)
    assert not {said["control"] for said in piece.record["understood"]} & {"chords", "form", "dynamics"}
    assert len(piece.record["not_understood"]) >= 3


def test_a_loud_chorus_does_not_make_all_of_it_loud() -> None:
    assert leaning_of(read_controls("quiet verse and loud chorus, low"))[0] == Leaning(register=-1.0)


def test_a_form_is_fitted_to_the_bars(composer: Model) -> None:
    piece = composing.compose("", form=parse_form("AABA"), bars=16, model=composer, seed=3, candidates=1)[0]
    assert piece.plan is not None
    assert [(s.letter, s.bars) for s in piece.plan.sections] == [("A", 4), ("A", 4), ("B", 4), ("A", 4)]


def test_swing_puts_notes_on_thirds_of_the_beat(composer: Model) -> None:
    swung = replace(small_plan(), feel="swing")
    piece = composing.compose(plan=swung, model=composer, seed=2, candidates=1)[0]
    assert not (encode(piece.score).notes[:, POSITION] % 4).any()
    assert "swing heard" in piece.record["plan"]["kept"]
    straight = composing.compose(plan=small_plan(), model=composer, seed=2, candidates=1)[0]
    assert (encode(straight.score).notes[:, POSITION] % 4).any()
    assert "swing heard" not in straight.record["plan"]["kept"]


def test_a_record_is_a_plan_and_does_not_overwrite_one(composer: Model, tmp_path: Path) -> None:
    path = tmp_path / "theme.json"
    small_plan().write(path)
    piece = composing.compose(plan=read_plan(path), model=composer, seed=1, candidates=1)[0]
    assert piece.write(tmp_path / "theme", ["json"], spare=path) == [tmp_path / "theme-record.json"]
    assert read_plan(path) == read_plan(tmp_path / "theme-record.json") == small_plan()
    assert piece.write(tmp_path / "other", ["json"], spare=path) == [tmp_path / "other.json"]


def test_chords_asked_for_around_music_are_measured(composer: Model) -> None:
    piece = composing.fill(little_song(0), (2, 3), model=composer, seed=1, chords=parse_progression("C G"))[0]
    assert 0 <= piece.record["plan"]["kept"]["chords found"] <= 1
    assert "kept" not in composing.fill(little_song(0), (2, 3), model=composer, seed=1)[0].record["plan"]


def test_one_seed_brings_different_sentences_different_keys() -> None:
    sentences = [f"a tune for {name}" for name in ("Ada", "Bela", "Clara", "Dora", "Emil", "Fanny", "Gustav", "Hugo")]
    keys = {planned(read_controls(sentence), 1).key.tonic for sentence in sentences}
    assert len(keys) > 1
    assert planned(read_controls(sentences[0]), 1) == planned(read_controls(sentences[0]), 1)
