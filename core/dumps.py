"""A whole database as one file, and back: one moment of the books also while others write; loaded whole or not."""

from pathlib import Path

from core import postgres_dump, sqlite_dump
from core.contents import Contents, kind_of
from core.errors import SettingsInvalid


def dump(url: str, target: Path) -> Contents:
    """Write the database to a new file; what it holds. Raises StoreUnavailable, SettingsInvalid."""
    if kind_of(url) == "postgresql":
        return postgres_dump.dump(url, target)
    return sqlite_dump.dump(url, target)


def load(url: str, dumped: Path, expected: Contents) -> None:
    """Put a dump in place of all that the database holds, and prove that every row is there.

    Raises SettingsInvalid for a dump of the other kind or a database with tables of others, BackupUnusable when the
    dump does not hold what is expected, StoreUnavailable.
    """
    require_kind(url, expected)
    if expected.kind == "postgresql":
        postgres_dump.load(url, dumped, expected.rows)
    else:
        sqlite_dump.load(url, dumped, expected)


def rows_of(dumped: Path, kind: str) -> dict[str, int]:
    """The rows of each table, read from the dump itself. Raises BackupUnusable."""
    return postgres_dump.rows_of(dumped) if kind == "postgresql" else sqlite_dump.rows_of(dumped)


def require_kind(url: str, expected: Contents) -> None:
    """Raise SettingsInvalid unless the dump fits the kind of the database."""
    if expected.kind != (kind := kind_of(url)):
        raise SettingsInvalid(
            f"the backup is of a {expected.kind} database and FLAWLINE_DATABASE__URL names a {kind} one: "
            "restore it to its own kind"
        )
