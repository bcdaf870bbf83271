"""For all tests: a quiet environment, and the real servers."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest

from cli.services.plant import Services
from tests.servers import SHARED, postgres_of, upgraded_template

hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no fault of the code
hypothesis.settings.load_profile("untimed")

OwnServers = Callable[..., Services]

MOST_PROCESSES = 8  # beyond that the shared servers are what tests wait for
LONGEST = (  # files that begin first, so that no process is left alone with one at the end
    "line/test_chaos.py", "line/test_kills.py", "dashboard/test_browser.py", "cli/test_commands.py",
    "workers/test_inspection.py", "core/broker/test_kafka_outage.py", "core/broker/test_spool_kafka.py",
    "workers/gate/test_gate_process.py", "operations/test_backup.py", "line/test_takeover.py",
)  # fmt: skip


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores, because many tests wait."""
    return min(MOST_PROCESSES, len(os.sched_getaffinity(0)) + 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One of several processes begins with the longest files; a process alone takes them folder by folder."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = {Path(__file__).parent / name: number for number, name in enumerate(LONGEST)}
        items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No FLAWLINE_ variable of the developer's own shell leaks in."""
    for name in [name for name in os.environ if name.upper().startswith("FLAWLINE_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def servers() -> Services:
    """Kafka, PostgreSQL, Redis, S3 and Mosquitto, shared by all tests: use names of your own, never stop them."""
    shared = Services(SHARED)
    silent = [name for name, state in shared.status().items() if not state["answers"]]
    if silent:
        pytest.fail(f"{', '.join(silent)} not there: run `scripts/services up` first (`make test` does)", pytrace=False)
    return shared


@pytest.fixture
def own_servers(tmp_path: Path) -> Iterator[OwnServers]:
    """Starts servers of this test's own, to be stopped, frozen and killed: `own_servers("kafka", "redis")`."""
    with ExitStack() as parts:
        yield lambda *names: parts.enter_context(Services(tmp_path / "servers", names))


@pytest.fixture(scope="session")
def postgres_template(servers: Services) -> Iterator[str]:
    """The name of an empty upgraded PostgreSQL database."""
    with upgraded_template(servers) as name:
        yield name


@pytest.fixture
def postgres_url(servers: Services, postgres_template: str) -> Iterator[str]:
    """An empty upgraded PostgreSQL database of this test's own."""
    with postgres_of(servers, template=postgres_template) as url:
        yield url
