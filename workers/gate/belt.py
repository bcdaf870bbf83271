"""Where the belt is, by its encoder: a deadline in counts survives a line stop (domain.md §3.1). Pure: no I/O.

Places are counts since the encoder was first heard, without the wrap of its 32 bits. Times are ns of a monotonic clock.
"""

from collections import deque
from dataclasses import dataclass

COUNTS = 1 << 32
WINDOW = 200_000_000
"""The speed now is that of the last so many ns."""
CHECKED = 1_000_000_000
JITTER = 250_000_000
"""Over CHECKED ns no belt goes farther than at its highest speed for so much longer; else its encoder was set anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruler:
    """How a gate measures by its belt's encoder; lengths in counts, times in ns.

    to_gate: from the trigger to the gate. to_cameras: from the trigger to each camera. fastest: counts per second.
    slack: what actuator, PLC and network need, and the margin. A command that comes later than `grace` after its time
    accepts nothing. rollback: how far the belt may roll back when it stops. confirm: a rejected part must be seen
    before the belt has brought it so far behind the gate.
    """

    to_gate: int
    fastest: float
    slack: int
    grace: int
    rollback: int = 0
    confirm: int = 0
    to_cameras: tuple[tuple[str, int], ...] = ()


class Belt:
    """Follows the encoder. A place is never lowered: what was passed once is passed."""

    def __init__(self, ruler: Ruler) -> None:
        self._ruler = ruler
        self._count: int | None = None
        self._at = self._place = self._furthest = 0
        self._moved_at = 0
        self._past: deque[tuple[int, int]] = deque()  # (time, furthest) of each report, the oldest CHECKED ns ago

    @property
    def place(self) -> int:
        """How far it has come."""
        return self._furthest

    @property
    def moved_at(self) -> int:
        """When it last went on, or was first heard."""
        return self._moved_at

    def move(self, count: int, at: int) -> str:
        """The encoder stands at `count`; why places from before it mean nothing any more, "" = they do.

        Raises ValueError for a number that no 32-bit counter has.
        """
        if not 0 <= count < COUNTS:
            raise ValueError(f"encoder count {count} is not within 32 bits")
        at = max(at, self._at)
        if self._count is None:
            self._begin(count, at)
            return ""
        step = (count - self._count + COUNTS // 2) % COUNTS - COUNTS // 2
        place = self._place + step
        since, started = self._past[0]
        if place < self._furthest - self._ruler.rollback:
            why = f"the encoder ran backward or was reset, from {self._count} to {count}"
        elif place - started > self._ruler.fastest * (at - since + JITTER) / 1e9:
            why = f"the encoder leapt from {self._count} to {count}, farther than its belt can go"
        else:
            self._go(count, place, at)
            return ""
        self._begin(count, at)
        return why

    def speed(self, now: int) -> float:
        """Counts per second now."""
        if not self._past:
            return 0.0
        since, place = next(((at, there) for at, there in reversed(self._past) if at <= now - WINDOW), self._past[0])
        ns = min(now - since, 2 * WINDOW)  # a belt that stood still is not slow for having stood
        return min((self._furthest - place) * 1e9 / ns, 2 * self._ruler.fastest) if ns > 0 else 0.0

    def is_due(self, gate: int, now: int) -> bool:
        """Whether a part whose gate stands at that place must be told now, at the belt's present speed."""
        return gate - self._furthest <= self.speed(now) * self._ruler.slack / 1e9

    def is_too_late(self, gate: int, now: int) -> bool:
        """Whether the gate can no longer act on it, or nobody has told for too long where the belt is."""
        late = self._ruler.slack - self._ruler.grace
        is_near = self._furthest > gate or gate - self._furthest < self.speed(now) * late / 1e9
        return is_near or now - self._at > self._ruler.grace

    def has_reached(self, camera: str, trigger: int) -> bool:
        """Whether a part that was triggered at that place can be before the camera, as the grace allows."""
        there = trigger + dict(self._ruler.to_cameras).get(camera, 0)
        return self._furthest >= there - self._ruler.fastest * self._ruler.grace / 1e9

    def _begin(self, count: int, at: int) -> None:
        self._count, self._at, self._moved_at = count, at, at
        self._place = self._furthest
        self._past.clear()
        self._past.append((at, self._furthest))

    def _go(self, count: int, place: int, at: int) -> None:
        self._count, self._place, self._at = count, place, at
        if place > self._furthest:
            self._furthest, self._moved_at = place, at
        self._past.append((at, self._furthest))
        while len(self._past) > 1 and self._past[1][0] <= at - CHECKED:
            self._past.popleft()
