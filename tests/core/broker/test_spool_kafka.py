"""The spool in front of a real Kafka that hangs and dies under load, and a capture process that is killed meanwhile."""

import gc
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cli.services.plant import Services
from core.broker.kafka import KafkaBroker
from core.broker.protocol import Topic
from core.broker.spool import SpooledProducer, SpoolRules
from core.broker.spool_file import Spool
from core.errors import SpoolFull
from core.messages import FRAMES, FrameCaptured
from core.settings import BrokerSettings
from tests.core.broker.conftest import eventually
from tests.core.processes import kill, start
from tests.servers import kafka_of

PICTURE = bytes(30_000)


# kafka-python leaves the sockets of connections that were refused to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def _no_sockets_left() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def one_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A Kafka of these tests' own."""
    with Services(tmp_path_factory.mktemp("servers"), ["kafka"]) as servers:
        yield servers


@pytest.fixture
def own_kafka(one_kafka: Services) -> Iterator[Services]:
    """Up and answering before and after, whatever a test did to it."""
    yield one_kafka
    one_kafka["kafka"].thaw()
    one_kafka["kafka"].start()


def settings_of(servers: Services) -> BrokerSettings:
    settings = kafka_of(servers, send_seconds=1.0)
    with KafkaBroker(settings) as broker:
        broker.apply([Topic(FRAMES, 2)])
    return settings


@contextmanager
def camera(
    settings: BrokerSettings, path: Path, *, most: int = 1 << 30, divert: bool = False
) -> Iterator[SpooledProducer]:
    rules = SpoolRules(send_seconds=1.0, divert=divert)
    with KafkaBroker(settings) as broker:
        spool = Spool(path, most_bytes=most)
        with SpooledProducer(broker.producer, spool, {FRAMES: 2}, rules=rules) as producer:
            yield producer


def take(producer: SpooledProducer, numbers: range) -> None:
    for number in numbers:
        frame = FrameCaptured(station="s", camera="top", session=7, seq=number, captured_at=9, product="p")
        producer.send(FRAMES, PICTURE, partition=1, key=str(number), headers=frame.headers())
        producer.flush()


def firsts(settings: BrokerSettings, last: int) -> list[int]:
    """The numbers in the topic, each at its first arrival, once `last` is there."""
    found: dict[int, None] = {}
    with KafkaBroker(settings) as broker, broker.consumer(FRAMES, group=f"audit-{time.monotonic_ns()}") as reader:
        for _ in eventually(60.0):
            found |= dict.fromkeys(int(message.key) for message in reader.poll(0.5, most=256))
            if last in found:
                break
    return list(found)


def test_with_kafka_there_all_goes_straight(servers: Services, tmp_path: Path) -> None:
    settings = settings_of(servers)
    with camera(settings, tmp_path / "top.sqlite") as producer:
        assert producer.settled(20.0)
        take(producer, range(50))
        assert producer.report().size == 0
    assert firsts(settings, 49) == list(range(50))


def test_kafka_that_hangs_under_load_gets_all_in_order(own_kafka: Services, tmp_path: Path) -> None:
    settings = settings_of(own_kafka)
    with camera(settings, tmp_path / "top.sqlite") as producer:
        assert producer.settled(20.0)
        take(producer, range(20))
        own_kafka["kafka"].freeze()
        take(producer, range(20, 60))
        assert producer.report().size > 30 * len(PICTURE)
        own_kafka["kafka"].thaw()
        take(producer, range(60, 80))
        assert producer.settled(60.0)
        take(producer, range(80, 90))
    assert firsts(settings, 89) == list(range(90))


def test_a_capture_process_killed_while_kafka_is_away_loses_nothing_that_was_safe(
    own_kafka: Services, tmp_path: Path
) -> None:
    settings = settings_of(own_kafka)
    path = tmp_path / "top.sqlite"
    safe = run_until(settings, path, first=0, more=20)
    own_kafka["kafka"].freeze()
    safe = run_until(settings, path, first=safe + 1, more=20)
    own_kafka["kafka"].kill()
    safe = run_until(settings, path, first=safe + 1, more=20)
    assert waits(path) >= 20  # the spool outlives its process
    own_kafka["kafka"].start()
    safe = run_until(settings, path, first=safe + 1, more=20)
    with camera(settings, path) as producer:
        assert producer.settled(60.0)
    found = firsts(settings, safe)
    assert [number for number in found if number <= safe] == list(range(safe + 1))


def run_until(settings: BrokerSettings, path: Path, *, first: int, more: int) -> int:
    """Run the process until so many pictures more are safe, kill it; the last number that it called safe."""
    process = start("spool_for_ever", settings.url, settings.prefix, path, first)
    assert process.stdout is not None
    while int(process.stdout.readline()) < first + more:
        pass
    return max([first + more, *map(int, kill(process).split())])


def waits(path: Path) -> int:
    with closing(Spool(path, most_bytes=1 << 30)) as spool:
        return spool.state().records


def test_spools_that_fill_up_while_kafka_is_dead_by_either_policy(own_kafka: Services, tmp_path: Path) -> None:
    stops, diverts = settings_of(own_kafka), settings_of(own_kafka)
    with (
        camera(stops, tmp_path / "stops.sqlite", most=1 << 20) as stopping,
        camera(diverts, tmp_path / "diverts.sqlite", most=1 << 20, divert=True) as diverting,
    ):
        assert stopping.settled(20.0)
        assert diverting.settled(20.0)
        own_kafka["kafka"].kill()
        last = fill(stopping)
        take(diverting, range(60))
        for producer in (stopping, diverting):
            assert producer.report().alarm.startswith("SPOOL_FULL")
        own_kafka["kafka"].start()
        for _ in eventually(60.0):
            try:
                stopping.flush()
            except SpoolFull:
                continue
            break
        for producer in (stopping, diverting):
            assert producer.settled(60.0)
            assert producer.report().alarm == ""
        assert stopping.report().diverted == 0
        assert diverting.report().diverted > 20
    assert firsts(stops, last) == list(range(last + 1))
    assert firsts(diverts, 59) == list(range(60))


def fill(producer: SpooledProducer) -> int:
    """Take pictures until one does not fit; its number."""
    for number in range(100):
        try:
            take(producer, range(number, number + 1))
        except SpoolFull:
            return number
    raise AssertionError("the spool never was full")


def test_kafka_away_at_the_start_is_no_reason_to_wait(tmp_path: Path) -> None:
    settings = BrokerSettings(url="kafka://127.0.0.1:9", send_seconds=30.0)
    began = time.monotonic()
    rules = SpoolRules(send_seconds=30.0, close_seconds=0.1)
    with KafkaBroker(settings) as broker:
        spool = Spool(tmp_path / "top.sqlite", most_bytes=1 << 30)
        with SpooledProducer(broker.producer, spool, {FRAMES: 2}, rules=rules) as producer:
            take(producer, range(10))
    assert time.monotonic() - began < 25
    assert waits(tmp_path / "top.sqlite") == 10


def test_a_topic_that_is_not_there_is_named(
    servers: Services, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = kafka_of(servers, send_seconds=1.0)
    with camera(settings, tmp_path / "top.sqlite") as producer:
        producer.settled(5.0)
        take(producer, range(3))
        for _ in eventually():
            if any("`flawline topics apply`" in record.getMessage() for record in caplog.records):
                break
        with KafkaBroker(settings) as broker:
            broker.apply([Topic(FRAMES, 2)])
        assert producer.settled(30.0)
    assert firsts(settings, 2) == [0, 1, 2]
