"""The `[[gate]]` tables of a line file: where a gate stands, by when it must know, and whom it tells. Pure: no I/O."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

NAME = r"^[a-z0-9][a-z0-9_.-]{0,62}$"
LEVEL = r"^[^/+#\x00]{0,63}$"  # one level of an MQTT topic
Named = Annotated[str, StringConstraints(pattern=NAME)]
Code = Annotated[int, Field(ge=1, le=65535)]

StopCause = Literal[
    "LATE_VERDICT", "NO_VERDICT_RATE", "NOT_INSPECTING", "CONSECUTIVE_REJECT", "IMAGE_INVALID_RUN", "WRONG_PRODUCT",
    "GATE_UNCONFIRMED", "BIN_FULL", "BIN_OPEN", "LOW_AIR", "CHALLENGE_OVERDUE",
]  # fmt: skip
STOPS: tuple[StopCause, ...] = (
    "LATE_VERDICT", "NO_VERDICT_RATE", "NOT_INSPECTING", "CONSECUTIVE_REJECT", "IMAGE_INVALID_RUN", "WRONG_PRODUCT",
    "GATE_UNCONFIRMED", "BIN_FULL", "LOW_AIR",
)  # fmt: skip


def time_budget_ms(*, distance_m: float, fastest_m_s: float, slack_ms: float) -> float:
    """Milliseconds from trigger to command: the fastest belt's way, less what the gate needs (domain.md §3.1).

    slack_ms: actuator, PLC scan, network and margin together.
    """
    return distance_m / fastest_m_s * 1000 - slack_ms


class Gate(BaseModel):
    """One gate: the parts it tracks, its deadline, its PLC, its listeners, and what stops the line."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(pattern=NAME)
    station: str = Field(default="station-1", pattern=NAME)
    cameras: tuple[Named, ...] = Field(min_length=1, description="each is a view that a part needs")
    modbus: str = Field(
        default="127.0.0.1:5020", pattern=r"^\S+:\d{1,5}$", description="where the PLC reaches the gate"
    )
    deadline_ms: float = Field(default=0, ge=0, description="from trigger to command; 0 = from the way to the gate")
    distance_m: float = Field(default=0, ge=0, description="from trigger to gate, along the belt")
    fastest_m_s: float = Field(default=0, ge=0, description="the belt's highest speed")
    counts_per_m: float = Field(default=0, ge=0, description="of the belt's encoder; 0 = the deadline runs by time")
    rollback_mm: float = Field(default=5, ge=0, description="how far the belt may roll back when it stops")
    encoder_still_s: float = Field(default=5, ge=0, description="still for so long while the line runs: a fault")
    actuator_ms: float = Field(default=50, ge=0)
    scan_ms: float = Field(default=20, ge=0, description="the PLC's cycle")
    network_ms: float = Field(default=0, ge=0)
    margin_ms: float = Field(default=100, gt=0)
    command: Literal["due", "early"] = "due"
    confirm_ms: float = Field(default=1000, gt=0, description="wait for the PLC, and for the sensor where there is one")
    reject_sensor: bool = False
    hold_lane: bool = False
    part_ids: Literal["sequence", "barcode"] = "sequence"
    capture_within_ms: int = Field(default=0, ge=0, description="farthest from trigger to picture; 0 = not asked")
    product_codes: Mapping[Named, Code] = Field(default_factory=dict)
    unqualified: Literal["withhold", "flag"] = "withhold"
    challenge_hours: float = Field(default=0, ge=0, description="a passed challenge counts so long; 0 = until a start")
    bypass_most_minutes: float = Field(default=60, ge=0, le=24 * 60)
    plc_silent_ms: float = Field(default=2000, gt=0, description="without its heartbeat for so long: a fault")
    stop_late: int = Field(default=3, ge=0, description="late verdicts in a row; 0 = never")
    stop_late_percent: float = Field(default=0.5, ge=0, le=100, description="of the last 1000 parts; 0 = never")
    stop_fail: int = Field(default=4, ge=0, description="FAIL in a row; 0 = never")
    stop_invalid: int = Field(default=3, ge=0, description="INVALID in a row; 0 = never")
    stop_silent_s: float = Field(default=5, ge=0, description="parts without any verdict for so long; 0 = never")
    stop_on: tuple[StopCause, ...] = STOPS
    mqtt: str = Field(default="", pattern=r"^(|mqtts?://\S+)$")
    mqtt_password_file: Path | None = None
    webhook: str = Field(default="", pattern=r"^(|https?://\S+)$")
    webhook_secret_file: Path | None = None
    enterprise: str = Field(default="", pattern=LEVEL)
    site: str = Field(default="site", pattern=LEVEL, min_length=1)
    area: str = Field(default="area", pattern=LEVEL, min_length=1)
    line: str = Field(default="line", pattern=LEVEL, min_length=1)

    @property
    def budget_ms(self) -> float:
        """From a part's trigger to its command."""
        if self.deadline_ms:
            return self.deadline_ms
        return time_budget_ms(distance_m=self.distance_m, fastest_m_s=self.fastest_m_s, slack_ms=self.slack_ms)

    @property
    def slack_ms(self) -> float:
        """What the gate needs between a part's command and its place."""
        return self.actuator_ms + self.scan_ms + self.network_ms + self.margin_ms

    @property
    def counts_to_gate(self) -> int:
        """From a part's trigger to the gate, in counts of the belt's encoder; 0 where the deadline runs by time."""
        return round(self.distance_m * self.counts_per_m)

    @property
    def modbus_address(self) -> tuple[str, int]:
        """Host and port to listen on; the host may be an IPv6 address in brackets."""
        host, _, port = self.modbus.rpartition(":")
        return host.strip("[]"), int(port)

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        if not self.deadline_ms and not (self.distance_m and self.fastest_m_s):
            raise ValueError(f"{self.name}: give deadline_ms, or distance_m and fastest_m_s from which it follows")
        if self.counts_per_m and (self.deadline_ms or self.counts_to_gate < 1):
            raise ValueError(f"{self.name}: with counts_per_m give distance_m and fastest_m_s, and no deadline_ms")
        if self.budget_ms <= 0:
            raise ValueError(f"{self.name}: {self.budget_ms:.0f} ms from trigger to command; the gate is too near")
        if len(set(self.cameras)) != len(self.cameras):
            raise ValueError(f"{self.name}: a camera stands twice in cameras")
        if self.modbus_address[1] > 65535:
            raise ValueError(f"{self.name}: modbus port {self.modbus_address[1]} is not below 65536")
        return self
