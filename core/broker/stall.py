"""Sees a partition that has records to read and does not move: a client that is stuck must not look like a quiet line.

Pure: no I/O, the clock is handed in.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass

from core.broker.protocol import Lag, Partition


@dataclass(frozen=True, slots=True)
class Stall:
    """A partition with lag whose committed offset has not moved for `seconds`."""

    lag: Lag
    seconds: float

    def __str__(self) -> str:
        """In words."""
        topic, number = self.lag.partition
        return f"{topic}/{number}: {self.lag.records} records wait and none was finished for {self.seconds:.0f} s"


class StallWatch:
    """Notes how long each partition of ours has had lag without progress.

    A worker asks it every few seconds with `broker.lag(…)` and `consumer.assignment()`, and ends for a restart when it
    returns something; while it waits for a store it calls `forget`, since it stands still on purpose then.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[Partition, tuple[int, float]] = {}  # committed offset, and since when it stands there

    def look(self, lags: Iterable[Lag], mine: Set[Partition], now: float) -> list[Stall]:
        """The partitions of `mine` that have stalled. now: any clock in seconds that is never set back."""
        ours = {lag.partition: lag for lag in lags if lag.partition in mine and lag.records > 0}
        before, self._since = self._since, {}
        for part, lag in ours.items():
            committed, since = before.get(part, (lag.committed, now))
            self._since[part] = (lag.committed, since if committed == lag.committed else now)
        ages = {part: now - since for part, (_, since) in self._since.items()}
        return [Stall(ours[part], age) for part, age in ages.items() if age >= self._seconds]

    def forget(self) -> None:
        """Begin anew: whatever stood still did so on purpose."""
        self._since.clear()
