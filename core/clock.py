"""The wall clock and the monotonic clock of this machine, side by side: deadlines must bear a wall clock that jumps.

INV-18: a deadline runs on a monotonic clock. Two processes of one machine share it; across machines there is only the
wall clock, whose jumps are told as CLOCK_OFFSET.
"""

import logging
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from core.messages import FrameCaptured

_log = logging.getLogger(__name__)

JUMP_NS = 10**9
TOLD_NS = 60 * 10**9
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot() -> str:
    """Which start of which machine this is; monotonic times compare only within one. "" where nobody knows."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def age_ns(frame: FrameCaptured, now: int) -> int:
    """How long ago a picture was taken, ns; by the monotonic clock where it was on this machine, else by `now`, UTC."""
    if frame.boot and frame.boot == boot():
        return time.monotonic_ns() - frame.monotonic_at
    return now - frame.captured_at


class ClockWatch:
    """Notices when the wall clock is set: a step against the monotonic clock between two looks of more than 1 s.

    What corrects a clock gently moves it by far less from look to look, and is no jump.
    """

    def __init__(
        self, *, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._offset = wall() - monotonic()
        self._told_until = 0
        self._text = ""

    def look(self) -> str:
        """The alarm of a jump, for a minute after it; "" while all is well. Call it about once a second."""
        now = self._monotonic()
        offset = self._wall() - now
        jump, self._offset = offset - self._offset, offset
        if abs(jump) > JUMP_NS:
            self._told_until = now + TOLD_NS
            self._text = (
                f"CLOCK_OFFSET: the wall clock jumped by {jump / 1e9:+.1f} s; check the time service of this machine"
            )
            _log.error("%s", self._text)
        return self._text if now < self._told_until else ""
