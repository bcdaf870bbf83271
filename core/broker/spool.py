"""A producer that a broker's absence does not stop: straight to the broker, or through the camera's spool, in order.

A record is safe when the broker has acknowledged it or when it is durable in the spool. One thread owns the broker's
client: it sends what `flush` hands over, and while anything waits in the spool it forwards that, oldest first. From the
first record that goes into the spool until the spool is empty, all go there, so that a partition keeps its order. What
was in doubt when the broker fell silent may arrive twice; nothing is dropped before it is acknowledged.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from core.broker.protocol import Message, Producer
from core.broker.spool_file import SMALL_BYTES, Record, Spool
from core.broker.spool_watch import SpoolReport, SpoolWatch
from core.closing import Closing
from core.errors import SettingsInvalid, SpoolFull, StoreUnavailable
from core.messages import Headers
from core.metrics import Metrics
from core.verdicts import NoVerdictReason

_log = logging.getLogger(__name__)

Problem = StoreUnavailable | SettingsInvalid | ValueError
PASSING = (StoreUnavailable, SettingsInvalid, ValueError)
"""What the broker may answer: away, refusing us, or without our topic. In each case the records wait."""
NOT_KEPT = b"the broker was away and the camera's spool full: the picture was not kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolRules:
    """How long, how much, and what when there is no room.

    send_seconds: wait for the broker's word before the spool. divert: when the spool is full, records without their
    pictures instead of an error. batch, batch_bytes: what is forwarded at once; it bounds the memory that draining
    takes, as the client's own byte budget does. close_seconds: how long `close` goes on draining.
    """

    send_seconds: float = 5.0
    divert: bool = False
    batch: int = 256
    batch_bytes: int = 8 << 20
    backoff: float = 0.25
    backoff_most: float = 5.0
    close_seconds: float = 10.0


class SpooledProducer(Closing):
    """Keeps the producer protocol, beside a `Spool` that it closes with itself. Owned by one thread.

    open_producer: makes the broker's producer, in the sending thread, again until it succeeds. topics: how many
    partitions each topic has. `flush` raises SpoolFull, or StoreUnavailable when the spool's disk refuses.
    """

    def __init__(
        self, open_producer: Callable[[], Producer], spool: Spool, topics: Mapping[str, int],
        *, rules: SpoolRules | None = None, metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        self._open, self._spool, self._topics = open_producer, spool, dict(topics)
        self._rules = rules or SpoolRules()
        self._watch = SpoolWatch(spool, metrics or Metrics())
        self._pending: list[Record] = []  # sent and not yet flushed; the caller's thread alone touches it
        # The sending thread's own. A producer keeps what it could not deliver, so a batch is sent to it once.
        self._upstream: Producer | None = None
        self._unsent: deque[Record] = deque()
        self._begun: list[Message] = []
        self._backoff = self._rules.backoff
        # Shared between the two threads, under the lock:
        self._lock = threading.Condition()
        self._straight = False  # until the broker has been met
        self._offer: tuple[Record, ...] | None = None
        self._acknowledged = False
        self._ending = self._broken = False
        self._thread = threading.Thread(target=self._send_for_ever, name=f"send {spool.name}", daemon=True)
        self._thread.start()

    def send(self, topic: str, value: bytes, *, partition: int, key: str = "", headers: Headers = ()) -> None:
        """Hand over one record. Raises ValueError for an unknown topic or partition."""
        if not 0 <= partition < self._topics.get(topic, 0):
            known = ", ".join(f"{name} with {count}" for name, count in sorted(self._topics.items()))
            raise ValueError(f"no partition {topic}-{partition}; the line has {known}")
        self._pending.append(Record(topic, partition, key, bytes(value), tuple(headers)))

    def flush(self) -> None:
        """Return when all that was sent is acknowledged or in the spool, durably.

        Raises SpoolFull or StoreUnavailable when neither is possible now, and keeps it all for the next try.
        """
        if self._pending and not self._acknowledge():
            self._put_aside()
        if self._broken:
            raise RuntimeError(f"the sender of {self._spool.name} has ended, see the log; what waits is in the spool")

    def report(self) -> SpoolReport:
        """What waits in the spool, what was diverted, and what is wrong."""
        with self._lock:
            return self._watch.report()

    def settled(self, timeout: float) -> bool:
        """Whether nothing waits in the spool, within `timeout` seconds."""
        with self._lock:
            return self._lock.wait_for(lambda: self._straight or self._broken, timeout) and not self._broken

    def close(self) -> None:
        """Flush, forward for a while what waits, and let go; what is left stays in the spool for the next start."""
        if self._ending:
            return
        try:
            self.flush()
            self._linger()
        finally:
            self._end()

    # The caller's side.

    def _acknowledge(self) -> bool:
        """Hand what is pending to the sending thread; whether the broker acknowledged it in time."""
        with self._lock:
            if not self._straight:
                return False
            self._offer, self._acknowledged = tuple(self._pending), False
            self._lock.notify_all()
            self._lock.wait_for(lambda: self._acknowledged or not self._straight, self._rules.send_seconds)
            self._offer = None  # an answer from now on comes too late: the records go into the spool as well
            if self._acknowledged:
                self._pending.clear()
            elif self._straight:
                self._watch.trouble(f"no acknowledgement within {self._rules.send_seconds:g} s")
            return self._acknowledged

    def _put_aside(self) -> None:
        """Make what is pending durable in the spool."""
        with self._lock:  # held throughout, so that the sender does not find the spool empty and go straight meanwhile
            self._straight = False
            pictures = sum(len(record.value) > SMALL_BYTES for record in self._pending)
            try:
                self._spool.append(self._pending)
                self._watch.took(pictures=pictures)
            except StoreUnavailable as problem:
                diverting = self._rules.divert and pictures > 0 and isinstance(problem, SpoolFull)
                self._watch.refused(str(problem), diverting=diverting)
                if not diverting:
                    raise
                self._spool.append([without_picture(record) for record in self._pending])
                self._watch.diverted += pictures
            finally:
                self._watch.look()
            self._pending.clear()
            self._lock.notify_all()

    def _linger(self) -> None:
        limit = time.monotonic() + self._rules.close_seconds
        with self._lock:
            while not (self._straight or self._watch.problem or self._broken) and time.monotonic() < limit:
                self._lock.wait(0.05)
            if left := self._spool.state().records:
                _log.warning("%s: %d records stay in its spool; the next start sends them, or `flawline spool drain`",
                             self._spool.name, left)  # fmt: skip

    def _end(self) -> None:
        with self._lock:
            self._ending = True
            self._lock.notify_all()
        self._thread.join(self._rules.send_seconds)
        if not self._thread.is_alive():  # else it hangs in the broker's client, and ends with the process
            self._spool.close()

    # The sending thread.

    def _send_for_ever(self) -> None:
        try:
            while not self._ending:
                self._turn()
        except BaseException:
            with self._lock:
                self._broken, self._straight = True, False
                self._lock.notify_all()
            raise
        finally:
            if self._upstream is not None:
                with suppress(*PASSING):  # what it still holds is in the spool
                    self._upstream.close()

    def _turn(self) -> None:
        with self._lock:
            self._lock.wait_for(lambda: self._ending or not self._straight or self._offer is not None)
            offer, straight = self._offer, self._straight
        if self._ending:
            return
        if not straight:
            self._drain()
        elif offer is not None:
            self._unsent.extend(offer)
            problem = self._deliver()
            with self._lock:
                if problem is not None:
                    self._straight = False
                    self._watch.trouble(str(problem))
                else:  # too late, it changes nothing: nobody waits, and the records are in the spool as well
                    self._offer, self._acknowledged = None, True
                self._lock.notify_all()

    def _drain(self) -> None:
        """Forward the oldest that wait; where nothing waits and the broker answers, go straight from now on."""
        problem = self._forward()
        with self._lock:
            try:
                self._straight = problem is None and not self._spool.state().records
            except StoreUnavailable as refused:
                problem = refused
            self._watch.trouble(str(problem or ""))
            self._watch.look()
            self._lock.notify_all()
            if problem is None:
                self._backoff = self._rules.backoff
            else:
                self._lock.wait_for(lambda: self._ending, self._backoff)
                self._backoff = min(self._backoff * 2, self._rules.backoff_most)

    def _forward(self) -> Problem | None:
        """Go on with what was begun, else begin with the oldest records; they leave the spool when acknowledged."""
        try:
            if not self._begun:
                if (problem := self._deliver()) is not None:
                    return problem
                self._begun = self._spool.oldest(self._rules.batch, self._rules.batch_bytes)
                self._unsent.extend(map(Record.of, self._begun))
            if (problem := self._deliver()) is not None:
                return problem
            if self._begun:
                self._spool.drop(self._begun)
                self._begun = []
            else:
                self._spool.tidy()
        except StoreUnavailable as refused:  # by the spool's own disk
            return refused
        return None

    def _deliver(self) -> Problem | None:
        """Have all acknowledged that is unsent or that the client still holds, or say why not; it is kept then."""
        try:
            if self._upstream is None:
                self._upstream = self._open()
            while self._unsent:
                _hand_over(self._upstream, self._unsent[0])
                self._unsent.popleft()
            self._upstream.flush()
        except PASSING as problem:
            return problem
        return None


def _hand_over(producer: Producer, record: Record) -> None:
    producer.send(record.topic, record.value, partition=record.partition, key=record.key, headers=record.headers)


def drain(spool: Spool, producer: Producer, told: Callable[[int], None], rules: SpoolRules | None = None) -> int:
    """Forward all that waits in a spool that nobody else uses; the number of records. Raises StoreUnavailable.

    told: how many are forwarded so far. What was not acknowledged when it fails stays in the spool.
    """
    rules = rules or SpoolRules()
    done = 0
    while waiting := spool.oldest(rules.batch, rules.batch_bytes):
        for message in waiting:
            _hand_over(producer, Record.of(message))
        producer.flush()
        spool.drop(waiting)
        done += len(waiting)
        told(done)
    spool.tidy()
    return done


def without_picture(record: Record) -> Record:
    """A frame's envelope alone: the part goes on record and ends as NO_VERDICT, or INVALID where the gate said so."""
    if len(record.value) <= SMALL_BYTES:
        return record
    told = {}
    if not dict(record.headers).get("gate"):
        told = {"no_verdict": NoVerdictReason.BROKER_DOWN.encode(), "gate_detail": NOT_KEPT}
    kept = tuple(header for header in record.headers if header[0] not in told)
    return replace(record, value=b"", headers=(*kept, *told.items()))
