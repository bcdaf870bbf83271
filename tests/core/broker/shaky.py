"""A broker for rehearsals: it can be away, lose its answers, hang, and refuse; built on the memory broker."""

import threading
import time
from contextlib import AbstractContextManager
from typing import Self

from core.broker.memory import MemoryBroker
from core.broker.protocol import Message, Partition, Topic
from core.broker.spool_file import Record
from core.errors import StoreUnavailable
from core.messages import CAMERAS, FRAMES, Headers

TOPICS = {FRAMES: 4, CAMERAS: 1}


class ShakyBroker:
    """state: fine, away, deaf (takes records and does not say so), frozen (hangs until it is not)."""

    def __init__(self) -> None:
        self.log = MemoryBroker()
        self.log.apply([Topic(name, count) for name, count in TOPICS.items()])
        self.state = "fine"
        self.missing = ""  # a topic that is not there yet
        self.flushes = 0
        self.opened = 0
        self._lock = threading.Lock()

    def producer(self) -> "ShakyProducer":
        """As a Kafka client: it is only made where a broker answers."""
        if self.state == "away":
            raise StoreUnavailable("no broker answers")
        self.opened += 1
        return ShakyProducer(self)

    def arrived(self, partition: int = 0, topic: str = FRAMES) -> list[Message]:
        """All records of a partition, in the order in which they came."""
        with self.log.reading():
            return list(self.log.logs_of(topic)[partition].records)

    def firsts(self, partition: int = 0) -> list[int]:
        """The numbers of the records, each at its first arrival."""
        return list(dict.fromkeys(int(message.key) for message in self.arrived(partition)))

    def take(self, records: list[Record]) -> None:
        with self._lock, self.log.changing():
            self.log.append([(Partition(r.topic, r.partition), r.key, r.value, r.headers) for r in records])


class ShakyProducer(AbstractContextManager["ShakyProducer"]):
    """Keeps what was not acknowledged and sends it again, as the protocol wants; so records may come twice."""

    def __init__(self, broker: ShakyBroker) -> None:
        self._broker = broker
        self._waiting: list[Record] = []

    def send(self, topic: str, value: bytes, *, partition: int, key: str = "", headers: Headers = ()) -> None:
        if topic == self._broker.missing:
            raise ValueError(f"topic {topic} is not on the broker; `flawline topics apply` makes it")
        self._waiting.append(Record(topic, partition, key, value, headers))

    def flush(self) -> None:
        self._broker.flushes += 1
        if not self._waiting:
            return
        until = time.monotonic() + 1.0
        while self._broker.state == "frozen" and time.monotonic() < until:
            time.sleep(0.005)
        if self._broker.state in ("fine", "deaf"):
            self._broker.take(self._waiting)
        if self._broker.state != "fine":
            raise StoreUnavailable(f"the broker is {self._broker.state}")
        self._waiting.clear()

    def close(self) -> None:
        self.flush()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self
