"""The hours of a kind's blobs: each kind has one life, and retention drops whole hours (streaming.md §5)."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from core.blobs.keys import Kind
from core.blobs.protocol import BlobStore

_HOUR = timedelta(hours=1)


def drop_older(blobs: BlobStore, kind: Kind, moment: datetime) -> int:
    """Remove a kind's whole hours that ended before `moment`; return the number of blobs. Raises StoreUnavailable."""
    return sum(blobs.delete_prefix(prefix) for prefix in hours_before(blobs, kind, moment))


def hours_before(blobs: BlobStore, kind: Kind, moment: datetime) -> list[str]:
    """The prefixes of a kind's hours that ended at `moment` or before, oldest first. Raises StoreUnavailable."""
    level = [str(kind)]
    for _ in ("year", "month", "day", "hour"):
        level = [inner for outer in level for inner in begun(blobs.folders(outer), moment)]
    return [prefix for prefix in level if start_of(prefix) + _HOUR <= moment]


def begun(prefixes: Iterable[str], moment: datetime) -> Iterator[str]:
    """Those prefixes of a year, month, day or hour that begin before `moment`; other folders are nobody's hour."""
    for prefix in prefixes:
        try:
            if start_of(prefix) < moment:
                yield prefix
        except ValueError:
            continue


def start_of(prefix: str) -> datetime:
    """When the year, month, day or hour of a prefix such as "ring/2026/11" begins. Raises ValueError for others."""
    _, *parts = prefix.split("/")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"{prefix} is no year, month, day or hour")
    year, month, day, hour = [int(part) for part in parts] + [1, 1, 0][len(parts) - 1 :]
    return datetime(year, month, day, hour, tzinfo=UTC)
