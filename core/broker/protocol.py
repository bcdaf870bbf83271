"""What flawline asks of a broker; the memory, local and Kafka brokers keep it, and one test suite holds them to it.

Records of one partition keep their order; each consumer group reads every record at least once. A position moves with
`poll`, the group's committed offset only with `commit`, so what was polled and not committed comes again.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from core.messages import Headers


class Partition(NamedTuple):
    """One ordered log of a topic."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Message:
    """One record as it was read. `stored_at` is the broker's own time, ns UTC."""

    partition: Partition
    offset: int
    key: str
    value: bytes
    headers: Headers
    stored_at: int


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic and how long its records live; the oldest go when either bound is passed, by partition."""

    name: str
    partitions: int
    retention_seconds: float = 24 * 3600.0
    retention_bytes: int = 8 << 30


class Producer(AbstractContextManager["Producer"], Protocol):
    """Appends records. Between `send` and the return of `flush` a record may be lost with the process."""

    def send(self, topic: str, value: bytes, *, partition: int, key: str = "", headers: Headers = ()) -> None:
        """Hand over one record.

        Raises ValueError for an unknown topic or partition or a record that is too large, StoreUnavailable when so
        much waits already that this record is not taken.
        """
        ...

    def flush(self) -> None:
        """Return when all that was sent is durable.

        Raises StoreUnavailable when it is not: then none of the records sent since the last flush is dropped by the
        producer, and the next `flush` tries them again.
        """
        ...

    def close(self) -> None:
        """Flush and let go. Raises StoreUnavailable when the flush fails."""
        ...


class Consumer(AbstractContextManager["Consumer"], Protocol):
    """One member of a consumer group on one topic. Owned by one thread."""

    def poll(self, timeout: float, *, most: int = 32) -> list[Message]:
        """Up to `most` records, in offset order by partition; [] after `timeout` seconds without any.

        Also keeps the membership alive: call it at least every few seconds. Raises StoreUnavailable.
        """
        ...

    def commit(self, ends: Mapping[Partition, int]) -> None:
        """Make `ends` (the next offset to read, by partition) the group's position; durable on return.

        A partition that this member no longer owns is left out: its new owner reads those records again.
        Raises StoreUnavailable.
        """
        ...

    def rewind(self) -> None:
        """Read again from the committed offsets."""
        ...

    def heartbeat(self) -> None:
        """Keep the membership alive while a step waits, without taking records. Raises StoreUnavailable."""
        ...

    def assignment(self) -> set[Partition]:
        """The partitions that this member owns now."""
        ...

    def close(self) -> None:
        """Leave the group; a named member's partitions wait for its return until its lease ends."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """One topic that is to be made, or kept otherwise. `before` is None for a new one."""

    topic: Topic
    before: Topic | None = None


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a group is behind in one partition: in records, and since when.

    since: the broker's time (ns UTC) of the oldest record that is not committed; None where there is none.
    """

    partition: Partition
    committed: int
    end: int
    since: int | None = None

    @property
    def records(self) -> int:
        """Records not yet committed."""
        return self.end - self.committed


class Broker(AbstractContextManager["Broker"], Protocol):
    """A durable log with topics, partitions and consumer groups."""

    def apply(self, topics: Iterable[Topic], *, dry_run: bool = False) -> list[Change]:
        """Make the topics exist with these retentions; return what that changed, or with `dry_run` would change.

        Raises ValueError when partitions of an old one would change.
        """
        ...

    def producer(self) -> Producer:
        """A producer; close it (or leave its `with`) to flush."""
        ...

    def consumer(self, topic: str, *, group: str, member: str = "") -> Consumer:
        """A new member of `group`; a `member` name that survives a restart gets its partitions back at once."""
        ...

    def lag(self, topic: str, *, group: str) -> list[Lag]:
        """By partition. Raises ValueError for an unknown topic, StoreUnavailable."""
        ...

    def groups(self, topic: str) -> list[str]:
        """The groups that have a position in a topic. Raises ValueError for an unknown topic, StoreUnavailable."""
        ...

    def retain(self) -> int:
        """Drop what the topics' retention no longer keeps; return the number of records dropped."""
        ...

    def close(self) -> None:
        """Let go of the broker itself; its producers and consumers are closed by their owners."""
        ...
