"""The blind listening test: its plan is balanced, it goes on where it was left, and its results are the listeners'."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path

import numpy as np
import pytest

from conftest import little_song
from orchestrion.listening.entries import Entry, Item
from orchestrion.listening.results import Results, results
from orchestrion.listening.results_page import page, ranking_rows, result_lines, share_rows, write_results
from orchestrion.listening.store import Store
from orchestrion.listening.test_plan import (
    ANSWERS,
    ListeningError,
    ListeningTest,
    MusicSet,
    Trial,
    music_set,
    open_test,
    plan,
    take_place,
)
from orchestrion.metrics.sets import Interval
from orchestrion.music.files import write_midi

Answering = Callable[[Trial, str, np.random.Generator], str]


def made_up(name: str, pieces: int, *, human: bool = False) -> MusicSet:
    return MusicSet(name, tuple(Item(f"{name}{number:03}", f"{name}/{number}.mid", name) for number in range(pieces)),
                    human)  # fmt: skip


THREE = (made_up("a", 40, human=True), made_up("b", 12), made_up("c", 7))


def origin(piece: str) -> str:
    return piece[0]


# The plan -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_each_listener_hears_every_set_and_every_pair_of_sets_as_often(seed: int) -> None:
    for mine in plan(ListeningTest(THREE, listeners=7, items=5, pairs=4, seed=seed)):
        single = [trial for trial in mine if len(trial.pieces) == 1]
        pairs = [tuple(map(origin, trial.pieces)) for trial in mine if len(trial.pieces) == 2]
        assert mine == single + [trial for trial in mine if len(trial.pieces) == 2]
        assert Counter(origin(trial.item) for trial in single) == {"a": 5, "b": 5, "c": 5}
        assert {trial.questions for trial in single} == {("rating", "inspiring", "real")}
        assert Counter(pairs) == {(x, y): 2 for x in "abc" for y in "abc" if x != y}  # either order as often
        assert len({trial.item for trial in mine}) == len(mine), "a listener is asked the same twice"


def test_each_set_stands_once_at_every_place_over_as_many_listeners() -> None:
    trials = plan(ListeningTest(THREE, listeners=6, items=4, pairs=3, seed=5))
    for group in (trials[:3], trials[3:]):
        for place in range(12):
            assert {origin(mine[place].item) for mine in group} == {"a", "b", "c"}
        for place in range(12, 21):
            assert len({frozenset(map(origin, mine[place].pieces)) for mine in group}) == 3


def test_with_an_odd_number_of_comparisons_two_listeners_balance_each_other() -> None:
    for first, second in zip(
        *[iter(plan(ListeningTest(THREE, ("preference",), listeners=8, pairs=3)))] * 2, strict=True
    ):
        heard = Counter(tuple(map(origin, trial.pieces)) for trial in first + second)
        assert heard == {(x, y): 3 for x in "abc" for y in "abc" if x != y}


def test_pieces_of_a_set_are_drawn_equally_often() -> None:
    trials = plan(ListeningTest(THREE, ("real",), listeners=21, items=5))
    heard = Counter(trial.item for mine in trials for trial in mine)
    for music in THREE:
        counts = [heard[piece.id] for piece in music.pieces]
        assert max(counts) - min(counts) <= 1


def test_the_order_does_not_tell_what_comes() -> None:
    """With blocks of one piece a set, the last of each block could be told from those before it."""
    two = (made_up("a", 40, human=True), made_up("b", 40))
    trials = plan(ListeningTest(two, ("real",), listeners=40, items=20))
    same = [origin(mine[place].item) == origin(mine[place + 1].item) for mine in trials for place in range(0, 40, 2)]
    assert 0.4 < np.mean(same) < 0.6
    assert len({tuple(origin(trial.item) for trial in mine) for mine in trials}) > 30


def test_a_plan_is_a_function_of_pieces_settings_and_seed() -> None:
    test = ListeningTest(THREE, listeners=5, seed=3)
    assert plan(test) == plan(replace(test))
    assert plan(replace(test, listeners=9))[:5] == plan(test)
    turned = tuple(replace(music, pieces=music.pieces[::-1]) for music in THREE)
    assert plan(replace(test, sets=turned)) == plan(test)
    assert replace(test, sets=turned, listeners=9).fingerprint == test.fingerprint
    others = [replace(test, seed=4), replace(test, items=4), replace(test, asked=("real",)),
              replace(test, sets=(made_up("a", 41, human=True), *THREE[1:]))]  # fmt: skip
    assert len({other.fingerprint for other in others} | {test.fingerprint}) == 5
    assert plan(others[0]) != plan(test)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sets": THREE[:1]}, "two folders or more"),
        ({"sets": (THREE[1], THREE[2])}, "--real DIR"),
        ({"sets": (THREE[0], made_up("a", 9))}, "two folders are called a"),
        ({"asked": ("real", "beauty")}, "beauty cannot be asked"),
        ({"asked": ()}, "nothing cannot be asked"),
        ({"items": 8}, "c has 7 pieces and a listener hears 8"),
        ({"sets": (THREE[0], replace(THREE[0], name="copy"))}, "are the same piece"),
    ],
)
def test_a_test_that_cannot_be_held_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ListeningError, match=said):
        ListeningTest(**{"sets": THREE, **settings})  # type: ignore[arg-type]


def test_sets_are_folders_of_midi(tmp_path: Path) -> None:
    (tmp_path / "ours" / "deep").mkdir(parents=True)
    write_midi(little_song(0), tmp_path / "ours" / "deep" / "x.mid")
    (tmp_path / "ours" / "notes.txt").write_text("no music")
    music = music_set(tmp_path / "ours", human=True)
    assert (music.name, [Path(piece.path).name for piece in music.pieces], music.human) == ("ours", ["x.mid"], True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ListeningError, match="holds no MIDI files"):
        music_set(tmp_path / "empty")
    with pytest.raises(ListeningError, match="no folder"):
        music_set(tmp_path / "none")


# In the store -------------------------------------------------------------------------------------------------------


def held(
    place: Path, test: ListeningTest, answer: Answering, *, listeners: Sequence[int] | None = None, seed: int = 0
) -> Store:
    """A store in which these listeners answered all that they were asked."""
    store, trials, rng = Store(place), plan(test), np.random.default_rng(seed)
    open_test(store, test, trials)
    for number in range(test.listeners):
        assert take_place(store, f"person {number}", test.listeners) == number
        if listeners is None or number in listeners:
            store.add([
                Entry(trial.item, f"person {number}", answer(trial, question, rng), "2026-01-01T00:00:00.000Z", 9.5,
                      f"{number}-{trial.item}-{question}", question)
                for trial in trials[number] for question in trial.questions
            ])  # fmt: skip
    return store


def test_a_place_is_the_same_again_and_there_are_no_more_than_asked_for(tmp_path: Path) -> None:
    test = ListeningTest(THREE, listeners=2)
    with Store(tmp_path / "x.sqlite") as store:
        open_test(store, test, plan(test))
        assert [take_place(store, name, 2) for name in ("Ada", "Bo", "Ada")] == [0, 1, 0]
        with pytest.raises(ListeningError, match="all 2 places"):
            take_place(store, "Cy", 2)
        more = replace(test, listeners=3)
        open_test(store, more, plan(more))
        assert take_place(store, "Cy", 3) == 2


def test_a_store_serves_one_test(tmp_path: Path) -> None:
    test = ListeningTest(THREE, listeners=4)
    with Store(tmp_path / "x.sqlite") as store:
        open_test(store, test, plan(test))
        open_test(store, test, plan(test))
        other = replace(test, seed=9)
        with pytest.raises(ListeningError, match="belong to another test"):
            open_test(store, other, plan(other))
        fewer = replace(test, listeners=3)
        with pytest.raises(ListeningError, match="at least as many"):
            open_test(store, fewer, plan(fewer))


# Results ------------------------------------------------------------------------------------------------------------

STRENGTH = {"a": 0.0, "b": -1.0, "c": -2.5}
PASSES = {"a": 0.7, "b": 0.5, "c": 0.1}
GRADES = {"a": (0.7, 0.2, 0.1), "b": (0.2, 0.5, 0.3), "c": (0.1, 0.2, 0.7)}


def as_simulated(trial: Trial, question: str, rng: np.random.Generator) -> str:
    sets = [origin(piece) for piece in trial.pieces]
    if question == "preference":
        chance = 1 / (1 + np.exp(STRENGTH[sets[1]] - STRENGTH[sets[0]]))
        return "first" if rng.random() < chance else "second"
    if question == "real":
        return "human" if rng.random() < PASSES[sets[0]] else "machine"
    if question == "rating":
        return str(rng.choice(ANSWERS["rating"], p=GRADES[sets[0]]))
    return "yes" if rng.random() < 0.5 else "no"


LARGE = (made_up("a", 40, human=True), made_up("b", 40), made_up("c", 40))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    """Four tests of 24 listeners each, whose taste is the same."""
    found = []
    for seed in range(4):
        test = ListeningTest(LARGE, listeners=24, items=8, pairs=8, seed=seed)
        with held(tmp_path_factory.mktemp("held") / "x.sqlite", test, as_simulated, seed=seed) as store:
            found.append(results(store, resamples=500))
    return found


@pytest.fixture
def found(simulated: list[Results]) -> Results:
    return simulated[0]


def test_what_simulated_listeners_think_lies_in_the_intervals_as_often_as_they_say(simulated: list[Results]) -> None:
    covered: dict[str, list[bool]] = {"exact": [], "wilson": [], "by listener": [], "means": [], "ranking": []}

    def holds(kind: str, interval: Interval, true: float) -> None:
        covered[kind].append(interval.low <= true <= interval.high)

    for found in simulated:
        for heard in found.sets:
            told = [("real", "human", PASSES[heard.name])]
            told += [("rating", *row) for row in zip(ANSWERS["rating"], GRADES[heard.name], strict=True)]
            for question, answer, chance in told:
                share = heard.shares[question][answer]
                assert share.of == 24 * 8
                holds("exact", share.exact, chance)
                holds("wilson", share.wilson, chance)
                holds("by listener", share.by_listener, chance)
            holds("means", heard.grade, float(np.dot(GRADES[heard.name], (2, 1, 0))))
            if not heard.human:
                assert heard.fooled == heard.shares["real"]["human"]
                holds("means", heard.against_human, PASSES[heard.name] - PASSES["a"])
        for row in found.ranking[1:]:
            holds("ranking", row.chance, 1 / (1 + np.exp(-STRENGTH[row.name])))
    assert {kind: len(held) for kind, held in covered.items()} == {
        "exact": 48, "wilson": 48, "by listener": 48, "means": 20, "ranking": 8
    }  # fmt: skip
    for kind, said in covered.items():
        assert np.mean(said) >= 0.83, f"intervals of 95 % hold the truth in {np.mean(said):.0%} of cases: {kind}"


def test_counts_add_up(simulated: list[Results]) -> None:
    for found in simulated:
        assert (len(found.listeners), found.finished, found.answers) == (24, 24, 24 * (3 * 8 * 3 + 3 * 8))
        assert [row.name for row in found.ranking] == ["a", "b", "c"]
        assert found.reference == "a"
        passed = {heard.name: heard.shares["real"]["human"].count for heard in found.sets}
        assert sum(row.human[0] for row in found.listeners) == passed["a"]
        assert sum(row.machine[0] for row in found.listeners) == 2 * 192 - passed["b"] - passed["c"]
        assert found.told_apart.mean == pytest.approx((passed["a"] + (2 * 192 - passed["b"] - passed["c"]) / 2) / 384)
        assert sum(pair.won.of + pair.same for pair in found.compared) == 24 * 24
        assert all(sum(share.count for share in heard.shares["rating"].values()) == 192 for heard in found.sets)


def test_agreement_counts_only_pieces_that_several_heard(tmp_path: Path) -> None:
    few = (made_up("a", 4, human=True), made_up("b", 4))
    test = ListeningTest(few, ("real", "rating"), listeners=6, items=4)

    def alike(trial: Trial, question: str, rng: np.random.Generator) -> str:
        number = int(trial.item[1:])
        return ANSWERS[question][number % len(ANSWERS[question])]

    with held(tmp_path / "x.sqlite", test, alike) as store:
        assert results(store).alpha == {"real": 1, "rating": 1, "inspiring": 1}
    lone = ListeningTest(LARGE, ("real",), listeners=2, items=8)
    with held(tmp_path / "y.sqlite", lone, as_simulated) as store:
        assert isnan(results(store).alpha["real"])


def test_a_set_that_never_wins_is_named(tmp_path: Path) -> None:
    test = ListeningTest(LARGE, ("preference",), listeners=6, pairs=4)

    def never_c(trial: Trial, question: str, rng: np.random.Generator) -> str:
        sets = [origin(piece) for piece in trial.pieces]
        return ("second" if sets[0] == "c" else "first") if "c" in sets else str(rng.choice(["first", "second"]))

    with held(tmp_path / "x.sqlite", test, never_c) as store:
        found = results(store)
    assert [row.unresolved for row in found.ranking] == ["", "", "never preferred"]
    assert "c has no rank: never preferred." in result_lines(found)
    assert ranking_rows(found)[2] == ("c", "never preferred", "–")
    assert "never preferred" in page(found)
    assert (found.told_apart.pieces, found.alpha, [heard.shares for heard in found.sets]) == (0, {}, [{}, {}, {}])


def test_the_same_is_half_for_either(tmp_path: Path) -> None:
    test = ListeningTest(LARGE[:2], ("preference",), listeners=4, pairs=4)
    with held(tmp_path / "x.sqlite", test, lambda *_: "same") as store:
        found = results(store)
    assert [(row.log_strength, row.chance.mean, row.chance.pieces) for row in found.ranking] == [(0, 0.5, 16)] * 2
    assert (found.first, found.compared[0].won.of, found.compared[0].same) == (None, 0, 16)
    assert isnan(found.compared[0].won.p)
    assert "Two by two" in page(found)


def test_who_says_machine_of_everything_tells_nothing_apart(tmp_path: Path) -> None:
    """Of three pieces two are a machine's, and yet he is not right in two of three cases."""
    test = ListeningTest(LARGE, ("real",), listeners=3)
    with held(tmp_path / "x.sqlite", test, lambda *_: "machine") as store:
        found = results(store)
    assert [(row.human, row.machine, row.told_apart) for row in found.listeners] == [((0, 5), (10, 10), 0.5)] * 3
    assert found.told_apart.mean == 0.5
    assert any("no better than guessing" in line for line in result_lines(found))
    share = found.sets[1].shares["real"]["human"]
    assert (share.wilson.low, share.exact.low, share.exact.high > 0.1) == (0, 0, True)
    assert isnan(share.by_listener.low), "the bootstrap of equal answers would be sure of what it cannot know"


def test_an_unfinished_test_has_results_of_what_was_answered(tmp_path: Path) -> None:
    test = ListeningTest(LARGE, listeners=5)
    with held(tmp_path / "x.sqlite", test, as_simulated, listeners=[1]) as store:
        found = results(store)
    assert [(row.number, row.human[1], row.machine[1]) for row in found.listeners] == [(1, 5, 10)]
    assert isnan(found.told_apart.low)
    assert isnan(found.sets[0].shares["real"]["human"].by_listener.low)
    nobody = held(tmp_path / "y.sqlite", test, as_simulated, listeners=[])
    with nobody as store, pytest.raises(ListeningError, match="nobody has answered"):
        results(store)
    with Store(tmp_path / "z.sqlite") as store, pytest.raises(ListeningError, match="no listening test"):
        results(store)


def test_results_are_written_whole_and_name_no_listener(found: Results, tmp_path: Path) -> None:
    written = write_results(found, tmp_path / "out")
    assert [path.name for path in written] == ["listening.json", "listening.html"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["listening.html", "listening.json"]
    read = json.loads(written[0].read_text())
    assert read["sets"][1]["name"] == "b"
    assert read["ranking"][0]["chance"]["mean"] == 0.5
    text = written[1].read_text()
    assert text.count("<table>") >= 8
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")
    for path in written:
        assert 'listener 1"' not in path.read_text().replace("listener 1</th>", "")
    assert "labeler" not in written[0].read_text()
    assert len(share_rows(found)) == 15
    assert len(result_lines(found)) >= 5
    assert page(found) == text
