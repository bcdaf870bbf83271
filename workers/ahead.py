"""Reads batches; the next one is begun while the one at hand is given its effects."""

from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass

from core.broker.protocol import Consumer, Message, Partition
from core.errors import StoreUnavailable
from core.metrics import Metrics
from workers.steps import Ahead, Begun, Step


@dataclass(slots=True)
class Batch:
    """What was read. begun: where its step could begin it while the batch before it was given its effects."""

    messages: Sequence[Message]
    begun: Begun | None = None


class Reader:
    """Hands out batches in the order in which they were read; knows nothing of commits."""

    def __init__(self, consumer: Consumer, step: Step, metrics: Metrics, *, most: int) -> None:
        self._consumer = consumer
        self._step = step
        self._metrics = metrics
        self._most = most
        self._next: Batch | None = None

    def take(self, timeout: float) -> Batch:
        """The batch that was read ahead, or what comes within `timeout` seconds. Raises StoreUnavailable."""
        taken, self._next = self._next or Batch(self._poll(timeout)), None
        return taken

    def look_ahead(self, seasoned: Set[Partition]) -> None:
        """Read and begin the next batch, if there is one.

        Only of partitions that are `seasoned`: the first batch of a partition goes alone, its tries are counted.
        """
        if not isinstance(self._step, Ahead) or self._next:
            return
        with suppress(StoreUnavailable):  # the next turn finds out, where it can be waited for
            messages = self._poll(0)
            self._next = Batch(messages) if messages else None  # before anything can fail: they have been read now
            mine = seasoned & self._consumer.assignment()
            if self._next and {message.partition for message in messages} <= mine:
                self._next.begun = self._step.begin(messages)

    def drop(self) -> None:
        """Forget what was read ahead; the position must go back to before it."""
        if self._next and self._next.begun:
            self._next.begun.drop()
        self._next = None

    def _poll(self, timeout: float) -> list[Message]:
        with self._metrics.stage("poll"):
            return self._consumer.poll(timeout, most=self._most)
