"""The tables of answers, in SQLite or PostgreSQL."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import (
    Boolean,
    Column,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    event,
)
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from orchestrion.listening import StudioError

BUSY_MILLISECONDS = 20_000  # that a writer waits for another process
WRITES = "writes"  # option of a connection that will write: SQLite's `synchronous`

metadata = MetaData()
stores = Table("stores", metadata, Column("number", Integer, primary_key=True), Column("id", String, nullable=False))
items = Table(
    "items",
    metadata,
    Column("id", String, primary_key=True),
    Column("place", Integer, nullable=False),  # in the order in which items are handed out
    Column("path", String, nullable=False),
    Column("source", String, nullable=False),
    Column("meta", String, nullable=False),  # JSON
    Column("offered", Boolean, nullable=False),
    Column("given", Integer, nullable=False),  # people whose answer stands and is no skip; counted anew by each write
    Index("items_open", "offered", "given", "place"),
)
#: Nothing is ever changed or deleted here. To take an answer back is one more row, whose key is made of the answer's.
answers = Table(
    "answers",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("item", String, ForeignKey("items.id"), nullable=False),
    Column("labeler", String, nullable=False),
    Column("question", String, nullable=False),
    Column("answer", String, nullable=False),
    Column("time", String, nullable=False),  # ISO 8601, UTC, of the server
    Column("seconds", Float),
    Column("key", String, nullable=False),
    UniqueConstraint("key", name="answers_key"),
    Index("answers_item", "item", "labeler"),
    Index("answers_labeler", "labeler", "time", "sequence"),
)
people = Table(
    "people",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("key", String, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("time", String, nullable=False),
)
leases = Table(
    "leases",
    metadata,
    Column("item", String, ForeignKey("items.id"), primary_key=True),
    Column("labeler", String, primary_key=True),
    Column("tab", String, primary_key=True),
    Column("until", Float, nullable=False),  # seconds since 1970
    Index("leases_tab", "labeler", "tab"),
)


def open_engine(place: str | Path) -> Engine:
    """The engine of a file of SQLite, which is made where there is none, or of a URL of SQLite or PostgreSQL.

    Raises StudioError for a URL that cannot be used.
    """
    url = _url(place)
    if url.get_backend_name() == "postgresql":
        try:
            return create_engine(url.set(drivername="postgresql+psycopg"), pool_size=8, pool_pre_ping=True)
        except ModuleNotFoundError as error:
            raise StudioError("PostgreSQL needs the extra `postgres`: pip install 'orchestrion[postgres]'") from error
    engine = create_engine(url, pool_size=8, max_overflow=40)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def shown(place: str | Path) -> str:
    """The place without its password."""
    return str(place) if "://" not in str(place) else _url(place).render_as_string(hide_password=True)


def _url(place: str | Path) -> URL:
    if "://" not in str(place):
        return URL.create("sqlite", database=str(place))
    try:
        url = make_url(str(place))
    except (ArgumentError, ValueError) as error:
        raise StudioError("the URL of the labels cannot be read; write postgresql://USER@HOST/DATABASE") from error
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise StudioError(f"labels lie in SQLite or PostgreSQL, not in {url.get_backend_name()}")
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise StudioError("labels need a file, not SQLite's memory, which is gone when the server is")
    return url


def _prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions begin as `_begin` says, not before the first INSERT
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    """A writer takes its turn at once: one that read first and then wrote would be refused where another wrote.

    FULL: committed is on the disk, whatever is killed then. NORMAL: a commit waits for the next one that is FULL.
    """
    writes = connection.get_execution_options().get(WRITES)
    if writes:
        connection.exec_driver_sql(f"PRAGMA synchronous = {writes}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
