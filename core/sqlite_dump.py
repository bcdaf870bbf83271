"""SQLite's own backup interface: a copy of one moment, while others read and write."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from core.contents import Contents, counted, require_rows, snapshot
from core.database import available, file_of, make_engine
from core.errors import BackupUnusable, SettingsInvalid, StoreUnavailable


def dump(url: str, target: Path) -> Contents:
    """Write a copy to a new file. Raises SettingsInvalid where there is no database, StoreUnavailable."""
    path = file_of(url)
    if path is not None and not path.exists():
        raise SettingsInvalid(f"no database at {path}: nothing to back up; check FLAWLINE_DATA")
    with _copied(url, _url(target)) as copy:
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    with snapshot(_url(target)) as connection:
        return counted(connection)


def load(url: str, dumped: Path, expected: Contents) -> None:
    """Put the copy in the database's place; others see the old one or the new one. Raises StoreUnavailable."""
    require_rows(rows_of(dumped), expected)
    path = file_of(url)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    with _copied(_url(dumped), url):
        pass


def rows_of(dumped: Path) -> dict[str, int]:
    """The rows of each table in a copy that SQLite finds whole. Raises BackupUnusable."""
    with snapshot(_url(dumped)) as connection:
        found = connection.scalars(text("PRAGMA quick_check")).all()
        if found != ["ok"]:
            raise BackupUnusable(f"the copy of the database is damaged: {found[0]}; restore another backup")
        return dict(counted(connection).rows)


@contextmanager
def _copied(source: str, target: str) -> Iterator[Any]:
    """All pages of one database in another, which changes in one transaction; gives the driver's connection to it."""
    given, taken = make_engine(source), make_engine(target)
    errors = given.dialect.loaded_dbapi.Error
    try:
        with available(taken, writes=True), _raw(given) as pages, _raw(taken) as copy:
            pages.backup(copy)
            yield copy
    except errors as problem:
        raise StoreUnavailable(f"database {target}: {problem}; stop the line, then try again") from problem
    finally:
        given.dispose()
        taken.dispose()


@contextmanager
def _raw(engine: Engine) -> Iterator[Any]:
    with closing(engine.raw_connection()) as connection:
        yield connection.driver_connection


def _url(path: Path) -> str:
    return f"sqlite:///{path}"
