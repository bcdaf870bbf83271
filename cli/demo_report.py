"""What a demo run was worth: the books, and the model's figures against the simulator's own truth."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from cli import parts
from core.blobs.protocol import BlobStore
from core.database import Database
from core.line import Camera, Line
from core.records.books import books
from core.records.models import ModelRow
from core.settings import Settings
from core.tables import inspections
from core.times import utc_of
from core.verdicts import MachineVerdict
from ingest.simulator import Truth
from ingest.sources import simulator_of
from ingest.sources.simulator import part_number
from model.evaluation import mask_on_input
from model.metrics import auroc, pixel_auroc
from model.placement import Placement

MOST_MAPS = 150  # good ones, and as many defective ones, for each product: the pixel figures need no more


@dataclass(frozen=True, slots=True)
class Figures:
    """A product's figures; None where there was nothing to compare."""

    scored: int
    defective: int
    image_auroc: float | None
    pixel_auroc: float | None


def report(settings: Settings, line: Line, taught: Mapping[str, ModelRow], *, since: int) -> dict[str, object]:
    """The demo's report; `since` is ns UTC. Figures are means over the products, whose scores have different scales."""
    with parts.database(settings) as database:
        with database.reading() as connection:
            found = books(connection, now=parts.now(), since=utc_of(since))
            rate = _rate(connection, since)
        reader = _Reader(database, parts.blobs(settings), since)
        figures = {camera.product: reader.figures(camera) for camera in line.camera}
    verdicts = found.verdicts
    seconds = {product: _train_seconds(row) for product, row in taught.items()}
    return {
        "frames_captured": sum(book.captured or 0 for book in found.sessions),
        **{verdict.lower(): verdicts[verdict] for verdict in MachineVerdict},
        "lost": found.residual,
        "duplicates": found.duplicates,
        "image_auroc": _mean([one.image_auroc for one in figures.values()]),
        "pixel_auroc": _mean([one.pixel_auroc for one in figures.values()]),
        "frames_per_second": rate,
        "train_seconds": sum(seconds.values()),
        "products": {
            product: {
                "model": taught[product].version, "train_seconds": seconds[product], "frames_scored": one.scored,
                "defective": one.defective, "image_auroc": one.image_auroc, "pixel_auroc": one.pixel_auroc,
            }
            for product, one in figures.items()
        },
    }  # fmt: skip


def _rate(connection: Connection, since: int) -> float | None:
    """Verdicts per second, over the time in which they were given."""
    times = connection.scalars(
        select(inspections.c.inspected_at).where(inspections.c.captured_at >= utc_of(since))
    ).all()
    if len(times) < 2:
        return None
    lasted = (max(times) - min(times)).total_seconds()
    return round((len(times) - 1) / lasted, 2) if lasted else None


class _Reader:
    """Compares what the database and the store hold of a run with what the simulator knows of it."""

    def __init__(self, database: Database, blobs: BlobStore, since: int) -> None:
        self._database = database
        self._blobs = blobs
        self._since = utc_of(since)

    def figures(self, camera: Camera) -> Figures:
        """The figures of one camera's product."""
        rows = self._rows(camera.name)
        simulator = simulator_of(camera.source)
        truths = {row.part_id: simulator.truth(part_number(row.part_id)) for row in rows}
        bad = [row for row in rows if truths[row.part_id].defect]
        good = [row for row in rows if not truths[row.part_id].defect]
        scores = [np.array([row.score for row in group], dtype=np.float32) for group in (good, bad)]
        shown = [row for row in (*_spread(good), *_spread(bad)) if row.heat]
        maps = [self._map(row) for row in shown]
        masks = [_mask(truths[row.part_id], found) for row, found in zip(shown, maps, strict=True)]
        return Figures(len(rows), len(bad), auroc(*scores), pixel_auroc(maps, masks) if shown else None)

    def _rows(self, camera: str) -> Sequence[Any]:
        t = inspections.c
        wanted = select(t.part_id, t.score, t.heat, t.heat_min, t.heat_max)
        mine = t.camera == camera, t.captured_at >= self._since, t.score.is_not(None)
        with self._database.reading() as connection:
            return connection.execute(wanted.where(*mine).order_by(t.captured_at)).all()

    def _map(self, row: Any) -> NDArray[np.float32]:
        stored = cv2.imdecode(np.frombuffer(self._blobs.get(row.heat), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert stored is not None
        return np.asarray(row.heat_min + stored.astype(np.float32) * ((row.heat_max - row.heat_min) / 255))


def _spread(rows: Sequence[Any]) -> Sequence[Any]:
    """At most MOST_MAPS of the rows, evenly over the run."""
    return rows[:: max(1, -(-len(rows) // MOST_MAPS))]


def _mask(truth: Truth, heat: NDArray[np.float32]) -> NDArray[np.bool_]:
    """At the size of a stored map, which shows the whole picture."""
    height, width = truth.mask.shape
    whole = Placement.of_window((0, 0, width, height), (width, height), (heat.shape[1], heat.shape[0]))
    return mask_on_input(truth.mask, whole)[0]


def _train_seconds(row: ModelRow) -> float:
    return float(row.metrics.get("train_seconds") or 0.0)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.fmean(known), 4) if known else None
