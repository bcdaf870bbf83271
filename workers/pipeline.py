"""A batch on its way to its judgements, on threads: made ready, seen by the network, turned into maps and scores.

Nothing here has effects. The three go on side by side: while one batch's maps are made the network sees the next.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from core.broker.protocol import Message
from core.errors import BadFrame
from core.metrics import Metrics
from core.verdicts import InvalidReason, MachineVerdict
from model.runtimes import Seen
from workers.comparing import Comparing, OnInput
from workers.judging import Judgement, refused, scored, unjudged
from workers.preparing import Prepared
from workers.shelf import Qualified, Unknown
from workers.steps import Outcome, nothing

SPLIT_FROM = 8  # frames; fewer are judged in one go
THREADS = 2  # that decode, fit and encode pictures; the network has its own


@dataclass(frozen=True, slots=True)
class Judged:
    """Frames with what the model says of each; the clock has not been asked yet."""

    ready: Sequence[Prepared]
    judgements: Sequence[Judgement]


@dataclass(frozen=True, slots=True)
class Group:
    """Messages that are judged together. places: in their batch. seen: done when the network is, with what follows."""

    places: Sequence[int]
    pending: Sequence[Future[Prepared]]
    seen: Future[list[Future[Judged]]]

    def judged(self) -> Judged:
        """Wait for all of it. Raises StoreUnavailable."""
        parts = [part.result() for part in self.seen.result()]
        ready = [one for part in parts for one in part.ready]
        return Judged(ready, [judgement for part in parts for judgement in part.judgements])

    def drop(self) -> None:
        """What has not been begun is left undone."""
        self.seen.cancel()
        for one in self.pending:
            one.cancel()


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch on its way, without effects so far. groups: in the order in which `record` gives them theirs."""

    groups: Sequence[Group]
    record: Callable[[Judged], list[Outcome]]

    def finish(self, idle: Callable[[], None] = nothing) -> list[Outcome]:
        """See workers.runtime.Begun."""
        outcomes: dict[int, Outcome] = {}
        try:
            for group in self.groups:
                group.seen.result()
                if group is self.groups[-1]:
                    idle()
                outcomes |= zip(group.places, self.record(group.judged()), strict=True)
        finally:
            self.drop()  # where a store is away, the others need not find out too
        return [outcomes[place] for place in range(len(outcomes))]

    def drop(self) -> None:
        """See workers.runtime.Begun."""
        for group in self.groups:
            group.drop()


class Pipeline:
    """The threads that batches pass through, in the order in which they were begun."""

    def __init__(self, prepare: Callable[[Message], Prepared], metrics: Metrics) -> None:
        self._prepare = prepare
        self._metrics = metrics
        cv2.setNumThreads(1)  # each of our threads is one; OpenCV's own would wait for work by spinning
        self._pictures = ThreadPoolExecutor(THREADS, thread_name_prefix="pictures")
        self._network = ThreadPoolExecutor(1, thread_name_prefix="network")  # a predictor is for one thread
        self._maps = ThreadPoolExecutor(1, thread_name_prefix="maps")

    def begin(self, messages: Sequence[Message], groups: Sequence[Sequence[int]]) -> list[Group]:
        """Let the messages pass, group by group; groups: their places."""
        pending = [self._pictures.submit(self._prepare, message) for message in messages]
        begun = []
        for places in groups:
            some = [pending[place] for place in places]
            begun.append(Group(places, some, self._network.submit(self._see, some)))
        return begun

    def _see(self, pending: Sequence[Future[Prepared]]) -> list[Future[Judged]]:
        """A quarter first: while the network looks at it, the rest is made ready."""
        first = len(pending) // 4 if len(pending) >= SPLIT_FROM else 0
        parts: list[Future[Judged]] = []
        for part in filter(None, (pending[:first], pending[first:])):
            with self._metrics.stage("decode"):
                ready = [one.result() for one in part]
            with self._metrics.stage("model"):
                looks = _looks(ready)
            parts.append(self._maps.submit(self._judge, ready, looks))
        return parts

    def _judge(self, ready: Sequence[Prepared], looks: Sequence["_Look"]) -> Judged:
        judgements = [_unscored(one) for one in ready]
        compare = Comparing()
        with self._metrics.stage("maps"):
            for look in looks:
                started = time.perf_counter()
                predictions = look.found.predictor.conclude(look.seen)
                share = (look.seconds + time.perf_counter() - started) * 1000 / len(look.places)
                for number, (place, prediction) in enumerate(zip(look.places, predictions, strict=True)):
                    placement, laid = ready[place].placement, ready[place].laid
                    assert placement is not None  # or nothing would have been looked at
                    assert laid is not None
                    part = OnInput(look.found.predictor, look.seen, number, laid, prediction)
                    seen = prediction.on_picture(placement)
                    judgements[place] = compare(scored(judgements[place], seen, look.found.limits, share), part)
        return Judged(ready, judgements)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a product's network says of the frames at these places, and how long it took."""

    places: Sequence[int]
    found: Qualified
    seen: Seen
    seconds: float


def _looks(ready: Sequence[Prepared]) -> list[_Look]:
    """One batch of the network for each product."""
    by_product: dict[str, list[int]] = defaultdict(list)
    for place, one in enumerate(ready):
        if one.laid is not None and one.taken.frame:
            by_product[one.taken.frame.product].append(place)
    looks = []
    for places in by_product.values():
        found = ready[places[0]].found
        assert isinstance(found, Qualified)  # or nothing would be laid into its fixture
        started = time.perf_counter()
        seen = found.predictor.look(np.stack([laid for place in places if (laid := ready[place].laid) is not None]))
        looks.append(_Look(places, found, seen, time.perf_counter() - started))
    return looks


def _unscored(one: Prepared) -> Judgement:
    """What is known of a frame before any network has seen it."""
    taken, found = one.taken, one.found
    if one.problem:
        return refused(one.problem)
    if isinstance(found, Qualified):
        return Judgement(MachineVerdict.NO_VERDICT, by=found)
    if isinstance(found, Unknown):
        return refused(BadFrame(found.detail, InvalidReason.WRONG_PRODUCT), is_dead=True)
    if found:
        return unjudged(found.reason, found.detail)
    if taken.frame and taken.frame.no_verdict:
        return unjudged(taken.frame.no_verdict, taken.frame.gate_detail)
    return refused(taken.problem, is_dead=taken.is_dead)
