"""What a capture process told in its newest report beside its counts: alarms, spool, machine."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, delete, select, update

from core.account_tables import camera_signs
from core.database import insert_new
from core.messages import CameraReported
from core.tables import sessions
from core.times import utc_of

KEPT = 10  # processes of a camera
_SAME = ("alarm", "spool_bytes", "spool_oldest_ms", "diverted", "host")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A capture process by its newest report; `alarm` has a line for each thing that is wrong, its code first."""

    session: int
    state: str
    detail: str
    reported_at: datetime
    alarm: str
    host: str


def keep(connection: Connection, told: CameraReported) -> None:
    """Keep the signs of a report that `sessions.report` took as the newest; those of its oldest processes go."""
    values = {name: getattr(told, name) for name in _SAME} | {"reported_at": utc_of(told.reported_at)}
    key = {"camera": told.camera, "session": told.session}
    if not insert_new(connection, camera_signs, [key | values], list(camera_signs.primary_key)):
        mine = and_(*(camera_signs.c[name] == value for name, value in key.items()))
        connection.execute(update(camera_signs).where(mine).values(values))
        return
    t = camera_signs.c
    last = select(t.session).where(t.camera == told.camera).order_by(t.session.desc()).offset(KEPT - 1).limit(1)
    oldest = connection.scalar(last)
    if oldest is not None:
        connection.execute(delete(camera_signs).where(t.camera == told.camera, t.session < oldest))


def newest(connection: Connection, camera: str, *, most: int = 3) -> list[Sign]:
    """The newest processes of a camera, by their start, newest first."""
    t, more = sessions.c, camera_signs.c
    same = and_(more.camera == t.camera, more.session == t.session)
    wanted = select(t.session, t.state, t.detail, t.reported_at, more.alarm, more.host)
    wanted = wanted.select_from(sessions.outerjoin(camera_signs, same)).where(t.camera == camera)
    return [
        Sign(
            session=row.session,
            state=row.state,
            detail=row.detail,
            reported_at=row.reported_at,
            alarm=row.alarm or "",
            host=row.host or "",
        )
        for row in connection.execute(wanted.order_by(t.session.desc()).limit(most))
    ]
