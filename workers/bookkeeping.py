"""The bookkeeping steps: what cameras and gates tell of themselves goes into the books, beside what was judged."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from core import gate_messages
from core.broker.protocol import Message
from core.database import Database
from core.errors import BadFrame
from core.gate_messages import GateOrdered, GateStands
from core.messages import CameraReported, PartRouted
from core.records import gate_words, minutes, routes, sessions, signs
from core.times import utc_of
from workers.steps import Dead, Done, Outcome

GROUP, ROUTE_GROUP = "books", "routes"

Word = PartRouted | GateOrdered | GateStands
Told = TypeVar("Told", CameraReported, Word)


class Bookkeeper:
    """Writes camera reports; an older report never overwrites a newer one, so redelivery changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, messages: Sequence[Message]) -> list[Outcome]:
        """One outcome for each message. Raises StoreUnavailable."""
        reports, outcomes = _read(messages, CameraReported.from_json)
        with self._database.writing() as connection:
            for report in reports:
                if sessions.report(connection, report):
                    signs.keep(connection, report)
            minutes.count(connection, reports)
        return outcomes

    def give_up(self, message: Message, detail: str) -> Outcome:
        """A report that cannot be written is dead-lettered; the next one carries the same counters."""
        del message
        return Dead(detail)


class RouteKeeper:
    """Writes where gates sent each part, what they were ordered and how they stand; what is there, or newer, stays."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, messages: Sequence[Message]) -> list[Outcome]:
        """One outcome for each message. Raises StoreUnavailable."""
        with self._database.writing() as connection:
            kept_since = routes.kept_since(connection)
            told, outcomes = _read(messages, lambda value: _in_time(gate_messages.read(value), kept_since))
            parts = [word for word in told if isinstance(word, PartRouted)]
            for part in sorted(parts, key=lambda part: part.id):  # in one order: two processes cannot deadlock
                routes.keep(connection, part)
            gate_words.enter(connection, [word for word in told if not isinstance(word, PartRouted)])
        return outcomes

    def give_up(self, message: Message, detail: str) -> Outcome:
        """A route that cannot be written is dead-lettered: the books then miss it, and say so."""
        del message
        return Dead(detail)


def _in_time(part: Word, kept_since: datetime | None) -> Word:
    """A gate's word. Raises BadFrame for a part whose route retention would have dropped: it may be counted already."""
    if isinstance(part, PartRouted) and kept_since is not None and utc_of(part.triggered_at) < kept_since:
        raise BadFrame(
            f"part {part.number} of gate {part.gate}: triggered at {part.triggered_at} ns, routes are kept since"
            f" {kept_since:%Y-%m-%d} (FLAWLINE_DATABASE__KEEP_DAYS); it came too late, or the gate's clock is wrong"
        )
    return part


def _read(messages: Sequence[Message], read: Callable[[bytes], Told]) -> tuple[list[Told], list[Outcome]]:
    """What could be read, and one outcome for each message."""
    found: list[Told] = []
    outcomes: list[Outcome] = []
    for message in messages:
        try:
            found.append(read(message.value))
            outcomes.append(Done())
        except BadFrame as problem:
            outcomes.append(Dead(str(problem)))
    return found, outcomes
