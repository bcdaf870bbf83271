"""Listens to topic `verdicts` from a thread that may fail for ever: without it no part gets its PASS."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from core.broker.protocol import Broker, Consumer, Message, Partition
from core.errors import BadFrame, SettingsInvalid, StoreUnavailable
from core.messages import VERDICTS, FrameInspected
from workers.gate.events import Event, Heard, Listening

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
JOIN_SECONDS = 30.0
SKIP_SECONDS = 3.0  # longest search for a place in the old verdicts, so that they need not all be read
COMMIT_SECONDS = 1.0


class Hearing:
    """Hands verdicts to `tell`. What was in the topic before it listened, and before each reconnection, is stale.

    A part that was triggered earlier than that loses its verdict and is rejected; the alternative would be to act on
    yesterday's PASS for a part of today's that goes by the same number.
    """

    def __init__(self, open_broker: Callable[[], Broker], group: str, tell: Callable[[Event], None], *,
                 poll: float = 0.1) -> None:  # fmt: skip
        self._open, self._group, self._tell, self._poll = open_broker, group, tell, poll
        self._trouble = ""
        self._read_to: dict[Partition, int] = {}
        self._commit_at = 0.0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hear verdicts", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self, *, within: float = 3.0) -> None:
        """End, as far as the broker lets us."""
        self._ending.set()
        self._thread.join(within)

    @property
    def is_alive(self) -> bool:
        """Whether it listens, or tries to."""
        return self._thread.is_alive()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._ending.is_set():
            try:
                with ExitStack() as parts:
                    broker = parts.enter_context(self._open())
                    consumer = parts.enter_context(broker.consumer(VERDICTS, group=self._group, member=self._group))
                    fence = self._skip(broker, consumer)
                    self._trouble = ""
                    self._tell(Listening(""))
                    log.info("verdicts are heard")
                    pause = FIRST_PAUSE
                    while not self._ending.is_set():
                        self._hear(consumer, fence)
            except (StoreUnavailable, SettingsInvalid, ValueError, OSError) as problem:  # ValueError: no topic yet
                self._fail(f"no verdicts are heard: {problem}")
            self._ending.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _fail(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("%s; parts are rejected", trouble)
        self._trouble = trouble
        self._tell(Listening(trouble))

    def _skip(self, broker: Broker, consumer: Consumer) -> dict[Partition, int]:
        """Go to the ends of the topic as they are now; by partition, the first offset that is not stale."""
        begun: set[Partition] = set()
        limit = time.monotonic() + JOIN_SECONDS
        while not consumer.assignment():
            begun |= {message.partition for message in consumer.poll(self._poll, most=1)}
            if self._ending.is_set() or time.monotonic() > limit:
                raise StoreUnavailable(f"{VERDICTS}: the broker gave this gate nothing to read")
        limit = (
            time.monotonic() + SKIP_SECONDS
        )  # a position moves only where something was read; the fence holds anyway
        while self._has_old(broker, consumer.assignment() - begun) and time.monotonic() < limit:
            begun |= {message.partition for message in consumer.poll(self._poll, most=256)}
        fence = {lag.partition: lag.end for lag in broker.lag(VERDICTS, group=self._group)}
        consumer.commit(fence)
        consumer.rewind()
        self._read_to = {}
        return fence

    def _has_old(self, broker: Broker, partitions: set[Partition]) -> bool:
        lags = broker.lag(VERDICTS, group=self._group) if partitions else ()
        return any(lag.records and lag.partition in partitions for lag in lags)

    def _hear(self, consumer: Consumer, fence: dict[Partition, int]) -> None:
        messages = consumer.poll(self._poll, most=256)
        for message in messages:
            if told := _read(message):
                self._tell(Heard(told, message.offset < fence.get(message.partition, 0)))
        if messages:
            self._read_to |= {message.partition: message.offset + 1 for message in messages}
        now = time.monotonic()
        if self._read_to and now >= self._commit_at:  # only so that a new place in the group reads little again
            self._commit_at = now + COMMIT_SECONDS
            consumer.commit(self._read_to)
            self._read_to = {}


def _read(message: Message) -> FrameInspected | None:
    try:
        return FrameInspected.from_json(message.value)
    except BadFrame as problem:
        log.warning("offset %d of %s is no verdict and proves nothing: %s", message.offset, VERDICTS, problem)
        return None
