"""A broker inside one process, lost with it: for tests and for roles that share one process. Thread-safe."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

from core.broker.consumer import Edges, GroupConsumer
from core.broker.groups import Group, Seat
from core.broker.protocol import Change, Lag, Message, Partition, Topic
from core.broker.retention import Head, outlived, unread
from core.broker.topics import changes
from core.closing import Closing
from core.errors import StoreUnavailable
from core.messages import Headers

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Log:
    first: int = 0
    total: int = 0
    records: list[Message] = field(default_factory=list)

    @property
    def next(self) -> int:
        return self.first + len(self.records)


class MemoryBroker(Closing):
    """Keeps the broker protocol in plain lists.

    Set `available` to False to rehearse an outage: everything that may raise StoreUnavailable then does.
    """

    def __init__(self, *, lease_seconds: float = 8.0, clock: Callable[[], int] = time.time_ns) -> None:
        self.available = True
        self.clock = clock
        self._lease_seconds = lease_seconds
        self._topics: dict[str, Topic] = {}
        self._logs: dict[Partition, _Log] = {}
        self._groups: dict[tuple[str, str], Group] = {}
        self._version = 0
        self._changed = threading.Condition(threading.RLock())

    def apply(self, topics: Iterable[Topic], *, dry_run: bool = False) -> list[Change]:
        """Make the topics exist with these retentions. Raises ValueError when partitions of an old one would change."""
        with self.changing():
            found = changes(self._topics, topics)
            for topic in () if dry_run else (change.topic for change in found):
                self._topics[topic.name] = topic
                for number in range(topic.partitions):
                    self._logs.setdefault(Partition(topic.name, number), _Log())
        return found

    def producer(self) -> "MemoryProducer":
        """A producer; close it (or leave its `with`) to flush."""
        return MemoryProducer(self)

    def consumer(self, topic: str, *, group: str, member: str = "") -> GroupConsumer:
        """A new member of `group`. Raises ValueError for an unknown topic."""
        log = MemoryGroupLog(self, self._known(topic).name, group)
        return GroupConsumer(log, member=member, lease_seconds=self._lease_seconds, clock=self.clock)

    def lag(self, topic: str, *, group: str) -> list[Lag]:
        """By partition."""
        with self.reading():
            seats = self._groups[topic, group].seats if (topic, group) in self._groups else {}
            logs = self.logs_of(self._known(topic).name)
            return [
                _lag(Partition(topic, number), log, seats.get(number, Seat(0)).committed)
                for number, log in logs.items()
            ]

    def groups(self, topic: str) -> list[str]:
        """The groups that have joined for a topic."""
        with self.reading():
            self._known(topic)
            return sorted(name for of, name in self._groups if of == topic)

    def retain(self) -> int:
        """Drop what the topics' retention no longer keeps; return the number of records dropped."""
        with self.changing():
            return sum(self._retain(part, log, self._topics[part.topic]) for part, log in self._logs.items())

    def close(self) -> None:
        """Nothing to let go of; what is in memory stays for whoever still holds the broker."""

    # What its producers and consumers use.

    def check(self, partition: Partition) -> None:
        """Raise ValueError for an unknown topic or partition."""
        topic = self._known(partition.topic)
        if not 0 <= partition.number < topic.partitions:
            raise ValueError(f"topic {topic.name} has partitions 0 to {topic.partitions - 1}, not {partition.number}")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Alone with the broker."""
        with self._changed:
            if not self.available:
                raise StoreUnavailable("the memory broker rehearses an outage")
            yield

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Alone with the broker; wakes who waits for a change."""
        with self.reading():
            yield
            self._version += 1
            self._changed.notify_all()

    def version(self) -> int:
        """Grows with each change."""
        with self.reading():
            return self._version

    def wait(self, version: int, seconds: float) -> None:
        """Until the version is another one, `seconds` at most."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version, timeout=seconds)

    def logs_of(self, topic: str) -> dict[int, _Log]:
        """By partition number."""
        return {part.number: log for part, log in self._logs.items() if part.topic == topic}

    def group(self, topic: str, name: str) -> Group:
        """The group, new ones at the start of each log."""
        fresh = Group({number: Seat(log.first) for number, log in self.logs_of(topic).items()})
        return self._groups.setdefault((topic, name), fresh)

    def generation(self, topic: str, name: str) -> int:
        """-1 for a group that nobody has joined."""
        return self._groups[topic, name].generation if (topic, name) in self._groups else -1

    def append(self, records: Iterable[tuple[Partition, str, bytes, Headers]]) -> None:
        """Store records in order."""
        for part, key, value, headers in records:
            log = self._logs[part]
            log.records.append(Message(part, log.next, key, value, headers, self.clock()))
            log.total += len(value)

    def _known(self, topic: str) -> Topic:
        if topic not in self._topics:
            raise ValueError(f"no topic is called {topic!r}; there are {', '.join(sorted(self._topics)) or 'none'}")
        return self._topics[topic]

    def _retain(self, part: Partition, log: _Log, topic: Topic) -> int:
        heads = (Head(m.offset, len(m.value), m.stored_at) for m in log.records)
        before = self.clock() - int(topic.retention_seconds * 1e9)
        gone = outlived(heads, total=log.total, most=topic.retention_bytes, before=before, last=log.next - 1)
        kept_from = log.first + len(gone)
        for (topic_of_group, name), group in self._groups.items():
            if topic_of_group != part.topic:
                continue
            if lost := unread(group.seats[part.number].committed, first=log.first, kept_from=kept_from):
                logger.warning(
                    "retention dropped %d records of %s-%d that group %s had not finished", lost, *part, name
                )
        log.total -= sum(head.size for head in gone)
        log.first = kept_from
        del log.records[: len(gone)]
        return len(gone)


def _lag(part: Partition, log: _Log, committed: int) -> Lag:
    committed = max(log.first, committed)
    rest = log.records[committed - log.first :]
    return Lag(part, committed, log.next, rest[0].stored_at if rest else None)


class MemoryProducer(Closing):
    """Buffers on `send`, appends on `flush`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._waiting: list[tuple[Partition, str, bytes, Headers]] = []
        self._lock = threading.Lock()

    def send(self, topic: str, value: bytes, *, partition: int, key: str = "", headers: Headers = ()) -> None:
        """Hand over one record. Raises ValueError for an unknown topic or partition."""
        part = Partition(topic, partition)
        self._broker.check(part)
        with self._lock:
            self._waiting.append((part, key, bytes(value), tuple(headers)))

    def flush(self) -> None:
        """Append all that was sent. Raises StoreUnavailable and keeps it all."""
        with self._lock:
            if not self._waiting:
                return
            with self._broker.changing():
                self._broker.append(self._waiting)
            self._waiting.clear()

    def close(self) -> None:
        """Flush."""
        self.flush()


class MemoryGroupLog:
    """One topic of a memory broker as one group sees it."""

    def __init__(self, broker: MemoryBroker, topic: str, group: str) -> None:
        self.topic, self.group = topic, group
        self._broker = broker
        self.version, self.wait = broker.version, broker.wait

    def generation(self) -> int:
        """The group's generation; -1 for a group that nobody has joined."""
        with self._broker.reading():
            return self._broker.generation(self.topic, self.group)

    def edges(self) -> dict[int, Edges]:
        """By partition number."""
        with self._broker.reading():
            return {number: Edges(log.first, log.next) for number, log in self._broker.logs_of(self.topic).items()}

    def read(self, number: int, start: int, most: int, most_bytes: int) -> list[Message]:
        """Records from `start` on; a list in memory needs no bound by bytes."""
        del most_bytes
        with self._broker.reading():
            log = self._broker.logs_of(self.topic)[number]
            begin = max(0, start - log.first)
            return list(islice(log.records, begin, begin + most))

    @contextmanager
    def changing(self) -> Iterator[Group]:
        """The group, alone in hand."""
        with self._broker.changing():
            yield self._broker.group(self.topic, self.group)

    def close(self) -> None:
        """Nothing was opened."""
