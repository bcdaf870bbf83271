"""
From pictures of good parts to a calibrated model file: the whole job behind one function.

Progress comes in phases: pictures, training, calibration, saving. The budget covers all of it when it is in seconds.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.architecture import Architecture
from model.batches import Batches, Twins
from model.calibration import FAIL_RATE, REVIEW_RATE, Calibration, calibrate, one_per_group
from model.checkpoint import CheckpointInvalid
from model.datasets import open_dataset
from model.fixture import Box
from model.foreground import Foregrounds
from model.foreground import Kind as ForegroundKind
from model.fusion import Second, Witness
from model.golden import Finding, Golden, read_golden, read_more
from model.manifest import CalibrationRecord, DataSnapshot, Manifest, ModelLimits
from model.model_file import save, tensors_of
from model.networks import Networks, build_networks
from model.pace import Budget
from model.predictor import valid_pixels
from model.regions import DEFAULT_MINIMUM_AREA
from model.remembering import record_of, remember
from model.runtimes import Precision, RuntimeChoice, RuntimeName, open_runtime
from model.scorer import Scorer
from model.split import LearningImpossible, Split, split_golden
from model.steps import Halves
from model.textures import FolderTextures, Mixed, NormalTextures, ProceduralTextures, Textures
from model.threads import ThreadChooser
from model.training import Rates, Schedule, Tick, TrainingCancelled, TrainingPlan, TrainingReport, train

COMPILE_SECONDS = 6.0  # of the time budget kept for opening the runtime and writing the file
SCORE_SECONDS = 0.03  # and for each calibration picture at 256² pixels
REMEMBERED = 100  # pictures that fill the memory and give the units
MOST_RESERVED = 0.3

log = logging.getLogger(__name__)

Progress = Callable[[str, float, float, Mapping[str, float]], None]
"""phase, done, total, numbers such as teacher_loss, student_loss, iterations_per_second, seconds_left."""


@dataclass(frozen=True)
class LearnOptions:
    """How to learn a product.

    budget: of the whole job. size: input pixels are about size². roi, ignored: x, y, width, height in raw pixels.
    review_rate, fail_rate: shares of good parts that may be sent to a person, or thrown away. textures: a folder of
    pictures for synthetic anomalies; None for procedural ones and the product's own. threads: exactly so many; None for
    as many as pay beside whatever else is running. weights: where ImageNet weights lie; None for the usual places.
    """

    architecture: Architecture = field(default_factory=Architecture)
    budget: Budget = field(default_factory=lambda: Budget(seconds=180))
    size: int = 256
    roi: Box | None = None
    ignored: tuple[Box, ...] = ()
    minimum_area: int = DEFAULT_MINIMUM_AREA
    batch: int = 4
    seed: int = 0
    schedule: Schedule = "staged"
    rates: Rates = "constant"
    foreground: ForegroundKind = "none"
    textures: Path | None = None
    runtime: RuntimeName = "auto"
    precision: Precision = "f32"
    witness: Witness = "both"
    review_rate: float = REVIEW_RATE
    fail_rate: float = FAIL_RATE
    threads: int | None = None
    weights: Path | None = None

    def __post_init__(self) -> None:
        if self.foreground == "roi":
            raise ValueError("the fixture already cuts the ROI out; choose foreground none, otsu or grabcut")
        if not 64 <= self.size <= 1024:
            raise ValueError(f"size {self.size}: 64 to 1024 is offered")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model file and reports."""
        return asdict(self) | {
            "roi": list(self.roi) if self.roi else None,
            "ignored": [list(box) for box in self.ignored],
            "architecture": self.architecture.to_dict(),
            "budget": str(self.budget),
            "textures": str(self.textures) if self.textures else None,
            "weights": str(self.weights) if self.weights else None,
        }


@dataclass(frozen=True)
class Learnt:
    """What came of it.

    path, sha256: of the model file. findings: what was noticed about the pictures. counts: pictures by role. seconds:
    of the whole job; training: of the networks' part.
    """

    path: Path
    sha256: str
    manifest: Manifest
    calibration: Calibration
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    training: TrainingReport
    seconds: float


def learn(
    pictures: Path | Sequence[Path],
    destination: Path,
    *,
    options: LearnOptions | None = None,
    held_out: Sequence[Path] = (),
    progress: Progress = lambda *_: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Learnt:
    """Learn a product from its good parts, calibrate, and write the model file.

    pictures: files, or a folder (MVTec AD layout or flat). held_out: further good pictures, for calibration alone; then
    all of `pictures` are trained on. A checkpoint lies beside `destination` while training; the same call goes on from
    it after a crash. Raises LearningImpossible, FixtureMismatch, TrainingCancelled, TrainingDiverged, WeightsMissing,
    RuntimeUnavailable, OSError.
    """
    options = options or LearnOptions()
    job = _Job(options, destination, progress, cancelled)
    golden, extra = job.read(pictures, held_out)
    split = split_golden(golden, extra, fail_rate=options.fail_rate, seed=options.seed)
    networks = build_networks(options.architecture, weights=options.weights, seed=options.seed)
    report, twins = job.train(networks, golden.pictures[split.train], split)
    draft = job.manifest(golden, split)
    scorer, second = job.witnesses(networks, draft, golden.pictures[split.train])
    calibration = job.calibrate(scorer, split)
    told = {
        "memory": record_of(second) if second else None,
        "training": options.to_dict()
        | {"iterations": report.iterations, "losses": asdict(report.losses), "train_seconds": report.seconds}
        | {"twins": dict(twins.report.to_dict()), "texture_files": job.texture_files}
        | {"calibration": _without_scores(calibration)},
        "calibration": CalibrationRecord(scores=calibration.scores, fingerprint=scorer.runtime.fingerprint),
        "limits": ModelLimits(t_lo=calibration.pass_limit, t_hi=calibration.fail_limit),
    }
    manifest = Manifest(**(dict(draft) | told))
    progress("saving", 0, 1, {})
    destination.parent.mkdir(parents=True, exist_ok=True)
    sha256 = save(
        destination, tensors_of(networks.teacher, networks.student, second.memory if second else None), manifest
    )
    job.checkpoint.unlink(missing_ok=True)
    progress("saving", 1, 1, {})
    return Learnt(
        destination,
        sha256,
        manifest,
        calibration,
        golden.findings + (extra.findings if extra else ()),
        split.counts,
        report,
        job.spent,
    )


class _Job:
    """The steps of one call of learn, and its clock."""

    def __init__(
        self, options: LearnOptions, destination: Path, progress: Progress, cancelled: Callable[[], bool]
    ) -> None:
        self.options = options
        self.checkpoint = destination.with_name(destination.name + ".checkpoint")
        self.texture_files: list[list[str]] = []
        self._progress = progress
        self._cancelled = cancelled
        self._begun = time.monotonic()

    @property
    def spent(self) -> float:
        return time.monotonic() - self._begun

    def read(self, pictures: Path | Sequence[Path], held_out: Sequence[Path]) -> tuple[Golden, Golden | None]:
        groups: Mapping[Path, str] = {}
        if isinstance(pictures, Path):
            dataset = open_dataset(pictures)
            pictures, groups = dataset.train, dataset.groups
        total = len(pictures) + len(held_out)

        def one_read(number: int) -> None:
            self._progress("pictures", number, total, {})
            if self._cancelled():
                raise TrainingCancelled(f"cancelled after {number} of {total} pictures")

        try:
            golden = read_golden(
                pictures, roi=self.options.roi, budget=self.options.size, groups=groups, after_picture=one_read
            )
            extra = read_more(held_out, golden.fixture) if held_out else None
        except ValueError as problem:
            if type(problem) is not ValueError:
                raise
            raise LearningImpossible(str(problem)) from problem
        self._progress("pictures", total, total, {})
        return golden, extra

    def train(self, networks: Networks, pictures: NDArray[np.uint8], split: Split) -> tuple[TrainingReport, Twins]:
        options = self.options
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        twins = Twins(self._textures(pictures), Foregrounds(pictures, options.foreground), options.seed)
        batches = Batches(pictures, twins, size=options.batch, device=device)
        plan = TrainingPlan(
            self._training_budget(split),
            options.schedule,
            options.rates,
            halves=Halves.fastest(device, options.architecture.backbone),
            checkpoint=self.checkpoint,
            fingerprint=f"{split.digest} {sorted(options.to_dict().items())}",
        )
        most = options.threads or len(os.sched_getaffinity(0))
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        with ThreadChooser(most, fixed=options.threads is not None) as chooser:

            def stepped(tick: Tick) -> None:
                chooser.look()
                self._progress(f"training {tick.stage}", tick.fraction, 1.0, _numbers(tick))

            def run() -> TrainingReport:
                return train(networks, batches, plan, device=device, after_step=stepped, cancelled=self._cancelled)

            try:
                return run(), twins
            except CheckpointInvalid as problem:
                log.warning("training begins anew: %s", problem)
                self.checkpoint.unlink(missing_ok=True)
                return run(), twins

    def manifest(self, golden: Golden, split: Split) -> Manifest:
        """All that is known before calibration."""
        return Manifest(
            architecture=self.options.architecture.to_dict(),
            height=golden.fixture.height,
            width=golden.fixture.width,
            fixture=golden.fixture.to_dict(),
            ignored=self.options.ignored,
            minimum_area=self.options.minimum_area,
            precision=self.options.precision,
            data=DataSnapshot(digest=split.digest, counts=split.counts),
            code_version=_code_version(),
        )

    def witnesses(
        self, networks: Networks, draft: Manifest, pictures: NDArray[np.uint8]
    ) -> tuple[Scorer, Second | None]:
        """The networks on the runtime that will inspect, with a memory of some of the training pictures beside them."""
        options = self.options
        runtime = open_runtime(
            networks.teacher,
            networks.student,
            size=draft.size,
            choice=RuntimeChoice(options.runtime, options.precision, options.threads),
            normalisation=draft.normalisation,
            memory=options.witness != "student",
        )

        def remembered(done: int, total: int) -> None:
            self._progress("memory", done, total, {})

        second = remember(runtime, pictures, options.witness, seed=options.seed, after_picture=remembered)
        return Scorer(runtime, valid=valid_pixels(draft), second=second), second

    def calibrate(self, scorer: Scorer, split: Split) -> Calibration:
        """Scores of the held-out parts, and the limits they prove."""
        total = len(split.calibration)
        self._progress("calibration", 0, total, {})
        scores: list[float] = []
        for start in range(0, total, 8):
            scores += scorer(split.calibration[start : start + 8]).scores.tolist()
            self._progress("calibration", len(scores), total, {})
        rates = {"review_rate": self.options.review_rate, "fail_rate": self.options.fail_rate}
        return calibrate(one_per_group(scores, split.groups), **rates)

    def _textures(self, pictures: NDArray[np.uint8]) -> Textures:
        if self.options.textures is None:
            return Mixed((ProceduralTextures(), NormalTextures(pictures)))
        folder = FolderTextures(self.options.textures)
        self.texture_files = [list(pair) for pair in folder.hashes]
        return folder

    def _training_budget(self, split: Split) -> Budget:
        """What remains for training after the pictures were read and with calibration still to come."""
        seconds = self.options.budget.seconds
        if seconds is None:
            return self.options.budget
        area = (self.options.size / 256) ** 2
        reserve = min(
            COMPILE_SECONDS + SCORE_SECONDS * area * (len(split.calibration) + REMEMBERED), MOST_RESERVED * seconds
        )
        return Budget(seconds=max(seconds - self.spent - reserve, 0.1 * seconds))


def _numbers(tick: Tick) -> dict[str, float]:
    pairs = {
        "teacher_loss": tick.losses.teacher,
        "student_loss": tick.losses.student,
        "iteration": float(tick.iteration),
        "iterations_per_second": 1 / tick.step_seconds if tick.step_seconds else None,
        "seconds_left": tick.remaining_seconds,
    }
    return {name: value for name, value in pairs.items() if value is not None}


def _without_scores(calibration: Calibration) -> dict[str, Any]:
    return {name: value for name, value in calibration.to_dict().items() if name != "scores"}


def _code_version() -> str:
    try:
        return version("flawline")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"
