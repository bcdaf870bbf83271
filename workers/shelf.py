"""The models in use, one for each product; a newer active one is taken between batches, without a restart.

A model that cannot be used never replaces one that works; a product without a usable model gets NO_VERDICT.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from core.blobs.protocol import BlobStore
from core.database import Database
from core.disk import write_whole
from core.errors import BlobMissing, ModelUnusable, StoreUnavailable
from core.live import Live, NoLive
from core.metrics import Metrics
from core.recipes import Recipe
from core.records import models, products, recipes
from core.records.models import ModelRow
from core.verdicts import Limits, NoVerdictReason
from model.errors import ModelFileInvalid, RuntimeUnavailable
from model.predictor import Predictor
from model.regions import RegionRule
from model.runtimes import Fingerprint

log = logging.getLogger(__name__)

LOOK_EVERY = 2.0  # s between looks at the books
RETRY_AFTER = 30.0  # s before a model that could not be used is tried again


class RecipeVersion(NamedTuple):
    """A recipe and its version in the books."""

    version: int
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Qualified:
    """A product that can be judged."""

    predictor: Predictor
    model: ModelRow
    recipe: RecipeVersion
    limits: Limits


@dataclass(frozen=True, slots=True)
class Unqualified:
    """A known product that cannot be judged now."""

    reason: NoVerdictReason
    detail: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A product that the books do not know."""

    detail: str


@dataclass(frozen=True, slots=True)
class Signals:
    """Who says that the books have changed, and who is told what is in use."""

    live: Live = field(default_factory=NoLive)
    metrics: Metrics = field(default_factory=Metrics)


OpenPredictor = Callable[[Path, str], Predictor]  # a model file and its SHA-256


class Shelf:
    """What each product is judged by, as the books say it. Refreshed by one thread; any may ask what it finds."""

    def __init__(self, database: Database, blobs: BlobStore, folder: Path, open_predictor: OpenPredictor, *,
                 signals: Signals = Signals(), clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self._database = database
        self._blobs = blobs
        self._folder = folder
        self._open = open_predictor
        self._signals = signals
        self._clock = clock
        self._signalled: int | None = None
        self._looked = -LOOK_EVERY
        self._recipes: dict[str, RecipeVersion] = {}
        self._in_use: dict[str, Qualified] = {}
        self._refused: dict[str, tuple[int, float, str]] = {}  # product: model id, when, why
        self._known: set[str] = set()

    def refresh(self, *, at_once: bool = False) -> None:
        """Look at the books if it is time to, and load what they newly say. Raises StoreUnavailable."""
        now = self._clock()
        signalled = self._signals.live.models_version()
        changed = signalled is not None and signalled != self._signalled
        if not at_once and not changed and now - self._looked < LOOK_EVERY:
            return
        with self._database.reading() as connection:
            active = models.active(connection)
            self._known = set(products.names(connection))
            newest = {product: recipes.newest(connection, product) for product in active}
        self._recipes = {product: RecipeVersion(*found) for product, found in newest.items() if found}
        for product in self._in_use.keys() - active.keys():
            log.warning("%s has no active model any more", product)
            del self._in_use[product]
        for product, row in active.items():
            self._take(product, row, now)
        self._looked = now
        self._signalled = signalled if signalled is not None else self._signalled

    def find(self, product: str) -> Qualified | Unqualified | Unknown:
        """What `product` is judged by now."""
        if in_use := self._in_use.get(product):
            return in_use
        if product not in self._known:
            return Unknown(f"no product {product!r} in the books; teach it with `flawline onboard {product} FOLDER`")
        if refused := self._refused.get(product):
            return Unqualified(NoVerdictReason.NOT_QUALIFIED, refused[2])
        return Unqualified(
            NoVerdictReason.NOT_QUALIFIED,
            f"{product} has no active model; train one or activate one on the Models page",
        )

    def _take(self, product: str, row: ModelRow, now: float) -> None:
        recipe = self._recipes.get(product)
        in_use = self._in_use.get(product)
        if recipe is None or (in_use and in_use.model.id == row.id and in_use.recipe == recipe):
            return
        refused = self._refused.get(product)
        if refused and refused[0] == row.id and now - refused[1] < RETRY_AFTER:
            return
        try:
            predictor = in_use.predictor if in_use and in_use.model.id == row.id else self._load(row)
            limits = _limits(predictor, recipe.recipe)
            predictor.rule = RegionRule(limits.t_lo, recipe.recipe.min_region_area)
            self._in_use[product] = Qualified(predictor, row, recipe, limits)
        except ModelUnusable as problem:
            self._refused[product] = (row.id, now, f"model {row.version} of {product} cannot be used: {problem}")
            log.error(
                "%s; %s", self._refused[product][2], "the one in use stays" if in_use else "its parts get no verdict"
            )
            return
        self._refused.pop(product, None)
        self._signals.metrics.model(product, row.version)
        log.info("%s is now judged by model %s", product, row.version)

    def _load(self, row: ModelRow) -> Predictor:
        path = file_in(self._folder, row)
        try:
            fetch(self._blobs, row, path)
            return self._open(path, row.sha256)
        except BlobMissing as problem:
            raise ModelUnusable(f"{problem}; restore it from a backup or train again") from problem
        except ModelFileInvalid as problem:
            path.unlink(missing_ok=True)  # the next try fetches it anew
            raise ModelUnusable(str(problem)) from problem
        except RuntimeUnavailable as problem:
            raise ModelUnusable(str(problem)) from problem


def file_in(folder: Path, row: ModelRow) -> Path:
    """Where a model of the books lies on this machine."""
    return folder / f"{row.sha256}.safetensors"


def fetch(blobs: BlobStore, row: ModelRow, path: Path) -> None:
    """Bring a model file to this machine, never half written; nothing to do where it lies already.

    Raises BlobMissing, and StoreUnavailable when it cannot be written.
    """
    if path.exists():
        return
    data = blobs.get(row.blob)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as problem:
        raise StoreUnavailable(f"{path}: the model file cannot be written here ({problem.strerror})") from problem


def _limits(predictor: Predictor, recipe: Recipe) -> Limits:
    """The recipe's limits, or those of the model file. Raises ModelUnusable where neither holds on this machine.

    A calibration holds for one runtime and precision only: on another, neither PASS nor FAIL may be said.
    """
    if not predictor.is_calibrated:
        taken = predictor.manifest.calibration
        was = describe(taken.fingerprint) if taken else "nothing"
        raise ModelUnusable(f"calibrated on {was}, but this is {describe(predictor.fingerprint)}; train it again here")
    if recipe.limits:
        return recipe.limits.limits()
    found = predictor.manifest.limits
    assert found is not None  # or it would not be calibrated
    return Limits(found.t_lo, found.t_hi)


def describe(fingerprint: Fingerprint) -> str:
    """A runtime in words, as the books keep it."""
    return f"{fingerprint.runtime} {fingerprint.version} {fingerprint.device} {fingerprint.precision}"
