"""What a gate was ordered and how it stands: from the journal to the broker, the audit log and the alerts."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.broker.local import LocalBroker
from core.broker.protocol import Topic
from core.database import Database, open_database
from core.messages import ROUTES
from core.records import audit, gate_words
from core.stop import Stop
from core.times import utc_of
from migrations.upgrade import upgrade
from tests.workers.gate.bench import told
from tests.workers.gate.listeners import until
from tests.workers.gate.plant import MS, START, Plant
from workers.bookkeeping import ROUTE_GROUP, RouteKeeper
from workers.gate.books import Books
from workers.gate.image import Coil
from workers.gate.journal import BOOKS, Journal
from workers.gate.sender import Sender
from workers.runtime import Pace, Worker


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "g.sqlite"


def actions(plant: Plant) -> list[tuple[str, str]]:
    return [(order.action, order.who) for order in plant.orders()]


def test_each_order_is_noted_with_who_why_when_and_until_when(path: Path) -> None:
    plant = Plant(path)
    plant.order("bypass", minutes=20, control="two people look", who="A. Lead", why="camera is cleaned")
    plant.order("inspect", who="A. Lead", why="camera is clean")
    plant.order("reset")
    assert actions(plant) == [
        ("start", "g"), ("qualify", "lead"), ("bypass", "A. Lead"), ("inspect", "A. Lead"), ("reset", "lead"),
    ]  # fmt: skip
    bypass = plant.orders()[2]
    assert (bypass.why, bypass.control, bypass.refused) == ("camera is cleaned", "two people look", "")
    assert bypass.until - bypass.at == 20 * 60 * 10**9
    assert START < bypass.at < START + 10**9
    assert len({order.key for order in plant.orders()}) == 5


def test_what_changes_by_itself_is_noted_too(path: Path) -> None:
    plant = Plant(path, distance_m=1.2, fastest_m_s=0.5, counts_per_m=2000)
    plant.order("bypass", minutes=0.01, control="c")
    plant.pass_time(1000)
    plant.write(Coil.KEY_SWITCH, on=True)
    plant.speed = 1.0
    plant.pass_time(500)
    plant.encoder = 0
    plant.pass_time(500)
    found = actions(plant)
    assert found[2:] == [
        ("bypass", "lead"), ("bypass-end", "g"), ("reset", "the key switch"), ("disqualify", "g"),
    ]  # fmt: skip
    assert "encoder" in plant.orders()[-1].why


@pytest.mark.parametrize(
    "order", [{"kind": "bypass", "minutes": 90}, {"kind": "bypass", "minutes": "long"}, {"kind": "open\0sesame"}, {}]
)
def test_an_order_that_is_not_carried_out_is_noted_as_that(path: Path, order: dict[str, object]) -> None:
    plant = Plant(path)
    plant.journal.order(order)
    plant.pass_time(250)
    assert plant.orders()[-1].refused
    assert plant.orders()[-1].until == 0


def test_an_order_that_cannot_be_noted_is_not_taken(path: Path) -> None:
    plant = Plant(path)
    plant.journal.order({"kind": "bypass", "who": "lead", "why": "w", "control": "c", "minutes": 5})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    plant.pass_time(500)
    assert "BYPASS_ACTIVE" not in plant.shown[-1].alarms
    other.execute("ROLLBACK")
    other.close()
    plant.pass_time(500)
    assert "BYPASS_ACTIVE" in plant.shown[-1].alarms
    assert actions(plant)[-1] == ("bypass", "lead")


def test_what_the_journal_could_not_note_at_once_is_noted_later(path: Path) -> None:
    plant = Plant(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    plant.write(Coil.KEY_SWITCH, on=True)
    plant.pass_time(100)
    other.execute("ROLLBACK")
    other.close()
    plant.pass_time(500)
    assert actions(plant)[-1] == ("reset", "the key switch")


def test_the_state_is_told_at_each_start_and_change_and_not_in_between(path: Path) -> None:
    plant = Plant(path)
    plant.pass_time(250)
    first = plant.states()
    assert {"CHALLENGE_DUE"} <= first[0].alarms.keys()
    assert first[-1].alarms == {}
    plant.pass_time(5000)
    assert plant.states() == first
    plant.write(Coil.BIN_FULL, on=True)
    plant.pass_time(500)
    assert plant.states()[-1].alarms == {"BIN_FULL": "the reject bin is full"}
    plant.order("bypass", minutes=10, control="c")
    assert plant.states()[-1].alarms.keys() == {"BIN_FULL", "BYPASS_ACTIVE"}
    until_when = plant.states()[-1].bypass_until
    assert abs(until_when - plant.wall - 600 * 10**9) < 500 * MS
    n = len(plant.states())
    plant.wall += 3600 * 10**9  # a jump of the clock is no change
    plant.pass_time(1000)
    assert len(plant.states()) == n
    plant.order("bypass", minutes=20, control="c")
    assert plant.states()[-1].bypass_until > until_when
    plant.journal.close()
    again = Plant(path, qualified=False)
    assert again.states()[-1].alarms.keys() == {"CHALLENGE_DUE"}
    assert again.states()[-1].session > first[0].session


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'books.sqlite'}"
    upgrade(url)
    with open_database(url) as database:
        yield database


def test_orders_and_states_reach_the_books_by_the_broker_once_whatever_comes_twice(
    path: Path, tmp_path: Path, database: Database
) -> None:
    plant = Plant(path)
    plant.order("bypass", minutes=20, control="two people look", who="A. Lead", why="camera is cleaned")
    plant.trigger(7)
    plant.hear(told(7))
    plant.pass_time(1040)
    plant.results()
    log = tmp_path / "log.sqlite"
    with LocalBroker(log) as broker:
        broker.apply([Topic(ROUTES, 1), Topic("routes.dlq", 1)])
    for _ in range(2):  # the second one follows a gate that was killed before it could note what it had told
        sender = Sender(path, Books(lambda: LocalBroker(log)))
        sender.start()
        with Journal(path) as journal:
            until(lambda journal=journal: not journal.backlog()[BOOKS], "the books to be told")  # type: ignore[misc]
        sender.close()
        plant.journal._raw.execute("UPDATE cursors SET done = 0")
    with LocalBroker(log) as broker:
        consumer = broker.consumer(ROUTES, group=ROUTE_GROUP, member="routes")
        pace = Pace(poll=0.0, sleep=lambda _: None)
        worker = Worker(consumer, broker.producer(), RouteKeeper(database), stop=Stop(), pace=pace)
        while worker.step():
            continue
        assert sum(lag.end for lag in broker.lag("routes.dlq", group="t")) == 0
    with database.reading() as connection:
        entries = audit.since(connection, None)
        (word,) = gate_words.gates(connection, since=utc_of(START))
    assert [entry.action for entry in entries] == ["gate.bypass", "gate.qualify", "gate.start"]
    assert (entries[0].who, entries[0].reason, entries[0].subject) == ("A. Lead", "camera is cleaned", "gate g")
    assert entries[0].new is not None
    assert entries[0].new["control"] == "two people look"
    assert word.alarms == ("BYPASS_ACTIVE",)
