"""What a process counts of itself: a class of empty hooks for the loops, and beside it one that Prometheus reads."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from core.broker.protocol import Partition
from core.messages import FrameInspected


class Metrics:
    """Hooks that the loops call; these do nothing, so that no loop asks whether anybody listens."""

    def captured(self, camera: str, size: int) -> None:
        """A picture of `size` bytes is safe in the log or the spool."""

    def spooled(self, camera: str, size: int, seconds: float) -> None:
        """What waits in a camera's spool: bytes, and the age of the oldest record."""

    def inspected(self, verdict: FrameInspected) -> None:
        """A verdict is in the books and told."""

    def batch(self, size: int) -> None:
        """A batch of messages is dealt with."""

    def dead(self, topic: str) -> None:
        """A message of a topic was dead-lettered."""

    def waited(self, why: str) -> None:
        """A store was away and the turn is tried again."""

    def lag(self, partition: Partition, records: int, seconds: float) -> None:
        """How far this process is behind in a partition, in records and in time."""

    def raised(self, kind: str) -> None:
        """An alert of a kind was raised."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage of a turn: poll, decode, model, pictures, books, tell, commit."""
        del name
        yield

    def gauges(self, values: Mapping[str, float]) -> None:
        """Further figures of a role, by name."""
