"""The page of a listening test: blind, and nothing that was answered is lost. In a real browser where there is one."""

from __future__ import annotations

import json
import signal
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from symusic import Note, Score, Track

from browser import CHROMIUM, Browser, Tab, served
from conftest import little_song
from orchestrion.cli import main
from orchestrion.listening.excerpts import excerpt, unpacked
from orchestrion.listening.listen_server import FILES, Listening
from orchestrion.listening.results import results
from orchestrion.listening.store import Store
from orchestrion.listening.test_plan import ListeningTest, music_set, open_test, plan
from orchestrion.music import ScoreError
from orchestrion.music.files import write_midi
from test_label_server import ask

NAMES = ("secret-clara", "secret-robot", "secret-tape")


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Three sets of which everything that names something says so."""
    made = []
    for number, name in enumerate(NAMES):
        (tmp_path / name).mkdir()
        made.append(tmp_path / name)
        for seed in range(2):
            song = little_song(10 * number + seed, bars=4)
            for track in song.tracks:
                track.name = f"secret {track.name}"
                for note in track.notes:
                    note.velocity = 30 * (number + 1)  # so that the sets would be told apart by their loudness
            write_midi(song, tmp_path / name / f"secret-{seed}.mid")
    return made


@pytest.fixture
def small_test(folders: list[Path]) -> ListeningTest:
    sets = tuple(music_set(folder, human=number == 0) for number, folder in enumerate(folders))
    return ListeningTest(sets, listeners=2, items=2, pairs=2, seconds=4.0)


@pytest.fixture
def listening(small_test: ListeningTest, tmp_path: Path) -> Any:
    trials = plan(small_test)
    with Store(tmp_path / "answers.sqlite") as store:
        open_test(store, small_test, trials)
        yield Listening(store, small_test, trials)


# The server ---------------------------------------------------------------------------------------------------------


def test_nothing_that_is_served_names_a_set(listening: Listening) -> None:
    app = listening.app()
    shortest, longest = listening.read_all(lambda done, total: None)
    assert 3 < shortest <= longest <= 4
    told = [ask(app, "/api/begin", {"labeler": name}) for name in ("Ann", "Bob")]
    ids = {piece for _, said, _ in told for trial in said["trials"] for piece in trial["pieces"]}
    assert len(ids) == 6
    told += [ask(app, f"/api/pieces/{id}") for id in sorted(ids)]
    told += [ask(app, "/"), *(ask(app, f"/{name}") for name in (*FILES, "player.js"))]
    told += [ask(app, "/api/answers", {**answer("Ann", "none"), "item": sorted(ids)[0]}), ask(app, "/api/pieces/none"),
             ask(app, "/secret-clara/secret-0.mid"), ask(app, "/api/begin", {"labeler": "one too many"})]  # fmt: skip
    assert Counter(status for status, _, _ in told) == {200: 10 + len(FILES), 400: 2, 404: 2}
    for _, said, headers in told:
        assert "secret" not in json.dumps([said, headers])


def answer(labeler: str, said: str, question: str = "real", key: str = "k") -> dict[str, Any]:
    return {"labeler": labeler, "answer": said, "question": question, "key": key, "item": "", "seconds": 3.2}


def test_answers_are_kept_and_a_listener_goes_on_where_he_was(listening: Listening) -> None:
    app = listening.app()
    begun = ask(app, "/api/begin", {"labeler": "Ann"})[1]
    assert (len(begun["trials"]), begun["answers"]) == (12, [])
    item = begun["trials"][0]["item"]
    assert begun["trials"][0]["questions"] == ["rating", "inspiring", "real"]
    first = answer("Ann", "human") | {"item": item}
    assert ask(app, "/api/answers", first)[:2] == (200, {"new": True})
    assert ask(app, "/api/answers", first)[:2] == (200, {"new": False})
    assert ask(app, "/api/answers", answer("Ann", "good", "rating", "k2") | {"item": item})[0] == 200
    again = ask(app, "/api/begin", {"labeler": "Ann"})[1]
    assert again["trials"] == begun["trials"]
    assert sorted((said["question"], said["answer"]) for said in again["answers"]) == [
        ("rating", "good"), ("real", "human")]  # fmt: skip
    assert ask(app, "/api/undo", {"key": "k", "labeler": "Bob"})[0] == 400
    assert ask(app, "/api/undo", {"key": "k", "labeler": "Ann"})[:2] == (200, {"new": True})
    assert [said["question"] for said in ask(app, "/api/begin", {"labeler": "Ann"})[1]["answers"]] == ["rating"]
    assert [(entry.question, entry.seconds) for entry in listening.store.settled()] == [("rating", 3.2)]


def test_what_was_not_asked_is_refused(listening: Listening) -> None:
    app = listening.app()
    trials = ask(app, "/api/begin", {"labeler": "Ann"})[1]["trials"]
    single, pair = trials[0]["item"], trials[-1]["item"]
    for wrong in ({"item": pair}, {"item": "nothing"}, {"item": single, "answer": "perhaps"},
                  {"item": single, "question": "preference", "answer": "first"}, {"item": single, "labeler": ""},
                  {"item": single, "seconds": "long"}, {"item": single, "key": 3}):  # fmt: skip
        assert ask(app, "/api/answers", answer("Ann", "human") | wrong)[0] == 400
    assert listening.store.settled() == []
    assert ask(app, "/api/answers", answer("Ann", "same", "preference") | {"item": pair})[0] == 200


def test_a_piece_begins_with_its_first_note_and_is_cut(tmp_path: Path) -> None:
    score, track = Score(480), Track("x", 40)
    track.notes.extend([Note(960 * place, 1200, 60 + place, 90) for place in range(3, 12)])  # a second each
    score.tracks.extend([Track("unused", 7), track])
    write_midi(score, tmp_path / "x.mid")
    cut = excerpt(tmp_path / "x.mid", 2.5)
    notes = unpacked(cut["notes"])
    assert notes[:, 0].tolist() == [0, 1, 2]
    assert notes[:, 1] == pytest.approx([1.25, 1.25, 0.5])
    assert (cut["programs"], cut["seconds"], notes[:, 2].tolist()) == ([40], 2.5, [63, 64, 65])
    whole = excerpt(tmp_path / "x.mid", 60)
    assert (len(unpacked(whole["notes"])), whole["seconds"]) == (9, 9.25)


def test_silence_is_refused_before_anybody_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_midi(little_song(ord(name)), tmp_path / name / "x.mid")
    silent, track = Score(480), Track("x", 0)
    track.notes.append(Note(0, 480, 60, 0))
    silent.tracks.append(track)
    write_midi(silent, tmp_path / "b" / "x.mid")
    with pytest.raises(ScoreError):
        excerpt(tmp_path / "b" / "x.mid", 5)
    line = ["listen", *(str(tmp_path / name) for name in "ab"), "--items", "1", "--pairs", "1", "--no-open",
            "--answers", str(tmp_path / "x.sqlite")]  # fmt: skip
    assert ended(line) == 1
    assert "x.mid" in capsys.readouterr().err


# The command --------------------------------------------------------------------------------------------------------


def ended(line: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        main(line)
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["--items", "9"], "--items and --pairs"),
        (["--questions", "beauty"], "beauty cannot be asked"),
        (["--questions", "real"], "--real DIR"),
        (["--results", "out"], "there are no answers in"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], line: list[str], said: str
) -> None:
    place = tmp_path / "answers.sqlite"
    assert ended(["listen", *map(str, folders), "--answers", str(place), "--no-open", *line]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not place.exists()


# The page -----------------------------------------------------------------------------------------------------------

browsing = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


def enter(tab: Tab, name: str) -> None:
    tab.wait("!document.querySelector('#welcome').hidden")
    tab.wait("document.activeElement.id === 'name'")
    tab.type(name)  # over the one that is remembered, which is selected
    tab.press("Enter")
    tab.wait("!document.querySelector('#work').hidden || !document.querySelector('#pause').hidden")


def counted(tab: Tab) -> str:
    return str(tab.evaluate("document.querySelector('#counts').textContent"))


def hear(tab: Tab) -> None:
    """Until it may be judged."""
    tab.wait("trial?.ready && document.querySelector('fieldset') && !document.querySelector('fieldset').disabled")


def judge(tab: Tab, *keys: str) -> None:
    """And be shown what comes next."""
    hear(tab)
    before = tab.evaluate("document.querySelector('#trial-title').textContent")
    for key in keys:
        tab.press(key)
    tab.wait("document.querySelector('#work').hidden || "
             f"document.querySelector('#trial-title').textContent !== {json.dumps(before)}")  # fmt: skip


@browsing
def test_a_listener_hears_and_judges_everything(folders: list[Path], tmp_path: Path) -> None:
    """One goes through the whole test, closing the page and undoing on the way, while the server is killed."""
    place = tmp_path / "answers.sqlite"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    line = ["listen", str(folders[1]), "--real", str(folders[0]), "--items", "1", "--pairs", "1", "--listeners", "2",
            "--seconds", "1", "--answers", str(place), "--no-open", "--port", port]  # fmt: skip
    with Browser(tmp_path / "browser") as browser:
        with served(*line) as server:
            tab = browser.tab(server.address)
            enter(tab, "Ann")
            assert tab.evaluate("document.querySelector('fieldset').disabled"), "judged before it was heard"
            judge(tab, "1", "2", "1")  # good, not inspiring, a human
            assert counted(tab) == "1 of 3"
            tab.press("u")
            tab.wait("document.querySelector('#counts').textContent === '0 of 3'")
            judge(tab, "2")  # of the last question: a machine
            hear(tab)
            tab.click("[data-question=rating] [data-answer=poor]")
            tab.wait("unsent.waiting().length === 0")
            tab.close()
            server.end(signal.SIGKILL)
        with served(*line) as server:
            tab = browser.tab(server.address)
            enter(tab, "Ann")
            assert "Welcome back" in tab.text()
            assert counted(tab) == "1 of 3"
            tab.click("#go-on")
            hear(tab)
            assert tab.evaluate("document.querySelector('[data-answer=poor]').ariaPressed") == "true"
            server.end(signal.SIGKILL)
            judge(tab, "1", "2")
            tab.wait("!document.querySelector('#notice').hidden")
            assert "kept in this browser" in tab.text()
        with served(*line) as server:
            hear(tab)  # the pair was fetched ahead
            assert "Which do you like better?" in tab.text()
            judge(tab, "3")
            tab.wait("document.querySelector('#end-title').textContent === 'Thank you, Ann'")
            tab.wait("unsent.waiting().length === 0")
            assert tab.errors() == []
            assert all(request.startswith((server.address, "data:")) for request in tab.requests())
            said = server.end()
            assert said.startswith("7 answers in ")
            assert server.process.returncode == 0
    with Store(place) as store:
        found = results(store)
        assert (found.answers, found.finished) == (7, 1)
        assert [entry.answer for entry in store.settled("preference")] == ["second"]


@browsing
def test_all_pieces_are_equally_loud(folders: list[Path], tmp_path: Path) -> None:
    """By a measure that gives −3.01 LUFS to a sine of 997 Hz at full scale (ITU-R BS.1770-4). The player's tone of
    987.8 Hz has a level of 0.8 times its loudness, and its low pass at 7000 Hz leaves it as it is."""
    line = ["listen", *map(str, folders), "--items", "2", "--seconds", "4", "--pairs", "1", "--no-open", "--port", "0",
            "--answers", str(tmp_path / "loud.sqlite")]  # fmt: skip
    with Browser(tmp_path / "browser") as browser, served(*line) as server:
        tab = browser.tab(server.address)
        enter(tab, "Ann")
        levels = tab.evaluate("""(async () => {
            const ids = [...new Set(trials.flatMap(one => one.pieces))], found = [];
            for (const id of ids) {
                const {notes, programs, seconds} = await (await fetch(`api/pieces/${id}`)).json();
                const level = await loudness(programs, unpacked(notes), seconds), {gain} = await piece(id);
                found.push([level, level + 20 * Math.log10(gain)]);
            }
            return found;
        })()""")
        tone = tab.evaluate("loudness([72], [[0, 4, 83, 0.5, 0]], 4)")
    before, after = np.array(levels).T
    assert len(levels) == 6
    assert np.ptp(before) > 6  # decibels, as a third of the velocity is
    assert after == pytest.approx(np.full(6, -12), abs=0.01)
    assert tone == pytest.approx(-3.01 + 20 * np.log10(0.8 * 0.5), abs=0.3)
