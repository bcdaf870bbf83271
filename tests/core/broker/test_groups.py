"""The pure rules of sharing partitions and of retention, and both brokers beside a model under random use."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.broker.groups import FREE, fair_change
from core.broker.local import LocalBroker
from core.broker.memory import MemoryBroker
from core.broker.protocol import Broker, Consumer, Message, Partition, Topic
from core.broker.retention import Head, outlived, unread
from tests.core.broker.conftest import LEASE_SECONDS, HandMovedClock

PARTITIONS = 3
MEMBERS = ["m1", "m2", "m3"]


@given(st.lists(st.sampled_from(["a", "b", "c", "d", FREE]), max_size=12), st.sets(st.sampled_from("abcd"), min_size=1))
def test_members_that_act_in_turn_come_to_fair_shares_and_stay_there(start: list[str], members: set[str]) -> None:
    owners = {number: owner if owner in members else FREE for number, owner in enumerate(start)}

    def turn() -> bool:
        moved = False
        for me in sorted(members):
            take, give = fair_change(owners, members, me)
            assert all(owners[number] == FREE for number in take)
            assert all(owners[number] == me for number in give)
            owners.update(dict.fromkeys(take, me) | dict.fromkeys(give, FREE))
            moved |= bool(take or give)
        return moved

    for _ in range(3):
        turn()
    assert not turn()
    counts = [list(owners.values()).count(member) for member in members]
    assert sum(counts) == len(owners)
    assert max(counts) - min(counts) <= 1


def test_what_is_in_hand_is_not_given_away() -> None:
    owners = {0: "a", 1: "a", 2: "a", 3: "a"}
    assert fair_change(owners, {"a", "b"}, "a", {0, 1, 2, 3}) == (set(), set())
    assert fair_change(owners, {"a", "b"}, "a", {0, 2, 3}) == (set(), {1})
    assert fair_change(owners, {"a", "b"}, "a") == (set(), {2, 3})


heads = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=20)


@given(heads, st.integers(0, 1000), st.integers(0, 100))
def test_retention_takes_a_prefix_and_no_more_than_its_bounds_ask(
    sizes_and_times: list[tuple[int, int]], most: int, before: int
) -> None:
    log = [Head(5 + number, size, at) for number, (size, at) in enumerate(sizes_and_times)]
    total = sum(head.size for head in log)
    gone = outlived(log, total=total, most=most, before=before, last=5 + len(log) - 1)
    kept = log[len(gone) :]
    assert log[: len(gone)] == gone
    if kept:
        assert kept[0].stored_at >= before
        assert sum(head.size for head in kept) <= most or len(kept) == 1
    if gone:
        last = gone[-1]
        assert last.stored_at < before or last.size + sum(head.size for head in kept) > most


def test_unread_counts_only_what_was_there_and_not_finished() -> None:
    assert unread(3, first=0, kept_from=5) == 2
    assert unread(7, first=0, kept_from=5) == 0
    assert unread(1, first=4, kept_from=5) == 1


class GroupUse(RuleBasedStateMachine):
    """Members join, read, commit, stall, restart and leave at random, on both brokers at once."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandMovedClock()
        self.folder = tempfile.TemporaryDirectory()
        self.brokers: list[Broker] = [
            MemoryBroker(lease_seconds=LEASE_SECONDS, clock=self.clock),
            LocalBroker(Path(self.folder.name) / "log.sqlite", lease_seconds=LEASE_SECONDS, clock=self.clock),
        ]
        self.producers = []
        for broker in self.brokers:
            broker.apply([Topic("frames", PARTITIONS)])
            self.producers.append(broker.producer())
        self.members: dict[str, list[Consumer]] = {}
        self.hands: dict[str, list[Message]] = {}
        self.zombies: list[Consumer] = []
        self.sent = [0] * PARTITIONS
        self.polled: list[set[int]] = [set() for _ in range(PARTITIONS)]
        self.committed = [0] * PARTITIONS

    @rule(partition=st.integers(0, PARTITIONS - 1), count=st.integers(1, 4))
    def send(self, partition: int, count: int) -> None:
        for producer in self.producers:
            for number in range(count):
                producer.send("frames", b"%d" % (self.sent[partition] + number), partition=partition)
            producer.flush()
        self.sent[partition] += count

    @rule(name=st.sampled_from(MEMBERS), most=st.integers(1, 5))
    def poll(self, name: str, most: int) -> None:
        first, second = [consumer.poll(0, most=most) for consumer in self.member(name)]
        assert [(m.partition, m.offset, m.value) for m in first] == [(m.partition, m.offset, m.value) for m in second]
        for message in first:
            assert message.value == b"%d" % message.offset
            assert message.partition in self.members[name][0].assignment()
            self.polled[message.partition.number].add(message.offset)
        self.hands[name] += first

    @rule(name=st.sampled_from(MEMBERS), share=st.integers(1, 5))
    def commit(self, name: str, share: int) -> None:
        done = self.hands.get(name, [])[:share]
        ends = {message.partition: message.offset + 1 for message in done}
        for consumer in self.member(name):
            consumer.commit(ends)
        self.hands[name] = self.hands[name][share:]

    @rule(name=st.sampled_from(MEMBERS))
    def rewind(self, name: str) -> None:
        for consumer in self.member(name):
            consumer.rewind()
        self.hands[name] = []

    @rule(name=st.sampled_from(MEMBERS))
    def heartbeat(self, name: str) -> None:
        for consumer in self.member(name):
            consumer.heartbeat()

    @rule(seconds=st.sampled_from([1.0, 3.0, LEASE_SECONDS + 1]))
    def time_passes(self, seconds: float) -> None:
        self.clock.pass_(seconds)

    @rule(name=st.sampled_from(MEMBERS))
    def kill(self, name: str) -> None:
        self.zombies += self.members.pop(name, [])
        self.hands.pop(name, None)

    @rule(offset=st.integers(1, 10), partition=st.integers(0, PARTITIONS - 1))
    def a_zombie_commits(self, offset: int, partition: int) -> None:
        for zombie in self.zombies[-2:]:
            if offset <= self.sent[partition] and set(range(offset)) <= self.polled[partition]:
                zombie.commit({Partition("frames", partition): offset})

    @invariant()
    def the_books_agree(self) -> None:
        first, second = ([lag.committed for lag in broker.lag("frames", group="a")] for broker in self.brokers)
        assert first == second
        for number, committed in enumerate(first):
            assert committed >= self.committed[number]  # never backwards
            assert set(range(committed)) <= self.polled[number]  # nothing was skipped
        self.committed = first
        for consumers in self.members.values():
            assert consumers[0].assignment() == consumers[1].assignment()

    def member(self, name: str) -> list[Consumer]:
        if name not in self.members:
            self.members[name] = [broker.consumer("frames", group="a", member=name) for broker in self.brokers]
            self.hands[name] = []
        return self.members[name]

    def teardown(self) -> None:
        self.clock.pass_(LEASE_SECONDS + 1)
        for broker in self.brokers:
            with broker.consumer("frames", group="a") as last:
                rest = {number: list(range(self.committed[number], self.sent[number])) for number in range(PARTITIONS)}
                found: dict[int, list[int]] = {number: [] for number in range(PARTITIONS)}
                while messages := last.poll(0):
                    for message in messages:
                        found[message.partition.number].append(message.offset)
                assert found == rest
        for consumers in [*self.members.values(), self.zombies]:
            for consumer in consumers:
                consumer.close()
        for producer, broker in zip(self.producers, self.brokers, strict=True):
            producer.close()
            broker.close()
        self.folder.cleanup()


TestGroupUse = GroupUse.TestCase
TestGroupUse.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
