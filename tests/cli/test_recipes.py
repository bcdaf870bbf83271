"""`flawline recipe`: what belongs to a product and needs no learning."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.teach import _as_before
from core.database import Database, open_database
from core.errors import SettingsInvalid
from core.recipes import Recipe
from core.records import audit, recipes
from core.settings import read_settings
from migrations.upgrade import upgrade
from tests.cli.conftest import Run


@pytest.fixture
def books(data: Path) -> Iterator[Database]:
    """Books with one product."""
    data.mkdir()
    url = read_settings().database_url
    upgrade(url)
    with open_database(url) as database:
        with database.writing() as connection:
            recipes.save(connection, Recipe(product="ring"), who="test", note="", now=datetime.now(UTC))
        yield database


def in_force(books: Database) -> tuple[int, Recipe]:
    with books.reading() as connection:
        found = recipes.newest(connection, "ring")
    assert found is not None
    return found


def test_what_is_set_is_a_new_version_and_audited(books: Database, flawline: Run) -> None:
    code, said = flawline(
        "recipe", "set", "ring", "--note", "measured with the target", "--mm-per-pixel", 0.05, "--min-region-area", 9,
        "--class", "Scratch", "--class", "Dent",
    )  # fmt: skip
    assert code == 0
    assert "millimetres_per_pixel: – → 0.05" in said
    assert "ring has recipe version 2 now" in said
    version, recipe = in_force(books)
    assert version == 2
    assert recipe == Recipe(product="ring", millimetres_per_pixel=0.05, min_region_area=9, classes=("Scratch", "Dent"))
    with books.reading() as connection:
        newest = audit.since(connection, None)[0]
    assert (newest.action, newest.subject, newest.reason) == ("recipe.save", "ring", "measured with the target")


def test_the_scale_can_be_forgotten(books: Database, flawline: Run) -> None:
    flawline("recipe", "set", "ring", "--mm-per-pixel", 0.05, "--note", "measured")
    flawline("recipe", "set", "ring", "--mm-per-pixel", 0, "--note", "the camera was moved")
    assert in_force(books)[1].millimetres_per_pixel is None


def test_a_dry_run_shows_and_changes_nothing(books: Database, flawline: Run) -> None:
    code, said = flawline("recipe", "set", "ring", "--min-region-area", 9, "--note", "less noise", "--dry-run")
    assert code == 0
    assert "min_region_area: 4 → 9" in said
    assert "nothing was changed" in said
    assert in_force(books)[0] == 1


def test_setting_what_it_is_already_makes_no_version(books: Database, flawline: Run) -> None:
    code, said = flawline("recipe", "set", "ring", "--min-region-area", 4, "--note", "sure is sure", "--json", "-")
    assert code == 0
    assert json.loads(said) == {"product": "ring", "version": 1, "saved": False, "changes": {}}
    assert in_force(books)[0] == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("ring", "--note", "why"), "nothing to set"),
        (("ring", "--min-region-area", 9, "--note", "  "), "say why"),
        (("disc", "--min-region-area", 9, "--note", "why"), "no recipe of 'disc'"),
        (("ring", "--mm-per-pixel", -1, "--note", "why"), "millimetres_per_pixel"),
        (("ring", "--mm-per-pixel", "nan", "--note", "why"), "millimetres_per_pixel"),
        (("ring", *(word for number in range(10) for word in ("--class", number)), "--note", "why"), "classes"),
    ],
)  # fmt: skip
def test_what_cannot_be_set_is_refused_and_nothing_is_saved(
    words: tuple[object, ...], reason: str, books: Database, flawline: Run
) -> None:
    with pytest.raises(SettingsInvalid, match=reason):
        flawline("recipe", "set", *words)
    assert in_force(books) == (1, Recipe(product="ring"))


def test_any_version_is_shown(books: Database, flawline: Run) -> None:
    flawline("recipe", "set", "ring", "--mm-per-pixel", 0.05, "--note", "measured")
    code, said = flawline("recipe", "show", "ring")
    assert code == 0
    assert "ring, recipe version 2" in said
    assert ["millimetres_per_pixel", "0.05"] in [line.split() for line in said.splitlines()]
    _, told = flawline("recipe", "show", "ring", "--version", 1, "--json", "-")
    values = json.loads(told)
    assert (values["version"], values["product"], values["millimetres_per_pixel"]) == (1, "ring", None)
    for words, reason in ((("ring", "--version", 7), "no recipe version 7"), (("disc",), "no recipe of 'disc'")):
        with pytest.raises(SettingsInvalid, match=reason):
            flawline("recipe", "show", *words)


def test_learning_anew_keeps_what_was_set() -> None:
    former = Recipe(product="ring", millimetres_per_pixel=0.05, min_region_area=9, classes=("Dent",), fixture="part")
    again = _as_before(Recipe(product="ring", fixture="axis"), (3, former))
    assert again == former.model_copy(update={"fixture": "axis"})
    assert _as_before(Recipe(product="ring", millimetres_per_pixel=0.2), (3, former)).millimetres_per_pixel == 0.2
    assert _as_before(Recipe(product="ring"), None) == Recipe(product="ring")
