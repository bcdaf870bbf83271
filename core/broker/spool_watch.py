"""What a camera's spool has to say: to the log at once and every minute, to the metrics, and to the camera's report."""

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from core.broker.spool_file import Spool, SpoolState
from core.errors import StoreUnavailable
from core.metrics import Metrics

_log = logging.getLogger(__name__)

REMIND_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SpoolReport:
    """For the camera's report: bytes, ms, parts on record without a picture, and the alarm in words ("" for none)."""

    size: int = 0
    oldest_ms: int = 0
    diverted: int = 0
    alarm: str = ""


class SpoolWatch:
    """Keeps the spool from being silent. Used under its owner's lock."""

    def __init__(
        self, spool: Spool, metrics: Metrics, *,
        wall: Callable[[], int] = time.time_ns, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._spool, self._metrics = spool, metrics
        self._wall, self._clock = wall, clock
        self.problem = ""  # why the broker takes nothing now
        self.diverted = 0
        self._full = ""  # why the last picture was not taken
        self._known = SpoolState()
        self._said: dict[str, float] = {}  # when each kind of trouble was last said

    def trouble(self, problem: str) -> None:
        """Why the broker takes nothing; "" when it does."""
        self.problem = problem
        if not problem:
            self._full = ""  # room is being made

    def refused(self, problem: str, *, diverting: bool) -> None:
        """The spool did not take a record: it is full, or its disk."""
        held = "parts go on record without their pictures" if diverting else "no more pictures are taken"
        self._full = f"{problem}; {held}"

    def took(self, *, pictures: int) -> None:
        """What was to be stored fitted in, so many pictures among it."""
        if pictures:
            self._full = ""

    def report(self) -> SpoolReport:
        """As of now."""
        state = self._look_in()
        return SpoolReport(state.size, int(state.age(self._wall()) * 1000), self.diverted, self._alarm(state))

    def look(self) -> None:
        """Say in the log what is wrong, at once when it is new and every minute; keep the figures."""
        state = self._look_in()
        age = state.age(self._wall())
        self._metrics.spooled(self._spool.name, state.size, age)
        text = self._alarm(state) or (self.problem and f"the broker is away: {self.problem}")
        kind, now = text.partition(":")[0], self._clock()
        if not kind and self._said:
            self._said.clear()
            _log.info("%s: the broker takes records again", self._spool.name)
        elif kind and now >= self._said.get(kind, -math.inf) + REMIND_SECONDS:
            self._said[kind] = now
            _log.error("%s: %s; %d records, %.1f MB, wait in the spool, the oldest for %.0f s",
                       self._spool.name, text, state.records, state.size / 1e6, age)  # fmt: skip

    def _look_in(self) -> SpoolState:
        """What waits; as it was known last while the spool's disk refuses, which whoever writes there will say."""
        with suppress(StoreUnavailable):
            self._known = self._spool.state()
        return self._known

    def _alarm(self, state: SpoolState) -> str:
        if self._full:
            return f"SPOOL_FULL: {self._full}"
        if state.nearly_full:
            return f"SPOOL_80: the spool holds {state.size} of {state.room} bytes; bring the broker back"
        return ""
