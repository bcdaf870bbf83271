"""The inspection step: frames in, verdicts in the books, in the order that loses and doubles nothing (design.md §3).

decode -> one model batch per product -> decide -> pictures -> one transaction -> verdict messages; the runtime commits.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

import numpy as np

from core import faults
from core.broker.protocol import Message, Producer
from core.database import Database
from core.errors import BadFrame
from core.messages import VERDICTS, FrameCaptured, FrameId, FrameInspected
from core.records import inspections
from core.records.inspections import Inspected, RegionRow
from core.times import utc_of
from core.verdicts import InvalidReason, Limits, MachineVerdict, NoVerdictReason, decide
from model.fixture import FixtureMismatch
from model.predictor import Prediction
from workers.frames import Picture, Taken, take
from workers.keeping import Evidence, Keeper
from workers.runtime import Dead, Done, Outcome
from workers.shelf import Qualified, Shelf, Unknown, describe

log = logging.getLogger(__name__)

GROUP = "inspection"
MOST_REGIONS = 32  # per frame; the highest peaks


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a frame was judged, and what by."""

    verdict: MachineVerdict
    reason: str = ""
    detail: str = ""
    prediction: Prediction | None = None
    by: Qualified | None = None
    predict_ms: float | None = None
    is_dead: bool = False


class Inspector:
    """Judges frames. Knows the books, the pictures and the models; knows no broker position."""

    def __init__(self, database: Database, shelf: Shelf, keeper: Keeper, verdicts: Producer, *,
                 max_pixels: int, now: Callable[[], int] = time.time_ns) -> None:  # fmt: skip
        self._database = database
        self._shelf = shelf
        self._keeper = keeper
        self._verdicts = verdicts
        self._max_pixels = max_pixels
        self._now = now
        self._decoders = ThreadPoolExecutor(2, thread_name_prefix="decode")

    def __call__(self, messages: Sequence[Message]) -> list[Outcome]:
        """One outcome for each message, all its effects durable. Raises StoreUnavailable."""
        self._verdicts.flush()  # what a failed turn left there, before it is told once more
        self._shelf.refresh()
        taken = list(self._decoders.map(lambda m: take(m, max_pixels=self._max_pixels, now=self._now), messages))
        judgements = self._judge(taken)
        self._record(taken, judgements)
        return [_outcome(one, judgement) for one, judgement in zip(taken, judgements, strict=True)]

    def give_up(self, message: Message, detail: str) -> Outcome:
        """NO_VERDICT for a frame that cannot be handled, without decoding or scoring it."""
        try:
            frame = FrameCaptured.of(message.headers)
            judgement = Judgement(MachineVerdict.NO_VERDICT, NoVerdictReason.INTERNAL_ERROR, detail, is_dead=True)
            self._record([Taken(message, frame)], [judgement])
        except BadFrame as problem:
            self._record([Taken(message, None, problem=problem)], [_refused(problem, is_dead=True)])
        return Dead(detail)

    def _judge(self, taken: Sequence[Taken]) -> list[Judgement]:
        judgements: list[Judgement | None] = [None] * len(taken)
        by_product: dict[str, list[int]] = defaultdict(list)
        for place, one in enumerate(taken):
            if one.problem or one.frame is None or one.picture is None:
                judgements[place] = _refused(one.problem, is_dead=one.is_dead)
            else:
                by_product[one.frame.product].append(place)
        for product, places in by_product.items():
            pictures = [picture for place in places if (picture := taken[place].picture) is not None]
            for place, judgement in zip(places, self._judge_product(product, pictures), strict=True):
                judgements[place] = judgement
        now = self._now()
        return [
            _in_time(one.frame, judgement, now) for one, judgement in zip(taken, judgements, strict=True) if judgement
        ]

    def _judge_product(self, product: str, pictures: Sequence[Picture]) -> list[Judgement]:
        found = self._shelf.find(product)
        if isinstance(found, Unknown):
            unknown = BadFrame(found.detail, InvalidReason.WRONG_PRODUCT)
            return [_refused(unknown, is_dead=True)] * len(pictures)
        if not isinstance(found, Qualified):
            return [Judgement(MachineVerdict.NO_VERDICT, found.reason, found.detail)] * len(pictures)
        judgements: list[Judgement] = []
        fitted: list[Picture] = []
        for picture in pictures:
            try:
                fitted.append(found.predictor.fixture.apply(picture))
                judgements.append(Judgement(MachineVerdict.NO_VERDICT, by=found))
            except FixtureMismatch as problem:
                judgements.append(_refused(BadFrame(str(problem), InvalidReason.MISALIGNED)))
        if not fitted:
            return judgements
        started = time.perf_counter()
        predictions = iter(found.predictor(np.stack(fitted)))
        share = (time.perf_counter() - started) * 1000 / len(fitted)
        return [_scored(j, next(predictions), found.limits, share) if j.by else j for j in judgements]

    def _record(self, taken: Sequence[Taken], judgements: Sequence[Judgement]) -> None:
        rows: dict[FrameId, Inspected] = {}
        for one, judgement in zip(taken, judgements, strict=True):
            if one.frame and one.frame.id not in rows:  # a frame that was sent twice is judged once
                rows[one.frame.id] = self._row(one.frame, one, judgement)
        faults.reach("inspect_after_blobs")
        with self._database.writing() as connection:
            new = inspections.record(connection, list(rows.values()))
            for one, judgement in zip(taken, judgements, strict=True):
                if one.frame is None:
                    inspections.reject(connection, one.message, detail=judgement.detail, now=utc_of(self._now()))
            old = inspections.stored(connection, rows.keys() - new)
            faults.reach("inspect_in_transaction")
        faults.reach("inspect_after_transaction")
        for id_, row in rows.items():
            self._publish(old[id_] if id_ in old else inspections.to_message(row))
        self._verdicts.flush()

    def _row(self, frame: FrameCaptured, one: Taken, judgement: Judgement) -> Inspected:
        seen = judgement.prediction
        evidence = Evidence(one.message.value, one.picture, seen.map if seen else None)
        kept = self._keeper.keep(frame, judgement.verdict, evidence)
        by = judgement.by
        height, width = one.picture.shape[:2] if one.picture is not None else (frame.height, frame.width)
        score = seen.score if seen and np.isfinite(seen.score) else None
        return Inspected(
            frame=replace(frame, width=width, height=height), verdict=judgement.verdict, reason=judgement.reason,
            detail=judgement.detail, score=score, limits=by.limits if by else None,
            model_id=by.model.id if by else None, model_version=by.model.version if by else "",
            recipe_version=by.recipe.version if by else None, inspected_at=self._now(), predict_ms=judgement.predict_ms,
            worker=describe(by.predictor.fingerprint) if by else "", is_late=judgement.reason == NoVerdictReason.LATE,
            size=len(one.message.value), picture=kept.picture, thumb=kept.thumb, heat=kept.heat,
            heat_min=kept.heat_min, heat_max=kept.heat_max, regions=_regions(judgement, (width, height)),
        )  # fmt: skip

    def _publish(self, verdict: FrameInspected) -> None:
        key = verdict.part_id or str(verdict.id)
        self._verdicts.send(VERDICTS, verdict.to_json(), partition=0, key=key)


def _refused(problem: BadFrame | None, *, is_dead: bool = False) -> Judgement:
    assert problem is not None
    return Judgement(MachineVerdict.INVALID, problem.reason, str(problem), is_dead=is_dead)


def _scored(judgement: Judgement, prediction: Prediction, limits: Limits, predict_ms: float) -> Judgement:
    verdict = decide(prediction.score, limits)
    unscored = verdict is MachineVerdict.NO_VERDICT
    return replace(
        judgement, verdict=verdict, prediction=prediction, predict_ms=predict_ms,
        reason=NoVerdictReason.INTERNAL_ERROR if unscored else "",
        detail=f"the model gave {prediction.score}, which is no score" if unscored else "",
    )  # fmt: skip


def _in_time(frame: FrameCaptured | None, judgement: Judgement, now: int) -> Judgement:
    """A verdict after the deadline counts for nothing (INV-4): the part was rejected; the score stays as evidence."""
    if frame is None or not frame.deadline_ms or judgement.verdict is MachineVerdict.INVALID:
        return judgement
    late_ms = (now - frame.captured_at) / 1e6 - frame.deadline_ms
    if late_ms <= 0:
        return judgement
    detail = f"{late_ms:.0f} ms after its deadline of {frame.deadline_ms} ms; it would have been {judgement.verdict}"
    return replace(judgement, verdict=MachineVerdict.NO_VERDICT, reason=NoVerdictReason.LATE, detail=detail)


def _regions(judgement: Judgement, size: tuple[int, int]) -> tuple[RegionRow, ...]:
    """The prediction's regions in raw pixels; `size` is the raw picture's width and height."""
    if not judgement.prediction or not judgement.by:
        return ()
    fixture = judgement.by.predictor.fixture
    raw = (region.on_picture(fixture, size) for region in judgement.prediction.regions[:MOST_REGIONS])
    return tuple(RegionRow(**asdict(region)) for region in raw)


def _outcome(one: Taken, judgement: Judgement) -> Outcome:
    return Dead(judgement.detail) if judgement.is_dead or one.frame is None else Done()
