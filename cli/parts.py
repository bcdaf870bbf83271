"""Puts the parts together as the settings say, for the commands to hand out; closes them in reverse by `with`."""

import socket
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from core import faults, logs
from core.blobs.open import open_blobs
from core.blobs.protocol import BlobStore
from core.broker.open import open_broker
from core.broker.protocol import Broker, Topic
from core.database import Database, open_database
from core.line import Line
from core.messages import CAMERAS, DEAD_LETTERS, FRAMES, ROUTES, VERDICTS
from core.settings import Settings, read_settings
from core.stop import Stop, stop_on_signals


def begin(settings: Settings | None = None) -> tuple[Settings, Stop]:
    """Read the settings unless they are given, set up the logs, arm the tests' fault point, listen to signals."""
    settings = settings or read_settings()
    logs.configure(settings)
    faults.arm(settings.worker.fault)
    stop = Stop()
    stop_on_signals(stop)
    return settings, stop


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


def database(settings: Settings) -> AbstractContextManager[Database]:
    """The database at `database.url`; it must be at this version's revision."""
    return open_database(settings.database_url, busy_seconds=settings.database.busy_seconds)


def broker(settings: Settings) -> AbstractContextManager[Broker]:
    """The broker at `broker.url`."""
    return open_broker(settings)


def blobs(settings: Settings) -> BlobStore:
    """The picture store at `blobs.url`."""
    return open_blobs(settings)


def worker_name(settings: Settings, role: str, name: str) -> str:
    """What a worker is called in its group: as asked, and on Kafka at least by its machine.

    With a name that survives a restart it takes up its frames at once; two processes must not share one.
    """
    return name or (f"{role}-{socket.gethostname()}" if settings.on_kafka else "")


def topics(settings: Settings, line: Line) -> list[Topic]:
    """The topics of a line; frames keep their order by camera, so their partitions are the line's."""
    age, size = settings.broker.retention_hours * 3600, settings.broker.retention_bytes
    wide = [Topic(FRAMES, line.partitions, age, size)]
    narrow = [VERDICTS, CAMERAS, ROUTES, *DEAD_LETTERS.values()]
    return wide + [Topic(name, 1, age, size) for name in narrow]


def waiting(broker: Broker) -> int:
    """Frames and camera reports in the log that nobody has committed yet. Raises StoreUnavailable."""
    from workers import bookkeeping, inspection

    groups = ((FRAMES, inspection.GROUP), (CAMERAS, bookkeeping.GROUP))
    return sum(lag.records for topic, group in groups for lag in broker.lag(topic, group=group))


def prepare(settings: Settings, line: Line | None = None) -> None:
    """Make what is missing: the data folder, the tables, and for a line its topics and its entry in the books."""
    from core.records import line as line_records
    from migrations import upgrade

    settings.data.mkdir(parents=True, exist_ok=True)
    upgrade.prepare(settings, now=now())
    if line is None:
        return
    with broker(settings) as log, database(settings) as books:
        log.apply(topics(settings, line))
        with books.writing() as connection:
            line_records.register(connection, line, now=now())
