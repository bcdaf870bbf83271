"""From a checkpoint of the method's authors to a model file of ours, calibrated where there are good pictures."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.architecture import Skip
from model.backbones import check_size
from model.calibration import Calibration, calibrate, one_per_group
from model.code_version import code_version
from model.datasets import open_dataset
from model.fixture import Fixture
from model.golden import Finding, Golden, read_more
from model.learning import Progress
from model.manifest import CalibrationRecord, DataSnapshot, Manifest, ModelLimits
from model.model_file import save, sha256_of, tensors_of
from model.runtimes import RuntimeChoice, RuntimeName, open_runtime
from model.scorer import Scorer
from model.split import LearningImpossible
from model.urd_checkpoint import Released, read_urd

CHUNK = 8
SMALLEST, LARGEST = 64, 1024


@dataclass(frozen=True)
class ImportOptions:
    """How to take a checkpoint over.

    size: height and width of the input. skip: as read_urd has it. pictures: a folder of good parts that the networks
    were not trained on; None leaves the model uncalibrated. threads: None for all cores.
    """

    size: int = 256
    skip: Skip | None = None
    pictures: Path | None = None
    runtime: RuntimeName = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        if not SMALLEST <= self.size <= LARGEST:
            raise ValueError(f"size {self.size}: {SMALLEST} to {LARGEST} is offered")
        check_size(self.size, self.size)


@dataclass(frozen=True)
class Imported:
    """What came of it.

    path, sha256: of the model file. calibration: None without pictures. findings: what was noticed about those.
    """

    path: Path
    sha256: str
    manifest: Manifest
    calibration: Calibration | None = None
    findings: tuple[Finding, ...] = ()


def import_urd(
    checkpoint: Path, destination: Path, *, options: ImportOptions, progress: Progress = lambda *_: None
) -> Imported:
    """Write a model file from a checkpoint.

    Raises WeightsMissing for what is no such checkpoint, LearningImpossible and DatasetUnusable for pictures that
    cannot calibrate, RuntimeUnavailable, OSError.
    """
    progress("checkpoint", 0, 1, {})
    released = read_urd(checkpoint, skip=options.skip)
    progress("checkpoint", 1, 1, {})
    done = Imported(destination, "", _draft(checkpoint, released, options.size))
    if options.pictures is not None:
        done = _calibrated(done, released, options.pictures, options, progress)
    progress("saving", 0, 1, {})
    destination.parent.mkdir(parents=True, exist_ok=True)
    sha256 = save(destination, tensors_of(released.teacher, released.student), done.manifest)
    progress("saving", 1, 1, {})
    return replace(done, sha256=sha256)


def _draft(checkpoint: Path, released: Released, size: int) -> Manifest:
    return Manifest(
        architecture=released.architecture.to_dict(),
        height=size,
        width=size,
        fixture=Fixture("none", None, size, size).to_dict(),
        training={
            "imported": "the authors' code",
            "checkpoint": checkpoint.name,
            "checkpoint_sha256": sha256_of(checkpoint),
            "witness": "student",
        },
        code_version=code_version(),
    )


def _calibrated(
    draft: Imported, released: Released, pictures: Path, options: ImportOptions, progress: Progress
) -> Imported:
    """The same with limits: all pictures are held out, since none of them trains anything here."""
    golden = _read(pictures, draft.manifest.fitted())
    runtime = open_runtime(
        released.teacher,
        released.student,
        size=draft.manifest.size,
        choice=RuntimeChoice(options.runtime, draft.manifest.precision, options.threads),
        normalisation=draft.manifest.normalisation,
    )
    scorer = Scorer(runtime)
    total = len(golden.pictures)
    scores: list[float] = []
    for start in range(0, total, CHUNK):
        scores += scorer(golden.pictures[start : start + CHUNK]).scores.tolist()
        progress("calibration", len(scores), total, {})
    calibration = calibrate(one_per_group(scores, golden.groups))
    told: dict[str, Any] = {name: value for name, value in calibration.to_dict().items() if name != "scores"}
    digest = hashlib.sha256("".join(sorted(golden.digests)).encode()).hexdigest()
    changes = {
        "training": draft.manifest.training | {"calibration": told},
        "data": DataSnapshot(digest=digest, counts={"calibration": total}),
        "calibration": CalibrationRecord(scores=calibration.scores, fingerprint=runtime.fingerprint),
        "limits": ModelLimits(t_lo=calibration.pass_limit, t_hi=calibration.fail_limit),
    }
    manifest = Manifest(**(dict(draft.manifest) | changes))
    return replace(draft, manifest=manifest, calibration=calibration, findings=golden.findings)


def _read(folder: Path, fixture: Fixture) -> Golden:
    """The good parts in a folder: those that a data set holds out for calibration, else those it would train on."""
    dataset = open_dataset(folder)
    try:
        golden = read_more(dataset.held_out or dataset.train, fixture)
    except ValueError as problem:
        raise LearningImpossible(str(problem)) from problem
    known = zip(golden.paths, golden.groups, strict=True)
    return replace(golden, groups=tuple(dataset.groups.get(path, shot) for path, shot in known))
