"""What people decide: leases, calls and undos, each a new row that references the machine's verdict (INV-3, OP-10).

A frame's effective call is the newest call that no undo references. While one stands, the frame is decided.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, exists, insert, or_, select, update

from core.database import insert_new
from core.errors import NotAllowed
from core.messages import FrameId
from core.records.audit import Change, write
from core.records.frames import among, is_frame
from core.tables import inspections, review_claims, reviews
from core.verdicts import HumanCall, MachineVerdict, Severity, human_call

LEASE = timedelta(seconds=120)  # OP-10
UNDO_LAST = 10  # calls of one reviewer that can still be undone (domain.md §4.3)

_undo = reviews.alias("undo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a reviewer says of a frame; `seconds` from opening it to the key (OP-13).

    GOOD is the one "good" key: the books keep it as FALSE_REJECT where the machine did not pass the part.
    """

    call: HumanCall
    defect_class: str = ""
    severity: Severity | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A call as it stands in the books; `verdict` is the machine's at the time."""

    id: int
    frame: FrameId
    captured_at: datetime
    call: HumanCall
    defect_class: str
    severity: Severity | None
    reviewer: str
    decided_at: datetime
    seconds: float | None
    verdict: MachineVerdict


def claim(connection: Connection, frame: FrameId, *, reviewer: str, now: datetime, lease: timedelta = LEASE) -> bool:
    """Take or renew the lease on an undecided frame; False when another reviewer has it, or it is decided."""
    if not _lease(connection, frame, reviewer=reviewer, now=now, lease=lease):
        return False
    if effective(connection, frame) is None:  # asked under the lease, so that no call comes in between
        return True
    release(connection, frame, reviewer=reviewer)
    return False


def release(connection: Connection, frame: FrameId, *, reviewer: str) -> None:
    """Give the lease back, if it is this reviewer's."""
    connection.execute(
        delete(review_claims).where(is_frame(review_claims, frame), review_claims.c.reviewer == reviewer)
    )


def call(connection: Connection, frame: FrameId, decision: Decision, *, reviewer: str, now: datetime) -> int:
    """Enter a reviewer's call and return its id; the frame leaves the queue and the lease ends.

    Raises NotAllowed when the frame is unknown, another reviewer holds its lease, or it is already decided.
    """
    row = connection.execute(select(inspections).where(is_frame(inspections, frame))).one_or_none()
    if row is None:
        raise NotAllowed(f"{frame}: no such frame in the books; reload the page")
    if not _lease(connection, frame, reviewer=reviewer, now=now, lease=LEASE):
        raise NotAllowed(f"{frame}: another reviewer has it open; take the next one")
    if (earlier := effective(connection, frame)) is not None:
        raise NotAllowed(f"{frame}: already decided by {earlier.reviewer} ({earlier.call}); take the next one")
    values = _values(row, decision) | {"reviewer": reviewer, "decided_at": now}
    number = _enter(connection, values)
    release(connection, frame, reviewer=reviewer)
    new = {"review": number, "call": values["call"], "class": values["defect_class"], "severity": values["severity"]}
    write(connection, Change(at=now, who=reviewer, action="review.call", subject=str(frame), new=new))
    return number


def undo(connection: Connection, review: int, *, reviewer: str, now: datetime) -> int:
    """Take a call back by a correcting row, and return its id; the frame is this reviewer's to decide again.

    Raises NotAllowed for a call of another reviewer, one that is already undone, or one beyond the last 10.
    """
    connection.execute(select(reviews.c.id).where(reviews.c.id == review).with_for_update())  # one undo at a time
    found = next((c for c in undoable(connection, reviewer=reviewer) if c.id == review), None)
    if found is None:
        raise NotAllowed(f"call {review} is not among the last {UNDO_LAST} calls of {reviewer} that still stand")
    number = _enter(
        connection,
        found.frame._asdict()
        | {"captured_at": found.captured_at, "undoes": review, "defect_class": "", "verdict": str(found.verdict)}
        | {"reviewer": reviewer, "decided_at": now},
    )
    _lease(connection, found.frame, reviewer=reviewer, now=now, lease=LEASE)
    old = {"review": review, "call": str(found.call), "class": found.defect_class, "severity": found.severity}
    write(connection, Change(at=now, who=reviewer, action="review.undo", subject=str(found.frame), old=old))
    return number


def undoable(connection: Connection, *, reviewer: str) -> list[Called]:
    """Those of the reviewer's last 10 calls that still stand, newest first: what the undo key takes back."""
    last = (
        select(reviews.c.id)
        .where(reviews.c.reviewer == reviewer, reviews.c.call.is_not(None))
        .order_by(reviews.c.id.desc())
        .limit(UNDO_LAST)
    )
    standing = select(reviews).where(reviews.c.id.in_(last), stands()).order_by(reviews.c.id.desc())
    return [_called(row) for row in connection.execute(standing)]


def effective(connection: Connection, frame: FrameId) -> Called | None:
    """The call that stands for a frame; None while it is undecided."""
    return effective_calls(connection, [frame]).get(frame)


def effective_calls(connection: Connection, frames: Collection[FrameId]) -> dict[FrameId, Called]:
    """The calls that stand for many frames; an undecided one is left out."""
    standing = select(reviews).where(stands()).order_by(reviews.c.id)
    found = (row for part in among(connection, reviews, frames) for row in connection.execute(standing.where(part)))
    return {called.frame: called for called in map(_called, found)}


def stands() -> ColumnElement[bool]:
    """The condition on `reviews` for a call that no undo references."""
    return and_(reviews.c.call.is_not(None), ~exists().where(_undo.c.undoes == reviews.c.id))


def undecided() -> ColumnElement[bool]:
    """The condition on `inspections` for a frame without an effective call."""
    mine = [reviews.c[name] == inspections.c[name] for name in FrameId._fields]
    return ~exists().where(*mine, stands())


def unclaimed(*, reviewer: str, now: datetime) -> ColumnElement[bool]:
    """The condition on `inspections` for a frame that no other reviewer has open."""
    mine = [review_claims.c[name] == inspections.c[name] for name in FrameId._fields]
    return ~exists().where(*mine, review_claims.c.reviewer != reviewer, review_claims.c.lease_until > now)


def _lease(connection: Connection, frame: FrameId, *, reviewer: str, now: datetime, lease: timedelta) -> bool:
    values = {"reviewer": reviewer, "lease_until": now + lease}
    if insert_new(connection, review_claims, [frame._asdict() | values], list(review_claims.primary_key)):
        return True
    free = or_(review_claims.c.reviewer == reviewer, review_claims.c.lease_until <= now)
    taken = update(review_claims).where(is_frame(review_claims, frame), free).values(values)
    return connection.execute(taken).rowcount == 1


def _values(row: Row[Any], decision: Decision) -> dict[str, Any]:
    verdict, said = MachineVerdict(row.verdict), decision.call
    if said in {HumanCall.GOOD, HumanCall.FALSE_REJECT}:
        said = human_call(is_good=True, verdict=verdict)
    return {
        **{name: getattr(row, name) for name in (*FrameId._fields, "captured_at")},
        "call": str(said),
        "defect_class": decision.defect_class,
        "severity": None if decision.severity is None else str(decision.severity),
        "seconds": decision.seconds,
        "verdict": str(verdict),
    }


def _enter(connection: Connection, values: dict[str, Any]) -> int:
    return int(connection.execute(insert(reviews).values(values).returning(reviews.c.id)).scalar_one())


def _called(row: Row[Any]) -> Called:
    return Called(
        id=row.id,
        frame=FrameId(row.camera, row.session, row.seq),
        captured_at=row.captured_at,
        call=HumanCall(row.call),
        defect_class=row.defect_class,
        severity=None if row.severity is None else Severity(row.severity),
        reviewer=row.reviewer,
        decided_at=row.decided_at,
        seconds=row.seconds,
        verdict=MachineVerdict(row.verdict),
    )
