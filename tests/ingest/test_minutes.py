from hypothesis import given
from hypothesis import strategies as st

from core.times import MINUTE_NS
from ingest.minutes import KEPT, TOLD, MinuteCounts

NOON = 1_764_072_000 * 10**9


def test_parts_are_counted_in_the_minute_of_their_capture() -> None:
    counts = MinuteCounts()
    for second in (0, 59, 60):
        counts.trigger(NOON + second * 10**9)
        counts.capture(NOON + second * 10**9)
    counts.trigger(NOON + 61 * 10**9, 3)
    assert counts.newest() == [[NOON, 2, 2], [NOON + MINUTE_NS, 4, 1]]


def test_a_report_tells_the_last_minutes_only() -> None:
    counts = MinuteCounts()
    for minute in range(5):
        counts.trigger(NOON + minute * MINUTE_NS)
    assert [start for start, *_ in counts.newest()] == [NOON + minute * MINUTE_NS for minute in (2, 3, 4)]


def test_a_clock_that_is_set_back_finds_its_counts_again() -> None:
    counts = MinuteCounts()
    for minute in (0, 1, 2, 3, 4, 0):
        counts.trigger(NOON + minute * MINUTE_NS)
    assert counts.newest()[-1] == [NOON, 2, 0]


def test_memory_stays_bounded() -> None:
    counts = MinuteCounts()
    for minute in range(KEPT + 10):
        counts.trigger(NOON + minute * MINUTE_NS)
    assert len(counts._counts) == KEPT


@given(st.lists(st.integers(0, 3 * MINUTE_NS), max_size=40))
def test_nothing_is_lost_between_minutes(offsets: list[int]) -> None:
    counts = MinuteCounts()
    seen: dict[int, int] = {}
    for offset in offsets:
        counts.trigger(NOON + offset)
        assert len(counts.newest()) <= TOLD
        seen |= {start: triggered for start, triggered, _ in counts.newest()}
    assert sum(seen.values()) == len(offsets)
