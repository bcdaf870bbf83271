"""What a Kafka group does beyond the contract: handing over, topics that go or grow, retention, short sessions."""

import logging
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from cli.services.plant import Services
from core.broker.kafka import KafkaBroker
from core.broker.kafka_client import connection
from core.broker.protocol import Consumer, Message, Producer, Topic
from core.errors import SettingsInvalid, StoreUnavailable
from core.settings import BrokerSettings
from tests.core.broker.conftest import KafkaHarness
from tests.core.broker.records import FRAMES, ZERO, ends, make, read, send, settle, values, wait_for
from tests.servers import kafka_of


@pytest.fixture
def settings(servers: Services) -> BrokerSettings:
    return kafka_of(servers, lease_seconds=KafkaHarness.lease, send_seconds=2)


@pytest.fixture
def harness(settings: BrokerSettings) -> Iterator[KafkaHarness]:
    with KafkaHarness(settings) as harness:
        yield harness


@pytest.fixture
def admin(settings: BrokerSettings) -> Iterator[KafkaAdminClient]:
    """The hand of somebody else on the cluster."""
    with KafkaAdminClient(**connection(settings)) as admin:
        yield admin


def test_a_partition_that_was_handed_over_is_left_out_of_a_commit_and_read_by_its_heir(harness: KafkaHarness) -> None:
    broker = harness.open()
    make(broker, 2)
    send(broker, b"zero", partition=0)
    send(broker, b"one", partition=1)
    with broker.consumer(FRAMES, group="a") as old, broker.consumer(FRAMES, group="a") as new:
        in_hand = read(old, 2)
        settle(harness, old, new, shares=[1, 1])
        old.commit(ends(in_hand))
        (given,) = new.assignment()
        left = {lag.partition: lag.records for lag in broker.lag(FRAMES, group="a")}
        assert left == {part: int(part == given) for part in left}
        assert [message.partition for message in read(new, 1)] == [given]


def test_records_flow_while_members_come_and_go(harness: KafkaHarness) -> None:
    broker = harness.open()
    make(broker, 4)
    total = 300
    with broker.producer() as producer:
        for number in range(total):
            producer.send(FRAMES, b"%03d" % number, partition=number % 4)
    one, two = (broker.consumer(FRAMES, group="a") for _ in range(2))
    found: list[Message] = []

    def turn(consumer: Consumer) -> None:
        messages = consumer.poll(0.1, most=8)
        found.extend(messages)
        with suppress(StoreUnavailable):  # sharing out takes long on a busy machine; a later commit covers it
            consumer.commit(ends(messages))

    for _ in range(5):
        turn(one)
    while not two.assignment():  # the second joins amid the first one's work
        harness.together(lambda: turn(one), lambda: turn(two))
    one.close()
    while any(lag.records for lag in broker.lag(FRAMES, group="a")):
        turn(two)
    two.close()
    assert {int(value) for value in values(found)} == set(range(total))
    for partition in range(4):  # each member in order; what changed hands uncommitted may come again
        seen = [message.offset for message in found if message.partition.number == partition]
        assert list(dict.fromkeys(seen)) == sorted(set(seen))


def test_a_named_member_that_restarts_within_its_session_disturbs_nobody(harness: KafkaHarness) -> None:
    broker = harness.open()
    assert isinstance(broker, KafkaBroker)
    make(broker, 4)
    one = broker.consumer(FRAMES, group="a", member="worker-1")
    with broker.consumer(FRAMES, group="a", member="worker-2") as two:
        before = settle(harness, one, two, shares=[2, 2])
        generation = two._member.client.group_metadata().generation_id
        one.close()
        with broker.consumer(FRAMES, group="a", member="worker-1") as again:
            assert settle(harness, again, two, shares=[2, 2]) == before
            assert two._member.client.group_metadata().generation_id == generation


def test_a_topic_that_goes_is_named_and_one_that_comes_back_is_read(
    harness: KafkaHarness, admin: KafkaAdminClient, settings: BrokerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.broker.kafka_member.PROBE_SECONDS", 0.2)
    monkeypatch.setattr("core.broker.kafka_member.CALL_SECONDS", 0.5)
    broker = harness.open()
    make(broker)
    send(broker, b"one")
    admin.delete_topics([settings.prefix + FRAMES])
    wait_for(lambda: not admin.describe_topics([settings.prefix + FRAMES])[0]["partitions"])
    with broker.consumer(FRAMES, group="a") as consumer, pytest.raises(StoreUnavailable, match="flawline topics apply"):
        consumer.poll(0.1)
    with broker.producer() as producer:
        producer.send(FRAMES, b"two", partition=0)
        with pytest.raises(StoreUnavailable, match=r"flawline topics apply.*1 records are kept"):
            producer.flush()
        with pytest.raises(StoreUnavailable, match="flawline topics apply"):
            broker.lag(FRAMES, group="a")
        make(broker)
        wait_for(lambda: not fails(producer))
    with broker.consumer(FRAMES, group="b") as consumer:
        assert values(read(consumer, 1)) == [b"two"]


def fails(producer: Producer) -> bool:
    try:
        producer.flush()
    except StoreUnavailable:
        return True
    return False


def test_a_topic_that_somebody_grew_is_refused_with_the_reason(
    harness: KafkaHarness, admin: KafkaAdminClient, settings: BrokerSettings
) -> None:
    broker = harness.open()
    make(broker, 2)
    admin.create_partitions({settings.prefix + FRAMES: 3})
    wait_for(lambda: len(admin.describe_topics([settings.prefix + FRAMES])[0]["partitions"]) == 3)
    with pytest.raises(
        ValueError, match=r"3 partitions cannot become 2.*lose their order.*new FLAWLINE_BROKER__PREFIX"
    ):
        make(broker, 2)
    send(broker, b"goes on")
    with broker.consumer(FRAMES, group="a") as consumer:
        assert values(read(consumer, 1)) == [b"goes on"]


def test_what_the_client_gives_up_is_sent_again_in_order(
    harness: KafkaHarness, admin: KafkaAdminClient, settings: BrokerSettings
) -> None:
    """The one refusal that can be had on purpose: a topic that takes no batch of this size."""
    broker = harness.open()
    make(broker)
    name = settings.prefix + FRAMES
    admin.alter_configs([ConfigResource("TOPIC", name, {"max.message.bytes": "10000"})])
    with broker.producer() as producer:
        producer.send(FRAMES, b"first", partition=0)
        producer.flush()
        producer.send(FRAMES, bytes(50_000), partition=0)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match=r"flawline topics apply.*max\.message\.bytes"):
                producer.flush()
        producer.send(FRAMES, b"small", partition=0)  # would pass alone, and must not overtake
        producer.send(FRAMES, b"beside", partition=1)
        with pytest.raises(StoreUnavailable):
            producer.flush()
        make(broker)  # as `flawline topics apply` does
        wait_for(lambda: not fails(producer))
    with broker.consumer(FRAMES, group="a") as consumer:
        found = read(consumer, sum(lag.end for lag in broker.lag(FRAMES, group="b")))
    first = [message.value[:6] for message in found if message.partition == ZERO]
    assert list(dict.fromkeys(first)) == [b"first", bytes(6), b"small"]
    assert b"beside" in values(found)


def test_a_record_that_the_log_does_not_take_is_refused_with_the_way_round(harness: KafkaHarness) -> None:
    broker = harness.open()
    make(broker)
    with broker.producer() as producer:
        with pytest.raises(ValueError, match="claim check: set FLAWLINE_PICTURES__INLINE_MAX_BYTES"):
            producer.send(FRAMES, bytes(5_200_000), partition=0)
        producer.send(FRAMES, bytes(5_100_000), partition=0)
        producer.flush()


def test_the_topics_settings_are_those_of_the_plant(
    harness: KafkaHarness, admin: KafkaAdminClient, settings: BrokerSettings
) -> None:
    broker = harness.open()
    broker.apply([Topic(FRAMES, 2, retention_seconds=3600, retention_bytes=1 << 30)])
    resource = ConfigResource("TOPIC", settings.prefix + FRAMES)
    told = admin.describe_configs([resource])["topic"][settings.prefix + FRAMES]
    assert {name: entry["value"] for name, entry in told.items()} == {
        "max.message.bytes": "5242880", "retention.ms": "3600000", "retention.bytes": "1073741824",
        "segment.bytes": "134217728", "segment.ms": "450000", "compression.type": "producer",
        "unclean.leader.election.enable": "false", "min.insync.replicas": "1",
        "message.timestamp.type": "LogAppendTime",
    }  # fmt: skip


def test_more_copies_than_brokers_are_refused_in_words(settings: BrokerSettings) -> None:
    greedy = settings.model_copy(update={"replication": 3})
    with KafkaBroker(greedy) as broker, pytest.raises(SettingsInvalid, match="replication"):
        broker.apply([Topic(FRAMES, 1)])


def test_what_kafka_itself_dropped_unread_is_said(
    harness: KafkaHarness, admin: KafkaAdminClient, settings: BrokerSettings, caplog: pytest.LogCaptureFixture
) -> None:
    broker = harness.open()
    make(broker)
    send(broker, b"one", b"two", b"three")
    with broker.consumer(FRAMES, group="a") as consumer:
        consumer.commit(ends(read(consumer, 1, most=1)))
    make(broker, retention_seconds=0.5)
    assert broker.retain() == 0
    wait_for(lambda: broker.lag(FRAMES, group="a")[0].records == 0)
    make(broker, retention_seconds=3600)
    send(broker, b"four")
    with broker.consumer(FRAMES, group="a") as consumer, caplog.at_level(logging.WARNING):
        assert [(message.offset, message.value) for message in read(consumer, 1)] == [(3, b"four")]
    said = [record.getMessage() for record in caplog.records if record.name.startswith("core.")]
    assert len(said) == 1
    assert "group a lost 2 records of frames-0 (offsets 1 to 2)" in said[0]


def test_a_session_shorter_than_the_broker_takes_is_lengthened(
    harness: KafkaHarness, caplog: pytest.LogCaptureFixture
) -> None:
    broker = harness.open()
    make(broker)
    send(broker, b"one")
    assert isinstance(broker, KafkaBroker)
    with broker.consumer(FRAMES, group="a") as consumer, caplog.at_level(logging.WARNING):
        consumer._member._session_ms = 500  # this test's broker takes 1000
        assert values(read(consumer, 1)) == [b"one"]
        assert consumer._member._session_ms == 6000
    assert any("no session of 500 ms: using 6000 ms" in record.getMessage() for record in caplog.records)


def test_an_idle_member_costs_little(harness: KafkaHarness) -> None:
    broker = harness.open()
    make(broker)
    with broker.consumer(FRAMES, group="a") as consumer:
        settle(harness, consumer, shares=[2])
        before = time.process_time()
        assert consumer.poll(2.0) == []
        assert time.process_time() - before < 0.6
