"""A person acknowledges alerts on the wall: what the wall sends, what is stored, what is answered."""

import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from core.alarms import Cause, Kind
from core.records import alerts
from dashboard.acknowledging import LONGEST, Answer, act
from dashboard.components import asset
from dashboard.stores import Stores
from tests.dashboard.conftest import NOON
from tests.dashboard.seed import Plant


@pytest.fixture
def held(fresh: Plant) -> Iterator[Stores]:
    """The stores of a line with three lost cameras, alerts 1 to 3."""
    names = ("a", "b", "c")
    fresh.watch(*(Cause(kind=Kind.CAMERA_LOST, subject=n, what=f"{n} is lost", why="", do="") for n in names), at=NOON)
    made = Stores(fresh.settings)
    yield made
    made.close()


def seen(plant: Plant) -> list[tuple[object, ...]]:
    """Who has acknowledged which camera's alert and what they said: in the alerts and, the same, in the audit log."""
    with plant.database.reading() as connection:
        found = alerts.since(connection, NOON)
        audit = connection.execute(text("SELECT who, subject, reason FROM audit_log WHERE action='alert.acknowledge'"))
        written: list[tuple[object, ...]] = sorted(tuple(row) for row in audit)
    rows = [(alert.acknowledged_by, f"CAMERA_LOST {alert.subject}", alert.note) for alert in found]
    assert written == sorted(row for row in rows if row[0] is not None)
    return written


def press(
    stores: Stores, *numbers: object, note: str = "cable ordered", serial: int = 1, before: Answer | None = None
) -> Answer | None:
    message = {"alerts": list(numbers), "note": note, "serial": serial}
    return act(message, before, stores, who="A. Reviewer", now=NOON)


def test_an_alert_is_acknowledged_with_name_and_note(fresh: Plant, held: Stores) -> None:
    assert press(held, 1, note="  cable\n ordered ", serial=5) == Answer(5)
    assert seen(fresh) == [("A. Reviewer", "CAMERA_LOST a", "cable ordered")]


def test_alerts_told_as_one_are_acknowledged_together_and_one_that_closed_holds_up_no_other(
    fresh: Plant, held: Stores
) -> None:
    with fresh.database.writing() as connection:
        alerts.acknowledge(connection, 2, who="Ben", note="", now=NOON)
        connection.execute(text("UPDATE alerts SET closed_at = raised_at WHERE id = 3"))
    answer = press(held, 1, 2, 3, 9, note="")
    assert answer is not None
    assert answer.refused.startswith("Not stored: alert 2 (CAMERA_LOST) was acknowledged by Ben before; alert 3 ")
    assert "; no alert 9" in answer.refused
    assert seen(fresh) == [("A. Reviewer", "CAMERA_LOST a", ""), ("Ben", "CAMERA_LOST b", "")]


def test_a_message_that_comes_twice_is_done_once_and_answered_alike(fresh: Plant, held: Stores) -> None:
    first = press(held, 1)
    assert press(held, 1, before=first) == first == Answer(1)
    again = press(held, 1, serial=2, before=first)  # a press of its own
    assert again is not None
    assert "was acknowledged by A. Reviewer before" in again.refused
    assert len(seen(fresh)) == 1


def test_without_the_database_nothing_is_acknowledged_and_the_next_press_does_it(fresh: Plant, held: Stores) -> None:
    other = sqlite3.connect(fresh.settings.database_url.removeprefix("sqlite:///"), isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        refused = press(held, 1)
    finally:
        other.close()
    assert refused is not None
    assert refused.refused.startswith("Not stored: ")
    assert seen(fresh) == []
    assert press(held, 1, serial=2, before=refused) == Answer(2)
    assert seen(fresh) == [("A. Reviewer", "CAMERA_LOST a", "cable ordered")]


@pytest.mark.parametrize(
    "message",
    [
        None, 7, {}, {"alerts": None, "note": "", "serial": 1}, {"alerts": [1], "note": "", "serial": "1"},
        {"alerts": [1], "note": None, "serial": 1}, {"alerts": [1], "serial": 1}, {"alerts": [1], "note": ""},
        {"alerts": ["1", -1, 1 << 70, 1.5, None], "note": "", "serial": 1}, {"alerts": [], "note": "", "serial": 1},
    ],
)  # fmt: skip
def test_what_is_no_message_of_the_wall_changes_nothing(fresh: Plant, held: Stores, message: object) -> None:
    assert act(message, None, held, who="A. Reviewer", now=NOON) is None
    assert act(message, Answer(4), held, who="A. Reviewer", now=NOON) == Answer(4)
    assert seen(fresh) == []


def test_a_note_is_no_longer_than_the_walls_input_takes(fresh: Plant, held: Stores) -> None:
    press(held, 1, note="x" * 5000)
    assert [len(str(note)) for _, _, note in seen(fresh)] == [LONGEST]
    assert f'maxlength="{LONGEST}"' in asset("wall.html")
