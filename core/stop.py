"""How a process is asked to end: the first signal finishes the turn at hand, the second ends it at once."""

import signal
from types import FrameType


class Stop:
    """A plain flag: taking a lock or logging inside a signal handler can hang."""

    def __init__(self) -> None:
        self.asked = False


def stop_on_signals(stop: Stop) -> None:
    """Let SIGTERM and SIGINT set the flag; a second one of the same kind ends the process."""

    def ask(number: int, _: FrameType | None) -> None:
        stop.asked = True
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
