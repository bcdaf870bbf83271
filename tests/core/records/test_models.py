from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from core.database import Database
from core.errors import NotAllowed
from core.records import models
from core.records.inspections import record
from core.records.models import ModelRow, NewModel
from core.tables import audit_log
from core.tables import models as table
from core.verdicts import ModelState
from tests.core.records.rows import NOON, inspected


def new(product: str = "ring", **more: Any) -> NewModel:
    values: dict[str, Any] = {"product": product, "blob": f"models/{product}.safetensors", "sha256": "ab" * 32}
    values |= {"size": 12_345, "recipe_version": 3, "manifest": {"backbone": "efficientnet_lite0"}}
    return NewModel(**values | {"metrics": {"image_auroc": 0.99, "pixel_auroc": None}} | more)


def register(connection: Connection, product: str = "ring", **more: Any) -> ModelRow:
    return models.register(connection, new(product, **more), who="trainer", now=NOON)


def activate(connection: Connection, row: ModelRow) -> ModelRow:
    return models.activate(connection, row.id, who="quality", note="better", now=NOON)


def states(connection: Connection, product: str = "ring") -> list[ModelState]:
    return [row.state for row in models.versions(connection, product)]


def test_a_registered_model_is_kept_as_it_was_trained_and_judges_nothing(database: Database) -> None:
    with database.writing() as connection:
        row = register(connection, note="first")
    with database.reading() as connection:
        assert models.versions(connection, "ring") == [row]
        assert models.active(connection) == {}
    assert (row.version, row.state, row.created_by, row.created_at) == ("2026-11-24/1", "TRAINED", "trainer", NOON)
    assert {name: getattr(row, name) for name in ("blob", "sha256", "size", "recipe_version", "manifest", "note")} == {
        "blob": "models/ring.safetensors",
        "sha256": "ab" * 32,
        "size": 12_345,
        "recipe_version": 3,
        "manifest": {"backbone": "efficientnet_lite0"},
        "note": "first",
    }
    assert row.metrics == {"image_auroc": 0.99, "pixel_auroc": None}


def test_a_card_stands_beside_its_model_and_stays_as_it_was_made(database: Database) -> None:
    card = {"edition": 1, "sections": [], "curves": [{"losses": [0.5]}]}
    with database.writing() as connection:
        with_card, without = register(connection, card=card), register(connection)
        assert (with_card.card, without.card) == (card, None)
        assert models.add_card(connection, without.id, {"edition": 1}, who="quality", now=NOON).card == {"edition": 1}
        actions = connection.scalars(select(audit_log.c.action)).all()
        assert actions == ["model.register", "model.register", "model.card"]
    for row in (with_card, without):
        with pytest.raises(NotAllowed, match="has its card already"), database.writing() as connection:
            models.add_card(connection, row.id, {}, who="quality", now=NOON)
    with pytest.raises(NotAllowed, match="there is no model 99"), database.writing() as connection:
        models.add_card(connection, 99, {}, who="quality", now=NOON)


def test_versions_count_by_product_and_day_as_numbers(database: Database) -> None:
    with database.writing() as connection:
        assert [register(connection).version for _ in range(11)][-3:] == [
            "2026-11-24/9",
            "2026-11-24/10",
            "2026-11-24/11",
        ]
        assert register(connection, "board").version == "2026-11-24/1"
        late = models.register(connection, new(), who="trainer", now=NOON + timedelta(hours=12))
        assert late.version == "2026-11-25/1"
        assert [row.id for row in models.versions(connection, "ring")][:2] == [late.id, 11]


def test_a_model_that_was_not_finished_is_not_registered(database: Database) -> None:
    with pytest.raises(NotAllowed, match="is DRAFT; only TRAINED or VALIDATED"), database.writing() as connection:
        register(connection, state=ModelState.DRAFT)


def test_one_model_of_each_product_is_active(database: Database) -> None:
    with database.writing() as connection:
        first, second, board = register(connection), register(connection), register(connection, "board")
        activate(connection, first)
        activate(connection, board)
        now_active = activate(connection, second)
        assert {product: row.id for product, row in models.active(connection).items()} == {
            "ring": second.id,
            "board": board.id,
        }
        assert states(connection) == [ModelState.ACTIVE, ModelState.RETIRED]
    assert (now_active.activated_by, now_active.activated_at, now_active.activation_note) == ("quality", NOON, "better")


def test_going_back_to_an_older_model_rolls_the_newer_one_back(database: Database) -> None:
    with database.writing() as connection:
        first, second = register(connection), register(connection)
        activate(connection, first)
        activate(connection, second)
        activate(connection, first)
        assert states(connection) == [ModelState.ROLLED_BACK, ModelState.ACTIVE]
        activate(connection, second)
        assert states(connection) == [ModelState.ACTIVE, ModelState.RETIRED]


def test_an_older_model_that_never_judged_is_no_step_back(database: Database) -> None:
    with database.writing() as connection:
        first, second = register(connection), register(connection)
        activate(connection, second)
        activate(connection, first)
        assert states(connection) == [ModelState.RETIRED, ModelState.ACTIVE]


def test_an_active_model_that_is_activated_again_stays_as_it_is(database: Database) -> None:
    with database.writing() as connection:
        active = activate(connection, register(connection))
        again = models.activate(connection, active.id, who="other", note="twice", now=NOON + timedelta(hours=1))
        assert again == active
        actions = connection.scalars(select(audit_log.c.action)).all()
    assert actions == ["model.register", "model.activate"]


def test_a_rejected_or_unknown_model_never_judges(database: Database) -> None:
    with database.writing() as connection:
        row = register(connection)
        assert models.reject(connection, row.id, who="quality", note="misses dents", now=NOON).state == "REJECTED"
        with pytest.raises(NotAllowed, match="2026-11-24/1 is REJECTED"):
            activate(connection, row)
        with pytest.raises(NotAllowed, match="there is no model 99"):
            models.activate(connection, 99, who="quality", note="", now=NOON)


def test_an_active_model_cannot_be_deleted_or_rejected(database: Database) -> None:
    with database.writing() as connection:
        row = activate(connection, register(connection))
        for refuse in (models.remove, models.reject):
            with pytest.raises(NotAllowed, match=r"is active and cannot be"):
                refuse(connection, row.id, who="quality", note="", now=NOON)


def test_a_model_that_judged_stays_and_one_that_never_did_can_go(database: Database) -> None:
    with database.writing() as connection:
        judged, idle = activate(connection, register(connection)), register(connection)
        record(connection, [inspected(0, model_id=judged.id)])
        activate(connection, register(connection))
        with pytest.raises(NotAllowed, match="has judged parts, so it stays"):
            models.remove(connection, judged.id, who="quality", note="", now=NOON)
        assert models.remove(connection, idle.id, who="quality", note="", now=NOON) == idle
        assert [row.id for row in models.versions(connection, "ring")] == [3, 1]


def test_the_audit_log_tells_the_old_and_the_new_model(database: Database) -> None:
    with database.writing() as connection:
        first, second = register(connection), register(connection)
        activate(connection, first)
        activate(connection, second)
        rows = connection.execute(select(audit_log).where(audit_log.c.action == "model.activate")).all()
    assert [(row.who, row.subject, row.reason) for row in rows] == [("quality", "ring", "better")] * 2
    assert rows[0].old is None
    assert [rows[0].new["model"], rows[1].old["model"], rows[1].new["model"]] == [first.id, first.id, second.id]


def test_the_database_itself_refuses_a_second_active_model(database: Database) -> None:
    with database.writing() as connection:
        activate(connection, register(connection))
        row = register(connection)
        values = dict(connection.execute(select(table).where(table.c.id == row.id)).mappings().one())
    values |= {"id": 77, "version": "2026-11-24/77", "state": "ACTIVE"}
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(insert(table).values(values))
