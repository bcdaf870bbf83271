"""A frame that ends its worker (out of memory, a driver's abort) must not stop the line for ever."""

from core.broker.protocol import Partition
from core.database import Database
from core.records import attempts


class CrashGuard:
    """Counts tries in the database, so that the count survives the process. Raises StoreUnavailable."""

    def __init__(self, database: Database, group: str) -> None:
        self._database = database
        self._group = group

    def begin(self, partition: Partition, offset: int) -> int:
        """As workers.runtime.Guard."""
        with self._database.writing() as connection:
            return attempts.begin(connection, self._group, partition, offset)

    def note(self, partition: Partition, offset: int, tries: int) -> None:
        """As workers.runtime.Guard."""
        with self._database.writing() as connection:
            attempts.note(connection, self._group, partition, offset, tries)
