"""A real Chromium without a window, driven by its DevTools protocol over a pipe: no driver, no port, no dependency."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 20.0  # seconds for anything that the page should come to
KEYS = {" ": ("Space", 32), "Enter": ("Enter", 13)}


class Browser:
    """Chromium with a profile of its own in `folder`; a with statement ends it."""

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None
        folder.mkdir(parents=True, exist_ok=True)
        said, self._into = os.pipe()
        self._out, told = os.pipe()
        given = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (said, told)]  # above 3 and 4, where they are put
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT, 0o600)
        line = [CHROMIUM, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}",
                "--no-first-run", "--window-size=800,700", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio",
                "--disable-extensions", "--disable-background-networking", "--disable-component-update",
                "--disable-sync", *(["--no-sandbox"] if os.geteuid() == 0 else []), "about:blank"]  # fmt: skip
        actions = [(os.POSIX_SPAWN_DUP2, given[0], 3), (os.POSIX_SPAWN_DUP2, given[1], 4),
                   (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]  # fmt: skip
        home = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
        self._process = os.posix_spawn(CHROMIUM, line, home, file_actions=actions, setpgroup=0)
        for end in (said, told, log, *given):
            os.close(end)
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._number, self._lock = 0, threading.Lock()
        self.events: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, queue.Empty):
            self.send("Browser.close")
        for _ in range(100):
            if os.waitpid(self._process, os.WNOHANG)[0]:
                break
            time.sleep(0.05)
        else:
            os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
        with suppress(ProcessLookupError):
            os.killpg(self._process, signal.SIGKILL)  # what it left of its own group
        os.close(self._into)
        self._reader.join(10)
        os.close(self._out)

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        with self._lock:
            self._number += 1
            number = self._number
            waiting = self._answers[number] = queue.Queue()
            message = {"id": number, "method": method, "params": parameters}
            data = json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0"
            while data:
                data = data[os.write(self._into, data) :]
        answer = waiting.get(timeout=PATIENCE)
        assert "error" not in answer, f"{method}: {answer}"
        return dict(answer["result"])

    def tab(self, address: str, person: str | None = None) -> Tab:
        """A new tab; `person` as `person()` gave it."""
        whose = {"browserContextId": person} if person else {}
        target = self.send("Target.createTarget", url="about:blank", **whose)["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, session, target)
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.send(f"{domain}.enable")
        tab.go(address)
        return tab

    def close_tabs(self) -> None:
        """All of them, with what happened in them; music that plays on would cost the next test its time."""
        for target in self.send("Target.getTargets")["targetInfos"]:
            if target["type"] == "page":
                self.send("Target.closeTarget", targetId=target["targetId"])
        self.events.clear()

    def person(self) -> str:
        """Somebody with cookies and storage of his own."""
        return str(self.send("Target.createBrowserContext")["browserContextId"])

    def _read(self) -> None:
        held = b""
        while part := os.read(self._out, 1 << 20):
            *messages, held = (held + part).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self._answers.pop(message["id"]).put(message)
                else:
                    self.events.append(message)


class Tab:
    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self.browser, self.session, self.target = browser, session, target

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.send(method, self.session, **parameters)

    def go(self, address: str) -> None:
        self.send("Page.navigate", url=address)
        self.wait(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(address)})")

    def close(self) -> None:
        """As a person closes it: the page hears of it first."""
        self.send("Page.close")

    def evaluate(self, expression: str) -> Any:
        told = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, expression: str, seconds: float = PATIENCE) -> Any:
        """What the expression is once it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with suppress(AssertionError):  # while the page is being exchanged there is nothing to ask
                if value := self.evaluate(expression):
                    return value
            time.sleep(0.03)
        raise AssertionError(f"never came true: {expression}; the page says {self.text()!r}")

    def text(self) -> str:
        return str(self.evaluate("document.body.innerText"))

    def press(self, key: str) -> None:
        name, code = KEYS[key] if key in KEYS else (f"Key{key.upper()}", ord(key.upper()))
        shown = {"key": key, "code": name, "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", type="keyDown", text="\r" if key == "Enter" else key, **shown)
        self.send("Input.dispatchKeyEvent", type="keyUp", **shown)

    def type(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def click(self, selector: str, times: int = 1) -> None:
        found = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{found}.scrollIntoView({{block: 'nearest'}})")
        x, y = self.evaluate(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({found}.getBoundingClientRect())")
        for count in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=count)

    def look(self, path: Path, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """A picture of the page as PNG."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        time.sleep(0.3)
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def requests(self) -> list[str]:
        """The addresses that the page asked for."""
        return [event["params"]["request"]["url"] for event in self._events("Network.requestWillBeSent")]

    def errors(self) -> list[str]:
        """What went wrong in the page's own code, and what its policy refused."""
        thrown = [str(event["params"]["exceptionDetails"]) for event in self._events("Runtime.exceptionThrown")]
        entries = [event["params"]["entry"] for event in self._events("Log.entryAdded")]
        return thrown + [entry["text"] for entry in entries if entry["source"] in ("security", "javascript")]

    def _events(self, method: str) -> list[dict[str, Any]]:
        return [event for event in list(self.browser.events)
                if event["method"] == method and event.get("sessionId") == self.session]  # fmt: skip


class Served:
    """`orchestrion` with these arguments as a process of its own, and where its page is."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "orchestrion", *arguments], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.said: list[str] = []
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("http://"):
                self.address = line.split()[0]
                return
        raise AssertionError(f"the server ended: {self.said}")

    @property
    def port(self) -> str:
        return self.address.split(":")[2].split("/")[0]

    def end(self, how: signal.Signals = signal.SIGINT) -> str:
        """What it said from then on."""
        self.process.send_signal(how)
        said, _ = self.process.communicate(timeout=PATIENCE)
        return said


@contextmanager
def served(*arguments: str) -> Iterator[Served]:
    server = Served(*arguments)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)
