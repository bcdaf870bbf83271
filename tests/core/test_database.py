from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from core.database import Database, add_up, insert_new, lock_number, make_engine, open_database, ping, take_turns
from core.errors import SettingsInvalid
from core.tables import REVISION, UtcDateTime, audit_log, products, rollup_minute
from migrations.upgrade import downgrade
from tests.core.conftest import NewUrl

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ZERO = dict.fromkeys((c.name for c in rollup_minute.columns if not c.primary_key), 0)


@pytest.fixture
def url(each_url: NewUrl) -> Iterator[str]:
    with each_url() as url:
        yield url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with open_database(url, busy_seconds=20) as database:
        yield database


def names(connection: Connection) -> set[str]:
    return set(connection.scalars(select(products.c.name)))


def enter(connection: Connection, *wanted: str) -> set[tuple[str]]:
    rows = [{"name": name, "created_at": NOON} for name in wanted]
    return insert_new(connection, products, rows, [products.c.name])


def test_a_database_without_tables_says_how_to_make_them(url: str) -> None:
    downgrade(url, "base")
    with pytest.raises(SettingsInvalid, match="has no tables of flawline; run `flawline db upgrade`"):
        open_database(url)


@pytest.mark.parametrize(
    ("found", "says"),
    [("9999", f"revision 9999, this version reads {REVISION}; update flawline"), ("0000", "run `flawline db upgrade`")],
)
def test_a_database_of_another_revision_is_refused(url: str, found: str, says: str) -> None:
    with open_database(url) as database, database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :found"), {"found": found})
    with pytest.raises(SettingsInvalid, match=says):
        open_database(url)


def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="'mysql' is not supported"):
        open_database("mysql://user@host/books")


def test_what_is_written_stays_and_what_breaks_off_does_not(database: Database) -> None:
    with database.writing() as connection:
        enter(connection, "ring")
    with pytest.raises(ZeroDivisionError):
        _enter_and_fail(database)
    with database.reading() as connection:
        assert names(connection) == {"ring"}


def _enter_and_fail(database: Database) -> None:
    with database.writing() as connection:
        enter(connection, "board")
        raise ZeroDivisionError


def test_transactions_that_take_turns_read_and_then_write_one_after_the_other(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(_count_up, database) for _ in range(80)]:
            each.result(60)
    with database.reading() as connection:
        assert connection.scalar(select(audit_log.c.subject).order_by(audit_log.c.id.desc()).limit(1)) == "80"


def _count_up(database: Database) -> None:
    with database.writing() as connection:
        take_turns(connection, ["the audit log"])
        newest = select(audit_log.c.subject).order_by(audit_log.c.id.desc()).limit(1)
        number = int(connection.scalar(newest) or 0) + 1
        row = {"at": NOON, "who": "", "action": "", "subject": str(number), "reason": ""}
        connection.execute(insert(audit_log).values(row))


def test_a_fault_of_ours_is_not_hidden(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"no such table|does not exist"), database.reading() as connection:
        connection.execute(text("SELECT * FROM no_such_thing"))
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(insert(products), [{"name": "ring", "created_at": NOON}] * 2)


def test_a_snapshot_refuses_to_write(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"readonly|read-only"), database.reading() as connection:
        enter(connection, "ring")
    with database.writing() as connection:
        assert enter(connection, "ring") == {("ring",)}


def test_a_snapshot_does_not_see_what_is_written_meanwhile(database: Database) -> None:
    with database.reading() as snapshot:
        assert names(snapshot) == set()
        with database.writing() as connection:
            enter(connection, "ring")
        assert names(snapshot) == set()
    with database.reading() as connection:
        assert names(connection) == {"ring"}


def test_transactions_take_turns_in_any_number_of_names(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:  # in opposite orders: no deadlock
        orders = (("a", "b", "c"), ("c", "b", "a"))
        for each in [pool.submit(_take, database, orders[number % 2]) for number in range(40)]:
            each.result(60)
    with database.writing() as connection:
        take_turns(connection, [])


def _take(database: Database, order: tuple[str, ...]) -> None:
    with database.writing() as connection:
        take_turns(connection, order)


@given(names=st.lists(st.text(), unique=True, max_size=50))
def test_different_names_have_different_locks(names: list[str]) -> None:
    numbers = [lock_number(name) for name in names]
    assert len(set(numbers)) == len(names)
    assert all(-(1 << 63) <= number < 1 << 63 for number in numbers)


def test_a_database_that_answers_can_be_asked(database: Database) -> None:
    ping(database)


def test_insert_new_returns_the_new_keys_alone(database: Database) -> None:
    with database.writing() as connection:
        assert enter(connection, "weave", "ring", "weave") == {("ring",), ("weave",)}
        assert enter(connection, "ring", "board") == {("board",)}
        assert enter(connection) == set()
        assert names(connection) == {"ring", "weave", "board"}


def _minute(model: int, **numbers: float) -> dict[str, object]:
    key = {"camera": "a", "product": "ring", "run_type": "PRODUCTION", "model_id": model, "minute": NOON}
    return key | ZERO | numbers


def test_numbers_of_one_key_are_added_up_within_and_across_calls(database: Database) -> None:
    with database.writing() as connection:
        add_up(connection, rollup_minute, [_minute(1, n=2, score_sum=0.5), _minute(2, n=1), _minute(1, n=3)])
        add_up(connection, rollup_minute, [_minute(1, n=4, n_late=1, score_sum=0.25)])
        add_up(connection, rollup_minute, [])
        found = connection.execute(select(rollup_minute).order_by(rollup_minute.c.model_id)).all()
    assert [(row.n, row.n_late, row.score_sum) for row in found] == [(9, 1, 0.75), (1, 0, 0.0)]


def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="has no time zone"), database.writing() as connection:
        connection.execute(insert(products).values(name="ring", created_at=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_large_batches_are_inserted_and_added_up_whole(database: Database) -> None:
    wanted = [f"product-{number}" for number in range(2500)]
    with database.writing() as connection:
        assert enter(connection, *wanted) == {(name,) for name in wanted}
        add_up(connection, rollup_minute, [_minute(number % 1500, n=1) for number in range(3000)])
        assert connection.scalar(select(func.count()).select_from(rollup_minute)) == 1500
        assert connection.scalar(select(func.sum(rollup_minute.c.n))) == 3000


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = make_engine(f"sqlite:///{tmp_path_factory.mktemp('times')}/times.sqlite")
    yield engine
    engine.dispose()


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(1970, 1, 2), datetime(2116, 1, 1), timezones=zones)  # noqa: DTZ001


@given(moment=times)
def test_a_time_of_any_zone_comes_back_as_the_same_moment_in_utc(engine: Engine, moment: datetime) -> None:
    bound = UtcDateTime().process_bind_param(moment, engine.dialect)
    assert bound is not None
    kept = bound.replace(tzinfo=None)  # as SQLite keeps it
    found = UtcDateTime().process_result_value(kept, engine.dialect)
    assert found == moment
    assert found.tzinfo is UTC


def test_times_of_many_zones_are_kept_and_ordered_as_moments(database: Database) -> None:
    moments = [NOON.astimezone(timezone(timedelta(hours=hours))) + timedelta(minutes=hours) for hours in range(-12, 13)]
    with database.writing() as connection:
        rows = [{"name": str(place), "created_at": moment} for place, moment in enumerate(moments)]
        connection.execute(insert(products), rows[::-1])
        found = connection.scalars(select(products.c.created_at).order_by(products.c.created_at)).all()
    assert found == moments
    assert {moment.utcoffset() for moment in found} == {timedelta(0)}
