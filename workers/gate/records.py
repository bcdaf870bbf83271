"""Puts a part on record: its PartRouted message, the note while it is under way, the result for the PLC. Pure."""

import json
from dataclasses import dataclass
from typing import Any

from core.gates import Gate
from core.messages import PartRouted
from core.verdicts import GateAction, MachineVerdict, NoVerdictReason, PhysicalRoute
from workers.gate.events import REASON_CODES, RESULT_CODES, Result
from workers.gate.parts import Decision, Part
from workers.gate.telling import iso
from workers.gate.tracker import Routed


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a gate: `session` is its start in ns UTC."""

    gate: Gate
    session: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The gate's own state, as it rides on each record."""

    line_state: str = ""
    flags: str = ""
    alarms: str = ""


def note(part: Part) -> dict[str, Any]:
    """What is noted of a part that has no route yet."""
    told = part.decision
    return {
        "part_id": part.id,
        "seq": part.trigger.seq,
        "lot": part.trigger.lot,
        "encoder": part.trigger.encoder,
        "triggered_at": part.trigger.utc,
        "verdict": told.verdict if told else "",
        "reason": told.reason if told else "",
        "action": told.action if told else "",
    }


def routed(run: Run, ended: Routed, standing: Standing, now: int) -> PartRouted:
    """The record of a part's end."""
    part, decision = ended.part, ended.decision
    view = decision.view
    seen = [each.told for each in part.views.values()]
    return PartRouted(
        gate=run.gate.name, session=run.session, number=part.number, station=run.gate.station,
        product=seen[0].product if seen else "", part_id=part.id,
        trigger_seq=part.trigger.seq, lot=part.trigger.lot, encoder=part.trigger.encoder,
        triggered_at=part.trigger.utc, commanded_at=_utc(part, part.commanded_at), routed_at=_utc(part, now),
        deadline_ms=int(run.gate.budget_ms), verdict=decision.verdict, reason=decision.reason, detail=ended.detail,
        action=decision.action if part.commanded_at else "", route=ended.route,
        score=view.told.score if view else None, t_lo=view.told.t_lo if view else None,
        model=view.told.model if view else "",
        frames=[[told.camera, told.session, told.seq, told.captured_at] for told in seen],
        bypass=decision.bypass, line_state=standing.line_state, flags=standing.flags, alarms=standing.alarms,
    )  # fmt: skip


def left_over(run: Run, session: int, number: int, told: dict[str, Any]) -> PartRouted:
    """The record of a part that was under way when an earlier run of the gate ended (domain.md §3.2, power cycle)."""
    was_told = bool(told["action"])
    detail = f"the gate restarted before the PLC confirmed {told['action']}" if was_told else "the gate restarted"
    return PartRouted(
        gate=run.gate.name, session=session, number=number, station=run.gate.station, product="",
        part_id=told["part_id"], trigger_seq=told["seq"], lot=told["lot"],
        encoder=told["encoder"], triggered_at=told["triggered_at"],
        commanded_at=0, routed_at=run.session, deadline_ms=int(run.gate.budget_ms),
        verdict=told["verdict"] if was_told else MachineVerdict.NO_VERDICT,
        reason=told["reason"] if was_told else NoVerdictReason.POWER_CYCLE, detail=detail, action=told["action"],
        route=PhysicalRoute.UNCONFIRMED if was_told else PhysicalRoute.REJECTED_FAILSAFE,
    )  # fmt: skip


def alarm(key: str, kind: str, severity: str, *, detail: str | None, at: int) -> bytes:
    """An alarm that came, or went (detail None), as listeners are told."""
    told = {"alarm_id": key, "kind": kind, "severity": severity, "is_active": detail is not None,
            "detail": detail or "", "at": iso(at)}  # fmt: skip
    return json.dumps(told).encode()


def result(part: Part, decision: Decision) -> Result:
    """What the PLC is told."""
    view = decision.view
    told = view.told if view else None
    percent = round(told.score / told.t_lo * 100) if told and told.score is not None and told.t_lo else 0
    return Result(
        number=part.number, seq=part.trigger.seq, accepts=decision.action is GateAction.ACCEPT,
        code=RESULT_CODES[decision.verdict], reason_code=REASON_CODES.get(decision.reason, 0),
        percent=min(max(percent, 0), 0xFFFF), recipe_version=told.recipe_version if told else 0,
    )  # fmt: skip


def _utc(part: Part, at: int) -> int:
    """A monotonic time as UTC ns, counted from the trigger's, so that a clock that jumps bends no duration; 0 stays."""
    return part.trigger.utc + at - part.trigger.at if at else 0
