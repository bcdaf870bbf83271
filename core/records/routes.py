"""Where the gates sent each part, as their newest word says, and how many, by minute.

A gate tells of a part once, at least once delivered: what is there stays, unless a newer word of the same part comes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, update

from core.account_tables import route_frames, route_minutes, routes
from core.database import add_up, insert_new
from core.messages import FrameId, PartRouted, RouteId
from core.records import dropped_counts
from core.times import minute_of, utc_of
from core.verdicts import PhysicalRoute

LATELY = timedelta(hours=1)
_SAME = ("station", "product", "part_id", "lot", "trigger_seq", "verdict", "reason", "detail", "action", "route",
         "bypass", "line_state", "flags", "alarms")  # fmt: skip


def keep(connection: Connection, told: PartRouted) -> bool:
    """Keep what a gate told of a part; False when that or something newer is already there: then nothing counts."""
    seen = {FrameId(camera, session, seq): utc_of(at) for camera, session, seq, at in told.frames}
    blind = _others(connection, told) - {id_.camera for id_ in seen} if seen else set[str]()
    new = {name: getattr(told, name) for name in _SAME} | {"unseen_by": ",".join(sorted(blind))}
    new |= {"triggered_at": utc_of(told.triggered_at), "routed_at": utc_of(told.routed_at)}
    if not insert_new(connection, routes, [told.id._asdict() | new], list(routes.primary_key)):
        old = connection.execute(select(routes).where(_is(told.id)).with_for_update()).mappings().one()
        if old["routed_at"] >= new["routed_at"]:
            return False
        add_up(connection, route_minutes, _counts(old, _frames(connection, told.id), -1))
        connection.execute(delete(route_frames).where(_of(told.id)))
        connection.execute(update(routes).where(_is(told.id)).values(new))
    place = {"gate": told.gate, "gate_session": told.session, "number": told.number}
    rows = [place | id_._asdict() | {"captured_at": at} for id_, at in seen.items()]
    insert_new(connection, route_frames, rows, list(route_frames.primary_key))
    add_up(connection, route_minutes, _counts({"gate": told.gate} | new, seen, 1))
    return True


def kept_since(connection: Connection) -> datetime | None:
    """The time of the trigger before which retention has dropped routes; None where it never did."""
    return dropped_counts.complete_since(connection, [dropped_counts.Count.ROUTES])


def where_to(connection: Connection, frame: FrameId) -> str | None:
    """The physical route of the part that a picture shows; None where no gate told."""
    mine = and_(*(route_frames.c[name] == value for name, value in frame._asdict().items()))
    part = [routes.c.gate == route_frames.c.gate, routes.c.session == route_frames.c.gate_session]
    wanted = select(routes.c.route).join(route_frames, and_(*part, routes.c.number == route_frames.c.number))
    found: str | None = connection.scalar(wanted.where(mine).order_by(routes.c.routed_at.desc()).limit(1))
    return found


@dataclass(frozen=True, slots=True)
class GateWord:
    """What a gate said with its newest part. `unconfirmed`: parts since then that it commanded and no sensor saw."""

    gate: str
    routed_at: datetime
    alarms: tuple[str, ...]
    unconfirmed: int


def gates(connection: Connection, *, since: datetime) -> list[GateWord]:
    """The gates that parts came to since then, by name."""
    t = routes.c
    lost = func.count().filter(t.route == str(PhysicalRoute.UNCONFIRMED)).label("lost")
    newest = select(t.gate, lost, func.max(t.routed_at).label("at")).where(t.triggered_at >= since).group_by(t.gate)
    said = []
    for row in connection.execute(newest.order_by(t.gate)):
        mine = select(t.alarms).where(t.gate == row.gate, t.triggered_at >= since)
        alarms = connection.scalar(mine.order_by(t.routed_at.desc(), t.number.desc()).limit(1)) or ""
        said.append(GateWord(row.gate, row.at, tuple(filter(None, alarms.split(","))), int(row.lost)))
    return said


def _frames(connection: Connection, part: RouteId) -> dict[FrameId, datetime]:
    t = route_frames.c
    found = connection.execute(select(t.camera, t.session, t.seq, t.captured_at).where(_of(part)))
    return {FrameId(row.camera, row.session, row.seq): row.captured_at for row in found}


def _counts(part: Mapping[Any, Any], seen: Mapping[FrameId, datetime], n: int) -> list[dict[str, Any]]:
    """`n` times the part's share of the counters: the gate's own, each frame's, and each camera's that saw nothing."""
    row = {"gate": part["gate"], "route": part["route"], "minute": minute_of(part["triggered_at"])}
    frames = [{"camera": id_.camera, "minute": minute_of(at), "n": n, "n_unseen": 0} for id_, at in seen.items()]
    blind = [{"camera": camera, "n": 0, "n_unseen": n} for camera in part["unseen_by"].split(",") if camera]
    return [row | each for each in ({"camera": "", "n": n, "n_unseen": n * (not seen)}, *frames, *blind)]


def _others(connection: Connection, told: PartRouted) -> set[str]:
    """The cameras that the gate has weighed pictures of lately: each should have seen the part."""
    t, until = route_minutes.c, utc_of(told.triggered_at)
    lately = t.minute.between(minute_of(until) - LATELY, until)
    return set(connection.scalars(select(t.camera).where(t.gate == told.gate, lately).distinct())) - {""}


def _is(part: RouteId) -> ColumnElement[bool]:
    return and_(*(routes.c[name] == value for name, value in part._asdict().items()))


def _of(part: RouteId) -> ColumnElement[bool]:
    t = route_frames.c
    return and_(t.gate == part.gate, t.gate_session == part.session, t.number == part.number)
