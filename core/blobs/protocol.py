"""What every blob store does, whether a folder or S3."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

Item = tuple[str, bytes, bool]  # key, data, durable


class Disk(NamedTuple):
    """The disk that holds the blobs, in bytes: what may be used in all, and what is used, also by others."""

    total: int
    used: int
    device: int = 0  # the same for all folders of one disk


class BlobStore(Protocol):
    """Where blobs live. Prefixes are whole parts of a key: "ring/2026" covers "ring/2026/…", not "ring/20261/…".

    All of it may raise StoreUnavailable; keys and prefixes that nobody can mean raise ValueError where something
    would be changed, and read as missing elsewhere.
    """

    def put(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Store `data`, whole or not at all, over what was there; on the disk when `durable`."""
        ...

    def put_all(self, items: Sequence[Item]) -> None:
        """Store all of them, in parallel where that pays, or raise; the last of equal keys stays."""
        ...

    def get(self, key: str) -> bytes:
        """The blob. Raises BlobMissing."""
        ...

    def size(self, key: str) -> int:
        """The blob's bytes, without reading it. Raises BlobMissing."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is such a blob."""
        ...

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys below `prefix`."""
        ...

    def folders(self, prefix: str) -> list[str]:
        """The prefixes one part longer than `prefix` that hold blobs, or held some a moment ago; in order."""
        ...

    def delete(self, key: str) -> None:
        """Remove the blob if it is there."""
        ...

    def delete_prefix(self, prefix: str) -> int:
        """Remove all below `prefix`, leftovers of interrupted puts too; return the number of blobs."""
        ...

    def sweep(self, prefix: str, *, before: datetime) -> int:
        """Remove what puts that were interrupted before a time left below `prefix`; return the number of leftovers.

        Such leftovers are never served; where whole prefixes are dropped by age they go along.
        """
        ...

    def used(self, prefix: str) -> int:
        """The bytes of all blobs below `prefix`."""
        ...

    def disk(self) -> Disk | None:
        """The disk below, or None where nobody says how large it is."""
        ...
