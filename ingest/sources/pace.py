"""Keeps a source at its rate."""

import time
from collections.abc import Callable


class Pace:
    """Lets one picture through every 1/rate seconds; a rate of 0 lets all through.

    A reader that comes late does not get the lost time back in a burst: the schedule starts again from then.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = 1.0 / rate if rate > 0 else 0.0
        self._clock = clock
        self._due = clock()

    def wait(self, timeout: float) -> bool:
        """Sleep until the next picture is due; False, after `timeout` seconds, when that is not reached."""
        left = self._due - self._clock()
        if left > timeout:
            time.sleep(max(timeout, 0.0))
            return False
        if left > 0:
            time.sleep(left)
        return True

    def passed(self) -> int:
        """Take the picture's turn; the number of whole periods that had gone by unused before it."""
        now = self._clock()
        if not self._period:
            return 0
        missed = max(0, int((now - self._due) / self._period))
        self._due = max(self._due + self._period, now) if missed else self._due + self._period
        return missed
