"""One harness per broker, so that one contract suite holds all of them (a Kafka harness will join)."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from core.broker.local import LocalBroker
from core.broker.memory import MemoryBroker
from core.broker.protocol import Broker

LEASE_SECONDS = 8.0


@dataclass
class HandMovedClock:
    """A wall clock, ns, that tests move."""

    now: int = 1_790_000_000 * 10**9

    def __call__(self) -> int:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)


class Harness(Protocol):
    clock: HandMovedClock

    def open(self) -> Broker:
        """A handle of its own on the one log of this test, as another process would have."""
        ...

    @contextmanager
    def outage(self) -> Iterator[None]:
        """While it lasts nothing can be written."""
        ...


class MemoryHarness:
    def __init__(self) -> None:
        self.clock = HandMovedClock()
        self._broker = MemoryBroker(lease_seconds=LEASE_SECONDS, clock=self.clock)

    def open(self) -> Broker:
        return self._broker

    @contextmanager
    def outage(self) -> Iterator[None]:
        self._broker.available = False
        yield
        self._broker.available = True


@dataclass
class LocalHarness:
    path: Path
    parts: ExitStack
    clock: HandMovedClock = field(default_factory=HandMovedClock)

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


@pytest.fixture(params=["memory", "local"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    with ExitStack() as parts:
        yield MemoryHarness() if request.param == "memory" else LocalHarness(tmp_path / "log.sqlite", parts)


@pytest.fixture
def clock(harness: Harness) -> HandMovedClock:
    return harness.clock


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
