"""What every broker keeps, whatever it is made of."""

import threading
from collections.abc import Iterable

import pytest

from core.broker.protocol import Broker, Consumer, Message, Partition, Topic
from core.errors import StoreUnavailable
from tests.core.broker.conftest import LEASE_SECONDS, HandMovedClock, Harness

FRAMES = "frames"
ZERO, ONE = Partition(FRAMES, 0), Partition(FRAMES, 1)


def send(broker: Broker, *values: bytes, partition: int = 0) -> None:
    with broker.producer() as producer:
        for value in values:
            producer.send(FRAMES, value, partition=partition)


def values(messages: Iterable[Message]) -> list[bytes]:
    return [message.value for message in messages]


def ends(messages: Iterable[Message]) -> dict[Partition, int]:
    return {message.partition: message.offset + 1 for message in messages}


def settle(*consumers: Consumer, rounds: int = 4) -> None:
    """Let the members of a group see one another until shares stand still."""
    for _ in range(rounds):
        for consumer in consumers:
            consumer.heartbeat()


def make(broker: Broker, partitions: int = 2, **retention: float) -> None:
    broker.apply([Topic(FRAMES, partitions, **retention)])  # type: ignore[arg-type]


# Records


def test_records_of_a_partition_come_in_the_order_they_were_sent(broker: Broker) -> None:
    make(broker)
    send(broker, b"one", b"two")
    send(broker, b"three")
    with broker.consumer(FRAMES, group="a") as consumer:
        messages = consumer.poll(0)
    assert values(messages) == [b"one", b"two", b"three"]
    assert [message.offset for message in messages] == [0, 1, 2]
    assert {message.partition for message in messages} == {ZERO}


def test_a_record_comes_back_byte_for_byte(broker: Broker, clock: HandMovedClock) -> None:
    make(broker)
    every_byte = bytes(range(256))
    headers = (("plain", b"x"), ("plain", b"again"), ("empty", b""), ("naïve ✓", every_byte))
    with broker.producer() as producer:
        producer.send(FRAMES, every_byte * 3, partition=1, key="cam-ü", headers=headers)
        producer.send(FRAMES, b"", partition=1)
    with broker.consumer(FRAMES, group="a") as consumer:
        first, second = consumer.poll(0)
    assert (first.value, first.key, first.headers) == (every_byte * 3, "cam-ü", headers)
    assert (first.partition, first.stored_at) == (ONE, clock.now)
    assert (second.value, second.key, second.headers) == (b"", "", ())


def test_a_large_value_comes_back_whole(broker: Broker) -> None:
    make(broker)
    large = bytes(range(251)) * 20_000  # 5 MB
    send(broker, large, large[::-1])
    with broker.consumer(FRAMES, group="a") as consumer:
        assert values(consumer.poll(0)) == [large, large[::-1]]


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


def test_a_poll_takes_no_more_than_asked_and_every_partition_gets_its_turn(broker: Broker) -> None:
    make(broker)
    send(broker, *[b"a%d" % n for n in range(20)], partition=0)
    send(broker, *[b"b%d" % n for n in range(20)], partition=1)
    with broker.consumer(FRAMES, group="a") as consumer:
        for _ in range(3):
            messages = consumer.poll(0, most=4)
            assert len(messages) == 4
            assert {message.partition for message in messages} == {ZERO, ONE}
        assert len(consumer.poll(0, most=1)) == 1
        seen: list[Message] = []
        while messages := consumer.poll(0, most=7):
            seen += messages
        assert len(seen) == 40 - 13


def test_an_unknown_topic_or_partition_is_refused(broker: Broker) -> None:
    make(broker)
    producer = broker.producer()
    with pytest.raises(ValueError, match="nowhere"):
        producer.send("nowhere", b"", partition=0)
    for partition in (2, -1):
        with pytest.raises(ValueError, match=FRAMES):
            producer.send(FRAMES, b"", partition=partition)
    with pytest.raises(ValueError, match="nowhere"):
        broker.consumer("nowhere", group="a")
    with pytest.raises(ValueError, match="nowhere"):
        broker.lag("nowhere", group="a")


def test_a_topic_keeps_its_number_of_partitions(broker: Broker) -> None:
    make(broker, 2)
    make(broker, 2)
    send(broker, b"one")
    for partitions in (1, 3):
        with pytest.raises(ValueError, match="partitions cannot become"):
            make(broker, partitions)
    with pytest.raises(ValueError, match="none"):
        broker.apply([Topic("none", 0)])
    assert [lag.end for lag in broker.lag(FRAMES, group="a")] == [1, 0]


def test_a_waiting_poll_returns_as_soon_as_a_record_is_there(harness: Harness) -> None:
    broker, other = harness.open(), harness.open()
    make(broker)
    with broker.consumer(FRAMES, group="a") as consumer:
        assert consumer.poll(0) == []
        writer = threading.Timer(0.1, send, args=(other, b"one"))
        writer.start()
        assert values(consumer.poll(30.0)) == [b"one"]
        writer.join()


# Positions


def test_what_was_not_committed_comes_again(broker: Broker) -> None:
    make(broker)
    send(broker, b"one", b"two")
    for _ in range(2):
        with broker.consumer(FRAMES, group="a") as consumer:
            assert values(consumer.poll(0)) == [b"one", b"two"]
            assert consumer.poll(0) == []
    with broker.consumer(FRAMES, group="a") as consumer:
        consumer.poll(0)
        consumer.commit({ZERO: 1})
    with broker.consumer(FRAMES, group="a") as consumer:
        assert values(consumer.poll(0)) == [b"two"]


def test_rewind_goes_back_to_the_committed_offset(broker: Broker) -> None:
    make(broker)
    send(broker, b"one", b"two", b"three")
    with broker.consumer(FRAMES, group="a") as consumer:
        consumer.commit(ends(consumer.poll(0, most=2)[:1]))
        assert values(consumer.poll(0)) == [b"three"]
        consumer.rewind()
        assert values(consumer.poll(0)) == [b"two", b"three"]


def test_groups_do_not_know_of_one_another(broker: Broker) -> None:
    make(broker)
    send(broker, b"one")
    with broker.consumer(FRAMES, group="a") as a, broker.consumer(FRAMES, group="b") as b:
        a.commit(ends(a.poll(0)))
        assert values(b.poll(0)) == [b"one"]
        assert a.assignment() == b.assignment() == {ZERO, ONE}


def test_a_commit_never_moves_backwards(broker: Broker) -> None:
    make(broker)
    send(broker, b"one", b"two")
    with broker.consumer(FRAMES, group="a") as consumer:
        consumer.poll(0)
        consumer.commit({ZERO: 2})
        consumer.commit({ZERO: 1})
        consumer.rewind()
        assert consumer.poll(0) == []
    assert [lag.committed for lag in broker.lag(FRAMES, group="a")] == [2, 0]


def test_a_commit_beyond_the_end_is_refused_because_it_would_skip_what_is_to_come(broker: Broker) -> None:
    make(broker)
    send(broker, b"one")
    with broker.consumer(FRAMES, group="a") as consumer:
        consumer.poll(0)
        with pytest.raises(ValueError, match="beyond"):
            consumer.commit({ZERO: 2})
        consumer.commit({})
    assert [lag.committed for lag in broker.lag(FRAMES, group="a")] == [0, 0]


def test_lag_counts_what_is_not_committed(broker: Broker) -> None:
    make(broker)
    send(broker, b"one", b"two", b"three")
    assert [lag.records for lag in broker.lag(FRAMES, group="a")] == [3, 0]
    with broker.consumer(FRAMES, group="a") as consumer:
        consumer.poll(0)
        assert [lag.records for lag in broker.lag(FRAMES, group="a")] == [3, 0]
        consumer.commit({ZERO: 2})
    lag = broker.lag(FRAMES, group="a")
    assert [(part.partition, part.committed, part.end) for part in lag] == [(ZERO, 2, 3), (ONE, 0, 0)]


# Members


def test_members_share_the_partitions_fairly_and_read_each_record_once(broker: Broker) -> None:
    make(broker, 5)
    for partition in range(5):
        send(broker, b"%d" % partition, partition=partition)
    with broker.consumer(FRAMES, group="a") as one, broker.consumer(FRAMES, group="a") as two:
        settle(one, two)
        shares = one.assignment(), two.assignment()
        assert sorted(map(len, shares)) == [2, 3]
        assert not shares[0] & shares[1]
        assert sorted(values(one.poll(0) + two.poll(0))) == [b"0", b"1", b"2", b"3", b"4"]
        settle(one, two)
        assert (one.assignment(), two.assignment()) == shares  # a balanced group stands still


def test_a_member_too_many_gets_nothing_and_waits_for_its_chance(broker: Broker) -> None:
    make(broker, 1)
    one = broker.consumer(FRAMES, group="a")
    two = broker.consumer(FRAMES, group="a")
    settle(one, two)
    assert (one.assignment(), two.assignment()) == ({ZERO}, set())
    one.close()
    settle(two)
    assert two.assignment() == {ZERO}
    two.close()


def test_records_in_hand_keep_their_partition_until_they_are_committed(broker: Broker) -> None:
    make(broker)
    send(broker, b"zero", partition=0)
    send(broker, b"one", partition=1)
    with broker.consumer(FRAMES, group="a") as old:
        in_hand = old.poll(0)
        with broker.consumer(FRAMES, group="a") as new:
            settle(old, new)
            assert (len(old.assignment()), new.assignment()) == (2, set())
            old.commit(ends(in_hand))
            settle(old, new)
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


def test_a_named_member_that_comes_back_has_its_partitions_at_once(harness: Harness) -> None:
    broker, restarted = harness.open(), harness.open()
    make(broker)
    send(broker, b"one", b"two")
    killed = broker.consumer(FRAMES, group="a", member="worker-1")
    killed.commit(ends(killed.poll(0)[:1]))
    again = restarted.consumer(FRAMES, group="a", member="worker-1")
    assert values(again.poll(0)) == [b"two"]
    assert again.assignment() == {ZERO, ONE}
    again.close()
    killed.close()


def test_a_named_member_that_closes_is_waited_for_until_its_lease_ends(broker: Broker, clock: HandMovedClock) -> None:
    make(broker)
    named = broker.consumer(FRAMES, group="a", member="worker-1")
    named.poll(0)
    named.close()
    with broker.consumer(FRAMES, group="a", member="worker-2") as other:
        settle(other)
        assert other.assignment() == set()
        clock.pass_(LEASE_SECONDS + 1)
        settle(other)
        assert other.assignment() == {ZERO, ONE}


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


def test_a_zombie_of_the_same_name_can_neither_commit_nor_read(harness: Harness, clock: HandMovedClock) -> None:
    broker, restarted = harness.open(), harness.open()
    make(broker)
    send(broker, b"one", b"two")
    zombie = broker.consumer(FRAMES, group="a", member="worker-1")
    in_hand = zombie.poll(0)
    again = restarted.consumer(FRAMES, group="a", member="worker-1")
    assert values(again.poll(0)) == [b"one", b"two"]
    zombie.commit(ends(in_hand))
    assert [lag.committed for lag in broker.lag(FRAMES, group="a")] == [0, 0]
    send(broker, b"three")
    for _ in range(5):
        clock.pass_(LEASE_SECONDS / 3)
        again.heartbeat()
        assert zombie.poll(0) == []
    assert zombie.assignment() == set()
    assert values(again.poll(0)) == [b"three"]
    again.close()
    clock.pass_(LEASE_SECONDS + 1)
    assert values(zombie.poll(0)) == [b"one", b"two", b"three"]  # the name is free again
    zombie.close()


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


def test_a_clock_that_was_set_back_frees_what_a_dead_member_held(broker: Broker, clock: HandMovedClock) -> None:
    make(broker)
    dead = broker.consumer(FRAMES, group="a")
    dead.poll(0)
    clock.pass_(-3600)
    with broker.consumer(FRAMES, group="a") as other:
        settle(other)
        assert other.assignment() == {ZERO, ONE}
    dead.close()


# Outages


def test_a_flush_that_fails_keeps_its_records_and_the_next_appends_them_once(harness: Harness) -> None:
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


def test_a_commit_that_fails_can_be_tried_again(harness: Harness) -> None:
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


def test_joining_during_an_outage_fails_and_succeeds_afterwards(harness: Harness) -> None:
    broker = harness.open()
    make(broker)
    send(broker, b"one")
    with broker.consumer(FRAMES, group="a") as consumer:
        with harness.outage(), pytest.raises(StoreUnavailable):
            consumer.poll(0)
        assert values(consumer.poll(0)) == [b"one"]


def test_closing_during_an_outage_is_no_error(harness: Harness, clock: HandMovedClock) -> None:
    broker = harness.open()
    make(broker)
    consumer = broker.consumer(FRAMES, group="a")
    consumer.poll(0)
    with harness.outage():
        consumer.close()
    clock.pass_(LEASE_SECONDS + 1)
    with broker.consumer(FRAMES, group="a") as other:
        settle(other)
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
