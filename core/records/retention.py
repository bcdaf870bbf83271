"""Retention beside the verdict rows: every other table that grows with time, the oldest first, in small transactions.

Routes, replays and rejected messages live as long as verdict rows; counters by minute and closed alerts have lives of
their own. What the books count stays counted (`core.records.dropped_counts`). Never dropped: `sessions` and
`dropped_rows`, a few rows for each start of a camera's process; what people decided (reviews, audit log, models).
`camera_signs` keeps the newest processes of each camera by itself (`core.records.signs`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, any_, delete, func, literal_column, select

from core.account_tables import capture_minutes, replays, route_frames, route_minutes, routes
from core.alert_tables import alerts
from core.database import Database
from core.records import dropped
from core.records.dropped import horizon, in_batches
from core.records.dropped_counts import Count, add
from core.settings import Settings
from core.tables import rejected_frames, review_claims, rollup_minute

_DAY = timedelta(days=1)
Rows = Sequence[Any]


def _forgotten(_connection: Connection, _rows: Rows, _before: datetime) -> None:
    """The books do not count it."""


@dataclass(frozen=True, slots=True)
class Old:
    """Rows of a table that are past their time by a column; `settle` keeps what must stay of the dropped ones."""

    table: Table
    time: Column[datetime]
    settle: Callable[[Connection, Rows, datetime], None] = _forgotten


def _routes(connection: Connection, gone: Rows, before: datetime) -> None:
    """With the pictures that were weighed for them."""
    numbers: dict[tuple[str, int], list[int]] = {}
    for row in gone:
        numbers.setdefault((row.gate, row.session), []).append(row.number)
    t = route_frames.c
    for (gate, session), mine in sorted(numbers.items()):
        connection.execute(delete(route_frames).where(t.gate == gate, t.gate_session == session, t.number.in_(mine)))
    add(connection, Count.ROUTES, {("", 0): len(gone)}, before)


def _rejected(connection: Connection, gone: Rows, before: datetime) -> None:
    add(connection, Count.REJECTED, Counter((row.topic, 0) for row in gone), before)


def _captured(connection: Connection, gone: Rows, before: datetime) -> None:
    for what in (Count.TRIGGERED, Count.CAPTURED):
        add(connection, what, _sums(((row.camera, row.session), getattr(row, what)) for row in gone), before)


def _judged(connection: Connection, gone: Rows, before: datetime) -> None:
    add(connection, Count.JUDGED, _sums(((row.camera, 0), row.n) for row in gone), before)


def _route_minutes(connection: Connection, gone: Rows, before: datetime) -> None:
    add(connection, Count.ROUTE_MINUTES, {("", 0): len(gone)}, before)


ROUTES = Old(routes, routes.c.triggered_at, _routes)
REPLAYS = Old(replays, replays.c.captured_at)
REJECTED = Old(rejected_frames, rejected_frames.c.rejected_at, _rejected)
MINUTES = (
    Old(capture_minutes, capture_minutes.c.minute, _captured), Old(rollup_minute, rollup_minute.c.minute, _judged),
    Old(route_minutes, route_minutes.c.minute, _route_minutes),
)  # fmt: skip
ALERTS = Old(alerts, alerts.c.closed_at)
CLAIMS = Old(review_claims, review_claims.c.lease_until)


def drop_beside_rows(database: Database, settings: Settings, *, now: datetime) -> int:
    """Drop routes, replays and rejected messages that are older than verdict rows may be. Raises StoreUnavailable.

    A rejected message stays at least as long as the log may deliver it again.
    """
    before = horizon(settings.database.keep_days, now=now)
    if before is None:
        return 0
    unread = now - timedelta(hours=settings.broker.retention_hours) - _DAY
    return drop(database, [ROUTES, REPLAYS], before) + drop(database, [REJECTED], min(before, unread))


def drop_minutes(database: Database, settings: Settings, *, now: datetime) -> int:
    """Drop the counters of minutes that are past their time. Raises StoreUnavailable."""
    before = horizon(settings.database.keep_minute_days, now=now)
    return 0 if before is None else drop(database, MINUTES, before)


def drop_alerts(database: Database, settings: Settings, *, now: datetime) -> int:
    """Drop alerts that closed long ago, never an open one. Raises StoreUnavailable."""
    before = horizon(settings.database.keep_alert_days, now=now)
    return 0 if before is None else drop(database, [ALERTS], before)


def drop_claims(database: Database, *, now: datetime) -> int:
    """Drop reservations of parts to review that ended a day ago: they hold nothing. Raises StoreUnavailable."""
    return drop(database, [CLAIMS], now - _DAY)


def drop(database: Database, kinds: Iterable[Old], before: datetime) -> int:
    """Drop what is older than `before`, at most 50 000 rows of each kind; return how many. Raises StoreUnavailable."""

    def of(old: Old) -> Callable[[Connection], int]:
        def batch(connection: Connection) -> int:
            gone = _oldest(connection, old, before)
            if gone:
                old.settle(connection, gone, before)
            return len(gone)

        return batch

    return sum(in_batches(database, of(old)) for old in kinds)


def _oldest(connection: Connection, old: Old, before: datetime) -> Rows:
    """Delete a batch of the oldest and return them, found by their place in the file: no key is quicker.

    A row that a writer holds at this moment is left for the next time.
    """
    server = connection.dialect.name == "postgresql"
    place = "ctid" if server else "rowid"
    oldest = old.table.alias("oldest")
    time = oldest.c[old.time.name]
    there: ColumnElement[Any] = literal_column(f"oldest.{place}")
    here: ColumnElement[Any] = literal_column(f"{old.table.name}.{place}")
    found = select(there).select_from(oldest).where(time < before).order_by(time).limit(dropped.BATCH)
    found = found.with_for_update(skip_locked=True)
    those = here == any_(func.array(found.scalar_subquery())) if server else here.in_(found)
    return connection.execute(delete(old.table).where(those).returning(*old.table.c)).all()


def _sums(pairs: Iterable[tuple[tuple[str, int], int]]) -> dict[tuple[str, int], int]:
    sums: dict[tuple[str, int], int] = {}
    for key, n in pairs:
        sums[key] = sums.get(key, 0) + n
    return sums
