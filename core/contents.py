"""What a database holds, counted in one snapshot, for those who copy it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, inspect, make_url, text

import core.account_tables
import core.alert_tables  # noqa: F401 - both put their tables on the metadata
from core.database import available, file_of, make_engine
from core.errors import BackupUnusable
from core.partitions import NAME
from core.tables import metadata

VERSIONS = "alembic_version"
_LEAVES = """SELECT relname FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace
    WHERE nspname = 'public' AND relkind = 'r' ORDER BY relname"""  # what holds rows: partitions, not their parents


@dataclass(frozen=True, slots=True)
class Contents:
    """What a database holds: sqlite or postgresql, the revision of its tables, and the rows of each."""

    kind: str
    revision: str
    rows: Mapping[str, int]

    @property
    def total(self) -> int:
        """All rows but those that every database of ours has."""
        return sum(n for name, n in self.rows.items() if name != VERSIONS)


def contents(url: str) -> Contents:
    """What is in a database; nothing where there is no file. Raises StoreUnavailable."""
    path = file_of(url)
    if path is not None and not path.exists():
        return Contents("sqlite", "", {})
    with snapshot(url) as connection:
        return counted(connection)


@contextmanager
def snapshot(url: str) -> Iterator[Connection]:
    """One moment of the books, for reading that takes as long as it takes. Raises StoreUnavailable."""
    engine = make_engine(url, statement_seconds=0)
    reader = engine.execution_options(postgresql_readonly=True)
    if engine.dialect.name == "postgresql":
        reader = reader.execution_options(isolation_level="REPEATABLE READ")
    try:
        with available(engine, writes=False), reader.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def counted(connection: Connection) -> Contents:
    """What the transaction sees."""
    quoted = connection.dialect.identifier_preparer.quote
    counts = {name: f"SELECT count(*) FROM {quoted(name)}" for name in leaves(connection)}  # noqa: S608 - no value
    rows = {name: int(connection.exec_driver_sql(count).scalar_one()) for name, count in counts.items()}
    revision = connection.scalar(text("SELECT version_num FROM alembic_version")) if VERSIONS in rows else None
    return Contents(connection.dialect.name, revision or "", rows)


def leaves(connection: Connection) -> list[str]:
    """The tables that hold rows."""
    if connection.dialect.name == "postgresql":
        return list(connection.scalars(text(_LEAVES)))
    return sorted(inspect(connection).get_table_names())


def strangers(connection: Connection) -> list[str]:
    """Tables that are not flawline's; a database that has some is not ours to empty."""
    ours = {*metadata.tables, VERSIONS}
    return [name for name in leaves(connection) if name not in ours and not NAME.fullmatch(name)]


def require_rows(found: Mapping[str, int], expected: Contents) -> None:
    """Raise BackupUnusable unless the rows are those that were counted when the copy was made."""
    names = sorted(name for name in {*found, *expected.rows} if found.get(name) != expected.rows.get(name))
    if names:
        said = ", ".join(f"{name} {found.get(name)} instead of {expected.rows.get(name)}" for name in names[:5])
        raise BackupUnusable(f"the backup does not hold the rows that it names: {said}; restore another one")


def kind_of(url: str) -> str:
    """sqlite or postgresql."""
    return make_url(url).get_backend_name()
