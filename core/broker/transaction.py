"""A transaction on a plain SQLite connection: of the log, a gate's journal, a camera's notes; not of the books."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def transaction(raw: sqlite3.Connection) -> Iterator[None]:
    """All that is written inside is there as a whole or not at all, also where COMMIT itself fails.

    raw: opened with isolation_level=None. Raises sqlite3.Error.
    """
    raw.execute("BEGIN IMMEDIATE")
    try:
        yield
        raw.execute("COMMIT")
    except BaseException:
        if raw.in_transaction:
            with suppress(sqlite3.OperationalError):  # SQLite has often rolled back by itself
                raw.execute("ROLLBACK")
        raise
