"""What the real PostgreSQL does to us, and what we make of it: wait, or a fault of ours."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import psycopg2
import pytest
from sqlalchemy import Connection, insert, make_url, select, text
from sqlalchemy.exc import DBAPIError

from core.database import Database, available, check_server, make_engine, open_database, ping, take_turns
from core.errors import SettingsInvalid, StoreUnavailable
from core.tables import products
from migrations.upgrade import upgrade
from tests.conftest import OwnServers
from tests.servers import postgres_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    with open_database(postgres_url, busy_seconds=0.2) as database:
        yield database


@contextmanager
def by_hand(url: str) -> Iterator["psycopg2.extensions.connection"]:
    """A connection of an administrator's own; each statement commits by itself."""
    place = make_url(url)
    with closing(psycopg2.connect(host=place.host, port=place.port, user=place.username, dbname=place.database)) as raw:
        raw.autocommit = True
        yield raw


def said(url: str, statement: str) -> object:
    with by_hand(url) as raw, raw.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone() if cursor.description else None


def raise_code(connection: Connection, code: str) -> None:
    connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{code}'; END $$"))


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("08006", "connection broke off"),
        ("25006", "takes no writes now"),
        ("25P03", "stood still for too long"),
        ("40001", "two transactions met"),
        ("40P01", "waited for each other"),
        ("42501", "must own flawline's tables"),
        ("53000", "run out of something"),
        ("53100", "disk is full"),
        ("53200", "run out of something"),
        ("53300", "raise max_connections"),
        ("55006", "something else uses"),
        ("55P03", "another transaction holds its lock"),
        ("57014", "took too long"),
        ("57P01", "starting, stopping or was told"),
        ("57P03", "starting, stopping or was told"),
        ("58030", "disk or system reports an error"),
        ("XX001", "restore the last backup"),
        ("XX002", "REINDEX"),
    ],
)
def test_what_passes_is_waited_for(database: Database, code: str, says: str) -> None:
    with pytest.raises(StoreUnavailable, match=says), database.writing() as connection:
        raise_code(connection, code)
    ping(database)


@pytest.mark.parametrize("code", ["22003", "23502", "23503", "23505", "23514", "42601", "42P01", "P0001", "XX000"])
def test_a_fault_of_ours_is_not_waited_for(database: Database, code: str) -> None:
    with pytest.raises(DBAPIError, match="on purpose"), database.writing() as connection:
        raise_code(connection, code)
    ping(database)


def test_a_message_names_the_database_and_never_its_password(postgres_url: str) -> None:
    url = make_url(postgres_url).set(password="hush-hush").render_as_string(hide_password=False)
    with open_database(url) as database, pytest.raises(StoreUnavailable) as told, database.writing() as connection:
        raise_code(connection, "53100")
    assert f"/{make_url(url).database}: the server's disk is full" in str(told.value)
    assert "hush-hush" not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_connection_that_an_administrator_ended_is_waited_for_and_replaced(
    database: Database, postgres_url: str
) -> None:
    with pytest.raises(StoreUnavailable, match=r"was told to end our connection|broke off"):
        _end_in_the_middle(database, postgres_url)
    ping(database)


def _end_in_the_middle(database: Database, url: str) -> None:
    with database.writing() as connection:
        me = connection.scalar(text("SELECT pg_backend_pid()"))
        said(url, f"SELECT pg_terminate_backend({me}, 10000)")
        connection.execute(select(products))


def test_an_idle_connection_that_was_ended_does_no_harm(database: Database, postgres_url: str) -> None:
    with database.reading() as connection:
        me = connection.scalar(text("SELECT pg_backend_pid()"))
    said(postgres_url, f"SELECT pg_terminate_backend({me})")
    ping(database)  # the pool looks before it lends


def test_a_lock_that_another_transaction_holds_is_waited_for_and_then_unavailable(
    database: Database, postgres_url: str
) -> None:
    with by_hand(postgres_url) as raw, raw.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE products")
        with pytest.raises(StoreUnavailable, match="another transaction holds its lock"), database.reading() as one:
            one.execute(select(products))
        cursor.execute("ROLLBACK")
    ping(database)


def test_a_turn_that_another_transaction_holds_is_unavailable_too(database: Database) -> None:
    with database.writing() as holder:
        take_turns(holder, ["ring-top 1"])
        with pytest.raises(StoreUnavailable, match="another transaction holds"), database.writing() as connection:
            take_turns(connection, ["ring-top 1"])


def test_a_question_that_takes_too_long_is_ended(postgres_url: str) -> None:
    engine = make_engine(postgres_url, busy_seconds=0, statement_seconds=0.1)
    with (
        pytest.raises(StoreUnavailable, match="took too long"),
        available(engine, writes=False),
        engine.connect() as connection,
    ):
        connection.execute(text("SELECT pg_sleep(30)"))
    engine.dispose()


@pytest.mark.parametrize(("seconds", "most"), [(15, "16s"), (0, "0")])
def test_who_may_take_its_time_may_also_stand_still(postgres_url: str, seconds: float, most: str) -> None:
    engine = make_engine(postgres_url, busy_seconds=1, statement_seconds=seconds)
    with engine.connect() as connection:
        names = ("statement_timeout", "idle_in_transaction_session_timeout")
        found = [connection.scalar(text(f"SELECT current_setting('{name}')")) for name in names]
    engine.dispose()
    assert found == [most, "1min" if seconds else "0"]


def test_of_two_transactions_that_wait_for_each_other_ours_gives_way(postgres_url: str) -> None:
    with open_database(postgres_url, busy_seconds=30) as database:
        with database.writing() as connection:
            connection.execute(insert(products), [{"name": name, "created_at": NOON} for name in ("board", "ring")])
        with by_hand(postgres_url) as raw, raw.cursor() as other:
            other.execute("SET deadlock_timeout = '10s'; BEGIN")  # so that ours is the one that notices
            other.execute(_touch("ring"))
            with pytest.raises(StoreUnavailable, match="waited for each other"):
                _meet(database, other, postgres_url)
        ping(database)


def _touch(product: str) -> str:
    return f"UPDATE products SET created_at = now() WHERE name = '{product}'"


def _meet(database: Database, other: "psycopg2.extensions.cursor", url: str) -> None:
    """Ours holds board and wants ring, the other holds ring and wants board."""
    with database.writing() as connection, ThreadPoolExecutor(1) as pool:
        connection.execute(text(_touch("board")))
        me = connection.scalar(text("SELECT pg_backend_pid()"))
        pool.submit(other.execute, _touch("board"))
        while said(url, f"SELECT 1 FROM pg_stat_activity WHERE {me} = ANY(pg_blocking_pids(pid))") is None:
            time.sleep(0.02)
        connection.execute(text(_touch("ring")))


def test_a_standby_that_takes_no_writes_is_waited_for(database: Database, postgres_url: str) -> None:
    name = make_url(postgres_url).database
    said(postgres_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    database.close()
    with pytest.raises(StoreUnavailable, match="which server is the primary"), database.writing() as connection:
        connection.execute(insert(products).values(name="ring", created_at=NOON))
    with database.reading() as connection:
        assert connection.scalars(select(products.c.name)).all() == []


def test_a_server_that_takes_no_more_connections_is_waited_for(database: Database, postgres_url: str) -> None:
    name = make_url(postgres_url).database
    said(postgres_url, f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    said(postgres_url, f"CREATE ROLE {name}_guest LOGIN")
    try:
        guest = make_url(postgres_url).set(username=f"{name}_guest").render_as_string()
        with pytest.raises(StoreUnavailable, match="too many connections"):
            open_database(guest)
    finally:
        said(postgres_url, f"DROP ROLE {name}_guest")


def test_a_role_without_rights_is_told_what_it_lacks(postgres_url: str) -> None:
    role = f"{make_url(postgres_url).database}_guest"
    said(postgres_url, f"CREATE ROLE {role} LOGIN")
    try:
        guest = make_url(postgres_url).set(username=role).render_as_string()
        with pytest.raises(StoreUnavailable, match="must own flawline's tables"):
            open_database(guest)
    finally:
        said(postgres_url, f"DROP ROLE {role}")


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match="does not answer, refuses us or broke off"):
        open_database("postgresql+psycopg2://flawline@127.0.0.1:1/flawline")


def test_a_database_that_is_not_there_is_unavailable(postgres_url: str) -> None:
    with pytest.raises(StoreUnavailable, match='database "no_such_books" does not exist'):
        open_database(make_url(postgres_url).set(database="no_such_books").render_as_string())


def test_each_connection_says_which_process_it_is_of_and_keeps_utc(database: Database) -> None:
    with database.reading() as connection:
        asked = "SELECT current_setting('application_name'), current_setting('timezone')"
        name, zone = connection.execute(text(asked)).one()
    assert name.startswith("flawline ")
    assert zone == "UTC"


def test_a_server_too_old_is_refused(database: Database) -> None:
    with database.reading() as connection:
        connection.dialect.server_version_info = (14, 12)
        with pytest.raises(SettingsInvalid, match=r"PostgreSQL 14\.12; flawline needs 15 or newer"):
            check_server(connection)


def test_a_server_that_stops_dies_and_comes_back_is_waited_for(own_servers: OwnServers) -> None:
    own = own_servers("postgres")
    with postgres_of(own) as url:
        upgrade(url)
        server = own["postgres"]
        with open_database(url, busy_seconds=0.5) as database:
            for end in (server.stop, server.kill):
                with pytest.raises(StoreUnavailable):
                    _write_and(database, end)
                with pytest.raises(StoreUnavailable, match=r"does not answer|starting, stopping"):
                    ping(database)
                server.start()
                with database.reading() as connection:
                    assert connection.scalars(select(products.c.name)).all() == []


def _write_and(database: Database, end: Callable[[], None]) -> None:
    with database.writing() as connection:
        connection.execute(insert(products).values(name="ring", created_at=NOON))
        end()
        connection.execute(select(products))


def test_a_server_that_hangs_is_unavailable_within_seconds(own_servers: OwnServers) -> None:
    own = own_servers("postgres")
    own["postgres"].freeze()
    try:
        with pytest.raises(StoreUnavailable, match="timeout expired"):
            open_database(own["postgres"].url)
    finally:
        own["postgres"].thaw()
