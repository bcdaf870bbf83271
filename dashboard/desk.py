"""The review desk: which part lies on it, and what a key does to it. Decisions go through `core.records.reviews` only.

The browser names the part that its reviewer saw; a call for any other part is refused, so that a key that comes twice
can never decide a part that nobody has looked at.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from core.errors import NotAllowed, SettingsInvalid
from core.messages import FrameId
from core.records import recipes, reviews
from core.records.reviews import Called, Decision
from core.verdicts import HumanCall, Severity
from dashboard import words
from dashboard.queries import frames, models, waiting
from dashboard.queries.frames import Frame
from dashboard.queries.waiting import ATTENTION, FILTERED, Asked, Waiting

LONGEST_LOOK = 3600.0  # seconds; a longer look was a break
_CALLS = {
    "good": HumanCall.GOOD,
    "unsure": HumanCall.UNSURE,
    "bad_image": HumanCall.BAD_IMAGE,
    "defect": HumanCall.DEFECT,
}


@dataclass(slots=True)
class Place:
    """Where one reviewer's session stands: filter, part on the desk, order of the queue, what to tell."""

    asked: Asked = field(default_factory=Asked)
    current: FrameId | None = None
    order: list[FrameId] = field(default_factory=list)
    note: str = ""
    turn: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the desk shows now; `frame` None where nothing waits that this reviewer may take."""

    frame: Frame | None
    queue: tuple[Frame, ...]
    tally: Waiting
    classes: tuple[str, ...]
    passed: tuple[Frame, ...]
    last: Called | None
    made: int
    median: float | None
    lease: timedelta = reviews.LEASE

    @property
    def total(self) -> int:
        """Parts that wait for anybody."""
        return self.tally.to_review


def laid_out(connection: Connection, place: Place, *, reviewer: str, now: datetime) -> Desk:
    """Take the part that is due and show it; needs a writing transaction, because the lease is a row."""
    queue = waiting.waiting(connection, place.asked, reviewer=reviewer, now=now)
    frame = _claimed(connection, queue, place, reviewer=reviewer, now=now)
    place.current = None if frame is None else frame.id
    place.order = [one.id for one in queue]
    place.turn += 1
    if frame is not None:
        frame = replace(frame, floor=models.floor(connection, frame.model_id))
    undoable = reviews.undoable(connection, reviewer=reviewer)
    made, median = waiting.pace(connection, reviewer, now - timedelta(hours=1))
    return Desk(
        frame=frame,
        queue=tuple(queue),
        tally=waiting.tally(connection),
        classes=() if frame is None else classes_of(connection, frame.product),
        passed=() if frame is None else tuple(frames.passed_before(connection, frame, most=3)),
        last=undoable[0] if undoable else None,
        made=made,
        median=median,
    )


def _claimed(connection: Connection, queue: list[Frame], place: Place, *, reviewer: str, now: datetime) -> Frame | None:
    due = next((n for n, frame in enumerate(queue) if frame.id == place.current), 0)
    for frame in queue[due:] + queue[:due]:
        if reviews.claim(connection, frame.id, reviewer=reviewer, now=now):
            return frame
    return None


def classes_of(connection: Connection, product: str) -> tuple[str, ...]:
    """The defect classes on the keys 1 to 9; a product without a readable recipe has one: defect."""
    try:
        found = recipes.newest(connection, product)
    except SettingsInvalid:
        found = None
    return found[1].classes if found and found[1].classes else (words.CALLS["DEFECT"],)


def act(connection: Connection, place: Place, asked: Mapping[str, object], *, reviewer: str, now: datetime) -> None:
    """Do what the browser asks; what cannot be done becomes `place.note`, and nothing is changed."""
    place.note = ""
    kind = asked.get("kind")
    try:
        if kind == "call":
            _call(connection, place, asked, reviewer=reviewer, now=now)
        elif kind == "undo":
            _undo(connection, place, reviewer=reviewer, now=now)
        elif kind == "open":
            _leave(connection, place, parsed(asked.get("item")), reviewer=reviewer)
        elif kind in ("next", "previous"):
            _leave(connection, place, beside(place, 1 if kind == "next" else -1), reviewer=reviewer)
        elif kind == "filter":
            place.asked = filtered(place.asked, str(asked.get("value", "")))
    except NotAllowed as problem:
        place.note = words.REFUSED.format(problem=problem)


def _call(connection: Connection, place: Place, asked: Mapping[str, object], *, reviewer: str, now: datetime) -> None:
    seen = parsed(asked.get("item"))
    if seen is None or seen != place.current:
        raise NotAllowed("the part on the screen has changed since the key; look again")
    follower = beside(place, 1)
    row = frames.one(connection, seen)
    decision = decision_of(asked, () if row is None else classes_of(connection, row.product))
    reviews.call(connection, seen, decision, reviewer=reviewer, now=now)
    place.current = follower


def _undo(connection: Connection, place: Place, *, reviewer: str, now: datetime) -> None:
    undoable = reviews.undoable(connection, reviewer=reviewer)
    if not undoable:
        raise NotAllowed(words.NOTHING_TO_UNDO)
    reviews.undo(connection, undoable[0].id, reviewer=reviewer, now=now)
    if str(undoable[0].verdict) not in place.asked.verdicts:
        place.asked = Asked((str(undoable[0].verdict),))
    place.current = undoable[0].frame


def _leave(connection: Connection, place: Place, to: FrameId | None, *, reviewer: str) -> None:
    if to is None:
        return
    if place.current is not None and place.current != to:
        reviews.release(connection, place.current, reviewer=reviewer)
    place.current = to


def decision_of(asked: Mapping[str, object], classes: tuple[str, ...]) -> Decision:
    """What the browser sent, as a decision. Raises NotAllowed for a call, class or severity that does not exist."""
    call = _CALLS.get(str(asked.get("call")))
    if call is None:
        raise NotAllowed(f"there is no call {asked.get('call')!r}")
    seconds = _seconds(asked.get("seconds"))
    if call is not HumanCall.DEFECT:
        return Decision(call=call, seconds=seconds)
    number = asked.get("number")
    if not isinstance(number, int) or not 1 <= number <= len(classes):
        raise NotAllowed(f"there is no defect class {number!r}; this product has {len(classes)}")
    try:
        severity = Severity(str(asked.get("severity", Severity.MAJOR)))
    except ValueError as problem:
        raise NotAllowed(f"there is no severity {asked.get('severity')!r}") from problem
    return Decision(call=call, defect_class=classes[number - 1], severity=severity, seconds=seconds)


def _seconds(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return round(float(value), 2) if 0 <= value <= LONGEST_LOOK else None


def beside(place: Place, step: int) -> FrameId | None:
    """The part `step` places on in the queue; None at its ends."""
    if place.current not in place.order:
        return place.order[0] if place.order else None
    at = place.order.index(place.current) + step
    return place.order[at] if 0 <= at < len(place.order) else None


def parsed(item: object) -> FrameId | None:
    """An item's name, camera/session/seq, as an identity; None for anything else."""
    parts = str(item).split("/")
    if len(parts) != 3 or not (parts[1].isascii() and parts[1].isdigit() and parts[2].isascii() and parts[2].isdigit()):
        return None
    return FrameId(parts[0], int(parts[1]), int(parts[2]))


def named(frame: FrameId) -> str:
    """The item's name."""
    return f"{frame.camera}/{frame.session}/{frame.seq}"


def filtered(asked: Asked, value: str) -> Asked:
    """The filter after a press on one of its chips: `verdict:FAIL`, `verdict:`, `camera:ring-top` (again: all)."""
    kind, _, name = value.partition(":")
    if kind == "camera":
        return Asked(asked.verdicts, "" if name == asked.camera else name)
    if kind == "verdict":
        verdicts = tuple(str(verdict) for verdict in FILTERED if verdict == name) or tuple(map(str, ATTENTION))
        return Asked(verdicts, asked.camera)
    return asked
