"""A kill switch for tests: the process ends by SIGKILL at the N-th pass of one named point, as in a power cut.

Armed once, from `settings.worker.fault`; disarmed, a point costs one look into an empty dictionary.
"""

import os
import signal

from core.errors import SettingsInvalid

POINTS = frozenset(
    {
        "capture_after_append",
        "inspect_after_poll",
        "inspect_after_blobs",
        "inspect_in_transaction",
        "inspect_after_transaction",
        "inspect_after_publish",
        "inspect_after_commit",
        "local_in_flush",
    }
)

_passes_left: dict[str, int] = {}


def arm(fault: str) -> None:
    """Arm "POINT" or "POINT:N" (N from 1, default 1); an empty text disarms.

    Raises SettingsInvalid for an unknown point or a number nobody can mean.
    """
    _passes_left.clear()
    if not fault:
        return
    point, _, number = fault.partition(":")
    if point not in POINTS:
        raise SettingsInvalid(f"fault {fault!r}: no point is called {point!r}; there are {', '.join(sorted(POINTS))}")
    if number and not (number.isascii() and number.isdigit() and int(number) > 0):
        raise SettingsInvalid(f"fault {fault!r}: {number!r} is no count of passes; write {point}:1 or more")
    _passes_left[point] = int(number or 1)


def reach(point: str) -> None:
    """Pass a point; at the armed pass this call does not return."""
    if point not in _passes_left:
        return
    _passes_left[point] -= 1
    if _passes_left[point] <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
