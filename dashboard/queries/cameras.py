"""The line's cameras and what their capture side last said of itself."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from core.tables import cameras, inspections, sessions


@dataclass(frozen=True, slots=True)
class CameraRow:
    """A camera of the line, in its place on the page."""

    name: str
    station: str
    product: str
    deadline_ms: int


@dataclass(frozen=True, slots=True)
class Report:
    """The newest report of a camera's capture side; `judged_to` is the number after the last judged frame."""

    session: int
    state: str
    detail: str
    triggered: int
    captured: int
    reconnects: int
    reported_at: datetime
    judged_to: int

    @property
    def waiting(self) -> int:
        """Pictures captured in this session after the last judged one."""
        return max(0, self.triggered - self.judged_to)


def in_line(connection: Connection) -> list[CameraRow]:
    """The cameras of the line file now in use, in its order."""
    columns = cameras.c.name, cameras.c.station, cameras.c.product, cameras.c.deadline_ms
    statement = select(*columns).where(cameras.c.in_line).order_by(cameras.c.place, cameras.c.name)
    return [CameraRow(*row) for row in connection.execute(statement)]


def report(connection: Connection, camera: str) -> Report | None:
    """The newest session of a camera, or None where none was ever reported."""
    statement = select(sessions).where(sessions.c.camera == camera).order_by(sessions.c.session.desc()).limit(1)
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    last = connection.scalar(
        select(func.max(inspections.c.seq)).where(inspections.c.camera == camera, inspections.c.session == row.session)
    )
    return Report(
        row.session, row.state, row.detail, row.triggered, row.captured, row.reconnects, row.reported_at,
        0 if last is None else last + 1,
    )  # fmt: skip
