"""What the brokers keep that hold their own groups; a test moves their clock and rehearses their outages.

Of Kafka, whose clock is the world's and whose outages are a killed server, the same is asked in test_kafka_*.py.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.broker.protocol import Broker
from core.errors import StoreUnavailable
from tests.core.broker.conftest import LEASE_SECONDS, HandMovedClock, LocalHarness, MemoryHarness, OwnHarness
from tests.core.broker.records import FRAMES, ONE, ZERO, ends, make, send, settle, values


@pytest.fixture(params=["memory", "local"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OwnHarness]:
    with MemoryHarness() if request.param == "memory" else LocalHarness(tmp_path / "log.sqlite") as harness:
        yield harness


@pytest.fixture
def broker(harness: OwnHarness) -> Broker:
    return harness.open()


@pytest.fixture
def clock(harness: OwnHarness) -> HandMovedClock:
    return harness.clock


def test_what_is_sent_appears_with_the_flush(broker: Broker) -> None:
    make(broker)
    producer = broker.producer()
    producer.send(FRAMES, b"one", partition=0)
    with broker.consumer(FRAMES, group="a") as consumer:
        assert consumer.poll(0) == []
        producer.flush()
        assert values(consumer.poll(0)) == [b"one"]
        producer.flush()
        assert consumer.poll(0) == []


def test_records_in_hand_keep_their_partition_until_they_are_committed(harness: OwnHarness) -> None:
    broker = harness.open()
    make(broker)
    send(broker, b"zero", partition=0)
    send(broker, b"one", partition=1)
    with broker.consumer(FRAMES, group="a") as old:
        in_hand = old.poll(0)
        with broker.consumer(FRAMES, group="a") as new:
            settle(harness, old, new)
            assert (len(old.assignment()), new.assignment()) == (2, set())
            old.commit(ends(in_hand))
            settle(harness, old, new)
            assert (len(old.assignment()), len(new.assignment())) == (1, 1)
            assert old.poll(0) + new.poll(0) == []


def test_a_silent_member_loses_its_partitions_after_the_lease(broker: Broker, clock: HandMovedClock) -> None:
    make(broker)
    send(broker, b"one")
    silent = broker.consumer(FRAMES, group="a")
    assert values(silent.poll(0)) == [b"one"]
    with broker.consumer(FRAMES, group="a") as other:
        clock.pass_(LEASE_SECONDS * 0.9)
        assert other.poll(0) == []
        clock.pass_(LEASE_SECONDS * 0.2)
        assert values(other.poll(0)) == [b"one"]
        assert other.assignment() == {ZERO, ONE}
    silent.close()


def test_a_heartbeat_is_enough_to_stay(broker: Broker, clock: HandMovedClock) -> None:
    make(broker)
    send(broker, b"one")
    with broker.consumer(FRAMES, group="a") as slow, broker.consumer(FRAMES, group="a") as other:
        in_hand = slow.poll(0)
        for _ in range(12):
            clock.pass_(LEASE_SECONDS / 3)
            slow.heartbeat()
            assert other.poll(0) == []
        slow.commit(ends(in_hand))
    assert [lag.records for lag in broker.lag(FRAMES, group="a")] == [0, 0]


def test_the_commit_of_a_member_that_lost_its_partition_is_left_out(broker: Broker, clock: HandMovedClock) -> None:
    make(broker)
    send(broker, b"one", b"two")
    stalled = broker.consumer(FRAMES, group="a")
    in_hand = stalled.poll(0)
    clock.pass_(LEASE_SECONDS + 1)
    with broker.consumer(FRAMES, group="a") as heir:
        assert values(heir.poll(0)) == [b"one", b"two"]
        stalled.commit(ends(in_hand))
        assert [lag.committed for lag in broker.lag(FRAMES, group="a")] == [0, 0]
        assert stalled.assignment() == set()
        heir.commit({ZERO: 1})
        heir.rewind()
        assert values(heir.poll(0)) == [b"two"]
    stalled.close()


def test_a_member_that_lost_a_partition_and_won_it_again_goes_on_where_the_group_stands(
    broker: Broker, clock: HandMovedClock
) -> None:
    make(broker, 1)
    send(broker, b"one", b"two", b"three")
    stalled = broker.consumer(FRAMES, group="a")
    assert len(stalled.poll(0)) == 3
    clock.pass_(LEASE_SECONDS + 1)
    heir = broker.consumer(FRAMES, group="a")
    heir.poll(0)
    heir.commit({ZERO: 1})
    heir.close()
    assert values(stalled.poll(0)) == [b"two", b"three"]
    stalled.close()


def test_a_clock_that_was_set_back_frees_what_a_dead_member_held(harness: OwnHarness, clock: HandMovedClock) -> None:
    broker = harness.open()
    make(broker)
    dead = broker.consumer(FRAMES, group="a")
    dead.poll(0)
    clock.pass_(-3600)
    with broker.consumer(FRAMES, group="a") as other:
        settle(harness, other)
        assert other.assignment() == {ZERO, ONE}
    dead.close()


# Outages


def test_a_flush_that_fails_keeps_its_records_and_the_next_appends_them_once(harness: OwnHarness) -> None:
    broker = harness.open()
    make(broker)
    producer = broker.producer()
    producer.send(FRAMES, b"one", partition=0)
    producer.flush()
    producer.send(FRAMES, b"two", partition=0)
    with harness.outage():
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                producer.flush()
        producer.send(FRAMES, b"three", partition=0)
    producer.flush()
    producer.flush()
    with broker.consumer(FRAMES, group="a") as consumer:
        assert values(consumer.poll(0)) == [b"one", b"two", b"three"]


def test_a_commit_that_fails_can_be_tried_again(harness: OwnHarness) -> None:
    broker = harness.open()
    make(broker)
    send(broker, b"one", b"two")
    with broker.consumer(FRAMES, group="a") as consumer:
        in_hand = consumer.poll(0)
        with harness.outage(), pytest.raises(StoreUnavailable):
            consumer.commit(ends(in_hand))
        consumer.commit(ends(in_hand))
        consumer.rewind()
        assert consumer.poll(0) == []


def test_joining_during_an_outage_fails_and_succeeds_afterwards(harness: OwnHarness) -> None:
    broker = harness.open()
    make(broker)
    send(broker, b"one")
    with broker.consumer(FRAMES, group="a") as consumer:
        with harness.outage(), pytest.raises(StoreUnavailable):
            consumer.poll(0)
        assert values(consumer.poll(0)) == [b"one"]


def test_closing_during_an_outage_is_no_error(harness: OwnHarness, clock: HandMovedClock) -> None:
    broker = harness.open()
    make(broker)
    consumer = broker.consumer(FRAMES, group="a")
    consumer.poll(0)
    with harness.outage():
        consumer.close()
    clock.pass_(LEASE_SECONDS + 1)
    with broker.consumer(FRAMES, group="a") as other:
        settle(harness, other)
        assert other.assignment() == {ZERO, ONE}


# Retention


def test_retention_by_age_drops_the_oldest_and_keeps_the_rest(broker: Broker, clock: HandMovedClock) -> None:
    make(broker, retention_seconds=100)
    send(broker, b"old", b"old too")
    clock.pass_(60)
    send(broker, b"young")
    assert broker.retain() == 0
    clock.pass_(41)
    assert broker.retain() == 2
    with broker.consumer(FRAMES, group="a") as consumer:
        assert [(message.offset, message.value) for message in consumer.poll(0)] == [(2, b"young")]
    clock.pass_(100)
    assert broker.retain() == 1
    send(broker, b"next")
    with broker.consumer(FRAMES, group="b") as consumer:
        assert [(message.offset, message.value) for message in consumer.poll(0)] == [(3, b"next")]


def test_retention_by_bytes_drops_the_oldest_of_each_partition(broker: Broker) -> None:
    make(broker, retention_bytes=10_500)
    send(broker, *[b"%d" % n * 1000 for n in range(10)], partition=0)
    assert broker.retain() == 0
    send(broker, *[bytes(1000)] * 200, partition=0)
    send(broker, b"other", partition=1)
    assert broker.retain() == 200
    with broker.consumer(FRAMES, group="a") as consumer:
        left = [(message.partition.number, message.offset) for message in consumer.poll(0)]
    assert sorted(left) == [*((0, offset) for offset in range(200, 210)), (1, 0)]
    assert [lag.records for lag in broker.lag(FRAMES, group="a")] == [10, 1]


def test_a_record_larger_than_the_bound_lives_until_the_next_one_comes(broker: Broker) -> None:
    make(broker, retention_bytes=1000)
    send(broker, bytes(5000))
    assert broker.retain() == 0
    send(broker, bytes(10))
    assert broker.retain() == 1


def test_a_new_retention_counts_for_an_old_topic(broker: Broker, clock: HandMovedClock) -> None:
    make(broker, retention_seconds=1000)
    send(broker, b"one")
    clock.pass_(500)
    assert broker.retain() == 0
    make(broker, retention_seconds=100)
    assert broker.retain() == 1


def test_what_retention_takes_from_a_group_is_said_with_its_number(
    broker: Broker, clock: HandMovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    make(broker, retention_seconds=100)
    send(broker, b"one", b"two", b"three")
    with broker.consumer(FRAMES, group="behind") as consumer, broker.consumer(FRAMES, group="done") as done:
        consumer.poll(0)
        consumer.commit({ZERO: 1})
        done.commit(ends(done.poll(0)))
        clock.pass_(101)
        assert broker.retain() == 3
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert all(word in warnings[0] for word in ("2 records", "frames-0", "behind"))


def test_a_position_below_the_logs_start_goes_on_at_the_start_and_says_what_is_missing(
    broker: Broker, clock: HandMovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    make(broker, retention_seconds=100)
    send(broker, b"one", b"two", b"three")
    with broker.consumer(FRAMES, group="a") as consumer:
        consumer.commit(ends(consumer.poll(0, most=1)))
        clock.pass_(101)
        broker.retain()
        send(broker, b"four")
        caplog.clear()
        consumer.rewind()
        assert [(message.offset, message.value) for message in consumer.poll(0)] == [(3, b"four")]
        gaps = [record.getMessage() for record in caplog.records if "lost" in record.getMessage()]
        assert len(gaps) == 1
        assert "2 records of frames-0 (offsets 1 to 2)" in gaps[0]
    assert [lag.records for lag in broker.lag(FRAMES, group="a")] == [1, 0]
