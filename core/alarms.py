"""The words of an alert: its kinds, how loud each is, whose it is, how long its cause must last (domain.md §9.1). Pure.

red    the line is stopped or not qualified
amber  act in this shift
white  due
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


class Severity(StrEnum):
    """How loud an alert is, the loudest first."""

    RED = "red"
    AMBER = "amber"
    WHITE = "white"


class Owner(StrEnum):
    """The role that acts on an alert."""

    OPERATOR = "operator"
    LEAD = "line lead"
    TECHNICIAN = "technician"
    QUALITY = "quality engineer"
    ADMIN = "administrator"


class Kind(StrEnum):
    """What an alert is about."""

    NOT_INSPECTING = "NOT_INSPECTING"
    NOT_QUALIFIED = "NOT_QUALIFIED"
    NO_VERDICT_RATE = "NO_VERDICT_RATE"
    COUNT_RECONCILE = "COUNT_RECONCILE"
    COUNTED_TWICE = "COUNTED_TWICE"
    GATE_UNCONFIRMED = "GATE_UNCONFIRMED"
    GATE_FAULT = "GATE_FAULT"
    BIN_FULL = "BIN_FULL"
    LOW_AIR = "LOW_AIR"
    WRONG_PRODUCT = "WRONG_PRODUCT"
    CONSECUTIVE_REJECT = "CONSECUTIVE_REJECT"
    CHALLENGE_OVERDUE = "CHALLENGE_OVERDUE"
    BYPASS_ACTIVE = "BYPASS_ACTIVE"
    BYPASS_EXPIRED = "BYPASS_EXPIRED"
    CAMERA_LOST = "CAMERA_LOST"
    TWO_SESSIONS = "TWO_SESSIONS"
    IMAGE_INVALID_RUN = "IMAGE_INVALID_RUN"
    BROKER_DOWN = "BROKER_DOWN"
    DATABASE_DOWN = "DATABASE_DOWN"
    SPOOL_FULL = "SPOOL_FULL"
    RETENTION_HALF = "RETENTION_HALF"
    DISK_95 = "DISK_95"
    LATE_VERDICT = "LATE_VERDICT"
    LAG = "LAG"
    WORKER_MISSING = "WORKER_MISSING"
    DEAD_LETTERS = "DEAD_LETTERS"
    CLOCK_OFFSET = "CLOCK_OFFSET"
    SPOOL_80 = "SPOOL_80"
    DISK_85 = "DISK_85"
    PARTITION_MISSING = "PARTITION_MISSING"
    BACKUP_STALE = "BACKUP_STALE"
    TRIGGER_MISMATCH = "TRIGGER_MISMATCH"
    BIN_OPEN = "BIN_OPEN"
    CHALLENGE_DUE = "CHALLENGE_DUE"


class Habit(NamedTuple):
    """How a kind behaves. Seconds: `on` its cause must last before it is told, `off` it must be gone to close."""

    severity: Severity
    owner: Owner
    on: float = 0.0
    off: float = 30.0


HABITS: Mapping[Kind, Habit] = {
    Kind.NOT_INSPECTING: Habit(Severity.RED, Owner.TECHNICIAN, on=3),
    Kind.NOT_QUALIFIED: Habit(Severity.RED, Owner.QUALITY, on=3),
    Kind.NO_VERDICT_RATE: Habit(Severity.RED, Owner.LEAD, off=60),
    Kind.COUNT_RECONCILE: Habit(Severity.RED, Owner.LEAD, on=20, off=60),
    Kind.COUNTED_TWICE: Habit(Severity.RED, Owner.ADMIN, on=20, off=60),
    Kind.GATE_UNCONFIRMED: Habit(Severity.RED, Owner.OPERATOR, off=60),
    Kind.GATE_FAULT: Habit(Severity.RED, Owner.TECHNICIAN),
    Kind.BIN_FULL: Habit(Severity.RED, Owner.OPERATOR),
    Kind.LOW_AIR: Habit(Severity.RED, Owner.TECHNICIAN),
    Kind.WRONG_PRODUCT: Habit(Severity.RED, Owner.LEAD),
    Kind.CONSECUTIVE_REJECT: Habit(Severity.RED, Owner.OPERATOR),
    Kind.CHALLENGE_OVERDUE: Habit(Severity.RED, Owner.LEAD),
    Kind.BYPASS_ACTIVE: Habit(Severity.RED, Owner.LEAD),
    Kind.BYPASS_EXPIRED: Habit(Severity.RED, Owner.LEAD),
    Kind.CAMERA_LOST: Habit(Severity.RED, Owner.TECHNICIAN, on=3),
    Kind.TWO_SESSIONS: Habit(Severity.RED, Owner.TECHNICIAN, on=8),  # a killed one's last report fades before that
    Kind.IMAGE_INVALID_RUN: Habit(Severity.RED, Owner.OPERATOR),
    Kind.BROKER_DOWN: Habit(Severity.RED, Owner.ADMIN, on=3),
    Kind.DATABASE_DOWN: Habit(Severity.AMBER, Owner.ADMIN),
    Kind.SPOOL_FULL: Habit(Severity.RED, Owner.ADMIN),
    Kind.RETENTION_HALF: Habit(Severity.RED, Owner.ADMIN, on=3),
    Kind.DISK_95: Habit(Severity.RED, Owner.ADMIN, on=3),
    Kind.LATE_VERDICT: Habit(Severity.AMBER, Owner.LEAD, off=60),
    Kind.LAG: Habit(Severity.AMBER, Owner.LEAD, on=6),
    Kind.WORKER_MISSING: Habit(Severity.AMBER, Owner.TECHNICIAN, on=10),
    Kind.DEAD_LETTERS: Habit(Severity.AMBER, Owner.QUALITY, off=60),
    Kind.CLOCK_OFFSET: Habit(Severity.AMBER, Owner.TECHNICIAN, on=10, off=120),
    Kind.SPOOL_80: Habit(Severity.AMBER, Owner.ADMIN),
    Kind.DISK_85: Habit(Severity.AMBER, Owner.ADMIN, on=10, off=120),
    Kind.PARTITION_MISSING: Habit(Severity.AMBER, Owner.ADMIN, on=10),
    Kind.BACKUP_STALE: Habit(Severity.AMBER, Owner.ADMIN, on=10),
    Kind.TRIGGER_MISMATCH: Habit(Severity.AMBER, Owner.TECHNICIAN),
    Kind.BIN_OPEN: Habit(Severity.AMBER, Owner.OPERATOR),
    Kind.CHALLENGE_DUE: Habit(Severity.WHITE, Owner.LEAD),
}  # every delay †: our own starting values


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Something that needs a person, as it is now: what happened, what it means for the parts, what to do about it.

    `subject` is the camera, topic or store that it is about; one alert is open for one kind and subject. `severity`:
    None = as the kind's habit says.
    """

    kind: Kind
    subject: str = ""
    what: str
    why: str
    do: str
    severity: Severity | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def habit(self) -> Habit:
        """How its kind behaves."""
        return HABITS[self.kind]

    @property
    def loudness(self) -> Severity:
        """How loud it is now."""
        return self.severity or self.habit.severity
