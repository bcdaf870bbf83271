"""One harness per broker, so that one contract suite holds all of them."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol

import pytest

from cli.services.plant import Services
from core.broker.kafka import KafkaBroker
from core.broker.local import LocalBroker
from core.broker.memory import MemoryBroker
from core.broker.protocol import Broker
from core.settings import BrokerSettings
from tests.servers import kafka_of

LEASE_SECONDS = 8.0


class HandMovedClock:
    """A wall clock, ns, that tests move."""

    def __init__(self) -> None:
        self.now = 1_790_000_000 * 10**9

    def __call__(self) -> int:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)


class Clock(Protocol):
    """The broker's time, ns."""

    def __call__(self) -> int: ...

    def pass_(self, seconds: float) -> None:
        """Let time go by."""


class WorldsClock:
    """Nobody moves it: who wants time to pass waits."""

    def __call__(self) -> int:
        return time.time_ns()

    def pass_(self, seconds: float) -> None:
        time.sleep(seconds)


class Harness(Protocol):
    """A broker, and what its tests must know of it."""

    @property
    def clock(self) -> Clock: ...

    @property
    def lease(self) -> float:
        """Seconds after which a silent member is given up."""

    @property
    def quiet(self) -> float:
        """Seconds of silence that prove that there is nothing to read."""

    def open(self) -> Broker:
        """A handle of its own on the one log of this test, as another process would have."""

    def together(self, *calls: Callable[[], None]) -> None:
        """Let several members do something as processes of their own would."""


class OwnHarness(AbstractContextManager["OwnHarness"]):
    """For a broker that keeps its groups itself, by a clock that is handed in."""

    lease, quiet = LEASE_SECONDS, 0.0

    def __init__(self) -> None:
        self.clock = HandMovedClock()
        self.parts = ExitStack()

    def open(self) -> Broker:
        raise NotImplementedError

    def together(self, *calls: Callable[[], None]) -> None:
        for call in calls:
            call()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """While it lasts nothing can be written."""
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.parts.close()


class MemoryHarness(OwnHarness):
    def __init__(self) -> None:
        super().__init__()
        self._broker = MemoryBroker(lease_seconds=LEASE_SECONDS, clock=self.clock)

    def open(self) -> Broker:
        return self._broker

    @contextmanager
    def outage(self) -> Iterator[None]:
        self._broker.available = False
        yield
        self._broker.available = True


class LocalHarness(OwnHarness):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def open(self) -> Broker:
        return self.parts.enter_context(
            LocalBroker(self.path, lease_seconds=LEASE_SECONDS, busy_seconds=0.05, clock=self.clock)
        )

    @contextmanager
    def outage(self) -> Iterator[None]:
        other = sqlite3.connect(self.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
        other.close()


class KafkaHarness(AbstractContextManager["KafkaHarness"]):
    """Topics and groups of this test's own on the shared Kafka."""

    lease, quiet = 1.0, 0.4

    def __init__(self, settings: BrokerSettings) -> None:
        self.clock = WorldsClock()
        self.settings = settings
        self._parts = ExitStack()

    def open(self) -> Broker:
        return self._parts.enter_context(KafkaBroker(self.settings))

    def together(self, *calls: Callable[[], None]) -> None:
        """At once, and on until all have done it: a join is answered when every member has asked for it."""
        done: list[Callable[[], None]] = []

        def keep_calling(call: Callable[[], None]) -> None:
            call()
            done.append(call)
            while len(done) < len(calls):
                call()
                time.sleep(0.01)

        with ThreadPoolExecutor(len(calls)) as threads:
            for result in [threads.submit(keep_calling, call) for call in calls]:
                result.result()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()


@pytest.fixture(params=["memory", "local", "kafka"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    if request.param == "memory":
        made: MemoryHarness | LocalHarness | KafkaHarness = MemoryHarness()
    elif request.param == "local":
        made = LocalHarness(tmp_path / "log.sqlite")
    else:
        servers: Services = request.getfixturevalue("servers")
        made = KafkaHarness(kafka_of(servers, lease_seconds=KafkaHarness.lease))
    with made as harness:
        yield harness


@pytest.fixture
def broker(harness: Harness) -> Broker:
    return harness.open()


def eventually(seconds: float = 20.0) -> Iterator[float]:
    """Ticks of a bounded wait for another process: `for _ in eventually(): if done: break`."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        yield ends_at - time.monotonic()
        time.sleep(0.01)
    pytest.fail(f"nothing happened within {seconds} s")
