import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError

from core.database import Database, add_up, insert_new, make_engine, open_database, ping
from core.errors import SettingsInvalid, StoreUnavailable
from core.tables import REVISION, UtcDateTime, audit_log, products, rollup_minute
from migrations.upgrade import upgrade

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ZERO = dict.fromkeys((c.name for c in rollup_minute.columns if not c.primary_key), 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    upgrade(f"sqlite:///{tmp_path}/books.sqlite")
    return tmp_path / "books.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{path}", busy_seconds=0.2) as database:
        yield database


def names(connection: Connection) -> set[str]:
    return set(connection.scalars(select(products.c.name)))


def enter(connection: Connection, *wanted: str) -> set[tuple[str]]:
    rows = [{"name": name, "created_at": NOON} for name in wanted]
    return insert_new(connection, products, rows, [products.c.name])


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"no database at .*books.sqlite; run `flawline db upgrade`"):
        open_database(f"sqlite:///{tmp_path}/books.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_tables_says_how_to_make_them(tmp_path: Path) -> None:
    (tmp_path / "books.sqlite").touch()
    with pytest.raises(SettingsInvalid, match="has no tables of flawline; run `flawline db upgrade`"):
        open_database(f"sqlite:///{tmp_path}/books.sqlite")


@pytest.mark.parametrize(
    ("found", "says"),
    [("9999", f"revision 9999, this version reads {REVISION}; update flawline"), ("0000", "run `flawline db upgrade`")],
)
def test_a_database_of_another_revision_is_refused(path: Path, found: str, says: str) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = ?", (found,))
    with pytest.raises(SettingsInvalid, match=says):
        open_database(f"sqlite:///{path}")


def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="'mysql' is not supported"):
        open_database("mysql://user@host/books")


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "books.sqlite").write_bytes(b"not a database at all, but long enough to be looked at\n" * 100)
    with pytest.raises(StoreUnavailable, match=r"books.sqlite: .*not a database"):
        open_database(f"sqlite:///{tmp_path}/books.sqlite")


def test_a_folder_in_place_of_the_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened; check the path"):
        open_database(f"sqlite:///{tmp_path}")


def test_a_connection_is_durable_waits_and_keeps_references(database: Database) -> None:
    with database.writing() as connection:
        found = {p: connection.exec_driver_sql(f"PRAGMA {p}").scalar_one() for p in (
            "journal_mode", "synchronous", "busy_timeout", "foreign_keys", "auto_vacuum",
        )}  # fmt: skip
    assert found == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 200, "foreign_keys": 1, "auto_vacuum": 2}


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


HOLD = """
import sqlite3, sys
raw = sqlite3.connect(sys.argv[1], isolation_level=None)
raw.execute("BEGIN IMMEDIATE")
raw.execute("INSERT INTO products VALUES ('weave', '2026-11-24 12:00:00.000000')")
print("held", flush=True)
sys.stdin.readline()
raw.execute("COMMIT")
"""


@contextmanager
def _held_by_another_process(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The write lock is in another process's hands until its stdin gets a line, or the block ends."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            yield holder
        finally:
            holder.communicate(b"\n", timeout=30)


def test_a_lock_that_another_process_holds_is_waited_for_and_then_unavailable(database: Database, path: Path) -> None:
    with _held_by_another_process(path):
        begun = monotonic()
        with pytest.raises(StoreUnavailable, match="another process holds its lock"), database.writing():
            pytest.fail("two writers at once")
        assert 0.15 < monotonic() - begun < 5
        with database.reading() as connection:  # readers go on
            assert names(connection) == set()
    with database.writing() as connection:
        assert names(connection) == {"weave"}


def test_a_lock_that_is_let_go_in_time_does_no_harm(path: Path) -> None:
    url = f"sqlite:///{path}"
    with open_database(url, busy_seconds=30) as patient, _held_by_another_process(path) as holder:
        with ThreadPoolExecutor(1) as pool:
            written = pool.submit(_write, patient, "ring")
            assert holder.stdin is not None
            holder.stdin.write(b"\n")
            holder.stdin.flush()
            written.result(30)
        with patient.reading() as connection:
            assert names(connection) == {"weave", "ring"}


def _write(database: Database, name: str) -> None:
    with database.writing() as connection:
        enter(connection, name)


def test_transactions_that_read_and_then_write_all_succeed(path: Path) -> None:
    with open_database(f"sqlite:///{path}", busy_seconds=30) as database, ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(_count_up, database) for _ in range(80)]:
            each.result(60)
        with database.reading() as connection:
            assert connection.scalar(select(audit_log.c.subject).order_by(audit_log.c.id.desc()).limit(1)) == "80"


def _count_up(database: Database) -> None:
    with database.writing() as connection:
        newest = select(audit_log.c.subject).order_by(audit_log.c.id.desc()).limit(1)
        number = int(connection.scalar(newest) or 0) + 1
        row = {"at": NOON, "who": "", "action": "", "subject": str(number), "reason": ""}
        connection.execute(insert(audit_log).values(row))


def test_a_full_disk_is_unavailable_and_leaves_what_was_there(database: Database) -> None:
    with database.writing() as connection:
        enter(connection, "ring")
    with pytest.raises(StoreUnavailable, match="the disk is full; free some space"):
        _fill_up(database)
    with database.reading() as connection:
        assert names(connection) == {"ring"}


def _fill_up(database: Database) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # SQLite takes the present size as the least
        for number in range(1000):
            enter(connection, f"{number}" * 1000)


def test_a_fault_of_ours_is_not_hidden(database: Database) -> None:
    with pytest.raises(OperationalError, match="no such table"), database.reading() as connection:
        connection.execute(text("SELECT * FROM no_such_thing"))
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(insert(products), [{"name": "ring", "created_at": NOON}] * 2)


def test_a_snapshot_refuses_to_write(database: Database) -> None:
    with pytest.raises(OperationalError, match="readonly"), database.reading() as connection:
        enter(connection, "ring")
    with database.writing() as connection:
        assert enter(connection, "ring") == {("ring",)}


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
