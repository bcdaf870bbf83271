"""Housekeeping: what is past its time goes, room is kept free, partitions are made ahead; each duty at its own pace.

A picture whose row never came needs no collector: its name follows from the frame, so the frame's next delivery writes
over it, and whatever remains has the life of its kind as all others have. For pictures that wait for their verdict
(inbox) that is the life of the log and a day.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from core.blobs.hours import drop_older
from core.blobs.keys import Kind
from core.blobs.protocol import BlobStore
from core.broker.protocol import Broker
from core.database import Database
from core.errors import StoreUnavailable
from core.partitions import keep_ahead
from core.records import retention
from core.records.alerts import mark
from core.records.dropped import drop_old
from core.settings import Settings
from core.stop import Stop
from workers.signs import Signs
from workers.space import PICTURES, Guard

log = logging.getLogger(__name__)

SOON, OFTEN, HOURLY, DAILY = 30.0, 300.0, 3600.0, 86400.0  # s
LONGEST = 1800.0  # s of one step: the first count of a large S3 store, or the drop of a year of small files
_HALF_WRITTEN = timedelta(days=1)  # no put takes so long
_NO_HOURS = (Kind.MODEL, Kind.DATASET)  # kinds whose leftovers no dropped hour takes along


BESIDE_ROWS = {
    "routes, replays and rejected messages": retention.drop_beside_rows, "counters of minutes": retention.drop_minutes,
    "closed alerts": retention.drop_alerts,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to do every so many seconds; `work` returns how many were dealt with, `name` says of what."""

    name: str
    every: float
    work: Callable[[], int]


def lives(settings: Settings) -> dict[Kind, timedelta]:
    """How long pictures of each kind are kept; kinds that are not named here are kept for ever."""
    kept = settings.blobs
    return {
        Kind.RING: timedelta(hours=kept.ring_hours),
        Kind.SAMPLE: timedelta(days=kept.sample_days),
        Kind.THUMB: timedelta(days=kept.thumb_days),
        Kind.FRAME: timedelta(days=kept.frame_days),
        Kind.HEAT: timedelta(days=kept.frame_days),
        Kind.GOLDEN: timedelta(days=kept.frame_days),
        Kind.INBOX: timedelta(hours=settings.broker.retention_hours, days=1),
    }


def duties(broker: Broker, database: Database, blobs: BlobStore, settings: Settings, *,
           now: Callable[[], datetime]) -> list[Duty]:  # fmt: skip
    """What a line needs done. Room is made after what is past its time has gone."""

    def drop(kind: Kind, life: timedelta) -> int:
        return drop_older(blobs, kind, now() - life)

    def sweep() -> int:
        return sum(blobs.sweep(kind, before=now() - _HALF_WRITTEN) for kind in _NO_HOURS)

    def beside(work: Callable[..., int]) -> int:
        return work(database, settings, now=now())

    guard = Guard(blobs, settings.blobs, now=now)

    def make_room() -> int:
        dropped = guard.relieve()
        found = guard.pressure()
        if found and blobs.disk() is None:  # a disk is seen by all; what an S3 store holds only by who counts it
            with database.writing() as connection:
                mark(connection, PICTURES, now=now(), detail=str(found.used))
        return dropped

    books = settings.database
    return [
        Duty("partitions made ahead", HOURLY, lambda: keep_ahead(database, books, now=now())),
        Duty("verdict rows dropped past their time", OFTEN, lambda: drop_old(database, books, now=now())),
        *(Duty(f"{what} dropped past their time", OFTEN, partial(beside, work)) for what, work in BESIDE_ROWS.items()),
        Duty("reservations of parts that ended removed", HOURLY, lambda: retention.drop_claims(database, now=now())),
        Duty("log records dropped past their time", SOON, broker.retain),
        *(
            Duty(f"pictures of kind {kind} dropped past their time", SOON, partial(drop, kind, life))
            for kind, life in lives(settings).items()
        ),
        Duty("pictures dropped early to make room", SOON, make_room),
        Duty("half-written files removed", DAILY, sweep),
    ]


class Housekeeper:
    """Does what is due. A duty whose store is away is tried again soon, and keeps no other from its turn."""

    def __init__(self, work: Sequence[Duty], *, signs: Signs | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self._work = work
        self._signs = signs or Signs()
        self._clock = clock
        self._due = [float("-inf")] * len(work)
        self._away: dict[int, str] = {}

    def step(self) -> int:
        """Do what is due; return what the duties returned, together."""
        due = [place for place, moment in enumerate(self._due) if self._clock() >= moment]
        total = sum(self._do(place, self._work[place]) for place in due)
        if self._away:
            self._signs.waits_for("; ".join(dict.fromkeys(self._away.values())))
        else:
            self._signs.turned(0)
        return total

    def _do(self, place: int, duty: Duty) -> int:
        try:
            number = duty.work()
        except StoreUnavailable as problem:
            log.warning("%s: not now: %s", duty.name, problem)
            self._away[place] = str(problem)
            self._due[place] = self._clock() + SOON
            return 0
        self._away.pop(place, None)
        self._due[place] = self._clock() + duty.every
        if number:
            log.info("%s: %d", duty.name, number)
        return number

    def run(self, stop: Stop) -> None:
        """Step until asked to stop."""
        self._signs.ready()
        while not stop.asked:
            self.step()
            time.sleep(0.2)
