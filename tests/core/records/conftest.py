"""One suite for every database: `database` comes once per backend, empty and upgraded."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import pytest

from core.database import Database, open_database
from migrations.upgrade import upgrade

Fresh = Callable[[], AbstractContextManager[Database]]


@pytest.fixture(scope="session", params=["sqlite"])
def new_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Makes an empty upgraded database at each call; for tests that open it in other processes."""
    assert request.param == "sqlite"
    folder = tmp_path_factory.mktemp("databases")
    template = folder / "template.sqlite"
    upgrade(f"sqlite:///{template}")
    numbers = count()

    def make() -> str:
        path = folder / f"{next(numbers)}.sqlite"
        shutil.copy(template, path)
        return f"sqlite:///{path}"

    return make


@pytest.fixture(scope="session")
def fresh(new_url: Callable[[], str]) -> Fresh:
    """Opens an empty database at each call; for property tests, which need one per example."""

    @contextmanager
    def opened() -> Iterator[Database]:
        url = new_url()
        with open_database(url) as database:
            yield database
        for path in Path(url.removeprefix("sqlite:///")).parent.glob(f"{Path(url).name}*"):
            path.unlink()

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
