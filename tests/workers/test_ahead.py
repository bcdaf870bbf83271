"""The next batch is begun while the one before it is given its effects; whatever goes wrong, nothing is skipped."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.broker.memory import MemoryBroker
from core.broker.protocol import Message, Topic
from core.errors import StoreUnavailable
from core.messages import DEAD_LETTERS, FRAMES
from core.stop import Stop
from tests.workers.test_runtime import Killed, Tally
from workers.runtime import KILLS_ALLOWED, Pace, Watch, Worker
from workers.steps import Ahead, Dead, Done, Outcome, Wait

BATCH = 3
PACE = Pace(poll=0.0, batch=BATCH, backoff=0.4, backoff_most=3.0, sleep=lambda _: None)
Mishap = Callable[[str, bytes], Outcome]  # the moment, begin or finish, and a message's value


def all_well(_moment: str, _value: bytes) -> Outcome:
    return Done()


@dataclass
class Diary:
    """A step in two halves that writes down what it does; `mishap` may raise, or say another outcome."""

    mishap: Mishap = all_well
    lines: list[str] = field(default_factory=list)
    effects: list[bytes] = field(default_factory=list)

    def begin(self, messages: Sequence[Message]) -> "Entry":
        self.lines.append(f"begin {_values(messages)}")
        for message in messages:
            self.mishap("begin", message.value)
        return Entry(self, messages)

    def __call__(self, messages: Sequence[Message]) -> list[Outcome]:
        raise AssertionError("a step that can begin is begun")

    def give_up(self, message: Message, detail: str) -> Outcome:
        self.lines.append(f"give up {message.value.decode()}")
        self.effects.append(message.value)
        return Dead(detail)


@dataclass
class Entry:
    diary: Diary
    messages: Sequence[Message]

    def finish(self, idle: Callable[[], None]) -> list[Outcome]:
        idle()
        outcomes = [self.diary.mishap("finish", message.value) for message in self.messages]
        self.diary.lines.append(f"finish {_values(self.messages)}")
        if waits := [outcome for outcome in outcomes if isinstance(outcome, Wait)]:
            return [waits[0]] * len(outcomes)  # a store that is away is away for the whole batch
        self.diary.effects += [message.value for message in self.messages]
        return outcomes

    def drop(self) -> None:
        self.diary.lines.append(f"drop {_values(self.messages)}")


def _values(messages: Sequence[Message]) -> str:
    return " ".join(message.value.decode() for message in messages)


@pytest.fixture
def broker() -> Iterator[MemoryBroker]:
    with MemoryBroker() as broker:
        broker.apply([Topic(FRAMES, 2), Topic(DEAD_LETTERS[FRAMES], 1)])
        yield broker


def send(broker: MemoryBroker, values: str, partition: int = 0) -> None:
    with broker.producer() as producer:
        for value in values:
            producer.send(FRAMES, value.encode(), partition=partition)


def worker(broker: MemoryBroker, diary: Diary, *, stop: Stop | None = None, watch: Watch | None = None) -> Worker:
    assert isinstance(diary, Ahead)
    consumer = broker.consumer(FRAMES, group="inspection", member="one")
    return Worker(consumer, broker.producer(), diary, stop=stop or Stop(), watch=watch, pace=PACE)


def committed(broker: MemoryBroker) -> list[int]:
    return [lag.committed for lag in broker.lag(FRAMES, group="inspection")]


def test_the_next_batch_is_begun_before_this_one_is_given_its_effects(broker: MemoryBroker) -> None:
    send(broker, "abcdefghi")
    diary = Diary()
    turn = worker(broker, diary)
    assert [turn.step() for _ in range(4)] == [3, 3, 3, 0]
    assert diary.lines == ["begin a b c", "begin d e f", "finish a b c", "begin g h i", "finish d e f", "finish g h i"]
    assert committed(broker) == [9, 0]


def test_each_batch_is_committed_by_its_own_turn_and_no_further(broker: MemoryBroker) -> None:
    send(broker, "abcdef")
    turn = worker(broker, Diary())
    turn.step()
    assert committed(broker) == [3, 0]


def test_the_first_batch_of_a_partition_goes_alone_so_that_its_tries_are_counted(broker: MemoryBroker) -> None:
    send(broker, "abcdef")
    diary = Diary()
    turn = worker(broker, diary)
    turn.step()
    send(broker, "xyz", partition=1)
    while turn.step():
        pass
    assert diary.lines[2:] == ["finish a b c", "finish d e f", "begin x y z", "finish x y z"]
    assert committed(broker) == [6, 3]


def test_what_was_begun_ahead_is_dropped_and_read_again_when_a_store_is_away(broker: MemoryBroker) -> None:
    send(broker, "abcdef")
    away = [True]

    def mishap(moment: str, _: bytes) -> Outcome:
        return Wait("the database is away") if moment == "finish" and away[0] else Done()

    diary = Diary(mishap)
    turn = worker(broker, diary)
    turn.step()
    assert diary.lines == ["begin a b c", "begin d e f", "finish a b c", "drop d e f"]
    assert committed(broker) == [0, 0]
    away[0] = False
    while turn.step():
        pass
    assert diary.effects == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert committed(broker) == [6, 0]


@pytest.mark.parametrize("problem", [StoreUnavailable("away"), RuntimeError("nobody foresaw it")])
def test_a_batch_that_cannot_be_begun_ahead_is_not_lost(broker: MemoryBroker, problem: Exception) -> None:
    send(broker, "abcdefghi")
    once = [problem]

    def mishap(moment: str, value: bytes) -> Outcome:
        if moment == "begin" and value == b"d" and once:
            raise once.pop()
        return Done()

    diary = Diary(mishap)
    turn = worker(broker, diary)
    while turn.step():
        pass
    assert sorted(set(diary.effects)) == [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h", b"i"]
    assert committed(broker) == [9, 0]


def test_a_batch_that_fails_is_tried_one_by_one_while_the_next_waits_its_turn(broker: MemoryBroker) -> None:
    send(broker, "abcdef")

    def mishap(moment: str, value: bytes) -> Outcome:
        if moment == "finish" and value == b"b":
            raise RuntimeError("nobody foresaw it")
        return Done()

    diary = Diary(mishap)
    turn = worker(broker, diary)
    while turn.step():
        pass
    assert diary.effects == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert [line for line in diary.lines if line.startswith("give up")] == ["give up b"]
    assert committed(broker) == [6, 0]


def test_who_is_asked_to_stop_begins_nothing_more_and_drops_what_is_begun(broker: MemoryBroker) -> None:
    send(broker, "abcdefghi")
    stop = Stop()

    def mishap(moment: str, value: bytes) -> Outcome:
        if moment == "finish" and value == b"c":
            stop.asked = True
        return Done()

    diary = Diary(mishap)
    worker(broker, diary, stop=stop).run()
    assert diary.lines == ["begin a b c", "begin d e f", "finish a b c", "drop d e f"]
    assert committed(broker) == [3, 0]


@pytest.mark.parametrize("moment", ["begin", "finish"])
@pytest.mark.parametrize("killer", list("abcdefgh"))
def test_a_message_that_kills_its_worker_is_given_up_and_no_other(
    broker: MemoryBroker, killer: str, moment: str
) -> None:
    send(broker, "abcdefgh")
    tally = Tally()

    def mishap(now: str, value: bytes) -> Outcome:
        if now == moment and value == killer.encode():
            raise Killed
        return Done()

    given_up: list[str] = []
    for _ in range(4 * (KILLS_ALLOWED + 2)):
        diary = Diary(mishap)
        turn = worker(broker, diary, watch=Watch(tally))
        try:
            while turn.step():
                pass
        except Killed:
            turn._consumer.rewind()
        given_up += [line for line in diary.lines if line.startswith("give up")]
    assert given_up == [f"give up {killer}"]
    assert committed(broker) == [8, 0]


mishaps = st.sampled_from(["well", "well", "well", "wait", "away", "crash", "kill"])


@given(values=st.lists(st.integers(0, 1), min_size=1, max_size=24), script=st.lists(mishaps, max_size=40))
def test_whatever_goes_wrong_every_message_has_its_effect_in_order_and_none_is_skipped(
    values: list[int], script: list[str]
) -> None:
    left = list(script)

    def mishap(_moment: str, _value: bytes) -> Outcome:
        what = left.pop(0) if left else "well"
        if what == "kill":
            raise Killed
        if what == "crash":
            raise RuntimeError("nobody foresaw it")
        if what == "away":
            raise StoreUnavailable("a store is away")
        return Wait("away") if what == "wait" else Done()

    with MemoryBroker() as broker:
        broker.apply([Topic(FRAMES, 2), Topic(DEAD_LETTERS[FRAMES], 1)])
        with broker.producer() as producer:
            for number, partition in enumerate(values):
                producer.send(FRAMES, str(number).encode(), partition=partition)
        tally, effects = Tally(), []
        for _ in range(3 * len(script) + 3 * len(values) + 3):
            diary = Diary(mishap)
            turn = worker(broker, diary, watch=Watch(tally))
            try:
                while turn.step() or any(lag.records for lag in broker.lag(FRAMES, group="inspection")):
                    pass
            except (Killed, RuntimeError):
                turn._consumer.rewind()
            effects += diary.effects
        assert sum(lag.records for lag in broker.lag(FRAMES, group="inspection")) == 0
        first = {value: place for place, value in reversed(list(enumerate(effects)))}
        for partition in (0, 1):
            mine = [str(number).encode() for number, owner in enumerate(values) if owner == partition]
            assert [first[value] for value in mine] == sorted(first[value] for value in mine)
