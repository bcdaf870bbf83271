"""Times work in rounds: in each round everything has its turn, so that a noisy machine hits all alike."""

import time
from collections.abc import Callable, Hashable, Mapping
from statistics import median
from typing import TypeVar

ROUNDS = 6
PAUSE = 0.03  # s; threads of the one before go on spinning for a while, on the cores that the next one wants
Name = TypeVar("Name", bound=Hashable)


def in_rounds(
    work: Mapping[Name, Callable[[], object]],
    *,
    seconds: float,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.perf_counter,
    pause: Callable[[float], None] = time.sleep,
    after_round: Callable[[int], None] = lambda _: None,
) -> dict[Name, list[float]]:
    """Seconds that each work takes, by round.

    seconds: for each work, over all rounds; a call that takes longer is made once a round all the same. What is built
    or compiled at a first call is not measured. The order turns from round to round.
    """
    for call in work.values():
        call()
    names = list(work)
    found: dict[Name, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % max(len(names), 1)
        for name in names[turn:] + names[:turn]:
            pause(PAUSE)
            found[name].append(_mean_seconds(work[name], seconds / rounds, clock))
        after_round(number + 1)
    return found


def paired_ratio(one: list[float], other: list[float]) -> float:
    """How many times as long as `one` the `other` takes: the median over the rounds, each compared within itself."""
    return median(second / first for first, second in zip(one, other, strict=True))


def _mean_seconds(call: Callable[[], object], budget: float, clock: Callable[[], float]) -> float:
    begun, calls = clock(), 0
    while True:
        call()
        calls += 1
        spent = clock() - begun
        if spent >= budget:
            return spent / calls
