"""What `flawline doctor` asks of the stores that the settings name: database, log, pictures, live cache."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cli import parts
from core.blobs.keys import Kind
from core.blobs.open import open_blobs
from core.database import open_database
from core.errors import FlawlineError
from core.line import read_line
from core.live_open import open_live
from core.partitions import next_missing
from core.settings import Settings

SOON = timedelta(days=1)
UPGRADE = "`flawline db upgrade` makes it"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: `level` is ok, note or wrong; `advice` what to do about it."""

    level: str
    what: str
    advice: str = ""


def tried(look: Callable[[], Finding], *, missing: Path | None = None, how: str = "") -> Finding:
    """What a look finds. A file that is not there yet is a note, an error of ours the finding."""
    if missing is not None and not missing.exists():
        return Finding("note", f"no {missing} yet", how)
    try:
        return look()
    except FlawlineError as problem:
        return Finding("wrong", str(problem))


def of_database(settings: Settings) -> list[Finding]:
    """Whether it answers, has this version's tables, and on PostgreSQL its partitions."""
    if settings.database.url.startswith("sqlite:"):
        path = Path(settings.database_url.removeprefix("sqlite:///"))
        return [tried(lambda: _database(settings), missing=path, how=UPGRADE)]
    return [tried(lambda: _database(settings))]


def _database(settings: Settings) -> Finding:
    now = parts.now()
    with open_database(settings.database_url, busy_seconds=1) as database:
        with database.reading() as connection:
            missing = next_missing(connection, now=now)
        if missing is not None and missing <= now + SOON:
            advice = "`flawline db upgrade` makes them, and housekeeping (`flawline housekeeping`) while it runs"
            return Finding("wrong", f"database {database} has no partition from {missing:%Y-%m-%d} on", advice)
        return Finding("ok", f"database {database} answers")


def of_log(settings: Settings) -> list[Finding]:
    """Whether it answers, and whether Kafka has the line's topics."""
    if settings.on_kafka:
        return [tried(lambda: _kafka(settings))]
    if settings.broker.url == "memory:":
        return [Finding("note", "the log memory: lives and dies with one process", "local: or kafka: is for a line")]
    path = settings.broker_path
    return [tried(lambda: _local(settings), missing=path, how="`flawline up` and `flawline demo` make it")]


def _local(settings: Settings) -> Finding:
    with parts.broker(settings):
        return Finding("ok", f"log {settings.broker_path} answers")


def _kafka(settings: Settings) -> Finding:
    from core.broker.kafka_client import check_reachable

    check_reachable(settings.broker)
    url = settings.broker.url
    if not settings.line_path.exists():
        return Finding("ok", f"log {url} takes connections; without a line file its topics are unknown")
    with parts.broker(settings) as broker:
        try:
            changes = broker.apply(parts.topics(settings, read_line(settings.line_path)), dry_run=True)
        except ValueError as problem:
            return Finding("wrong", f"log {url}: {problem}")
    if new := [change.topic.name for change in changes if change.before is None]:
        advice = "`flawline topics apply` makes them"
        return Finding("note", f"log {url} answers and has no topics {', '.join(new)} yet", advice)
    return Finding("ok", f"log {url} answers and has the line's topics")


def of_blobs(settings: Settings) -> list[Finding]:
    """Whether S3 takes a picture and gives it back; a folder is among the disk's findings."""
    if not settings.blobs.url.startswith("s3:"):
        return []
    return [tried(lambda: _s3(settings))]


def _s3(settings: Settings) -> Finding:
    blobs = open_blobs(settings)
    key = f"{Kind.INBOX}/doctor-{uuid.uuid4().hex}.txt"
    blobs.put(key, b"flawline doctor")
    blobs.get(key)
    blobs.delete(key)
    return Finding("ok", f"picture store {settings.blobs.url} takes pictures and gives them back")


def of_live(settings: Settings) -> list[Finding]:
    """Whether Redis answers; without it everything works, only slower."""
    if settings.live.url == "none:":
        return []
    place = urlsplit(settings.live.url)
    shown = f"live cache {place.scheme}://{place.hostname}:{place.port or 6379}{place.path}"
    return [tried(lambda: _live(settings, shown))]


def _live(settings: Settings, shown: str) -> Finding:
    with open_live(settings) as live:
        if live.models_version() is None:
            advice = "the pages read the database meanwhile; start Redis, or check FLAWLINE_LIVE__URL and its password"
            return Finding("note", f"{shown} does not answer", advice)
    return Finding("ok", f"{shown} answers")
