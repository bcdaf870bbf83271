"""A line on one machine's stores and one on servers' stores, for backups."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pytest

from cli.services.plant import Services
from core.settings import DatabaseSettings, Settings
from migrations.upgrade import upgrade
from tests.servers import postgres_of, s3_of

NewPlace = Callable[[str], AbstractContextManager[Settings]]


@cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        upgrade(f"sqlite:///{folder}/flawline.sqlite")
        return (Path(folder) / "flawline.sqlite").read_bytes()


def on_files(data: Path) -> Settings:
    """SQLite and a picture folder, empty."""
    data.mkdir()
    (data / "flawline.sqlite").write_bytes(_template())  # far quicker than upgrading each time
    return Settings(data=data)


@pytest.fixture(params=["files", "servers"])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewPlace]:
    """Gives settings with an empty database and an empty picture store at each call, once per shape."""
    with ExitStack() as kept:

        @contextmanager
        def made(name: str) -> Iterator[Settings]:
            if request.param == "files":
                yield on_files(tmp_path / name)
                return
            servers: Services = request.getfixturevalue("servers")
            template: str = request.getfixturevalue("postgres_template")
            url = kept.enter_context(postgres_of(servers, template=template))
            yield Settings(data=tmp_path / name, database=DatabaseSettings(url=url), blobs=s3_of(servers))

        yield made


@pytest.fixture
def line(new_place: NewPlace) -> Iterator[Settings]:
    """The settings of a line that has run for a while."""
    from tests.operations.worked import work

    with new_place("line") as settings:
        work(settings)
        yield settings


@pytest.fixture
def empty(new_place: NewPlace) -> Iterator[Settings]:
    """Another place of the same shape, with nothing in it."""
    with new_place("empty") as settings:
        yield settings
