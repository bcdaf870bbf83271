"""How far a worker is behind in its partitions, told every few seconds; and the end of one that stands still.

A client that is stuck looks like a quiet line: nothing fails, nothing moves. Ending cures it, for the supervisor starts
a new process, and nothing was committed.
"""

import logging
import time
from collections.abc import Callable, Set

from core.broker.protocol import Broker, Lag, Partition
from core.broker.stall import StallWatch
from core.errors import FlawlineError, StoreUnavailable
from core.metrics import Metrics

log = logging.getLogger(__name__)

LOOK_EVERY = 10.0  # s; the broker is asked several times for one look
STALLED_AFTER = 120.0  # s; longer than any lawful turn


class Behind:
    """One group's lag on one topic, as the broker knows it."""

    def __init__(self, broker: Broker, topic: str, group: str, metrics: Metrics, *,
                 clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self._broker = broker
        self._topic, self._group = topic, group
        self._metrics = metrics
        self._stall = StallWatch(STALLED_AFTER)
        self._mine: set[Partition] = set()
        self._clock = clock
        self._look_at = clock() + LOOK_EVERY

    def look(self, mine: Set[Partition]) -> None:
        """Tell the lag in the partitions of this process, when it is time to.

        Raises FlawlineError when one of them has had records for minutes and none was finished.
        """
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY
        try:
            lags = self._broker.lag(self._topic, group=self._group)
        except StoreUnavailable as problem:
            log.debug("the lag cannot be told now: %s", problem)
            self._stall.forget()
            return
        self._tell(lags, mine)
        if stalls := self._stall.look(lags, mine, now):
            told = "; ".join(map(str, stalls))
            log.critical("standing still, ending for a new start: %s", told)
            raise FlawlineError(f"the worker stands still: {told}")

    def waits(self) -> None:
        """The worker stands still on purpose: a store is away."""
        self._stall.forget()

    def _tell(self, lags: list[Lag], mine: Set[Partition]) -> None:
        if self._mine - mine:
            self._metrics.owns(mine)
        self._mine = set(mine)
        for lag in lags:
            if lag.partition in mine:
                age = (time.time_ns() - lag.since) / 1e9 if lag.since is not None else 0.0
                self._metrics.lag(lag.partition, lag.records, max(0.0, age))
