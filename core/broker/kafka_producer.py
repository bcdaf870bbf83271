"""Sends records to Kafka: none is dropped before it is acknowledged, and a partition keeps the order of its records.

kafka-python retries what may pass by itself, without end, each record under its own number: that costs neither order
nor duplicates. What it gives up for good (a new producer epoch, lost rights) takes the whole client down, before it
sends a later record of that partition; a new client then sends all that was not acknowledged, in order. Those that did
arrive come twice, which readers expect.
"""

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from kafka import KafkaProducer, errors

from core.broker import kafka_quirks as quirks
from core.broker.byte_budget import ByteBudget
from core.broker.kafka_admin import HOW_TO_MAKE, MOST_BATCH_BYTES, KafkaAdmin
from core.broker.kafka_client import NOT_ALLOWED, meaning, open_client
from core.broker.protocol import Partition
from core.closing import Closing
from core.errors import SettingsInvalid, StoreUnavailable
from core.messages import Headers
from core.settings import BrokerSettings

logger = logging.getLogger(__name__)

MOST_RECORD_BYTES = MOST_BATCH_BYTES - (64 << 10)  # refused here, with a reason, before the broker refuses its batch
RECORD_OVERHEAD = 128  # framing of a record that is alone in its batch
FOR_EVER_MS = (1 << 31) - 1
REOPEN_SECONDS = 1.0  # between two tries of `send` to reach a broker that is away
PRODUCER = {
    "enable_idempotence": True,  # said outright: it would else be switched off by a conflicting setting
    "acks": "all",
    "max_in_flight_requests_per_connection": 5,
    "batch_size": 1 << 20,  # a partition has one batch on its way: 16 KB would be one picture for each round trip
    "linger_ms": 0,
    "compression_type": None,  # JPEG and PNG do not compress
    "max_request_size": MOST_RECORD_BYTES,
    "request_timeout_ms": 15_000,
    "delivery_timeout_ms": FOR_EVER_MS,  # a batch that expires would let later ones overtake it
    "allow_auto_create_topics": False,
}


@dataclass(slots=True, eq=False)
class _Record:
    part: Partition
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    size: int
    flight: int = 0  # the client that it was handed to last
    is_done: bool = False


class KafkaLogProducer(Closing):
    """Sends at once, in the background. May be shared between threads of the process that made it.

    What is not acknowledged is kept, up to `in_flight_bytes`.
    """

    def __init__(self, settings: BrokerSettings, admin: KafkaAdmin) -> None:
        self._settings, self._admin = settings, admin
        self._budget = ByteBudget(settings.in_flight_bytes)
        self._using = threading.RLock()  # one thread at a time hands over
        self._client: Any = None
        self._flight = 0
        self._try_again_at = 0.0
        self._changed = threading.Condition()  # of what follows; the client's own thread takes it as well, briefly
        self._waiting: deque[_Record] = deque()  # not handed to the client, behind all that fly
        self._flying: deque[_Record] = deque()
        self._broken: Exception | None = None

    def send(self, topic: str, value: bytes, *, partition: int, key: str = "", headers: Headers = ()) -> None:
        """Hand over one record; blocks for `send_seconds` at most, and some seconds where a broker must be found.

        Raises ValueError for an unknown topic or partition and for a record that the log does not take,
        StoreUnavailable when `in_flight_bytes` wait already: the record is then not taken.
        """
        packed = [(name, bytes(content)) for name, content in headers]
        raw_key = key.encode()
        size = len(value) + len(raw_key) + sum(len(name.encode()) + len(content) + 8 for name, content in packed)
        if size + RECORD_OVERHEAD > MOST_RECORD_BYTES:
            raise ValueError(
                f"topic {topic}: a record of {size} bytes, the log takes {MOST_RECORD_BYTES - RECORD_OVERHEAD};"
                " a picture of this size travels by claim check: set FLAWLINE_PICTURES__INLINE_MAX_BYTES below it"
            )
        self._check(Partition(topic, partition))
        if not self._budget.take(size, self._settings.send_seconds):
            raise StoreUnavailable(
                f"Kafka at {self._settings.url} has not acknowledged {self._budget.used} bytes;"
                " no more are taken before it does"
            )
        record = _Record(Partition(topic, partition), raw_key or None, bytes(value), packed, size)
        with self._using:
            with self._changed:
                self._waiting.append(record)
            if self._client is not None or time.monotonic() >= self._try_again_at:
                try:
                    self._hand_over(self._settings.send_seconds)
                except StoreUnavailable as problem:
                    self._try_again_at = time.monotonic() + REOPEN_SECONDS
                    logger.debug("not sent yet: %s", problem)  # flush says so to the caller

    def flush(self) -> None:
        """Return when all that was sent is acknowledged by every replica that must have it.

        Waits for `send_seconds`, then finds out why within some seconds and raises StoreUnavailable: what is not
        acknowledged is kept and tried on. Raises SettingsInvalid when Kafka refuses us.
        """
        ends_at = time.monotonic() + self._settings.send_seconds
        while not self._is_empty():
            left = ends_at - time.monotonic()
            if left <= 0:
                raise StoreUnavailable(self._why())
            with self._using:
                self._hand_over(left)
            with self._changed:
                self._changed.wait_for(lambda: not self._flying or self._broken, max(0.0, ends_at - time.monotonic()))

    def close(self) -> None:
        """Flush and let go. Raises StoreUnavailable when the flush fails; what was not acknowledged is then gone."""
        try:
            self.flush()
        finally:
            with self._using:
                self._let_go()

    def _check(self, part: Partition) -> None:
        """Raise ValueError for what the broker does not have; while it is away nobody knows, and `flush` will say."""
        try:
            partitions = self._admin.partitions(part.topic)
        except StoreUnavailable:
            return
        if not 0 <= part.number < partitions:
            raise ValueError(f"topic {part.topic} has partitions 0 to {partitions - 1}, not {part.number}")

    def _is_empty(self) -> bool:
        with self._changed:
            return not self._flying and not self._waiting

    def _hand_over(self, seconds: float) -> None:
        """Give the client what waits, in order; a new client where there is none or the old one has given up."""
        with self._changed:
            broken = self._broken
        if broken is not None:
            self._let_go()
            self._complain(broken)
        if self._client is None:
            most = int(min(seconds, self._settings.send_seconds) * 1000)
            self._client = open_client(KafkaProducer, self._settings, max_block_ms=max(most, 100), **PRODUCER)
            self._flight += 1
        while self._broken is None:
            with self._changed:
                if not self._waiting:
                    return
                record = self._waiting.popleft()
                record.flight = self._flight
                self._flying.append(record)
            self._give(record)

    def _give(self, record: _Record) -> None:
        try:
            future = self._client.send(
                self._settings.prefix + record.part.topic,
                value=record.value,
                key=record.key,
                headers=record.headers,
                partition=record.part.number,
            )
        except (errors.KafkaError, ValueError) as problem:  # not taken: it waits, first of all
            with self._changed:
                self._flying.remove(record)
                self._waiting.appendleft(record)
                if self._broken is not None:  # it has just given up: the next turn begins with a new one
                    return
            raise StoreUnavailable(f"{self._why()} ({problem})") from problem
        future.add_callback(self._arrived, record, record.flight)
        future.add_errback(self._failed, record, record.flight, self._client)

    # On the client's own thread from here on: nothing that blocks.

    def _arrived(self, record: _Record, flight: int, _: object) -> None:
        with self._changed:
            if record.is_done or record.flight != flight:
                return
            record.is_done = True
            while self._flying and self._flying[0].is_done:
                self._flying.popleft()
            self._changed.notify_all()
        self._budget.give(record.size)

    def _failed(self, record: _Record, flight: int, client: Any, problem: Exception) -> None:
        with self._changed:
            if record.is_done or flight != self._flight or self._broken is not None:
                return
            self._broken = problem
            self._changed.notify_all()
        quirks.stop_sending(client)

    # On the user's thread again.

    def _let_go(self) -> None:
        """End the client; what it has not seen acknowledged waits again, before all that came later."""
        client, self._client = self._client, None
        if client is not None:
            quirks.stop_sending(client)
            try:
                client.close(timeout=self._settings.send_seconds)
            except errors.KafkaTimeoutError:
                logger.warning("a client of Kafka at %s is slow to end; it sends nothing more", self._settings.url)
        with self._changed:
            self._flight += 1  # what an ended client still reports no longer counts
            self._broken = None
            self._waiting.extendleft(record for record in reversed(self._flying) if not record.is_done)
            self._flying.clear()

    def _complain(self, problem: Exception) -> None:
        """Say what the client gave up for; raise where sending again would help nobody."""
        what = f"Kafka at {self._settings.url}"
        if isinstance(problem, NOT_ALLOWED):
            raise meaning(problem, what) from problem
        if isinstance(problem, errors.MessageSizeTooLargeError):
            raise StoreUnavailable(
                f"{what} takes no batch of {MOST_BATCH_BYTES} bytes: {HOW_TO_MAKE} and sets max.message.bytes"
            ) from problem
        logger.warning("%s gave up %d records (%r); a new client sends them again", what, len(self._waiting), problem)

    def _why(self) -> str:
        with self._changed:
            kept = [*self._flying, *self._waiting]
        topics = {record.part.topic for record in kept}
        try:
            missing = self._admin.missing(topics)
        except (StoreUnavailable, SettingsInvalid) as problem:
            return f"{len(kept)} records are not acknowledged, they are kept and tried again: {problem}"
        if missing:
            return (
                f"topic {', '.join(missing)} is not on the broker: {HOW_TO_MAKE}; {len(kept)} records are kept for it"
            )
        return f"Kafka at {self._settings.url} has not acknowledged {len(kept)} records; they are kept and tried again"
