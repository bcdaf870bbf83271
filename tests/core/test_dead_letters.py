"""Dead letters on every broker: read without a trace, put back as they were."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.services.plant import Services
from core.broker.kafka import KafkaBroker
from core.broker.local import LocalBroker
from core.broker.memory import MemoryBroker
from core.broker.protocol import Broker, Message, Partition, Topic
from core.dead_letters import Letter, Place, of, read, replay, replayed_from
from core.errors import NotAllowed, StoreUnavailable
from core.messages import CAMERAS, DEAD_LETTERS, FRAMES, FrameCaptured, FrameId
from core.stop import Stop
from tests.servers import kafka_of
from workers.runtime import Pace, Worker
from workers.steps import Dead, Outcome

FRAME = FrameCaptured(station="s", camera="top", session=7, seq=3, captured_at=10**18, product="ring")
TOPICS = [Topic(FRAMES, 2), *(Topic(name, 1) for name in DEAD_LETTERS.values())]


@pytest.fixture(scope="module", params=["memory", "local", "kafka"])
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    if request.param == "memory":
        with MemoryBroker() as memory:
            memory.apply(TOPICS)
            yield memory
    elif request.param == "local":
        with LocalBroker(tmp_path_factory.mktemp("log") / "log.sqlite") as local:
            local.apply(TOPICS)
            yield local
    else:
        servers: Services = request.getfixturevalue("servers")
        with KafkaBroker(kafka_of(servers)) as kafka:
            kafka.apply(TOPICS)
            yield kafka


class Undertaker:
    """A step that gives every message up."""

    def __call__(self, messages: list[Message]) -> list[Outcome]:
        """Dead, all of them."""
        return [Dead(f"{len(message.value)} bytes are no picture") for message in messages]

    def give_up(self, message: Message, detail: str) -> Outcome:
        """Dead."""
        return Dead(detail)


def bury(log: Broker, *values: bytes, partition: int = 1) -> None:
    """Send frames and have a real worker give them up."""
    with log.producer() as producer:
        for value in values:
            producer.send(FRAMES, value, partition=partition, key="top", headers=FRAME.headers())
        producer.flush()
    with log.consumer(FRAMES, group="undertaker", member="one") as consumer, log.producer() as dead:
        worker = Worker(consumer, dead, Undertaker(), stop=Stop(), pace=Pace(poll=0.5))  # type: ignore[arg-type]  # Sequence
        done = 0
        while done < len(values):
            done += worker.step()


def listed(log: Broker, topic: str = FRAMES) -> list[Letter]:
    return list(read(log, topic))


def test_letters_tell_where_they_came_from_and_why_and_come_back_as_they_were(log: Broker) -> None:
    before = len(listed(log))
    bury(log, b"one", b"seven b")
    first, second = listed(log)[before:]
    assert (first.value, first.key, first.why, first.frame) == (b"one", "top", "3 bytes are no picture", FRAME.id)
    assert (first.origin, first.replays) == (Partition(FRAMES, 1), None)
    assert (first.headers, first.place.topic) == (FRAME.headers(), "frames.dlq")
    assert second.offset == first.offset + 1
    assert 0 < first.stored_at <= first.dead_at

    with log.producer() as producer:
        assert replay(producer, first) == Partition(FRAMES, 1)
    with log.consumer(FRAMES, group="undertaker", member="one") as consumer:
        found = list(itertools.islice(iter_until(consumer.poll), 1))
        assert (found[0].value, found[0].key) == (b"one", "top")
        assert found[0].headers == (*FRAME.headers(), ("replayed", str(first.place).encode()))
        assert replayed_from(found[0].headers) == first.place


def iter_until(poll: object) -> Iterator[Message]:
    """Messages as they come, for half a minute at most."""
    for _ in range(60):
        yield from poll(0.5)  # type: ignore[operator]  # a consumer's poll


def test_reading_takes_part_in_no_group_and_a_second_reader_sees_all(log: Broker) -> None:
    bury(log, b"x")
    position = log.lag("frames.dlq", group="watch")
    both = listed(log), listed(log)
    assert both[0] == both[1]
    assert log.lag("frames.dlq", group="watch") == position
    assert [lag.committed for lag in log.lag(FRAMES, group="undertaker")][1] > 0


def test_a_letter_that_was_replayed_and_given_up_again_names_the_one_it_comes_of(log: Broker) -> None:
    bury(log, b"again")
    first = listed(log)[-1]
    with log.producer() as producer:
        replay(producer, first)
    bury(log)  # the worker takes what is there
    with log.consumer(FRAMES, group="undertaker", member="one") as consumer, log.producer() as dead:
        worker = Worker(consumer, dead, Undertaker(), stop=Stop(), pace=Pace(poll=0.5))  # type: ignore[arg-type]  # Sequence
        while not worker.step():
            pass
    second = listed(log)[-1]
    assert (second.value, second.replays) == (b"again", first.place)
    with log.producer() as producer:
        replay(producer, second)
    assert [name for name, _ in second.headers].count("replayed") == 1


def test_a_topic_without_letters_is_empty_and_one_without_dead_letters_is_refused(log: Broker) -> None:
    assert listed(log, CAMERAS) == []
    with pytest.raises(ValueError, match="'verdicts' has no dead letters; frames, cameras, routes have"):
        listed(log, "verdicts")


def test_a_broker_that_answers_with_nothing_is_said_to_be_away(log: Broker) -> None:
    bury(log, b"y")
    with pytest.raises(StoreUnavailable, match="no record came for"):
        list(itertools.islice(read(log, FRAMES, patience=-1.0), 10**6))


def test_a_letter_that_does_not_say_where_it_came_from_cannot_be_put_back() -> None:
    letter = of(Message(Partition("frames.dlq", 0), 5, "", b"v", (("dead.detail", b"odd \xff"),), 9))
    assert (letter.origin, letter.offset, letter.frame, letter.why) == (None, -1, None, "odd �")
    with MemoryBroker() as memory, memory.producer() as producer, pytest.raises(NotAllowed, match=r"frames\.dlq/0/5"):
        replay(producer, letter)


def test_a_letter_that_names_another_topic_is_not_put_there() -> None:
    stranger = (("dead.topic", b"verdicts"), ("dead.partition", b"0"))
    letter = of(Message(Partition("frames.dlq", 0), 5, "", b"v", stranger, 9))
    with MemoryBroker() as memory, memory.producer() as producer, pytest.raises(NotAllowed):
        replay(producer, letter)


OURS = ["dead.topic", "dead.partition", "dead.offset", "camera", "session", "seq", "replayed"]


@given(st.lists(st.tuples(st.text(max_size=20) | st.sampled_from(OURS), st.binary(max_size=30))))
def test_any_headers_make_a_letter(headers: list[tuple[str, bytes]]) -> None:
    letter = of(Message(Partition("frames.dlq", 0), 5, "", b"v", tuple(headers), 9))
    assert letter.offset >= -1
    assert letter.replays is None or isinstance(letter.replays, Place)
    assert letter.frame is None or isinstance(letter.frame, FrameId)


@given(st.builds(Place, st.text("abc.-/", min_size=1), st.integers(0, 10**9), st.integers(0, 10**15)))
def test_a_place_reads_back(place: Place) -> None:
    assert Place.of(str(place)) == place


@pytest.mark.parametrize("text", ["", "17", "0/17", "/0/17", "a/b/17", "a/0/-1", "a/0/²", "a/0/" + "9" * 30])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no place of a dead letter"):
        Place.of(text)
