"""The oracle's page in a real browser: people label by key, mouse and in several tabs, and lose nothing whatever is
closed or killed."""

from __future__ import annotations

import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn

from browser import CHROMIUM, Browser, Tab, served
from conftest import little_song
from orchestrion.listening.label_server import Oracle
from orchestrion.listening.sources import items_of, labels_of
from orchestrion.listening.store import Entry, Store
from orchestrion.music.files import write_midi

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt install chromium)")
Serve = Callable[..., str]
HELD_OFF = 0.4  # seconds after which an answer is no double click


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    yield chromium
    chromium.close_tabs()


@pytest.fixture(scope="module")
def midi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("midi")
    for number in range(5):
        write_midi(little_song(number, bars=4), folder / f"secret-name-{number}.mid")
    return folder


@pytest.fixture
def songs(midi: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(midi, tmp_path / "songs"))


@pytest.fixture
def oracle(songs: Path) -> Iterator[Serve]:
    """Serves the songs with these settings of the store, in a thread of this process; returns the page's address."""
    ends = []

    def serve(**settings: int) -> str:
        store = Store(labels_of(songs), **settings)
        store.offer(items_of(songs))
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(Oracle(store).app(), log_level="warning", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        ends.append((server, thread, listening, store))
        return f"http://127.0.0.1:{listening.getsockname()[1]}/"

    yield serve
    for server, thread, listening, store in ends:
        server.force_exit = server.should_exit = True
        thread.join()
        listening.close()
        store.close()


def enter(browser: Browser, address: str, name: str, person: str | None = None, *, silent: bool = True) -> Tab:
    tab = browser.tab(address, person or browser.person())
    tab.evaluate(f"$('at-once').checked = {'false' if silent else 'true'}")
    tab.click("#name")
    tab.type(name)
    tab.press("Enter")
    heard(tab)
    return tab


def heard(tab: Tab, other_than: str = "") -> str:
    """The item that is there to be answered."""
    item = tab.wait(f"current && current.ready && current.id !== {other_than!r} && current.id")
    time.sleep(HELD_OFF)
    return str(item)


def answer(tab: Tab, key: str) -> str:
    """The item that was answered; waits for the acknowledgement."""
    item = str(tab.evaluate("current.id"))
    tab.press(key)
    tab.wait("unsent.waiting().length === 0")
    return item


def settled(songs: Path) -> list[Entry]:
    with Store(labels_of(songs)) as store:
        return store.settled()


def test_keys_answer_play_and_undo(browser: Browser, oracle: Serve, songs: Path) -> None:
    tab = enter(browser, address := oracle(per_item=2), "Ann", silent=False)
    tab.wait("player.playing && player.position > 0.2")  # by itself, and the sound card's clock runs
    assert tab.evaluate("audio.state") == "running"
    drawn = "[...$('roll').getContext('2d').getImageData(0, 0, $('roll').width, $('roll').height).data].join()"
    picture = tab.evaluate(drawn)
    tab.wait("player.position > 0.6")
    assert tab.evaluate(drawn) != picture  # it scrolls
    assert tab.evaluate("$('play').textContent") == "Pause"
    tab.press(" ")
    place = tab.wait("!player.playing && player.position")
    tab.press(" ")
    tab.wait(f"player.playing && player.position > {place}")
    given: list[str] = []
    for key in "rfgp":
        given.append(answer(tab, key))
        heard(tab, given[-1])
    assert len(set(given)) == 4
    tab.press("u")
    tab.wait(f"current?.ready && current.id === {given[-1]!r}")
    time.sleep(HELD_OFF)
    tab.press("s")
    tab.wait("unsent.waiting().length === 0")
    assert [(entry.item, entry.answer) for entry in settled(songs)] == list(
        zip(given, ("real", "fake", "good", "skip"), strict=True)
    )
    assert all(0.3 < (entry.seconds or 0) < 30 for entry in settled(songs))
    tab.wait("$('counts').textContent === '3 of 10 answers · yours 4'")
    assert tab.errors() == []
    assert {request.split("/")[2] for request in tab.requests()} == {address.split("/")[2]}
    everything = tab.evaluate("document.documentElement.outerHTML") + tab.text()
    assert "secret" not in everything


def test_a_double_click_is_one_answer(browser: Browser, oracle: Serve, songs: Path) -> None:
    tab = enter(browser, oracle(), "Ann")
    first = tab.evaluate("current.id")
    tab.click("[data-answer=real]", times=2)
    second = heard(tab, first)
    tab.wait("unsent.waiting().length === 0")
    assert [(entry.item, entry.answer) for entry in settled(songs)] == [(first, "real")]
    tab.press(" ")  # the button that was clicked has let go of the focus
    tab.wait("player.playing")
    assert tab.evaluate("current.id") == second


def test_two_tabs_and_two_people_hear_different_pieces(browser: Browser, oracle: Serve, songs: Path) -> None:
    ann, address = browser.person(), oracle(per_item=2)
    tabs = [enter(browser, address, "Ann", ann), enter(browser, address, "Ann", ann)]
    assert len({tab.evaluate("current.id") for tab in tabs}) == 2
    tabs.append(enter(browser, address, "Bob"))
    for number in range(9):
        tab = tabs[number % 3]
        if tab.evaluate("!current"):
            continue
        answer(tab, "rf"[number % 2])
        tab.wait("current?.ready || !['open'].includes(state) && !$('end').hidden")
        time.sleep(HELD_OFF)
    entries = settled(songs)
    assert len({(entry.item, entry.labeler) for entry in entries}) == len(entries)
    with Store(labels_of(songs)) as store:
        assert len(store.entries()) == len(entries)  # nothing was answered twice and settled by its last


def test_a_killed_server_loses_nothing(browser: Browser, songs: Path) -> None:
    with served("label", str(songs), "--no-open", "--port", "0") as server:
        tab = enter(browser, server.address, "Ann")
        tab.wait("ahead && pieces.get(ahead.id)")
        first = tab.evaluate("current.id")
        server.end(signal.SIGKILL)
        tab.press("r")
        second = heard(tab, first)  # it was fetched before
        tab.wait("$('notice').textContent.includes('1 answer is kept in this browser')")
        tab.press("g")
        tab.wait("$('notice').textContent.includes('2 answers are kept in this browser')")
        assert settled(songs) == []
        with served("label", str(songs), "--no-open", "--port", server.port):
            tab.wait("unsent.waiting().length === 0")
            tab.wait("$('notice').hidden")
            assert [(e.item, e.answer) for e in settled(songs)] == [(first, "real"), (second, "good")]
            assert heard(tab) not in (first, second)
            assert tab.errors() == []


def test_a_tab_closed_while_the_server_is_gone_loses_nothing(browser: Browser, songs: Path) -> None:
    ann = browser.person()
    with served("label", str(songs), "--no-open", "--port", "0") as server:
        tab = enter(browser, server.address, "Ann", ann)
        item = tab.evaluate("current.id")
        server.end(signal.SIGKILL)
        tab.press("p")
        tab.wait("!unsent.reached")
        tab.close()
        with served("label", str(songs), "--no-open", "--port", server.port):
            again = browser.tab(server.address, ann)
            assert again.evaluate("$('name').value") == "Ann"
            again.click("#enter button")
            assert heard(again) != item
            assert [(entry.item, entry.answer) for entry in settled(songs)] == [(item, "poor")]
            again.press("u")  # also what another tab has answered can be taken back
            again.wait(f"current?.ready && current.id === {item!r} && unsent.waiting().length === 0")
            assert settled(songs) == []


def test_the_end_says_why_and_gives_the_way_back(browser: Browser, oracle: Serve, songs: Path) -> None:
    tab = enter(browser, oracle(budget=2), "Ann")
    first = answer(tab, "r")
    heard(tab, first)
    last = answer(tab, "f")
    tab.wait("$('end-title').textContent === 'The budget is used'")
    assert "All 2 answers are in, 2 answers of them yours" in tab.text()
    assert tab.evaluate("$('bar').getAttribute('aria-valuenow')") == "2"
    time.sleep(HELD_OFF)
    tab.click("#undo")
    assert heard(tab) == last
    answer(tab, "g")
    tab.wait("$('end-title').textContent === 'The budget is used'")
    assert [entry.answer for entry in settled(songs)] == ["real", "good"]


def test_every_control_has_a_name_and_the_page_fits_a_phone(browser: Browser, oracle: Serve, tmp_path: Path) -> None:
    tab = enter(browser, oracle(), "Ann")
    tree = tab.send("Accessibility.getFullAXTree")["nodes"]
    named = {(node["role"]["value"], node["name"]["value"]) for node in tree
             if node.get("role", {}).get("value") in ("button", "slider", "checkbox", "progressbar", "image")
             and not node["ignored"]}  # fmt: skip
    assert all(name for _, name in named)
    assert {"button", "slider", "checkbox", "progressbar", "image"} == {role for role, _ in named}
    for width, dark in ((320, False), (390, True), (1280, False)):
        tab.look(tmp_path / "page.png", width, 800, dark=dark, phone=width < 400)
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    high = "[...document.querySelectorAll('#work button')].every(b => b.getBoundingClientRect().height >= 38)"
    assert tab.evaluate(high)
