"""Whether a process does its work: what its loop says of itself, for whoever asks."""

import time
from collections.abc import Callable
from dataclasses import dataclass

HANGS_AFTER = 60.0  # s without a turn; the longest lawful one loads a model


@dataclass(frozen=True, slots=True)
class State:
    """How a process does. status: ok, starting, waiting or hanging; `why` in words unless ok."""

    status: str
    why: str
    turn_age_seconds: float

    @property
    def ok(self) -> bool:
        """Whether the process does its work now."""
        return self.status == "ok"

    @property
    def alive(self) -> bool:
        """Whether its loop turns, or has not begun to."""
        return self.status != "hanging"


class Health:
    """What a loop says of itself: one thread tells, any thread may ask. within: seconds that one turn may take."""

    def __init__(self, *, within: float = HANGS_AFTER, clock: Callable[[], float] = time.monotonic) -> None:
        self._within = within
        self._clock = clock
        self._turned_at = clock()
        self._ready = False
        self._waits_for = ""

    def ready(self) -> None:
        """All that the loop needs is there; call it once, before the first turn."""
        self._turned_at = self._clock()
        self._ready = True

    def turned(self) -> None:
        """A turn is done, with or without messages."""
        self._turned_at = self._clock()
        self._waits_for = ""

    def waits_for(self, what: str) -> None:
        """A turn is put off: `what` says in words which store is away."""
        self._turned_at = self._clock()
        self._waits_for = what

    def state(self) -> State:
        """How the process does now."""
        age = max(0.0, self._clock() - self._turned_at)
        if not self._ready:
            return State("starting", "it is not ready yet; its log says what it does", age)
        if age > self._within:
            return State("hanging", f"no turn for {age:.0f} s; one takes {self._within:.0f} s at most", age)
        if self._waits_for:
            return State("waiting", self._waits_for, age)
        return State("ok", "", age)
