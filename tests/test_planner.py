"""Plans as tokens and back, the writer that holds what is asked, and the planner that writes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import little_song
from orchestrion.data.build import build
from orchestrion.data.plan_examples import NOWHERE, piece_outline
from orchestrion.data.plans import plan_table
from orchestrion.data.store import Corpus
from orchestrion.models.layers.attention import Cache
from orchestrion.models.registry import recipe
from orchestrion.models.zoo.planner import Planner, Reading, _Session, _words, asked_tokens
from orchestrion.music.chords import QUALITIES, Chord
from orchestrion.music.files import write_midi
from orchestrion.music.theory import DRUMS, SCALES, Key, Meter
from orchestrion.planning.arrays import METERS
from orchestrion.planning.asked import Asked, AskedSection
from orchestrion.planning.plan import FEELS, MOODS, ROLES, STYLES, Levels, Part, Plan, PlanError, Section
from orchestrion.planning.plan_writer import PlanWriter
from orchestrion.planning.sketch import sketch
from orchestrion.planning.tokens import (
    FEATURES,
    FIRST,
    HELD,
    MODES,
    SAME_HARMONY,
    SAME_LEVELS,
    SIZE,
    SLOTS,
    TEMPOS,
    VARIATIONS,
    PlanReader,
    bars_of,
    bars_value,
    decode,
    encode,
    tokens_of,
)
from orchestrion.representations.cells import encode as cells_of
from orchestrion.text.token_states import ROWS, states_of, token_states

BAND = (DRUMS, 33, 0, 25)


@st.composite
def plans(draw: Any) -> Plan:
    """Any plan that the tokens hold."""
    instruments = draw(st.lists(st.sampled_from([DRUMS, 0, 25, 33, 40, 73]), min_size=1, max_size=5))
    sections: list[Section] = []
    for _ in range(draw(st.integers(1, 5))):
        there = len({section.letter for section in sections})
        letter = chr(ord("A") + draw(st.integers(0, there)))
        again = letter in {section.letter for section in sections}
        bars, variation = draw(st.integers(1, 9)), draw(st.sampled_from(VARIATIONS)) if again else 0.0
        sections.append(Section(letter, bars, "", variation))
    total = sum(section.bars for section in sections)
    chord = st.one_of(st.none(), st.sampled_from(sorted(QUALITIES)).flatmap(
        lambda q: st.builds(lambda root, tone: Chord(root, q, (root + tone) % 12), st.integers(0, 11),
                            st.sampled_from(QUALITIES[q]))))  # fmt: skip
    few = draw(st.lists(chord, min_size=1, max_size=3))
    chords = draw(st.lists(st.sampled_from(few), min_size=2 * total, max_size=2 * total))
    return Plan(
        ((draw(st.sampled_from(METERS)), total),), float(draw(st.sampled_from(TEMPOS))),
        Key(draw(st.integers(0, 11)), draw(st.sampled_from(MODES))), tuple(sections),
        tuple(_part(draw, instrument, len(sections), index) for index, instrument in enumerate(instruments)),
        tuple(chords), draw(st.sampled_from(("", *FEELS))), draw(st.sampled_from(("", *STYLES))),
        draw(st.sampled_from(("", *MOODS))),
    )  # fmt: skip


def _part(draw: Any, instrument: int, sections: int, index: int) -> Part:
    level = st.integers(0, 7)
    none = st.none() if instrument == DRUMS else level
    cell = st.builds(Levels, level, none, level, none, level, level)
    few = [None, *draw(st.lists(cell, min_size=1, max_size=2))]
    levels = [draw(st.sampled_from(few)) for _ in range(sections)]
    if index == 0:  # somebody plays
        levels[0] = few[1]
    return Part(instrument, draw(st.sampled_from(ROLES)), tuple(levels))


@given(plans())
@settings(max_examples=60, deadline=None)
def test_a_plan_is_its_tokens(plan: Plan) -> None:
    tokens = encode(plan)
    assert all(2 <= token < SIZE for token in tokens)
    read = decode(tokens, plan.key.tonic)
    assert replace(read, origins={}) == plan
    assert encode(read) == tokens


def test_what_comes_again_costs_one_token() -> None:
    levels = Levels(3, 3, 3, 3, 3, 3)
    section, chords = Section("A", 4), (Chord(0),) * 8
    once = Plan(((Meter(4, 4), 4),), 119.0, Key(0, "major"), (section,), (Part(0, "chords", (levels,)),), chords)
    twice = replace(once, meters=((Meter(4, 4), 8),), sections=(section, section),
                    parts=(Part(0, "chords", (levels, levels)),), chords=2 * chords)  # fmt: skip
    tokens = encode(twice)
    assert tokens.count(FIRST["chord"] + HELD) == 7
    assert tokens[-2:] == [FIRST["chord"] + SAME_HARMONY, FIRST["density"] + SAME_LEVELS]
    assert len(tokens) == len(encode(once)) + 3 + 2  # letter, length and variation; harmony and levels


def test_numbers_of_bars_are_exact_up_to_64_and_classes_beyond() -> None:
    for bars in range(1, 257):
        low, high = bars_of(bars_value(bars))
        assert low <= bars <= high
        assert high - low == (0 if bars <= 64 else 7)


def test_what_tokens_cannot_hold_is_refused_in_one_line() -> None:
    part = Part(0, "chords", (Levels(1, 1, 1, 1, 1, 1),))
    plan = Plan(((Meter(4, 4), 40),), 120.0, Key(0, "major"), (Section("A", 40),), (part,))
    with pytest.raises(PlanError, match="32 bars"):
        encode(plan)
    with pytest.raises(PlanError, match="end before"):
        decode(encode(decode(written(Asked(bars=4), 0)))[:-1])


# ---- writing


def finished(asked: Asked, seed: int, tonic: int = 0) -> PlanWriter:
    """What a writer lets through when every legal token is as likely as any other."""
    writer, rng = PlanWriter(asked, tonic), np.random.default_rng(seed)
    while not writer.done:
        features = writer.features()
        assert all(0 <= value < size for value, size in zip(features, FEATURES.values(), strict=True))
        legal = np.flatnonzero(writer.legal())
        assert len(legal)
        assert FIRST[writer.name] <= legal[0]
        assert legal[-1] < FIRST[writer.name] + SLOTS[writer.name]
        writer.push(int(rng.choice(legal)))
    return writer


def written(asked: Asked, seed: int) -> list[int]:
    return encode(finished(asked, seed).plan())


@st.composite
def wishes(draw: Any) -> Asked:
    def maybe(strategy: Any) -> Any:
        return draw(st.one_of(st.none(), strategy))

    form = draw(st.lists(st.builds(AskedSection, st.sampled_from("ABVO"), st.one_of(st.none(), st.integers(2, 12))),
                         max_size=5))  # fmt: skip
    bars = maybe(st.integers(1, 80))
    if form:
        least = sum(section.bars or 2 for section in form)
        bars = None if all(section.bars for section in form) else maybe(st.integers(least, least + 14))
    instruments = tuple(draw(st.lists(st.sampled_from(BAND), max_size=4)))
    return Asked(
        style=maybe(st.sampled_from(STYLES)), mood=maybe(st.sampled_from(MOODS)), feel=maybe(st.sampled_from(FEELS)),
        key=maybe(st.builds(Key, st.integers(0, 11), st.sampled_from(MODES))), strict_key=draw(st.booleans()),
        tempo=maybe(st.floats(30, 250)), meter=maybe(st.sampled_from([*METERS, Meter(7, 8)])), bars=bars,
        instruments=instruments, more_parts=draw(st.booleans()) and bool(instruments), form=tuple(form),
    )  # fmt: skip


@given(wishes(), st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_what_is_asked_holds(asked: Asked, seed: int) -> None:
    plan = finished(asked, seed).plan()
    for name in ("style", "mood", "feel", "tempo", "key", "bars"):
        if (value := getattr(asked, name)) is not None:
            assert getattr(plan, name) == value
            assert plan.origins[name] == "asked"
    if asked.meter:
        assert plan.meters == ((asked.meter, plan.bars),)
    if asked.more_parts:
        assert not [i for i in asked.instruments if plan.instruments.count(i) < asked.instruments.count(i)]
    elif asked.instruments:
        assert plan.instruments == asked.instruments
    if asked.form:
        assert [s.letter for s in plan.sections] == [s.letter for s in asked.form]
        assert all(wanted.bars in (None, s.bars) for wanted, s in zip(asked.form, plan.sections, strict=True))
    assert all(2 <= s.bars <= 16 for s in plan.sections) or plan.bars == 1
    tonic = Chord(plan.key.tonic, "" if plan.key.mode == "major" else "m")
    assert plan.chords[-2:] == (tonic, tonic)
    if asked.strict_key:
        scale = {(plan.key.tonic + step) % 12 for step in SCALES[plan.key.mode]}
        assert all(chord.pitch_classes <= scale for chord in plan.chords if chord)
    check_who_plays(plan)
    assert encode(plan) == encode(decode(encode(plan), plan.key.tonic))


def check_who_plays(plan: Plan) -> None:
    playing = [[part.levels[s] is not None for part in plan.parts] for s in range(len(plan.sections))]
    assert all(any(row) for row in playing), "somebody plays in each section"
    assert all(any(row[p] for row in playing) for p in range(len(plan.parts))), "every part plays somewhere"
    assert sum(playing[0]) >= len(plan.parts) / 2, "it does not begin thin"
    basses = [p for p, part in enumerate(plan.parts) if part.role == "bass" or 32 <= part.instrument < 40]
    assert not basses or any(playing[0][p] for p in basses)


@pytest.mark.parametrize("seed", range(5))
def test_chords_and_levels_are_as_asked(seed: int) -> None:
    loop = (Chord(9, "m"), Chord(5), Chord(0), Chord(7, "", 2))
    asked = Asked(
        form=(AskedSection("A", 4, "verse"), AskedSection("B", 4, "chorus"), AskedSection("A", 4, "verse")),
        instruments=BAND, key=Key(0, "major"), section_chords={"B": tuple(c for c in loop for _ in range(2))},
        chords={0: Chord(2, "m7"), 1: Chord(2, "m7"), 23: Chord(5, "maj7")},
        levels={(None, 2): Levels(density=1, register=5), (1, 3): Levels(loudness=7)},
        plays={(0, 0): False, (None, 1): True},
    )  # fmt: skip
    plan = finished(asked, seed).plan()
    assert plan.chords[8:16] == asked.section_chords["B"]
    assert plan.chords[:2] == (Chord(2, "m7"),) * 2
    assert plan.chords[23] == Chord(5, "maj7"), "asked outright, it ends so"
    assert [section.name for section in plan.sections] == ["verse", "chorus", "verse"]
    piano = [levels for levels in plan.parts[2].levels if levels]
    assert piano
    assert all((levels.density, levels.register) == (1, 5) for levels in piano)
    guitar = plan.parts[3].levels[1]
    assert guitar is not None
    assert guitar.loudness == 7
    assert plan.parts[0].levels[0] is None
    assert None not in plan.parts[1].levels
    assert plan.origins["levels"] == plan.origins["chords"] == "asked"


def test_chords_without_a_key_decide_it() -> None:
    loop = (Chord(2, "m"), Chord(7), Chord(0))
    plan = finished(Asked(bars=6, section_chords={"A": loop}), 0).plan()
    assert plan.key == Key(0, "major")


@pytest.mark.parametrize(
    "wrong",
    [{"style": "polka"}, {"bars": 0}, {"bars": 3, "form": (AskedSection("A", 4),)}, {"roles": ("bass",)},
     {"bars": 40, "form": (AskedSection("A"),)}],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(PlanError) as raised:
        Asked(**wrong)
    assert "\n" not in str(raised.value)


# ---- the network


@pytest.fixture(scope="module")
def planner() -> Planner:
    torch.manual_seed(0)
    made = Planner(recipe("planner", "tiny").config).eval()
    for parameter in made.parameters():  # parts that begin at zero would hide mistakes
        torch.nn.init.normal_(parameter, std=0.1)
    return made


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("songs")
    for seed in range(6):
        write_midi(little_song(seed, bars=12), root / f"{seed}.mid")
    return build([root], tmp_path_factory.mktemp("built") / "corpus")


def test_what_is_analyzed_becomes_a_plan(pieces: Corpus) -> None:
    table, rng = plan_table(pieces), np.random.default_rng(0)
    for piece in pieces.pieces():
        arrays = table.of(piece)
        span = (0, len(arrays.section_levels))
        outline = piece_outline(piece, arrays, piece.instruments, table, span, rng)
        assert outline is not None
        assert outline.instruments == list(piece.instruments)
        assert sum(outline.lengths) == piece.bars
        plan = decode(encode(decode(tokens_of(outline))))
        assert plan.parts[0].levels[0] is not None or plan.parts[1].levels[0] is not None


@torch.no_grad()
def test_reading_step_by_step_is_reading_at_once(planner: Planner, pieces: Corpus) -> None:
    batch = planner.batch(pieces, "train", np.random.default_rng(0))
    rows, prefix = batch["rows"], planner.prefix(batch["words"])
    whole = planner(rows, prefix)
    other = rows.clone()
    other[:, 20:, 0] = 5
    assert torch.allclose(planner(other, prefix)[:, :20], whole[:, :20], atol=1e-5), "the past does not see the future"
    reading: Reading = planner.begin(len(rows), rows.shape[1] + ROWS)
    assert isinstance(reading.caches[0], Cache)
    parts = [
        planner(rows[:, :7], prefix, reading),
        planner(rows[:, 7:8], None, reading),
        planner(rows[:, 8:], None, reading),
    ]
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=2e-4, rtol=1e-4)


@torch.no_grad()
def test_the_steps_of_planning_give_what_reading_gives(planner: Planner) -> None:
    asked = Asked(bars=8, instruments=BAND, style="jazz")
    words = _words([token_states("a slow waltz"), None], 384)
    told, reader = encode(finished(asked, 1).plan()), PlanReader()
    session, got, rows, last = _Session(planner, words, asked), [], [(t, *NOWHERE) for t in asked_tokens(asked)], 1
    for token in told:
        rows.append((last, *reader.features()))
        got.append(session.step([reader.features()] * 2, read=True))
        session.take([token] * 2)
        reader.push(token)
        last = token
    states = planner(torch.tensor([rows] * 2), planner.prefix(words))[:, -len(told) :]
    np.testing.assert_allclose(
        np.stack([logits for logits in got if logits is not None], 1), planner.head(states).numpy(), atol=1e-3
    )


def test_plans_hold_what_is_asked_and_repeat(planner: Planner) -> None:
    asked = Asked(bars=13, instruments=BAND, key=Key(4, "minor"), strict_key=True, tempo=97.3)
    states = token_states("a lullaby")
    first, again, other = (planner.plan(asked, states, np.random.default_rng(s), count=2) for s in (1, 1, 2))
    assert first == again
    assert first != other
    assert first[0] != first[1]
    for plan in first:
        assert (plan.bars, plan.instruments, plan.key, plan.tempo) == (13, BAND, asked.key, 97.3)
        check_who_plays(plan)
    assert planner.plan(asked, states, np.random.default_rng(1), guidance=1.0)[0].bars == 13
    likeliest = [planner.plan(asked, None, np.random.default_rng(s), temperature=0)[0] for s in (1, 2)]
    assert likeliest[0] == likeliest[1]


def test_a_long_plan_outgrows_the_cache(planner: Planner) -> None:
    plan = planner.plan(Asked(bars=90, instruments=BAND), None, np.random.default_rng(0))[0]
    assert plan.bars == 90


def test_a_sketch_plays_what_the_plan_says(tmp_path: Path) -> None:
    asked = Asked(bars=8, instruments=BAND, key=Key(2, "major"), strict_key=True, meter=Meter(3, 4), tempo=100.0)
    plan = finished(asked, 3).plan()
    cells = cells_of(sketch(plan, np.random.default_rng(0)))
    assert cells.instruments == BAND
    assert len(cells.meters) == 8
    for track, part in enumerate(plan.parts):
        sections = {plan.section_at(bar) for bar in cells.notes[cells.notes[:, 1] == track, 0].tolist()}
        assert sections == {index for index, levels in enumerate(part.levels) if levels}
    pitched = cells.notes[cells.notes[:, 1] > 0, 3] % 12
    assert {int(pitch) for pitch in pitched} <= plan.key.pitch_classes


def test_a_sentence_is_a_few_rows() -> None:
    short, long = states_of(["waltz", "a " + "very " * 30 + "slow waltz"])
    assert short.shape == (2, 384)
    assert long.shape == (ROWS, 384)
    np.testing.assert_allclose(np.linalg.norm(long, axis=1), 1, atol=1e-5)
