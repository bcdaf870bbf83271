"""A camera's spool: what the broker has not acknowledged yet, in order, in one local log file (domain.md IT-6).

The file is a local log with the topics and partitions of the broker. It has one writer and one reader, so it needs no
groups: a partition starts where the broker's acknowledgements end. No retention: a record leaves when it is forwarded.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import Self

from core.broker.local import LONGEST_NS
from core.broker.local_log import pack_headers, unpack_headers
from core.broker.local_retention import drop_before, tidy
from core.broker.log_file import LogFile
from core.broker.protocol import Message, Partition
from core.closing import Closing
from core.errors import SpoolFull
from core.messages import Headers

RESERVE_SHARE = 16  # one part in so many is kept for records without a picture
SMALL_BYTES = 4 << 10  # a value of at most so much is no picture
ALARM_SHARE = 0.8  # of the room for pictures, above which it is time to act (domain.md SPOOL_80)


@dataclass(frozen=True, slots=True)
class Record:
    """What a producer was handed."""

    topic: str
    partition: int
    key: str
    value: bytes
    headers: Headers

    @classmethod
    def of(cls, message: Message) -> Self:
        """A record as it was read from a log."""
        return cls(message.partition.topic, message.partition.number, message.key, message.value, message.headers)


@dataclass(frozen=True, slots=True)
class SpoolState:
    """What waits: records, their bytes, and when the oldest was stored (ns UTC, 0 for none). `room` for pictures."""

    records: int = 0
    size: int = 0
    oldest_at: int = 0
    room: int = 0

    def age(self, now: int) -> float:
        """Seconds for which the oldest record has waited; `now` in ns UTC."""
        return max(0.0, (now - self.oldest_at) / 1e9) if self.oldest_at else 0.0

    @property
    def nearly_full(self) -> bool:
        """Whether it is time to act."""
        return self.size >= ALARM_SHARE * self.room > 0


class Spool(Closing):
    """The file at `path`, made when it is missing; `most_bytes` is all it may hold. May be shared between threads.

    Its owner keeps other processes away (`core.locks`): records are numbered by one writer and forwarded by one reader.
    Raises StoreUnavailable.
    """

    def __init__(self, path: Path, *, most_bytes: int, clock: Callable[[], int] = time.time_ns) -> None:
        self.path = path
        self._most, self._room = most_bytes, most_bytes - most_bytes // RESERVE_SHARE
        self._clock = clock
        self._file = LogFile(path, busy_seconds=5.0)

    @property
    def name(self) -> str:
        """The camera's."""
        return self.path.stem

    def append(self, records: Sequence[Record]) -> None:
        """Make records durable, all or none.

        Raises SpoolFull when they would not fit (pictures leave a sixteenth for what is small), StoreUnavailable when
        the disk refuses. A call that is repeated after an error whose outcome is unknown may store them twice.
        """
        rows = [(record, pack_headers(record.headers)) for record in records]
        size = sum(len(record.value) + len(headers) + len(record.key) for record, headers in rows)
        most = self._most if all(len(record.value) <= SMALL_BYTES for record in records) else self._room
        self._file.check_room(size)
        now = self._clock()
        with self._file.writing() as raw:
            (held,) = raw.execute("SELECT coalesce(sum(bytes), 0) FROM logs").fetchone()
            if held + size > most:
                raise SpoolFull(
                    f"spool {self.path} is full: {held} bytes wait for the broker, {size} more would exceed {most}; "
                    "bring the broker back, or raise broker.spool_bytes"
                )
            for record, headers in rows:
                _append(raw, record, headers, now)

    def oldest(self, most: int, most_bytes: int) -> list[Message]:
        """What is to be forwarded next, in order by partition, about `most` records; at least one of each partition."""
        with self._file.reading() as raw:
            query = "SELECT id, topic, number FROM logs WHERE next > first ORDER BY id"
            logs = [(log, Partition(topic, number)) for log, topic, number in raw.execute(query).fetchall()]
            shares = most // max(1, len(logs)), most_bytes // max(1, len(logs))
            return [message for log, part in logs for message in _read(raw, log, part, *shares)]

    def drop(self, forwarded: Sequence[Message]) -> None:
        """Forget records that the broker has acknowledged; they are the oldest of their partitions."""
        ends = {message.partition: message.offset + 1 for message in forwarded}
        with self._file.writing() as raw:
            for part, end in ends.items():
                drop_before(raw, _log_of(raw, part.topic, part.number), end)

    def tidy(self) -> None:
        """Give the disk back what a long outage has taken of it; in small steps, call it when nothing waits."""
        tidy(self._file, self._clock())

    def state(self) -> SpoolState:
        """What waits now."""
        with self._file.reading() as raw:
            total = "SELECT coalesce(sum(next - first), 0), coalesce(sum(bytes), 0) FROM logs"
            records, size = raw.execute(total).fetchone()
            first = "SELECT min(stored_at) FROM logs JOIN records ON log = id AND position = first"
            (oldest,) = raw.execute(first).fetchone()
        return SpoolState(records, size, oldest or 0, self._room)

    def close(self) -> None:
        """Let go of the file; what waits in it stays."""
        self._file.close()


def _log_of(raw: Connection, topic: str, number: int) -> int:
    """The partition's log; a new one is made as the local log makes it, to be kept for ever."""
    query = "SELECT id FROM logs WHERE topic = ? AND number = ?"
    found = raw.execute(query, (topic, number)).fetchone()
    if found is None:
        raw.execute(
            "INSERT INTO topics (name, partitions, retention_ns, retention_bytes) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET partitions = max(partitions, excluded.partitions)",
            (topic, number + 1, LONGEST_NS, LONGEST_NS),
        )
        found = raw.execute("INSERT INTO logs (topic, number) VALUES (?, ?) RETURNING id", (topic, number)).fetchone()
    return int(found[0])


def _append(raw: Connection, record: Record, headers: str, now: int) -> None:
    log = _log_of(raw, record.topic, record.partition)
    size = len(record.value) + len(headers) + len(record.key)
    query = "UPDATE logs SET next = next + 1, bytes = bytes + ? WHERE id = ? RETURNING next"
    end = int(raw.execute(query, (size, log)).fetchone()[0])
    raw.execute(
        "INSERT INTO records (log, position, size, stored_at, key, headers, value) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (log, end - 1, size, now, record.key, headers, record.value),
    )


def _read(raw: Connection, log: int, part: Partition, most: int, most_bytes: int) -> Iterator[Message]:
    query = "SELECT position, size, stored_at, key, headers, value FROM records WHERE log = ? ORDER BY position LIMIT ?"
    rows = raw.execute(query, (log, max(1, most)))
    for position, size, stored_at, key, headers, value in rows:
        yield Message(part, position, key, value, unpack_headers(headers), stored_at)
        most_bytes -= size
        if most_bytes <= 0:
            break
    rows.close()  # ends the read, which would keep the write-ahead log from being cut
