"""What becomes of a message: on a real small broker, with steps that misbehave in every way."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.broker.memory import MemoryBroker
from core.broker.protocol import Consumer, Message, Partition, Topic
from core.errors import StoreUnavailable
from core.messages import DEAD_LETTERS, FRAMES
from core.stop import Stop
from workers.runtime import CRASHES_ALLOWED, KILLS_ALLOWED, Pace, Watch, Worker, finished
from workers.steps import Dead, Done, Outcome, Wait

QUICK = Pace(poll=0.0, batch=8, backoff=0.4, backoff_most=3.0, sleep=lambda _: None)
Behaviour = Callable[[bytes], Outcome]


@dataclass
class Recorder:
    """A step that does what its behaviour says for each value, and remembers what it was asked."""

    behave: Behaviour
    seen: list[bytes] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    given_up: list[tuple[bytes, str]] = field(default_factory=list)

    def __call__(self, messages: Sequence[Message]) -> list[Outcome]:
        self.batches.append(len(messages))
        outcomes = []
        for message in messages:
            self.seen.append(message.value)
            outcomes.append(self.behave(message.value))
        return outcomes

    def give_up(self, message: Message, detail: str) -> Outcome:
        self.given_up.append((message.value, detail))
        return Dead(detail)


@pytest.fixture
def broker() -> Iterator[MemoryBroker]:
    with MemoryBroker() as broker:
        broker.apply([Topic(FRAMES, 2), Topic(DEAD_LETTERS[FRAMES], 1)])
        yield broker


def send(broker: MemoryBroker, *values: bytes, partition: int = 0) -> None:
    with broker.producer() as producer:
        for value in values:
            producer.send(FRAMES, value, partition=partition, headers=(("camera", b"top"),))


def consumer(broker: MemoryBroker) -> Consumer:
    return broker.consumer(FRAMES, group="inspection", member="one")


def worker(broker: MemoryBroker, step: Recorder, taken: Consumer | None = None, pace: Pace = QUICK) -> Worker:
    return Worker(taken or consumer(broker), broker.producer(), step, stop=Stop(), pace=pace)


def committed(broker: MemoryBroker, partition: int = 0) -> int:
    return broker.lag(FRAMES, group="inspection")[partition].committed


def dead(broker: MemoryBroker) -> list[Message]:
    with broker.consumer(DEAD_LETTERS[FRAMES], group="readers") as reader:
        return reader.poll(0.0)


def raises(problem: Exception, bad: bytes) -> Behaviour:
    def behave(value: bytes) -> Outcome:
        if value == bad:
            raise problem
        return Done()

    return behave


def test_a_turn_without_messages_does_nothing(broker: MemoryBroker) -> None:
    step = Recorder(lambda _: Done())
    assert worker(broker, step).step() == 0
    assert step.batches == []


def test_what_is_done_is_committed(broker: MemoryBroker) -> None:
    send(broker, b"a", b"b")
    assert worker(broker, Recorder(lambda _: Done())).step() == 2
    assert committed(broker) == 2


def test_a_dead_message_goes_to_the_dead_letters_with_where_it_came_from_and_why(broker: MemoryBroker) -> None:
    send(broker, b"a", b"b", b"c")
    worker(broker, Recorder(lambda value: Dead("not a picture") if value == b"b" else Done())).step()
    (letter,) = dead(broker)
    assert letter.value == b"b"
    headers = dict(letter.headers)
    assert headers["camera"] == b"top"
    assert (headers["dead.topic"], headers["dead.partition"], headers["dead.offset"]) == (b"frames", b"0", b"1")
    assert headers["dead.detail"] == b"not a picture"
    assert committed(broker) == 3


def test_a_store_that_is_away_commits_nothing_and_reads_again(broker: MemoryBroker) -> None:
    send(broker, b"a", b"b")
    away = [True]

    def behave(value: bytes) -> Outcome:
        if away[0]:
            raise StoreUnavailable("the database is away")
        return Done()

    step = Recorder(behave)
    turn = worker(broker, step)
    turn.step()
    assert committed(broker) == 0
    away[0] = False
    turn.step()
    assert committed(broker) == 2
    assert step.seen == [b"a", b"a", b"b"]


def test_a_wait_holds_back_what_follows_it_in_its_partition_only(broker: MemoryBroker) -> None:
    send(broker, b"a", b"wait", b"c")
    send(broker, b"other", partition=1)
    worker(broker, Recorder(lambda value: Wait("away") if value == b"wait" else Done())).step()
    assert committed(broker, 0) == 1
    assert committed(broker, 1) == 1


def test_one_bad_message_takes_no_neighbour_along(broker: MemoryBroker) -> None:
    send(broker, b"a", b"bad", b"c")
    step = Recorder(raises(RuntimeError("kaboom"), b"bad"))
    worker(broker, step).step()
    assert step.batches == [3, 1, 1, 1]
    assert [value for value, _ in step.given_up] == [b"bad"]
    assert "RuntimeError: kaboom" in step.given_up[0][1]
    assert [letter.value for letter in dead(broker)] == [b"bad"]
    assert committed(broker) == 3


def test_several_unforeseen_errors_in_a_row_end_the_process_without_a_commit(broker: MemoryBroker) -> None:
    send(broker, *[b"%d" % number for number in range(CRASHES_ALLOWED + 1)])

    def broken(_: bytes) -> Outcome:
        raise RuntimeError("the graphics card fell off")

    with pytest.raises(RuntimeError, match="fell off"):
        worker(broker, Recorder(broken)).step()
    assert committed(broker) == 0


def test_a_good_message_between_them_starts_the_count_anew(broker: MemoryBroker) -> None:
    values = [b"bad", b"bad", b"good", b"bad", b"bad"]
    send(broker, *values)
    step = Recorder(raises(RuntimeError("kaboom"), b"bad"))
    worker(broker, step).step()
    assert len(step.given_up) == 4
    assert committed(broker) == 5


def test_a_store_that_goes_away_in_the_middle_of_single_tries_waits_for_the_rest(broker: MemoryBroker) -> None:
    send(broker, b"bad", b"b", b"c")
    calls = [0]

    def behave(value: bytes) -> Outcome:
        calls[0] += 1
        if value == b"bad":
            raise RuntimeError("kaboom")
        raise StoreUnavailable("away")

    worker(broker, Recorder(behave)).step()
    assert committed(broker) == 1


class Flaky:
    """A consumer whose calls fail as told; everything else is the real one."""

    def __init__(self, real: Consumer, failing: set[str]) -> None:
        self._real = real
        self.failing = failing

    def __getattr__(self, name: str) -> object:
        if name in self.failing:

            def away(*_: object, **__: object) -> None:
                raise StoreUnavailable(f"no answer to {name}")

            return away
        return getattr(self._real, name)


@pytest.mark.parametrize("failing", [{"commit"}, {"commit", "rewind"}, {"commit", "rewind", "heartbeat", "poll"}])
def test_nothing_is_skipped_when_the_broker_goes_away_after_the_work(broker: MemoryBroker, failing: set[str]) -> None:
    send(broker, b"a", b"b")
    flaky = Flaky(consumer(broker), set(failing))
    step = Recorder(lambda _: Done())
    turn = worker(broker, step, flaky)  # type: ignore[arg-type]
    turn.step()
    turn.step()
    assert committed(broker) == 0
    flaky.failing = set()
    send(broker, b"c")
    turn.step()
    assert committed(broker) == 3
    assert step.seen[-3:] == [b"a", b"b", b"c"]


def test_the_pause_doubles_up_to_its_limit_and_starts_over(broker: MemoryBroker) -> None:
    slept: list[float] = []
    flaky = Flaky(consumer(broker), {"poll"})
    turn = worker(broker, Recorder(lambda _: Done()), flaky, replace(QUICK, sleep=slept.append))  # type: ignore[arg-type]
    pauses = []
    for _ in range(5):
        slept.clear()
        turn.step()
        pauses.append(round(sum(slept), 3))
    assert pauses == [0.4, 0.8, 1.6, 3.0, 3.0]
    flaky.failing = set()
    turn.step()
    flaky.failing = {"poll"}
    slept.clear()
    turn.step()
    assert sum(slept) == pytest.approx(0.4)


def test_a_stop_ends_the_pause_and_the_run(broker: MemoryBroker) -> None:
    stop = Stop()

    def sleep(_: float) -> None:
        stop.asked = True

    flaky = Flaky(consumer(broker), {"poll"})
    pace = replace(QUICK, backoff=100.0, backoff_most=100.0, sleep=sleep)
    Worker(flaky, broker.producer(), Recorder(lambda _: Done()), stop=stop, pace=pace).run()  # type: ignore[arg-type]
    assert stop.asked


@dataclass
class Tally:
    """A guard in memory that outlives the worker, as the database does."""

    row: dict[Partition, tuple[int, int]] = field(default_factory=dict)

    def begin(self, partition: Partition, offset: int) -> int:
        at, tries = self.row.get(partition, (-1, 0))
        tries = tries + 1 if at == offset else 1
        self.row[partition] = offset, tries
        return tries

    def note(self, partition: Partition, offset: int, tries: int) -> None:
        self.row[partition] = offset, tries


class Killed(BaseException):
    """Stands for a process that is gone: nothing of ours catches it."""


def lives(broker: MemoryBroker, tally: Tally, behave: Behaviour, most: int = 12) -> tuple[int, Recorder]:
    """Start workers, one after the other, until one lives through its turn; return how many it took."""
    step = Recorder(behave)
    for life in range(1, most + 1):
        taken = consumer(broker)
        try:
            Worker(taken, broker.producer(), step, stop=Stop(), watch=Watch(tally), pace=QUICK).step()
        except Killed:
            taken.rewind()
            continue
        return life, step
    raise AssertionError("no worker lived")


@pytest.mark.parametrize("values", [[b"killer", b"b", b"c"], [b"a", b"b", b"killer"]])
def test_a_message_that_kills_its_worker_is_given_up_and_no_other(broker: MemoryBroker, values: list[bytes]) -> None:
    send(broker, *values)
    life, step = lives(broker, Tally(), lambda value: (_ for _ in ()).throw(Killed()) if value == b"killer" else Done())
    assert life == KILLS_ALLOWED + 2
    assert [value for value, _ in step.given_up] == [b"killer"]
    assert "ended its worker again and again" in step.given_up[0][1]
    assert committed(broker) == 3


def test_two_killers_in_two_partitions_are_both_given_up(broker: MemoryBroker) -> None:
    send(broker, b"a", b"killer", b"c")
    send(broker, b"d", b"killer", b"f", partition=1)
    tally, step = Tally(), Recorder(lambda value: (_ for _ in ()).throw(Killed()) if value == b"killer" else Done())
    while sum(lag.records for lag in broker.lag(FRAMES, group="inspection")):
        lives(broker, tally, step.behave)
    assert [letter.value for letter in dead(broker)] == [b"killer"] * 2


def test_a_wait_is_no_crash_however_often_the_worker_is_started(broker: MemoryBroker) -> None:
    send(broker, b"a", b"b")
    tally = Tally()
    for _ in range(10):
        worker_ = Worker(
            consumer(broker),
            broker.producer(),
            Recorder(lambda _: Wait("disk full")),
            stop=Stop(),
            watch=Watch(tally),
            pace=QUICK,
        )
        worker_.step()
    step = Recorder(lambda _: Done())
    Worker(consumer(broker), broker.producer(), step, stop=Stop(), watch=Watch(tally), pace=QUICK).step()
    assert step.given_up == []
    assert committed(broker) == 2


outcomes = st.sampled_from([Done(), Dead("bad"), Wait("away")])


@given(st.lists(st.tuples(st.integers(0, 2), outcomes), max_size=30))
def test_offsets_move_over_done_and_dead_and_never_over_a_wait(rows: list[tuple[int, Outcome]]) -> None:
    offsets = dict.fromkeys(range(3), 0)
    settled = []
    for number, outcome in rows:
        settled.append((Message(Partition(FRAMES, number), offsets[number], "", b"", (), 0), outcome))
        offsets[number] += 1
    ends = finished(settled)
    for number in range(3):
        mine = [outcome for message, outcome in settled if message.partition.number == number]
        until = next((place for place, outcome in enumerate(mine) if isinstance(outcome, Wait)), len(mine))
        assert ends.get(Partition(FRAMES, number), 0) == until


def test_what_is_buried_is_logged_with_its_reason(broker: MemoryBroker, caplog: pytest.LogCaptureFixture) -> None:
    send(broker, b"x")
    with caplog.at_level(logging.WARNING):
        worker(broker, Recorder(lambda _: Dead("a text file"))).step()
    assert "frames/0 offset 0: a text file" in caplog.text
