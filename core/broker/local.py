"""The durable local log: topics, partitions and consumer groups in one SQLite file, used by several processes at once.

Records are durable when `flush` returns, positions when `commit` returns; a kill at any moment leaves each flush and
each commit either whole or absent. Local disks only: locks do not work on a network share (streaming.md §4.5).
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection

from core import faults
from core.broker.consumer import GroupConsumer
from core.broker.local_log import LocalGroupLog, pack_headers, read_edges, read_stored_at
from core.broker.local_retention import retain_topic, tidy
from core.broker.log_file import LogFile
from core.broker.protocol import Change, Lag, Partition, Topic
from core.broker.topics import changes
from core.closing import Closing
from core.errors import StoreUnavailable
from core.messages import Headers

MOST_VALUE_BYTES = 256 << 20
LONGEST_NS = 1 << 62


class LocalBroker(Closing):
    """Keeps the broker protocol in the file at `path`, which is made when it is missing.

    busy_seconds: how long a call waits for another process's transaction before it raises StoreUnavailable.
    """

    def __init__(
        self,
        path: Path,
        *,
        lease_seconds: float = 8.0,
        busy_seconds: float = 5.0,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._path, self._busy_seconds = path, busy_seconds
        self._lease_seconds, self._clock = lease_seconds, clock
        self._file = self._open()

    def apply(self, topics: Iterable[Topic], *, dry_run: bool = False) -> list[Change]:
        """Make the topics exist with these retentions. Raises ValueError when partitions of an old one would change."""
        with self._file.writing() as raw:
            rows = raw.execute("SELECT name, partitions, retention_ns, retention_bytes FROM topics").fetchall()
            known = {name: Topic(name, partitions, age / 1e9, size) for name, partitions, age, size in rows}
            found = changes(known, topics)
            for topic in () if dry_run else (change.topic for change in found):
                _store_topic(raw, topic)
        return found

    def producer(self) -> "LocalProducer":
        """A producer with a connection of its own; close it (or leave its `with`) to flush."""
        return LocalProducer(self._open(), clock=self._clock)

    def consumer(self, topic: str, *, group: str, member: str = "") -> GroupConsumer:
        """A new member of `group`, with a connection of its own. Raises ValueError for an unknown topic."""
        self._check(topic)
        file = self._open()
        try:
            log = LocalGroupLog(file, topic, group)
        except StoreUnavailable:
            file.close()
            raise
        return GroupConsumer(log, member=member, lease_seconds=self._lease_seconds, clock=self._clock)

    def lag(self, topic: str, *, group: str) -> list[Lag]:
        """By partition. Raises StoreUnavailable."""
        self._check(topic)
        query = (
            "SELECT number, committed FROM seats JOIN groups ON groups.id = seats.group_id"
            " WHERE groups.name = ? AND groups.topic = ?"
        )
        with self._file.reading() as raw:
            committed = dict(raw.execute(query, (group, topic)).fetchall())
            edges = read_edges(raw, topic)
            ends = {number: max(edge.first, committed.get(number, 0)) for number, edge in edges.items()}
            since = {number: read_stored_at(raw, topic, number, end) for number, end in ends.items()}
        return [
            Lag(Partition(topic, number), ends[number], edge.next, since[number])
            for number, edge in sorted(edges.items())
        ]

    def groups(self, topic: str) -> list[str]:
        """The groups that have joined for a topic."""
        self._check(topic)
        with self._file.reading() as raw:
            rows = raw.execute("SELECT name FROM groups WHERE topic = ? ORDER BY name", (topic,)).fetchall()
        return [name for (name,) in rows]

    def retain(self) -> int:
        """Drop what the topics' retention no longer keeps; return the number of records dropped.

        Works in small transactions, so that others get their turn. Raises StoreUnavailable.
        """
        with self._file.reading() as raw:
            rows = raw.execute("SELECT name, partitions, retention_ns, retention_bytes FROM topics").fetchall()
        now = self._clock()
        dropped = 0
        for name, _, retention_ns, most in rows:
            dropped += retain_topic(self._file, name, before=now - retention_ns, most=most)
        tidy(self._file, now)
        return dropped

    def close(self) -> None:
        """Close the broker's own connection; its producers and consumers have theirs."""
        self._file.close()

    def _open(self) -> LogFile:
        return LogFile(self._path, busy_seconds=self._busy_seconds)

    def _check(self, topic: str) -> None:
        with self._file.reading() as raw:
            known = [name for (name,) in raw.execute("SELECT name FROM topics ORDER BY name")]
        if topic not in known:
            raise ValueError(f"no topic is called {topic!r}; there are {', '.join(known) or 'none'}")


def _store_topic(raw: Connection, topic: Topic) -> None:
    raw.execute(
        "INSERT INTO topics (name, partitions, retention_ns, retention_bytes) VALUES (?, ?, ?, ?) ON CONFLICT (name)"
        " DO UPDATE SET retention_ns = excluded.retention_ns, retention_bytes = excluded.retention_bytes",
        (topic.name, topic.partitions, min(int(topic.retention_seconds * 1e9), LONGEST_NS), topic.retention_bytes),
    )
    raw.executemany(
        "INSERT INTO logs (topic, number) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [(topic.name, number) for number in range(topic.partitions)],
    )


@dataclass(frozen=True, slots=True)
class _Waiting:
    sequence: int
    log: int
    key: str
    headers: str
    value: bytes

    @property
    def size(self) -> int:
        return len(self.value) + len(self.headers) + len(self.key)


class LocalProducer(Closing):
    """Buffers on `send`, appends all of it in one transaction on `flush`. May be shared between threads."""

    def __init__(self, file: LogFile, *, clock: Callable[[], int]) -> None:
        self._file = file
        self._clock = clock
        self._id = uuid.uuid4().hex
        self._sequence = 0
        self._waiting: list[_Waiting] = []
        self._logs: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()

    def send(self, topic: str, value: bytes, *, partition: int, key: str = "", headers: Headers = ()) -> None:
        """Hand over one record. Raises ValueError for an unknown topic or partition, or a value above 256 MiB."""
        if len(value) > MOST_VALUE_BYTES:
            raise ValueError(f"topic {topic}: a value of {len(value)} bytes; the log takes {MOST_VALUE_BYTES}")
        key.encode()  # half a surrogate pair would fail every flush from here on
        with self._lock:
            log = self._log_of(topic, partition)
            self._sequence += 1
            self._waiting.append(_Waiting(self._sequence, log, key, pack_headers(headers), bytes(value)))

    def flush(self) -> None:
        """Return when all that was sent is durable. Raises StoreUnavailable and keeps it all for the next try."""
        with self._lock:
            if not self._waiting:
                return
            now = self._clock()
            self._file.check_room(sum(record.size for record in self._waiting))
            with self._file.writing() as raw:
                row = raw.execute("SELECT last FROM producers WHERE id = ?", (self._id,)).fetchone()
                last = int(row[0]) if row else 0  # beyond what we know, where an earlier try did go through
                _append(raw, [record for record in self._waiting if record.sequence > last], now)
                raw.execute(
                    "INSERT OR REPLACE INTO producers (id, last, seen_at) VALUES (?, ?, ?)",
                    (self._id, self._sequence, now),
                )
                faults.reach("local_in_flush")
            self._waiting.clear()

    def close(self) -> None:
        """Flush, then let go of the file. Raises StoreUnavailable when the flush fails; the file is closed anyway."""
        try:
            self.flush()
        finally:
            self._file.close()

    def _log_of(self, topic: str, partition: int) -> int:
        if (topic, partition) not in self._logs:
            with self._file.reading() as raw:
                rows = raw.execute("SELECT topic, number, id FROM logs").fetchall()
            self._logs = {(name, number): log for name, number, log in rows}
        if (topic, partition) not in self._logs:
            known = ", ".join(f"{name}-{number}" for name, number in sorted(self._logs))
            raise ValueError(f"no partition {topic}-{partition} in the log; there are {known or 'none'}")
        return self._logs[topic, partition]


def _append(raw: Connection, records: list[_Waiting], now: int) -> None:
    """Append in the order they were sent; each log's end and size move in the same transaction."""
    for log in sorted({record.log for record in records}):
        ours = [record for record in records if record.log == log]
        query = "UPDATE logs SET next = next + ?, bytes = bytes + ? WHERE id = ? RETURNING next"
        end = int(raw.execute(query, (len(ours), sum(record.size for record in ours), log)).fetchone()[0])
        raw.executemany(
            "INSERT INTO records (log, position, size, stored_at, key, headers, value) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (log, position, record.size, now, record.key, record.headers, record.value)
                for position, record in enumerate(ours, start=end - len(ours))
            ],
        )
