"""A line that has run for a while, in a real database and a real picture folder: what the pages are shown with."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from core.alarms import Cause, Kind
from core.blobs.file import FileBlobs
from core.blobs.keys import Kind as BlobKind
from core.blobs.keys import fixture_key, frame_key
from core.database import Database, open_database
from core.line import Camera, line_of
from core.messages import CameraReported, FrameCaptured, FrameId
from core.recipes import Recipe
from core.records import alerts, inspections, line, minutes, models, recipes, sessions
from core.records.compared import Compared
from core.records.inspections import Inspected, RegionRow
from core.settings import BlobSettings, DashboardSettings, DatabaseSettings, Settings
from core.times import ns_of
from core.verdicts import Limits, MachineVerdict, ModelState
from ingest.minutes import MinuteCounts
from ingest.simulator.parts import CameraFault, SimulatedPart
from ingest.simulator.simulator import Simulator
from migrations.upgrade import upgrade
from tests.dashboard import cards
from tests.dashboard.golden import beside, stored
from workers.keeping import small_jpeg

P, F, R, INV, N = (
    MachineVerdict.PASS, MachineVerdict.FAIL, MachineVerdict.REVIEW, MachineVerdict.INVALID, MachineVerdict.NO_VERDICT
)  # fmt: skip
LIMITS = Limits(0.46, 0.62)
PRODUCTS = ("ring", "board", "weave", "ring")
NAMES = ("ring-top", "board-side", "weave-exit", "ring-side", "board-top", "weave-left", "ring-left", "board-exit")
Theme = Literal["auto", "light", "dark"]


@dataclass(frozen=True, slots=True)
class Shot:
    """One rendered picture, encoded, with its map and the box of its flaw."""

    jpeg: bytes
    small: bytes
    heat: bytes
    box: tuple[int, int, int, int] | None
    score: float


@cache
def shots(product: str) -> dict[str, tuple[Shot, ...]]:
    """A few pictures of a product: good ones, marred ones, and blurred ones."""
    simulator = Simulator(product, seed=5)
    kinds = list(simulator.kinds)
    good = tuple(_shot(simulator.good(n), 0.12 + 0.03 * (n % 7)) for n in range(4))
    bad = tuple(_shot(simulator.spoilt(40 + n, kinds[n % len(kinds)]), 0.7 + 0.09 * n) for n in range(4))
    blurred = Simulator(product, seed=5, faults=[(range(9), CameraFault.BLUR)])
    return {"good": good, "bad": bad, "blur": (_shot(blurred.render(1), 0.0),)}


def _shot(part: SimulatedPart, score: float) -> Shot:
    mask = part.truth.mask
    warmth = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 9)
    warm = warmth / max(float(warmth.max()), 1e-6)
    box = None
    if mask.any():
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)
    map8 = cv2.resize((warm * 255).astype(np.uint8), (256, 192), interpolation=cv2.INTER_AREA)
    return Shot(_jpeg(part.picture), small_jpeg(part.picture), cv2.imencode(".png", map8)[1].tobytes(), box, score)


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()


@dataclass
class Plant:
    """A seeded installation: its settings, and the means to let more parts come."""

    settings: Settings
    database: Database
    cameras: tuple[Camera, ...]
    began: datetime
    counted: dict[str, int] = field(default_factory=dict)
    minutes: dict[str, MinuteCounts] = field(default_factory=dict)

    def take(self, camera: Camera, captured_at: int) -> None:
        """The capture side counts a part and its picture."""
        counts = self.minutes.setdefault(camera.name, MinuteCounts())
        counts.trigger(captured_at)
        counts.capture(captured_at)

    def watch(self, *causes: Cause, at: datetime) -> None:
        """The watch looks, and sees these causes."""
        with self.database.writing() as connection:
            alerts.keep(connection, causes, looked_at=frozenset(Kind), now=at)
            alerts.mark(connection, alerts.WATCH, now=at)

    def add(self, camera: Camera, verdict: MachineVerdict, at: datetime, *, variant: int = 0) -> FrameId:
        """One more part of a camera, judged 120 ms after its capture."""
        seq = self.counted.get(camera.name, 0)
        self.counted[camera.name] = seq + 1
        self.take(camera, ns_of(at))
        row = _row(self, camera, verdict, ns_of(at), seq, variant)
        with self.database.writing() as connection:
            inspections.record(connection, [row])
        return row.id

    def report(self, camera: Camera, at: datetime, *, state: str = "RUNNING", detail: str = "") -> None:
        """The capture side says how it is."""
        count = self.counted.get(camera.name, 0)
        told = CameraReported(
            camera=camera.name, station=camera.station, product=camera.product, session=ns_of(self.began), state=state,
            detail=detail, triggered=count, captured=count, reconnects=0, reported_at=ns_of(at),
            minutes=self.minutes.setdefault(camera.name, MinuteCounts()).newest(),
        )  # fmt: skip
        with self.database.writing() as connection:
            sessions.report(connection, told)
            minutes.count(connection, [told])


def settings_in(folder: Path, *, port: int = 0, theme: Theme = "auto", database: str = "") -> Settings:
    """Settings of an installation in `folder`; its books lie there too, unless a database is named."""
    return Settings(
        data=folder,
        database=DatabaseSettings(url=database or f"sqlite:{folder / 'flawline.sqlite'}", busy_seconds=1),
        blobs=BlobSettings(url=f"file:{folder / 'blobs'}"),
        dashboard=DashboardSettings(port=port, reviewer="A. Reviewer", theme=theme),
    )


def plant(settings: Settings, *, cameras: int = 4, now: datetime | None = None, parts: int = 80) -> Plant:
    """A line of `cameras` cameras that has judged `parts` parts on each, the last one just now."""
    moment = (now or datetime.now(UTC)).replace(microsecond=0)
    upgrade(settings.database_url)
    database = open_database(settings.database_url, busy_seconds=5)
    named = tuple(
        Camera(name=NAMES[n], station=f"station-{n // 2 + 1}", product=PRODUCTS[NAMES_PRODUCT[n]], source="folder:x",
               deadline_ms=2000, lot="4471")
        for n in range(cameras)
    )  # fmt: skip
    made = Plant(settings, database, named, moment - timedelta(seconds=parts // 2))
    with database.writing() as connection:
        line.register(connection, line_of(named), now=moment)
        for product in dict.fromkeys(camera.product for camera in named):
            register_models(connection, product, moment)
            FileBlobs(settings.blobs_path).put(fixture_key(_blob(product, 1)), cards.fixture_png(product))
    _history(made, moment, parts)
    made.watch(at=moment)
    return made


def lost(camera: str) -> Cause:
    """The cause that the watch sees when a camera is lost."""
    return Cause(
        kind=Kind.CAMERA_LOST, subject=camera, what=f"{camera} is lost",
        why="no answer on the network; it is being tried again. Its parts are rejected.",
        do="Check power and cable at the camera.")  # fmt: skip


NAMES_PRODUCT = (0, 1, 2, 0, 1, 2, 0, 1)


def register_models(connection: Connection, product: str, now: datetime) -> None:
    """Two versions of a product's model, the newer one active, and its recipe."""
    classes = ("Contamination", "Scratch", "Dent", "Missing feature")
    recipe = recipes.save(connection, Recipe(product=product, classes=classes), who="seed", note="", now=now)
    for day, note in ((4, "first parts of the year"), (1, "lamp was changed, 40 new good parts")):
        moment = now - timedelta(days=day)
        row = models.register(connection, new_model(product, recipe, day), who="M. Engineer", now=moment)
        models.activate(connection, row.id, who="M. Engineer", note=note, now=moment + timedelta(minutes=9))


def _blob(product: str, day: int) -> str:
    return f"model/{product}-{day}.safetensors"


def new_model(product: str, recipe: int, day: int) -> models.NewModel:
    """A trained model with calibration scores as training would write them; that of day 1 has a card."""
    rng = np.random.default_rng(day)
    scores = sorted(float(score) for score in 0.18 + 0.06 * rng.standard_gamma(1.6, size=220))
    manifest = {
        "calibration": {"scores": scores, "fingerprint": {"runtime": "openvino", "version": "2026.4"}},
        "limits": {"t_lo": LIMITS.t_lo, "t_hi": LIMITS.t_hi},
        "data": {"digest": "a3" * 32, "counts": {"train": 180, "calibration": 220}},
        "architecture": {"backbone": "efficientnet_lite0"},
        "training": {"train_seconds": 142.0, "iterations": 900},
        "code_version": "0.1.0",
    }
    metrics = {"image_auroc": 0.991, "pixel_auroc": 0.974, "au_pro": 0.912}
    blob, sha256, size = _blob(product, day), f"{day}b" * 32, 18_400_000
    card = None
    if day == 1:
        card = cards.card(
            tuple(scores), sha256=sha256, size=size, picture=fixture_key(blob), t_lo=LIMITS.t_lo, t_hi=LIMITS.t_hi
        )
    return models.NewModel(
        product=product, blob=blob, sha256=sha256, size=size, recipe_version=recipe, manifest=manifest,
        metrics=metrics, state=ModelState.VALIDATED, card=card,
    )  # fmt: skip


def _history(made: Plant, now: datetime, parts: int) -> None:
    rng = np.random.default_rng(7)
    for place, camera in enumerate(made.cameras):
        rows = []
        for n in range(parts):
            at = now - timedelta(seconds=(parts - 1 - n) * 0.5)
            made.take(camera, ns_of(at))
            rows.append(_row(made, camera, _verdict(float(rng.random()), n, parts, place), ns_of(at), n, n))
        made.counted[camera.name] = parts
        with made.database.writing() as connection:
            inspections.record(connection, rows)
        made.report(camera, now)


def _verdict(draw: float, n: int, parts: int, place: int) -> MachineVerdict:
    if n == parts - 1:  # what the tiles show
        return (P, F, R, P)[place % 4]
    return F if draw < 0.05 else R if draw < 0.11 else INV if draw < 0.125 else P


def _row(made: Plant, camera: Camera, verdict: MachineVerdict, at: int, seq: int, variant: int) -> Inspected:
    pool = shots(camera.product)[{P: "good", INV: "blur"}.get(verdict, "bad")]
    shot = pool[variant % len(pool)]
    frame = FrameCaptured(
        station=camera.station, camera=camera.name, session=ns_of(made.began), seq=seq, captured_at=at,
        product=camera.product, part_id=f"2044-{seq:03d}", lot=camera.lot, deadline_ms=camera.deadline_ms,
        width=640, height=480,
    )  # fmt: skip
    judged = verdict in (P, F, R)
    score = {P: shot.score, R: 0.54, F: shot.score}.get(verdict)
    kinds = {"picture": None if verdict is P else BlobKind.FRAME,
             "thumb": BlobKind.RING if verdict is P else BlobKind.THUMB,
             "heat": BlobKind.HEAT if verdict in (F, R) else None}  # fmt: skip
    bytes_of = {"picture": shot.jpeg, "thumb": shot.small, "heat": shot.heat}
    keys = {name: kind and _put(made.settings, frame, kind, bytes_of[name]) for name, kind in kinds.items()}
    return Inspected(
        frame=frame, verdict=verdict, inspected_at=at + 118_000_000, worker="0.1.0 openvino cpu f32",
        size=len(shot.jpeg), reason="BLUR" if verdict is INV else "", detail="", score=score,
        limits=LIMITS if judged else None, model_id=None, recipe_version=1, predict_ms=22.0,
        heat_min=0.05, heat_max=score, golden=_golden(made, frame, shot) if verdict in (F, R) else None,
        regions=_regions(shot, score) if verdict in (F, R) else (),
        picture=keys["picture"], thumb=keys["thumb"], heat=keys["heat"],
    )  # fmt: skip


def _golden(made: Plant, frame: FrameCaptured, shot: Shot) -> Compared | None:
    if shot.box is None:
        return None
    good = tuple(one.jpeg for one in shots(frame.product)["good"][1:])
    key = frame_key(BlobKind.GOLDEN, frame.id, frame.captured_at, "jpg")
    data, told = stored(beside(shot.jpeg, good, shot.box), key)
    FileBlobs(made.settings.blobs_path).put(key, data, durable=False)
    return told


def _regions(shot: Shot, score: float | None) -> tuple[RegionRow, ...]:
    if shot.box is None or score is None:
        return ()
    x, y, width, height = shot.box
    area = width * height * 0.7
    mean, mm2 = score * 0.8, area * 0.05**2
    return (RegionRow(x=x, y=y, width=width, height=height, area=area, peak=score, mean=mean, area_mm2=mm2),)


def _put(settings: Settings, frame: FrameCaptured, kind: BlobKind, data: bytes) -> str:
    key = frame_key(kind, frame.id, frame.captured_at, "png" if kind is BlobKind.HEAT else "jpg")
    FileBlobs(settings.blobs_path).put(key, data, durable=False)
    return key


class Feeder(threading.Thread):
    """Lets parts come on all cameras but those that are lost, until it is stopped."""

    def __init__(self, made: Plant, *, lost: Sequence[str] = (), every: float = 0.5) -> None:
        super().__init__(daemon=True)
        self._made, self._lost, self._every = made, lost, every
        self._stop_asked = threading.Event()
        self._turn = 0

    def run(self) -> None:
        """Add a part to each camera again and again."""
        while not self._stop_asked.wait(self._every):
            self._turn += 1
            now = datetime.now(UTC)
            self._made.watch(*map(lost, self._lost), at=now)
            for place, camera in enumerate(self._made.cameras):
                if camera.name in self._lost:
                    self._made.report(camera, now, state="LOST", detail="no answer on the network, try 4")
                    continue
                verdict = (P, F, R, P)[place % 4] if self._turn % 6 else P
                self._made.add(camera, verdict, now - timedelta(milliseconds=150), variant=self._turn // 2)
                self._made.report(camera, now)

    def stop(self) -> None:
        """End it and wait."""
        self._stop_asked.set()
        self.join(10)
