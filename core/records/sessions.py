"""The capture side's own books, by camera and session, as its newest report says."""

from sqlalchemy import Connection, and_, or_, update

from core.database import insert_new
from core.messages import CameraReported
from core.tables import sessions
from core.times import utc_of

_TOLD = ("station", "product", "state", "detail", "triggered", "captured", "reconnects")


def report(connection: Connection, told: CameraReported) -> bool:
    """Keep a report; False when a newer one is already there, so that redelivery and disorder change nothing.

    Newer is what has counted more triggers, and among equals what was told later: within a session the count only
    grows, while a clock may be set back.
    """
    values = {name: getattr(told, name) for name in _TOLD} | {"reported_at": utc_of(told.reported_at)}
    row = {"camera": told.camera, "session": told.session, **values}
    if insert_new(connection, sessions, [row], list(sessions.primary_key)):
        return True
    t = sessions.c
    later = and_(t.triggered == told.triggered, t.reported_at < values["reported_at"])
    mine = and_(t.camera == told.camera, t.session == told.session)
    newer = update(sessions).where(mine, or_(t.triggered < told.triggered, later)).values(values)
    return connection.execute(newer).rowcount == 1
