"""Which errors of a database are the world's, so that waiting helps, and which are faults of ours. Pure.

SQLite says "no such table" by the same exception as "locked", and psycopg2 "no such table" by a cousin of "shutting
down": only the code tells them apart.
"""

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

_SQLITE = {
    sqlite3.SQLITE_BUSY: "another process holds its lock; wait, or find the process that does not let go",
    sqlite3.SQLITE_LOCKED: "another connection holds its lock; wait, or find the transaction that does not end",
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; check the path, its folder and their permissions",
    sqlite3.SQLITE_READONLY: "the file cannot be written; check its permissions, and whether it was moved or replaced",
    sqlite3.SQLITE_PERM: "the file may not be used; check its permissions",
    sqlite3.SQLITE_IOERR: "the disk reports an error; check the disk and the system log",
    sqlite3.SQLITE_PROTOCOL: "its locks do not work; the file must lie on a local disk, not on a network share",
    sqlite3.SQLITE_NOMEM: "memory ran out",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; stop, keep a copy, and restore the last backup",
    sqlite3.SQLITE_NOTADB: "the file is not a database or is damaged; check the path, or restore the last backup",
}

# By SQLSTATE, else by its class, the first two letters (PostgreSQL's documentation, appendix A).
_POSTGRES = {
    "08": "the connection broke off; check the network and whether the server runs",
    "25006": "it takes no writes now, as a standby does; check which server is the primary",
    "25P03": "our transaction stood still for too long and was ended; it is tried again",
    "40001": "two transactions met; it is tried again",
    "40P01": "two transactions waited for each other; it is tried again",
    "42501": "its role may not do that; the role must own flawline's tables (docs/operations.md)",
    "53": "the server has run out of something; see its log",
    "53100": "the server's disk is full; free some space there",
    "53300": "the server takes no more connections; raise max_connections or stop what holds them",
    "55006": "something else uses the object; it is tried again",
    "55P03": "another transaction holds its lock; wait, or find the transaction that does not end",
    "57014": "the question took too long, or an administrator ended it",
    "57P": "the server is starting, stopping or was told to end our connection; wait until it answers",
    "58": "the server's disk or system reports an error; see its log",
    "XX001": "a table is damaged; stop, keep a copy, and restore the last backup",
    "XX002": "an index is damaged; stop, keep a copy, and rebuild it (REINDEX)",
}
_REFUSED = "25006"
_GONE = "it does not answer, refuses us or broke off; check that it runs, its address, and the user's password"


def reason(problem: DBAPIError, *, writes: bool) -> str | None:
    """What the world did to the database and what to do, or None for a fault of ours.

    writes: whether the transaction was to write; in one that was to read, a refused write is our fault.
    """
    if isinstance(problem.orig, sqlite3.Error):
        return _of_sqlite(problem.orig, writes=writes)
    state = getattr(problem.orig, "pgcode", None)
    if state == _REFUSED and not writes:
        return None
    for known in (state, state[:3], state[:2]) if state else ():
        if known in _POSTGRES:
            return _POSTGRES[known]
    # Without a code the server never answered: psycopg2 found the connection broken, or could not make one.
    lost = problem.connection_invalidated or isinstance(problem, OperationalError | InterfaceError)
    return _GONE if lost and not state else None


def _of_sqlite(problem: sqlite3.Error, *, writes: bool) -> str | None:
    code = getattr(problem, "sqlite_errorcode", None)
    if code is None:  # raised by the driver itself
        return None
    primary = code & 0xFF  # extended codes keep the primary one in their low byte
    refused = primary == sqlite3.SQLITE_READONLY and not writes
    return None if refused else _SQLITE.get(primary)
