"""The bookkeeping step: what the cameras report of themselves goes into the books, beside what was judged."""

import logging
from collections.abc import Sequence

from core.broker.protocol import Message
from core.database import Database
from core.errors import BadFrame
from core.messages import CameraReported
from core.records import minutes, sessions
from workers.runtime import Dead, Done, Outcome

log = logging.getLogger(__name__)

GROUP = "books"


class Bookkeeper:
    """Writes camera reports; an older report never overwrites a newer one, so redelivery changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, messages: Sequence[Message]) -> list[Outcome]:
        """One outcome for each message. Raises StoreUnavailable."""
        outcomes: list[Outcome] = []
        reports: list[CameraReported] = []
        for message in messages:
            try:
                reports.append(CameraReported.from_json(message.value))
                outcomes.append(Done())
            except BadFrame as problem:
                outcomes.append(Dead(str(problem)))
        with self._database.writing() as connection:
            for report in reports:
                sessions.report(connection, report)
            minutes.count(connection, reports)
        return outcomes

    def give_up(self, message: Message, detail: str) -> Outcome:
        """A report that cannot be written is dead-lettered; the next one carries the same counters."""
        del message
        return Dead(detail)
