"""What the tests of brokers say in one word: send, read, settle."""

from collections.abc import Callable, Iterable

from core.broker.protocol import Broker, Consumer, Message, Partition, Topic
from tests.core.broker.conftest import Harness, eventually

FRAMES = "frames"
ZERO, ONE = Partition(FRAMES, 0), Partition(FRAMES, 1)


def make(broker: Broker, partitions: int = 2, **retention: float) -> None:
    broker.apply([Topic(FRAMES, partitions, **retention)])  # type: ignore[arg-type]


def send(broker: Broker, *values: bytes, partition: int = 0) -> None:
    with broker.producer() as producer:
        for value in values:
            producer.send(FRAMES, value, partition=partition)


def values(messages: Iterable[Message]) -> list[bytes]:
    return [message.value for message in messages]


def ends(messages: Iterable[Message]) -> dict[Partition, int]:
    return {message.partition: message.offset + 1 for message in messages}


def read(consumer: Consumer, number: int, *, most: int = 32) -> list[Message]:
    """The next `number` records, in as many polls as it takes; `most` in one poll."""
    found: list[Message] = []
    for _ in eventually():
        found += consumer.poll(0.2, most=most)
        if len(found) >= number:
            break
    assert len(found) == number
    return found


def settle(harness: Harness, *consumers: Consumer, shares: list[int] | None = None) -> list[set[Partition]]:
    """Let the members of a group see one another until the sizes of their shares are these, or stand still."""
    for turn, _ in enumerate(eventually()):
        harness.together(*(consumer.heartbeat for consumer in consumers))
        found = [consumer.assignment() for consumer in consumers]
        if turn >= 4 and (shares is None or sorted(map(len, found)) == sorted(shares)):
            return found
    raise AssertionError


def wait_for(done: Callable[[], bool], seconds: float = 20.0) -> None:
    """Until `done` says so."""
    for _ in eventually(seconds):
        if done():
            return
