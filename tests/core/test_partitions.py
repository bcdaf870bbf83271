"""The partitions of the real PostgreSQL: ahead, on demand, dropped; and that SQLite is asked the same without harm."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core.database import Database, lock_number, open_database
from core.errors import StoreUnavailable
from core.messages import FrameId
from core.partitions import NAME, TABLES, Span, detach, detached, holes, keep_ahead, next_missing
from core.records.dropped import by_session, drop_old
from core.records.inspections import record
from core.settings import DatabaseSettings
from core.tables import inspections
from core.verdicts import MachineVerdict
from migrations.upgrade import upgrade
from tests.core.records.rows import NOON, SESSION, captured, inspected, size
from tests.core.test_postgresql import by_hand

DAY = timedelta(days=1)
DAY_NS = 86_400 * 10**9
MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
WEEKLY = DatabaseSettings(partition_days=7, partitions_ahead=2)


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    with open_database(postgres_url, busy_seconds=10) as database:
        yield database


def partitions(database: Database) -> dict[str, list[str]]:
    """By table, sorted."""
    found = text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass(:table) ORDER BY 1")
    with database.reading() as connection:
        return {table: list(connection.scalars(found, {"table": table})) for table in TABLES}


def days(database: Database) -> list[str]:
    """What both tables have, which must be the same."""
    by_table = partitions(database)
    of_rows, of_regions = ([name.rpartition("_")[2] for name in by_table[table]] for table in TABLES)
    assert of_rows == of_regions
    return of_rows


def keep(database: Database, *on: int) -> None:
    """One failed frame on each of these days after noon."""
    with database.writing() as connection:
        frames = [captured(seq, captured_at=SESSION + day * DAY_NS + seq) for seq, day in enumerate(on)]
        record(connection, [inspected(0, MachineVerdict.FAIL, frame) for frame in frames])


def test_partitions_are_made_ahead_once(database: Database) -> None:
    settings = DatabaseSettings(partitions_ahead=3)
    assert keep_ahead(database, settings, now=NOON) == 8  # today and three more, of two tables
    assert days(database) == ["20261124", "20261125", "20261126", "20261127"]
    assert keep_ahead(database, settings, now=NOON) == 0
    assert keep_ahead(database, settings, now=NOON + DAY) == 2


def test_the_first_moment_without_a_partition_can_be_asked(database: Database) -> None:
    with database.reading() as connection:
        assert next_missing(connection, now=NOON) == NOON
    keep_ahead(database, WEEKLY, now=NOON)
    with database.reading() as connection:
        assert next_missing(connection, now=NOON) == MIDNIGHT + 21 * DAY
        assert next_missing(connection, now=NOON - DAY) == NOON - DAY
        connection.rollback()
    with database.writing() as connection:
        connection.execute(text("ALTER TABLE regions DETACH PARTITION regions_20261201"))
    with database.reading() as connection:
        assert next_missing(connection, now=NOON) == MIDNIGHT + 7 * DAY  # both tables must have one


def test_another_width_fits_between_those_that_are_there(database: Database) -> None:
    keep(database, 3)
    keep_ahead(database, WEEKLY, now=NOON)
    assert days(database) == ["20261124", "20261127", "20261128", "20261205", "20261212"]
    keep_ahead(database, DatabaseSettings(partitions_ahead=2), now=NOON + 24 * DAY)
    assert days(database)[5:] == ["20261219", "20261220"]
    with database.reading() as connection:
        assert next_missing(connection, now=NOON) == MIDNIGHT + 27 * DAY


def test_days_are_those_of_utc(database: Database) -> None:
    tokyo = timezone(timedelta(hours=9))
    keep_ahead(database, DatabaseSettings(partitions_ahead=2), now=datetime(2026, 11, 25, 3, tzinfo=tokyo))
    assert days(database)[0] == "20261124"


def test_a_writer_makes_the_partitions_that_it_lacks_and_loses_nothing(database: Database) -> None:
    keep(database, 0, 0, 40, -3)
    assert days(database) == ["20261121", "20261124", "20270103"]
    with database.reading() as connection:
        assert size(connection, inspections) == 4


def test_what_is_in_the_transaction_before_stays_in_it(database: Database) -> None:
    with database.writing() as connection:
        record(connection, [inspected(0)])
        record(connection, [inspected(1, frame=captured(1, captured_at=SESSION + 9 * DAY_NS))])
        connection.rollback()
    assert days(database) == []
    with database.writing() as connection:
        record(connection, [inspected(0)])
        record(connection, [inspected(1, frame=captured(1, captured_at=SESSION + 9 * DAY_NS))])
    with database.reading() as connection:
        assert size(connection, inspections) == 2


def test_a_broken_rule_is_no_missing_partition(database: Database) -> None:
    keep_ahead(database, WEEKLY, now=NOON)
    before = days(database)
    with pytest.raises(IntegrityError, match="pass_is_proved"), database.writing() as connection:
        record(connection, [inspected(0, score=0.9)])
    assert days(database) == before


def test_writers_that_lack_the_same_partition_at_once_all_get_through(database: Database) -> None:
    def write(camera: str) -> set[FrameId]:
        with database.writing() as connection:
            return record(connection, [inspected(0, frame=captured(seq, camera=camera)) for seq in range(5)])

    with ThreadPoolExecutor(4) as pool:
        new = list(pool.map(write, [f"camera-{number}" for number in range(8)]))
    assert [len(each) for each in new] == [5] * 8
    assert days(database) == ["20261124"]


def test_a_partition_is_made_while_writers_have_transactions_open(database: Database) -> None:
    keep_ahead(database, WEEKLY, now=NOON)
    with database.writing() as connection:
        record(connection, [inspected(0)])
        keep_ahead(database, WEEKLY, now=NOON + 30 * DAY)
        record(connection, [inspected(1)])
    with database.reading() as connection:
        assert size(connection, inspections) == 2


def test_each_partition_has_the_indexes_of_its_table(database: Database) -> None:
    keep(database, 0)
    asked = text("SELECT indexdef FROM pg_indexes WHERE tablename = 'inspections_20261124'")
    with database.reading() as connection:
        found = " ".join(connection.scalars(asked))
    for part in (
        "INCLUDE (verdict)",
        "(camera, captured_at)",
        "brin (captured_at) WITH (pages_per_range='32'",
        "WHERE",
    ):
        assert part in found


def test_old_partitions_are_detached_whole_and_the_others_stay(database: Database) -> None:
    keep(database, 0, 1, 2)
    detach(database, before=MIDNIGHT + 2 * DAY)
    assert days(database) == ["20261126"]
    with database.reading() as connection:
        found = detached(connection)
        assert size(connection, inspections) == 1
    assert found == ["inspections_20261124", "inspections_20261125", "regions_20261124", "regions_20261125"]


def test_a_partition_is_detached_while_writers_go_on(database: Database) -> None:
    keep(database, 0, 1)
    with database.writing() as connection:
        connection.execute(text("INSERT INTO products VALUES ('ring', now())"))
        detach(database, before=MIDNIGHT + DAY)
    assert days(database) == ["20261125"]


def test_a_reader_that_does_not_end_holds_retention_up_and_the_next_turn_finishes(postgres_url: str) -> None:
    with open_database(postgres_url, busy_seconds=0.3) as database:
        keep(database, 0, 1)
        with database.reading() as connection:
            assert size(connection, inspections) == 2
            with pytest.raises(StoreUnavailable, match="another transaction holds its lock"):
                detach(database, before=MIDNIGHT + DAY)
            assert size(connection, inspections) == 2  # its snapshot stays whole
        with database.writing() as connection:  # a detached half is no obstacle for writers
            record(connection, [inspected(0, frame=captured(9, captured_at=SESSION + DAY_NS))])
        detach(database, before=MIDNIGHT + DAY)
        assert days(database) == ["20261125"]
        with database.reading() as connection:
            assert size(connection, inspections) == 2


def test_one_process_at_a_time_detaches(database: Database, postgres_url: str) -> None:
    keep(database, 0)
    number = lock_number("detaching partitions")
    with by_hand(postgres_url) as raw, raw.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (number,))
        detach(database, before=MIDNIGHT + DAY)
        assert days(database) == ["20261124"]
        # By hand: the server lets go of a closed connection's locks a moment after close() has returned.
        cursor.execute("SELECT pg_advisory_unlock(%s)", (number,))
    detach(database, before=MIDNIGHT + DAY)
    assert days(database) == []


def test_a_day_that_was_detached_and_not_dropped_comes_back_with_its_rows(database: Database) -> None:
    keep(database, 0)
    detach(database, before=MIDNIGHT + DAY)
    with database.writing() as connection:
        record(connection, [inspected(0, frame=captured(7))])
    with database.reading() as connection:
        assert size(connection, inspections) == 2


def test_a_day_that_was_detached_by_a_killed_process_is_dropped_and_counted_once(database: Database) -> None:
    keep(database, 0, 0, 5)
    detach(database, before=MIDNIGHT + DAY)
    settings = DatabaseSettings(keep_days=2)
    assert drop_old(database, settings, now=NOON + 5 * DAY) == 2
    assert drop_old(database, settings, now=NOON + 5 * DAY) == 0
    with database.reading() as connection:
        assert detached(connection) == []
        assert sum(by_session(connection)["ring-top", SESSION].verdicts.values()) == 2


def test_a_table_that_somebody_detached_and_that_is_not_past_its_time_is_left_alone(database: Database) -> None:
    keep(database, 0, 5)
    with database.writing() as connection:
        connection.execute(text("ALTER TABLE inspections DETACH PARTITION inspections_20261129"))
    assert drop_old(database, DatabaseSettings(keep_days=2), now=NOON + 6 * DAY) == 1
    with database.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM inspections_20261129")) == 1


def test_sqlite_has_no_partitions_to_look_after(tmp_path_factory: pytest.TempPathFactory) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('books')}/books.sqlite"
    upgrade(url)
    with open_database(url) as database:
        assert keep_ahead(database, WEEKLY, now=NOON) == 0
        with database.reading() as connection:
            assert next_missing(connection, now=NOON) is None


@pytest.mark.parametrize("name", ["inspections_20261124", "regions_20261124"])
def test_a_partition_is_known_by_its_name(name: str) -> None:
    assert NAME.fullmatch(name)
    assert not NAME.fullmatch(f"{name}_old")
    assert not NAME.fullmatch(f"my_{name}")


numbers = st.lists(st.integers(0, 30), unique=True, max_size=12).map(sorted)


@given(edges=numbers, start=st.integers(0, 30), length=st.integers(0, 20), width=st.integers(1, 7))
def test_holes_and_spans_together_cover_what_is_wanted_exactly_once(
    edges: list[int], start: int, length: int, width: int
) -> None:
    spans = [Span(*map(_day, pair)) for pair in zip(edges[::2], edges[1::2], strict=False)]
    found = list(holes(spans, Span(_day(start), _day(start + length)), width * DAY))
    for number in range(60):
        inside = [span for span in [*spans, *found] if span.start <= _day(number) < span.end]
        assert len(inside) <= 1
        assert len(inside) == 1 or not start <= number < start + length
    assert all(DAY <= hole.end - hole.start <= width * DAY for hole in found)


def _day(number: int) -> datetime:
    return MIDNIGHT + number * DAY
