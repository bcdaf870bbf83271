"""A partition that has records to read and does not move."""

from hypothesis import given
from hypothesis import strategies as st

from core.broker.protocol import Lag, Partition
from core.broker.stall import StallWatch

ZERO, ONE = Partition("frames", 0), Partition("frames", 1)


def test_lag_that_does_not_move_is_a_stall_after_the_given_time() -> None:
    watch = StallWatch(60)
    lags = [Lag(ZERO, 5, 9), Lag(ONE, 7, 7)]
    assert [watch.look(lags, {ZERO, ONE}, now) for now in (100.0, 130.0, 159.9)] == [[], [], []]
    (stall,) = watch.look(lags, {ZERO, ONE}, 160.0)
    assert str(stall) == "frames/0: 4 records wait and none was finished for 60 s"


def test_any_progress_begins_the_time_anew() -> None:
    watch = StallWatch(60)
    for turn in range(10):
        assert watch.look([Lag(ZERO, turn, 100)], {ZERO}, turn * 59.0) == []


def test_a_partition_of_another_member_is_not_ours_to_watch() -> None:
    watch = StallWatch(60)
    assert watch.look([Lag(ZERO, 0, 9)], {ONE}, 0.0) == []
    assert watch.look([Lag(ZERO, 0, 9)], {ZERO}, 1000.0) == []  # ours since now
    assert watch.look([Lag(ZERO, 0, 9)], set(), 1030.0) == []  # lent to another
    assert watch.look([Lag(ZERO, 0, 9)], {ZERO}, 1070.0) == []
    assert len(watch.look([Lag(ZERO, 0, 9)], {ZERO}, 1130.0)) == 1


def test_a_partition_that_was_caught_up_in_between_has_not_stalled() -> None:
    watch = StallWatch(60)
    watch.look([Lag(ZERO, 5, 9)], {ZERO}, 0.0)
    watch.look([Lag(ZERO, 5, 5)], {ZERO}, 30.0)  # retention took the rest
    assert watch.look([Lag(ZERO, 5, 9)], {ZERO}, 61.0) == []


def test_who_waits_on_purpose_does_not_stall() -> None:
    watch = StallWatch(60)
    watch.look([Lag(ZERO, 5, 9)], {ZERO}, 0.0)
    watch.forget()
    assert watch.look([Lag(ZERO, 5, 9)], {ZERO}, 59.0) == []
    assert watch.look([Lag(ZERO, 5, 9)], {ZERO}, 118.0) == []
    assert len(watch.look([Lag(ZERO, 5, 9)], {ZERO}, 119.0)) == 1


@given(st.lists(st.tuples(st.floats(0, 50), st.integers(0, 3)), min_size=1, max_size=40))
def test_a_stall_is_told_exactly_when_nothing_moved_for_that_long(steps: list[tuple[float, int]]) -> None:
    watch, now, committed, moved_at = StallWatch(60), 0.0, 0, None
    for wait, done in steps:
        now += wait
        if done or moved_at is None:
            moved_at = now
        committed += done
        stalls = watch.look([Lag(ZERO, committed, committed + 1)], {ZERO}, now)
        assert bool(stalls) == (now - moved_at >= 60)
