"""The belt of a trial: how far it has come, and what its encoder counts; it can stop, run back and lose count."""

from enum import StrEnum

COUNTS = 1 << 32


class Trouble(StrEnum):
    """What a belt or its encoder can do wrong."""

    STAND = "stand"  # the belt stands for two seconds
    REVERSE = "reverse"  # it runs back for half a second
    RESET = "reset"  # its encoder begins again at 0
    DEAD = "dead"  # its encoder counts no more, from here on


SECONDS = {Trouble.STAND: 2.0, Trouble.REVERSE: 0.5}


class SimulatedBelt:
    """`way` is measured in seconds at its full speed; `count` is what its encoder shows, of 32 bits."""

    def __init__(self, counts_per_s: float, now: float, *, first: int = COUNTS - 1000) -> None:
        self._counts_per_s, self._now = counts_per_s, now
        self._zero = float(first)  # the count where the way was 0
        self._until = now
        self._speed = 1.0
        self.way = 0.0
        self.count = first

    @property
    def runs(self) -> bool:
        """Whether it goes forward."""
        return self._speed > 0

    def go(self, now: float) -> None:
        """Time has gone on."""
        while self._now < now:
            then = min(now, self._until) if not self.runs else now
            self.way += self._speed * (then - self._now)
            self._now = then
            if not self.runs and then >= self._until:
                self._speed = 1.0
        self.count = int(self._zero + self.way * self._counts_per_s) % COUNTS

    def suffer(self, trouble: Trouble) -> None:
        """Something goes wrong from now on."""
        if trouble is Trouble.RESET:
            self._zero = -self.way * self._counts_per_s
        elif trouble is Trouble.DEAD:
            self._zero, self._counts_per_s = float(self.count), 0.0
        else:
            self._speed = 0.0 if trouble is Trouble.STAND else -1.0
            self._until = self._now + SECONDS[trouble]
