"""What each trigger number says about the ones before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.gate.sequence import MOST_GAP, NUMBERS, Judged, Sequence, Step


def steps(*numbers: int, last: int | None = None) -> list[Step]:
    sequence = Sequence(last)
    return [sequence.judge(number).step for number in numbers]


@given(st.integers(0, NUMBERS - 1), st.integers(1, 300))
def test_counting_by_one_is_in_order_from_any_number_on_and_over_the_end_of_the_counter(start: int, n: int) -> None:
    assert set(steps(*((start + i) % NUMBERS for i in range(n)))) == {Step.NEXT}


def test_the_counter_wraps_from_its_highest_number_to_zero() -> None:
    assert steps(NUMBERS - 1, 0, 1) == [Step.NEXT] * 3


@given(st.integers(0, NUMBERS - 1), st.integers(1, MOST_GAP))
def test_a_gap_names_every_number_that_was_not_seen(last: int, missing: int) -> None:
    sequence = Sequence(last)
    judged = sequence.judge((last + missing + 1) % NUMBERS)
    assert judged == Judged(Step.GAP, tuple((last + 1 + i) % NUMBERS for i in range(missing)))
    assert judged.is_trusted
    assert sequence.judge((last + missing + 2) % NUMBERS).step is Step.NEXT


def test_the_same_number_twice_is_a_repetition_and_the_count_goes_on() -> None:
    assert steps(5, 5, 5, 6) == [Step.NEXT, Step.REPEATED, Step.REPEATED, Step.NEXT]


def test_a_stray_number_is_not_trusted_and_does_not_move_the_count() -> None:
    assert steps(500, 3, 501) == [Step.NEXT, Step.OUT_OF_ORDER, Step.NEXT]
    assert steps(500, 500 + MOST_GAP + 2, 501) == [Step.NEXT, Step.OUT_OF_ORDER, Step.NEXT]


def test_a_counter_that_was_set_anew_costs_one_part() -> None:
    assert steps(500, 1, 2, 3) == [Step.NEXT, Step.OUT_OF_ORDER, Step.RESTARTED, Step.NEXT]


def test_the_count_goes_on_from_an_earlier_run() -> None:
    assert steps(43, last=42) == [Step.NEXT]
    assert steps(45, last=42) == [Step.GAP]
    assert steps(42, last=42) == [Step.REPEATED]


@pytest.mark.parametrize("number", [-1, NUMBERS])
def test_a_number_that_no_counter_has_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="32 bits"):
        Sequence().judge(number)
