"""The database: one engine, two kinds of transaction. How dialects differ, only this and `core.partitions` know.

`reading()` is a snapshot that refuses to write; `writing()` is one transaction, BEGIN IMMEDIATE on SQLite, where a
deferred one that reads first cannot become a writer under concurrency (streaming.md §4.5).
"""

import hashlib
import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Table,
    create_engine,
    event,
    func,
    inspect,
    literal,
    make_url,
    select,
    table,
    text,
)
from sqlalchemy import column as named
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core import unavailable
from core.closing import Closing
from core.errors import SettingsInvalid, StoreUnavailable
from core.tables import REVISION

Row = Mapping[str, Any]

_INSERT: dict[str, Callable[[Table], sqlite.Insert | postgresql.Insert]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}
_VERSIONS = table("alembic_version", named("version_num"))
_UPGRADE = "run `flawline db upgrade`"


class Database(Closing):
    """An open database; close it, or leave its `with`, to give the connections back. Safe to share among threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        server = engine.dialect.name == "postgresql"
        snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if server else {}
        self._reader = engine.execution_options(**snapshot)
        self._writer = engine.execution_options(writes=True)
        self._single = engine.execution_options(writes=True, isolation_level="AUTOCOMMIT")

    def __str__(self) -> str:
        return str(self._engine.url)  # SQLAlchemy hides the password

    def close(self) -> None:
        """Give all connections back; the object opens new ones if it is used again."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot of the books. Raises StoreUnavailable; a write inside it is refused as a fault of ours."""
        with available(self._engine, writes=False), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on any error. Raises StoreUnavailable.

        SQLite has one writer at a time: no inference, no picture and no network inside.
        """
        with available(self._engine, writes=True), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def single(self) -> Iterator[Connection]:
        """PostgreSQL: each statement is a transaction of its own, for what may not run inside one.

        Statements may last as long as they need. Raises StoreUnavailable.
        """
        with available(self._engine, writes=True), self._single.connect() as connection:
            connection.execute(text("SET statement_timeout = 0"))
            try:
                yield connection
            finally:
                connection.detach()  # what was set for it goes with it


def open_database(url: str, *, busy_seconds: float = 10) -> Database:
    """The database at a SQLAlchemy URL, checked to have the tables of this version.

    busy_seconds: longest wait for another process's lock. Raises StoreUnavailable when it does not answer, and
    SettingsInvalid when it is not there, was never upgraded, or belongs to a newer version.
    """
    path = file_of(url)
    if path is not None and not path.exists():
        raise SettingsInvalid(f"no database at {path}; {_UPGRADE} to make it")
    with ExitStack() as unless_checked:
        engine = make_engine(url, busy_seconds=busy_seconds)
        unless_checked.callback(engine.dispose)
        _check_revision(engine)
        unless_checked.pop_all()
    return Database(engine)


def file_of(url: str) -> Path | None:
    """The file behind a SQLite URL; None for a server or a database in memory."""
    parts = make_url(url)
    kept = parts.get_backend_name() == "sqlite" and parts.database not in {None, "", ":memory:"}
    return Path(str(parts.database)) if kept else None


def make_engine(
    url: str, *, busy_seconds: float = 10, foreign_keys: bool = True, statement_seconds: float = 15
) -> Engine:
    """An engine with the settings of its dialect; nothing connects yet. Raises SettingsInvalid for another dialect.

    foreign_keys: off only while a migration rebuilds tables of SQLite. statement_seconds: longest that PostgreSQL works
    on one statement, beyond the wait for a lock; 0 = as long as it takes.
    """
    dialect = make_url(url).get_backend_name()
    serializer = partial(json.dumps, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if dialect == "postgresql":
        most = statement_seconds and statement_seconds + busy_seconds
        options = _server(round(most * 1000), round(busy_seconds * 1000))
        return create_engine(url, json_serializer=serializer, pool_pre_ping=True, connect_args=options)
    if dialect != "sqlite":
        raise SettingsInvalid(f"database {dialect!r} is not supported; use sqlite: or postgresql+psycopg2:")
    engine = create_engine(url, json_serializer=serializer, connect_args={"timeout": busy_seconds})
    _prepare_sqlite(engine, foreign_keys=foreign_keys)
    return engine


def insert_new(
    connection: Connection, into: Table, rows: Sequence[Row], key: Sequence[Column[Any]]
) -> set[tuple[Any, ...]]:
    """Insert what is not there yet; return the values of `key` of the rows that are new.

    Rows go in the order of their primary key: two workers that hold the same rows then wait for each other instead
    of meeting in a deadlock. Source: streaming.md §3.3, §4.1.
    """
    if not rows:
        return set()  # an empty list would insert one row of defaults
    ordered = sorted(rows, key=_sort_key(into))
    statement = _INSERT[connection.dialect.name](into).on_conflict_do_nothing().returning(*key)
    return {tuple(found) for found in connection.execute(statement, ordered)}


def add_up(connection: Connection, into: Table, rows: Sequence[Row]) -> None:
    """Add each row's numbers to the row of the same primary key, or begin it: `n = n + excluded.n`.

    Rows of one key are added up before: PostgreSQL refuses the same key twice in one statement (SQLSTATE 21000).
    """
    if not rows:
        return
    statement = _INSERT[connection.dialect.name](into)
    keys = list(into.primary_key.columns)
    sums = {c.name: c + statement.excluded[c.name] for c in into.columns if not c.primary_key}
    upsert = statement.on_conflict_do_update(index_elements=keys, set_=sums).returning(*keys)
    connection.execute(upsert, sorted(_folded(into, rows), key=_sort_key(into))).all()


def check_server(connection: Connection) -> None:
    """Raise SettingsInvalid for a PostgreSQL that is older than 15."""
    found = connection.dialect.server_version_info or ()
    if connection.dialect.name == "postgresql" and found < (15,):
        version = ".".join(map(str, found))
        raise SettingsInvalid(f"database {connection.engine.url}: PostgreSQL {version}; flawline needs 15 or newer")


def take_turns(connection: Connection, names: Iterable[str]) -> None:
    """Keep other transactions that name one of these from going on until ours ends; SQLite has one writer anyway.

    The locks are taken in one order, so that two transactions with the same names cannot deadlock.
    """
    if connection.dialect.name == "postgresql" and (numbers := sorted(set(map(lock_number, names)))):
        locks = func.unnest(literal(numbers, postgresql.ARRAY(BigInteger))).column_valued("number")
        connection.execute(select(func.pg_advisory_xact_lock(locks))).all()


def give_back_pages(connection: Connection, most: int = 2000) -> None:
    """Let SQLite's file shrink by up to `most` of the pages that deleted rows left; PostgreSQL looks after itself.

    A quarter of the file stays free: it is soon used again, and giving it back would be work lost.
    """
    if connection.dialect.name != "sqlite":
        return
    free, pages = (
        connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("freelist_count", "page_count")
    )
    for _ in range(min(most, free - pages // 4)):
        connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")  # the driver takes one step, so one page, at a time


def lock_number(name: str) -> int:
    """The number of an advisory lock of PostgreSQL, the same in every process."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


@contextmanager
def available(engine: Engine, *, writes: bool) -> Iterator[None]:
    """Turn what the world did to the database into StoreUnavailable; what we did wrong goes through unchanged."""
    try:
        yield
    except PoolTimeout as problem:
        raise StoreUnavailable(f"database {engine.url}: all connections are in use; {problem}") from problem
    except DBAPIError as problem:
        why = unavailable.reason(problem, writes=writes)
        if why is None:
            raise
        raise StoreUnavailable(f"database {engine.url}: {why} ({_said(problem)})") from problem


def _said(problem: DBAPIError) -> str:
    """The driver's own words in one line, without the statement that psycopg2 points at."""
    return " ".join(str(problem.orig).partition("\nLINE ")[0].split())


def _check_revision(engine: Engine) -> None:
    """Raise SettingsInvalid unless the tables are those of this version."""
    with available(engine, writes=False), engine.connect() as connection:
        check_server(connection)
        marked = inspect(connection).has_table("alembic_version")
        found = connection.scalar(select(_VERSIONS.c.version_num)) if marked else None
    if found == REVISION:
        return
    if found is None:
        raise SettingsInvalid(f"database {engine.url} has no tables of flawline; {_UPGRADE}")
    if found > REVISION:
        raise SettingsInvalid(
            f"database {engine.url} is at revision {found}, this version reads {REVISION}; update flawline"
        )
    raise SettingsInvalid(f"database {engine.url} is at revision {found}, this version needs {REVISION}; {_UPGRADE}")


def _server(statement_ms: int, lock_ms: int) -> dict[str, Any]:
    settings = {
        "statement_timeout": statement_ms,
        "lock_timeout": lock_ms,
        # A process that was stopped must not keep its locks for ever; one that may take its time may also stand still.
        "idle_in_transaction_session_timeout": 60_000 if statement_ms else 0,
        "timezone": "UTC",
        "datestyle": "ISO",
    }
    return {
        "connect_timeout": 3, "keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
        "tcp_user_timeout": 20_000,  # ms; keepalives say nothing while a question is on its way
        "application_name": f"flawline {os.getpid()}",
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }  # fmt: skip


def _prepare_sqlite(engine: Engine, *, foreign_keys: bool) -> None:
    pragmas = (
        "auto_vacuum=INCREMENTAL",  # counts only before the first page is written, so before WAL
        "journal_mode=WAL",
        "synchronous=FULL",  # offsets live in another file: a row must be as durable as its offset
        f"foreign_keys={'ON' if foreign_keys else 'OFF'}",
        "secure_delete=OFF",  # Debian builds SQLite with it on: each page that retention frees would be written again
    )

    def connected(raw: sqlite3.Connection, _record: object) -> None:
        raw.isolation_level = None  # SQLAlchemy, not the driver, begins transactions
        for pragma in pragmas:
            raw.execute(f"PRAGMA {pragma}").close()

    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)


def _sort_key(into: Table) -> Callable[[Row], tuple[Any, ...]]:
    names = [c.name for c in into.primary_key.columns]
    return lambda row: tuple(row[name] for name in names)


def _folded(into: Table, rows: Sequence[Row]) -> list[dict[str, Any]]:
    keys = [c.name for c in into.primary_key.columns]
    numbers = [c.name for c in into.columns if not c.primary_key]
    sums: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(lambda: dict.fromkeys(numbers, 0))
    for row in rows:
        total = sums[tuple(row[name] for name in keys)]
        for name in numbers:
            total[name] += row[name]
    return [dict(zip(keys, key, strict=True)) | total for key, total in sums.items()]


def ping(database: Database) -> None:
    """Ask the database for nothing. Raises StoreUnavailable when it does not answer."""
    with database.reading() as connection:
        connection.execute(text("SELECT 1"))
