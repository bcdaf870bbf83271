"""A product's recipe, shown and changed from the command line."""

import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection

from cli import parts
from cli.console import escape, out, write_json
from core.errors import SettingsInvalid
from core.live_open import open_live
from core.recipes import Recipe
from core.records import recipes
from core.settings import read_settings

FORGET = 0.0  # as a scale


def show(product: str, *, version: int | None, json_file: Path | None) -> None:
    """Print a version of a recipe, the newest by default. Raises SettingsInvalid where there is none."""
    with parts.database(read_settings()) as database, database.reading() as connection:
        number, recipe = _in_force(connection, product)
        if version is not None:
            number, recipe = version, recipes.one(connection, product, version)
    values = recipe.model_dump(mode="json")
    write_json({"version": number} | values, json_file)
    if str(json_file) != "-":
        out.print(f"{escape(product)}, recipe version {number}")
        for name, value in values.items():
            if name != "product":
                out.print(f"  {name:<22} {escape(_told(value))}", soft_wrap=True)


def change(product: str, asked: Mapping[str, Any], *, note: str, dry_run: bool, json_file: Path | None) -> None:
    """Save a version with what is asked for, and tell the workers. Raises SettingsInvalid; nothing is saved then."""
    if not asked:
        raise SettingsInvalid("nothing to set; see `flawline recipe set --help`")
    if not note.strip():
        raise SettingsInvalid("say why with --note; it stands in the audit log")
    settings = read_settings()
    with parts.database(settings) as database, database.writing() as connection:
        version, former = _in_force(connection, product)
        recipe = _changed(former, asked)
        if not dry_run:
            version = recipes.save(connection, recipe, who=getpass.getuser(), note=note, now=parts.now())
    if not dry_run and recipe != former:
        with open_live(settings) as live:
            live.models_changed()
    old, new = former.model_dump(mode="json"), recipe.model_dump(mode="json")
    changes = {name: {"from": old[name], "to": new[name]} for name in new if old[name] != new[name]}
    write_json(
        {"product": product, "version": version, "saved": not dry_run and bool(changes), "changes": changes}, json_file
    )
    if str(json_file) != "-":
        _print(product, version, changes, dry_run=dry_run)


def _in_force(connection: Connection, product: str) -> tuple[int, Recipe]:
    found = recipes.newest(connection, product)
    if found is None:
        raise SettingsInvalid(f"no recipe of {product!r} in the books; `flawline onboard {product} FOLDER` makes one")
    return found


def _changed(former: Recipe, asked: Mapping[str, Any]) -> Recipe:
    values = former.model_dump() | dict(asked)
    if values["millimetres_per_pixel"] == FORGET:
        values["millimetres_per_pixel"] = None
    try:
        return Recipe.model_validate(values)
    except ValidationError as problem:
        first = problem.errors()[0]
        name = first["loc"][0] if first["loc"] else "the recipe"
        raise SettingsInvalid(f"{name}: {first['msg']}") from problem


def _print(product: str, version: int, changes: Mapping[str, Mapping[str, Any]], *, dry_run: bool) -> None:
    for name, one in changes.items():
        out.print(f"  {name}: {escape(_told(one['from']))} → {escape(_told(one['to']))}", soft_wrap=True)
    if not changes:
        out.print(f"{escape(product)}: nothing differs from recipe version {version}")
    elif dry_run:
        out.print("nothing was changed (--dry-run)")
    else:
        out.print(
            f"{escape(product)} has recipe version {version} now; what is judged from now on goes by it", soft_wrap=True
        )


def _told(value: object) -> str:
    if value is None:
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
