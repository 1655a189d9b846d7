"""What stands in the log, and which items are open: the questions that the store asks of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, ScalarSelect, Select, and_, case, exists, func, literal, select

from orchestrion.listening.database import answers, items, leases

SKIP = "skip"  # heard, and not judged: the item goes to somebody else
UNDO = "undo"


def undo_key(key: str) -> str:
    """The key of the entry that takes back the answer with this key: an answer can be taken back once."""
    return f"{UNDO}-{key}"


def stands(log: Any) -> ColumnElement[bool]:
    """Of the table of answers or an alias: whether the row is an answer that was not taken back."""
    taken = answers.alias()
    return and_(log.c.answer != UNDO, ~exists().where(taken.c.key == literal(undo_key("")).concat(log.c.key)))


def answered(labeler: str) -> ColumnElement[bool]:
    """Of the table of items: whether an answer of this labeler stands."""
    log = answers.alias()
    return exists().where(log.c.item == items.c.id, log.c.labeler == labeler, stands(log))


def judges() -> ScalarSelect[int]:
    """Of the table of items: how many people have an answer that stands and is no skip."""
    log = answers.alias()
    judged = and_(log.c.item == items.c.id, log.c.answer != SKIP, stands(log))
    return select(func.count(func.distinct(log.c.labeler))).where(judged).correlate(items).scalar_subquery()


def at_most(value: ColumnElement[int], most: int) -> ColumnElement[int]:
    return case((value < most, value), else_=most)


def open_items(connection: Connection, labeler: str, count: int, per_item: int) -> Sequence[Row[Any]]:
    """Items that want more people and that this labeler has neither answered nor holds: those that nobody holds first,
    among them those with the fewest answers."""
    at_item = leases.c.item == items.c.id
    wanted: Select[Any] = (
        select(items)
        .where(items.c.offered, items.c.given < per_item, ~answered(labeler))
        .order_by(items.c.given, items.c.place)
    )
    rows = connection.execute(wanted.where(~exists().where(at_item)).limit(count)).all()
    if len(rows) == count:
        return rows
    holders = select(func.count()).select_from(leases).where(at_item).scalar_subquery()
    his = exists().where(at_item, leases.c.labeler == labeler)
    shared = wanted.where(holders > 0, items.c.given + holders < per_item, ~his)
    return [*rows, *connection.execute(shared.limit(count - len(rows)))]
