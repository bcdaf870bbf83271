"""The local log as one consumer group sees it: rows to `Group` and back, all in one transaction."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from sqlite3 import Connection

from core.broker.consumer import Edges
from core.broker.groups import Group, Membership, Seat
from core.broker.log_file import LogFile
from core.broker.protocol import Message, Partition
from core.messages import Headers

POLL_SECONDS = 0.02


def pack_headers(headers: Headers) -> str:
    """Headers as JSON text; bytes go as Latin-1, which holds every byte and keeps UTF-8's ASCII readable."""
    return json.dumps([(name, value.decode("latin-1")) for name, value in headers], separators=(",", ":"))


def unpack_headers(text: str) -> Headers:
    """The headers that `pack_headers` packed."""
    return tuple((name, value.encode("latin-1")) for name, value in json.loads(text))


def read_edges(raw: Connection, topic: str) -> dict[int, Edges]:
    """Where each partition of the topic starts and ends."""
    rows = raw.execute("SELECT number, first, next FROM logs WHERE topic = ?", (topic,))
    return {number: Edges(first, following) for number, first, following in rows}


def read_stored_at(raw: Connection, topic: str, number: int, position: int) -> int | None:
    """When the record at a position was stored, ns; None where there is none."""
    query = (
        "SELECT stored_at FROM records JOIN logs ON logs.id = records.log"
        " WHERE topic = ? AND number = ? AND position = ?"
    )
    row = raw.execute(query, (topic, number, position)).fetchone()
    return int(row[0]) if row else None


class LocalGroupLog:
    """One topic of the local log as one group sees it. Owned by one thread, as its consumer is."""

    def __init__(self, file: LogFile, topic: str, group: str) -> None:
        self.topic, self.group = topic, group
        self._file = file
        with file.reading() as raw:
            self._logs = dict(raw.execute("SELECT number, id FROM logs WHERE topic = ?", (topic,)).fetchall())

    def version(self) -> int:
        """A number that differs once another connection has changed the file."""
        return self._file.version()

    def wait(self, version: int, seconds: float) -> None:
        """Look every 20 ms whether anybody has written; a look costs microseconds and touches no row."""
        ends_at = time.monotonic() + seconds
        while (left := ends_at - time.monotonic()) > 0 and self._file.version() == version:
            time.sleep(min(POLL_SECONDS, left))

    def generation(self) -> int:
        """The group's generation; -1 for a group that nobody has joined."""
        with self._file.reading() as raw:
            query = "SELECT generation FROM groups WHERE name = ? AND topic = ?"
            row = raw.execute(query, (self.group, self.topic)).fetchone()
        return int(row[0]) if row else -1

    def edges(self) -> dict[int, Edges]:
        """By partition number."""
        with self._file.reading() as raw:
            return read_edges(raw, self.topic)

    def read(self, number: int, start: int, most: int, most_bytes: int) -> list[Message]:
        """Records from `start` on; at least one where there is one."""
        query = (
            "SELECT position, size, stored_at, key, headers, value FROM records"
            " WHERE log = ? AND position >= ? ORDER BY position LIMIT ?"
        )
        found: list[Message] = []
        with self._file.reading() as raw:
            rows = raw.execute(query, (self._logs[number], start, most))
            for position, size, stored_at, key, headers, value in rows:
                found.append(
                    Message(Partition(self.topic, number), position, key, value, unpack_headers(headers), stored_at)
                )
                most_bytes -= size
                if most_bytes <= 0:
                    break
            rows.close()  # ends the read, which would keep the write-ahead log from being cut
        return found

    @contextmanager
    def changing(self) -> Iterator[Group]:
        """The group, alone in hand; what changed is durable once the block ends."""
        with self._file.writing() as raw:
            group_id = _group_id(raw, self.group, self.topic)
            group = _load(raw, group_id)
            seats, members, generation = dict(group.seats), dict(group.members), group.generation
            yield group
            _store_seats(raw, group_id, seats, group.seats)
            _store_members(raw, group_id, members, group.members)
            if group.generation != generation:
                raw.execute("UPDATE groups SET generation = ? WHERE id = ?", (group.generation, group_id))

    def close(self) -> None:
        """Close the file, which is this consumer's own connection."""
        self._file.close()


def _group_id(raw: Connection, group: str, topic: str) -> int:
    """The group's row; a new group starts where each log starts now."""
    row = raw.execute("SELECT id FROM groups WHERE name = ? AND topic = ?", (group, topic)).fetchone()
    if row:
        return int(row[0])
    insert = "INSERT INTO groups (name, topic, generation) VALUES (?, ?, 0) RETURNING id"
    group_id = int(raw.execute(insert, (group, topic)).fetchone()[0])
    raw.execute(
        "INSERT INTO seats (group_id, number, committed, owner, epoch) SELECT ?, number, first, '', 0 FROM logs"
        " WHERE topic = ?",
        (group_id, topic),
    )
    return group_id


def _load(raw: Connection, group_id: int) -> Group:
    seats = raw.execute("SELECT number, committed, owner, epoch FROM seats WHERE group_id = ?", (group_id,))
    members = raw.execute("SELECT name, incarnation, seen_at, lease FROM members WHERE group_id = ?", (group_id,))
    generation = raw.execute("SELECT generation FROM groups WHERE id = ?", (group_id,)).fetchone()[0]
    return Group(
        {number: Seat(committed, owner, epoch) for number, committed, owner, epoch in seats},
        {name: Membership(incarnation, seen_at, lease) for name, incarnation, seen_at, lease in members},
        generation,
    )


def _store_seats(raw: Connection, group_id: int, before: Mapping[int, Seat], after: Mapping[int, Seat]) -> None:
    raw.executemany(
        "UPDATE seats SET committed = ?, owner = ?, epoch = ? WHERE group_id = ? AND number = ?",
        [(s.committed, s.owner, s.epoch, group_id, number) for number, s in after.items() if s != before[number]],
    )


def _store_members(
    raw: Connection, group_id: int, before: Mapping[str, Membership], after: Mapping[str, Membership]
) -> None:
    raw.executemany(
        "DELETE FROM members WHERE group_id = ? AND name = ?", [(group_id, name) for name in before.keys() - after]
    )
    raw.executemany(
        "INSERT OR REPLACE INTO members (group_id, name, incarnation, seen_at, lease) VALUES (?, ?, ?, ?, ?)",
        [(group_id, name, m.incarnation, m.seen_at, m.lease) for name, m in after.items() if m != before.get(name)],
    )
