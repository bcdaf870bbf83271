"""A real little line for the workers' tests: SQLite, folder, log in memory, and a real model of 64×64 pixels."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sqlalchemy import select

from core.blobs.file import FileBlobs
from core.blobs.protocol import BlobStore
from core.broker.memory import MemoryBroker
from core.broker.protocol import Message, Topic
from core.database import Database, open_database
from core.live import Live, NoLive
from core.messages import DEAD_LETTERS, FRAMES, VERDICTS, FrameCaptured, FrameInspected
from core.metrics import Metrics
from core.recipes import Recipe
from core.records import models, recipes
from core.records.models import ModelRow, NewModel
from core.stop import Stop
from core.tables import inspections, regions, rejected_frames, rollup_minute
from migrations.upgrade import upgrade
from model.architecture import Architecture
from model.backbones import build_encoder
from model.fixture import Fixture
from model.manifest import CalibrationRecord, Manifest, ModelLimits
from model.model_file import save, sha256_of, tensors_of
from model.neighbours import GoldenPictures
from model.networks import Networks, assemble
from model.predictor import Predictor
from model.remembering import record_of, remember
from model.runtimes import Fingerprint, RuntimeChoice, open_runtime
from workers.frames import Bounds
from workers.inspection import GROUP, Inspector, Stores
from workers.keeping import Keeper
from workers.runtime import Pace, Worker
from workers.shelf import Shelf, Signals

NOW = 1_764_000_000_000_000_000
SIDE = 64
Picture = NDArray[np.uint8]


def picture(seed: int = 0, *, height: int = SIDE, width: int = SIDE) -> Picture:
    """A smooth random picture, (height, width, 3) RGB."""
    coarse = np.random.default_rng(seed).integers(60, 200, (4, 4, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def png(pixels: Picture) -> bytes:
    """The picture's bytes, losslessly."""
    return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()


def frame(seq: int = 0, value: bytes = b"", **changes: Any) -> FrameCaptured:
    """An envelope of camera `top`, captured one frame every 100 ms up to NOW."""
    base = FrameCaptured(
        station="station-1", camera="top", session=NOW - 10**12, seq=seq,
        captured_at=NOW - 10**9 + seq * 10**6, product="ring",
        part_id=f"ring-{seq}", encoding="png", width=SIDE, height=SIDE,
        sha256=hashlib.sha256(value).hexdigest())  # fmt: skip
    return replace(base, **changes)


@dataclass
class Clock:
    """Time that a test moves by hand: ns UTC, and seconds for intervals."""

    ns: int = NOW

    def __call__(self) -> int:
        return self.ns

    def seconds(self) -> float:
        return self.ns / 1e9

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.ns / 1e9, UTC)

    def forward(self, seconds: float) -> None:
        self.ns += int(seconds * 1e9)


@dataclass
class Bench:
    """The parts, and short ways to use them."""

    folder: Path
    database: Database
    blobs: BlobStore
    broker: MemoryBroker
    clock: Clock = field(default_factory=Clock)
    bounds: Bounds = field(default_factory=lambda: Bounds(max_pixels=1_000_000))
    live: Live = field(default_factory=NoLive)
    metrics: Metrics = field(default_factory=Metrics)

    def shelf(self) -> Shelf:
        signals = Signals(self.live, self.metrics)
        models_in = self.folder / "models"
        return Shelf(self.database, self.blobs, models_in, load_predictor, signals=signals, clock=self.clock.seconds)

    def inspector(self, *, sample_share: float = 0.0, all_heat: bool = False) -> Inspector:
        keeper = Keeper(sample_share=sample_share, all_heat=all_heat)
        stores = Stores(self.database, self.blobs, self.broker.producer(), self.live)
        return Inspector(stores, self.shelf(), keeper, bounds=self.bounds, metrics=self.metrics, now=self.clock)

    def worker(self, inspector: Inspector | None = None) -> Worker:
        consumer = self.broker.consumer(FRAMES, group=GROUP, member="one")
        pace = Pace(poll=0.0, batch=16, sleep=lambda _: None)
        return Worker(consumer, self.broker.producer(), inspector or self.inspector(), stop=Stop(), pace=pace)

    def send(self, value: bytes, envelope: FrameCaptured | None = None, *, partition: int = 0) -> None:
        sent = envelope or frame(value=value)
        with self.broker.producer() as producer:
            producer.send(FRAMES, value, partition=partition, key=sent.camera, headers=sent.headers())

    def teach(
        self,
        limits: ModelLimits | None = None,
        *,
        product: str = "ring",
        seed: int = 0,
        fingerprint: Fingerprint | None = None,
        fixture: Fixture | None = None,
        golden: NDArray[np.uint8] | None = None,
    ) -> ModelRow:
        """Register and activate a model with these limits; without any, it passes all."""
        path = self.folder / f"{product}-{seed}.safetensors"
        limits = limits or ModelLimits(t_lo=1e9)
        sha256 = save_model(path, limits, seed=seed, fingerprint=fingerprint, fixture=fixture, golden=golden)
        return self.register(path, sha256, product=product)

    def register(self, path: Path, sha256: str, *, product: str = "ring") -> ModelRow:
        key = f"model/{product}/{path.name}"
        self.blobs.put(key, path.read_bytes())
        new = NewModel(
            product=product,
            blob=key,
            sha256=sha256,
            size=path.stat().st_size,
            recipe_version=1,
            manifest={},
            metrics={},
        )
        with self.database.writing() as connection:
            recipes.save(connection, Recipe(product=product), who="test", note="", now=self.clock.utc())
            row = models.register(connection, new, who="test", now=self.clock.utc())
            return models.activate(connection, row.id, who="test", note="", now=self.clock.utc())

    def rows(self) -> list[Any]:
        return self._all(select(inspections).order_by(inspections.c.camera, inspections.c.session, inspections.c.seq))

    def row(self) -> Any:
        (row,) = self.rows()
        return row

    def regions(self) -> list[Any]:
        return self._all(select(regions))

    def rejected(self) -> list[Any]:
        return self._all(select(rejected_frames))

    def counted(self) -> int:
        return sum(row.n for row in self._all(select(rollup_minute)))

    def verdicts(self) -> list[FrameInspected]:
        return [FrameInspected.from_json(message.value) for message in self.topic(VERDICTS)]

    def dead(self) -> list[Message]:
        return self.topic(DEAD_LETTERS[FRAMES])

    def topic(self, name: str) -> list[Message]:
        with self.broker.consumer(name, group="onlookers") as reader:
            found = reader.poll(0.0, most=10_000)
            reader.rewind()
        return found

    def _all(self, wanted: Any) -> list[Any]:
        with self.database.reading() as connection:
            return list(connection.execute(wanted))


@cache
def _networks(seed: int) -> Networks:
    architecture = Architecture()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return assemble(architecture, build_encoder(architecture), seed=seed)


@cache
def _fingerprint() -> Fingerprint:
    networks = _networks(0)
    return Predictor.from_networks(networks.teacher, networks.student, _manifest(), runtime="torch").fingerprint


def _manifest(fixture: Fixture | None = None, **manifest: Any) -> Manifest:
    laid = fixture or Fixture("none", None, SIDE, SIDE, (SIDE, SIDE))
    architecture = Architecture().to_dict()
    return Manifest(architecture=architecture, height=laid.height, width=laid.width, fixture=laid.to_dict(), **manifest)


_loaded: dict[str, Predictor] = {}


def load_predictor(path: Path, sha256: str) -> Predictor:
    """As the inspection role loads it, but on PyTorch, which compiles nothing; the same file only once in all tests."""
    if sha256 not in _loaded or sha256_of(path) != sha256:
        _loaded[sha256] = Predictor.load(path, runtime="torch", threads=1, sha256=sha256)
    return _loaded[sha256]


def save_model(
    path: Path,
    limits: ModelLimits,
    *,
    seed: int = 0,
    fingerprint: Fingerprint | None = None,
    fixture: Fixture | None = None,
    golden: NDArray[np.uint8] | None = None,
) -> str:
    """A model file of untrained networks, calibrated for PyTorch on this machine; returns its SHA-256.

    golden: (N, SIDE, SIDE, 3) uint8, parts that it remembers and has pictures of.
    """
    networks = _networks(seed)
    second, pictures = None, None
    if golden is not None:
        choice = RuntimeChoice("torch", "f32", 1)
        runtime = open_runtime(networks.teacher, networks.student, size=(SIDE, SIDE), choice=choice, memory=True)
        second, kept = remember(runtime, golden, "both")
        pictures = GoldenPictures.of(golden[kept])
    calibration = CalibrationRecord(scores=(0.1,), fingerprint=fingerprint or _fingerprint())
    told = record_of(second) if second else None
    words = _manifest(fixture, limits=limits, calibration=calibration, memory=told)
    tensors = tensors_of(networks.teacher, networks.student, second, pictures)
    return save(path, tensors, words)


@contextmanager
def open_bench(folder: Path, url: str = "") -> Iterator[Bench]:
    """A bench in an empty folder, with books of its own there or at a database URL."""
    url = url or f"sqlite:///{folder}/books.sqlite"
    upgrade(url)
    with open_database(url, busy_seconds=0.2) as database, MemoryBroker() as broker:
        broker.apply([Topic(FRAMES, 2), *(Topic(name, 1) for name in (VERDICTS, *DEAD_LETTERS.values()))])
        yield Bench(folder, database, FileBlobs(folder / "blobs"), broker)


def drain(worker: Worker) -> int:
    """Turns until nothing is left; returns the number of messages."""
    total = 0
    while done := worker.step(0.0):
        total += done
    return total
