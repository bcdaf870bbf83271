"""Alerts of gates on a line that stands: open until the gate takes them back, or somebody saw them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.alarms import Severity
from core.broker.memory import MemoryBroker
from core.broker.protocol import Topic
from core.database import open_database
from core.gate_messages import GateStands
from core.messages import CAMERAS, DEAD_LETTERS, FRAMES, ROUTES
from core.records import alerts
from core.records.gate_words import enter
from migrations.upgrade import upgrade
from tests.workers.test_watch import NOON_NS, Rig

HOUR = 3600


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Rig]:
    """A line of a gate alone, and its watch."""
    url = f"sqlite:///{tmp_path}/books.sqlite"
    upgrade(url)
    with open_database(url, busy_seconds=0.2) as database, MemoryBroker() as broker:
        broker.apply([Topic(name, 1) for name in (FRAMES, CAMERAS, ROUTES, *DEAD_LETTERS.values())])
        yield Rig(tmp_path, database, broker)


def say(rig: Rig, number: int, *kinds: str, bypass_minutes: int = 0) -> None:
    at = int(rig.now.timestamp() * 1e9)
    until = at + bypass_minutes * 60 * 10**9 if bypass_minutes else 0
    told = GateStands(gate="g1", session=NOON_NS, number=number, at=at, alarms=dict.fromkeys(kinds, "why"),
                      bypass_until=until)  # fmt: skip
    with rig.database.writing() as connection:
        enter(connection, [told])


def acknowledge(rig: Rig) -> None:
    with rig.database.writing() as connection:
        for alert in alerts.standing(connection):
            alerts.acknowledge(connection, alert.id, who="lead", note="seen", now=rig.now)


def test_a_full_bin_on_a_line_that_stands_is_an_alert_until_it_is_empty(gate: Rig) -> None:
    say(gate, 1, "BIN_FULL", "GATE_UNCONFIRMED")
    both = [("BIN_FULL", "g1"), ("GATE_UNCONFIRMED", "g1")]
    assert gate.look() == both
    assert gate.look(HOUR, times=12) == both
    first = {alert.id for alert in gate.open()}
    say(gate, 2, "GATE_UNCONFIRMED")
    assert gate.look(3) == both
    assert gate.look(31) == [("GATE_UNCONFIRMED", "g1")]
    assert {alert.id for alert in gate.open()} < first, "the same alert, not a new one"
    say(gate, 3)
    assert gate.look(61, times=2) == []


def test_an_acknowledged_alert_closes_only_once_its_gate_is_silent(gate: Rig) -> None:
    say(gate, 1, "LOW_AIR")
    gate.look()
    acknowledge(gate)
    assert gate.look(60, times=4) == [("LOW_AIR", "g1")]
    assert gate.look(60, times=3) == []
    assert gate.look(HOUR) == [], "it is not raised again"
    say(gate, 2, "LOW_AIR")
    assert gate.look() == [("LOW_AIR", "g1")], "a gate that speaks again is heard again"


def test_a_bypass_is_a_red_alert_with_or_without_parts_until_it_has_ended(gate: Rig) -> None:
    say(gate, 1, "BYPASS_ACTIVE", bypass_minutes=60)
    assert gate.look() == [("BYPASS_ACTIVE", "g1")]
    (alert,) = gate.open()
    assert (alert.severity, alert.what) == (Severity.RED, "Gate g1: a bypass is active")
    acknowledge(gate)
    assert gate.look(60, times=50) == [("BYPASS_ACTIVE", "g1")]
    say(gate, 2, "BYPASS_EXPIRED")
    gate.look()
    assert gate.look(31) == [("BYPASS_EXPIRED", "g1")]
