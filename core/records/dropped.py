"""Retention of verdict rows: they go with their regions, and stay counted, so that the books balance without them.

By default they live for ever. `core.records.retention` drops what stands beside them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, delete, func, select, table, text, update
from sqlalchemy import column as named

from core.database import Database, give_back_pages, insert_new
from core.messages import FrameId
from core.partitions import detach, detached, is_partitioned
from core.records import dropped_counts
from core.records.dropped_counts import BY_MINUTE, Count
from core.records.frames import among
from core.settings import DatabaseSettings
from core.tables import dropped_rows, inspections, regions
from core.verdicts import MachineVerdict

BATCH = 2000  # rows in one transaction: on SQLite the worker waits for its turn meanwhile
MOST = 50_000  # rows in one call
COUNTED = (*BY_MINUTE, Count.REJECTED)  # what the books of a time count beside rows


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


def horizon(keep_days: float, *, now: datetime) -> datetime | None:
    """What was before this is past its time, by whole days UTC; None where it lives for ever. Pure."""
    if not keep_days:
        return None
    kept = (now - timedelta(days=keep_days)).astimezone(UTC)
    return kept.replace(hour=0, minute=0, second=0, microsecond=0)


def drop_old(database: Database, settings: DatabaseSettings, *, now: datetime) -> int:
    """Drop verdict rows that are past their time; return how many. Raises StoreUnavailable.

    PostgreSQL drops whole partitions; SQLite at most 50 000 rows in one call, the oldest first.
    """
    before = horizon(settings.keep_days, now=now)
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
    """The time from which on all rows, and all counts of minutes, are there; None where none was ever dropped."""
    rows: datetime | None = connection.scalar(select(func.max(dropped_rows.c.before)))
    return max(filter(None, (rows, dropped_counts.complete_since(connection, COUNTED))), default=None)


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
    def batch(connection: Connection) -> int:
        gone = _delete_oldest(connection, before)
        _keep(connection, _counted(gone), before)
        return len(gone)

    return in_batches(database, batch)


def in_batches(database: Database, batch: Callable[[Connection], int]) -> int:
    """Let `batch` drop up to BATCH rows in a transaction of its own, again and again, up to MOST; return how many."""
    total = 0
    while total < MOST:
        with database.writing() as connection:
            number = batch(connection)
        with database.writing() as connection:
            give_back_pages(connection)
        total += number
        if number < BATCH:
            break
    return total


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
