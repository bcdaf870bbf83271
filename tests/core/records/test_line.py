from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select

from core.database import Database
from core.line import Camera, line_of
from core.records import line, products
from core.tables import audit_log, cameras
from tests.core.records.rows import NOON

RING = Camera(name="ring-top", product="ring", source="folder:/rings", deadline_ms=500)
BOARD = Camera(name="board-top", product="board", source="folder:/boards", partition=3)
LATER = NOON + timedelta(hours=1)


def shown(connection: Connection) -> list[tuple[Any, ...]]:
    t = cameras.c
    wanted = select(t.name, t.product, t.partition, t.deadline_ms, t.in_line, t.place, t.updated_at)
    return [tuple(row) for row in connection.execute(wanted.order_by(t.name))]


def test_the_cameras_of_the_line_file_are_in_the_books(database: Database) -> None:
    with database.writing() as connection:
        assert line.register(connection, line_of([RING, BOARD]), now=NOON)
        assert shown(connection) == [
            ("board-top", "board", 3, 0, True, 1, NOON),
            ("ring-top", "ring", 0, 500, True, 0, NOON),
        ]
        assert products.names(connection) == ["board", "ring"]


def test_the_same_line_again_changes_nothing(database: Database) -> None:
    with database.writing() as connection:
        line.register(connection, line_of([RING, BOARD]), now=NOON)
        assert not line.register(connection, line_of([RING, BOARD]), now=LATER)
        assert {row[-1] for row in shown(connection)} == {NOON}
        assert len(connection.execute(select(audit_log)).all()) == 1


def test_a_camera_that_left_the_line_stays_in_the_books_out_of_line(database: Database) -> None:
    with database.writing() as connection:
        line.register(connection, line_of([RING, BOARD]), now=NOON)
        assert line.register(connection, line_of([BOARD]), now=LATER)
        assert [(row[0], row[4], row[-1]) for row in shown(connection)] == [
            ("board-top", True, LATER),
            ("ring-top", False, LATER),
        ]
        assert line.register(connection, line_of([RING, BOARD]), now=LATER)
        assert [row[4] for row in shown(connection)] == [True, True]


def test_a_change_of_one_camera_is_in_the_audit_log(database: Database) -> None:
    slower = RING.model_copy(update={"deadline_ms": 800})
    with database.writing() as connection:
        line.register(connection, line_of([RING, BOARD]), now=NOON)
        line.register(connection, line_of([slower, BOARD]), now=LATER)
        change = connection.execute(select(audit_log).order_by(audit_log.c.id.desc())).first()
        assert [row[-1] for row in shown(connection)] == [NOON, LATER]
    assert change is not None
    assert (change.action, change.subject, change.at) == ("line.change", "line 1", LATER)
    assert (change.old["ring-top"]["deadline_ms"], change.new["ring-top"]["deadline_ms"]) == (500, 800)
