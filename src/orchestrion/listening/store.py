"""Items that people judge, and all that they ever answered.

Answers are a log that only grows: each has a key that its sender made, so that what is sent twice is kept once, and to
take one back is one more entry. What stands is read from the log.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, case, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from orchestrion.listening import StudioError
from orchestrion.listening.appending import checked, checked_text, not_held
from orchestrion.listening.database import WRITES, answers, items, leases, metadata, open_engine, people, shown, stores
from orchestrion.listening.entries import Entry, Item, Progress, Verdict
from orchestrion.listening.queries import SKIP, UNDO, answered, at_most, judges, open_items, stands, undo_key

ANSWERS = ("real", "fake", "good", "poor", "skip")
LEASE_SECONDS = 300.0
BATCH = 500  # rows that are looked up at a time
TURN = 0x0_0C4E_57A1  # of PostgreSQL's advisory lock: writers take turns, so that counts are of all that was committed


class Store:
    """The store in a file of SQLite or behind a URL (`postgresql://...`). It may be used by threads and processes.

    per_item: different people who judge each item. budget: answers handed out in all, None for as many as are wanted.
    Methods raise StudioError for what is refused and for a database that fails.
    """

    def __init__(
        self,
        place: str | Path,
        *,
        per_item: int = 1,
        budget: int | None = None,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.place, self.per_item, self.budget = shown(place), per_item, budget
        self.lease_seconds = lease_seconds
        self._engine = open_engine(place)
        self._writer = self._engine.execution_options(**{WRITES: "FULL"})
        self._lender = self._engine.execution_options(**{WRITES: "NORMAL"})
        self._turn = threading.Lock()  # a thread waits here rather than by polling SQLite's lock
        self._postgres = self._engine.dialect.name == "postgresql"
        self._upsert = postgresql.insert if self._postgres else sqlite.insert
        with self._write() as connection:
            metadata.create_all(connection)
            connection.execute(self._upsert(stores).values(number=1, id=uuid.uuid4().hex[:16]).on_conflict_do_nothing())
            self.id: str = connection.execute(select(stores.c.id)).scalar_one()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._engine.dispose()

    # Items ------------------------------------------------------------------------------------------------------------

    def offer(self, offered: Iterable[Item]) -> int:
        """Hand out these items, in this order, and no others; how many are new. Items of before keep their answers."""
        rows = [
            {"id": checked_text("an item's id", item.id), "place": place, "path": item.path, "source": item.source,
             "meta": json.dumps(item.meta, ensure_ascii=False), "offered": True, "given": 0}
            for place, item in enumerate(offered)
        ]  # fmt: skip
        with self._write() as connection:
            before = connection.execute(select(func.count()).select_from(items)).scalar_one()
            connection.execute(update(items).values(offered=False))
            if rows:
                adding = self._upsert(items)
                kept = {name: adding.excluded[name] for name in ("place", "path", "source", "meta", "offered")}
                connection.execute(adding.on_conflict_do_update(index_elements=["id"], set_=kept), rows)
            after = connection.execute(select(func.count()).select_from(items)).scalar_one()
        return int(after - before)

    def items(self) -> list[Item]:
        """All that were ever offered, by place."""
        with self._read() as connection:
            return [_item(row) for row in connection.execute(select(items).order_by(items.c.place, items.c.id))]

    def item(self, id: str) -> Item | None:
        with self._read() as connection:
            row = connection.execute(select(items).where(items.c.id == id)).one_or_none()
        return None if row is None else _item(row)

    def hand_out(self, labeler: str, tab: str, count: int = 1) -> list[Item]:
        """Up to `count` items for a tab of a labeler to judge: first those that it holds, then those with the fewest
        answers that he has not answered and nobody else holds. It holds them for `lease_seconds` from now, and may
        hold more than `count`."""
        labeler, tab, now = checked_text("a name", labeler), checked_text("a tab's name", tab), time.time()
        mine = and_(leases.c.labeler == labeler, leases.c.tab == tab)
        with self._write(lasting=False) as connection:
            connection.execute(leases.delete().where(leases.c.until < now))
            held = connection.execute(select(leases.c.item).where(mine)).scalars().all()
            his = select(items).where(items.c.id.in_(held), items.c.offered, ~answered(labeler))
            found = [_item(row) for row in connection.execute(his.order_by(items.c.place))] if held else []
            free = count - len(found)
            if self.budget is not None:
                promised = connection.execute(select(func.count()).select_from(leases)).scalar_one()
                free = min(free, self.budget - self._given(connection) - promised)
            if free > 0:
                found += [_item(row) for row in open_items(connection, labeler, free, self.per_item)]
            self._hold(connection, [item.id for item in found], labeler, tab, now)
        return found

    def release(self, labeler: str, tab: str) -> None:
        """Give back what a tab holds, as it is closed."""
        with self._write(lasting=False) as connection:
            connection.execute(leases.delete().where(leases.c.labeler == labeler, leases.c.tab == tab))

    # Answers ----------------------------------------------------------------------------------------------------------

    def answer(
        self, item: str, labeler: str, answer: str, key: str, *, seconds: float | None = None, question: str = ""
    ) -> bool:
        """Keep an answer; True if it is new, False if it is here already by its key. It is on the disk on return.

        Raises StudioError for an unknown item and for a key that belongs to another answer. Which words are answers
        is for the caller to say.
        """
        if answer == UNDO:
            raise StudioError("to take an answer back, use undo")
        return bool(self.add([Entry(item, labeler, answer, _now(), seconds, key, question)]))

    def undo(self, key: str, labeler: str, tab: str | None = None) -> bool:
        """Take back the labeler's answer that has this key; False if it was taken back before. tab: what holds the item
        from then on, to answer it anew. Raises StudioError."""
        with self._read() as connection:
            row = connection.execute(select(answers).where(answers.c.key == key)).one_or_none()
        if row is None or row.labeler != labeler or row.answer == UNDO:
            raise StudioError(f"{labeler} has given no answer with the key {key}")
        new = bool(self.add([Entry(row.item, labeler, UNDO, _now(), None, undo_key(key), row.question)]))
        if new and tab:
            with self._write() as connection:
                self._hold(connection, [row.item], labeler, tab, time.time())
        return new

    def add(self, entries: Sequence[Entry]) -> int:
        """Append to the log those whose keys it does not hold, all of them or none; how many. Raises StudioError."""
        rows = [checked(entry) for entry in entries]
        with self._write() as connection:
            new: list[dict[str, Any]] = []
            for start in range(0, len(rows), BATCH):
                if batch := not_held(connection, rows[start : start + BATCH]):
                    connection.execute(insert(answers), batch)
                    new += batch
            if new:
                at = and_(leases.c.item == bindparam("of"), leases.c.labeler == bindparam("by"))
                ends = [{"of": row["item"], "by": row["labeler"]} for row in new]
                connection.execute(leases.delete().where(at), ends)
                connection.execute(
                    update(items).where(items.c.id == bindparam("of")).values(given=judges()),
                    [{"of": item} for item in {row["item"] for row in new}],
                )
        return len(new)

    def entries(self) -> list[Entry]:
        """The whole log, in the order of its times."""
        return self._entries(None)

    def settled(self, question: str | None = None) -> list[Entry]:
        """The last answer of each labeler to each item and question that was not taken back, skips included, by
        time; those to one question, or to all."""
        last: dict[tuple[str, str, str], Entry] = {}
        for entry in self._entries(stands(answers)):
            if question is None or entry.question == question:
                last[entry.item, entry.labeler, entry.question] = entry
        return sorted(last.values(), key=lambda entry: entry.time)

    def verdicts(self, question: str = "") -> list[Verdict]:
        """The majority of what stands on each item with an answer that is no skip, by the items' places."""
        votes: dict[str, Counter[str]] = {}
        for entry in self.settled(question):
            if entry.answer != SKIP:
                votes.setdefault(entry.item, Counter())[entry.answer] += 1
        return [_verdict(item.id, votes[item.id]) for item in self.items() if item.id in votes]

    def progress(self, labeler: str = "") -> Progress:
        """How far all are, and one of them."""
        now = time.time()
        with self._read() as connection:
            offered = case((items.c.offered, 1), else_=0)
            sums = offered, items.c.given, offered * at_most(items.c.given, self.per_item)
            totals = connection.execute(select(*(func.coalesce(func.sum(column), 0) for column in sums))).one()
            count, given, enough = map(int, totals)
            held = select(func.count()).select_from(leases).where(leases.c.until >= now)
            leased = connection.execute(held).scalar_one()
            his = select(answers).where(answers.c.labeler == labeler)
            taken = func.coalesce(func.sum(case((answers.c.answer == UNDO, 2), else_=0)), 0)  # itself and one before it
            own = connection.execute(select(func.count() - taken).where(answers.c.labeler == labeler)).scalar_one()
            last = his.where(stands(answers)).order_by(answers.c.time.desc(), answers.c.sequence.desc()).limit(1)
            row = connection.execute(last).first()
        wanted = max(given, count * self.per_item + given - enough)
        if self.budget is not None:
            wanted = min(wanted, max(self.budget, given))
        return Progress(given, wanted, count, int(own), leased, None if row is None else _entry(row))

    # People -----------------------------------------------------------------------------------------------------------

    def enter(self, key: str, name: str) -> int:
        """The number of the person with this key: 0, 1, 2, ... in the order in which they came first."""
        row = {"key": checked_text("a person's key", key), "name": checked_text("a name", name), "time": _now()}
        with self._write() as connection:
            count = connection.execute(select(func.count()).select_from(people)).scalar_one()
            connection.execute(self._upsert(people).values(number=count, **row).on_conflict_do_nothing())
            return int(connection.execute(select(people.c.number).where(people.c.key == key)).scalar_one())

    # ------------------------------------------------------------------------------------------------------------------

    def _entries(self, which: ColumnElement[bool] | None) -> list[Entry]:
        chosen = select(answers).order_by(answers.c.time, answers.c.sequence)
        with self._read() as connection:
            return [_entry(row) for row in connection.execute(chosen if which is None else chosen.where(which))]

    def _hold(self, connection: Connection, ids: Sequence[str], labeler: str, tab: str, now: float) -> None:
        if ids:
            holding = self._upsert(leases)
            renewed = {"until": holding.excluded.until}
            connection.execute(
                holding.on_conflict_do_update(index_elements=["item", "labeler", "tab"], set_=renewed),
                [{"item": id, "labeler": labeler, "tab": tab, "until": now + self.lease_seconds} for id in ids],
            )

    def _given(self, connection: Connection) -> int:
        return int(connection.execute(select(func.coalesce(func.sum(items.c.given), 0))).scalar_one())

    @contextmanager
    def _write(self, *, lasting: bool = True) -> Iterator[Connection]:
        """A transaction that no other writer runs beside; committed, or nothing of it happened. lasting: it is on the
        disk then; leases may be forgotten where the power fails."""
        try:
            with self._turn, (self._writer if lasting else self._lender).begin() as connection:
                if self._postgres:
                    connection.execute(select(func.pg_advisory_xact_lock(TURN)))
                    if not lasting:
                        connection.execute(text("SET LOCAL synchronous_commit = off"))
                yield connection
        except DBAPIError as error:
            raise self._failed(error) from error

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise self._failed(error) from error

    def _failed(self, error: DBAPIError) -> StudioError:
        reason = (str(error.orig).strip() or type(error.orig).__name__).splitlines()[0]
        return DatabaseError(f"the labels in {self.place} cannot be used: {reason}")


class DatabaseError(StudioError):
    """The database failed, as far as is known without having kept what was asked; it may be asked again."""


def item_of(path: str | Path, source: str = "", meta: Mapping[str, Any] | None = None) -> Item:
    """The item of a file; its id is 16 hexadecimal digits of the SHA-256 of what the file holds."""
    return Item(sha256(Path(path).read_bytes()).hexdigest()[:16], str(path), source, meta or {})


def _verdict(item: str, votes: Counter[str]) -> Verdict:
    most = max(votes.values())
    first = tuple(sorted(answer for answer, count in votes.items() if count == most))
    return Verdict(item, dict(votes), first[0], ()) if len(first) == 1 else Verdict(item, dict(votes), None, first)


def _item(row: Row[Any]) -> Item:
    return Item(row.id, row.path, row.source, json.loads(row.meta))


def _entry(row: Row[Any]) -> Entry:
    return Entry(row.item, row.labeler, row.answer, row.time, row.seconds, row.key, row.question)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
