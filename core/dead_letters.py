"""Dead letters: messages that were given up, read without taking part in any group, and put back to be tried again."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

from core.broker.protocol import Broker, Message, Partition, Producer
from core.errors import NotAllowed, StoreUnavailable
from core.messages import DEAD_LETTERS, FrameId, Headers

ABOUT = "dead."  # before the headers that say where a message came from and why it was given up
REPLAYED = "replayed"  # the header of a message that was put back: the place of its dead letter
PATIENCE = 15.0  # s without a record before the broker is said not to answer


class Place(NamedTuple):
    """Where a dead letter stands; as text frames.dlq/0/17."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def of(cls, text: str) -> Self:
        """Read it back. Raises ValueError for anything else."""
        topic, *numbers = text.rsplit("/", 2)
        if not topic or len(numbers) != 2 or not all(n.isascii() and n.isdigit() and len(n) < 20 for n in numbers):
            raise ValueError(f"{text!r:.80} is no place of a dead letter; they look like frames.dlq/0/17")
        return cls(topic, *map(int, numbers))


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that was given up. `headers` are those it came with; `why` says why it was given up.

    `origin` and `offset`: where it stood, None and -1 where that is not said; `dead_at` and `stored_at`: when it was
    given up and first stored, ns UTC, 0 = not said. `frame`: which frame it is, as far as its headers say it.
    """

    place: Place
    dead_at: int
    key: str
    value: bytes
    headers: Headers
    why: str
    origin: Partition | None
    offset: int
    stored_at: int
    frame: FrameId | None

    @property
    def replays(self) -> Place | None:
        """The earlier letter that this one comes of, where it was replayed and given up again."""
        return replayed_from(self.headers)


def read(broker: Broker, topic: str, *, patience: float = PATIENCE) -> Iterator[Letter]:
    """The dead letters of a topic such as frames, oldest first, as they stand now.

    By a group of its own that never commits, so that nobody else's position moves. Raises StoreUnavailable, also when
    no record came for `patience` seconds, and ValueError for a topic that has none.
    """
    if topic not in DEAD_LETTERS:
        raise ValueError(f"topic {topic!r} has no dead letters; {', '.join(DEAD_LETTERS)} have")
    name, group = DEAD_LETTERS[topic], f"look-{uuid.uuid4().hex}"
    awaited = {lag.partition: lag.end for lag in broker.lag(name, group=group) if lag.records > 0}
    if not awaited:
        return
    limit = time.monotonic() + patience
    with broker.consumer(name, group=group) as consumer:
        while awaited:
            for message in consumer.poll(0.5, most=16):
                limit = time.monotonic() + patience
                end = awaited.get(message.partition)
                if end is not None and message.offset < end:
                    yield of(message)
                if end is not None and message.offset >= end - 1:
                    del awaited[message.partition]
            if time.monotonic() > limit:
                raise StoreUnavailable(f"topic {name}: no record came for {patience:.0f} s; check the broker")


def of(message: Message) -> Letter:
    """A record of a dead-letter topic, taken apart."""
    about = {name.removeprefix(ABOUT): value for name, value in message.headers if name.startswith(ABOUT)}
    said = {name: value.decode(errors="replace") for name, value in about.items()}
    headers = tuple((name, value) for name, value in message.headers if not name.startswith(ABOUT))
    number = _number(said.get("partition", ""))
    origin = Partition(said["topic"], number) if said.get("topic") and number >= 0 else None
    return Letter(
        place=Place(*message.partition, message.offset),
        dead_at=message.stored_at,
        key=message.key,
        value=message.value,
        headers=headers,
        why=said.get("detail", ""),
        origin=origin,
        offset=_number(said.get("offset", "")),
        stored_at=max(0, _number(said.get("stored_at", ""))),
        frame=_frame(headers),
    )


def replay(producer: Producer, letter: Letter) -> Partition:
    """Put the original message back where it came from, marked as replayed; durable on return.

    Raises NotAllowed for a letter that does not say where it came from, StoreUnavailable.
    """
    if letter.origin is None or letter.origin.topic not in DEAD_LETTERS:
        raise NotAllowed(f"{letter.place} does not say which topic it came from, so it cannot be put back")
    headers = (*(pair for pair in letter.headers if pair[0] != REPLAYED), (REPLAYED, str(letter.place).encode()))
    topic, number = letter.origin
    producer.send(topic, letter.value, partition=number, key=letter.key, headers=headers)
    producer.flush()
    return letter.origin


def replayed_from(headers: Headers) -> Place | None:
    """The dead letter that a message was put back from; None for any other message."""
    for name, value in headers:
        if name == REPLAYED:
            try:
                return Place.of(value.decode(errors="replace"))
            except ValueError:
                return None
    return None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1


def _frame(headers: Headers) -> FrameId | None:
    said = {name: value.decode(errors="replace") for name, value in headers if name in FrameId._fields}
    session, seq = _number(said.get("session", "")), _number(said.get("seq", ""))
    return FrameId(said["camera"], session, seq) if said.get("camera") and session >= 0 and seq >= 0 else None
