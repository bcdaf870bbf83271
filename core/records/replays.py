"""A dead letter that was put back and judged: its new verdict takes the place of the one for want of a judgement.

A verdict is never edited (INV-3). What the system could not judge, it says so by INVALID or NO_VERDICT, and the row
that says so is moved whole into `replays`, which is only appended to; the new row stands in its place, and refers to
the same frame. So the books count the part once, every page shows what is known now, and what was said before stays.
A verdict about the part itself, or one that came late, is never superseded, so a replay again changes nothing.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from core.account_tables import replays
from core.broker.protocol import Message
from core.database import add_up, insert_new
from core.dead_letters import Place, replayed_from
from core.messages import FrameId
from core.records.frames import is_frame
from core.records.inspections import Inspected, counts_of, region_values_of, values_of
from core.tables import inspections, regions, rollup_minute
from core.times import minute_of
from core.verdicts import InvalidReason, MachineVerdict, NoVerdictReason

GIVEN_UP = {
    (MachineVerdict.INVALID, InvalidReason.DECODE_ERROR),
    (MachineVerdict.INVALID, InvalidReason.WRONG_PRODUCT),
    (MachineVerdict.NO_VERDICT, NoVerdictReason.INTERNAL_ERROR),
}
"""The verdicts of frames that were dead-lettered."""


def supersede(
    connection: Connection, rows: Iterable[Inspected], messages: Mapping[FrameId, Message], *, now: datetime
) -> set[FrameId]:
    """Let rows of replayed frames take the place of those that were given up; return which did.

    In the transaction in which `inspections.record` found them old. Counters change by the difference.
    """
    changed: set[FrameId] = set()
    for row in sorted(rows, key=lambda row: row.id):
        place = replayed_from(messages[row.id].headers) if row.id in messages else None
        if place and _replace(connection, row, place, now):
            changed.add(row.id)
    return changed


def done(connection: Connection, places: Iterable[Place]) -> dict[Place, tuple[str, str]]:
    """The verdict and reason that each of these dead letters led to, as far as it superseded one."""
    t = replays.c
    found: dict[Place, tuple[str, str]] = {}
    for place in places:
        mine = [t[name] == value for name, value in place._asdict().items()]
        row = connection.execute(
            select(t.new_verdict, t.new_reason).where(*mine).order_by(t.id.desc()).limit(1)
        ).one_or_none()
        if row:
            found[place] = (row.new_verdict, row.new_reason)
    return found


def _replace(connection: Connection, row: Inspected, place: Place, now: datetime) -> bool:
    mine = is_frame(inspections, row.id)
    old = connection.execute(select(inspections).where(mine)).mappings().one_or_none()
    new = values_of(row)
    if old is None or (old["verdict"], old["reason"]) not in GIVEN_UP:
        return False
    if (old["captured_at"], old["sha256"]) != (new["captured_at"], new["sha256"]):  # another picture under its name
        return False
    if (old["verdict"], old["reason"]) == (new["verdict"], new["reason"]):  # given up for the same reason again
        return False
    evidence = {**row.id._asdict(), "captured_at": old["captured_at"], **place._asdict(), "replayed_at": now}
    evidence |= {"old_verdict": old["verdict"], "old_reason": old["reason"], "old": _plain(old)}
    evidence |= {"new_verdict": new["verdict"], "new_reason": new["reason"]}
    connection.execute(insert(replays).values(evidence))
    connection.execute(update(inspections).where(mine, inspections.c.verdict == old["verdict"]).values(new))
    insert_new(connection, regions, region_values_of(row), list(regions.primary_key))
    add_up(connection, rollup_minute, [_uncount(old), counts_of(row)])
    return True


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row as a JSON document."""
    return {str(n): value.isoformat() if isinstance(value, datetime) else value for n, value in row.items()}


def _uncount(old: Mapping[Any, Any]) -> dict[str, Any]:
    """The counters of a row, taken back."""
    key = {name: old[name] for name in ("camera", "product", "run_type")}
    key |= {"model_id": old["model_id"] or 0, "minute": minute_of(old["captured_at"])}
    numbers = {f"n_{verdict.lower()}": -int(old["verdict"] == verdict) for verdict in MachineVerdict}
    numbers |= {"n": -1, "n_late": -int(old["is_late"]), "n_scored": -int(old["score"] is not None)}
    return key | numbers | {"score_sum": -(old["score"] or 0.0), "latency_sum_ms": -old["latency_ms"]}
