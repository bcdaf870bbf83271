"""How a gate stands, for people, listeners and pages. Pure: no I/O."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workers.gate.events import Counters


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One gate now. `at` ns UTC; alarms, stop and troubles by kind or listener, each with its reason."""

    gate: str
    session: int
    at: int
    line_state: str
    flags: tuple[str, ...]
    alarms: Mapping[str, str]
    stop: Mapping[str, str]
    in_flight: int
    counters: Counters
    notes: Mapping[str, int]
    steps: Mapping[str, int]
    troubles: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
