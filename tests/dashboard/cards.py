"""Model cards as the learning side writes them, for the pages to show."""

import math
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from ingest.simulator.simulator import Simulator
from model.architecture import Architecture
from model.calibration import calibrate
from model.capability import Capability, Grade
from model.card_document import card_document
from model.curves import CurveKeeper
from model.fixture import Fixture
from model.fixture_picture import fixture_sheet
from model.manifest import CalibrationRecord, DataSnapshot, Manifest, MemoryRecord, ModelLimits, ParityRecord
from model.runtimes import Fingerprint

FIXTURE = Fixture("roi", (60, 40, 520, 400), 224, 288, (640, 480))
CAUGHT = {("spot", 25.0): (1, 4, 10, 12), ("spot", 60.0): (3, 11, 12, 12), ("scratch", 25.0): (0, 2, 5, 9),
          ("scratch", 60.0): (2, 9, 12, 12), ("graft", 60.0): (4, 10, 12, 12)}  # fmt: skip
SIZES = {"spot": (3.0, 6.0, 12.0, 24.0), "scratch": (1.0, 2.0, 4.0, 8.0), "graft": (8.0, 16.0, 32.0, 64.0)}


def manifest(scores: tuple[float, ...], *, t_lo: float, t_hi: float | None, **changes: Any) -> Manifest:
    """All that a model file can say of itself."""
    proved = calibrate(scores).to_dict()
    grades = tuple(
        Grade(kind, size, contrast, 12, min(caught, 12))  # type: ignore[arg-type]
        for (kind, contrast), counts in CAUGHT.items()
        for size, caught in zip(SIZES[kind], counts, strict=True)
    )
    values: dict[str, Any] = {
        "architecture": Architecture().to_dict(), "height": FIXTURE.height, "width": FIXTURE.width,
        "fixture": FIXTURE.to_dict(),
        "training": {
            "budget": "150 s", "schedule": "staged", "rates": "constant", "seed": 0, "batch": 8, "witness": "both",
            "iterations": {"teacher": 160, "student": 420}, "losses": {"teacher": None, "student": 0.21},
            "train_seconds": 142.0, "curves": curves(),
            "fixtures": {"chosen": "roi", "merit": {"roi": 0.9312, "none": 0.8671, "part": 0.8544}},
            "calibration": {name: value for name, value in proved.items() if name != "scores"},
        },
        "data": DataSnapshot(digest="a3" * 32, counts={"train": 180, "calibration": len(scores)}),
        "memory": MemoryRecord(
            parts=120, rows=28, columns=36, student_middle=0.0, student_spread=1.0, golden_middle=0.0,
            golden_spread=1.0, share=0.6,
        ),
        "calibration": CalibrationRecord(scores=scores, fingerprint=Fingerprint("openvino", "2026.4", "cpu", "f32")),
        "parity": ParityRecord(pictures=4, largest=1.9e-4, spread=0.061),
        "limits": ModelLimits(t_lo=t_lo, t_hi=t_hi),
        "capability": Capability(412.0, 12, grades).to_dict(),
        "code_version": "0.1.0",
    }  # fmt: skip
    return Manifest(**(values | changes))


def curves() -> list[dict[str, Any]]:
    """How the losses of a run of 160 and 420 iterations fell."""
    rng = np.random.default_rng(3)
    kept = CurveKeeper()
    for stage, count, first, last in (("teacher", 160, 0.32, 0.05), ("student", 420, 1.9, 0.2)):
        for iteration in range(1, count + 1):
            fall = last + (first - last) * math.exp(-4 * iteration / count)
            kept.add(stage, iteration, {stage: fall * float(rng.lognormal(0, 0.12))})
    return [curve.to_dict() for curve in kept.curves]


def card(scores: tuple[float, ...], *, sha256: str, size: int, picture: str | None, **limits: Any) -> dict[str, Any]:
    """The document that stands in the books."""
    return card_document(manifest(scores, **limits), sha256=sha256, size=size, fixture_picture=picture)


@cache
def fixture_png(product: str) -> bytes:
    """What FIXTURE does with parts of a simulated product."""
    simulator = Simulator(product, seed=5)
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.png" for number in range(4)]
        for number, path in enumerate(paths):
            cv2.imwrite(str(path), cv2.cvtColor(simulator.good(number).picture, cv2.COLOR_RGB2BGR))
        sheet = fixture_sheet(paths, FIXTURE)
    return cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes()
