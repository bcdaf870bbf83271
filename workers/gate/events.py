"""What reaches the gate's loop from its threads, and what the loop gives the PLC. Pure: no I/O."""

from dataclasses import dataclass, field

from core.messages import FrameInspected
from core.verdicts import InvalidReason, LineState, MachineVerdict, NoVerdictReason
from workers.gate.parts import Trigger


@dataclass(frozen=True, slots=True)
class Triggered:
    """The PLC announced a part."""

    trigger: Trigger


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The PLC took a result; not clean: it may have read another one than was meant."""

    number: int
    is_clean: bool


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The gate's sensor saw this part."""

    seq: int


@dataclass(frozen=True, slots=True)
class Moved:
    """The PLC wrote where the belt's encoder stands; `at` ns monotonic."""

    count: int
    at: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A verdict message; stale: it was there before the gate listened."""

    told: FrameInspected
    is_stale: bool


@dataclass(frozen=True, slots=True)
class Listening:
    """Whether verdicts can be heard; `trouble` says why not."""

    trouble: str


Event = Triggered | Acknowledged | Confirmed | Moved | Heard | Listening

RESULT_CODES = {
    MachineVerdict.PASS: 1, MachineVerdict.FAIL: 2, MachineVerdict.REVIEW: 3, MachineVerdict.INVALID: 4,
    MachineVerdict.NO_VERDICT: 5,
}  # fmt: skip
REASON_CODES: dict[str, int] = {str(reason): 1 + place for place, reason in enumerate(NoVerdictReason)} | {
    str(reason): 21 + place for place, reason in enumerate(InvalidReason)
}
LINE_STATES = {state: 1 + place for place, state in enumerate(LineState)}


@dataclass(frozen=True, slots=True)
class Result:
    """What the PLC is told of a part. `number` is the trigger's count, by which the acknowledgement comes back.

    accepts: PASS, the only thing that may let a part by. percent: score in percent of the limit, 0 = none.
    """

    number: int
    seq: int
    accepts: bool
    code: int
    reason_code: int = 0
    percent: int = 0
    recipe_version: int = 0


@dataclass(frozen=True, slots=True)
class Counters:
    """Of this run of the gate."""

    triggers: int = 0
    ok: int = 0
    ng: int = 0
    trigger_errors: int = 0
    no_verdict: int = 0
    invalid: int = 0


@dataclass(frozen=True, slots=True)
class Outputs:
    """The gate as its PLC sees it. Milliseconds run from a trigger to its last view."""

    fault: bool = False
    not_qualified: bool = True
    bypass: bool = False
    stop_request: bool = False
    challenge_due: bool = False
    line_state: LineState = LineState.NOT_INSPECTING
    counters: Counters = field(default_factory=Counters)
    average_ms: int = 0
    least_ms: int = 0
    most_ms: int = 0
