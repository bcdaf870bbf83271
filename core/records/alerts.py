"""Alerts in the books: raised once for a cause, refreshed while it lasts, closed when it has gone (domain.md §3.3)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, insert, select, update

from core.alarms import HABITS, Cause, Kind, Severity
from core.alert_tables import alerts, marks
from core.database import insert_new, take_turns
from core.errors import NotAllowed
from core.records.audit import Change, write

WATCH, BACKUP = "watch", "backup"  # the marks
_LOUDEST = case({severity: place for place, severity in enumerate(Severity)}, value=alerts.c.severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert as the books keep it; `closed_at` None = it is open."""

    id: int
    kind: str
    subject: str
    severity: str
    owner: str
    what: str
    why: str
    action: str
    detail: dict[str, Any] | None
    raised_at: datetime
    seen_at: datetime
    closed_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What one look changed."""

    raised: tuple[Alert, ...]
    closed: tuple[Alert, ...]


def keep(connection: Connection, causes: Sequence[Cause], *, looked_at: Collection[Kind], now: datetime) -> Kept:
    """Make the open alerts agree with what was seen at `now`.

    Only kinds that were looked at can close: what could not be seen is not known to be gone. A cause that has gone
    closes its alert when it has stayed away for the kind's delay.
    """
    take_turns(connection, ["alerts"])
    is_open = {(alert.kind, alert.subject): alert for alert in standing(connection)}
    seen = {(str(cause.kind), cause.subject): cause for cause in causes}
    for key in seen.keys() & is_open.keys():
        _refresh(connection, is_open[key], seen[key], now)
    raised = [_raise(connection, seen[key], now) for key in seen if key not in is_open]
    gone = [alert for key, alert in is_open.items() if key not in seen and alert.kind in set(looked_at)]
    closed = [alert for alert in gone if now - alert.seen_at >= timedelta(seconds=HABITS[Kind(alert.kind)].off)]
    for alert in closed:
        connection.execute(update(alerts).where(_is(alert.id)).values(closed_at=now))
    return Kept(tuple(raised), tuple(closed))


def standing(connection: Connection) -> list[Alert]:
    """The open alerts: the loudest first, of those the unacknowledged ones, of those the newest."""
    order = (_LOUDEST, alerts.c.acknowledged_at.is_not(None), alerts.c.raised_at.desc(), alerts.c.id.desc())
    return [_alert(row) for row in connection.execute(select(alerts).where(_OPEN).order_by(*order))]


def since(connection: Connection, start: datetime, *, most: int = 200) -> list[Alert]:
    """The newest alerts that were open at or after `start`, closed ones too, newest first."""
    alive = (alerts.c.closed_at.is_(None)) | (alerts.c.closed_at >= start)
    wanted = select(alerts).where(alive).order_by(alerts.c.raised_at.desc(), alerts.c.id.desc()).limit(most)
    return [_alert(row) for row in connection.execute(wanted)]


def of(connection: Connection, numbers: Collection[int]) -> list[Alert]:
    """The alerts of these numbers, oldest first."""
    wanted = select(alerts).where(alerts.c.id.in_(list(numbers))).order_by(alerts.c.id)
    return [_alert(row) for row in connection.execute(wanted)] if numbers else []


def acknowledge(connection: Connection, number: int, *, who: str, note: str, now: datetime) -> Alert:
    """A person has seen an open alert; it stays open until its cause has gone. The first acknowledgement stands.

    Raises NotAllowed for one that is closed, acknowledged or unknown.
    """
    found = connection.execute(select(alerts).where(_is(number))).one_or_none()
    if found is None:
        raise NotAllowed(f"no alert {number}; `flawline alerts list` shows them")
    alert = _alert(found)
    if alert.closed_at is not None:
        raise NotAllowed(f"alert {number} ({alert.kind}) has closed by itself: its cause is gone")
    if alert.acknowledged_at is not None:
        raise NotAllowed(f"alert {number} ({alert.kind}) was acknowledged by {alert.acknowledged_by} before")
    said = {"acknowledged_at": now, "acknowledged_by": who, "note": note}
    first = update(alerts).where(_is(number), _OPEN, alerts.c.acknowledged_at.is_(None)).values(said)
    if connection.execute(first).rowcount != 1:
        raise NotAllowed(f"alert {number} ({alert.kind}) was acknowledged or closed at this moment; list them again")
    write(connection, Change(
        at=now, who=who, action="alert.acknowledge", subject=f"{alert.kind} {alert.subject}".strip(),
        new={"alert": number, "what": alert.what}, reason=note))  # fmt: skip
    return _alert(connection.execute(select(alerts).where(_is(number))).one())


def mark(connection: Connection, name: str, *, now: datetime, detail: str = "") -> None:
    """Note that something that must happen again and again was done."""
    row = {"name": name, "at": now, "detail": detail}
    if not insert_new(connection, marks, [row], [marks.c.name]):
        connection.execute(update(marks).where(marks.c.name == name).values(at=now, detail=detail))


def marked(connection: Connection, name: str) -> datetime | None:
    """When it was last done; None = never."""
    found: datetime | None = connection.scalar(select(marks.c.at).where(marks.c.name == name))
    return found


def all_marks(connection: Connection, start: str) -> dict[str, tuple[datetime, str]]:
    """Every mark whose name begins so: when it was set, and with which detail."""
    found = connection.execute(select(marks).where(marks.c.name.startswith(start, autoescape=True)))
    return {row.name: (row.at, row.detail) for row in found}


_OPEN: ColumnElement[bool] = alerts.c.closed_at.is_(None)


def _raise(connection: Connection, cause: Cause, now: datetime) -> Alert:
    place = {"kind": str(cause.kind), "subject": cause.subject, "owner": str(cause.habit.owner)}
    row = place | _told(cause) | {"raised_at": now, "seen_at": now, "note": ""}
    number = connection.execute(insert(alerts).values(row).returning(alerts.c.id)).scalar_one()
    return _alert(connection.execute(select(alerts).where(_is(number))).one())


def _refresh(connection: Connection, alert: Alert, cause: Cause, now: datetime) -> None:
    """The open alert says what is so now. One that has become louder needs a person's eye again."""
    said = _told(cause) | {"seen_at": max(now, alert.seen_at)}
    places = list(Severity)
    if places.index(cause.loudness) < places.index(Severity(alert.severity)):
        said |= {"acknowledged_at": None, "acknowledged_by": None, "note": ""}
    connection.execute(update(alerts).where(_is(alert.id)).values(said))


def _told(cause: Cause) -> dict[str, Any]:
    words = {"severity": str(cause.loudness), "what": cause.what, "why": cause.why, "action": cause.do}
    return words | {"detail": dict(cause.detail)}


def _is(number: int) -> ColumnElement[bool]:
    return alerts.c.id == number


def _alert(row: Any) -> Alert:
    return Alert(**row._mapping)  # noqa: SLF001 - public, documented
