"""Which earlier model a training begins from: none, a file, or the one that judges the product now."""

from pathlib import Path

from cli import parts
from core.errors import BlobMissing
from core.records import models
from core.settings import Settings
from model.warm_start import WarmStart
from workers.shelf import fetch, file_in

AUTO, OFF = "auto", "off"


def named_start(asked: str) -> WarmStart | None:
    """The file that is asked for; None for auto and off."""
    return None if asked in {AUTO, OFF} else WarmStart(Path(asked))


def product_start(asked: str, settings: Settings, product: str) -> WarmStart | None:
    """The same; for auto the product's active model, if there is one. It need not fit: then networks are fresh."""
    if asked != AUTO:
        return named_start(asked)
    try:
        path = active_model(settings, product)
    except BlobMissing:
        return None  # the workers say so; a new model must not wait for a lost one
    return WarmStart(path, required=False) if path else None


def active_model(settings: Settings, product: str) -> Path | None:
    """Where the file of a product's active model lies on this machine; None if it has none. Raises BlobMissing."""
    with parts.database(settings) as database, database.reading() as connection:
        row = models.active(connection).get(product)
    if row is None:
        return None
    path = file_in(settings.data / "models", row)
    fetch(parts.blobs(settings), row, path)
    return path
