"""What the watch reads of the frames: the newest verdicts of a camera, as far as an alert may follow from them."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, select

from core.tables import cameras, inspections
from core.verdicts import RunType

LIVE = timedelta(minutes=30)
BACKFILL_MS = 60_000.0
"""A frame that is judged longer after its capture comes out of a spool or a backlog: reported, no alarm (INV-9)."""


class Seen(NamedTuple):
    """A frame with its verdict; `latency_ms` from capture to verdict."""

    verdict: str
    reason: str
    captured_at: datetime
    latency_ms: float


class Watched(NamedTuple):
    """A camera of the line."""

    name: str
    product: str
    partition: int
    deadline_ms: int
    since: datetime


def in_line(connection: Connection) -> list[Watched]:
    """The cameras of the line file now in use, in its order."""
    t = cameras.c
    wanted = select(t.name, t.product, t.partition, t.deadline_ms, t.updated_at).where(t.in_line)
    return [Watched(*row) for row in connection.execute(wanted.order_by(t.place, t.name))]


def live(connection: Connection, camera: str, *, now: datetime, most: int = 1000) -> list[Seen]:
    """The camera's newest production frames of the last half hour, newest first, without backfill."""
    t = inspections.c
    mine = (t.camera == camera, t.captured_at >= now - LIVE, t.run_type == str(RunType.PRODUCTION))
    wanted = select(t.verdict, t.reason, t.captured_at, t.latency_ms).where(*mine, t.latency_ms <= BACKFILL_MS)
    return [Seen(*row) for row in connection.execute(wanted.order_by(t.captured_at.desc()).limit(most))]
