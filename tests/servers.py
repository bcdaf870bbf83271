"""The real servers that tests run against; `scripts/services up` starts the shared ones, `make test` calls it."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from sqlalchemy import make_url

from cli.services.plant import Services
from cli.services.servers import S3_KEY, S3_SECRET
from core.settings import BlobSettings, BrokerSettings
from migrations.upgrade import upgrade

SHARED = Path(__file__).resolve().parent.parent / ".services"


def unique(word: str = "t") -> str:
    """A name that no other test has."""
    return f"{word}{uuid.uuid4().hex[:12]}"


def kafka_of(servers: Services, **more: object) -> BrokerSettings:
    """Settings of the shared Kafka, with topics and groups of this test's own."""
    return BrokerSettings.model_validate({"url": servers["kafka"].url, "prefix": unique() + ".", **more})


def s3_of(servers: Services, **more: object) -> BlobSettings:
    """Settings of the shared S3 store, below a prefix of this test's own."""
    bucket, _, rest = servers["s3"].url.partition("?")
    keys = {"access_key": S3_KEY, "secret_key": S3_SECRET}
    return BlobSettings.model_validate({"url": f"{bucket}/{unique()}?{rest}", **keys, **more})


@contextmanager
def postgres_of(servers: Services, *, template: str = "template0") -> Iterator[str]:
    """The URL of a PostgreSQL database of this test's own, a copy of `template`; dropped at the end."""
    name = unique()
    _execute(servers, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield servers["postgres"].url.rpartition("/")[0] + f"/{name}"
    finally:
        _execute(servers, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def upgraded_template(servers: Services) -> Iterator[str]:
    """The name of a database with all tables, for `postgres_of`: copying it is far quicker than upgrading each time."""
    with postgres_of(servers) as url:
        upgrade(url)
        yield str(make_url(url).database)


def _execute(servers: Services, statement: str) -> None:
    port = servers["postgres"].port
    connection = psycopg2.connect(host="127.0.0.1", port=port, user="flawline", dbname="postgres")
    connection.autocommit = True  # databases are made outside a transaction
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()
