"""Plans survive their files exactly, and every mistake in one is told in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrion.music.chords import QUALITY_NAMES, Chord
from orchestrion.music.theory import COMPOSABLE_METERS, DRUMS, Key, Meter
from orchestrion.planning.files import MAX_BYTES, plan_from_json, read_plan
from orchestrion.planning.plan import (
    FEELS,
    LEVEL_NAMES,
    MOODS,
    ORIGINS,
    ROLES,
    STYLES,
    Levels,
    Part,
    Plan,
    PlanError,
    Section,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
LEVELS = st.one_of(st.none(), st.builds(Levels, *[st.one_of(st.none(), st.integers(0, 7))] * len(LEVEL_NAMES)))
CHORDS = st.builds(Chord, st.integers(0, 11), st.sampled_from(QUALITY_NAMES), st.one_of(st.none(), st.integers(0, 11)))


@st.composite
def plans(draw: Callable[..., Any]) -> Plan:
    lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    bars = sum(lengths)
    cuts = sorted({*draw(st.lists(st.integers(1, bars), max_size=3)), bars})
    meters = [draw(st.sampled_from(COMPOSABLE_METERS)) for _ in cuts]
    first = Part(draw(st.integers(0, DRUMS)), "", (Levels(),) * len(lengths))  # one part that plays
    part = st.builds(
        Part, st.integers(0, DRUMS), st.sampled_from(("", *ROLES)), st.tuples(*[LEVELS] * len(lengths)),
    )  # fmt: skip
    chords = st.lists(st.one_of(st.none(), CHORDS), min_size=2 * bars, max_size=2 * bars)
    return Plan(
        meters=tuple(zip(meters, [b - a for a, b in zip([0, *cuts], cuts, strict=False)], strict=True)),
        tempo=draw(st.one_of(st.integers(20, 320), st.floats(20, 320))),
        key=Key(draw(st.integers(0, 11)), draw(st.sampled_from(["major", "minor"]))),
        sections=tuple(
            Section(draw(st.sampled_from("ABCZ")), length, draw(TEXT), draw(st.floats(0, 1))) for length in lengths
        ),
        parts=(first, *draw(st.lists(part, max_size=4))),
        chords=tuple(draw(st.one_of(st.just([]), chords))),
        feel=draw(st.sampled_from(("", *FEELS))),
        style=draw(st.sampled_from(("", "bossa nova", *STYLES))),
        mood=draw(st.sampled_from(("", *MOODS))),
        origins=draw(st.dictionaries(TEXT, st.sampled_from(ORIGINS), max_size=3)),
    )


@settings(max_examples=150, deadline=None)
@given(plan=plans())
def test_a_plan_survives_json_exactly(plan: Plan) -> None:
    assert plan_from_json(json.loads(json.dumps(plan.to_json()))) == plan


@settings(max_examples=20, deadline=None)
@given(plan=plans())
def test_a_plan_survives_its_file_exactly(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("plans") / "theme.json"
    plan.write(path)
    assert read_plan(path) == plan


@pytest.mark.parametrize("quality", QUALITY_NAMES)
def test_every_chord_is_read_back(quality: str) -> None:
    for root in range(12):
        for bass in (None, *range(12)):
            chord = Chord(root, quality, bass)
            value = simple()
            value["chords"][0] = chord.name
            assert plan_from_json(value).chords[:2] == (chord, chord)


def simple() -> dict[str, Any]:
    """Eight bars, A B A."""
    return {
        "orchestrion_plan": 1, "bars": 8, "tempo": 96, "key": "D minor", "meter": "3/4",
        "sections": [{"letter": "A", "bars": 2}, {"letter": "B", "bars": 4, "name": "chorus"},
                     {"letter": "A", "bars": 2, "variation": 0.5}],
        "chords": ["Dm", "Gm A7", "N.C.", "F", "C/E", "Bb", "A7", "Dm"],
        "parts": [{"instrument": "drums", "role": "drums", "levels": [{}, {"density": 5, "loudness": None}, None]},
                  {"instrument": "piano", "levels": [{}, {}, {}]}],
    }  # fmt: skip


def test_what_may_be_missing_is_open() -> None:
    value = simple()
    plan = plan_from_json(value)
    assert plan.meters == ((Meter(3, 4), 8),)
    assert plan.chords[2:6] == (Chord(7, "m"), Chord(9, "7"), None, None)
    assert (plan.feel, plan.style, plan.mood, dict(plan.origins)) == ("", "", "", {})
    assert plan.sections[0] == Section("A", 2, "", 0.0)
    assert plan.parts[0] == Part(DRUMS, "drums", (Levels(), Levels(density=5), None))
    assert plan.parts[1] == Part(0, "", (Levels(),) * 3)
    del value["chords"]
    assert plan_from_json(value).chords == ()


Change = Callable[[dict[str, Any]], Any]


def put(*path: Any) -> Change:
    """A change that puts the last of `path` at the place that the others name."""

    def change(value: dict[str, Any]) -> None:
        at: Any = value
        for name in path[:-2]:
            at = at[name]
        at[path[-2]] = path[-1]

    return change


MISTAKES: list[tuple[Change, str]] = [
    (put("sections", 2, {"letter": "A", "lenght": 2}), "sections[2]: no field 'lenght'; did you mean 'bars'?"),
    (put("sections", 1, "letters", "B"), "sections[1]: no field 'letters'; did you mean 'letter'?"),
    (put("bpm", 96), "no field 'bpm'; did you mean 'tempo'?"),
    (put("colour", "blue"), "no field 'colour'; there are 'orchestrion_plan', 'bars', "),
    (put("parts", 0, "levels", 1, "volume", 3), "parts[0].levels[1]: no field 'volume'; did you mean 'loudness'?"),
    (lambda value: value.pop("tempo"), "the field 'tempo' is missing"),
    (lambda value: value["parts"][0].pop("levels"), "parts[0]: the field 'levels' is missing"),
    (lambda value: value.pop("orchestrion_plan"), "it is no plan: the field 'orchestrion_plan'"),
    (put("orchestrion_plan", 2), "this plan is of version 2, this orchestrion reads version 1; update orchestrion"),
    (put("orchestrion_plan", "1"), "orchestrion_plan: '1' stands where a whole number was expected"),
    (put("bars", 300), "bars: 300 is not 1 to 256"),
    (put("bars", True), "bars: true stands where a whole number was expected"),
    (put("bars", 9), "sections: they have 8 bars together, the plan 9; make them the same"),
    (put("tempo", "fast"), "tempo: 'fast' stands where a number was expected"),
    (put("tempo", 10**400), "tempo: 1000000"),
    (put("tempo", 4), "tempo: 4 is not 20 to 320"),
    (put("key", "H minor"), "key: 'H minor' is not a key; write one as 'F# minor'"),
    (put("meter", "4/3"), "meter: no such meter: 4/3"),
    (put("meter", "64/4"), "meter: a 64/4 bar is longer than 8 quarter notes"),
    (put("meter", [{"meter": "4/4", "bars": 4}]), "meter: the meters hold for 4 bars together, the plan has 8"),
    (put("meter", 4), "meter: 4 stands where a meter such as '4/4' or a list of them was expected"),
    (put("feel", "swng"), "feel: 'swng' is not known; did you mean 'swing'?"),
    (put("style", "rokc"), "style: 'rokc' is not known; did you mean 'rock'?"),
    (put("mood", "green"), "mood: 'green' is not known; there are 'happy', 'tense', 'sad', 'calm'"),
    (put("origins", {"tempo": "me"}), "origins.tempo: 'me' is not known; there are 'asked', 'given', 'planned'"),
    (put("origins", {"tempo": ""}), "origins.tempo: '' is not known"),
    (put("sections", 0, "letter", "AB"), "sections[0].letter: 'AB' is not one letter, such as 'A'"),
    (put("sections", 0, "variation", 2), "sections[0].variation: 2 is not 0 to 1"),
    (put("sections", 0, "bars", 0), "sections[0].bars: 0 is not 1 to 256"),
    (put("sections", 0, "name", "\ud800"), "sections[0].name: it holds half a character"),
    (put("sections", {}), "sections: an object stands where a list was expected"),
    (put("sections", 0, "A"), "sections[0]: 'A' stands where an object with 'letter', 'bars', "),
    (put("chords", 6, "H7"), "chords, bar 7: 'H7' is not a chord; write Am, F#7, Bbmaj7, C/E or N.C."),
    (put("chords", 6, "C D E"), "chords, bar 7: there are 3 chords; a bar has one or two"),
    (put("chords", 6, None), "chords, bar 7: nothing (null) stands where text was expected"),
    (put("chords", ["C"]), "chords: they are for 1 bars, the plan has 8; give one entry a bar, or none"),
    (put("parts", []), "a plan needs at least one part"),
    (put("parts", [{"instrument": "drums", "levels": [None, None, None]}]), "no part plays in any section"),
    (put("parts", 1, "instrument", "banana"), "parts[1].instrument: 'banana' is not a known instrument; did you"),
    (put("parts", 1, "instrument", "string quartet"), "parts[1].instrument: 'string quartet' names 4 instruments"),
    (put("parts", 1, "instrument", "12"), "parts[1].instrument: '12' is no name; write 'acoustic grand piano'"),
    (put("parts", 1, "instrument", ""), "parts[1].instrument: '' names 0 instruments"),
    (put("parts", 1, "role", "solo"), "parts[1].role: 'solo' is not known; there are 'drums', 'bass', "),
    (put("parts", 1, "levels", [{}]), "parts[1].levels: there are 1, one a section was expected: 3"),
    (put("parts", 1, "levels", 0, {"density": 8}), "parts[1].levels[0].density: 8 is not 0 to 7"),
    (put("parts", 1, "levels", 0, {"density": 2.5}), "parts[1].levels[0].density: 2.5 stands where a whole number"),
    (put("parts", [{"instrument": "piano", "levels": [{}, {}, {}]}] * 40), "parts: there are 40, at most 32"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "told"), MISTAKES, ids=[told[:40] for _, told in MISTAKES])
def test_each_mistake_says_what_and_where(change: Change, told: str) -> None:
    value = simple()
    change(value)
    with pytest.raises(PlanError) as raised:
        plan_from_json(value, "theme.json")
    message = str(raised.value)
    assert message.startswith(f"theme.json: {told}")
    assert "\n" not in message
    assert len(message) < 300


@settings(max_examples=200, deadline=None)
@given(
    place=st.integers(0, 60),
    wrong=st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
        max_leaves=5,
    ),
)
def test_nothing_put_anywhere_is_more_than_one_line(place: int, wrong: Any) -> None:
    value = simple()
    places: list[tuple[Any, Any]] = []

    def walk(at: Any) -> None:
        for name in at if isinstance(at, dict) else range(len(at)):
            places.append((at, name))
            if isinstance(at[name], dict | list):
                walk(at[name])

    walk(value)
    holder, name = places[place % len(places)]
    holder[name] = wrong
    told = ""
    try:
        plan_from_json(value)
    except PlanError as error:
        told = str(error)
    assert "\n" not in told


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"orchestrion_plan": 1,\n "bars" 8}', "it is not JSON: line 2, column 9: Expecting ':' delimiter"),
        (b"", "it is not JSON: line 1, column 1: Expecting value"),
        (b"MThd\x00\x00\x00\x06\xff", "it is not text in UTF-8 (byte 9)"),
        (b"[" * 200_000, "it is nested too deeply to be a plan"),
        (b'{"orchestrion_plan": 1' + b"0" * 5000 + b"}", "it holds a number of thousands of digits"),
        (b'{"orchestrion_plan": 1, "tempo": NaN}', "NaN is not a number that a plan can hold"),
        (b'{"orchestrion_plan": 1, "tempo": 1e999}', "the field 'bars' is missing"),
        (b'{"tempo": 1, "tempo": 2}', "the field 'tempo' stands twice in one object; keep one of them"),
        (b"[]", "a list stands where an object with 'orchestrion_plan', "),
        (b" " * (MAX_BYTES + 1), "it is larger than the 4 MB that a plan may have"),
    ],
    ids=range(10),
)
def test_a_file_that_is_no_plan(data: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "theme.json"
    path.write_bytes(data)
    with pytest.raises(PlanError) as raised:
        read_plan(path)
    assert str(raised.value).startswith(f"cannot read {path}: {told}")
    assert "\n" not in str(raised.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="there is no such file"):
        read_plan(tmp_path / "none.json")
    with pytest.raises(PlanError, match="it is not a file"):
        read_plan(tmp_path)
    (tmp_path / "marked.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(simple()).encode())
    assert read_plan(tmp_path / "marked.json").bars == 8
