"""The line's cameras, what their capture side last said of itself, and their newest verdict."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from core.records.frames import of_session
from core.records.inspections import Inspected
from core.tables import cameras, inspections, sessions
from core.times import utc_of
from dashboard.queries import frames
from dashboard.queries.frames import Bar, Frame, Region


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
    last = connection.scalar(select(func.max(inspections.c.seq)).where(of_session(inspections, camera, row.session)))
    return Report(
        row.session, row.state, row.detail, row.triggered, row.captured, row.reconnects, row.reported_at,
        0 if last is None else last + 1,
    )  # fmt: skip


def newest(connection: Connection, bar: Bar | None, camera: str, shown: Inspected | None) -> Frame | None:
    """A camera's newest verdict: as the live cache shows it, or from the books where that is missing or older.

    bar: the camera's newest row in the books. What is shown may be newer: it was written since they were opened.
    """
    if bar is None:
        return None
    if shown is not None and utc_of(shown.frame.captured_at) >= bar.captured_at:
        return frame_of(shown)
    return frames.newest(connection, camera)


def frame_of(row: Inspected) -> Frame:
    """A row as it reads in the books once it is written."""
    taken = ("station", "product", "part_id", "lot", "view", "deadline_ms", "width", "height")
    judged = ("detail", "score", "recipe_version", "is_late", "predict_ms", "worker", "model_id")
    kept = ("picture", "thumb", "heat", "heat_min", "heat_max", "golden")
    return Frame(
        id=row.id,
        captured_at=utc_of(row.frame.captured_at),
        inspected_at=utc_of(row.inspected_at),
        verdict=str(row.verdict),
        reason=str(row.reason),
        t_lo=row.limits.t_lo if row.limits else None,
        t_hi=row.limits.t_hi if row.limits else None,
        latency_ms=(row.inspected_at - row.frame.captured_at) / 1e6,
        model=row.model_version,
        regions=tuple(Region(**asdict(region)) for region in row.regions),
        **{name: getattr(row.frame, name) for name in taken},
        **{name: getattr(row, name) for name in (*judged, *kept)},
    )
