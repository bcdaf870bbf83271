"""Part accounting for the Line page: from counters for the whole period, from the rows themselves for the last hour."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection

from core.records.books import books
from core.records.minutes import MINUTE, by_camera, minutes
from dashboard.accounts import Accounts

CHECKED = timedelta(hours=1)  # reading rows costs more than reading counters


def since(
    connection: Connection, start: datetime, now: datetime, deadlines: Mapping[str, int], *, most_gaps: int = 0
) -> Accounts:
    """The accounts of what was captured from `start` on; deadlines: ms by camera; most_gaps: ranges by session."""
    counted = minutes(connection, since=start, until=now + MINUTE)
    checked = books(connection, now=now, since=max(start, now - CHECKED), most_gaps=most_gaps)
    return Accounts.of(by_camera(counted, now=now, deadlines=deadlines), checked)
