"""Rows past their time go with their regions, and stay counted. On both databases."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from core.database import Database
from core.records import dropped
from core.records.dropped import Dropped, by_session, complete_since, drop_old, horizon
from core.records.inspections import record
from core.settings import DatabaseSettings
from core.tables import inspections, regions, rollup_minute
from core.verdicts import MachineVerdict
from tests.core.records.conftest import Fresh
from tests.core.records.rows import NOON, SESSION, captured, inspected, size

DAY = timedelta(days=1)
DAY_NS = 86_400 * 10**9
MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
VERDICTS = list(MachineVerdict)
FAIL, PASS = MachineVerdict.FAIL, MachineVerdict.PASS
TWO_DAYS = DatabaseSettings(keep_days=2)


def keep(database: Database, on: list[int], *, camera: str = "ring-top") -> None:
    """Frames 0, 1, … on these days after noon: one of each verdict in turn, the failed ones with a region."""
    frames = [captured(seq, camera=camera, captured_at=SESSION + day * DAY_NS + seq) for seq, day in enumerate(on)]
    with database.writing() as connection:
        record(connection, [inspected(0, VERDICTS[frame.seq % 5], frame) for frame in frames])


def days_left(connection: Connection) -> set[int]:
    """Of the rows."""
    return {(time - MIDNIGHT).days for time in connection.scalars(select(inspections.c.captured_at))}


def test_rows_live_for_ever_unless_told_otherwise(database: Database) -> None:
    keep(database, [0, 1])
    assert drop_old(database, DatabaseSettings(), now=NOON + 10_000 * DAY) == 0
    with database.reading() as connection:
        assert (size(connection, inspections), complete_since(connection)) == (2, None)


@pytest.mark.parametrize(
    ("keep_days", "now", "is_kept_since"),
    [
        (2, NOON + 4 * DAY, MIDNIGHT + 2 * DAY),
        (2, MIDNIGHT + 4 * DAY, MIDNIGHT + 2 * DAY),
        (0.25, NOON, MIDNIGHT),
        (0.75, NOON, MIDNIGHT - DAY),
        (365, NOON, MIDNIGHT - 365 * DAY),
    ],
)
def test_rows_are_kept_at_least_as_long_as_told_by_whole_days(
    keep_days: float, now: datetime, is_kept_since: datetime
) -> None:
    assert horizon(keep_days, now=now) == is_kept_since


def test_rows_past_their_time_go_with_their_regions(database: Database) -> None:
    keep(database, [0, 0, 0, 1, 1, 2, 3, 3, 3, 3])
    assert drop_old(database, TWO_DAYS, now=NOON + 4 * DAY) == 5
    with database.reading() as connection:
        assert days_left(connection) == {2, 3}
        assert size(connection, inspections) == 5
        rows = {(row.seq) for row in connection.execute(select(inspections))}
        assert {row.seq for row in connection.execute(select(regions))} <= rows
        assert size(connection, regions) == 2  # of the frames 6 (FAIL) and 7 (REVIEW)
        assert connection.scalar(select(func.sum(rollup_minute.c.n))) == 10  # counters stay
    assert drop_old(database, TWO_DAYS, now=NOON + 4 * DAY) == 0


def test_what_was_dropped_stays_counted_by_session_and_verdict(database: Database) -> None:
    keep(database, [0] * 7)
    keep(database, [0, 1], camera="board-top")
    drop_old(database, TWO_DAYS, now=NOON + 3 * DAY)
    with database.reading() as connection:
        first = dict.fromkeys(VERDICTS, 1) | {VERDICTS[0]: 2, VERDICTS[1]: 2}
        assert by_session(connection) == {
            ("ring-top", SESSION): Dropped(first, 6),
            ("board-top", SESSION): Dropped({VERDICTS[0]: 1}, 0),
        }
        assert complete_since(connection) == MIDNIGHT + DAY
    drop_old(database, TWO_DAYS, now=NOON + 4 * DAY)
    with database.reading() as connection:
        assert by_session(connection)["board-top", SESSION] == Dropped({VERDICTS[0]: 1, VERDICTS[1]: 1}, 1)
        assert complete_since(connection) == MIDNIGHT + 2 * DAY


def test_a_call_drops_many_rows_in_small_transactions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropped, "BATCH", 7)
    keep(database, [0] * 40 + [3])
    assert drop_old(database, TWO_DAYS, now=NOON + 3 * DAY) == 40
    with database.reading() as connection:
        assert sum(by_session(connection)["ring-top", SESSION].verdicts.values()) == 40
        assert size(connection, inspections) == 1


@settings(max_examples=15, deadline=None)
@given(on=st.lists(st.integers(0, 5), max_size=12), now=st.integers(0, 8))
def test_dropped_and_kept_rows_are_all_that_there_were(fresh: Fresh, on: list[int], now: int) -> None:
    with fresh() as database:
        keep(database, on)
        gone = drop_old(database, TWO_DAYS, now=NOON + now * DAY)
        assert gone == sum(day < now - 2 for day in on)
        with database.reading() as connection:
            assert days_left(connection) == {day for day in on if day >= now - 2}
            counted = [sum(each.verdicts.values()) for each in by_session(connection).values()]
            assert sum(counted) == gone
            assert gone + size(connection, inspections) == len(on)
