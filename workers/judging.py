"""How a frame is judged: the rules, without effects. No failure of any kind becomes PASS."""

from dataclasses import asdict, dataclass, replace

from core.broker.protocol import Message
from core.clock import age_ns
from core.errors import BadFrame
from core.messages import FrameCaptured
from core.records.inspections import RegionRow
from core.verdicts import Limits, MachineVerdict, NoVerdictReason, decide
from model.neighbours import Comparison
from model.predictor import Prediction
from workers.shelf import Qualified

MOST_REGIONS = 32  # per frame; the highest peaks


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a frame was judged, what by, and at what time (ns UTC): in time or late is told by that very time.

    golden: the golden parts nearest to it, for people; it has no say.
    """

    verdict: MachineVerdict
    reason: str = ""
    detail: str = ""
    prediction: Prediction | None = None
    by: Qualified | None = None
    predict_ms: float | None = None
    golden: Comparison | None = None
    is_dead: bool = False
    at: int = 0


def refused(problem: BadFrame | None, *, is_dead: bool = False) -> Judgement:
    """A picture that is not fit to be scored."""
    assert problem is not None
    return Judgement(MachineVerdict.INVALID, problem.reason, str(problem), is_dead=is_dead)


def unjudged(reason: str, detail: str, *, is_dead: bool = False) -> Judgement:
    """The system owes the part its verdict."""
    return Judgement(MachineVerdict.NO_VERDICT, reason, detail, is_dead=is_dead)


def scored(judgement: Judgement, prediction: Prediction, limits: Limits, predict_ms: float) -> Judgement:
    """The model's answer against the limits; one that is no number proves nothing."""
    verdict = decide(prediction.score, limits)
    unscored = verdict is MachineVerdict.NO_VERDICT
    return replace(
        judgement, verdict=verdict, prediction=prediction, predict_ms=predict_ms,
        reason=NoVerdictReason.INTERNAL_ERROR if unscored else "",
        detail=f"the model gave {prediction.score}, which is no score" if unscored else "",
    )  # fmt: skip


def late_by(frame: FrameCaptured, now: int) -> float:
    """Milliseconds past the frame's deadline at `now` (ns UTC); not above 0 before it, and without a deadline."""
    return age_ns(frame, now) / 1e6 - frame.deadline_ms if frame.deadline_ms else 0.0


def is_overdue(message: Message, now: int) -> bool:
    """Whether a message's frame is past its deadline already; False for one that cannot be read. now: ns UTC."""
    try:
        return late_by(FrameCaptured.of(message.headers), now) > 0
    except BadFrame:
        return False


def in_time(frame: FrameCaptured | None, judgement: Judgement, now: int) -> Judgement:
    """A verdict after the deadline counts for nothing (INV-4): the part was rejected; the score stays as evidence."""
    no_statement = (MachineVerdict.INVALID, MachineVerdict.NO_VERDICT)
    if frame is None or judgement.verdict in no_statement:
        return judgement
    late_ms = late_by(frame, now)
    if late_ms <= 0:
        return judgement
    detail = f"{late_ms:.0f} ms after its deadline of {frame.deadline_ms} ms; it would have been {judgement.verdict}"
    return replace(judgement, verdict=MachineVerdict.NO_VERDICT, reason=NoVerdictReason.LATE, detail=detail)


def regions_of(judgement: Judgement) -> tuple[RegionRow, ...]:
    """The prediction's regions, in raw pixels, and in mm² where the recipe has a scale."""
    regions = judgement.prediction.regions if judgement.prediction else ()
    recipe = judgement.by.recipe.recipe if judgement.by else None
    return tuple(
        RegionRow(**asdict(region), area_mm2=recipe.square_millimetres(region.area) if recipe else None)
        for region in regions[:MOST_REGIONS]
    )
