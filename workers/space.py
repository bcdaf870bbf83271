"""The free-space guard: room for what must be kept is made from what is needed least (domain.md §9.5, §3.2).

1  ring and sample, the pictures of parts that passed: whole hours, the oldest first, this hour last
2  thumb, heat and golden, which the full pictures and the model can give again: hours that have ended, the oldest first
-  never: frame (the evidence of FAIL, REVIEW and INVALID), inbox (not judged yet), dataset, model
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Final

from core.alarms import Cause
from core.alarms import Kind as Alarm
from core.blobs.file import disk_of
from core.blobs.hours import hours_before, start_of
from core.blobs.keys import Kind
from core.blobs.protocol import BlobStore, Disk
from core.settings import BlobSettings, Settings

log = logging.getLogger(__name__)

PICTURES: Final = "pictures"  # the mark under which the bytes in an S3 store are told
PASSED: Final = (Kind.RING, Kind.SAMPLE)
DERIVED: Final = (Kind.THUMB, Kind.HEAT, Kind.GOLDEN)
_BY_DAY: Final = (*PASSED, *DERIVED, Kind.FRAME, Kind.INBOX)
_FLAT: Final = (Kind.DATASET, Kind.MODEL)
_RED_WAY = 2 / 3  # of the way from the limit to the end: 95 % where the limit is 85
_NO_END = 100 / 85  # of a bound that we set ourselves, where the store tells no end
_EVER = datetime(9000, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pressure:
    """How full a place is, in bytes: above `limit` pictures are dropped, above `red` it is urgent.

    place: in words, such as "the disk of /data".
    """

    place: str
    used: int
    limit: int
    red: int

    @property
    def over(self) -> int:
        """The bytes above the limit."""
        return max(0, self.used - self.limit)

    @property
    def alarm(self) -> Alarm | None:
        """DISK_85 above the limit, DISK_95 far above it: the guard finds nothing more to drop, or is too slow."""
        if not self.over:
            return None
        return Alarm.DISK_95 if self.used > self.red else Alarm.DISK_85

    def cause(self) -> Cause | None:
        """The alert that is due."""
        alarm = self.alarm
        if alarm is None:
            return None
        return Cause(
            kind=alarm,
            subject=self.place,
            what=f"Too full: {self.place}, {_gb(self.used)} used, {_gb(self.limit)} allowed",
            why="Pictures of passing parts are dropped before their time; verdicts are kept. When it is full, the line "
            "waits.",
            do="Add space, or shorten the times that pictures are kept.",
            detail={"used": self.used, "limit": self.limit},
        )


class Guard:
    """Keeps the picture store below its limit. A store without a bound has no pressure."""

    def __init__(self, blobs: BlobStore, settings: BlobSettings, *, now: Callable[[], datetime]) -> None:
        self._blobs = blobs
        self._settings = settings
        self._now = now
        self._meter = Meter(blobs, now=now)

    def pressure(self) -> Pressure | None:
        """How full it is; None where nobody set a bound. Raises StoreUnavailable."""
        disk = self._blobs.disk()
        if disk is not None:
            return _of_disk("the disk of the pictures", disk, self._settings)
        return _of_store(self._meter.total(), self._settings) if self._settings.most_bytes else None

    def relieve(self) -> int:
        """Drop hours until it is below its limit; return the number of blobs dropped. Raises StoreUnavailable."""
        found = self.pressure()
        if found is None or not found.over:
            return 0
        dropped = 0
        for hour in self._droppable():
            size = self._blobs.used(hour)
            number = self._blobs.delete_prefix(hour)
            self._meter.dropped(hour, size)
            if number:
                log.warning("%s is too full: dropped %d blobs of %s, %s", found.place, number, hour, _gb(size))
            dropped += number
            found = self.pressure() or found
            if not found.over:
                return dropped
        log.error("%s is too full, and nothing is left that may be dropped; add room", found.place)
        return dropped

    def _droppable(self) -> Iterator[str]:
        """Hours in the order of need, each listed when its turn comes."""
        ended, ever = self._now(), _EVER
        order = chain(
            ((kind, ended) for kind in PASSED), ((kind, ever) for kind in PASSED), ((kind, ended) for kind in DERIVED)
        )
        for kind, moment in order:
            yield from hours_before(self._blobs, kind, moment)


def fullness(settings: Settings, counted: str | None) -> tuple[Pressure, ...]:
    """How full each place of the line's data is, as far as this machine can see.

    counted: what housekeeping last counted of an S3 store (mark PICTURES); None where it has not.
    """
    data = disk_of(settings.data)
    found = [_of_disk(f"the disk of {settings.data}", data, settings.blobs)]
    if settings.blobs.url.startswith("file:"):
        pictures = disk_of(settings.blobs_path)
        if pictures.device != data.device:
            found.append(_of_disk(f"the disk of {settings.blobs_path}", pictures, settings.blobs))
    elif settings.blobs.most_bytes and counted is not None:
        found.append(_of_store(int(counted), settings.blobs))
    return tuple(found)


def _of_disk(place: str, disk: Disk, settings: BlobSettings) -> Pressure:
    limit = round(disk.total * settings.full_percent / 100)
    return Pressure(place, disk.used, limit, _red(limit, disk.total))


def _of_store(used: int, settings: BlobSettings) -> Pressure:
    limit = settings.most_bytes
    return Pressure("the picture store", used, limit, _red(limit, round(limit * _NO_END)))


@dataclass(frozen=True, slots=True)
class _Count:
    size: int
    at: datetime


class Meter:
    """The bytes of all blobs, by listing. Days that have ended hardly change: they are counted again now and then."""

    LOOK = timedelta(minutes=1)
    OPEN = timedelta(minutes=5)
    ENDED = timedelta(hours=6)

    def __init__(self, blobs: BlobStore, *, now: Callable[[], datetime]) -> None:
        self._blobs = blobs
        self._now = now
        self._counts: Mapping[str, _Count] = {}
        self._looked_at: datetime | None = None

    def total(self) -> int:
        """The bytes, as of the last minute or so. Raises StoreUnavailable."""
        now = self._now()
        if self._looked_at is None or not timedelta() <= now - self._looked_at < self.LOOK:
            self._counts = {part: self._count(part, now) for part in self._parts()}
            self._looked_at = now
        return sum(count.size for count in self._counts.values())

    def dropped(self, hour: str, size: int) -> None:
        """So many bytes of an hour are gone."""
        day = hour.rpartition("/")[0]
        if day in self._counts:
            count = self._counts[day]
            self._counts = {**self._counts, day: _Count(max(0, count.size - size), count.at)}

    def _count(self, part: str, now: datetime) -> _Count:
        known = self._counts.get(part)
        if known and timedelta() <= now - known.at < (self.ENDED if _has_ended(part, now) else self.OPEN):
            return known
        return _Count(self._blobs.used(part), now)

    def _parts(self) -> Iterator[str]:
        yield from _FLAT
        for kind in _BY_DAY:
            level = [str(kind)]
            for _ in ("year", "month", "day"):
                level = [inner for outer in level for inner in self._blobs.folders(outer)]
            yield from level


def _has_ended(part: str, now: datetime) -> bool:
    try:
        return start_of(part) + _DAY < now
    except ValueError:
        return False


def _red(limit: int, end: int) -> int:
    return limit + round((end - limit) * _RED_WAY)


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
