"""Alarms of one gate, and when it asks the line to stop (domain.md §3.2, §3.3). Pure: no I/O; times in ns monotonic."""

from collections import deque
from dataclasses import dataclass

from core.gates import Gate
from core.verdicts import LineState, MachineVerdict, NoVerdictReason
from workers.gate.parts import Decision
from workers.gate.permission import Permission

WINDOW = 1000
OVERDUE = {NoVerdictReason.LATE, NoVerdictReason.VIEW_MISSING, NoVerdictReason.WORKER_DOWN,
           NoVerdictReason.BROKER_DOWN, NoVerdictReason.CAMERA_LOST}  # fmt: skip
AMBER = {"LATE_VERDICT", "TRIGGER_MISMATCH", "BIN_OPEN"}  # LATE_VERDICT alone: in a row it asks for a stop
WHITE = {"CHALLENGE_DUE"}


@dataclass(frozen=True, slots=True)
class Sensors:
    """What the PLC says of the gate's surroundings; a broken wire must read as the bad state (MI-5)."""

    bin_full: bool = False
    bin_open: bool = False
    low_air: bool = False
    key_switch: bool = False
    line_running: bool = False


class Andon:
    """Counts what a rule counts; `alarms` holds what is wrong now, `stop` why the line should stand.

    What somebody must look at stays until `reset`; what goes away by itself is taken back by `look`.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._silence = int(max(gate.stop_silent_s * 1000, gate.budget_ms) * 1e6) if gate.stop_silent_s else 0
        self._late = self._fail = self._invalid = 0
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._unanswered: int | None = None
        self._latched: dict[str, str] = {}
        self._level: dict[str, str] = {}
        self._stop: dict[str, str] = {}

    @property
    def alarms(self) -> dict[str, str]:
        """What is wrong, by kind, and why."""
        return self._latched | self._level

    @property
    def stop(self) -> dict[str, str]:
        """Why the line should stop, by kind; empty while it may run. Stays until `reset`."""
        return dict(self._stop)

    def triggered(self, at: int) -> None:
        """A part is on its way."""
        self._unanswered = self._unanswered or at

    def heard(self) -> None:
        """Some verdict of the gate's cameras came."""
        self._unanswered = None

    def decided(self, decision: Decision) -> None:
        """A part was told to the PLC."""
        verdict, gate = decision.verdict, self._gate
        is_late = verdict is MachineVerdict.NO_VERDICT and decision.reason in OVERDUE
        self._late = self._late + 1 if is_late else 0 if decision.view else self._late
        self._recent.append(is_late)
        if verdict is not MachineVerdict.NO_VERDICT:
            self._invalid = self._invalid + 1 if verdict is MachineVerdict.INVALID else 0
            if verdict is not MachineVerdict.INVALID:  # what was not judged neither counts nor breaks the row
                self._fail = self._fail + 1 if verdict is MachineVerdict.FAIL else 0
        if gate.stop_fail and self._fail >= gate.stop_fail:
            self.latch("CONSECUTIVE_REJECT", f"{self._fail} FAIL in a row")
        if gate.stop_invalid and self._invalid >= gate.stop_invalid:
            self.latch("IMAGE_INVALID_RUN", f"{self._invalid} INVALID in a row, last: {decision.reason}")
        share = sum(self._recent) / WINDOW
        if gate.stop_late_percent and share * 100 > gate.stop_late_percent:
            self.latch("NO_VERDICT_RATE", f"{sum(self._recent)} of the last {len(self._recent)} parts had no verdict")
        if decision.reason == NoVerdictReason.RECIPE_MISMATCH:
            self.latch("WRONG_PRODUCT", decision.detail)
        if decision.reason == NoVerdictReason.TRIGGER_ERROR:
            self.mismatch(decision.detail)

    def mismatch(self, detail: str) -> None:
        """Triggers and pictures do not belong together."""
        self.latch("TRIGGER_MISMATCH", detail)

    def latch(self, kind: str, detail: str) -> None:
        """Raise an alarm that stays until somebody has looked."""
        self._latched[kind] = detail
        self._ask_for_stop(kind, detail)

    def look(self, now: int, sensors: Sensors, permission: Permission, *, deaf: str = "") -> None:
        """See what comes and goes by itself; deaf: why verdicts cannot be heard now, "" = they can."""
        bypass = permission.bypass(now)
        if self._unanswered is not None and self._gate.counts_per_m and not sensors.line_running:
            self._unanswered = now  # a part that stands before its camera waits for no verdict
        silent = self._unanswered is not None and self._silence and now - self._unanswered >= self._silence
        found = (
            ("LATE_VERDICT", self._late > 0, f"{self._late} in a row"),
            ("NOT_INSPECTING", silent, f"parts pass and no verdict came for {self._silence // 10**9} s"),
            ("BROKER_DOWN", bool(deaf), deaf),
            ("GATE_FAULT", bool(permission.faults), "; ".join(permission.faults.values())),
            ("BIN_FULL", sensors.bin_full, "the reject bin is full"),
            ("BIN_OPEN", sensors.bin_open, "the reject bin is open"),
            ("LOW_AIR", sensors.low_air, "the air for the actuator is low"),
            ("CHALLENGE_OVERDUE", permission.is_overdue(now), "the last passed challenge is too old"),
            ("CHALLENGE_DUE", permission.is_challenge_due(now), "run the challenge parts"),
            ("BYPASS_ACTIVE", bool(bypass), f"by {bypass.who}: {bypass.why}" if bypass else ""),
            ("BYPASS_EXPIRED", permission.has_expired(now), "the bypass ended by itself; run the challenge parts"),
        )
        self._level = {kind: detail for kind, is_on, detail in found if is_on}
        for kind, detail in self._level.items():
            if kind != "LATE_VERDICT" or (self._gate.stop_late and self._late >= self._gate.stop_late):
                self._ask_for_stop(kind, detail)

    def reset(self) -> None:
        """Somebody has looked: forget what stays; what is still wrong comes back with the next look."""
        self._late = self._fail = self._invalid = 0
        self._recent.clear()
        self._latched.clear()
        self._stop.clear()
        self._unanswered = None

    def state(self, now: int, sensors: Sensors, permission: Permission) -> LineState:
        """How the line stands."""
        if permission.faults or "NOT_INSPECTING" in self._level or permission.bypass(now):
            return LineState.NOT_INSPECTING
        if not sensors.line_running:
            return LineState.STOPPED
        return LineState.DEGRADED if self.alarms.keys() - WHITE else LineState.RUNNING

    def severity(self, kind: str) -> str:
        """red, amber or white (domain.md §9.1)."""
        if kind == "LATE_VERDICT" and kind in self._stop:
            return "red"
        return "white" if kind in WHITE else "amber" if kind in AMBER else "red"

    def _ask_for_stop(self, kind: str, detail: str) -> None:
        if kind in self._gate.stop_on:
            self._stop.setdefault(kind, detail)
