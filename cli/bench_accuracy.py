"""What less precision costs: scores, verdicts and maps of each precision beside those of f32, on a data set."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cli.bench_runtimes import Contestant
from core.verdicts import Limits, MachineVerdict, decide
from model.anomaly_map import MapMaker
from model.calibration import FAIL_RATE, REVIEW_RATE, calibrate, one_per_group
from model.datasets import open_dataset
from model.fixture import FixtureMismatch
from model.fusion import Second
from model.golden import Golden, read_more
from model.manifest import Manifest
from model.metrics import auroc
from model.pictures import PictureUnreadable, read_picture
from model.scorer import Scorer
from model.split import FEWEST, split_golden

Images = NDArray[np.uint8]
CHUNK = 8


@dataclass(frozen=True)
class Exam:
    """What precisions are compared on.

    learnt: (N, H, W, 3) good pictures that int8 may be quantised by. calibration, groups: good pictures that set each
    precision's limits, and the part that each shows. calibrated_on: which these are, in words. tests, good: test
    pictures, (M, H, W, 3), and whether each shows a good part. frame: one of them, raw, with a flaw if there is any.
    left_out: how many test pictures could not be used.
    """

    learnt: Images
    calibration: Images
    groups: tuple[str, ...]
    calibrated_on: str
    tests: Images
    good: NDArray[np.bool_]
    frame: Images
    left_out: int = 0


def read_exam(data: Path, manifest: Manifest) -> Exam:
    """Read a data set for a model. Raises DatasetEmpty, and ValueError for one without test pictures that fit."""
    dataset = open_dataset(data)
    fixture = manifest.fitted()
    golden = read_more(dataset.train, fixture)
    groups = tuple(dataset.groups.get(path, shot) for path, shot in zip(golden.paths, golden.groups, strict=True))
    extra = read_more(dataset.held_out, fixture) if dataset.held_out else None
    learnt, calibration, calibrated, said = _held_out(replace(golden, groups=groups), extra, manifest)
    pictures: list[Images] = []
    good: list[bool] = []
    frame, left_out = None, 0
    for test in dataset.test:
        try:
            raw = read_picture(test.path)
            pictures.append(fixture.apply(raw))
        except (PictureUnreadable, FixtureMismatch):
            left_out += 1
            continue
        if frame is None or (all(good) and not test.is_good):
            frame = raw
        good.append(test.is_good)
    if frame is None:
        raise ValueError(f"{data}: none of its {len(dataset.test)} test pictures fits this model; give test pictures")
    return Exam(learnt, calibration, calibrated, said, np.stack(pictures), np.array(good), frame, left_out)


def _held_out(golden: Golden, extra: Golden | None, manifest: Manifest) -> tuple[Images, Images, tuple[str, ...], str]:
    """The model's own held-out pictures where the data set is the one that it has learnt from; else all good ones."""
    training: Mapping[str, Any] = manifest.training
    seed, rates = training.get("seed"), training.get("calibration")
    enough = len(golden.paths) >= FEWEST and len(set(golden.groups)) > 1
    if enough and manifest.data and isinstance(seed, int) and isinstance(rates, Mapping):
        weighs = training.get("witness") == "both"
        split = split_golden(golden, extra, fail_rate=float(rates["fail_rate"]), seed=seed, weighs=weighs)
        if (split.digest, split.counts) == (manifest.data.digest, manifest.data.counts):
            said = f"the {len(split.calibration)} good pictures of its own calibration, which it has not learnt from"
            return golden.pictures[split.train], split.calibration, split.groups, said
    said = f"all {len(golden.pictures)} good pictures to learn from; the model may have, and then limits are too tight"
    return golden.pictures, golden.pictures, golden.groups, said


@dataclass(frozen=True)
class Judged:
    """One precision's answers. scores, calibration: raw, of the test and the calibration pictures. maps: (M, H, W)."""

    scores: NDArray[np.float64]
    calibration: tuple[float, ...]
    maps: NDArray[np.float32]


def judge(contestant: Contestant, exam: Exam, second: Second | None, valid: NDArray[np.bool_] | None) -> Judged:
    """Scores and raw maps (not smoothed, the student's alone) of all pictures."""
    assert contestant.runtime is not None  # only those that inspection offers, or could, are examined
    scorer = Scorer(contestant.runtime, valid=valid, second=second)
    raw = MapMaker(*contestant.runtime.size, smooth=False)
    scores: list[float] = []
    maps = []
    for start in range(0, len(exam.tests), CHUNK):
        seen = contestant.runtime.look(exam.tests[start : start + CHUNK])
        scores += scorer.conclude(seen).scores.tolist()
        maps.append(raw(seen.distances))
    return Judged(np.array(scores), _calibration_scores(scorer, exam), np.concatenate(maps))


def _calibration_scores(scorer: Scorer, exam: Exam) -> tuple[float, ...]:
    starts = range(0, len(exam.calibration), CHUNK)
    scores = [score for start in starts for score in scorer(exam.calibration[start : start + CHUNK]).scores.tolist()]
    return tuple(one_per_group(scores, exam.groups))


def verdicts(judged: Judged, *, review_rate: float = REVIEW_RATE, fail_rate: float = FAIL_RATE) -> list[MachineVerdict]:
    """What each test picture is told, by limits from this precision's own calibration scores."""
    found = calibrate(judged.calibration, review_rate=review_rate, fail_rate=fail_rate)
    limits = Limits(found.pass_limit, found.fail_limit)
    return [decide(float(score), limits) for score in judged.scores]


def compared(judged: Judged, reference: Judged, good: NDArray[np.bool_]) -> dict[str, Any]:
    """The figures of one precision beside f32's: image AUROC, other verdicts, largest difference of the raw maps."""
    mine, theirs = verdicts(judged), verdicts(reference)
    flips = sum(one is not other for one, other in zip(mine, theirs, strict=True))
    return {
        "image_auroc": auroc(judged.scores[good], judged.scores[~good]),
        "verdict_flips": flips,
        "verdict_flip_share": flips / len(mine),
        "largest_map_difference": largest_difference(judged.maps, reference.maps),
    }


def accuracy(found: Mapping[str, Judged], exam: Exam) -> dict[str, Any]:
    """The report, by precision; f32 is among them."""
    return {
        "calibrated_on": exam.calibrated_on,
        "good": int(exam.good.sum()),
        "defective": int((~exam.good).sum()),
        "left_out": exam.left_out,
        "precisions": {name: compared(judged, found["f32"], exam.good) for name, judged in found.items()},
    }


def auroc_lost(report: Mapping[str, Any] | None, precision: str) -> float | None:
    """How far a precision's image AUROC lies from f32's, either way; None where it is not known."""
    rows = report["precisions"] if report else {}
    pair = [rows.get(name, {}).get("image_auroc") for name in ("f32", precision)]
    return None if None in pair else abs(pair[0] - pair[1])


def largest_difference(maps: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """The largest absolute difference anywhere on any map."""
    return float(np.abs(maps - reference).max())
