"""What a process counts of itself: hooks that the loops call and that do nothing.

core/prometheus.py keeps the figures.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager

from core.broker.protocol import Partition
from core.health import Health
from core.messages import FrameInspected


class Metrics:
    """Hooks that the loops call; these do nothing, so that no loop asks whether anybody listens."""

    def cameras(self, names: Iterable[str]) -> None:
        """The line has these cameras; figures of any other name are put together as "other"."""

    def captured(self, camera: str, size: int) -> None:
        """A picture of `size` bytes is safe in the log or the spool."""

    def spooled(self, camera: str, size: int, seconds: float) -> None:
        """What waits in a camera's spool: bytes, and the age of the oldest record."""

    def inspected(self, verdict: FrameInspected) -> None:
        """A verdict is in the books and told, for the first time."""

    def repeated(self, count: int) -> None:
        """Frames came again whose verdicts were in the books already."""

    def batch(self, size: int) -> None:
        """A batch of messages is dealt with."""

    def dead(self, topic: str) -> None:
        """A message of a topic was dead-lettered."""

    def waited(self, why: str) -> None:
        """A store was away and the turn is tried again; `why` in words, which are not a figure."""

    def owns(self, partitions: Collection[Partition]) -> None:
        """The partitions that this process has now; the lag in all others is no longer its own to tell."""

    def lag(self, partition: Partition, records: int, seconds: float) -> None:
        """How far this process is behind in a partition, in records and in time."""

    def raised(self, kind: str) -> None:
        """An alert of a kind was raised."""

    def model(self, product: str, version: str) -> None:
        """A product is judged by this version from now on."""

    def live_failed(self, count: int = 1) -> None:
        """The live cache did not answer, so often since the last call."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage of a turn: poll, decode, model, maps, pictures, books, tell, commit."""
        del name
        yield

    def gauges(self, values: Mapping[str, float]) -> None:
        """Further figures of a role, by a name in lower case with its unit last, as gpu_memory_bytes."""

    def watch(self, health: Health) -> None:
        """Show this process's health among the figures."""

    def exposition(self) -> bytes:
        """All figures in Prometheus's text format; nothing where none are kept."""
        return b""
