import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.pace import Budget, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(pace: Pace, clock: Clock, step: float) -> list[int]:
    done = []
    for iteration in pace:
        clock.now += step
        done.append(iteration)
    return done


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("180s", Budget(seconds=180)),
        ("90", Budget(seconds=90)),
        ("3m", Budget(seconds=180)),
        ("1.5 h", Budget(seconds=5400)),
        ("500it", Budget(iterations=500)),
        ("20 iterations", Budget(iterations=20)),
    ],
)
def test_a_budget_is_read_from_words(text: str, budget: Budget) -> None:
    assert Budget.parse(text) == budget


@pytest.mark.parametrize("text", ["", "soon", "-3s", "0s", "0it", "1.5it", "3 weeks"])
def test_a_budget_nobody_can_mean_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not understood|above 0"):
        Budget.parse(text)


def test_a_budget_is_seconds_or_iterations_and_not_both() -> None:
    for values in ({}, {"seconds": 1.0, "iterations": 1}, {"seconds": float("nan")}, {"seconds": float("inf")}):
        with pytest.raises(ValueError, match="one of them"):
            Budget(**values)  # type: ignore[arg-type]


@given(st.integers(2, 10_000), st.floats(0.01, 0.99))
def test_a_split_budget_adds_up(iterations: int, share: float) -> None:
    first, second = Budget(iterations=iterations).split(share)
    assert first.iterations is not None
    assert second.iterations is not None
    assert first.iterations + second.iterations == iterations
    assert min(first.iterations, second.iterations) >= 1


@given(st.floats(0.01, 5), st.floats(5, 60))
def test_time_is_kept_to_half_a_step(step: float, seconds: float) -> None:
    clock = Clock()
    pace = Pace(Budget(seconds=seconds), clock=clock)
    run(pace, clock, step)
    assert abs(pace.elapsed - seconds) <= step / 2 + 1e-6


def test_one_step_is_taken_however_short_the_time() -> None:
    clock = Clock()
    assert run(Pace(Budget(seconds=0.001), clock=clock), clock, 5.0) == [0]


def test_a_resumed_pace_goes_on_where_it_was() -> None:
    clock = Clock()
    assert run(Pace(Budget(iterations=6), iteration=4, clock=clock), clock, 1.0) == [4, 5]
    assert len(run(Pace(Budget(seconds=10), iteration=4, elapsed=7, clock=clock), clock, 1.0)) == 3


def test_cancelling_ends_the_iteration_between_steps() -> None:
    clock = Clock()
    pace = Pace(Budget(iterations=100), cancelled=lambda: clock.now >= 103, clock=clock)
    assert run(pace, clock, 1.0) == [0, 1, 2]
    assert pace.was_cancelled


def test_fraction_and_remaining_time_tell_how_far_it_is() -> None:
    clock = Clock()
    pace = Pace(Budget(iterations=4), clock=clock)
    seen = []
    for _ in pace:
        clock.now += 2.0
        seen.append((pace.fraction, pace.remaining_seconds))
    assert [fraction for fraction, _ in seen] == [0, 0.25, 0.5, 0.75]
    assert seen[3][1] == pytest.approx(8 / 3)  # four steps' time over three finished ones, one to go
