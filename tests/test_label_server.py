"""The oracle's server: it answers what its page asks and nothing else, and what it acknowledged outlives it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from browser import served
from conftest import little_song
from orchestrion.cli import main
from orchestrion.listening import StudioError
from orchestrion.listening.label_server import Oracle
from orchestrion.listening.serving import is_loopback, serve
from orchestrion.listening.sources import items_of, labels_of
from orchestrion.listening.store import Store, item_of
from orchestrion.music.files import write_midi


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = tmp_path / "songs"
    (folder / "more").mkdir(parents=True)
    for number in range(6):
        write_midi(little_song(number, bars=2), folder / ("more" if number % 2 else "") / f"{number}.mid")
    return folder


@pytest.fixture
def store(songs: Path) -> Iterator[Store]:
    with Store(labels_of(songs), per_item=2) as store:
        store.offer(items_of(songs))
        yield store


def ask(
    app: Any, path: str, body: Any = None, *, host: str = "localhost", kind: str = "application/json", query: str = ""
) -> tuple[int, Any, dict[str, str]]:
    """Status, answer and headers of a request, by the ASGI protocol."""
    sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = [(b"host", host.encode()), (b"content-type", kind.encode()), (b"content-length", b"%d" % len(sent))]
    scope = {"type": "http", "method": "GET" if body is None else "POST", "path": path, "raw_path": path.encode(),
             "query_string": query.encode(), "headers": headers, "scheme": "http", "http_version": "1.1",
             "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "root_path": ""}  # fmt: skip
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": sent, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    asyncio.run(app(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in told[0]["headers"]}
    text = b"".join(message.get("body", b"") for message in told[1:])
    return told[0]["status"], json.loads(text) if "json" in found["content-type"] else text.decode(), found


def test_an_answer_goes_in_and_comes_out(store: Store) -> None:
    app = Oracle(store).app()
    status, told, _ = ask(app, "/api/next", query="labeler=Ann&tab=1")
    assert (status, told["state"], len(told["items"])) == (200, "open", 2)
    item = told["items"][0]["id"]
    sent = {"item": item, "labeler": "Ann", "answer": "real", "key": "k1", "seconds": 1.5}
    assert ask(app, "/api/answers", sent)[:2] == (200, {"new": True})
    assert ask(app, "/api/answers", sent)[:2] == (200, {"new": False})
    assert [(entry.item, entry.answer, entry.seconds) for entry in store.settled()] == [(item, "real", 1.5)]
    told = ask(app, "/api/next", query="labeler=Ann&tab=1")[1]
    assert item not in [other["id"] for other in told["items"]]
    assert told["progress"]["last"] == {"id": item, "sentence": "", "key": "k1", "answer": "real"}
    assert (told["progress"]["given"], told["progress"]["wanted"]) == (1, 12)
    assert ask(app, "/api/undo", {"key": "k1", "labeler": "Ann", "tab": "1"})[:2] == (200, {"new": True})
    assert store.settled() == []
    assert item in [other["id"] for other in ask(app, "/api/next", query="labeler=Ann&tab=1")[1]["items"]]
    assert ask(app, "/api/leave", {"labeler": "Ann", "tab": "1"})[0] == 200
    assert store.progress().leased == 0


def test_a_piece_comes_as_notes_and_without_its_name(store: Store, songs: Path) -> None:
    app = Oracle(store).app()
    score = little_song(0, bars=2)
    status, told, _ = ask(app, f"/api/items/{item_of(songs / '0.mid').id}")
    assert status == 200
    assert len(told["notes"]) == 5 * sum(len(track.notes) for track in score.tracks)
    assert sorted(told["programs"]) == [0, 33, 128]
    seconds = 60 / score.tempos[0].qpm
    assert told["bars"] == pytest.approx([0, 4 * seconds, 8 * seconds], abs=0.002)
    assert told["seconds"] == pytest.approx(8 * seconds, abs=0.3)
    assert "mid" not in json.dumps(told)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/items/0123456789abcdef", 404), ("/api/items/..%2Flabels.sqlite", 404), ("/api/items/../../x", 404),
     ("/labels.sqlite", 404), ("/server.py", 404), ("/../server.py", 404), ("/listen", 404), ("/api/answers", 405)],
)  # fmt: skip
def test_what_is_no_item_is_not_served(store: Store, path: str, status: int) -> None:
    assert ask(Oracle(store).app(), path)[0] == status


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/answers", b"no json"),
        ("/api/answers", b"[" * 10_000),
        ("/api/answers", []),
        ("/api/answers", {"item": 1}),
        ("/api/answers", {"item": "z", "labeler": "a", "answer": "lovely", "key": "k"}),
        ("/api/answers", {"item": "z", "labeler": "a", "answer": "real", "key": "k"}),
        ("/api/answers", {"item": "z", "labeler": "a", "answer": "real", "key": "k", "seconds": "soon"}),
        ("/api/answers", {"item": "z", "labeler": "a", "answer": ["real"], "key": "k"}),
        ("/api/undo", {"key": "k", "labeler": "a", "tab": "t"}),
        ("/api/leave", {}),
    ],
)
def test_what_makes_no_sense_is_refused(store: Store, path: str, body: Any) -> None:
    status, told, _ = ask(Oracle(store).app(), path, body)
    assert status == 400
    assert "\n" not in told["error"]
    assert store.entries() == []


def test_other_sites_pages_are_kept_out(store: Store) -> None:
    app, sent = Oracle(store).app(), {"labeler": "a", "tab": "t"}
    assert ask(app, "/api/leave", sent)[0] == 200
    assert ask(app, "/api/leave", sent, kind="text/plain")[0] == 415
    assert ask(app, "/api/leave", b" " * 20_000)[0] == 415
    assert ask(app, "/", host="evil.example")[0] == 400  # a foreign name that leads to this machine
    status, text, headers = ask(app, "/", host="localhost:8765")
    assert status == 200
    assert store.id in text
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert ask(Oracle(store).app(loopback=False), "/", host="music.example")[0] == 200


def test_a_file_that_is_no_music_can_only_be_skipped(tmp_path: Path) -> None:
    (tmp_path / "broken.mid").write_bytes(b"no music")
    with Store(tmp_path / "labels.sqlite") as store:
        store.offer(items_of(tmp_path))
        status, told, _ = ask(Oracle(store).app(), f"/api/items/{store.items()[0].id}")
    assert status == 422
    assert "cannot be played" in told["error"]


def test_a_database_that_fails_asks_to_send_again(store: Store, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("orchestrion.listening.database.BUSY_MILLISECONDS", 20)
    import sqlite3

    with Store(labels_of(tmp_path / "songs")) as second:
        item = second.items()[0].id
        other = sqlite3.connect(labels_of(tmp_path / "songs"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        sent = {"item": item, "labeler": "a", "answer": "real", "key": "k"}
        assert ask(Oracle(second).app(), "/api/answers", sent)[0] == 503
        other.execute("ROLLBACK")
        other.close()
        assert ask(Oracle(second).app(), "/api/answers", sent)[0] == 200


def test_agreement_is_of_what_several_have_judged(store: Store) -> None:
    """Two of two agree on a, not on b: D_o = 2/4, D_e = 1 - (3*2 + 1*0) / (4*3) = 1/2, so alpha = 0."""
    oracle = Oracle(store)
    assert ask(oracle.app(), "/api/agreement")[1] == {"alpha": None, "items": 0}
    a, b, c = (item.id for item in store.items()[:3])
    said = [(a, "x", "real"), (a, "y", "real"), (b, "x", "real"), (b, "y", "fake"), (c, "x", "fake"), (c, "y", "skip")]
    for number, (item, labeler, answer) in enumerate(said):
        store.answer(item, labeler, answer, str(number))
    assert ask(Oracle(store).app(), "/api/agreement")[1] == {"alpha": pytest.approx(0), "items": 2}


def test_states_say_why_there_is_nothing_to_hear(songs: Path, tmp_path: Path) -> None:
    keys = count()

    def state(store: Store, labeler: str, *, answer: bool = True) -> str:
        app = Oracle(store).app()
        while (told := ask(app, "/api/next", query=f"labeler={labeler}&tab={labeler}")[1])["items"] and answer:
            store.answer(told["items"][0]["id"], labeler, "good", f"k{next(keys)}")
        return str(told["state"])

    with Store(tmp_path / "1", per_item=2) as store:
        store.offer(items_of(songs))
        assert state(store, "ann") == "yours"
        assert state(store, "bob", answer=False) == "open"
        store.release("bob", "bob")
        assert state(store, "bob") == "done"
    with Store(tmp_path / "2", budget=2) as store:
        store.offer(items_of(songs))
        assert state(store, "ann", answer=False) == "open"
        assert state(store, "bob") == "busy"
        assert state(store, "ann") == "budget"


# Where items come from ------------------------------------------------------------------------------------------------


def test_a_run_names_what_it_asks(songs: Path, tmp_path: Path) -> None:
    oracle = tmp_path / "run" / "oracle"
    oracle.mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(StudioError, match="run `orchestrion active"):
        items_of(tmp_path / "run")
    (oracle / "r1-0.mid").write_bytes((songs / "0.mid").read_bytes())
    row = {"id": item_of(songs / "0.mid").id, "file": "r1-0.mid", "p": 0.49, "sentence": "he cries", "round": 1}
    (oracle / "items.jsonl").write_text(json.dumps(row) + "\n")
    (item,) = items_of(tmp_path / "run")
    assert (item.id, item.source, item.meta) == (row["id"], "run", {"p": 0.49, "sentence": "he cries", "round": 1})
    assert labels_of(tmp_path / "run") == oracle / "labels.sqlite"
    for bad, said in (
        ("{", "line 2"),
        ('{"id": "x"}', "line 2"),
        (json.dumps(row | {"file": "../run.json"}), "outside"),
        (json.dumps(row | {"file": "no.mid"}), "no file no.mid"),
        (json.dumps(row | {"id": "Z"}), "is no id"),
    ):
        (oracle / "items.jsonl").write_text(f"{json.dumps(row)}\n{bad}\n")
        with pytest.raises(StudioError, match=said):
            items_of(tmp_path / "run")


def test_a_folder_gives_its_files_once_in_an_order_that_says_nothing(songs: Path, tmp_path: Path) -> None:
    (songs / "again.mid").write_bytes((songs / "0.mid").read_bytes())
    found = items_of(songs)
    assert len(found) == 6
    assert [item.id for item in found] == sorted(item.id for item in found)
    with pytest.raises(StudioError, match="not there"):
        items_of(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudioError, match="no MIDI files"):
        items_of(tmp_path / "empty")


# A real server --------------------------------------------------------------------------------------------------------


def post(address: str, body: dict[str, Any]) -> int:
    """The status, 0 where the server was not there."""
    request = urllib.request.Request(
        f"{address}api/answers", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def test_what_was_acknowledged_outlives_a_killed_server(songs: Path) -> None:
    """Four clients write while the server is killed twice; each sends an answer again until it is acknowledged."""
    items = [item.id for item in items_of(songs)]
    acknowledged: list[str] = []
    stop, lock = threading.Event(), threading.Lock()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])

    def write(person: int) -> None:
        for turn in count():
            key = f"{person}-{turn}"
            body = {"item": items[turn % 6], "labeler": f"p{person}-{turn}", "answer": "real", "key": key}
            while (status := post(f"http://127.0.0.1:{port}/", body)) != 200:
                assert status == 0
                if stop.is_set():
                    return
            with lock:
                acknowledged.append(key)

    threads = [threading.Thread(target=write, args=(person,)) for person in range(4)]
    for life in range(3):
        with served("label", str(songs), "--no-open", "--port", port) as server:
            if life == 0:
                for thread in threads:
                    thread.start()
            seen = len(acknowledged)
            while len(acknowledged) < seen + 30:
                assert any(thread.is_alive() for thread in threads)
                stop.wait(0.02)
            if life == 2:
                stop.set()
            server.end(signal.SIGKILL)
    for thread in threads:
        thread.join()
    with Store(labels_of(songs)) as store:
        kept = [entry.key for entry in store.entries()]
    assert len(acknowledged) >= 90
    assert set(acknowledged) <= set(kept)
    assert len(kept) == len(set(kept)) <= len(acknowledged) + 4  # of each client one may be kept and not acknowledged


def test_ctrl_c_ends_it_and_says_how_many_answers_there_are(songs: Path) -> None:
    with served("label", str(songs), "--no-open", "--port", "0") as server:
        assert "0 of 6 answers" in server.said[0]
        item = items_of(songs)[0].id
        assert post(server.address, {"item": item, "labeler": "a", "answer": "good", "key": "k"}) == 200
        assert server.end().startswith("1 of 6 answers are in ")
        assert server.process.returncode == 0


def test_a_port_that_is_taken_is_named(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StudioError, match=f"port {port}.*--port"):
            serve(Oracle(store).app(), "127.0.0.1", port, open_browser=False, tell=print)
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "music.example")] == [
        True, True, True, False, False]  # fmt: skip


def test_export_and_import_by_command(songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(labels_of(songs)) as store:
        store.offer(items_of(songs))
        store.answer(items_of(songs)[0].id, "ann", "real", "k1")
    for arguments, said in (
        (["--export", str(tmp_path / "out.csv")], "wrote 1 rows"),
        (["--labels", str(tmp_path / "new.sqlite"), "--import", str(tmp_path / "out.csv")], "1 of 1 answers"),
        (["--labels", str(tmp_path / "new.sqlite"), "--import", str(tmp_path / "out.csv")], "0 of 1 answers"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["label", str(songs), *arguments])
        assert ended.value.code == 0
        assert said in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["label", str(songs), "--import", str(tmp_path / "none.csv")])
    assert ended.value.code == 1
    assert "No such file" in capsys.readouterr().err
