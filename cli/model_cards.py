"""Cards for models that were registered before there were cards."""

import getpass
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cli import parts
from cli.console import escape, out, write_json
from core.blobs.keys import fixture_key
from core.errors import BlobMissing
from core.records import models, products
from core.records.models import ModelRow
from core.settings import Settings, read_settings
from model.card_document import card_document
from model.manifest import Manifest


def add_missing(*, json_file: Path | None) -> None:
    """Give each model without a card the one that its manifest in the books makes; say which have one now."""
    settings = read_settings()
    told: list[dict[str, Any]] = []
    with parts.database(settings) as database:
        with database.reading() as connection:
            names = products.names(connection)
            lacking = [row for name in names for row in models.versions(connection, name) if row.card is None]
        for row in lacking:
            card = _card(settings, row)
            told.append({"model": row.id, "product": row.product, "version": row.version, "added": card is not None})
            if card is not None:
                with database.writing() as connection:
                    models.add_card(connection, row.id, card, who=getpass.getuser(), now=parts.now())
    write_json({"models": told}, json_file)
    if str(json_file) != "-":
        _print(told)


def _card(settings: Settings, row: ModelRow) -> dict[str, Any] | None:
    """None where the books hold no whole manifest of this version's form."""
    try:
        manifest = Manifest.model_validate_json(json.dumps(dict(row.manifest)))
    except ValidationError:
        return None
    key = fixture_key(row.blob)
    try:
        parts.blobs(settings).size(key)
    except BlobMissing:
        return card_document(manifest, sha256=row.sha256, size=row.size)
    return card_document(manifest, sha256=row.sha256, size=row.size, fixture_picture=key)


def _print(told: list[dict[str, Any]]) -> None:
    for one in told:
        name = f"{escape(str(one['product']))} {one['version']}"
        out.print(f"{name}: it has its card now" if one["added"] else f"{name}: no card, its manifest is not whole")
    if not told:
        out.print("every model has its card")
