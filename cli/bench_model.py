"""The model of a bench: none, one learnt for it, or one that there is; and how fast it is without a line around it."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cli import parts
from cli.asked import Asked as Teaching
from cli.bench_null import null_model
from cli.console import err, progress
from cli.teach import enter, learn_product, recipe_of
from core.errors import ModelUnusable, SettingsInvalid
from core.recipes import Recipe
from core.records import models, recipes
from core.records.models import NewModel
from core.settings import Settings, read_settings
from core.stop import Stop
from model.errors import ModelError
from model.fixture import FixtureMismatch
from model.pictures import decode_picture
from model.predictor import Predictor

NULL, DEFAULT = "null", "default"
TAUGHT = "ring"  # the simulated product that a bench learns, and photographs
GOLDEN = 60  # pictures
BUDGET = "60s"
LEAST_SECONDS = 6.0  # of looking how fast the network is
WHO = "bench"


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is active in the bench's books. path: None for the null model."""

    product: str
    path: Path | None = None


def prepare_model(settings: Settings, asked: str, pictures: Sequence[bytes], size: tuple[int, int]) -> Model:
    """Make the model that is asked for active in these books: null, default, a file, or a product of the user's own.

    pictures: good ones, encoded, of this width and height. Raises SettingsInvalid, ModelUnusable.
    """
    if asked == NULL:
        return _activate(settings, TAUGHT, null_model(*size), None)
    if asked == DEFAULT:
        return _learnt(settings, pictures)
    if Path(asked).is_file():
        return _activate(settings, TAUGHT, Path(asked).read_bytes(), settings.data / "bench.safetensors")
    return _borrowed(settings, asked)


def network_speed(settings: Settings, model: Model, pictures: Sequence[bytes], *, batch: int) -> float | None:
    """Pictures per second of the model alone: ready pictures in batches, as fast as it goes. None for the null model.

    Raises ModelUnusable for a model that cannot judge here, or not such pictures.
    """
    if model.path is None:
        return None
    try:
        predictor = Predictor.load(model.path, runtime=settings.worker.runtime, threads=settings.worker.threads or None)
        fitted = [predictor.fixture.apply(decode_picture(data, "picture")) for data in pictures[:batch]]
    except (ModelError, FixtureMismatch) as problem:
        raise ModelUnusable(f"{model.path}: {problem}") from problem
    images = np.stack(fitted)
    predictor(images)
    begun, seen = time.perf_counter(), 0
    while (spent := time.perf_counter() - begun) < LEAST_SECONDS:
        predictor(images)
        seen += len(images)
    return seen / spent


def _learnt(settings: Settings, pictures: Sequence[bytes]) -> Model:
    folder = settings.data / "golden"
    folder.mkdir(parents=True)
    for number, data in enumerate(pictures):
        (folder / f"{number:04d}.jpg").write_bytes(data)
    asked = Teaching(budget=BUDGET)
    err.print(f"learning a simulated product for {BUDGET}")
    with progress() as tell:
        learnt = learn_product(settings, TAUGHT, folder, asked, stop=Stop(), tell=tell)
    path = settings.data / "bench.safetensors"
    path.write_bytes(learnt.path.read_bytes())
    enter(settings, recipe_of(asked, TAUGHT), learnt, activate=True)
    return Model(TAUGHT, path)


def _borrowed(settings: Settings, product: str) -> Model:
    """The active model of a product in the user's own books."""
    own = read_settings()
    with parts.database(own) as database, database.reading() as connection:
        found = models.active(connection).get(product)
    if found is None:
        raise SettingsInvalid(f"--model {product}: neither a model file nor a product with an active model")
    return _activate(settings, product, parts.blobs(own).get(found.blob), settings.data / "bench.safetensors")


def _activate(settings: Settings, product: str, data: bytes, path: Path | None) -> Model:
    """Register the bytes of a model file and let it judge; path: where the file is to lie for the bench itself."""
    sha256, now = hashlib.sha256(data).hexdigest(), parts.now()
    key = f"model/{product}/{sha256}.safetensors"
    parts.blobs(settings).put(key, data)
    new = NewModel(
        product=product,
        blob=key,
        sha256=sha256,
        size=len(data),
        recipe_version=1,
        manifest={},
        metrics={},
        note="bench",
    )
    with parts.database(settings) as database, database.writing() as connection:
        recipes.save(connection, Recipe(product=product), who=WHO, note="bench", now=now)
        row = models.register(connection, new, who=WHO, now=now)
        models.activate(connection, row.id, who=WHO, note="bench", now=now)
    if path:
        path.write_bytes(data)
    return Model(product, path)
