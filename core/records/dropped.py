"""Retention of verdict rows: they go with their regions, and stay counted, so that the books balance without them.

By default they live for ever. What is told in counters (minutes, sessions) and by people (reviews) is never dropped.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, delete, func, select, table, text, update
from sqlalchemy import column as named

from core.database import Database, give_back_pages, insert_new
from core.messages import FrameId
from core.partitions import detach, detached, is_partitioned
from core.records.frames import among
from core.settings import DatabaseSettings
from core.tables import dropped_rows, inspections, regions
from core.verdicts import MachineVerdict

BATCH = 2000  # rows of SQLite in one transaction: the worker waits for its turn meanwhile
MOST = 50_000  # rows of SQLite in one call


@dataclass(frozen=True, slots=True)
class Dropped:
    """What retention has dropped of one session: frames by verdict, and the newest number among them."""

    verdicts: dict[MachineVerdict, int]
    newest_seq: int


class _Count(NamedTuple):
    camera: str
    session: int
    verdict: str
    n: int
    newest_seq: int


class _Gone(NamedTuple):
    camera: str
    session: int
    verdict: str
    seq: int


def horizon(settings: DatabaseSettings, *, now: datetime) -> datetime | None:
    """What was captured before this is past its time, by whole days UTC; None where rows live for ever. Pure."""
    if not settings.keep_days:
        return None
    kept = (now - timedelta(days=settings.keep_days)).astimezone(UTC)
    return kept.replace(hour=0, minute=0, second=0, microsecond=0)


def drop_old(database: Database, settings: DatabaseSettings, *, now: datetime) -> int:
    """Drop verdict rows that are past their time; return how many. Raises StoreUnavailable.

    PostgreSQL drops whole partitions; SQLite at most 50 000 rows in one call, the oldest first.
    """
    before = horizon(settings, now=now)
    if before is None:
        return 0
    with database.reading() as connection:
        partitioned = is_partitioned(connection)
    return _drop_partitions(database, before) if partitioned else _delete(database, before)


def by_session(connection: Connection) -> dict[tuple[str, int], Dropped]:
    """What was dropped, by camera and session."""
    found: dict[tuple[str, int], Dropped] = {}
    for row in connection.execute(select(dropped_rows)):
        key, earlier = (row.camera, row.session), found.get((row.camera, row.session), Dropped({}, -1))
        verdicts = earlier.verdicts | {MachineVerdict(row.verdict): row.n}
        found[key] = Dropped(verdicts, max(earlier.newest_seq, row.newest_seq))
    return found


def complete_since(connection: Connection) -> datetime | None:
    """The time from which on all rows are there; None where none was ever dropped."""
    before: datetime | None = connection.scalar(select(func.max(dropped_rows.c.before)))
    return before


def _drop_partitions(database: Database, before: datetime) -> int:
    """Count and drop each in one transaction; one that was detached and could not be dropped comes again."""
    detach(database, before=before)
    with database.reading() as connection:
        names = detached(connection)
    return sum(_drop_table(database, name, before) for name in names)


def _drop_table(database: Database, name: str, before: datetime) -> int:
    of_rows = name.startswith(inspections.name)
    with database.writing() as connection:
        newest = connection.scalar(
            select(func.max(named("captured_at", inspections.c.captured_at.type))).select_from(table(name))
        )
        if newest is not None and newest >= before:
            return 0  # detached by somebody else, or when rows were to be kept for less long
        counts = _counts(connection, name) if of_rows else []
        _keep(connection, counts, before)
        connection.execute(text(f"DROP TABLE {name}"))
    return sum(count.n for count in counts)


def _counts(connection: Connection, name: str) -> list[_Count]:
    group: list[Any] = [named(each) for each in ("camera", "session", "verdict")]
    counted = select(*group, func.count(), func.max(named("seq"))).select_from(table(name)).group_by(*group)
    return [_Count._make(row) for row in connection.execute(counted)]


def _delete(database: Database, before: datetime) -> int:
    dropped = 0
    while dropped < MOST:
        with database.writing() as connection:
            gone = _delete_oldest(connection, before)
            _keep(connection, _counted(gone), before)
        with database.writing() as connection:
            give_back_pages(connection)
        dropped += len(gone)
        if len(gone) < BATCH:
            break
    return dropped


def _delete_oldest(connection: Connection, before: datetime) -> list[_Gone]:
    t = inspections.c
    oldest = select(t.camera, t.session, t.seq).where(t.captured_at < before).order_by(t.captured_at).limit(BATCH)
    frames = [FrameId(*row) for row in connection.execute(oldest)]
    for mine in among(connection, regions, frames):
        connection.execute(delete(regions).where(mine))
    gone = delete(inspections).returning(t.camera, t.session, t.verdict, t.seq)
    return [
        _Gone._make(row)
        for mine in among(connection, inspections, frames)
        for row in connection.execute(gone.where(mine))
    ]


def _counted(rows: Sequence[_Gone]) -> Iterator[_Count]:
    seqs: dict[tuple[str, int, str], list[int]] = {}
    for camera, session, verdict, seq in rows:
        seqs.setdefault((camera, session, verdict), []).append(seq)
    return (_Count(*key, len(found), max(found)) for key, found in seqs.items())


def _keep(connection: Connection, counts: Iterable[_Count], before: datetime) -> None:
    """Add to what was dropped earlier."""
    t = dropped_rows.c
    for count in counts:
        row = count._asdict() | {"before": before}
        if insert_new(connection, dropped_rows, [row], list(dropped_rows.primary_key)):
            continue
        mine = and_(t.camera == count.camera, t.session == count.session, t.verdict == count.verdict)
        newest = max(count.newest_seq, connection.scalar(select(t.newest_seq).where(mine)) or 0)
        more = {"n": t.n + count.n, "newest_seq": newest, "before": before}
        connection.execute(update(dropped_rows).where(mine).values(more))
