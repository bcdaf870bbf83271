"""One turn of a worker: poll, handle, settle, commit. The one place that decides what becomes of a message."""

import logging
import math
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core import faults
from core.broker.protocol import Consumer, Message, Partition, Producer
from core.errors import StoreUnavailable
from core.messages import DEAD_LETTERS
from core.stop import Stop
from workers.ahead import Batch, Reader
from workers.behind import Behind
from workers.signs import Signs
from workers.steps import Ahead, Begun, Dead, Outcome, Step, Wait, nothing

log = logging.getLogger(__name__)

CRASHES_ALLOWED = 3  # unforeseen errors in a row before the process ends: a bug must not quietly empty a topic
KILLS_ALLOWED = 2  # processes that may be killed at the same batch before its messages are tried one by one
ALONE = 1000  # the count of a message that is being tried alone


class Guard(Protocol):
    """Counts the tries of a batch beyond the life of this process (workers.guard)."""

    def begin(self, partition: Partition, offset: int) -> int:
        """Note one more try of the batch that starts at `offset`; return the count in a row that it has now."""
        ...

    def note(self, partition: Partition, offset: int, tries: int) -> None:
        """Set the count of the batch that starts at `offset`."""
        ...


class Unguarded:
    """For steps that cannot take the process along."""

    def begin(self, partition: Partition, offset: int) -> int:
        """Every try is the first."""
        del partition, offset
        return 1

    def note(self, partition: Partition, offset: int, tries: int) -> None:
        """Nothing to note."""


def finished(settled: Iterable[tuple[Message, Outcome]]) -> dict[Partition, int]:
    """Next offset to read, by partition; a Wait holds back all that follows it in its partition."""
    held: set[Partition] = set()
    ends: dict[Partition, int] = {}
    for message, outcome in settled:  # in offset order by partition
        if isinstance(outcome, Wait):
            held.add(message.partition)
        elif message.partition not in held:
            ends[message.partition] = message.offset + 1
    return ends


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a worker waits: for one batch, and (doubling) when a store is away. Seconds."""

    poll: float = 0.5
    batch: int = 16
    backoff: float = 0.5
    backoff_most: float = 15.0
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on while a worker works: `guard` counts its tries, `signs` tell how it does, `behind` how far it is."""

    guard: Guard = field(default_factory=Unguarded)
    signs: Signs = field(default_factory=Signs)
    behind: Behind | None = None


def _where(message: Message) -> str:
    return f"{message.partition.topic}/{message.partition.number} offset {message.offset}"


class Worker:
    """Turns messages of one topic into effects, one batch at a time."""

    def __init__(self, consumer: Consumer, dead_letters: Producer, step: Step, *,
                 stop: Stop, watch: Watch | None = None, pace: Pace = Pace()) -> None:  # fmt: skip
        self._consumer = consumer
        self._dead_letters = dead_letters
        self._step = step
        self._stop = stop
        watch = watch or Watch()
        self._guard, self._signs, self._behind = watch.guard, watch.signs, watch.behind
        self._pace = pace
        self._astray = False  # the position stands behind messages that are not committed
        self._waits = 0  # in a row
        self._crashes = 0  # in a row
        self._seasoned: set[Partition] = set()  # owned partitions of which a batch has been begun
        self._begun: dict[Partition, int] = {}  # what the guard counts of the batch at hand
        self._reader = Reader(consumer, step, self._signs.metrics, most=pace.batch)

    def run(self) -> None:
        """Work until asked to stop. Raises what was unforeseen several times in a row, FlawlineError on standstill."""
        self._signs.ready()
        try:
            while not self._stop.asked:
                self.step()
        finally:
            self._reader.drop()  # nothing of it is committed: whoever comes next reads it again

    def step(self, timeout: float | None = None) -> int:
        """Deal with at most one batch, waiting at most `timeout` seconds for it; return its number of messages.

        A batch that is ready when the network has seen this one is begun already, and dealt with by the next call.
        """
        try:
            if self._astray:
                self._dead_letters.flush()  # what a failed turn left there, before it is buried once more
                self._consumer.rewind()
            self._astray = True
            batch = self._reader.take(self._pace.poll if timeout is None else timeout)
            messages = batch.messages
            waiting = self._deal_with(batch) if messages else None
            self._astray = waiting is not None
        except StoreUnavailable as problem:
            waiting, messages = Wait(str(problem)), []
        if waiting:
            self._reader.drop()  # the position goes back to before it
            self._back_off(waiting.detail)
        else:
            self._waits = 0
            self._signs.turned(len(messages))
            if self._behind:
                self._behind.look(self._consumer.assignment())
        return len(messages)

    def _deal_with(self, batch: Batch) -> Wait | None:
        messages = batch.messages
        faults.reach("inspect_after_poll")
        tries = self._tries(messages)
        if max(tries.values(), default=1) > KILLS_ALLOWED:
            return self._carefully(messages, {partition for partition, n in tries.items() if n > ALONE})
        outcomes = self._attempt(messages, batch.begun, meanwhile=self._look_ahead)
        if isinstance(outcomes, Exception):
            return self._settle(self._one_by_one(messages))
        return self._settle(list(zip(messages, outcomes, strict=True)))

    def _tries(self, messages: Sequence[Message]) -> dict[Partition, int]:
        """Tries in a row of each partition's first batch since its assignment, counted beyond a killed process."""
        self._seasoned &= self._consumer.assignment()
        self._begun = {}
        for message in messages:
            if message.partition not in self._seasoned:
                self._begun.setdefault(message.partition, message.offset)
        tries = {partition: self._guard.begin(partition, offset) for partition, offset in self._begun.items()}
        self._seasoned |= self._begun.keys()
        return tries

    def _carefully(self, messages: Sequence[Message], killers: set[Partition]) -> Wait | None:
        """One of these has killed processes: try each alone, noted before and committed after.

        killers: partitions whose first message was alone when its process was killed; that one is given up.
        """
        for message in messages:
            if message.partition in killers:
                killers.remove(message.partition)
                outcome = self._give_up(message, "it ended its worker again and again; not tried any more")
            else:
                self._guard.note(message.partition, message.offset, ALONE)
                outcome = self._alone(message)
            if waiting := self._settle([(message, outcome)]):
                return waiting
        return None

    def _attempt(
        self, messages: Sequence[Message], begun: Begun | None = None, *, meanwhile: Callable[[], None] = nothing
    ) -> Sequence[Outcome] | Exception:
        """The step's outcomes; a Wait for all when a store is away; the error when nobody foresaw it."""
        try:
            if isinstance(self._step, Ahead):
                outcomes = (begun or self._step.begin(messages)).finish(meanwhile)
            else:
                outcomes = self._step(messages)
        except StoreUnavailable as problem:
            return [Wait(str(problem))] * len(messages)
        except Exception as problem:
            # The one broad except: what nobody foresaw must not take the neighbours of a frame along.
            log.exception("%d messages from %s failed", len(messages), _where(messages[0]))
            return problem
        self._crashes = 0
        return outcomes

    def _look_ahead(self) -> None:
        if not self._stop.asked:
            self._reader.look_ahead(self._seasoned)

    def _one_by_one(self, messages: Sequence[Message]) -> list[tuple[Message, Outcome]]:
        settled: list[tuple[Message, Outcome]] = []
        for message in messages:
            outcome = self._alone(message)
            settled.append((message, outcome))
            if isinstance(outcome, Wait):
                return settled + [(later, outcome) for later in messages[len(settled) :]]
        return settled

    def _alone(self, message: Message) -> Outcome:
        """The outcome of one message by itself; what still fails is given up with its error."""
        outcomes = self._attempt([message])
        if not isinstance(outcomes, Exception):
            return outcomes[0]
        self._crashes += 1
        if self._crashes >= CRASHES_ALLOWED:
            log.critical("%d unforeseen errors in a row; ending, so that somebody looks", self._crashes)
            self._stay_alive()
            raise outcomes
        last = traceback.extract_tb(outcomes.__traceback__)[-1]
        return self._give_up(message, f"{type(outcomes).__name__}: {outcomes} (in {last.name}, line {last.lineno})")

    def _give_up(self, message: Message, detail: str) -> Outcome:
        try:
            return self._step.give_up(message, detail)
        except StoreUnavailable as problem:
            return Wait(str(problem))

    def _settle(self, settled: Sequence[tuple[Message, Outcome]]) -> Wait | None:
        """Bury the dead, commit what is finished; return what is waited for."""
        with self._signs.metrics.stage("commit"):
            return self._commit(settled)

    def _commit(self, settled: Sequence[tuple[Message, Outcome]]) -> Wait | None:
        for message, outcome in settled:
            if isinstance(outcome, Dead):
                self._bury(message, outcome.detail)
        self._dead_letters.flush()
        faults.reach("inspect_after_publish")
        self._consumer.commit(finished(settled))
        faults.reach("inspect_after_commit")
        return next((outcome for _, outcome in settled if isinstance(outcome, Wait)), None)

    def _bury(self, message: Message, detail: str) -> None:
        topic, number = message.partition
        log.warning("dead letter: %s: %s", _where(message), detail)
        self._signs.metrics.dead(topic)
        about = {"topic": topic, "partition": number, "offset": message.offset, "stored_at": message.stored_at}
        about |= {"detail": detail}
        headers = (*message.headers, *((f"dead.{name}", str(value).encode()) for name, value in about.items()))
        self._dead_letters.send(DEAD_LETTERS[topic], message.value, partition=0, key=message.key, headers=headers)

    def _back_off(self, detail: str) -> None:
        """Wait, alive in the group; the next step reads again from what is committed."""
        seconds = min(self._pace.backoff_most, self._pace.backoff * math.pow(2, min(self._waits, 10)))
        self._waits += 1
        log.warning("waiting %.1f s, nothing is lost: %s", seconds, detail)
        self._signs.waits_for(detail)
        if self._behind:
            self._behind.waits()
        turns = max(1, math.ceil(seconds / 0.2))
        for _ in range(turns):
            if self._stop.asked:
                return
            self._pace.sleep(seconds / turns)
            self._stay_alive()

    def _stay_alive(self) -> None:
        try:
            self._consumer.heartbeat()
            for partition, offset in self._begun.items():  # this process lives: its waits and errors are no kills
                self._guard.note(partition, offset, 0)
            self._begun = {}
        except StoreUnavailable as problem:
            log.debug("no heartbeat: %s", problem)
