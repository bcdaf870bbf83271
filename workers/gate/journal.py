"""The gate's own memory: which parts are under way, where each went, and what was told to whom. One SQLite file.

It needs no server. Whatever is told outside goes through it, so it is told at least once and in order, whatever is
killed. Not fsynced each time: a kill loses nothing; a power cut may lose the last moments, and then the PLC's trigger
numbers show what is missing.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.broker.transaction import transaction
from core.errors import StoreUnavailable

MOST_ENTRIES = 1_000_000
KEPT = 2_000  # routes that stay when everybody has them: by these the next run knows what is old
KEPT_ENTRIES = 10 * KEPT  # and with them so much of all that was told
BUSY_SECONDS = 0.2  # the gate waits no longer for another process's lock: then its PASSes are withheld
BOOKS = "books"  # the target that nothing is ever dropped for

EACH_CONNECTION = ("journal_mode=WAL", "synchronous=NORMAL", "journal_size_limit=16777216")
SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS under_way (
    session INTEGER NOT NULL, number INTEGER NOT NULL, told TEXT NOT NULL, PRIMARY KEY (session, number)) STRICT;
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL UNIQUE, body BLOB NOT NULL,
    views INTEGER NOT NULL, part TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS cursors (target TEXT PRIMARY KEY, done INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT, given_at INTEGER NOT NULL, body TEXT NOT NULL, taken INTEGER NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to tell; `key` is the same however often it is told.

    kind: `route` with a PartRouted; `alarm`, for listeners; `order` with a GateOrdered and `state` with a GateStands,
    for the books.
    """

    id: int
    kind: str
    key: str
    body: bytes


class Journal(AbstractContextManager["Journal"]):
    """One connection to the file, for one thread; every thread and process opens its own. Raises StoreUnavailable."""

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = path
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._raw = sqlite3.connect(path, timeout=max(busy_seconds, 5.0), isolation_level=None)
            for pragma in EACH_CONNECTION:
                self._raw.execute(f"PRAGMA {pragma}").fetchall()
            self._raw.executescript(SCHEMA)
            self._raw.execute(f"PRAGMA busy_timeout={int(busy_seconds * 1000)}")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All that is written inside is there as a whole or not at all."""
        with self._translated(), transaction(self._raw):
            yield

    # --- parts -----------------------------------------------------------------------------------------------------

    def under_way(self, session: int, number: int, told: Mapping[str, Any]) -> None:
        """Note what is known of a part that has no route yet; once more when it was told to the PLC."""
        row = (session, number, json.dumps(told))
        self._raw.execute("INSERT OR REPLACE INTO under_way VALUES (?, ?, ?)", row)

    def left_over(self) -> list[tuple[int, int, dict[str, Any]]]:
        """Session, number and what was known of the parts that have no route."""
        with self._translated():
            rows = self._raw.execute("SELECT session, number, told FROM under_way ORDER BY session, number").fetchall()
        return [(session, number, json.loads(told)) for session, number, told in rows]

    def routed(self, key: tuple[str, int, int], body: bytes, *, part_id: str, views: int) -> None:
        """Note a part's route, to be told; the second time it changes nothing. key: gate, session, number."""
        gate, session, number = key
        self._add("route", f"{gate}-{session}-{number}", body, (views, part_id))
        self._raw.execute("DELETE FROM under_way WHERE session = ? AND number = ?", (session, number))

    def note(self, kind: str, key: str, body: bytes) -> None:
        """Note what is no route, to be told; the second time it changes nothing."""
        self._add(kind, key, body, (0, ""))

    def owed(self, views: int, *, most: int = KEPT) -> list[str]:
        """Ids among the newest parts for which fewer than `views` pictures had come: theirs may still come."""
        query = (
            "SELECT part FROM entries WHERE views < ? AND part != '' AND id IN"
            " (SELECT id FROM entries WHERE kind = 'route' ORDER BY id DESC LIMIT ?) ORDER BY id"
        )
        with self._translated():
            return [part for (part,) in self._raw.execute(query, (views, most)).fetchall()]

    def newest_routes(self, most: int) -> list[Entry]:
        """The last routes, newest first."""
        with self._translated():
            query = "SELECT id, kind, key, body FROM entries WHERE kind = 'route' ORDER BY id DESC LIMIT ?"
            return [Entry(*row) for row in self._raw.execute(query, (most,)).fetchall()]

    # --- facts and orders ------------------------------------------------------------------------------------------

    def remember(self, name: str, value: object) -> None:
        """Keep one fact, as JSON."""
        with self._translated():
            self._raw.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))

    def recall(self, name: str) -> Any:
        """A fact, or None."""
        with self._translated():
            row = self._raw.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def order(self, body: Mapping[str, Any]) -> int:
        """Leave an order for the gate's process; its number."""
        with self._translated():
            row = (time.time_ns(), json.dumps(body))
            return int(self._raw.execute("INSERT INTO orders VALUES (NULL, ?, ?, 0)", row).lastrowid or 0)

    def has_orders(self) -> bool:
        """Whether there are orders that nobody took yet."""
        with self._translated():
            return self._raw.execute("SELECT 1 FROM orders WHERE taken = 0 LIMIT 1").fetchone() is not None

    def take_orders(self) -> list[dict[str, Any]]:
        """Orders that nobody took yet, each once."""
        with self._translated():
            waiting = self._raw.execute("SELECT id, body FROM orders WHERE taken = 0 ORDER BY id").fetchall()
            if waiting:
                self._raw.executemany("UPDATE orders SET taken = 1 WHERE id = ?", [(order,) for order, _ in waiting])
        return [json.loads(body) for _, body in waiting]

    def withdraw(self, order: int) -> bool:
        """Take an order back; False when the gate's process has read it already."""
        with self._translated():
            return self._raw.execute("UPDATE orders SET taken = 1 WHERE id = ? AND taken = 0", (order,)).rowcount == 1

    def is_taken(self, order: int) -> bool:
        """Whether an order was read."""
        with self._translated():
            row = self._raw.execute("SELECT taken FROM orders WHERE id = ?", (order,)).fetchone()
        return bool(row and row[0])

    # --- telling ---------------------------------------------------------------------------------------------------

    def targets(self, names: Iterable[str]) -> None:
        """Who is told from now on. The books are told everything; another target what comes after it was named."""
        wanted = set(names)
        with self.writing():
            known = {name for (name,) in self._raw.execute("SELECT target FROM cursors").fetchall()}
            self._raw.executemany("DELETE FROM cursors WHERE target = ?", [(name,) for name in known - wanted])
            newest = self._raw.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()[0]
            new = [(name, 0 if name == BOOKS else newest) for name in wanted - known]
            self._raw.executemany("INSERT INTO cursors VALUES (?, ?)", new)

    def waiting(self, target: str, *, most: int = 64) -> list[Entry]:
        """What a target was not told yet, oldest first."""
        query = (
            "SELECT id, kind, key, body FROM entries WHERE id > (SELECT done FROM cursors WHERE target = ?)"
            " ORDER BY id LIMIT ?"
        )
        with self._translated():
            return [Entry(*row) for row in self._raw.execute(query, (target, most)).fetchall()]

    def told(self, target: str, entry: int) -> None:
        """A target has everything up to this entry."""
        with self._translated():
            self._raw.execute("UPDATE cursors SET done = max(done, ?) WHERE target = ?", (entry, target))

    def backlog(self) -> dict[str, int]:
        """By target, how many entries it was not told yet."""
        query = "SELECT target, (SELECT count(*) FROM entries WHERE id > done) FROM cursors"
        with self._translated():
            return dict(self._raw.execute(query).fetchall())

    def make_room(self, most: int = MOST_ENTRIES) -> int:
        """Drop what everybody has, and beyond `most` what only a dead listener lacks; the number of the latter.

        Raises StoreUnavailable where the books themselves lack so much: nothing is ever dropped for them.
        """
        with self.writing():
            first, last = self._raw.execute("SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM entries").fetchone()
            cursors = dict(self._raw.execute("SELECT target, done FROM cursors").fetchall())
            oldest = last - most
            if cursors.get(BOOKS, last) < oldest:
                raise StoreUnavailable(f"journal {self.path} is full: the books lack {last - cursors[BOOKS]} entries")
            slow = {name: done for name, done in cursors.items() if done < oldest}
            self._raw.executemany("UPDATE cursors SET done = ? WHERE target = ?", [(oldest, name) for name in slow])
            query = "SELECT id FROM entries WHERE kind = 'route' ORDER BY id DESC LIMIT 1 OFFSET ?"
            old_route = self._raw.execute(query, (KEPT,)).fetchone() or (0,)
            unneeded = max(old_route[0], last - KEPT_ENTRIES)
            spare = min([unneeded, *(max(done, oldest) for done in cursors.values())])
            if spare >= first:
                self._raw.execute("DELETE FROM entries WHERE id <= ?", (spare,))
                self._raw.execute("DELETE FROM orders WHERE taken = 1 AND id < (SELECT max(id) FROM orders) - 1000")
        return sum(oldest - done for done in slow.values())

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _add(self, kind: str, key: str, body: bytes, about: tuple[int, str]) -> None:
        query = "INSERT INTO entries (kind, key, body, views, part) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        self._raw.execute(query, (kind, key, body, *about))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as problem:
            raise StoreUnavailable(f"the gate's journal {self.path}: {problem}") from problem
