"""Recipes by version: a change is a new version, never retroactive (INV-8)."""

from datetime import datetime

from sqlalchemy import Connection, insert, select

from core.errors import SettingsInvalid
from core.recipes import Recipe
from core.records import products
from core.records.audit import Change, write
from core.tables import recipes


def save(connection: Connection, recipe: Recipe, *, who: str, note: str, now: datetime) -> int:
    """The version that holds this recipe: a new one only where it differs from the newest."""
    products.enter(connection, [recipe.product], now=now)
    products.hold(connection, recipe.product)
    former = newest(connection, recipe.product)
    if former is not None and former[1] == recipe:
        return former[0]
    version = 1 if former is None else former[0] + 1
    body = recipe.model_dump(mode="json")
    row = {"product": recipe.product, "version": version, "body": body, "created_at": now, "created_by": who}
    connection.execute(insert(recipes).values(**row, note=note))
    old = None if former is None else {"version": former[0]} | former[1].model_dump(mode="json")
    new = {"version": version} | body
    change = Change(at=now, who=who, action="recipe.save", subject=recipe.product, old=old, new=new, reason=note)
    write(connection, change)
    return version


def newest(connection: Connection, product: str) -> tuple[int, Recipe] | None:
    """The recipe in force and its version; None for a product without one."""
    version = select(recipes.c.version).where(recipes.c.product == product).order_by(recipes.c.version.desc()).limit(1)
    found = connection.scalar(version)
    return None if found is None else (found, one(connection, product, found))


def one(connection: Connection, product: str, version: int) -> Recipe:
    """A recipe of a certain version. Raises SettingsInvalid when there is none, or this version cannot read it."""
    mine = (recipes.c.product == product, recipes.c.version == version)
    body = connection.scalar(select(recipes.c.body).where(*mine))
    if body is None:
        raise SettingsInvalid(f"{product} has no recipe version {version}")
    try:
        return Recipe.model_validate(body)
    except ValueError as problem:
        raise SettingsInvalid(f"recipe {product} version {version} cannot be read: {problem}") from problem
