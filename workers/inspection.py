"""The inspection step: frames in, verdicts in the books, in the order that loses and doubles nothing (design.md §3).

decode -> one model batch per product -> decide -> pictures -> one transaction -> verdict messages; the runtime commits.
All up to the decision has no effects and runs on threads, so that the network sees the next batch meanwhile.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from core import faults
from core.blobs.protocol import BlobStore
from core.broker.protocol import Message, Producer
from core.database import Database
from core.dead_letters import replayed_from
from core.errors import BadFrame
from core.live import Glimpse, Live, NoLive
from core.messages import VERDICTS, FrameCaptured, FrameId, FrameInspected
from core.metrics import Metrics
from core.records import inspections, replays
from core.records.inspections import Inspected
from core.times import utc_of
from core.verdicts import NoVerdictReason
from workers.frames import Bounds, Taken, identify, take
from workers.judging import Judgement, in_time, is_overdue, refused, regions_of, unjudged
from workers.keeping import Evidence, Keeper, Kept
from workers.pipeline import Batch, Judged, Pipeline
from workers.preparing import Prepared, prepare
from workers.shelf import Shelf, describe
from workers.steps import Dead, Done, Outcome

GROUP = "inspection"


@dataclass(frozen=True, slots=True)
class Stores:
    """What an inspection reads and writes besides models."""

    database: Database
    blobs: BlobStore
    verdicts: Producer
    live: Live = field(default_factory=NoLive)


class Inspector:
    """Judges frames. Knows the books, the pictures and the models; knows no broker position."""

    def __init__(self, stores: Stores, shelf: Shelf, keeper: Keeper, *, bounds: Bounds,
                 metrics: Metrics | None = None, now: Callable[[], int] = time.time_ns) -> None:  # fmt: skip
        self._stores = stores
        self._shelf = shelf
        self._keeper = keeper
        self._bounds = bounds
        self._metrics = metrics or Metrics()
        self._now = now
        taking = partial(take, blobs=stores.blobs, bounds=bounds, now=now)
        self._pipeline = Pipeline(partial(prepare, take=taking, shelf=shelf), self._metrics)

    def __call__(self, messages: Sequence[Message]) -> list[Outcome]:
        """One outcome for each message, all its effects durable. Raises StoreUnavailable."""
        return self.begin(messages).finish()

    def begin(self, messages: Sequence[Message]) -> Batch:
        """Let the network look at a batch, behind what it has begun before. Raises StoreUnavailable."""
        self._shelf.refresh()
        return Batch(self._pipeline.begin(messages, self._by_urgency(messages)), self._settle)

    def give_up(self, message: Message, detail: str) -> Outcome:
        """NO_VERDICT for a frame that cannot be handled, without decoding or scoring it."""
        try:
            frame = identify(message, self._bounds, now=self._now())
            judgement = unjudged(NoVerdictReason.INTERNAL_ERROR, detail, is_dead=True)
            self._record(Judged([Prepared(Taken(message, frame, message.value))], [judgement]))
        except BadFrame as problem:
            self._record(Judged([Prepared(Taken(message, None, problem=problem))], [refused(problem, is_dead=True)]))
        return Dead(detail)

    def _by_urgency(self, messages: Sequence[Message]) -> list[list[int]]:
        """The batch's places in two groups: what is past its deadline never holds up what is not (domain.md §3.1)."""
        now = self._now()
        overdue = [is_overdue(message, now) for message in messages]
        groups = ([place for place, late in enumerate(overdue) if late is wanted] for wanted in (False, True))
        return [places for places in groups if places]

    def _settle(self, judged: Judged) -> list[Outcome]:
        """Put it in the books as it stands at this moment: what is late by now was late."""
        now = self._now()
        in_the_end = [
            replace(in_time(one.taken.frame, judgement, now), at=now)
            for one, judgement in zip(judged.ready, judged.judgements, strict=True)
        ]
        self._record(Judged(judged.ready, in_the_end))
        return [_outcome(one.taken, judgement) for one, judgement in zip(judged.ready, in_the_end, strict=True)]

    def _record(self, judged: Judged) -> None:
        ready, judgements = judged.ready, judged.judgements
        self._stores.verdicts.flush()  # what a failed turn left there, before it is told once more
        with self._metrics.stage("pictures"):
            kept = self._keep(ready, judgements)
        taken = [one.taken for one in ready]
        rows: dict[FrameId, Inspected] = {}
        for one, judgement in zip(taken, judgements, strict=True):
            if one.frame and one.frame.id not in rows:  # a frame that was sent twice is judged once
                rows[one.frame.id] = self._row(one.frame, one, judgement, kept[one.frame.id])
        faults.reach("inspect_after_blobs")
        with self._metrics.stage("books"), self._stores.database.writing() as connection:
            new = inspections.record(connection, list(rows.values()))
            sent = {one.frame.id: one.message for one in taken if one.frame}
            new |= replays.supersede(connection, rows.values(), sent, now=utc_of(self._now()))
            for one, judgement in zip(taken, judgements, strict=True):
                if one.frame is None and not replayed_from(one.message.headers):
                    inspections.reject(connection, one.message, detail=judgement.detail, now=utc_of(self._now()))
            old = inspections.stored(connection, rows.keys() - new)
            faults.reach("inspect_in_transaction")
        faults.reach("inspect_after_transaction")
        told = {id_: old[id_] if id_ in old else inspections.to_message(row) for id_, row in rows.items()}
        with self._metrics.stage("tell"):
            for verdict in told.values():
                self._publish(verdict)
            self._stores.verdicts.flush()
        for id_ in new:
            self._metrics.inspected(told[id_])
        if old:
            self._metrics.repeated(len(old))
        self._stores.live.show([Glimpse(row, kept[id_].small) for id_, row in rows.items() if id_ in new])

    def _keep(self, ready: Sequence[Prepared], judgements: Sequence[Judgement]) -> dict[FrameId, Kept]:
        """Store what is kept of each frame, the first of equal ones."""
        kept: dict[FrameId, Kept] = {}
        for one, judgement in zip(ready, judgements, strict=True):
            frame = one.taken.frame
            if frame and frame.id not in kept:
                kept[frame.id] = self._keeper(frame, judgement.verdict, _evidence(one, judgement))
        self._stores.blobs.put_all([item for one in kept.values() for item in one.items])
        return kept

    def _row(self, frame: FrameCaptured, one: Taken, judgement: Judgement, kept: Kept) -> Inspected:
        seen, by = judgement.prediction, judgement.by
        height, width = one.picture.shape[:2] if one.picture is not None else (frame.height, frame.width)
        score = seen.score if seen and np.isfinite(seen.score) else None
        return Inspected(
            frame=replace(frame, width=width, height=height), verdict=judgement.verdict, reason=judgement.reason,
            detail=judgement.detail, score=score, limits=by.limits if by else None,
            model_id=by.model.id if by else None, model_version=by.model.version if by else "",
            recipe_version=by.recipe.version if by else None,
            inspected_at=judgement.at or self._now(), predict_ms=judgement.predict_ms,
            worker=describe(by.predictor.fingerprint) if by else "", is_late=judgement.reason == NoVerdictReason.LATE,
            size=len(one.value), picture=kept.picture, thumb=kept.thumb, heat=kept.heat,
            heat_min=kept.heat_min, heat_max=kept.heat_max, golden=kept.golden, regions=regions_of(judgement),
        )  # fmt: skip

    def _publish(self, verdict: FrameInspected) -> None:
        key = verdict.part_id or str(verdict.id)
        self._stores.verdicts.send(VERDICTS, verdict.to_json(), partition=0, key=key)


def _evidence(one: Prepared, judgement: Judgement) -> Evidence:
    return Evidence(one.taken.value, one.small, judgement.prediction, judgement.golden)


def _outcome(one: Taken, judgement: Judgement) -> Outcome:
    return Dead(judgement.detail) if judgement.is_dead or one.frame is None else Done()
