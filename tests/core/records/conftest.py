"""One suite for every database: `database` comes once per backend, empty and upgraded."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path

import pytest
from sqlalchemy import text

import core.account_tables
import core.alert_tables  # noqa: F401 - both put their tables on the metadata
from core.database import Database, open_database
from core.tables import metadata
from tests.core.conftest import NewUrl

Fresh = Callable[[], AbstractContextManager[Database]]

EMPTIED = "; ".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables))
RESTARTED = "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'"


@pytest.fixture
def new_url(each_url: NewUrl) -> Iterator[Callable[[], str]]:
    """Makes an empty upgraded database at each call; for tests that open it in other processes."""
    with ExitStack() as kept:
        yield lambda: kept.enter_context(each_url())


@pytest.fixture(scope="session")
def emptied(each_url: NewUrl) -> Iterator[Database]:
    """One database for many tests and examples."""
    with each_url() as url, open_database(url) as database:
        yield database


@pytest.fixture(scope="session")
def fresh(each_url: NewUrl, emptied: Database) -> Fresh:
    """Opens an empty database at each call; for property tests, which need one per example.

    On PostgreSQL it is one database that is emptied, row by row: for so few rows far quicker than TRUNCATE.
    """

    @contextmanager
    def opened() -> Iterator[Database]:
        with emptied.writing() as connection:
            server = connection.dialect.name == "postgresql"
            if server:
                connection.execute(text(f"{EMPTIED}; {RESTARTED}"))
        if server:
            yield emptied
            return
        with each_url() as url, open_database(url) as database:
            yield database

    return opened


@pytest.fixture
def database(fresh: Fresh) -> Iterator[Database]:
    with fresh() as database:
        yield database


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessPoolExecutor]:
    """Real processes, started afresh: nothing of this one's connections is shared."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))  # so that they find `tests`
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool
