"""What a capture process counts by minute of capture, so that the books can be checked minute by minute (INV-1)."""

from core.times import MINUTE_NS

TOLD = 3  # minutes in a report: one that is lost takes no count along
KEPT = 1500  # a day of minutes; a clock that is set back by less finds its counts again


class MinuteCounts:
    """Parts triggered and captured, by minute of capture; counts only grow."""

    def __init__(self) -> None:
        self._counts: dict[int, list[int]] = {}  # by the minute's start, ns; the newest touched stand last

    def trigger(self, captured_at: int, parts: int = 1) -> None:
        """The source offered `parts` parts; `captured_at`: ns UTC."""
        self._at(captured_at)[0] += parts

    def capture(self, captured_at: int) -> None:
        """The picture of that time is safe."""
        self._at(captured_at)[1] += 1

    def newest(self) -> list[list[int]]:
        """The minutes that were touched last, each as its start in ns, triggered, captured."""
        return [[minute, *counts] for minute, counts in list(self._counts.items())[-TOLD:]]

    def _at(self, captured_at: int) -> list[int]:
        minute = captured_at - captured_at % MINUTE_NS
        counts = self._counts.pop(minute, [0, 0])
        self._counts[minute] = counts
        if len(self._counts) > KEPT:
            del self._counts[next(iter(self._counts))]
        return counts
