"""What every broker keeps, whatever it is made of."""

import threading

import pytest

from core.broker.protocol import Broker, Change, Lag, Message, Topic
from tests.core.broker.conftest import Harness
from tests.core.broker.records import FRAMES, ONE, ZERO, ends, make, read, send, settle, values

# Topics


def test_a_topic_keeps_its_number_of_partitions(broker: Broker) -> None:
    make(broker, 2)
    make(broker, 2)
    send(broker, b"one")
    for partitions in (1, 3):
        with pytest.raises(ValueError, match=r"partitions cannot become .*new"):
            make(broker, partitions)
    with pytest.raises(ValueError, match="none"):
        broker.apply([Topic("none", 0)])
    assert [lag.end for lag in broker.lag(FRAMES, group="a")] == [1, 0]


def test_making_topics_says_what_it_changes_and_a_dry_run_changes_nothing(broker: Broker) -> None:
    first, longer = Topic(FRAMES, 2, retention_seconds=100), Topic(FRAMES, 2, retention_seconds=200)
    other = Topic("other", 1)
    for dry_run in (True, True, False):
        assert broker.apply([first], dry_run=dry_run) == [Change(first)]
    assert broker.apply([first]) == []
    for dry_run in (True, False):
        assert broker.apply([longer, other], dry_run=dry_run) == [Change(longer, first), Change(other)]
    assert broker.apply([longer, other]) == []


# Records


def test_records_of_a_partition_come_in_the_order_they_were_sent(broker: Broker) -> None:
    make(broker)
    send(broker, b"one", b"two")
    send(broker, b"three")
    with broker.consumer(FRAMES, group="a") as consumer:
        messages = read(consumer, 3)
    assert values(messages) == [b"one", b"two", b"three"]
    assert [message.offset for message in messages] == [0, 1, 2]
    assert {message.partition for message in messages} == {ZERO}


def test_a_record_comes_back_byte_for_byte(harness: Harness) -> None:
    broker = harness.open()
    make(broker)
    every_byte = bytes(range(256))
    headers = (("plain", b"x"), ("plain", b"again"), ("empty", b""), ("naïve ✓", every_byte))
    before = harness.clock()
    with broker.producer() as producer:
        producer.send(FRAMES, every_byte * 3, partition=1, key="cam-ü", headers=headers)
        producer.send(FRAMES, b"", partition=1)
    with broker.consumer(FRAMES, group="a") as consumer:
        first, second = read(consumer, 2)
    assert (first.value, first.key, first.headers) == (every_byte * 3, "cam-ü", headers)
    assert first.partition == ONE
    assert before - 10**6 <= first.stored_at <= harness.clock()  # Kafka counts in ms
    assert (second.value, second.key, second.headers) == (b"", "", ())


def test_a_large_value_comes_back_whole(broker: Broker) -> None:
    make(broker)
    large = bytes(range(251)) * 20_000  # 5 MB
    send(broker, large, large[::-1])
    with broker.consumer(FRAMES, group="a") as consumer:
        assert values(read(consumer, 2)) == [large, large[::-1]]


def test_a_poll_takes_no_more_than_asked_and_every_partition_gets_its_turn(broker: Broker) -> None:
    make(broker)
    send(broker, *[b"a%d" % n for n in range(20)], partition=0)
    send(broker, *[b"b%d" % n for n in range(20)], partition=1)
    with broker.consumer(FRAMES, group="a") as consumer:
        for turn in range(4):
            messages = consumer.poll(10.0, most=4)
            assert len(messages) == 4
            if turn:  # at the first, Kafka may have fetched one partition only
                assert {message.partition for message in messages} == {ZERO, ONE}
        assert len(consumer.poll(10.0, most=1)) == 1
        seen: list[Message] = read(consumer, 40 - 17, most=7)
        assert {message.partition for message in seen} == {ZERO, ONE}


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
    producer.close()


def test_a_waiting_poll_returns_as_soon_as_a_record_is_there(harness: Harness) -> None:
    broker, other = harness.open(), harness.open()
    make(broker)
    with broker.consumer(FRAMES, group="a") as consumer:
        assert consumer.poll(harness.quiet) == []
        writer = threading.Timer(0.1, send, args=(other, b"one"))
        writer.start()
        assert values(consumer.poll(30.0)) == [b"one"]
        writer.join()


# Positions


def test_what_was_not_committed_comes_again(harness: Harness) -> None:
    broker = harness.open()
    make(broker)
    send(broker, b"one", b"two")
    for _ in range(2):
        with broker.consumer(FRAMES, group="a") as consumer:
            assert values(read(consumer, 2)) == [b"one", b"two"]
            assert consumer.poll(harness.quiet) == []
    with broker.consumer(FRAMES, group="a") as consumer:
        read(consumer, 2)
        consumer.commit({ZERO: 1})
    with broker.consumer(FRAMES, group="a") as consumer:
        assert values(read(consumer, 1)) == [b"two"]


def test_rewind_goes_back_to_the_committed_offset(broker: Broker) -> None:
    make(broker)
    send(broker, b"one", b"two", b"three")
    with broker.consumer(FRAMES, group="a") as consumer:
        consumer.commit(ends(read(consumer, 2, most=2)[:1]))
        assert values(read(consumer, 1)) == [b"three"]
        consumer.rewind()
        assert values(read(consumer, 2)) == [b"two", b"three"]


def test_rewind_without_any_commit_goes_back_to_the_start_of_each_partition(broker: Broker) -> None:
    make(broker)
    send(broker, b"one", partition=0)
    send(broker, b"two", partition=1)
    with broker.consumer(FRAMES, group="a") as consumer:
        for _ in range(2):
            assert sorted(values(read(consumer, 2))) == [b"one", b"two"]
            consumer.rewind()


def test_a_heartbeat_takes_no_records(harness: Harness) -> None:
    broker = harness.open()
    make(broker)
    send(broker, b"one", b"two")
    with broker.consumer(FRAMES, group="a") as consumer:
        settle(harness, consumer, shares=[2])
        in_hand = read(consumer, 1, most=1)
        for _ in range(5):
            harness.clock.pass_(harness.lease / 5)
            consumer.heartbeat()
        consumer.commit(ends(in_hand))
        assert values(read(consumer, 1)) == [b"two"]


def test_groups_do_not_know_of_one_another(broker: Broker) -> None:
    make(broker)
    send(broker, b"one")
    with broker.consumer(FRAMES, group="a") as a, broker.consumer(FRAMES, group="b") as b:
        a.commit(ends(read(a, 1)))
        assert values(read(b, 1)) == [b"one"]
        assert a.assignment() == b.assignment() == {ZERO, ONE}


def test_a_commit_never_moves_backwards(harness: Harness) -> None:
    broker = harness.open()
    make(broker)
    send(broker, b"one", b"two")
    with broker.consumer(FRAMES, group="a") as consumer:
        read(consumer, 2)
        consumer.commit({ZERO: 2})
        consumer.commit({ZERO: 1})
        consumer.rewind()
        assert consumer.poll(harness.quiet) == []
    assert [lag.committed for lag in broker.lag(FRAMES, group="a")] == [2, 0]


def test_a_commit_beyond_the_end_is_refused_because_it_would_skip_what_is_to_come(broker: Broker) -> None:
    make(broker)
    send(broker, b"one")
    with broker.consumer(FRAMES, group="a") as consumer:
        read(consumer, 1)
        with pytest.raises(ValueError, match="beyond"):
            consumer.commit({ZERO: 2})
        consumer.commit({})
    assert [lag.committed for lag in broker.lag(FRAMES, group="a")] == [0, 0]


def test_lag_counts_what_is_not_committed(broker: Broker) -> None:
    make(broker)
    send(broker, b"one", b"two", b"three")
    assert [lag.records for lag in broker.lag(FRAMES, group="a")] == [3, 0]
    with broker.consumer(FRAMES, group="a") as consumer:
        read(consumer, 3)
        assert [lag.records for lag in broker.lag(FRAMES, group="a")] == [3, 0]
        consumer.commit({ZERO: 2})
    lag = broker.lag(FRAMES, group="a")
    assert [(part.partition, part.committed, part.end) for part in lag] == [(ZERO, 2, 3), (ONE, 0, 0)]


def test_lag_tells_since_when_the_oldest_record_waits(harness: Harness) -> None:
    broker = harness.open()
    make(broker)
    assert broker.lag(FRAMES, group="a") == [Lag(ZERO, 0, 0), Lag(ONE, 0, 0)]
    for number in range(6):
        send(broker, b"%d" % number, b"beside it")
        harness.clock.pass_(0.02)
    with broker.consumer(FRAMES, group="a") as consumer:
        messages = read(consumer, 12)
        times = [message.stored_at for message in messages]
        assert times == sorted(times)
        assert len(set(times)) >= 6
        assert [lag.since for lag in broker.lag(FRAMES, group="a")] == [times[0], None]
        for message in messages:
            consumer.commit(ends([message]))
            (lag, _) = broker.lag(FRAMES, group="a")
            assert lag.since == (times[lag.committed] if lag.records else None)


def test_a_topic_knows_the_groups_that_read_it(broker: Broker) -> None:
    broker.apply([Topic(FRAMES, 2), Topic("other", 1)])
    assert broker.groups(FRAMES) == []
    send(broker, b"one")
    for group in ("b", "a"):
        with broker.consumer(FRAMES, group=group) as consumer:
            consumer.commit(ends(read(consumer, 1)))
    assert broker.groups(FRAMES) == ["a", "b"]
    assert broker.groups("other") == []
    with pytest.raises(ValueError, match="nowhere"):
        broker.groups("nowhere")


# Members


def test_members_share_the_partitions_fairly_and_read_each_record_once(harness: Harness) -> None:
    broker = harness.open()
    make(broker, 5)
    for partition in range(5):
        send(broker, b"%d" % partition, partition=partition)
    with broker.consumer(FRAMES, group="a") as one, broker.consumer(FRAMES, group="a") as two:
        shares = settle(harness, one, two, shares=[2, 3])
        assert not shares[0] & shares[1]
        found = read(one, len(shares[0])) + read(two, len(shares[1]))
        assert sorted(values(found)) == [b"0", b"1", b"2", b"3", b"4"]
        harness.clock.pass_(harness.lease / 2)
        assert settle(harness, one, two) == shares  # a balanced group stands still


def test_a_member_too_many_gets_nothing_and_waits_for_its_chance(harness: Harness) -> None:
    broker = harness.open()
    make(broker, 1)
    one = broker.consumer(FRAMES, group="a")
    two = broker.consumer(FRAMES, group="a")
    settle(harness, one, shares=[1])
    assert settle(harness, one, two, shares=[0, 1]) == [{ZERO}, set()]
    one.close()
    assert settle(harness, two, shares=[1]) == [{ZERO}]
    two.close()


def test_a_named_member_that_comes_back_has_its_partitions_at_once(harness: Harness) -> None:
    broker, restarted = harness.open(), harness.open()
    make(broker)
    send(broker, b"one", b"two")
    killed = broker.consumer(FRAMES, group="a", member="worker-1")
    killed.commit(ends(read(killed, 2)[:1]))
    again = restarted.consumer(FRAMES, group="a", member="worker-1")
    assert values(read(again, 1)) == [b"two"]
    assert again.assignment() == {ZERO, ONE}
    again.close()
    killed.close()


def test_a_named_member_that_closes_is_waited_for_until_its_lease_ends(harness: Harness) -> None:
    broker = harness.open()
    make(broker)
    named = broker.consumer(FRAMES, group="a", member="worker-1")
    settle(harness, named, shares=[2])
    named.close()
    closed_at = harness.clock()
    with broker.consumer(FRAMES, group="a", member="worker-2") as other:
        other.heartbeat()
        if other.assignment():  # Kafka answers a join when the lease has ended, which ran since the last heartbeat
            assert harness.clock() - closed_at > harness.lease * 0.6e9
        harness.clock.pass_(harness.lease + 0.2)
        assert settle(harness, other, shares=[2]) == [{ZERO, ONE}]


def test_a_zombie_of_the_same_name_can_neither_commit_nor_read(harness: Harness) -> None:
    broker, restarted = harness.open(), harness.open()
    make(broker)
    send(broker, b"one", b"two")
    zombie = broker.consumer(FRAMES, group="a", member="worker-1")
    in_hand = read(zombie, 2)
    again = restarted.consumer(FRAMES, group="a", member="worker-1")
    assert values(read(again, 2)) == [b"one", b"two"]
    zombie.commit(ends(in_hand))
    assert [lag.committed for lag in broker.lag(FRAMES, group="a")] == [0, 0]
    send(broker, b"three")
    for _ in range(5):
        harness.clock.pass_(harness.lease / 3)
        again.heartbeat()
        assert zombie.poll(0) == []
    assert zombie.assignment() == set()
    assert values(read(again, 1)) == [b"three"]
    again.close()
    harness.clock.pass_(harness.lease + 1)
    assert values(read(zombie, 3)) == [b"one", b"two", b"three"]  # the name is free again
    zombie.close()
