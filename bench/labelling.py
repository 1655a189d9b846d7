"""The oracle's server under load: how long its answers take, and what is left of 10,000 labels when it is killed.

    runs/postgres.sh python bench/labelling.py [--out bench/results/labelling.json]

Without PostgreSQL (ORCHESTRION_TEST_POSTGRES) only SQLite is measured. The server is the command `orchestrion label`, a
process of its own on the loopback; the labelers are threads of this one. About ten minutes.

1. 20 labelers, 10,000 items, two people an item, 9,000 answers there before. Each labeler takes the next item, gets
   its notes and answers, 50 times, a piece every two seconds: faster than anybody listens. Times are the clients'.
2. 20 labelers give 500 answers each, without a pause, to 500 items; the server is killed (SIGKILL) ten times, evenly,
   and started again. What gets no answer is sent again under its key. Lost: acknowledged and not in the store. Doubled:
   rows of one key, or of one labeler and item, beyond the first.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from record import RESULTS, record
from symusic import Note, Score, Tempo, Track

from orchestrion.listening.database import metadata, open_engine
from orchestrion.listening.entries import Entry
from orchestrion.listening.sources import items_of
from orchestrion.listening.store import ANSWERS, Store
from orchestrion.music.files import write_midi

LABELERS = 20
ITEMS, ROUNDS, PACE_SECONDS, EARLIER = 10_000, 50, 2.0, 9_000
LABELS, KILLS = 10_000, 10
PATIENCE_SECONDS = 600.0


class Server:
    """`orchestrion label` on a port that stays the same over its lives."""

    def __init__(self, source: Path, labels: str, per_item: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.line = [sys.executable, "-m", "orchestrion", "label", str(source), "--labels", labels, "--no-open",
                     "--port", str(self.port), "--per-item", str(per_item)]  # fmt: skip
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.line, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        if not any(line.startswith("http://") for line in iter(self.process.stdout.readline, "")):
            sys.exit("the server did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Client:
    """One labeler's connection."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """What it answers with; raises OSError or HTTPException where it does not."""
        try:
            data = None if body is None else json.dumps(body)
            self.connection.request(method, path, data, {"content-type": "application/json"})
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise
        if answer.status != 200:
            sys.exit(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)


def write_songs(folder: Path, count: int) -> None:
    """Pieces of drums, bass and piano, four bars, 88 notes, all different."""
    rng = np.random.default_rng(0)
    for number in range(count):
        score = Score(480)
        score.tempos.append(Tempo(0, float(rng.integers(60, 180))))
        tracks = Track("", 0), Track("", 33), Track("", 0, True)
        for tick in range(0, 4 * 1920, 240):
            tracks[0].notes.append(Note(tick, 240, int(rng.integers(55, 85)), 80))
            tracks[2].notes.append(Note(tick, 120, 42, 70))
            if tick % 480 == 0:
                tracks[1].notes.append(Note(tick, 480, int(rng.integers(30, 50)), 90))
            if tick % 960 == 0:
                tracks[0].notes.append(Note(tick, 960, int(rng.integers(40, 55)), 70))
        score.tracks.extend(tracks)
        write_midi(score, folder / f"{number:05}.mid")


def together(act: Any) -> None:
    """`act` of each labeler's number, all at once."""
    threads = [threading.Thread(target=act, args=(person,)) for person in range(LABELERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def response_times(source: Path, labels: str) -> dict[str, Any]:
    """Milliseconds by kind of request."""
    with Store(labels, per_item=2) as store:
        items = items_of(source)
        store.offer(items)
        store.add([
            Entry(items[n].id, f"person {n % LABELERS}", ANSWERS[n % 4], "2026-01-01T00:00:00.000Z", 2.0, f"before {n}")
            for n in range(EARLIER)
        ])  # fmt: skip
    seconds: dict[str, list[float]] = {"next": [], "item": [], "answer": []}
    server = Server(source, labels, 2)

    def label(person: int) -> None:
        client, who = Client(server.port), f"person%20{person}"
        wait = random.Random(person)
        time.sleep(wait.uniform(0, PACE_SECONDS))
        for turn in range(ROUNDS):
            start = time.perf_counter()
            item = timed("next", client, "GET", f"/api/next?labeler={who}&tab=t{person}")["items"][0]["id"]
            timed("item", client, "GET", f"/api/items/{item}")
            said = {"item": item, "labeler": f"person {person}", "answer": ANSWERS[turn % 4], "key": f"{person}-{turn}"}
            timed("answer", client, "POST", "/api/answers", said)
            time.sleep(max(0.0, PACE_SECONDS * wait.uniform(0.8, 1.2) - (time.perf_counter() - start)))

    def timed(kind: str, client: Client, *request: Any) -> Any:
        start = time.perf_counter()
        answer = client.ask(*request)
        seconds[kind].append(time.perf_counter() - start)
        return answer

    together(label)
    server.kill()
    return {
        kind: {"requests": len(took), "median_ms": 1000 * float(np.median(took)),
               "p99_ms": 1000 * float(np.quantile(took, 0.99)), "max_ms": 1000 * max(took)}
        for kind, took in seconds.items()
    }  # fmt: skip


def labels_left(source: Path, labels: str) -> dict[str, Any]:
    """What the store holds of the labels that were given while the server was killed."""
    items = [item.id for item in items_of(source)]
    each = LABELS // LABELERS
    assert len(items) == each
    server = Server(source, labels, LABELERS)
    acknowledged: list[str] = []
    unanswered: Counter[str] = Counter()
    lock, began = threading.Lock(), time.monotonic()

    def label(person: int) -> None:
        client = Client(server.port)
        for turn, item in enumerate(items):
            key = f"{person}-{turn}"
            said = {"item": item, "labeler": f"person {person}", "answer": ANSWERS[turn % 4], "key": key}
            while True:
                try:
                    client.ask("POST", "/api/answers", said)
                except (OSError, http.client.HTTPException):
                    if time.monotonic() - began > PATIENCE_SECONDS:
                        sys.exit("the server did not come back in time")
                    with lock:
                        unanswered[key] += 1
                    time.sleep(0.05)
                    continue
                with lock:
                    acknowledged.append(key)
                break

    writers = threading.Thread(target=together, args=(label,))
    writers.start()
    killed = 0
    for kill in range(1, KILLS + 1):
        while len(acknowledged) < kill * LABELS // (KILLS + 1):
            time.sleep(0.002)
        server.kill()
        killed += writers.is_alive()
        server.start()
    writers.join()
    took = time.monotonic() - began
    server.kill()
    with Store(labels, per_item=LABELERS) as store:
        entries = store.entries()
        given = store.progress().given
    keys, pairs = Counter(e.key for e in entries), Counter((e.item, e.labeler) for e in entries)
    return {
        "kills": killed, "acknowledged": len(acknowledged), "in_the_store": len(entries), "counted": given,
        "sent_again": len(unanswered), "lost": len(set(acknowledged) - set(keys)),
        "doubled": sum(n - 1 for n in keys.values()) + sum(n - 1 for n in pairs.values()), "seconds": took,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS / "labelling.json")
    parser.add_argument("--note", default="", help="what else the machine did, for beneath the tables")
    options = parser.parse_args()
    postgres = os.environ.get("ORCHESTRION_TEST_POSTGRES")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        many, few = Path(folder) / "many", Path(folder) / "few"
        for source, count in ((many, ITEMS), (few, LABELS // LABELERS)):
            source.mkdir()
            write_songs(source, count)
        for name in ("SQLite", "PostgreSQL"):
            if name == "PostgreSQL" and postgres is None:
                continue
            figures[name] = {}
            for part, measure, source in (("times", response_times, many), ("kills", labels_left, few)):
                place = postgres if name == "PostgreSQL" and postgres else str(Path(folder) / f"{part}.sqlite")
                figures[name][part] = measure(source, place)
                print(name, part, json.dumps(figures[name][part]), flush=True)
                if name == "PostgreSQL":
                    engine = open_engine(place)
                    metadata.drop_all(engine)
                    engine.dispose()
    tables = [
        {
            "title": f"The labelling server: response times with {LABELERS} labelers and {ITEMS:,} items",
            "columns": ["request", "requests", "median ms", "99th percentile ms", "longest ms"],
            "rows": [
                [f"{kind}, {name}", row["requests"], row["median_ms"], row["p99_ms"], row["max_ms"]]
                for name, parts in figures.items() for kind, row in parts["times"].items()
            ],
            "note": f"Each labeler judges a piece every {PACE_SECONDS:g} seconds; {EARLIER:,} answers were there "
            f"before. A next request hands out two items and says how far all are. {options.note}".rstrip(),
        },
        {
            "title": f"The labelling server: {LABELS:,} labels while it is killed {KILLS} times",
            "columns": ["store", "kills", "acknowledged", "in the store", "sent again", "lost", "doubled", "seconds"],
            "rows": [
                [name, *(parts["kills"][key] for key in ("kills", "acknowledged", "in_the_store", "sent_again", "lost",
                                                         "doubled", "seconds"))]
                for name, parts in figures.items()
            ],
            "note": options.note,
        },
    ]  # fmt: skip
    path = record(
        options.out.stem, figures, command=shlex.join(["runs/postgres.sh", "python", "bench/labelling.py"]), seed=0,
        data=f"{ITEMS:,} made pieces of 88 notes", tables=tables, folder=options.out.parent,
    )  # fmt: skip
    print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
