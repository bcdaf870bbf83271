"""What the gate's tests have in common: messages, triggers and a tracker at a hand-moved clock."""

from core.messages import FrameInspected
from workers.gate.parts import Trigger
from workers.gate.permission import Permission
from workers.gate.tracker import Commanded, Effect, Routed, Rules, Tracker

MS = 1_000_000
BUDGET = 1000 * MS
RULES = Rules(cameras=frozenset({"top"}), budget=BUDGET)


def told(part_id: str | int, verdict: str = "PASS", **more: object) -> FrameInspected:
    """A verdict message; `seq` follows the part unless it is given."""
    values: dict[str, object] = {
        "camera": "top", "session": 1, "captured_at": 1, "inspected_at": 2, "station": "s", "product": "ring",
        "part_id": str(part_id), "lot": "", "verdict": verdict, "reason": "", "detail": "", "score": 0.1, "t_lo": 0.2,
        "t_hi": 0.3, "model": "m", "is_late": False,
    }  # fmt: skip
    values |= more
    values.setdefault("seq", int(part_id) if str(part_id).isdigit() else 0)
    return FrameInspected(**values)  # type: ignore[arg-type]


def trigger(seq: int, at: int, **more: object) -> Trigger:
    """An announced part."""
    return Trigger(seq=seq, at=at, **more)  # type: ignore[arg-type]


def qualified(at: int = 0) -> Permission:
    """A gate that may accept."""
    permission = Permission()
    permission.qualify(at)
    return permission


def tracker(rules: Rules = RULES, permission: Permission | None = None, **more: object) -> Tracker:
    """A tracker that may accept, unless told otherwise."""
    return Tracker(rules, permission or qualified(), **more)  # type: ignore[arg-type]


def commands(effects: list[Effect]) -> dict[int, str]:
    """Action by trigger number."""
    return {e.part.trigger.seq: str(e.decision.action) for e in effects if isinstance(e, Commanded)}


def routes(effects: list[Effect]) -> dict[int, tuple[str, str]]:
    """Route and reason by trigger number."""
    return {e.part.trigger.seq: (str(e.route), e.decision.reason) for e in effects if isinstance(e, Routed)}


def run_out(gate: Tracker, now: int) -> list[Effect]:
    """Let all deadlines pass and acknowledge every command."""
    effects = gate.tick(now)
    for effect in list(effects):
        if isinstance(effect, Commanded):
            effects += gate.acknowledged(effect.part.number, now)
    return effects
