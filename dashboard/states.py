"""What a camera and the line are doing now, by rules on plain values (domain.md §1.1, OP-7). Pure: no I/O, no clock.

The question behind each rule: would a bad part be caught at this moment? Where that is not known, it is no.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from core.verdicts import MachineVerdict
from dashboard import figures, words

SILENT_AFTER = 6.0  # seconds without a report from the capture side
BEHIND_AFTER = 5.0  # seconds that captured pictures may wait for their verdict
SYSTEM_IN_A_ROW = 3  # domain.md §3.2: INVALID three in a row stops the line
IDLE_AFTER = 10.0  # seconds without a part before its picture is called old
_SYSTEM = frozenset({MachineVerdict.INVALID, MachineVerdict.NO_VERDICT})


class State(StrEnum):
    """The states of a camera and of a line, loudest first."""

    NOT_INSPECTING = "NOT_INSPECTING"
    DEGRADED = "DEGRADED"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What is known of a camera: the newest report of its capture side and its newest verdicts, newest first.

    `report` is RUNNING, LOST, ENDED or "" where none ever came; times are aware; `waiting` counts pictures captured
    but not judged; `captured_at` and `inspected_at` are those of the newest verdict row.
    """

    report: str = ""
    report_detail: str = ""
    reported_at: datetime | None = None
    waiting: int = 0
    captured_at: datetime | None = None
    inspected_at: datetime | None = None
    verdicts: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """A state with the sentence behind it; `silent_for` is how long nothing useful came, in seconds."""

    state: State
    why: str = ""
    parts: str = ""
    do: str = ""
    silent_for: float | None = None
    live: bool = True


def camera_standing(signs: Signs, now: datetime) -> Standing:
    """The state of one camera at `now`."""
    return _capture_side(signs, now) or _judging_side(signs, now) or _trouble(signs) or _running(signs, now)


def _capture_side(signs: Signs, now: datetime) -> Standing | None:
    last_picture = None if signs.captured_at is None else figures.since(signs.captured_at, now)
    if signs.reported_at is None:
        return _out(words.NEVER_STARTED, words.DO_START, None)
    silent = figures.since(signs.reported_at, now)
    if signs.report == "ENDED":
        why = words.ENDED.format(detail=_detail(signs.report_detail), ago=figures.age(silent))
        return Standing(State.STOPPED, why, words.NO_PARTS, words.DO_START, silent, live=False)
    if signs.report == "LOST":
        why = words.LOST.format(detail=_detail(signs.report_detail))
        return _out(why, words.DO_CABLE, last_picture if last_picture is not None else silent)
    if silent > SILENT_AFTER:
        return _out(words.CAPTURE_SILENT.format(ago=figures.age(silent)), words.DO_CAPTURE, silent)
    return None


def _judging_side(signs: Signs, now: datetime) -> Standing | None:
    if signs.waiting <= 0:
        return None
    if signs.inspected_at is None or signs.captured_at is None:
        return _out(words.NEVER_JUDGED.format(waiting=figures.count(signs.waiting)), words.DO_WORKER, None)
    quiet = figures.since(signs.inspected_at, now)
    if quiet > BEHIND_AFTER:
        why = words.NOT_JUDGED.format(ago=figures.age(quiet), waiting=figures.count(signs.waiting))
        return _out(why, words.DO_WORKER, quiet)
    behind = figures.since(signs.captured_at, now)
    if behind > BEHIND_AFTER:
        why = words.BEHIND.format(ago=figures.age(behind), waiting=figures.count(signs.waiting))
        if _unjudged_in_a_row(signs):  # too late for every part: nothing passes, and nothing is looked at in time
            return _out(why, words.DO_BEHIND, None)
        return Standing(State.DEGRADED, why, words.PARTS_LATE, words.DO_BEHIND)
    return None


def _trouble(signs: Signs) -> Standing | None:
    if _unjudged_in_a_row(signs):
        reason = words.reason(signs.reasons[0] if signs.reasons else "")
        why = words.CANNOT_JUDGE.format(reason=reason, count=SYSTEM_IN_A_ROW)
        return _out(why, words.DO_PICTURE, None)
    recent = signs.verdicts[:20]
    systems = sum(verdict in _SYSTEM for verdict in recent)
    if systems >= SYSTEM_IN_A_ROW:
        why = words.SOME_UNJUDGED.format(count=systems, of=len(recent))
        return Standing(State.DEGRADED, why, words.PARTS_REJECTED, words.DO_PICTURE)
    return None


def _unjudged_in_a_row(signs: Signs) -> bool:
    newest = signs.verdicts[:SYSTEM_IN_A_ROW]
    return len(newest) == SYSTEM_IN_A_ROW and all(verdict in _SYSTEM for verdict in newest)


def _running(signs: Signs, now: datetime) -> Standing:
    if signs.captured_at is None:
        return Standing(State.RUNNING, words.NO_PART_YET, live=False)
    idle = figures.since(signs.captured_at, now)
    if idle > IDLE_AFTER:
        return Standing(State.RUNNING, words.IDLE.format(ago=figures.age(idle)), silent_for=idle, live=False)
    return Standing(State.RUNNING)


def _out(why: str, do: str, silent_for: float | None) -> Standing:
    return Standing(State.NOT_INSPECTING, why, words.PARTS_REJECTED, do, silent_for, live=False)


def _detail(detail: str) -> str:
    return f": {detail}" if detail else ""


def line_standing(cameras: Sequence[Standing]) -> Standing:
    """The state of the line from those of its cameras; without a camera nothing is inspected."""
    if not cameras:
        return Standing(State.NOT_INSPECTING, words.NO_CAMERAS, live=False)
    out = sum(camera.state is State.NOT_INSPECTING for camera in cameras)
    working = [camera for camera in cameras if camera.state is not State.STOPPED]
    if not working:
        return Standing(State.STOPPED)
    if out == len(working):
        return Standing(State.NOT_INSPECTING)
    if out:
        return Standing(State.DEGRADED, words.CAMERAS_OUT.format(out=out, of=len(cameras)))
    if any(camera.state is State.DEGRADED for camera in cameras):
        slow = sum(camera.state is State.DEGRADED for camera in cameras)
        return Standing(State.DEGRADED, words.CAMERAS_IMPAIRED.format(out=slow, of=len(cameras)))
    return Standing(State.RUNNING)


def pace(captured: Sequence[datetime], now: datetime, *, window: float = 30.0) -> float | None:
    """Parts per second over the last `window` seconds, from capture times newest first; None where too few came."""
    recent = [moment for moment in captured if now - moment <= timedelta(seconds=window)]
    if len(recent) < 2 or recent[0] <= recent[-1]:
        return None
    return (len(recent) - 1) / figures.since(recent[-1], recent[0])
