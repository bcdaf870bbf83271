"""The audit log: who changed what, when, from what to what, and why (domain.md §9.3). Append-only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

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
