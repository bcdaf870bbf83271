"""What tests of core share."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

import pytest

from cli.services.plant import Services
from migrations.upgrade import upgrade
from tests.servers import postgres_of

NewUrl = Callable[[], AbstractContextManager[str]]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 48 MB that can be filled; needs the right to mount one."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip(f"a full disk needs the right to mount a small one: {mount.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def each_url(request: pytest.FixtureRequest) -> NewUrl:
    """Gives an empty upgraded database at each call, once per kind of database."""
    maker: NewUrl = request.getfixturevalue(f"new_{request.param}")
    return maker


@pytest.fixture(scope="session")
def new_sqlite(tmp_path_factory: pytest.TempPathFactory) -> NewUrl:
    folder = tmp_path_factory.mktemp("databases")
    template = folder / "template.sqlite"
    upgrade(f"sqlite:///{template}")
    numbers = count()

    @contextmanager
    def made() -> Iterator[str]:
        path = folder / f"{next(numbers)}.sqlite"
        shutil.copy(template, path)
        yield f"sqlite:///{path}"
        for left in folder.glob(f"{path.name}*"):
            left.unlink()

    return made


@pytest.fixture(scope="session")
def new_postgresql(servers: Services, postgres_template: str) -> NewUrl:
    return lambda: postgres_of(servers, template=postgres_template)
