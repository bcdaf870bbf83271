"""The trigger counter of a PLC, unsigned 32 bit: what each new number says about the parts before it. Pure: no I/O."""

from dataclasses import dataclass
from enum import StrEnum

NUMBERS = 1 << 32
MOST_GAP = 100
"""A larger jump is no gap: the counter was set anew, or the register was garbled."""


class Step(StrEnum):
    """How a trigger number follows the ones before it."""

    NEXT = "NEXT"
    GAP = "GAP"  # numbers in between were never seen; this one is certain
    REPEATED = "REPEATED"  # the same as the last one
    OUT_OF_ORDER = "OUT_OF_ORDER"  # backward, or too far ahead
    RESTARTED = "RESTARTED"  # follows a number that was out of order: the counter was set anew


@dataclass(frozen=True, slots=True)
class Judged:
    """The step, and the numbers that a gap left out."""

    step: Step
    missing: tuple[int, ...] = ()

    @property
    def is_trusted(self) -> bool:
        """Whether the part that carries the number is known for certain."""
        return self.step in {Step.NEXT, Step.GAP, Step.RESTARTED}


class Sequence:
    """Follows the counter; `last` is the newest number of an earlier run, None where there is none."""

    def __init__(self, last: int | None = None) -> None:
        self.last = last
        self._stray: int | None = None

    def judge(self, number: int) -> Judged:
        """Take the next number. Raises ValueError for one that no 32-bit counter has."""
        if not 0 <= number < NUMBERS:
            raise ValueError(f"trigger number {number} is not within 32 bits")
        if self.last is None:
            return self._adopt(number, Judged(Step.NEXT))
        ahead = (number - self.last - 1) % NUMBERS
        if ahead == 0:
            return self._adopt(number, Judged(Step.NEXT))
        if ahead <= MOST_GAP:
            missing = tuple((self.last + 1 + i) % NUMBERS for i in range(ahead))
            return self._adopt(number, Judged(Step.GAP, missing))
        if number == self.last:
            return Judged(Step.REPEATED)
        if self._stray is not None and number == (self._stray + 1) % NUMBERS:
            return self._adopt(number, Judged(Step.RESTARTED))
        self._stray = number
        return Judged(Step.OUT_OF_ORDER)

    def _adopt(self, number: int, judged: Judged) -> Judged:
        self.last, self._stray = number, None
        return judged
