"""The doctor asks the real servers, and says what to do where they do not answer."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from cli import parts
from cli.services.plant import Services
from cli.services.servers import S3_KEY, S3_SECRET
from core.broker.kafka import KafkaBroker
from core.database import open_database
from core.line import read_line
from core.settings import read_settings
from tests.cli.conftest import Run
from tests.servers import kafka_of, s3_of

NOBODY = "127.0.0.1:1"


@dataclass(frozen=True)
class Told:
    """All findings, as JSON."""

    code: int
    findings: list[Mapping[str, str]]

    def about(self, word: str) -> Mapping[str, str]:
        """The one finding with this word in it."""
        (found,) = [finding for finding in self.findings if word in finding["what"]]
        return found


Doctor = Callable[..., Told]


@pytest.fixture
def doctor(data: Path, flawline: Run, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Runs it with these settings, such as `database__url`."""

    def run(**settings: object) -> Told:
        for name, value in settings.items():
            monkeypatch.setenv(f"FLAWLINE_{name.upper()}", str(value))
        code, _ = flawline("doctor", "--json", data.parent / "doctor.json")
        return Told(code, json.loads((data.parent / "doctor.json").read_text())["findings"])

    return run


def test_a_machine_without_servers_is_asked_for_none(doctor: Doctor) -> None:
    told = doctor()
    assert told.code == 0
    assert told.about("flawline.sqlite yet")["advice"] == "`flawline db upgrade` makes it"
    assert not [finding for finding in told.findings if "cache" in finding["what"] or "store" in finding["what"]]


def test_postgresql_is_asked_for_its_tables_and_partitions(doctor: Doctor, flawline: Run, postgres_url: str) -> None:
    told = doctor(database__url=postgres_url)
    name = make_url(postgres_url).database
    assert told.code == 1
    assert told.about(f"{name} has no partition from")["advice"].startswith("`flawline db upgrade` makes them")
    flawline("db", "upgrade")
    assert doctor().about(f"{name} answers")["level"] == "ok"


def test_partitions_that_soon_run_out_are_named(doctor: Doctor, flawline: Run, postgres_url: str) -> None:
    doctor(database__url=postgres_url)
    flawline("db", "upgrade")
    tomorrow = parts.now() + timedelta(days=1)
    with open_database(postgres_url) as database, database.writing() as connection:
        connection.execute(text(f"ALTER TABLE regions DETACH PARTITION regions_{tomorrow:%Y%m%d}"))
    assert doctor().about(f"no partition from {tomorrow:%Y-%m-%d} on")["level"] == "wrong"


def test_a_database_without_tables_says_how_to_make_them(doctor: Doctor, servers: Services) -> None:
    told = doctor(database__url=make_url(servers["postgres"].url).set(database="postgres").render_as_string())
    assert "run `flawline db upgrade`" in told.about("has no tables of flawline")["what"]


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"database__url": f"postgresql+psycopg2://u@{NOBODY}/flawline"}, "it does not answer, refuses us"),
        ({"broker__url": f"kafka://{NOBODY}"}, "no Kafka broker answers"),
        (
            {
                "blobs__url": f"s3://flawline?endpoint=http://{NOBODY}",
                "blobs__access_key": "k",
                "blobs__secret_key": "s",
            },
            NOBODY,
        ),
    ],
    ids=["database", "log", "pictures"],
)
def test_a_server_that_does_not_answer_is_wrong(doctor: Doctor, settings: dict[str, str], what: str) -> None:
    told = doctor(**settings)
    assert told.code == 1
    assert told.about(what)["level"] == "wrong"


def test_a_cache_that_does_not_answer_is_worth_a_note_and_no_more(doctor: Doctor) -> None:
    told = doctor(live__url=f"redis://user:hush@{NOBODY}/0")
    assert told.code == 0, told.findings
    found = told.about("does not answer")
    assert (found["level"], "hush" in str(told.findings)) == ("note", False)
    assert "the pages read the database" in found["advice"]


def test_servers_that_answer_are_well(doctor: Doctor, data: Path, servers: Services) -> None:
    data.mkdir()
    (data / "line.toml").write_text('[[camera]]\nname = "top"\nproduct = "ring"\nsource = "folder:/pictures"\n')
    log, pictures = kafka_of(servers), s3_of(servers)
    told = doctor(
        broker__url=log.url,
        broker__prefix=log.prefix,
        blobs__url=pictures.url,
        blobs__access_key=S3_KEY,
        blobs__secret_key=S3_SECRET,
        live__url=servers["redis"].url,
    )
    assert told.about("takes pictures and gives them back")["level"] == "ok"
    assert told.about("live cache redis://127.0.0.1")["level"] == "ok"
    assert told.about("has no topics frames")["advice"] == "`flawline topics apply` makes them"
    settings = read_settings()
    with KafkaBroker(settings.broker) as broker:
        broker.apply(parts.topics(settings, read_line(data / "line.toml")))
        assert doctor().about("has the line's topics")["level"] == "ok"
        broker.drop()


def test_a_wrong_key_of_the_picture_store_is_wrong(doctor: Doctor, servers: Services) -> None:
    pictures = s3_of(servers)
    told = doctor(blobs__url=pictures.url, blobs__access_key=S3_KEY, blobs__secret_key="wrong")
    assert told.code == 1


def test_no_password_is_shown(data: Path, flawline: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAWLINE_DATABASE__URL", "postgresql+psycopg2://ann:hush@host:5432/books")
    monkeypatch.setenv("FLAWLINE_LIVE__URL", "redis://:hush@host:6379/0")
    monkeypatch.setenv("FLAWLINE_BLOBS__SECRET_KEY", "hush")
    _, told = flawline("doctor", "--settings")
    assert "hush" not in told
    assert "FLAWLINE_DATABASE__URL=postgresql+psycopg2://ann:***@host:5432/books" in told
