"""What SQLite alone does: files, one writer, its ways to fail. tests/core/test_database.py asks what both must do."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import Connection, delete, insert, select, text

from core.database import Database, give_back_pages, insert_new, open_database
from core.errors import SettingsInvalid, StoreUnavailable
from core.tables import products
from migrations.upgrade import upgrade

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


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


def enter(connection: Connection, *wanted: str) -> None:
    insert_new(connection, products, [{"name": name, "created_at": NOON} for name in wanted], [products.c.name])


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"no database at .*books.sqlite; run `flawline db upgrade`"):
        open_database(f"sqlite:///{tmp_path}/books.sqlite")
    assert list(tmp_path.iterdir()) == []


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
            "journal_mode", "synchronous", "busy_timeout", "foreign_keys", "auto_vacuum", "secure_delete",
        )}  # fmt: skip
    assert found == {
        "journal_mode": "wal", "synchronous": 2, "busy_timeout": 200, "foreign_keys": 1, "auto_vacuum": 2,
        "secure_delete": 0,
    }  # fmt: skip


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


def _write(database: Database, name: str) -> None:
    with database.writing() as connection:
        enter(connection, name)


def test_a_file_shrinks_when_its_rows_are_gone_but_keeps_what_is_soon_used_again(database: Database) -> None:
    def pages(name: str) -> int:
        with database.reading() as connection:
            return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())

    before = pages("page_count")
    with database.writing() as connection:
        connection.execute(insert(products), [{"name": f"{n}" * 3000, "created_at": NOON} for n in range(100, 200)])
    full = pages("page_count")
    with database.writing() as connection:
        connection.execute(delete(products).where(text("length(name) > 100")))
        give_back_pages(connection, most=10)
    assert pages("page_count") == full - 10
    with database.writing() as connection:
        give_back_pages(connection)
        give_back_pages(connection)
    assert before < pages("page_count") < full * 0.75
    assert pages("freelist_count") < pages("page_count") // 2
