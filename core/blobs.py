"""Pictures and model files by key. The key tells kind, hour and identity, so a retry overwrites its own blob.

{kind}/{yyyy}/{mm}/{dd}/{hh}/{camera}/{captured_ns}_{session}_{seq}.{ext}

Each kind has one life, and retention drops whole hours (streaming.md §5).
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from core.errors import BlobMissing
from core.messages import FrameId
from core.settings import Settings
from core.times import utc_of

__all__ = [
    "BlobMissing", "BlobStore", "Disk", "Item", "Kind",
    "check_key", "drop_older", "frame_key", "hours_before", "open_blobs",
]  # fmt: skip

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_SUFFIX = re.compile(r"[a-z0-9]{1,8}")
_LONGEST_KEY = 900  # characters; S3 takes 1024
_HOUR = timedelta(hours=1)
Item = tuple[str, bytes, bool]  # key, data, durable


class Kind(StrEnum):
    """The first part of a key; one life for all blobs of a kind."""

    FRAME = "frame"  # FAIL, REVIEW, INVALID: the evidence
    SAMPLE = "sample"  # some of PASS
    RING = "ring"  # small pictures of PASS, for hours
    THUMB = "thumb"
    HEAT = "heat"
    INBOX = "inbox"  # pictures too large for the log, before any verdict
    DATASET = "dataset"  # what models learnt from, by content
    MODEL = "model"


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


def open_blobs(settings: Settings) -> BlobStore:
    """The store at `blobs.url`. Raises SettingsInvalid for a URL of another kind."""
    from core.file_blobs import FileBlobs

    if settings.blobs.url.startswith("s3:"):
        from core.s3_blobs import S3Blobs  # only where it is used: a folder needs no S3 client

        return S3Blobs(settings.blobs)
    return FileBlobs(settings.blobs_path)


def frame_key(kind: Kind, frame: FrameId, captured_at: int, ext: str) -> str:
    """The key of one frame's blob of one kind; `captured_at` in ns UTC. The same for every delivery of the frame.

    A camera name or suffix that does not fit in a key comes in by a stranger's message: a digest stands for the
    name, "bin" for the suffix.
    """
    camera = frame.camera
    if not _SEGMENT.fullmatch(camera):
        camera = f"x-{hashlib.sha256(camera.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"
    suffix = ext if _SUFFIX.fullmatch(ext) else "bin"
    hour = f"{utc_of(captured_at):%Y/%m/%d/%H}"
    return f"{kind}/{hour}/{camera}/{captured_at}_{frame.session}_{frame.seq}.{suffix}"


def check_key(key: str) -> str:
    """The key itself. Raises ValueError unless it is relative, plain and short: letters, digits, _ . - between /."""
    if len(key) > _LONGEST_KEY or not all(_SEGMENT.fullmatch(part) for part in key.split("/")):
        raise ValueError(f"{key[:100]!r} is no key: letters, digits, _ . - between slashes; no part begins with a dot")
    return key


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
