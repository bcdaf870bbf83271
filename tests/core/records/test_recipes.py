import pytest
from sqlalchemy import select, update

from core.database import Database
from core.errors import SettingsInvalid
from core.recipes import LimitPair, Recipe, Roi
from core.records import products, recipes
from core.tables import audit_log
from core.tables import recipes as table
from tests.core.records.rows import NOON

RING = Recipe(product="ring")
TIGHT = Recipe(product="ring", fixture="roi", roi=Roi(x=1, y=2, width=30, height=40), limits=LimitPair(t_lo=0.25))


def test_a_recipe_comes_back_as_it_was_saved(database: Database) -> None:
    with database.writing() as connection:
        assert recipes.save(connection, TIGHT, who="quality", note="tight", now=NOON) == 1
    with database.reading() as connection:
        assert recipes.newest(connection, "ring") == (1, TIGHT)
        assert products.names(connection) == ["ring"]


def test_a_change_is_a_new_version_and_no_change_is_none(database: Database) -> None:
    with database.writing() as connection:
        versions = [
            recipes.save(connection, recipe, who="quality", note="", now=NOON)
            for recipe in (RING, RING, TIGHT, TIGHT, RING)
        ]
        assert versions == [1, 1, 2, 2, 3]
        assert [recipes.one(connection, "ring", version) for version in (1, 2, 3)] == [RING, TIGHT, RING]
        log = connection.execute(select(audit_log).order_by(audit_log.c.id)).all()
    assert [(row.old and row.old["version"], row.new["version"]) for row in log] == [(None, 1), (1, 2), (2, 3)]
    assert log[1].new["roi"] == {"x": 1, "y": 2, "width": 30, "height": 40}


def test_version_ten_is_newer_than_nine(database: Database) -> None:
    with database.writing() as connection:
        for side in range(100, 110):
            recipes.save(connection, Recipe(product="ring", budget=side), who="quality", note="", now=NOON)
        assert recipes.newest(connection, "ring") == (10, Recipe(product="ring", budget=109))


def test_a_product_without_a_recipe_has_none(database: Database) -> None:
    with database.writing() as connection:
        recipes.save(connection, RING, who="quality", note="", now=NOON)
        assert recipes.newest(connection, "board") is None
        with pytest.raises(SettingsInvalid, match="ring has no recipe version 2"):
            recipes.one(connection, "ring", 2)


def test_a_recipe_of_a_later_kind_is_refused_not_guessed(database: Database) -> None:
    with database.writing() as connection:
        recipes.save(connection, RING, who="quality", note="", now=NOON)
        connection.execute(update(table).values(body={"product": "ring", "fixture": "telepathy"}))
        with pytest.raises(SettingsInvalid, match="recipe ring version 1 cannot be read"):
            recipes.newest(connection, "ring")
