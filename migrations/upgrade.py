"""`flawline db upgrade`: brings a database to this version's tables; found by its package, from any folder."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, make_url
from sqlalchemy.schema import SchemaItem

from core.database import available, check_server, file_of, make_engine, open_database, take_turns
from core.errors import SettingsInvalid, StoreUnavailable
from core.partitions import NAME, keep_ahead
from core.settings import Settings

HERE = Path(__file__).parent


def head() -> str:
    """The newest revision that this version knows."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    assert newest is not None, "migrations/versions is empty"
    return newest


def current(url: str) -> str | None:
    """The revision that a database stands at; None when it was never upgraded. Raises StoreUnavailable."""
    path = file_of(url)
    if path is not None and not path.exists():
        return None
    engine = make_engine(url)
    try:
        with available(engine, writes=False), engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def upgrade(url: str, revision: str = "head", *, busy_seconds: float = 30) -> str:
    """Bring a database to a revision, making a SQLite file and its folder where there is none; return the revision.

    All or nothing, and one process at a time: a second one waits, then finds nothing to do. Raises StoreUnavailable,
    and SettingsInvalid for a database of a newer version.
    """
    path = file_of(url)
    if path is not None:
        _make_folder(path)
    with _migrating(url, busy_seconds=busy_seconds) as connection:
        _run(command.upgrade, connection, revision)
        return MigrationContext.configure(connection).get_current_revision() or "base"


def prepare(settings: Settings, *, now: datetime) -> str:
    """Bring the settings' database to this version, with its partitions made ahead; return the revision."""
    reached = upgrade(settings.database_url)
    with open_database(settings.database_url, busy_seconds=settings.database.busy_seconds) as database:
        keep_ahead(database, settings.database, now=now)
    return reached


def downgrade(url: str, revision: str, *, busy_seconds: float = 30) -> str:
    """Take a database back to a revision, or to "base" = no tables at all; what newer tables held is lost."""
    with _migrating(url, busy_seconds=busy_seconds) as connection:
        _run(command.downgrade, connection, revision)
        return MigrationContext.configure(connection).get_current_revision() or "base"


def script(url: str, revision: str = "head") -> str:
    """The SQL that would make all tables up to a revision, for a database administrator; touches nothing."""
    written = io.StringIO()
    config = _config(written)
    config.attributes["dialect"] = make_url(url).get_backend_name()
    command.upgrade(config, revision, sql=True)
    return written.getvalue()


def comparing(dialect: str) -> dict[str, Any]:
    """Alembic's options for what is its business: no partition, which `core.partitions` makes and drops, and no index
    that another kind of database alone has.
    """

    def include_name(name: str | None, kind: str, _parents: object) -> bool:
        return not (kind == "table" and name is not None and NAME.fullmatch(name))

    def include_object(item: SchemaItem, *_: object) -> bool:
        return bool(item.info.get("dialect", dialect) == dialect)

    return {"include_name": include_name, "include_object": include_object}


@contextmanager
def _migrating(url: str, *, busy_seconds: float) -> Iterator[Connection]:
    """One writing transaction; SQLite rebuilds tables in it, so foreign keys are checked at its end instead."""
    engine = make_engine(url, busy_seconds=busy_seconds, foreign_keys=False, statement_seconds=0)
    try:
        with available(engine, writes=True), engine.execution_options(writes=True).begin() as connection:
            check_server(connection)
            take_turns(connection, ["upgrade"])
            yield connection
            if connection.dialect.name == "sqlite":
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                assert not broken, f"a revision left rows without what they reference: {broken}"
    finally:
        engine.dispose()


def _run(do: Callable[[Config, str], None], connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    try:
        do(config, revision)
    except CommandError as problem:
        raise SettingsInvalid(f"database {connection.engine.url}: {problem}; is flawline older than it?") from problem


def _config(output: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=output) if output is not None else Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StoreUnavailable(f"cannot make the folder of {path}: {problem}; check its permissions") from problem
