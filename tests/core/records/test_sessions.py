from dataclasses import replace
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from core.database import Database
from core.records.sessions import report
from core.tables import sessions
from core.times import utc_of
from tests.core.records.conftest import Fresh
from tests.core.records.rows import SESSION, reported


def test_a_report_is_kept_as_it_was_told(database: Database) -> None:
    told = reported(12, state="LOST", after=1.5, captured=11, reconnects=2, detail="no signal")
    with database.writing() as connection:
        assert report(connection, told)
        row = connection.execute(select(sessions)).one()
    assert (row.camera, row.session, row.station, row.product) == ("ring-top", SESSION, "station-1", "ring")
    assert (row.state, row.detail, row.triggered, row.captured, row.reconnects) == ("LOST", "no signal", 12, 11, 2)
    assert row.reported_at == utc_of(SESSION + 1_500_000_000)


def test_the_newest_report_stands_in_whatever_order_they_come(database: Database) -> None:
    told = [reported(5, after=1), reported(9, after=2), reported(9, state="ENDED", after=3)]
    for place, order in enumerate(permutations(told)):
        with database.writing() as connection:
            for each in order:
                report(connection, replace(each, camera=f"camera-{place}"))
    with database.reading() as connection:
        found = connection.execute(select(sessions.c.state, sessions.c.triggered)).all()
    assert found == [("ENDED", 9)] * 6


def test_a_report_that_comes_twice_is_no_news(database: Database) -> None:
    with database.writing() as connection:
        assert report(connection, reported(5, after=1))
        assert not report(connection, reported(5, after=1))


def test_a_clock_that_is_set_back_does_not_freeze_the_count(database: Database) -> None:
    with database.writing() as connection:
        report(connection, reported(5, after=3600))
        assert report(connection, reported(6, after=1))
        assert connection.scalars(select(sessions.c.triggered)).all() == [6]


def test_each_session_of_a_camera_has_a_row_of_its_own(database: Database) -> None:
    with database.writing() as connection:
        report(connection, reported(5))
        report(connection, reported(1, session=SESSION + 1))
        assert connection.scalars(select(sessions.c.triggered).order_by(sessions.c.session)).all() == [5, 1]


@settings(max_examples=30, deadline=None)
@given(told=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_the_count_never_goes_backwards(fresh: Fresh, told: list[tuple[int, int]]) -> None:
    with fresh() as database, database.writing() as connection:
        for place, (triggered, after) in enumerate(told, start=1):
            report(connection, reported(triggered, after=after))
            row = connection.execute(select(sessions)).one()
            newest = max(told[:place])
            assert (row.triggered, row.reported_at) == (newest[0], utc_of(SESSION + newest[1] * 10**9))
