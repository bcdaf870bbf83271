"""Remembers across restarts which files were taken, and under which identity."""

import sqlite3
from pathlib import Path

from core.broker.transaction import transaction
from core.errors import StoreUnavailable
from ingest.sources.source import Claim

_SCHEMA = """
CREATE TABLE IF NOT EXISTS taken (
    key TEXT PRIMARY KEY, session INTEGER NOT NULL, seq INTEGER NOT NULL, captured_at INTEGER NOT NULL,
    done INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID
"""


class Taken:
    """A small SQLite file of claims.

    A claim is durable before its picture is sent. After a crash the pictures that were claimed and not done are sent
    again under the same identity, so that they can only meet their own row. A `done` that is lost with the process does
    no harm for the same reason, so it is written with the next claim. Raises StoreUnavailable when the disk refuses.
    """

    def __init__(self, path: Path | None) -> None:
        self._name = str(path) if path is not None else "memory"
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._books = sqlite3.connect(path or ":memory:", timeout=5.0, isolation_level=None)
            self._books.execute("PRAGMA journal_mode = WAL")
            self._books.execute("PRAGMA synchronous = FULL")
            self._books.execute(_SCHEMA)
        except (sqlite3.Error, OSError) as problem:
            raise self._refused(problem) from problem
        self._finished: list[str] = []

    def known(self, key: str) -> bool:
        """Whether that file was claimed, done or not."""
        try:
            return self._books.execute("SELECT 1 FROM taken WHERE key = ?", (key,)).fetchone() is not None
        except sqlite3.Error as problem:
            raise self._refused(problem) from problem

    def pending(self) -> dict[str, Claim]:
        """What was claimed and not done, oldest first."""
        query = "SELECT key, session, seq, captured_at FROM taken WHERE done = 0 ORDER BY session, seq"
        try:
            return {key: Claim(*claim) for key, *claim in self._books.execute(query)}
        except sqlite3.Error as problem:
            raise self._refused(problem) from problem

    def claim(self, key: str, claim: Claim) -> None:
        """Durable on return."""
        row = (key, claim.session, claim.seq, claim.captured_at)
        self._write("INSERT OR REPLACE INTO taken (key, session, seq, captured_at) VALUES (?, ?, ?, ?)", [row])

    def done(self, key: str) -> None:
        """Remembered at once, durable with the next claim or on closing."""
        self._finished.append(key)

    def keep_only(self, keys: set[str]) -> None:
        """Forget the done files that no longer exist."""
        try:
            known = [key for (key,) in self._books.execute("SELECT key FROM taken WHERE done = 1")]
        except sqlite3.Error as problem:
            raise self._refused(problem) from problem
        self._write("DELETE FROM taken WHERE key = ?", [(key,) for key in known if key not in keys])

    def close(self) -> None:
        """Write what is still in memory and let go."""
        try:
            self._write("SELECT ?", [])
        finally:
            self._books.close()

    def _write(self, statement: str, rows: list[tuple[str | int, ...]]) -> None:
        """One transaction with the finished files first."""
        try:
            with transaction(self._books):
                self._books.executemany("UPDATE taken SET done = 1 WHERE key = ?", [(key,) for key in self._finished])
                if rows:
                    self._books.executemany(statement, rows)
        except sqlite3.Error as problem:
            raise self._refused(problem) from problem
        self._finished.clear()

    def _refused(self, problem: Exception) -> StoreUnavailable:
        return StoreUnavailable(
            f"{self._name}: the notes of taken files cannot be read or written ({problem}); "
            "check the disk and its permissions"
        )
