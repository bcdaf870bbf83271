"""Housekeeping: log records and pictures past their time go, whole hours at a time; verdict rows never."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

from core.blobs import BlobStore, Kind, drop_older
from core.broker.protocol import Broker
from core.errors import StoreUnavailable
from core.settings import BlobSettings
from core.stop import Stop

log = logging.getLogger(__name__)


def lives(settings: BlobSettings) -> dict[Kind, timedelta]:
    """How long pictures of each kind are kept; kinds that are not named here are kept for ever."""
    return {
        Kind.RING: timedelta(hours=settings.ring_hours),
        Kind.SAMPLE: timedelta(days=settings.sample_days),
        Kind.THUMB: timedelta(days=settings.thumb_days),
        Kind.FRAME: timedelta(days=settings.frame_days),
        Kind.HEAT: timedelta(days=settings.frame_days),
    }


class Housekeeper:
    """One turn drops what is past its time. A store that is away is tried again at the next turn."""

    def __init__(self, broker: Broker, blobs: BlobStore, keep: Mapping[Kind, timedelta], *,
                 now: Callable[[], datetime], every: float = 30.0) -> None:  # fmt: skip
        self._broker = broker
        self._blobs = blobs
        self._keep = keep
        self._now = now
        self._every = every

    def step(self) -> int:
        """Drop what is past its time; return the number of log records and pictures dropped."""
        dropped = self._try("log records", self._broker.retain)
        for kind, life in self._keep.items():
            dropped += self._try(f"pictures of kind {kind}", partial(self._drop, kind, life))
        return dropped

    def clean_up(self) -> None:
        """Remove half-written files that a killed process left where no hour ever drops them."""
        for kind in (Kind.MODEL, Kind.DATASET, Kind.INBOX):
            self._try(f"half-written files of kind {kind}", partial(self._sweep, kind))

    def run(self, stop: Stop) -> None:
        """A turn every half minute until asked to stop."""
        self.clean_up()
        due = 0.0
        while not stop.asked:
            if time.monotonic() >= due:
                self.step()
                due = time.monotonic() + self._every
            time.sleep(0.2)

    def _sweep(self, kind: Kind) -> int:
        return self._blobs.sweep(kind, before=self._now() - timedelta(days=1))

    def _drop(self, kind: Kind, life: timedelta) -> int:
        return drop_older(self._blobs, kind, self._now() - life)

    def _try(self, what: str, work: Callable[[], int]) -> int:
        try:
            number = work()
        except StoreUnavailable as problem:
            log.warning("%s could not be dropped now: %s", what, problem)
            return 0
        if number:
            log.info("dropped %d %s past their time", number, what)
        return number
