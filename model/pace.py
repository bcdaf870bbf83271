"""How long training may take, in time or iterations, and the clock that keeps to it."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Budget:
    """Seconds or iterations, exactly one of them, above zero."""

    seconds: float | None = None
    iterations: int | None = None

    def __post_init__(self) -> None:
        amounts = [amount for amount in (self.seconds, self.iterations) if amount is not None]
        if len(amounts) != 1 or not 0 < amounts[0] < float("inf"):
            raise ValueError(f"a budget is seconds or iterations, one of them and above 0, not {self}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """From "180s", "3m", "1h", "500it"; a bare number is seconds. Raises ValueError."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
        if found:
            amount, unit = float(found[1]), found[2] or "s"
            if unit in _UNITS:
                return cls(seconds=amount * _UNITS[unit])
            if unit in {"it", "iterations"} and amount.is_integer():
                return cls(iterations=int(amount))
        raise ValueError(f"budget {text!r} is not understood; write 180s, 3m, 1h or 500it")

    def split(self, share: float) -> tuple[Self, Self]:
        """Two budgets, the first with this share; with at least one iteration in each."""
        if self.seconds is not None:
            return type(self)(seconds=self.seconds * share), type(self)(seconds=self.seconds * (1 - share))
        assert self.iterations is not None
        first = min(max(round(self.iterations * share), 1), max(self.iterations - 1, 1))
        return type(self)(iterations=first), type(self)(iterations=max(self.iterations - first, 1))

    def __str__(self) -> str:
        return f"{self.seconds:g} s" if self.seconds is not None else f"{self.iterations} iterations"


class Pace:
    """The iterations of one stage, as an iterator that ends when the budget is used up or somebody cancels.

    iteration, elapsed: where an earlier run left off. A step of which more than half would lie past the time is
    not begun, but one is always taken. The fraction drives learning rates, the rest is for the progress display.
    """

    def __init__(
        self,
        budget: Budget,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        iteration: int = 0,
        elapsed: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.iteration = iteration
        self.was_cancelled = False
        self._budget = budget
        self._cancelled = cancelled
        self._clock = clock
        self._begun = clock() - elapsed
        self._first = iteration
        self._first_at = clock()

    def __iter__(self) -> Iterator[int]:
        while not self._is_over():
            if self._cancelled():
                self.was_cancelled = True
                return
            yield self.iteration
            self.iteration += 1

    @property
    def elapsed(self) -> float:
        """Seconds in this stage so far, those of earlier runs included."""
        return self._clock() - self._begun

    @property
    def fraction(self) -> float:
        """Used part of the budget, 0 to 1."""
        if self._budget.seconds is not None:
            return min(self.elapsed / self._budget.seconds, 1.0)
        assert self._budget.iterations is not None
        return min(self.iteration / self._budget.iterations, 1.0)

    @property
    def step_seconds(self) -> float:
        """Mean seconds per iteration in this run; 0 before the first is finished."""
        done = self.iteration - self._first
        return (self._clock() - self._first_at) / done if done else 0.0

    @property
    def remaining_seconds(self) -> float:
        """Seconds until the stage is over, as far as can be told."""
        if self._budget.seconds is not None:
            return max(self._budget.seconds - self.elapsed, 0.0)
        assert self._budget.iterations is not None
        return max(self._budget.iterations - self.iteration, 0) * self.step_seconds

    def _is_over(self) -> bool:
        if self._budget.iterations is not None:
            return self.iteration >= self._budget.iterations
        assert self._budget.seconds is not None
        return self.iteration > 0 and self.elapsed + self.step_seconds / 2 >= self._budget.seconds
