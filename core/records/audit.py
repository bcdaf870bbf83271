"""The audit log: who changed what, when, from what to what, and why (domain.md §9.3). Append-only."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, or_, select

from core.tables import audit_log


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry: `action` such as model.activate, `subject` the thing it was done to, `reason` in words."""

    at: datetime
    who: str
    action: str
    subject: str
    old: Mapping[str, Any] | None = None
    new: Mapping[str, Any] | None = None
    reason: str = ""


def write(connection: Connection, change: Change) -> None:
    """Append one entry, in the transaction of the change itself: both are in the books, or neither."""
    connection.execute(
        insert(audit_log).values(
            at=change.at,
            who=change.who,
            action=change.action,
            subject=change.subject,
            old=None if change.old is None else dict(change.old),
            new=None if change.new is None else dict(change.new),
            reason=change.reason,
        )
    )


def write_once(connection: Connection, change: Change, *, key: str) -> bool:
    """Append an entry that may come again; False when the one with this key is there. Writers of such take turns."""
    t = audit_log.c
    same = select(t.new).where(t.at == change.at, t.action == change.action, t.subject == change.subject)
    if any(new and new.get("key") == key for new in connection.scalars(same)):
        return False
    write(connection, replace(change, new={**(change.new or {}), "key": key}))
    return True


def since(connection: Connection, start: datetime | None, *, about: str = "", most: int = 200) -> list[Change]:
    """The newest entries, newest first; `about`: only those with this in action, subject or name."""
    t = audit_log.c
    wanted = select(t.at, t.who, t.action, t.subject, t.old, t.new, t.reason)
    if start:
        wanted = wanted.where(t.at >= start)
    if about:
        named = (column.contains(about, autoescape=True) for column in (t.action, t.subject, t.who))
        wanted = wanted.where(or_(*named))
    return [Change(**row._mapping) for row in connection.execute(wanted.order_by(t.at.desc(), t.id.desc()).limit(most))]  # noqa: SLF001 - public, documented
