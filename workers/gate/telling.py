"""What listeners outside are told of a part or an alarm: JSON whose names do not change. Pure: no I/O."""

import json
from typing import Any

from core.gates import Gate
from core.messages import PartRouted
from core.times import utc_of
from workers.gate.journal import Entry

TOLD = {"route", "alarm"}  # kinds of entries; orders and states are for the books


def place(gate: Gate) -> dict[str, str]:
    """Where on the plant the gate stands (ISA-95)."""
    return {"enterprise": gate.enterprise, "site": gate.site, "area": gate.area, "line": gate.line,
            "station": gate.station, "gate": gate.name}  # fmt: skip


SAME = ("trigger_seq", "encoder", "part_id", "product", "lot", "verdict", "reason", "detail", "action", "route",
        "score", "t_lo", "model", "bypass")  # fmt: skip
TIMES = ("triggered_at", "commanded_at", "routed_at")


def told_of(gate: Gate, entry: Entry) -> dict[str, Any]:
    """An entry of the journal as listeners get it."""
    if entry.kind != "route":
        return {**place(gate), **json.loads(entry.body)}
    part = PartRouted.from_json(entry.body)
    return {
        "inspection_id": str(part.id),
        **place(gate),
        **{name: getattr(part, name) for name in SAME},
        **{name: iso(getattr(part, name)) for name in TIMES},
        "flags": part.flags.split(",") if part.flags else [],
        "frames": [str(frame) for frame in part.frame_ids],
    }


def iso(ns: int) -> str | None:
    """UTC with microseconds; None for 0, which is no time."""
    return utc_of(ns).isoformat(timespec="microseconds") if ns else None
