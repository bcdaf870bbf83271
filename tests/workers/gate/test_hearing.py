"""The gate's ears: what was said before it listened is stale, and no trouble with the broker ends it."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.services.plant import Services
from core.broker.kafka import KafkaBroker
from core.broker.local import LocalBroker
from core.broker.memory import MemoryBroker
from core.broker.protocol import Broker, Topic
from core.errors import StoreUnavailable
from core.messages import VERDICTS
from tests.servers import kafka_of
from tests.workers.gate.bench import told
from tests.workers.gate.listeners import until
from workers.gate.events import Event, Heard, Listening
from workers.gate.hearing import Hearing


class Room:
    """A broker with topic verdicts, and a gate's ears in front of it."""

    def __init__(self, open_broker: Callable[[], Broker]) -> None:
        self.open = open_broker
        self.is_away = False
        self.events: list[Event] = []
        with open_broker() as broker:
            broker.apply([Topic(VERDICTS, 1)])
        self.ears = Hearing(self._open, "gate-g", self.events.append, poll=0.02)

    def _open(self) -> Broker:
        if self.is_away:
            raise StoreUnavailable("away")
        return self.open()

    def say(self, *parts: int, raw: bytes = b"") -> None:
        with self.open() as broker, broker.producer() as producer:
            for part in parts:
                producer.send(VERDICTS, told(part).to_json(), partition=0)
            if raw:
                producer.send(VERDICTS, raw, partition=0)

    def listen(self) -> None:
        before = len(self.said())
        self.ears.start()
        self.wait_until_heard(before)

    def wait_until_heard(self, before: int = 0) -> None:
        until(lambda: self.said()[before:][-1:] == [Listening("")], "the gate to listen")

    def said(self) -> list[Listening]:
        """Whether it listens, as it told over time."""
        return [event for event in self.events if isinstance(event, Listening)]

    def fresh(self) -> list[str]:
        return [event.told.part_id for event in self.events if isinstance(event, Heard) and not event.is_stale]


@pytest.fixture(params=["local", "kafka"])
def room(request: pytest.FixtureRequest, tmp_path: Path, servers: Services) -> Iterator[Room]:
    kafka = kafka_of(servers)
    makers: dict[str, Callable[[], Broker]] = {
        "local": lambda: LocalBroker(tmp_path / "log.sqlite"),
        "kafka": lambda: KafkaBroker(kafka),
    }
    room = Room(makers[request.param])
    yield room
    room.ears.close(within=10)


def test_verdicts_are_heard_in_order_and_old_ones_are_never_fresh(room: Room) -> None:
    room.say(1, 2, 3)
    room.listen()
    room.say(4, 5)
    room.say(6)
    until(lambda: len(room.fresh()) == 3, "three verdicts")
    assert room.fresh() == ["4", "5", "6"]
    assert len(room.events) == len(room.said()) + 3, "the old ones are skipped, however many there are"


def test_what_is_no_verdict_proves_nothing_and_holds_nobody_up(room: Room) -> None:
    room.listen()
    room.say(raw=b'{"verdict": "PASS"}')
    room.say(raw=b"\xff")
    room.say(7)
    until(room.fresh, "a verdict")
    assert room.fresh() == ["7"]


def test_a_gate_that_comes_back_takes_what_it_missed_for_stale(room: Room) -> None:
    room.listen()
    room.say(1)
    until(room.fresh, "a verdict")
    room.ears.close(within=10)
    room.say(2)
    room.ears = Hearing(room._open, "gate-g", room.events.append, poll=0.02)
    room.listen()
    room.say(3)
    until(lambda: "3" in room.fresh(), "the next verdict")
    assert room.fresh() == ["1", "3"]


class Failing(MemoryBroker):
    """A broker whose consumers lose it on request."""

    is_away = False

    def lag(self, topic: str, *, group: str) -> list:  # type: ignore[type-arg]
        if self.is_away:
            raise StoreUnavailable("away")
        return super().lag(topic, group=group)


def test_a_broker_that_is_away_is_tried_for_ever_and_what_came_meanwhile_is_stale() -> None:
    broker = Failing()
    broker.apply([Topic(VERDICTS, 1)])
    broker.is_away = True
    events: list[Event] = []
    ears = Hearing(lambda: broker, "gate-g", events.append, poll=0.02)
    ears.start()
    until(lambda: events, "the trouble")
    assert events[0] == Listening("no verdicts are heard: away")
    with broker.producer() as producer:
        producer.send(VERDICTS, told(1).to_json(), partition=0)
    broker.is_away = False
    until(lambda: Listening("") in events, "the gate to listen")
    with broker.producer() as producer:
        producer.send(VERDICTS, told(2).to_json(), partition=0)
    until(lambda: any(isinstance(event, Heard) for event in events), "a verdict")
    ears.close()
    assert [event.told.part_id for event in events if isinstance(event, Heard) and not event.is_stale] == ["2"]
    assert not ears.is_alive


def test_a_missing_topic_is_a_trouble_like_any_other_and_the_thread_ends_when_asked() -> None:
    events: list[Event] = []
    ears = Hearing(MemoryBroker, "gate-g", events.append, poll=0.02)
    ears.start()
    until(lambda: events, "the trouble")
    ears.close()
    assert isinstance(events[0], Listening)
    assert "verdicts" in events[0].trouble
    assert "hear verdicts" not in {thread.name for thread in threading.enumerate()}
