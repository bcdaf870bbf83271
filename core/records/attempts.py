"""How often a batch has been tried, counted beyond the life of a process (streaming.md §3.4)."""

from sqlalchemy import ColumnElement, Connection, and_, select, update

from core.broker.protocol import Partition
from core.database import insert_new
from core.tables import attempts


def begin(connection: Connection, group: str, partition: Partition, offset: int) -> int:
    """Note one more try of the batch that starts at `offset`; return which try in a row it is, from 1."""
    found = connection.execute(select(attempts.c.offset, attempts.c.tries).where(_row(group, partition))).one_or_none()
    tries = found.tries + 1 if found and found.offset == offset else 1
    note(connection, group, partition, offset, tries)
    return tries


def note(connection: Connection, group: str, partition: Partition, offset: int, tries: int) -> None:
    """Set the count of the batch that starts at `offset`."""
    row = {"consumer_group": group, "topic": partition.topic, "partition": partition.number}
    counted = {"offset": offset, "tries": tries}
    if not insert_new(connection, attempts, [row | counted], list(attempts.primary_key)):
        connection.execute(update(attempts).where(_row(group, partition)).values(counted))


def _row(group: str, partition: Partition) -> ColumnElement[bool]:
    same = attempts.c.consumer_group == group, attempts.c.topic == partition.topic
    return and_(*same, attempts.c.partition == partition.number)
