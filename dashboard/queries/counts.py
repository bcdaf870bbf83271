"""Counters of production since a time, from the rollups; rows are touched only where an index holds few of them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, literal_column, or_, select

from core.tables import inspections, rollup_minute
from core.times import minute_of
from core.verdicts import MachineVerdict, RunType

NEWEST_FOR_P99 = 1000


@dataclass(frozen=True, slots=True)
class Counts:
    """Frames by verdict; `unjudged` had no verdict in time (late, or none at all)."""

    n: int = 0
    n_pass: int = 0
    n_fail: int = 0
    n_review: int = 0
    n_invalid: int = 0
    n_no_verdict: int = 0
    unjudged: int = 0

    @property
    def judged(self) -> int:
        """Parts that the machine could judge: the denominator of the fail rate (INV-14)."""
        return self.n_pass + self.n_fail + self.n_review


def since(connection: Connection, start: datetime) -> Counts:
    """Production frames captured from `start` on."""
    names = ("n", "n_pass", "n_fail", "n_review", "n_invalid", "n_no_verdict")
    sums = [func.coalesce(func.sum(rollup_minute.c[name]), 0) for name in names]
    statement = select(*sums).where(
        rollup_minute.c.minute >= start, rollup_minute.c.run_type == str(RunType.PRODUCTION)
    )
    row = connection.execute(statement).one()
    counted = dict(zip(names, map(int, row), strict=True))
    return Counts(**counted, unjudged=_unjudged(connection, start))


def failed_since(connection: Connection, start: datetime) -> int:
    """Production frames that were failed, captured from `start` on."""
    statement = select(func.coalesce(func.sum(rollup_minute.c.n_fail), 0)).where(
        rollup_minute.c.minute >= start, rollup_minute.c.run_type == str(RunType.PRODUCTION)
    )
    return int(connection.scalar(statement) or 0)


def p99_ms(connection: Connection, start: datetime) -> float | None:
    """The 99th percentile of capture to verdict, ms, over the newest rows at most."""
    recent = _newest_minutes(connection, start, NEWEST_FOR_P99)  # or PostgreSQL would sort all rows since the start
    statement = (
        select(inspections.c.latency_ms)
        .where(inspections.c.captured_at >= recent, inspections.c.run_type == str(RunType.PRODUCTION))
        .order_by(inspections.c.captured_at.desc())
        .limit(NEWEST_FOR_P99)
    )
    latencies = sorted(connection.scalars(statement))
    return latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))] if latencies else None


def _newest_minutes(connection: Connection, start: datetime, most: int) -> datetime:
    """From when on there are `most` frames of production, by the counters; `start` where there are not so many."""
    t = rollup_minute.c
    since_start = t.minute >= minute_of(start), t.run_type == str(RunType.PRODUCTION)
    statement = (
        select(t.minute, func.sum(t.n).label("n")).where(*since_start).group_by(t.minute).order_by(t.minute.desc())
    )
    total = 0
    for row in connection.execute(statement):
        minute: datetime = row.minute
        total += row.n
        if total >= most:
            return max(minute, start)
    return start


def _unjudged(connection: Connection, start: datetime) -> int:
    statement = (
        select(func.count())
        .select_from(inspections)
        .where(
            literal_column("inspections.verdict <> 'PASS'"),  # the partial index's words; a late part is no PASS
            or_(inspections.c.is_late, inspections.c.verdict == str(MachineVerdict.NO_VERDICT)),
            inspections.c.captured_at >= start,
            inspections.c.run_type == str(RunType.PRODUCTION),
        )
    )
    return int(connection.scalar(statement) or 0)
