"""A part on its way to the gate, what became of it, and how its views are weighed. Pure: no I/O, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.messages import FrameInspected
from core.verdicts import WORST_FIRST, GateAction, MachineVerdict, NoVerdictReason, PhysicalRoute

CLOSED = {PhysicalRoute.ACCEPTED: GateAction.ACCEPT, PhysicalRoute.ACCEPTED_BYPASS: GateAction.ACCEPT,
          PhysicalRoute.HELD: GateAction.HOLD}  # fmt: skip
"""What a gate does for each route; for all others it rejects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A PLC announced a part. `at` is ns of the monotonic clock, from which the deadline runs; `utc` is for records.

    code: the part's own barcode, "" for none. product_code: the product that the PLC says is running, 0 = not said.
    encoder: the belt's position, as its encoder counts.
    """

    seq: int
    at: int
    utc: int = 0
    code: str = ""
    product_code: int = 0
    lot: str = ""
    encoder: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """One camera's verdict for a part, as far as the gate believes it."""

    verdict: MachineVerdict
    reason: str
    detail: str
    told: FrameInspected


@dataclass(frozen=True, slots=True)
class Decision:
    """How a part ended: the verdict that the gate acted on, and where the part belongs by it."""

    verdict: MachineVerdict
    reason: str
    detail: str
    route: PhysicalRoute
    bypass: str = ""
    view: View | None = None  # the one that decided

    @property
    def action(self) -> GateAction:
        """What the gate is told."""
        return CLOSED.get(self.route, GateAction.REJECT)


@dataclass(slots=True)
class Part:
    """A part from its trigger to its route. `number` counts the triggers of this run of the gate, from 0."""

    number: int
    id: str
    trigger: Trigger
    due: int
    place: int | None = None  # of the belt at its trigger, where the deadline runs by that; None: it runs by time
    spoiled: str = ""  # why nothing can prove it good any more: an error of its trigger
    views: dict[str, View] = field(default_factory=dict)
    seen_at: int = 0  # when its last view came
    decision: Decision | None = None
    commanded_at: int = 0
    is_acknowledged: bool = False
    is_confirmed: bool = False

    @property
    def seen_ms(self) -> float | None:
        """Milliseconds from its trigger to its last view; None where none came."""
        return (self.seen_at - self.trigger.at) / 1e6 if self.seen_at else None

    def see(self, view: View) -> None:
        """Take a view; a second picture by the same camera can only make it worse."""
        former = self.views.get(view.told.camera)
        if former is None or rank(view.verdict) < rank(former.verdict):
            self.views[view.told.camera] = view


def rank(verdict: MachineVerdict) -> int:
    """0 for the worst."""
    return WORST_FIRST.index(verdict)


def weigh(part: Part, cameras: frozenset[str]) -> View | tuple[NoVerdictReason, str]:
    """The worst view (INV-12); where that is a view that has not come, why there is no verdict."""
    missing = sorted(cameras - part.views.keys())
    worst = min(part.views.values(), key=lambda view: rank(view.verdict), default=None)
    if not missing and worst is not None:
        return worst
    if worst is not None and rank(worst.verdict) <= rank(MachineVerdict.NO_VERDICT):
        return worst
    if worst is None:
        return NoVerdictReason.LATE, "no verdict came before the deadline"
    return NoVerdictReason.VIEW_MISSING, f"nothing of {', '.join(missing)} came before the deadline"


def too_soon(told: FrameInspected) -> View:
    """A verdict that came before the belt had brought its part to the camera: it is of another part."""
    return View(MachineVerdict.NO_VERDICT, NoVerdictReason.TRIGGER_ERROR,
                f"{told.camera} told of it before the belt had brought it there", told)  # fmt: skip


def believe(told: FrameInspected, product_codes: Mapping[str, int], trigger: Trigger, within_ms: int) -> View:
    """What a verdict message proves of the part of `trigger`; whatever is doubtful about a PASS makes it none.

    within_ms: farthest that picture and trigger may lie apart by the clocks of both machines; 0 = not asked.
    """
    try:
        verdict = MachineVerdict(told.verdict)
    except ValueError:
        doubt = NoVerdictReason.INTERNAL_ERROR, f"{told.verdict!r:.40} is no verdict"
        return View(MachineVerdict.NO_VERDICT, *doubt, told)
    found = _doubt(told, product_codes, trigger, within_ms) if verdict is MachineVerdict.PASS else None
    if found:
        return View(MachineVerdict.NO_VERDICT, *found, told)
    return View(verdict, told.reason, told.detail, told)


def _doubt(
    told: FrameInspected, product_codes: Mapping[str, int], trigger: Trigger, within_ms: int
) -> tuple[NoVerdictReason, str] | None:
    """Why a PASS proves nothing of this part; None where it does."""
    if told.is_late:
        return NoVerdictReason.LATE, "the inspection itself marked it late"
    if told.score is None or told.t_lo is None or not told.score <= told.t_lo:
        return NoVerdictReason.INTERNAL_ERROR, f"PASS with score {told.score} at limit {told.t_lo}"
    if product_codes and product_codes.get(told.product) != trigger.product_code:
        return NoVerdictReason.RECIPE_MISMATCH, f"judged as {told.product}, the PLC runs code {trigger.product_code}"
    apart_ms = abs(told.captured_at - trigger.utc) // 1_000_000
    if within_ms and apart_ms > within_ms:
        detail = f"its picture was taken {apart_ms} ms from the trigger, {within_ms} ms are allowed"
        return NoVerdictReason.TRIGGER_ERROR, detail
    return None
