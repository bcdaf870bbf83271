"""The words of a verdict and the rule that makes it (domain.md §1.1, TH-1). Pure: no I/O."""

import math
from dataclasses import dataclass
from enum import StrEnum


class MachineVerdict(StrEnum):
    """How the system ended a part: every frame ends in exactly one of these."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    REVIEW = "REVIEW"
    INVALID = "INVALID"
    NO_VERDICT = "NO_VERDICT"


class InvalidReason(StrEnum):
    """Why a picture was not fit to be scored."""

    DARK = "DARK"
    BRIGHT = "BRIGHT"
    CLIPPED = "CLIPPED"
    BLUR = "BLUR"
    FROZEN = "FROZEN"
    MISALIGNED = "MISALIGNED"
    OCCLUDED = "OCCLUDED"
    NO_PART = "NO_PART"
    WRONG_PRODUCT = "WRONG_PRODUCT"
    LIGHT_LOW = "LIGHT_LOW"
    DECODE_ERROR = "DECODE_ERROR"


class NoVerdictReason(StrEnum):
    """Why the system owes a part its verdict."""

    LATE = "LATE"
    WORKER_DOWN = "WORKER_DOWN"
    BROKER_DOWN = "BROKER_DOWN"
    CAMERA_LOST = "CAMERA_LOST"
    TRIGGER_ERROR = "TRIGGER_ERROR"
    VIEW_MISSING = "VIEW_MISSING"
    RECIPE_MISMATCH = "RECIPE_MISMATCH"
    NOT_QUALIFIED = "NOT_QUALIFIED"
    POWER_CYCLE = "POWER_CYCLE"
    INTERNAL_ERROR = "INTERNAL_ERROR"


class PhysicalRoute(StrEnum):
    """Where a part went; only a PASS that came in time, or a bypass, accepts it (INV-2)."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    REJECTED_FAILSAFE = "REJECTED_FAILSAFE"
    HELD = "HELD"
    UNCONFIRMED = "UNCONFIRMED"
    ACCEPTED_BYPASS = "ACCEPTED_BYPASS"


class GateAction(StrEnum):
    """What a gate is told to do with a part."""

    ACCEPT = "ACCEPT"
    REJECT = "REJECT"
    HOLD = "HOLD"


class LineState(StrEnum):
    """How the line stands, as a gate sees it."""

    RUNNING = "RUNNING"
    DEGRADED = "DEGRADED"
    NOT_INSPECTING = "NOT_INSPECTING"
    STOPPED = "STOPPED"


class HumanCall(StrEnum):
    """What a reviewer says of a part."""

    DEFECT = "DEFECT"
    FALSE_REJECT = "FALSE_REJECT"
    GOOD = "GOOD"
    UNSURE = "UNSURE"
    BAD_IMAGE = "BAD_IMAGE"


class Severity(StrEnum):
    """How bad a confirmed defect is."""

    CRITICAL = "CRITICAL"
    MAJOR = "MAJOR"
    MINOR = "MINOR"


class RunType(StrEnum):
    """What a picture was taken for; only PRODUCTION enters the figures (INV-6)."""

    PRODUCTION = "PRODUCTION"
    CHALLENGE = "CHALLENGE"
    SETUP = "SETUP"
    SHADOW = "SHADOW"
    REPLAY = "REPLAY"
    MSA = "MSA"


class ModelState(StrEnum):
    """Where a model stands in its life (domain.md §5.1)."""

    DRAFT = "DRAFT"
    TRAINED = "TRAINED"
    VALIDATED = "VALIDATED"
    SHADOW = "SHADOW"
    CANARY = "CANARY"
    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"
    REJECTED = "REJECTED"
    ROLLED_BACK = "ROLLED_BACK"


@dataclass(frozen=True, slots=True)
class Limits:
    """Raw-score limits: PASS up to `t_lo`, REVIEW up to `t_hi`, FAIL above.

    `t_hi` is None where the calibration pictures cannot prove a FAIL limit: then all above `t_lo` is REVIEW.
    Raises ValueError for limits that are no finite numbers or stand in the wrong order.
    """

    t_lo: float
    t_hi: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.t_lo):
            raise ValueError(f"limit t_lo is {self.t_lo}, which is no finite number")
        if self.t_hi is not None and not (math.isfinite(self.t_hi) and self.t_hi >= self.t_lo):
            raise ValueError(f"limit t_hi is {self.t_hi}; it must be finite and at least t_lo = {self.t_lo}")


def decide(score: float, limits: Limits) -> MachineVerdict:
    """The verdict for a raw score (TH-1); a score that is no finite number proves nothing and is never PASS."""
    if not math.isfinite(score):
        return MachineVerdict.NO_VERDICT
    if score <= limits.t_lo:
        return MachineVerdict.PASS
    if limits.t_hi is None or score <= limits.t_hi:
        return MachineVerdict.REVIEW
    return MachineVerdict.FAIL


def human_call(*, is_good: bool, verdict: MachineVerdict) -> HumanCall:
    """The call behind the one "good" key: FALSE_REJECT where the machine did not pass the part (domain.md §1.1)."""
    if not is_good:
        return HumanCall.DEFECT
    return HumanCall.GOOD if verdict is MachineVerdict.PASS else HumanCall.FALSE_REJECT


WORST_FIRST = (
    MachineVerdict.FAIL,
    MachineVerdict.NO_VERDICT,
    MachineVerdict.INVALID,
    MachineVerdict.REVIEW,
    MachineVerdict.PASS,
)
"""The order in which the views of one part outvote one another (INV-12)."""


def route(verdict: MachineVerdict, *, hold_lane: bool) -> PhysicalRoute:
    """Where a part belongs whose verdict came in time (domain.md §1.1); all that is not PASS is kept off the line."""
    if verdict is MachineVerdict.PASS:
        return PhysicalRoute.ACCEPTED
    if verdict is MachineVerdict.REVIEW:
        return PhysicalRoute.HELD if hold_lane else PhysicalRoute.REJECTED
    return PhysicalRoute.REJECTED if verdict is MachineVerdict.FAIL else PhysicalRoute.REJECTED_FAILSAFE
