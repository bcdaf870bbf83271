"""A bound for the bytes that are on their way."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from core.broker.byte_budget import ByteBudget


def test_what_fits_is_taken_at_once_and_what_does_not_is_refused_after_the_wait() -> None:
    budget = ByteBudget(100)
    assert budget.take(60, 0)
    assert budget.take(40, 0)
    assert not budget.take(1, 0.01)
    budget.give(40)
    assert budget.take(1, 0)
    assert budget.used == 61


def test_one_message_larger_than_the_bound_passes_alone() -> None:
    budget = ByteBudget(100)
    assert budget.take(1000, 0)
    assert not budget.take(1, 0)
    budget.give(1000)
    assert budget.take(1, 0)
    assert not budget.take(1000, 0)


def test_who_waits_goes_on_as_soon_as_there_is_room() -> None:
    budget = ByteBudget(100)
    budget.take(100, 0)
    threading.Timer(0.05, budget.give, args=(100,)).start()
    assert budget.take(100, 30)


@given(st.lists(st.integers(1, 150), max_size=60))
def test_never_more_than_the_bound_unless_one_message_is_alone(sizes: list[int]) -> None:
    budget, taken = ByteBudget(100), list[int]()
    for size in sizes:
        while not budget.take(size, 0):
            budget.give(taken.pop(0))
        taken.append(size)
        assert budget.used == sum(taken)
        assert sum(taken) <= 100 or len(taken) == 1
