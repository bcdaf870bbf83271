"""Database, pictures and live cache, opened when they are first needed: the pages come up before any is there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

from sqlalchemy import Connection

from core.blobs.keys import Kind
from core.blobs.open import open_blobs
from core.database import Database, open_database
from core.live_open import open_live
from core.settings import Settings

T = TypeVar("T")
_SMALL = (Kind.RING, Kind.THUMB)  # what the live cache may hold
MOST_BUSY_SECONDS = 3.0  # a page says that the database is busy rather than hang


class Stores:
    """What the pages read and write. Safe to share among threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.blobs = open_blobs(settings)
        self.live = open_live(settings)
        self._database: Database | None = None
        self._lock = Lock()

    @property
    def database(self) -> Database:
        """The database. Raises StoreUnavailable or SettingsInvalid, and is asked anew the next time."""
        with self._lock:
            if self._database is None:
                busy = min(self.settings.database.busy_seconds, MOST_BUSY_SECONDS)
                self._database = open_database(self.settings.database_url, busy_seconds=busy)
            return self._database

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot of the books."""
        with self.database.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction."""
        with self.database.writing() as connection:
            yield connection

    def picture(self, key: str) -> bytes:
        """A picture; a small one from the live cache if it is there. Raises BlobMissing, StoreUnavailable."""
        small = self.live.small(key) if key.partition("/")[0] in _SMALL else None
        return self.blobs.get(key) if small is None else small

    def close(self) -> None:
        """Give the connections back."""
        self.live.close()
        with self._lock:
            if self._database is not None:
                self._database.close()
            self._database = None


class Kept:
    """Values that may be some seconds old, made once however many viewers ask. The clock is handed in."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._values: dict[object, tuple[float, object]] = {}
        self._locks: dict[object, Lock] = {}
        self._lock = Lock()

    def get(self, key: object, seconds: float, make: Callable[[], T]) -> T:
        """The value of `key`, at most `seconds` old; one caller makes it while the others wait for it."""
        with self._lock:
            lock = self._locks.setdefault(key, Lock())
        with lock:
            made_at, value = self._values.get(key, (float("-inf"), None))
            if self._clock() - made_at >= seconds:
                value = make()
                self._values[key] = (self._clock(), value)
            return value  # type: ignore[return-value]  # what `make` gave for this key
