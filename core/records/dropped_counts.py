"""What retention has dropped beside verdict rows, counted: so that the books say the same without it."""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, case, func, select, update

from core.account_tables import dropped_counts
from core.database import insert_new
from core.messages import FRAMES

Sums = Mapping[tuple[str, int], int]  # by subject and session


class Count(StrEnum):
    """What is counted: by camera and session, by camera, by topic, or over the line."""

    TRIGGERED = "triggered"
    CAPTURED = "captured"
    JUDGED = "judged"
    ROUTE_MINUTES = "route minutes"
    ROUTES = "routes"
    REJECTED = "rejected"


BY_MINUTE = (Count.TRIGGERED, Count.JUDGED, Count.ROUTE_MINUTES)


def add(connection: Connection, what: Count, sums: Sums, before: datetime) -> None:
    """Add to what was dropped earlier; all of it was of a time before `before`."""
    t = dropped_counts.c
    for (subject, session), n in sorted(sums.items()):
        row = {"what": str(what), "subject": subject, "session": session, "n": n, "before": before}
        if not insert_new(connection, dropped_counts, [row], list(dropped_counts.primary_key)):
            mine = [t.what == str(what), t.subject == subject, t.session == session]
            latest = case((t.before < before, before), else_=t.before)
            connection.execute(update(dropped_counts).where(*mine).values(n=t.n + n, before=latest))


def whole(connection: Connection) -> tuple[dict[str, int], int]:
    """Frames that counters of dropped minutes had, by camera, and messages without a frame that were dropped."""
    t = dropped_counts.c
    wanted = select(t.what, t.subject, t.n).where(t.what.in_([str(Count.JUDGED), str(Count.REJECTED)]))
    found = {(row.what, row.subject): int(row.n) for row in connection.execute(wanted)}
    judged = {subject: n for (what, subject), n in found.items() if what == Count.JUDGED}
    return judged, found.get((Count.REJECTED, FRAMES), 0)


def of_session(connection: Connection, camera: str, session: int) -> tuple[int, int]:
    """What the camera triggered and captured in the session's minutes that were dropped."""
    t = dropped_counts.c
    mine = [t.subject == camera, t.session == session]
    found = {row.what: int(row.n) for row in connection.execute(select(t.what, t.n).where(*mine))}
    return found.get(Count.TRIGGERED, 0), found.get(Count.CAPTURED, 0)


def minutes_before(connection: Connection, sessions: Collection[tuple[str, int]]) -> dict[tuple[str, int], datetime]:
    """By camera and session, the time before which its own minutes were dropped; some not asked for are among them."""
    t = dropped_counts.c
    cameras, numbers = ({key[place] for key in sessions} for place in (0, 1))
    mine = [t.what == str(Count.TRIGGERED), t.subject.in_(cameras), t.session.in_(numbers)]
    found = connection.execute(select(t.subject, t.session, t.before).where(*mine))
    return {(row.subject, row.session): row.before for row in found}


def complete_since(connection: Connection, kinds: Collection[Count]) -> datetime | None:
    """The time from which on all of these kinds is there; None where none was ever dropped."""
    t = dropped_counts.c
    before: datetime | None = connection.scalar(select(func.max(t.before)).where(t.what.in_(list(map(str, kinds)))))
    return before
