"""The review queue as the page shows it: whole frames with their regions, and how many wait since when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, select

from core.records.reviews import unclaimed, undecided
from core.tables import inspections, reviews
from core.verdicts import MachineVerdict, RunType
from dashboard.queries.frames import Frame, frame_rows, frames_of

ATTENTION = (MachineVerdict.FAIL, MachineVerdict.REVIEW)
FILTERED = (*ATTENTION, MachineVerdict.INVALID)

# In SQL's own words, so that SQLite sees that its partial index holds all such rows.
NOT_PASSED: ColumnElement[bool] = literal_column("inspections.verdict <> 'PASS'")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many parts wait, by verdict and (those to decide) by camera, and when the oldest of them was captured."""

    by_verdict: dict[str, int]
    by_camera: dict[str, int]
    oldest: datetime | None

    @property
    def to_review(self) -> int:
        """Parts that wait for a decision; invalid pictures are asked for, not waited for."""
        return sum(self.by_verdict.get(verdict, 0) for verdict in ATTENTION)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which parts a reviewer wants to see: these verdicts, of one camera or, where "", of all."""

    verdicts: tuple[str, ...] = ATTENTION
    camera: str = ""


def waiting(connection: Connection, asked: Asked, *, reviewer: str, now: datetime, most: int = 40) -> list[Frame]:
    """The oldest parts that nobody has decided and no other reviewer holds, oldest first."""
    statement = frame_rows().where(_open(asked.verdicts), unclaimed(reviewer=reviewer, now=now))
    if asked.camera:
        statement = statement.where(inspections.c.camera == asked.camera)
    order = inspections.c.captured_at, inspections.c.camera, inspections.c.seq
    return frames_of(connection, connection.execute(statement.order_by(*order).limit(most)).all())


def tally(connection: Connection) -> Waiting:
    """Counts of all undecided parts, held ones included."""
    columns = inspections.c.verdict, inspections.c.camera
    statement = select(*columns, func.count(), func.min(inspections.c.captured_at)).where(_open(FILTERED))
    by_verdict: dict[str, int] = {}
    by_camera: dict[str, int] = {}
    oldest: list[datetime] = []
    for verdict, camera, number, first in connection.execute(statement.group_by(*columns)):
        by_verdict[verdict] = by_verdict.get(verdict, 0) + number
        if verdict in ATTENTION:
            by_camera[camera] = by_camera.get(camera, 0) + number
            oldest.append(first)
    return Waiting(by_verdict, by_camera, min(oldest, default=None))


def pace(connection: Connection, reviewer: str, start: datetime) -> tuple[int, float | None]:
    """How many calls a reviewer has made since `start`, and the median of their seconds."""
    statement = select(reviews.c.seconds).where(
        reviews.c.reviewer == reviewer, reviews.c.decided_at >= start, reviews.c.call.is_not(None)
    )
    taken = list(connection.scalars(statement))
    timed = sorted(seconds for seconds in taken if seconds is not None)
    return len(taken), timed[len(timed) // 2] if timed else None


def _open(verdicts: Sequence[str]) -> ColumnElement[bool]:
    named = inspections.c.verdict.in_([str(verdict) for verdict in verdicts])
    return and_(NOT_PASSED, inspections.c.run_type == str(RunType.PRODUCTION), named, undecided())
