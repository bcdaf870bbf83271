"""Where a bench runs: the real Kafka and PostgreSQL, with topics and a database of its own, dropped at the end."""

import os
import platform
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from cli.bench_null import BENCH
from cli.services.plant import Services
from core.settings import Settings, read_settings

SERVERS = ("kafka", "postgres")


@dataclass(frozen=True, slots=True)
class Place:
    """The servers, and the settings that lead to them."""

    servers: Services
    settings: Settings


@contextmanager
def bench_place(services: Path, folder: Path, *, batch: int) -> Iterator[Place]:
    """A place for one bench. Servers that run in `services` are used and stay; those that do not run are up for now."""
    servers = Services(services, SERVERS)
    asleep = [name for name, state in servers.status().items() if not state["answers"]]
    with ExitStack() as stack:
        if asleep:
            stack.enter_context(_started(services, asleep))
        name = f"{BENCH}{uuid.uuid4().hex[:8]}"
        url = stack.enter_context(_database(servers["postgres"].url, name))
        settings = _settings(folder, servers["kafka"].url, url, prefix=f"{name}.", batch=batch)
        stack.callback(_drop_topics, settings)
        yield Place(servers, settings)


def versions(place: Place) -> dict[str, str]:
    """What was measured, on what."""
    engine = create_engine(place.settings.database_url)
    with engine.connect() as connection:
        postgres = str(connection.scalar(text("SHOW server_version")))
    engine.dispose()
    named = {
        name: version(name)
        for name in ("flawline", "kafka-python", "psycopg2-binary", "torch", "openvino", "opencv-python")
    }
    return {**named, "postgresql": postgres.split(maxsplit=1)[0], "python": platform.python_version(), "cpu": _cpu()}


@contextmanager
def _started(services: Path, names: list[str]) -> Iterator[None]:
    own = Services(services, names)
    own.up()
    try:
        yield
    finally:
        own.down()


@contextmanager
def _database(url: str, name: str) -> Iterator[str]:
    """An empty database on the server at `url`."""
    engine = create_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            yield url.rpartition("/")[0] + f"/{name}"
        finally:
            with engine.connect() as connection:
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()


def _settings(folder: Path, kafka: str, database: str, *, prefix: str, batch: int) -> Settings:
    """The user's own settings, but for where it runs."""
    base = read_settings()
    return base.model_copy(
        update={
            "data": folder,
            "line": None,
            "log_level": "WARNING",
            "broker": base.broker.model_copy(update={"url": kafka, "prefix": prefix, "batch": batch, "replication": 1}),
            "database": base.database.model_copy(update={"url": database, "password_file": None}),
            "blobs": base.blobs.model_copy(update={"url": "file:"}),
            "live": base.live.model_copy(update={"url": "none:"}),
        }
    )


def _drop_topics(settings: Settings) -> None:
    from core.broker.kafka import KafkaBroker

    with KafkaBroker(settings.broker) as broker:
        broker.drop()


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} x {models[0] if models else platform.machine()}"
