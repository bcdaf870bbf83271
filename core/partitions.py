"""PostgreSQL's partitions by time of capture: made ahead, made on demand, dropped by retention (streaming.md §4.3).

A partition holds whole days UTC and is named after the first: inspections_20261124. Nothing else is called so, and no
migration touches it. SQLite has none: there retention deletes rows.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Boolean, Connection, TableValuedAlias, func, literal, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from core.database import Database, lock_number, take_turns
from core.settings import DatabaseSettings
from core.tables import inspections, regions

TABLES = (inspections.name, regions.name)
NAME = re.compile(rf"({'|'.join(TABLES)})_(\d{{8}})")
DAY = timedelta(days=1)

_MAKING, _DETACHING = "partitions", "detaching partitions"
_SPANS = """SELECT pg_get_expr(child.relpartbound, child.oid)
    FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid WHERE inhparent = to_regclass(:parent)"""

_HALF_DETACHED = """SELECT inhrelid::regclass::text FROM pg_inherits
    WHERE inhparent = to_regclass(:parent) AND inhdetachpending"""
_DETACHED = """SELECT relname FROM pg_class
    WHERE relkind = 'r' AND NOT relispartition AND pg_table_is_visible(oid) ORDER BY relname"""

T = TypeVar("T")


class Span(NamedTuple):
    """What one partition holds: `start` <= captured_at < `end`."""

    start: datetime
    end: datetime


class captured_since(FunctionElement[bool]):  # noqa: N801 - reads as the condition that it is
    """`captured_since(table.c.captured_at, moment)`: a condition that holds anyway and spares PostgreSQL partitions.

    SQLite is not told: it would leave the index that answers the rest of the question.
    """

    type = Boolean()
    name = "captured_since"
    inherit_cache = True


@compiles(captured_since)
def _on_partitions(element: "captured_since", compiler: SQLCompiler, **options: Any) -> str:
    column, moment = element.clauses
    return f"{compiler.process(column, **options)} >= {compiler.process(moment, **options)}"


@compiles(captured_since, "sqlite")
def _on_sqlite(_: "captured_since", __: SQLCompiler, **___: Any) -> str:
    return "1"


def unnested(columns: Mapping[str, tuple[TypeEngine[Any], Sequence[Any]]]) -> TableValuedAlias:
    """A table of these columns' values, row by row, to be joined with: one statement, however many rows. PostgreSQL."""
    arrays = (literal(list(values), postgresql.ARRAY(kind)) for kind, values in columns.values())
    return func.unnest(*arrays).table_valued(*columns).render_derived()


def is_partitioned(connection: Connection) -> bool:
    """Whether this database keeps its rows in partitions."""
    return connection.dialect.name == "postgresql"


def keep_ahead(database: Database, settings: DatabaseSettings, *, now: datetime) -> int:
    """Make what is missing of the partitions for now and `partitions_ahead` more; return how many were made."""
    with database.writing() as connection:
        if not is_partitioned(connection):
            return 0
        days = timedelta(days=settings.partition_days)
        return _cover(connection, Span(_day(now), _day(now) + days * (settings.partitions_ahead + 1)), days)


def next_missing(connection: Connection, *, now: datetime) -> datetime | None:
    """The first moment from now on that no partition would take; None where there are no partitions.

    An alert is due when it is near: housekeeping no longer makes them. Writers then make one a day themselves.
    """
    if not is_partitioned(connection):
        return None
    return min(_gap(now, _spans(connection, table)) for table in TABLES)


def write_into(connection: Connection, moments: Collection[datetime], write: Callable[[], T]) -> T:
    """Run `write`, which inserts rows of these moments; where it finds no partition, make one and run it again."""
    if not is_partitioned(connection):
        return write()
    try:
        with connection.begin_nested():
            return write()
    except IntegrityError as problem:
        if not _found_none(problem):
            raise
    for day in sorted({_day(moment) for moment in moments}):
        _cover(connection, Span(day, day + DAY), DAY)
    return write()


def detach(database: Database, *, before: datetime) -> None:
    """Take partitions that hold nothing since `before` out of their tables; `detached` lists them. For PostgreSQL.

    Writers and readers go on meanwhile. One that was interrupted is finished first. Where another process is at it,
    nothing happens. Raises StoreUnavailable, also when a transaction that looks at the table does not end.
    """
    with database.single() as connection:
        turn = {"number": lock_number(_DETACHING)}
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:number)"), turn):
            return
        for table in TABLES:
            for name in connection.scalars(text(_HALF_DETACHED), {"parent": table}).all():
                connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {name} FINALIZE"))
            for span in sorted(span for span in _spans(connection, table) if span.end <= before):
                connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {_name(table, span)} CONCURRENTLY"))


def detached(connection: Connection) -> list[str]:
    """Tables that were partitions; those of verdict rows stand first."""
    return [name for name in connection.scalars(text(_DETACHED)) if NAME.fullmatch(name)]


def _cover(connection: Connection, wanted: Span, days: timedelta) -> int:
    """Make partitions of `days` days wherever `wanted` has none; one process at a time, the others find them made."""
    take_turns(connection, [_MAKING])
    missing = [(table, hole) for table in TABLES for hole in holes(_spans(connection, table), wanted, days)]
    for table, hole in missing:
        _make(connection, table, hole)
    return len(missing)


def holes(spans: Collection[Span], wanted: Span, days: timedelta) -> Iterator[Span]:
    """Where `wanted` is free of `spans`, in pieces of at most `days`. Pure."""
    start = wanted.start
    while (start := _gap(start, spans)) < wanted.end:
        end = min([start + days, *(span.start for span in spans if span.start > start)])
        yield Span(start, end)
        start = end


def _gap(moment: datetime, spans: Collection[Span]) -> datetime:
    """The first moment from `moment` on that lies in no span."""
    while holding := [span.end for span in spans if span.start <= moment < span.end]:
        moment = max(holding)
    return moment


def _make(connection: Connection, table: str, span: Span) -> None:
    """By CREATE and ATTACH: CREATE … PARTITION OF would wait for every open transaction of a writer.

    One that retention detached and could not drop yet is attached again, with its rows.
    """
    name = _name(table, span)
    connection.execute(
        text(f"CREATE TABLE IF NOT EXISTS {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    )
    bounds = f"FROM ('{span.start.isoformat()}') TO ('{span.end.isoformat()}')"
    connection.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {bounds}"))


def _name(table: str, span: Span) -> str:
    return f"{table}_{span.start:%Y%m%d}"


def _spans(connection: Connection, table: str) -> list[Span]:
    found = connection.scalars(text(_SPANS), {"parent": table})
    return [Span(*map(datetime.fromisoformat, re.findall(r"'([^']+)'", bounds))) for bounds in found]


def _day(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _found_none(problem: IntegrityError) -> bool:
    """PostgreSQL has one code for "no partition" and for a broken CHECK; only the latter names a constraint."""
    told = problem.orig
    name = getattr(getattr(told, "diag", None), "constraint_name", None)
    return getattr(told, "pgcode", None) == "23514" and name is None
