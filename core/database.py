"""The database: one engine, two kinds of transaction, and the only place that knows how dialects differ.

`reading()` is a snapshot that refuses to write; `writing()` is one transaction, BEGIN IMMEDIATE on SQLite, where a
deferred one that reads first cannot become a writer under concurrency (streaming.md §4.5).
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Column, Connection, Engine, Table, create_engine, event, inspect, make_url, select, table, text
from sqlalchemy import column as named
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.errors import SettingsInvalid, StoreUnavailable
from core.tables import REVISION

Row = Mapping[str, Any]

_INSERT: dict[str, Callable[[Table], sqlite.Insert | postgresql.Insert]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}
_VERSIONS = table("alembic_version", named("version_num"))
_UPGRADE = "run `flawline db upgrade`"

# SQLite says "no such table" by the same exception as "locked": only the code tells a fault of ours from the world's.
_AWAY = {
    sqlite3.SQLITE_BUSY: "another process holds its lock; wait, or find the process that does not let go",
    sqlite3.SQLITE_LOCKED: "another connection holds its lock; wait, or find the transaction that does not end",
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; check the path, its folder and their permissions",
    sqlite3.SQLITE_READONLY: "the file cannot be written; check its permissions, and whether it was moved or replaced",
    sqlite3.SQLITE_PERM: "the file may not be used; check its permissions",
    sqlite3.SQLITE_IOERR: "the disk reports an error; check the disk and the system log",
    sqlite3.SQLITE_PROTOCOL: "its locks do not work; the file must lie on a local disk, not on a network share",
    sqlite3.SQLITE_NOMEM: "memory ran out",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; stop, keep a copy, and restore the last backup",
    sqlite3.SQLITE_NOTADB: "the file is not a database or is damaged; check the path, or restore the last backup",
}


class Database:
    """An open database; close it, or leave its `with`, to give the connections back. Safe to share among threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(postgresql_readonly=True)
        self._writer = engine.execution_options(writes=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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


def make_engine(url: str, *, busy_seconds: float = 10, foreign_keys: bool = True) -> Engine:
    """An engine with the settings of its dialect; nothing connects yet. Raises SettingsInvalid for another dialect.

    foreign_keys: off only while a migration rebuilds tables of SQLite.
    """
    dialect = make_url(url).get_backend_name()
    serializer = partial(json.dumps, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if dialect == "postgresql":
        return create_engine(url, json_serializer=serializer, pool_pre_ping=True, connect_args=_server(busy_seconds))
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


@contextmanager
def available(engine: Engine, *, writes: bool) -> Iterator[None]:
    """Turn what the world did to the database into StoreUnavailable; what we did wrong goes through unchanged."""
    try:
        yield
    except PoolTimeout as problem:
        raise StoreUnavailable(f"database {engine.url}: all connections are in use; {problem}") from problem
    except DBAPIError as problem:
        reason = _reason(problem, writes=writes)
        if reason is None:
            raise
        raise StoreUnavailable(f"database {engine.url}: {reason} ({problem.orig})") from problem


def _reason(problem: DBAPIError, *, writes: bool) -> str | None:
    code = getattr(problem.orig, "sqlite_errorcode", None)
    if code is not None:
        primary = code & 0xFF  # extended codes keep the primary one in their low byte
        refused = primary == sqlite3.SQLITE_READONLY and not writes  # our own write in a reading transaction
        return None if refused else _AWAY.get(primary)
    if isinstance(problem.orig, sqlite3.Error):  # raised by the driver itself: no code, a fault of ours
        return None
    lost = problem.connection_invalidated or isinstance(problem, OperationalError | InterfaceError)
    return "it does not answer or broke off; check that it runs and can be reached" if lost else None


def _check_revision(engine: Engine) -> None:
    """Raise SettingsInvalid unless the tables are those of this version."""
    with available(engine, writes=False), engine.connect() as connection:
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


def _server(busy_seconds: float) -> dict[str, Any]:
    lock_ms = round(busy_seconds * 1000)
    return {
        "connect_timeout": 3, "keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
        "options": f"-c statement_timeout=15000 -c lock_timeout={lock_ms}",
    }  # fmt: skip


def _prepare_sqlite(engine: Engine, *, foreign_keys: bool) -> None:
    pragmas = (
        "auto_vacuum=INCREMENTAL",  # counts only before the first page is written, so before WAL
        "journal_mode=WAL",
        "synchronous=FULL",  # offsets live in another file: a row must be as durable as its offset
        f"foreign_keys={'ON' if foreign_keys else 'OFF'}",
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
