"""The bookkeeping steps: what cameras and gates tell of themselves goes into the books, beside what was judged."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from core.broker.protocol import Message
from core.database import Database
from core.errors import BadFrame
from core.messages import CameraReported, PartRouted
from core.records import minutes, routes, sessions, signs
from core.times import utc_of
from workers.steps import Dead, Done, Outcome

GROUP, ROUTE_GROUP = "books", "routes"

Told = TypeVar("Told", CameraReported, PartRouted)


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
    """Writes where gates sent each part; what is there already, or newer, stays."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, messages: Sequence[Message]) -> list[Outcome]:
        """One outcome for each message. Raises StoreUnavailable."""
        with self._database.writing() as connection:
            kept_since = routes.kept_since(connection)
            told, outcomes = _read(messages, lambda value: _in_time(PartRouted.from_json(value), kept_since))
            for part in sorted(told, key=lambda part: part.id):  # in one order: two processes cannot deadlock
                routes.keep(connection, part)
        return outcomes

    def give_up(self, message: Message, detail: str) -> Outcome:
        """A route that cannot be written is dead-lettered: the books then miss it, and say so."""
        del message
        return Dead(detail)


def _in_time(part: PartRouted, kept_since: datetime | None) -> PartRouted:
    """The part. Raises BadFrame for one whose route retention would have dropped: it may be counted already."""
    if kept_since is not None and utc_of(part.triggered_at) < kept_since:
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
