"""
From pictures of good parts to a calibrated model file: the whole job behind one function.

Progress comes in phases: pictures, training, calibration, capability, saving. The budget covers all of it when it is in
seconds.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model.calibration import Calibration, calibrate, one_per_group
from model.capability import Capability
from model.capability_check import measure_capability
from model.checkpoint import CheckpointInvalid
from model.datasets import open_dataset
from model.draft import draft_of
from model.fixture import Fixture, Size
from model.fixture_choice import fixture_for
from model.fusion import Second
from model.golden import Finding, Golden, read_golden, read_more
from model.learn_options import LearnOptions
from model.lessons import Lessons, lessons_of
from model.manifest import CalibrationRecord, Manifest, ModelLimits, ParityRecord
from model.memory import MOST_PARTS
from model.model_file import save, tensors_of
from model.neighbours import GoldenPictures
from model.networks import Networks, build_networks
from model.pace import Budget
from model.precision import require_precision
from model.predictor import Predictor, valid_pixels
from model.remembering import LOOKED_AT, record_of, remember
from model.runtime_parity import MOST_PICTURES, measure_parity
from model.runtimes import RuntimeChoice, open_runtime
from model.scorer import Scorer
from model.split import LearningImpossible, Split
from model.steps import Halves
from model.threads import ThreadChooser
from model.training import Tick, TrainingCancelled, TrainingPlan, TrainingReport, train
from model.warm_start import TRAINED_ON, Start, open_start
from model.weighing import LOOKS, weigh

COMPILE_SECONDS = 6.0  # of the time budget kept for opening the runtime and writing the file
SCORE_SECONDS = 0.03  # and for each calibration picture at 256² pixels
MOST_RESERVED = 0.3
MOST_CHOOSING = 0.12  # of the time budget, for choosing the fixture
MOST_TRYING = 0.08  # and for trying made-up flaws on the calibrated model

__all__ = ["LearnOptions", "Learnt", "Progress", "learn"]

log = logging.getLogger(__name__)

Progress = Callable[[str, float, float, Mapping[str, float]], None]
"""phase, done, total, numbers such as teacher_loss, student_loss, iterations_per_second, seconds_left."""


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

    pictures: files, or a folder (see open_dataset). held_out: further good pictures, for calibration alone, by default
    those that the folder sets aside; if there are any, all of `pictures` are trained on. A checkpoint lies beside
    `destination` while training; the same call goes on from it after a crash. Raises LearningImpossible,
    DatasetUnusable, FixtureMismatch, TrainingCancelled, TrainingDiverged, WeightsMissing, RuntimeUnavailable, OSError;
    ModelFileInvalid for an earlier model that is required and cannot be begun from.
    """
    options = options or LearnOptions()
    job = _Job(options, destination, progress, cancelled)
    require_precision(job.choice)
    start = open_start(options.warm_start, options.architecture)
    networks = build_networks(options.architecture, weights=options.weights, seed=options.seed)
    golden, extra = job.read(pictures, held_out, networks.expert)
    split, start = start.split(
        golden, extra, fail_rate=options.fail_rate, seed=options.seed, weighs=options.witness == "both"
    )
    draft = draft_of(golden, split, options)
    start.put_into(networks)
    report, lessons = job.train(networks, golden, split, start)
    scorer, second, shown = job.witnesses(networks, draft, golden, split)
    calibration = job.calibrate(scorer, split)
    told = {
        "memory": record_of(second) if second else None,
        "training": job.training(report, start, calibration) | lessons.to_dict(),
        "calibration": CalibrationRecord(scores=calibration.scores, fingerprint=scorer.runtime.fingerprint),
        "limits": ModelLimits(t_lo=calibration.pass_limit, t_hi=calibration.fail_limit),
        "parity": job.parity(networks, scorer, split, second=second, scores=calibration.scores),
    }
    manifest = Manifest(**(dict(draft) | told))
    if options.capability:
        found = job.capability(Predictor(scorer, manifest), split)
        manifest = manifest.model_copy(update={"capability": found.to_dict()})
    progress("saving", 0, 1, {})
    destination.parent.mkdir(parents=True, exist_ok=True)
    tensors = tensors_of(networks.teacher, networks.student, second, shown)
    sha256 = save(destination, tensors | {TRAINED_ON: start.trained_on(golden, split)}, manifest)
    job.checkpoint.unlink(missing_ok=True)
    progress("saving", 1, 1, {})
    return Learnt(
        destination,
        sha256,
        manifest,
        calibration,
        start.findings + golden.findings + (extra.findings if extra else ()),
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
        self.choice = RuntimeChoice(options.runtime, options.precision, options.threads)
        self.checkpoint = destination.with_name(destination.name + ".checkpoint")
        self.fixtures: dict[str, Any] = {}
        self.weighed: dict[str, Any] = {}
        self._progress = progress
        self._cancelled = cancelled
        self._begun = time.monotonic()

    @property
    def spent(self) -> float:
        return time.monotonic() - self._begun

    def read(
        self, pictures: Path | Sequence[Path], held_out: Sequence[Path], expert: nn.Module
    ) -> tuple[Golden, Golden | None]:
        groups: Mapping[Path, str] = {}
        if isinstance(pictures, Path):
            dataset = open_dataset(pictures)
            pictures, groups, held_out = dataset.train, dataset.groups, held_out or dataset.held_out
        total = len(pictures) + len(held_out)

        def one_read(number: int) -> None:
            self._progress("pictures", number, total, {})
            if self._cancelled():
                raise TrainingCancelled(f"cancelled after {number} of {total} pictures")

        try:
            golden = read_golden(
                pictures, fixture_of=lambda sizes: self._fixture(sizes, expert), groups=groups, after_picture=one_read
            )
            extra = read_more(held_out, golden.fixture) if held_out else None
        except ValueError as problem:
            if type(problem) is not ValueError:
                raise
            raise LearningImpossible(str(problem)) from problem
        self._progress("pictures", total, total, {})
        return golden, extra

    def _fixture(self, sizes: Mapping[Path, Size], expert: nn.Module) -> Fixture:
        """The one that is asked for, or that serves these golden pictures best."""
        options, seconds = self.options, self.options.budget.seconds

        def enough() -> bool:
            self._progress("fixture", len(sizes), len(sizes), {})
            return self._cancelled() or (seconds is not None and self.spent > MOST_CHOOSING * seconds)

        choice = fixture_for(
            sizes, options.fixture_asked(), expert, budget=options.size, seed=options.seed, enough=enough
        )
        self.fixtures = choice.to_dict()
        return choice.fixture

    def train(self, networks: Networks, golden: Golden, split: Split, start: Start) -> tuple[TrainingReport, Lessons]:
        options = self.options
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        groups = [golden.groups[number] for number in split.train.tolist()]
        pictures = golden.pictures[split.train]
        lessons = lessons_of(pictures, groups, golden.fixture, networks.expert, options, device=device)
        plan = TrainingPlan(
            self._training_budget(split),
            options.schedule,
            options.rates,
            teacher_share=start.teacher_share,
            rate_scale=start.rate_scale,
            halves=Halves.fastest(device, options.architecture.backbone),
            checkpoint=self.checkpoint,
            fingerprint=f"{split.digest} {start.sha256} {sorted(options.to_dict().items())}",
        )
        most = options.threads or len(os.sched_getaffinity(0))
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        with ThreadChooser(most, fixed=options.threads is not None) as chooser:

            def stepped(tick: Tick) -> None:
                chooser.look()
                self._progress(f"training {tick.stage}", tick.fraction, 1.0, _numbers(tick))

            def run() -> TrainingReport:
                return train(
                    networks, lessons.batches, plan, device=device, after_step=stepped, cancelled=self._cancelled
                )

            try:
                return run(), lessons
            except CheckpointInvalid as problem:
                log.warning("training begins anew: %s", problem)
                self.checkpoint.unlink(missing_ok=True)
                return run(), lessons

    def training(self, report: TrainingReport, start: Start, calibration: Calibration) -> dict[str, Any]:
        """What the manifest tells of training, but for the lessons."""
        told = self.options.to_dict() | {"warm_start": start.sha256, "fixtures": self.fixtures}
        told |= {"weighed": self.weighed} if self.weighed else {}
        told |= {"iterations": report.iterations, "losses": asdict(report.losses), "train_seconds": report.seconds}
        return told | {
            "calibration": _without_scores(calibration),
            "curves": [curve.to_dict() for curve in report.curves],
        }

    def witnesses(
        self, networks: Networks, draft: Manifest, golden: Golden, split: Split
    ) -> tuple[Scorer, Second | None, GoldenPictures | None]:
        """The networks on the runtime that will inspect, with a memory of some of the training pictures beside them.

        Returns with them these pictures, as a reviewer will see them.
        """
        options = self.options
        runtime = open_runtime(
            networks.teacher,
            networks.student,
            size=draft.size,
            choice=self.choice,
            normalisation=draft.normalisation,
            memory=options.witness != "student",
        )

        def after(phase: str) -> Callable[[int, int], None]:
            return lambda done, total: self._progress(phase, done, total, {})

        pictures, valid = golden.pictures[split.train], valid_pixels(draft)
        second, kept = remember(runtime, pictures, options.witness, seed=options.seed, after_picture=after("memory"))
        if second is None:
            return Scorer(runtime, valid=valid), None, None
        second, weighed = weigh(
            runtime,
            second,
            golden.pictures[split.weighing],
            valid=valid,
            seed=options.seed,
            after_picture=after("weighing"),
        )
        self.weighed = weighed.to_dict()
        return Scorer(runtime, valid=valid, second=second), second, GoldenPictures.of(pictures[kept])

    def calibrate(self, scorer: Scorer, split: Split) -> Calibration:
        """Scores of the held-out parts, and the limits they prove."""
        total = len(split.calibration)
        chunk = max(1, 8 * 256**2 // split.calibration[0, :, :, 0].size)  # a large picture fills the memory of many
        self._progress("calibration", 0, total, {})
        scores: list[float] = []
        for start in range(0, total, chunk):
            scores += scorer(split.calibration[start : start + chunk]).scores.tolist()
            self._progress("calibration", len(scores), total, {})
        rates = {"review_rate": self.options.review_rate, "fail_rate": self.options.fail_rate}
        return calibrate(one_per_group(scores, split.groups), **rates)

    def parity(
        self, networks: Networks, scorer: Scorer, split: Split, *, second: Second | None, scores: Sequence[float]
    ) -> ParityRecord:
        """The runtime beside PyTorch in float32, on a few held-out pictures; on one when the time is over."""
        seconds, pair = self.options.budget.seconds, (networks.teacher, networks.student)
        some = 1 if seconds is not None and self.spent > seconds else MOST_PICTURES
        return measure_parity(scorer, split.calibration[:some], scores, networks=pair, second=second)

    def capability(self, predictor: Predictor, split: Split) -> Capability:
        """How small a made-up flaw is caught, on one held-out picture of each part, in the time that is left.

        Half of what was kept for it stays, even where all before it took longer than foreseen.
        """
        seconds = self.options.budget.seconds
        share = MOST_TRYING * (seconds or 0.0)
        left = None if seconds is None else min(share, max(share / 2, seconds - self.spent))
        firsts = dict(zip(reversed(split.groups), reversed(split.paths), strict=True))
        return measure_capability(
            predictor,
            sorted(firsts.values()),
            seed=self.options.seed,
            progress=lambda done, total: self._progress("capability", done, total, {}),
            cancelled=self._cancelled,
            most_seconds=left,
        )

    def _training_budget(self, split: Split) -> Budget:
        """What remains for training after the pictures were read and with calibration and made-up flaws to come."""
        seconds = self.options.budget.seconds
        if seconds is None:
            return self.options.budget
        area = (self.options.size / 256) ** 2
        looked_at = len(split.calibration) + LOOKED_AT * MOST_PARTS + LOOKS * len(split.weighing)
        reserve = min(COMPILE_SECONDS + SCORE_SECONDS * area * looked_at, MOST_RESERVED * seconds)
        if self.options.capability:
            reserve += MOST_TRYING * seconds
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
