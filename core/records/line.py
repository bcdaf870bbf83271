"""The line file in the books: which cameras are in the line now, and in which order they are shown."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from core.database import take_turns
from core.line import Line
from core.records import products
from core.records.audit import Change, write
from core.tables import cameras

_KEPT = ("station", "product", "partition", "deadline_ms", "in_line", "place")


def register(connection: Connection, line: Line, *, now: datetime) -> bool:
    """Make the books agree with the line file; False when they already did.

    Cameras that are not in the file stay, out of line: their rows stay readable.
    """
    take_turns(connection, ["line"])
    products.enter(connection, (camera.product for camera in line.camera), now=now)
    old = {row.name: {name: getattr(row, name) for name in _KEPT} for row in connection.execute(select(cameras))}
    new = {name: values | {"in_line": False} for name, values in old.items()} | _wanted(line)
    if old == new:
        return False
    for name in sorted(new):
        if name not in old:
            connection.execute(insert(cameras).values(name=name, updated_at=now, **new[name]))
        elif new[name] != old[name]:
            connection.execute(update(cameras).where(cameras.c.name == name).values(updated_at=now, **new[name]))
    write(connection, Change(at=now, who="line file", action="line.change", subject=line.name, old=old, new=new))
    return True


def cameras_in_line(connection: Connection) -> list[str]:
    """Names of the cameras of the line file, in its order."""
    wanted = select(cameras.c.name).where(cameras.c.in_line).order_by(cameras.c.place)
    return list(connection.scalars(wanted))


def _wanted(line: Line) -> dict[str, dict[str, Any]]:
    return {
        camera.name: {
            "station": camera.station,
            "product": camera.product,
            "partition": line.partition_of(camera.name),
            "deadline_ms": camera.deadline_ms,
            "in_line": True,
            "place": place,
        }
        for place, camera in enumerate(line.camera)
    }
