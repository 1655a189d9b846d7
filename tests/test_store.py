"""The store of answers: nothing is lost, nothing is there twice, and people get different items. On SQLite, and on
PostgreSQL where ORCHESTRION_TEST_POSTGRES names one (`runs/postgres.sh pytest`)."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from orchestrion.listening import StudioError
from orchestrion.listening.answers_csv import export_csv, import_csv
from orchestrion.listening.database import metadata, open_engine
from orchestrion.listening.entries import Item
from orchestrion.listening.store import ANSWERS, DatabaseError, Store, item_of

POSTGRES = os.environ.get("ORCHESTRION_TEST_POSTGRES")
Opener = Callable[..., Store]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path / "labels.sqlite")
        return
    if POSTGRES is None:
        pytest.skip("ORCHESTRION_TEST_POSTGRES names no PostgreSQL; runs/postgres.sh starts one")
    yield POSTGRES
    engine = open_engine(POSTGRES)
    metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture
def opened(place: str) -> Iterator[Opener]:
    """Opens the store, as often as wanted, with three items a, b, c."""
    stores: list[Store] = []

    def open_(*, items: str = "abc", **settings: object) -> Store:
        stores.append(Store(place, **settings))  # type: ignore[arg-type]
        stores[-1].offer(Item(name, f"{name}.mid", "set", {"p": 0.5}) for name in items)
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


def ids(items: list[Item]) -> str:
    return "".join(item.id for item in items)


def test_an_answer_sent_again_is_kept_once(opened: Opener) -> None:
    store = opened()
    assert store.answer("a", "ann", "real", "key-1", seconds=2.5)
    assert not store.answer("a", "ann", "real", "key-1", seconds=2.5)
    (entry,) = store.entries()
    assert (entry.item, entry.labeler, entry.answer, entry.seconds, entry.key) == ("a", "ann", "real", 2.5, "key-1")
    with pytest.raises(StudioError, match="key-1 belongs to another answer"):
        store.answer("a", "ann", "fake", "key-1")
    assert len(store.entries()) == 1


def test_what_cannot_be_kept_is_refused_in_one_line(opened: Opener) -> None:
    store = opened()
    for call in (
        lambda: store.answer("z", "ann", "real", "key"),
        lambda: store.answer("a", "", "real", "key"),
        lambda: store.answer("a", "ann\x00", "real", "key"),
        lambda: store.answer("a", "ann", "real", "k" * 201),
        lambda: store.answer("a", "ann", "undo", "key"),
        lambda: store.answer("a", "ann", "real", "undo-key"),
        lambda: store.answer("a", "ann", "real", "key", seconds=float("nan")),
        lambda: store.undo("key", "ann"),
        lambda: store.hand_out(" ", "tab"),
    ):
        with pytest.raises(StudioError) as refused:
            call()
        assert "\n" not in str(refused.value)
    assert store.entries() == []


def test_undo_is_an_entry_and_the_answer_before_stands_again(opened: Opener) -> None:
    store = opened()
    store.answer("a", "ann", "real", "one")
    store.answer("a", "ann", "fake", "two")
    assert [entry.answer for entry in store.settled()] == ["fake"]
    assert store.undo("two", "ann")
    assert not store.undo("two", "ann")
    assert [entry.answer for entry in store.settled()] == ["real"]
    assert store.undo("one", "ann")
    assert store.settled() == []
    assert [entry.answer for entry in store.entries()] == ["real", "fake", "undo", "undo"]
    assert store.progress("ann").given == 0
    assert "a" in ids(store.hand_out("ann", "tab", 3))
    with pytest.raises(StudioError, match="bob has given no answer"):
        store.undo("one", "bob")


def test_questions_stand_apart(opened: Opener) -> None:
    store = opened()
    store.answer("a", "ann", "human", "one", question="human?")
    store.answer("a", "ann", "first", "two", question="preference:b")
    assert [(e.question, e.answer) for e in store.settled()] == [("human?", "human"), ("preference:b", "first")]
    assert [e.key for e in store.settled("human?")] == ["one"]
    store.undo("one", "ann")
    assert [e.question for e in store.settled()] == ["preference:b"]


def test_the_majority_names_ties_and_leaves_skips_out(opened: Opener) -> None:
    store = opened(per_item=3)
    for number, (item, labeler, answer) in enumerate(
        [("a", "ann", "real"), ("a", "bob", "fake"), ("a", "cat", "real"), ("b", "ann", "good"), ("b", "bob", "poor"),
         ("c", "ann", "skip")]
    ):  # fmt: skip
        store.answer(item, labeler, answer, f"key-{number}")
    a, b = store.verdicts()
    assert (a.item, a.votes, a.answer, a.tied) == ("a", {"real": 2, "fake": 1}, "real", ())
    assert (b.item, b.answer, b.tied) == ("b", None, ("good", "poor"))


def test_people_and_tabs_get_different_items(opened: Opener) -> None:
    store = opened()
    assert ids(store.hand_out("ann", "1")) == "a"
    assert ids(store.hand_out("ann", "1")) == "a"  # still the one it holds
    assert ids(store.hand_out("ann", "1", 2)) == "ab"
    assert ids(store.hand_out("ann", "2")) == "c"
    assert store.hand_out("bob", "3") == []
    assert store.progress("bob").leased == 3
    store.release("ann", "2")
    assert ids(store.hand_out("bob", "3")) == "c"
    store.answer("a", "ann", "skip", "one")  # is for somebody else now
    assert ids(store.hand_out("ann", "2", 3)) == ""
    assert ids(store.hand_out("bob", "3", 2)) == "ca"  # what it holds comes first


def test_a_lease_ends(opened: Opener) -> None:
    store = opened(items="a", lease_seconds=0.2)
    assert ids(store.hand_out("ann", "1")) == "a"
    assert store.hand_out("bob", "2") == []
    time.sleep(0.25)
    assert ids(store.hand_out("bob", "2")) == "a"


def test_so_many_people_an_item_and_so_many_answers_in_all(opened: Opener) -> None:
    store, keys = opened(per_item=2, budget=5), count()
    for labeler in ("ann", "bob", "cat"):
        while handed := store.hand_out(labeler, labeler):
            store.answer(handed[0].id, labeler, "real", str(next(keys)))
    votes = {verdict.item: sum(verdict.votes.values()) for verdict in store.verdicts()}
    assert votes == {"a": 2, "b": 2, "c": 1}
    progress = store.progress("cat")
    assert (progress.given, progress.wanted, progress.items) == (5, 5, 3)
    assert store.hand_out("dan", "4") == []
    store.undo("0", "ann")
    assert ids(store.hand_out("dan", "4", 3)) == "a"


def test_the_budget_counts_what_is_held(opened: Opener) -> None:
    store = opened(budget=2)
    assert ids(store.hand_out("ann", "1")) == "a"
    assert ids(store.hand_out("bob", "2", 3)) == "b"
    assert store.hand_out("cat", "3") == []


def test_items_of_another_round_keep_their_answers(opened: Opener) -> None:
    store = opened()
    store.answer("a", "ann", "real", "one")
    assert store.offer([Item("c", "moved.mid"), Item("d", "d.mid")]) == 1
    assert ids(store.hand_out("bob", "1", 4)) == "cd"
    assert [verdict.item for verdict in store.verdicts()] == ["a"]
    moved = store.item("c")
    assert moved is not None
    assert moved.path == "moved.mid"
    assert store.item("z") is None


def test_an_item_is_named_by_what_its_file_holds(tmp_path: Path) -> None:
    (tmp_path / "x.mid").write_bytes(b"abc")
    assert item_of(tmp_path / "x.mid").id == "ba7816bf8f01cfea"  # SHA-256 of "abc", from FIPS 180-4


def test_people_are_numbered_as_they_come(opened: Opener) -> None:
    store = opened()
    assert [store.enter(key, key.upper()) for key in ("x", "y", "x", "z")] == [0, 1, 0, 2]
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda n: store.enter(f"p{n}", "p"), range(16))) == list(range(3, 19))


def test_csv_goes_round_and_comes_in_once(opened: Opener, tmp_path: Path) -> None:
    store = opened(per_item=2)
    store.answer("a", 'Ann, "the ear"', "real", "one", seconds=1.25)
    store.answer("b", "bob", "poor", "two")
    store.undo("two", "bob")
    assert export_csv(store, tmp_path / "out.csv") == 3
    with Store(tmp_path / "other.sqlite") as other:
        other.offer(store.items())
        assert import_csv(other, tmp_path / "out.csv", ANSWERS) == (3, 3)
        assert import_csv(other, tmp_path / "out.csv", ANSWERS) == (0, 3)
        assert other.entries() == store.entries()
        assert other.settled() == store.settled()
        assert other.progress().given == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("z,ann,real,2026-11-20T10:00:00Z,,k2", "row 3 is of the item 'z'"),
        ("a,ann,lovely,2026-11-20T10:00:00Z,,k2", "'lovely'"),
        ("a,ann,real,yesterday,,k2", "cannot be read"),
        ("a,ann,real,2026-11-20T10:00:00,,k2", "no zone"),
        ("a,ann,real", "fields"),
        ("b,ann,real,2026-11-20T10:00:00Z,,k1", "k1 belongs to another"),
    ],
)
def test_of_a_csv_with_a_wrong_row_nothing_comes_in(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f"item,labeler,answer,time,seconds,key\na,ann,real,2026-11-20T10:00:00Z,1.5,k1\n{row}\n")
    with Store(tmp_path / "labels.sqlite") as store:
        store.offer([Item("a", "a.mid"), Item("b", "b.mid")])
        with pytest.raises(StudioError, match=said):
            import_csv(store, path, ANSWERS)
        assert store.entries() == []


def test_threads_and_two_stores_lose_and_double_nothing(opened: Opener) -> None:
    """Eight people in two servers, three a person and item; each answer is sent twice, as after a lost reply."""
    names = [f"{n:02}" for n in range(30)]
    first = opened(per_item=3)
    second = opened(per_item=3)
    first.offer(Item(name, "") for name in names)
    told: list[str] = []
    lock = threading.Lock()

    def label(person: int) -> None:
        store = (first, second)[person % 2]
        for turn in count():
            handed = store.hand_out(f"p{person}", f"t{person}")
            if not handed:
                return
            key = f"{person}-{turn}"
            store.answer(handed[0].id, f"p{person}", ANSWERS[turn % 4], key)
            with lock:
                told.append(key)
            store.answer(handed[0].id, f"p{person}", ANSWERS[turn % 4], key)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(label, range(8)))
    entries = first.entries()
    assert sorted(told) == sorted(entry.key for entry in entries)
    assert len({(entry.item, entry.labeler) for entry in entries}) == len(entries) == 90
    assert {sum(verdict.votes.values()) for verdict in first.verdicts()} == {3}


def test_answers_outlive_the_process_that_gave_them(place: str) -> None:
    code = (
        "import os, sys; from orchestrion.listening.store import Store, Item\n"
        "store = Store(sys.argv[1]); store.offer([Item('a', 'a.mid')]); store.answer('a', 'ann', 'real', 'one')\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, place], check=False).returncode == -9
    with Store(place) as store:
        assert [entry.key for entry in store.entries()] == ["one"]


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite").write_text("no database at all, " * 100)
    with pytest.raises(DatabaseError, match=r"text\.sqlite cannot be used: file is not a database"):
        Store(tmp_path / "text.sqlite")
    with pytest.raises(StudioError, match="not in mysql"):
        Store("mysql://somebody@somewhere/labels")
    with pytest.raises(StudioError, match="memory"):
        Store("sqlite://")


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError) as failed:
        Store("postgresql://ann:secret@127.0.0.1:1/labels")
    assert "secret" not in str(failed.value)


def test_a_locked_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrion.listening.database.BUSY_MILLISECONDS", 50)
    with Store(tmp_path / "labels.sqlite") as store:
        store.offer([Item("a", "a.mid")])
        other = sqlite3.connect(tmp_path / "labels.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseError, match="locked"):
            store.answer("a", "ann", "real", "one")
        other.execute("ROLLBACK")
        other.close()
        assert store.answer("a", "ann", "real", "one")


def test_the_store_needs_neither_torch_nor_the_web() -> None:
    code = (
        "import sys, orchestrion.listening.store, orchestrion.listening.answers_csv\n"
        "sys.exit(bool({'torch', 'starlette', 'uvicorn', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
