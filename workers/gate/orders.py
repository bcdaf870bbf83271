"""What people order a gate to do, through its journal, so that no server is needed for it."""

import logging
from collections.abc import Mapping
from typing import Any

from core.errors import NotAllowed
from workers.gate.permission import Bypass, Permission

log = logging.getLogger(__name__)

QUALIFY, DISQUALIFY, BYPASS, INSPECT, RESET = "qualify", "disqualify", "bypass", "inspect", "reset"


def ordered(kind: str, *, who: str, why: str, control: str = "", minutes: float = 0) -> dict[str, Any]:
    """An order as the journal takes it. Raises NotAllowed when a word is missing that must be on record."""
    if not who.strip() or not why.strip():
        raise NotAllowed(f"{kind}: say who orders it and why; both go on record")
    if kind == BYPASS and not control.strip():
        raise NotAllowed("a bypass needs the other control that takes the gate's place meanwhile")
    return {"kind": kind, "who": who, "why": why, "control": control, "minutes": minutes}


def refusal(order: Mapping[str, Any], *, most_minutes: float) -> str:
    """Why an order is not carried out; "" = it is."""
    kind, minutes = order.get("kind"), order.get("minutes", 0)
    if kind == BYPASS and not (isinstance(minutes, int | float) and 0 < minutes <= most_minutes):
        return f"{minutes} minutes of bypass; above 0 and up to {most_minutes:g} are allowed"
    return "" if kind in {QUALIFY, DISQUALIFY, INSPECT, BYPASS, RESET} else f"no gate knows the order {kind!r:.80}"


def obey(order: Mapping[str, Any], permission: Permission, now: int, *, most_minutes: float) -> bool:
    """Carry out an order; True when alarms are to be taken back. What nobody can mean is left alone, and said."""
    kind, who, why = (str(order.get(name, "")) for name in ("kind", "who", "why"))
    if refused := refusal(order, most_minutes=most_minutes):
        log.error("%s by %s is not carried out: %s", kind, who, refused)
        return False
    if kind == QUALIFY:
        permission.qualify(now)
    elif kind == DISQUALIFY:
        permission.disqualify()
    elif kind == INSPECT:
        permission.end_bypass()
    elif kind == BYPASS:
        until = now + int(order["minutes"] * 60e9)
        permission.allow(Bypass(f"{who}-{now}", who, why, str(order.get("control", "")), until))
    log.warning("%s by %s: %s", kind, who, why)
    return kind == RESET
