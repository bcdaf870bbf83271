"""Kafka that hangs, is killed, or has yet to start: nothing is lost, order holds, and nobody waits without a word."""

import gc
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.services.plant import Services
from cli.services.service import Service
from core.broker.kafka import KafkaBroker
from core.broker.protocol import Message, Topic
from core.errors import StoreUnavailable
from core.settings import BrokerSettings
from tests.core.broker.records import FRAMES, ZERO, ends, read, values, wait_for
from tests.servers import kafka_of

# kafka-python leaves the socket of a refused connection to the garbage collector, which closes it.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]
PICTURE = bytes(60_000)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with Services(tmp_path_factory.mktemp("kafka"), ["kafka"]) as plant:
        yield plant


@pytest.fixture(autouse=True)
def _short_of_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What asks a broker that hangs gives up sooner here than it would in a plant."""
    monkeypatch.setattr("core.broker.kafka_admin.REQUEST_SECONDS", 0.5)
    monkeypatch.setattr("core.broker.kafka_member.PROBE_SECONDS", 0.2)
    monkeypatch.setattr("core.broker.kafka_member.CALL_SECONDS", 1.0)


@pytest.fixture
def kafka(plant: Services) -> Iterator[Service]:
    """A Kafka of these tests' own; it runs again afterwards, whatever a test did to it."""
    yield plant["kafka"]
    plant["kafka"].thaw()
    plant["kafka"].start()
    gc.collect()  # here, where the warning about those sockets is expected


@pytest.fixture
def settings(plant: Services) -> BrokerSettings:
    return kafka_of(plant, lease_seconds=30, send_seconds=1, in_flight_bytes=1 << 20)


@pytest.fixture
def broker(settings: BrokerSettings, kafka: Service) -> Iterator[KafkaBroker]:
    with KafkaBroker(settings) as broker:
        broker.apply([Topic(FRAMES, 3)])
        yield broker


def everything(broker: KafkaBroker) -> list[Message]:
    number = sum(lag.records for lag in broker.lag(FRAMES, group="audit"))
    with broker.consumer(FRAMES, group="audit") as consumer:
        return read(consumer, number)


def test_a_broker_killed_in_the_middle_of_sends_loses_and_disorders_nothing(
    broker: KafkaBroker, kafka: Service
) -> None:
    total, sent = 600, 0
    killing = threading.Event()

    def kill_and_start() -> None:
        killing.wait()
        kafka.kill()
        kafka.start()

    killer = threading.Thread(target=kill_and_start)
    killer.start()
    failures = 0
    with broker.producer() as producer:
        while sent < total:
            try:
                producer.send(FRAMES, b"%06d" % sent + PICTURE, partition=sent % 3)
                sent += 1
                if sent == 200:
                    killing.set()
                if sent % 50 == 0:
                    producer.flush()
            except StoreUnavailable:
                failures += 1
        killer.join()
        while True:
            try:
                producer.flush()
                break
            except StoreUnavailable:
                failures += 1
    found = everything(broker)
    for partition in range(3):
        numbers = [int(message.value[:6]) for message in found if message.partition.number == partition]
        first_seen = list(dict.fromkeys(numbers))
        assert first_seen == list(range(partition, total, 3))
        assert numbers == first_seen  # by its own numbering even once: the client was never given up
    assert failures > 0


def test_a_flush_into_a_broker_that_hangs_fails_in_time_and_the_next_one_goes_on(
    broker: KafkaBroker, kafka: Service
) -> None:
    with broker.producer() as producer:
        producer.send(FRAMES, b"one", partition=0)
        producer.flush()
        kafka.freeze()
        producer.send(FRAMES, b"two", partition=0)
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(StoreUnavailable, match="kept and tried again"):
                producer.flush()
            assert time.monotonic() - started < 15
        producer.send(FRAMES, b"three", partition=0)
        kafka.thaw()
        wait_for(lambda: not fails(producer.flush))
    assert values(everything(broker)) == [b"one", b"two", b"three"]


def test_no_more_bytes_wait_than_the_settings_allow(broker: KafkaBroker, kafka: Service) -> None:
    with broker.producer() as producer:
        producer.send(FRAMES, b"first", partition=0)
        producer.flush()
        kafka.freeze()
        taken = 0
        started = time.monotonic()
        while not fails(lambda: producer.send(FRAMES, PICTURE, partition=0)):
            taken += 1
        assert taken == (1 << 20) // len(PICTURE)
        assert time.monotonic() - started < 10
        kafka.thaw()
        wait_for(lambda: not fails(producer.flush))
    assert len(everything(broker)) == taken + 1


def test_a_line_may_start_before_its_broker(settings: BrokerSettings, broker: KafkaBroker, kafka: Service) -> None:
    kafka.kill()
    with KafkaBroker(settings) as early:
        started = time.monotonic()
        producer, consumer = early.producer(), early.consumer(FRAMES, group="a")
        producer.send(FRAMES, b"one", partition=0)
        for ask in (producer.flush, lambda: consumer.poll(0.1), consumer.heartbeat):
            with pytest.raises(StoreUnavailable, match="no Kafka broker answers at kafka://"):
                ask()
        assert consumer.assignment() == set()
        assert time.monotonic() - started < 15
        kafka.start()
        producer.flush()
        assert values(read(consumer, 1)) == [b"one"]
        consumer.close()
        producer.close()


def test_a_member_notices_a_dead_broker_and_goes_on_where_it_stood(broker: KafkaBroker, kafka: Service) -> None:
    with broker.producer() as producer:
        for value in (b"one", b"two"):
            producer.send(FRAMES, value, partition=0)
    with broker.consumer(FRAMES, group="a", member="worker-1") as consumer:
        in_hand = read(consumer, 2)
        kafka.kill()
        with pytest.raises(StoreUnavailable, match="group a cannot commit"):
            consumer.commit(ends(in_hand[:1]))
        wait_for(lambda: fails(lambda: consumer.poll(0.1)))
        kafka.start()
        wait_for(lambda: not fails(lambda: consumer.commit(ends(in_hand[:1]))))
        wait_for(lambda: not fails(consumer.rewind))
        assert values(read_on(consumer.poll, 1)) == [b"two"]
    assert broker.lag(FRAMES, group="a")[0].committed == 1


def test_a_member_notices_a_broker_that_hangs(broker: KafkaBroker, kafka: Service) -> None:
    with broker.producer() as producer:
        producer.send(FRAMES, b"one", partition=0)
    with broker.consumer(FRAMES, group="a", member="worker-1") as consumer:
        consumer.commit(ends(read(consumer, 1)))
        kafka.freeze()
        wait_for(lambda: fails(lambda: consumer.poll(0.1)))
        kafka.thaw()
        wait_for(lambda: not fails(lambda: consumer.poll(0.1)))


def test_closing_while_the_broker_hangs_is_no_error(broker: KafkaBroker, kafka: Service) -> None:
    consumer = broker.consumer(FRAMES, group="a")
    consumer.heartbeat()
    producer = broker.producer()
    producer.send(FRAMES, b"one", partition=0)
    producer.flush()
    kafka.freeze()
    started = time.monotonic()
    consumer.close()
    producer.close()
    assert time.monotonic() - started < 10


def test_a_damaged_record_is_stepped_over_and_said(
    broker: KafkaBroker, kafka: Service, settings: BrokerSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with broker.producer() as producer:
        for value in (b"one", b"two", b"damage this one", b"four"):
            producer.send(FRAMES, value, partition=0)
            producer.flush()  # each in a batch of its own
    (segment,) = Path(kafka.folder / "data" / f"{settings.prefix}{FRAMES}-0").glob("*.log")
    content = segment.read_bytes()
    with segment.open("r+b") as file:
        file.seek(content.index(b"damage this one"))
        file.write(b"D")
    with broker.consumer(FRAMES, group="a") as consumer, caplog.at_level(logging.WARNING):
        found = read(consumer, 3)
        assert values(found) == [b"one", b"two", b"four"]
        consumer.commit(ends(found))
    assert broker.lag(FRAMES, group="a")[0].records == 0
    said = [record.getMessage() for record in caplog.records if record.name.startswith("core.")]
    assert said == ["frames-0 is damaged at offset 2: this record is lost"]
    assert found[0].partition == ZERO


def fails(call: object) -> bool:
    try:
        call()  # type: ignore[operator]
    except StoreUnavailable:
        return True
    return False


def read_on(poll: object, number: int) -> list[Message]:
    """As `read`, of a broker that may still be away for a moment."""
    found: list[Message] = []

    def more() -> bool:
        try:
            found.extend(poll(0.2))  # type: ignore[operator]
        except StoreUnavailable:
            return False
        return len(found) >= number

    wait_for(more)
    return found
