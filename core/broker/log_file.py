"""The local log's file: one SQLite database that several processes open at once. Schema, connections, transactions.

Values are pictures of 50 to 300 KB: pages of 16 KB keep their overflow chains short without making each commit of a
small record write much. Freed pages are used again; what stays free after a burst is given back in steps
(`incremental_vacuum`). The write-ahead log is checkpointed every 16 MB and cut to 64 MB. `synchronous=FULL`, because
an offset that outlived its records, or the other way round, would be a loss (streaming.md §4.5). Appends stop before
the disk is full, so that offsets can still be committed and retention can still make room: both write some pages.
"""

import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.broker.transaction import transaction
from core.errors import StoreUnavailable

FORMAT = 1
PAGE_BYTES = 16 << 10
RETRY_SECONDS = 0.02
RESERVE_BYTES = 64 << 20  # of the disk, or a sixteenth of it where that is less

NEW_FILE = (
    f"page_size={PAGE_BYTES}",
    "auto_vacuum=INCREMENTAL",
    "journal_mode=WAL",
)  # in this order, or without effect
EACH_CONNECTION = (
    "synchronous=FULL",
    "foreign_keys=ON",
    f"wal_autocheckpoint={(16 << 20) // PAGE_BYTES}",
    f"journal_size_limit={64 << 20}",
    "secure_delete=OFF",  # Debian builds SQLite with it on: each page that retention frees would be written again
)

# Offsets are `position` here: OFFSET is a word of SQL. A log is one partition of one topic.
SCHEMA = (
    """CREATE TABLE topics (
        name TEXT PRIMARY KEY, partitions INTEGER NOT NULL,
        retention_ns INTEGER NOT NULL, retention_bytes INTEGER NOT NULL) STRICT""",
    """CREATE TABLE logs (
        id INTEGER PRIMARY KEY, topic TEXT NOT NULL REFERENCES topics (name), number INTEGER NOT NULL,
        first INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
        UNIQUE (topic, number)) STRICT""",
    # The small columns stand first: retention reads them without touching the value's pages.
    """CREATE TABLE records (
        log INTEGER NOT NULL REFERENCES logs (id), position INTEGER NOT NULL, size INTEGER NOT NULL,
        stored_at INTEGER NOT NULL, key TEXT NOT NULL, headers TEXT NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (log, position)) STRICT""",
    """CREATE TABLE groups (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, topic TEXT NOT NULL REFERENCES topics (name),
        generation INTEGER NOT NULL, UNIQUE (name, topic)) STRICT""",
    """CREATE TABLE members (
        group_id INTEGER NOT NULL REFERENCES groups (id), name TEXT NOT NULL, incarnation TEXT NOT NULL,
        seen_at INTEGER NOT NULL, lease INTEGER NOT NULL, PRIMARY KEY (group_id, name)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE seats (
        group_id INTEGER NOT NULL REFERENCES groups (id), number INTEGER NOT NULL, committed INTEGER NOT NULL,
        owner TEXT NOT NULL, epoch INTEGER NOT NULL, PRIMARY KEY (group_id, number)) STRICT, WITHOUT ROWID""",
    # What each producer last appended: a flush whose outcome is unknown is repeated without appending twice.
    """CREATE TABLE producers (
        id TEXT PRIMARY KEY, last INTEGER NOT NULL, seen_at INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
)


class LogFile:
    """One connection to the file, for one thread at a time; made after the process was started, never before a fork."""

    def __init__(self, path: Path, *, busy_seconds: float) -> None:
        """Open the file and make it if it is missing. Raises StoreUnavailable."""
        self.path = path
        self._busy_seconds = busy_seconds
        self._lock = threading.RLock()
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._raw = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
                self._inode = path.stat().st_ino
            except BaseException:
                self._raw.close()
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """For single statements, each with its own view of the file. Raises StoreUnavailable."""
        with self._lock, self._translated():
            yield self._raw

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone among all processes from its start on, durable at its end. Raises StoreUnavailable.

        After an error at its very end the outcome is unknown: what is done here must bear being done again.
        """
        with self._lock, self._translated(), transaction(self._raw):
            yield self._raw

    def check_room(self, incoming: int) -> None:
        """Raise StoreUnavailable when `incoming` bytes more would leave too little of the disk for anything else.

        Also when the file's name has come to mean another file or none: what is written would go with the old one.
        """
        with self.reading() as raw:
            pages = int(raw.execute("PRAGMA page_count").fetchone()[0])
            free = int(raw.execute("PRAGMA freelist_count").fetchone()[0])
            disk = shutil.disk_usage(self.path.parent)
            here = self.path.stat()
        if here.st_ino != self._inode:
            raise StoreUnavailable(f"log {self.path} was replaced by another file; restart what uses it")
        to_come = max(0, pages * PAGE_BYTES - here.st_size)  # what is in the write-ahead log only
        growth = incoming + to_come + max(0, incoming - free * PAGE_BYTES)
        if disk.free < growth + min(RESERVE_BYTES, disk.total // 16):
            raise StoreUnavailable(
                f"log {self.path}: its disk is nearly full, {disk.free >> 20} MiB are left; free some space, or shorten"
                " the topics' retention"
            )

    def version(self) -> int:
        """A number that differs once another connection has changed the file; costs microseconds."""
        with self.reading() as raw:
            return int(raw.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._raw.close()

    def _prepare(self) -> None:
        """Make a new file ready; an old one is only read, so that it opens while another process writes."""
        for pragma in EACH_CONNECTION:
            self._raw.execute(f"PRAGMA {pragma}").fetchall()
        ends_at = time.monotonic() + self._busy_seconds
        while (found := self._format()) == 0:
            try:
                self._make()
            except sqlite3.OperationalError as problem:
                # Two processes that make the file at once: the change to WAL does not wait for a lock by itself.
                if "locked" not in str(problem) or time.monotonic() > ends_at:
                    raise
                time.sleep(RETRY_SECONDS)
        if found != FORMAT:
            raise StoreUnavailable(
                f"log {self.path} has format {found}, this version reads {FORMAT}: use the version that wrote it"
            )

    def _make(self) -> None:
        for pragma in NEW_FILE:
            self._raw.execute(f"PRAGMA {pragma}").fetchall()
        with transaction(self._raw):
            if self._format() == 0:
                for statement in SCHEMA:
                    self._raw.execute(statement)
                self._raw.execute(f"PRAGMA user_version={FORMAT}")

    def _format(self) -> int:
        return int(self._raw.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a defect of ours
        except sqlite3.DatabaseError as problem:
            raise StoreUnavailable(f"log {self.path}: {problem}; {_advice(problem)}") from problem
        except OSError as problem:
            raise StoreUnavailable(f"log {self.path}: {problem}; check the folder and the disk") from problem


def _advice(problem: sqlite3.DatabaseError) -> str:
    name = getattr(problem, "sqlite_errorname", "")
    if "BUSY" in name or "LOCKED" in name:
        return "another process holds it; trying again later is right"
    if "FULL" in name:
        return "free some space or shorten the topics' retention"
    if "CORRUPT" in name or "NOTADB" in name:
        return "the file is damaged or no log of ours: move it away and restore or start a new one"
    return "check the folder, its permissions and the disk"
