"""Members of one Kafka group as processes of their own, killed at any moment."""

import random
import subprocess
import time
from collections.abc import Iterator

import pytest

from cli.services.plant import Services
from core.broker.kafka import KafkaBroker
from core.broker.protocol import Topic
from core.settings import BrokerSettings
from tests.core.processes import kill, rest, start
from tests.servers import kafka_of

LEASE = 2.0


@pytest.fixture
def settings(servers: Services) -> BrokerSettings:
    return kafka_of(servers, lease_seconds=LEASE)


@pytest.fixture
def broker(settings: BrokerSettings) -> Iterator[KafkaBroker]:
    with KafkaBroker(settings) as broker:
        broker.apply([Topic("frames", 4)])
        yield broker


def append(broker: KafkaBroker, total: int) -> None:
    with broker.producer() as producer:
        for number in range(total):
            producer.send("frames", b"%d" % number, partition=number % 4)


def reader(settings: BrokerSettings, member: str, expected: int) -> subprocess.Popen[str]:
    process = start("read_kafka", settings.url, settings.prefix, member, LEASE, expected)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


class Book:
    """What the members said, held to the promises as it is read."""

    def __init__(self) -> None:
        self.read: set[tuple[int, int]] = set()
        self.committed = [0, 0, 0, 0]

    def follow(self, said: str) -> None:
        for line in said.splitlines():
            match line.split():
                case ["read", partition, offset, _]:
                    assert int(offset) >= self.committed[int(partition)]  # nothing committed comes again
                    self.read.add((int(partition), int(offset)))
                case ["done", partition, end]:
                    self.committed[int(partition)] = int(end)
                    assert {(int(partition), offset) for offset in range(int(end))} <= self.read  # nothing is skipped


def test_a_named_member_killed_again_and_again_skips_nothing_and_goes_on_at_once(
    broker: KafkaBroker, settings: BrokerSettings
) -> None:
    total, book = 1200, Book()
    append(broker, total)
    for _ in range(3):
        process = reader(settings, "worker-1", total)
        time.sleep(random.random() * 0.4)
        book.follow(kill(process))
    last = reader(settings, "worker-1", total)
    said = rest(last)
    book.follow(said)
    assert book.committed == [total // 4] * 4
    assert len(book.read) == total


def test_two_processes_share_the_partitions_and_one_takes_over_from_the_killed_one(
    broker: KafkaBroker, settings: BrokerSettings
) -> None:
    total = 800
    members = [reader(settings, name, 2 * total) for name in ("worker-1", "worker-2")]
    append(broker, total)
    time.sleep(1.5)
    killed_at = time.monotonic()
    first = kill(members[0])
    append(broker, total)
    said = rest(members[1])
    assert time.monotonic() - killed_at < LEASE + 30
    shares = [
        {tuple(map(int, line.split()[1:3])) for line in words.splitlines() if line.startswith("read")}
        for words in (first, said)
    ]
    assert shares[0] | shares[1] == {(part, offset) for part in range(4) for offset in range(total // 2)}
    assert {part for part, _ in shares[1]} == {0, 1, 2, 3}
    assert sum(lag.records for lag in broker.lag("frames", group="a")) == 0
