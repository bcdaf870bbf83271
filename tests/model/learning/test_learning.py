import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.curves import curves_from
from model.datasets import DatasetEmpty
from model.evaluation import Evaluation, evaluate, mask_on_input
from model.fixture import Fixture
from model.golden import read_golden
from model.learning import LearnOptions, Learnt, learn
from model.model_file import load
from model.pace import Budget
from model.predictor import Predictor
from model.split import LearningImpossible, split_golden
from model.training import TrainingCancelled
from tests.model.learning.conftest import SMALL, part, write

OPTIONS = LearnOptions(architecture=SMALL, budget=Budget(iterations=24), size=64, batch=4, runtime="torch", threads=1)
Seen = list[tuple[str, float, float, Mapping[str, float]]]


@pytest.fixture(scope="module")
def learnt(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Learnt, Seen]:
    seen: Seen = []
    path = tmp_path_factory.mktemp("models") / "deep" / "ring.safetensors"
    return learn(folder, path, options=OPTIONS, progress=lambda *told: seen.append(told)), seen


@pytest.fixture(scope="module")
def evaluation(learnt: tuple[Learnt, Seen], folder: Path) -> Evaluation:
    return evaluate(learnt[0].path, folder, runtime="torch", threads=1)


def test_a_folder_becomes_a_calibrated_model_file(learnt: tuple[Learnt, Seen]) -> None:
    result, _ = learnt
    predictor = Predictor.load(result.path, runtime="torch", sha256=result.sha256)
    assert predictor.is_calibrated
    assert predictor.manifest.limits is not None
    assert predictor.manifest.limits.t_lo == result.calibration.pass_limit
    assert result.counts == {"train": 16, "calibration": 8}
    assert predictor.manifest.training["iterations"] == {"teacher": 10, "student": 14}
    assert predictor.manifest.training["seed"] == 0
    shown, memory = load(result.path).pictures(), predictor.manifest.memory
    assert memory is not None
    assert shown is not None
    assert len(shown) == memory.parts == 16
    assert not result.path.with_name(result.path.name + ".checkpoint").exists()


def test_the_file_keeps_how_the_losses_fell_and_how_far_the_runtime_is(learnt: tuple[Learnt, Seen]) -> None:
    manifest = learnt[0].manifest
    curves = curves_from(manifest.training["curves"])
    assert [(curve.stage, curve.network, curve.iterations[-1]) for curve in curves] == [
        ("teacher", "teacher", 10), ("student", "student", 14),
    ]  # fmt: skip
    assert manifest.parity is not None
    assert manifest.parity.pictures == 0  # PyTorch in float32 itself
    assert manifest.parity.spread > 0


def test_the_phases_are_told_in_order(learnt: tuple[Learnt, Seen]) -> None:
    _, seen = learnt
    phases = list(dict.fromkeys(phase for phase, *_ in seen))
    assert phases == [
        "fixture", "pictures", "training teacher", "training student", "memory", "calibration", "capability", "saving",
    ]  # fmt: skip
    assert all(0 <= done <= total for _, done, total, _ in seen)
    assert any("student_loss" in numbers and "seconds_left" in numbers for *_, numbers in seen)


def test_a_scratch_is_told_from_a_good_part(evaluation: Evaluation) -> None:
    assert evaluation.image_auroc is not None
    assert evaluation.image_auroc >= 0.9
    assert evaluation.pixel_auroc is not None
    assert evaluation.pixel_auroc >= 0.8
    assert evaluation.au_pro is not None
    assert evaluation.auroc_by_kind == {"scratch": evaluation.image_auroc}
    assert (evaluation.good, evaluation.defective, evaluation.with_mask) == (6, 6, 6)


def test_an_evaluation_is_plain_json_with_the_promised_fields(evaluation: Evaluation) -> None:
    told = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert {
        "image_auroc", "image_ap", "image_f1_max", "pixel_auroc", "au_pro", "false_reject_rate",
        "false_reject_interval", "false_reject_asked", "train_seconds", "ms_per_frame", "settings",
    } <= told.keys()  # fmt: skip
    assert told["false_reject_asked"] == 0.01
    assert told["settings"]["seed"] == 0
    assert told["settings"]["runtime"]["runtime"] == "torch"
    assert told["false_rejects"] == round(told["false_reject_rate"] * 6)


def test_without_masks_there_are_no_pixel_figures_and_bad_files_are_named(
    learnt: tuple[Learnt, Seen], tmp_path: Path
) -> None:
    write(tmp_path / "train/good/0.png", part(0))
    write(tmp_path / "test/good/0.png", part(100))
    write(tmp_path / "test/scratch/0.png", part(200, scratched=True))
    (tmp_path / "test/scratch/1.png").write_bytes(b"")
    write(tmp_path / "test/good/2.png", part(102, size=(64, 96)))
    result = evaluate(learnt[0].path, tmp_path, runtime="torch", threads=1)
    assert result.pixel_auroc is None
    assert result.au_pro is None
    assert result.image_auroc is not None
    assert set(result.unusable) == {"test/scratch/1.png", "test/good/2.png"}


def test_a_folder_without_tests_has_no_figures(learnt: tuple[Learnt, Seen], tmp_path: Path) -> None:
    write(tmp_path / "0.png", part(0))
    result = evaluate(learnt[0].path, tmp_path, runtime="torch", threads=1)
    assert (result.good, result.defective) == (0, 0)
    assert result.image_auroc is result.pixel_auroc is result.false_reject_rate is result.ms_per_frame is None
    json.dumps(result.to_dict(), allow_nan=False)


def test_tests_that_cannot_be_judged_are_no_evaluation(learnt: tuple[Learnt, Seen], tmp_path: Path) -> None:
    write(tmp_path / "train/good/0.png", part(0))
    (tmp_path / "test/good").mkdir(parents=True)
    (tmp_path / "test/good/0.png").write_bytes(b"")
    with pytest.raises(ValueError, match="no picture under test/"):
        evaluate(learnt[0].path, tmp_path, runtime="torch")


def test_further_good_pictures_calibrate_and_all_others_train(folder: Path, tmp_path: Path) -> None:
    more = [write(tmp_path / f"{number}.png", part(300 + number)) for number in range(20)]
    quick = replace(OPTIONS, budget=Budget(iterations=2), review_rate=0.05, fail_rate=0.05)
    result = learn(folder, tmp_path / "m.safetensors", options=quick, held_out=more)
    assert result.counts == {"train": 24, "calibration": 20}
    assert result.calibration.proved_fail_rate == 0.05
    assert result.manifest.limits is not None
    assert result.manifest.limits.t_hi is not None


def test_cancelling_leaves_a_checkpoint_and_the_same_call_goes_on(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    options = replace(OPTIONS, budget=Budget(iterations=6))
    steps: list[float] = []

    def count(phase: str, _done: float, _total: float, _numbers: Mapping[str, float]) -> None:
        if phase.startswith("training"):
            steps.append(_done)

    with pytest.raises(TrainingCancelled):
        learn(folder, path, options=options, progress=count, cancelled=lambda: len(steps) >= 4)
    assert len(steps) == 4
    assert not path.exists()
    assert path.with_name("m.safetensors.checkpoint").exists()
    resumed = learn(folder, path, options=options, progress=count)
    assert len(steps) == 6
    straight = learn(folder, tmp_path / "n.safetensors", options=options)
    assert resumed.calibration.scores == straight.calibration.scores


def test_a_checkpoint_of_other_settings_is_not_gone_on_with(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.with_name("m.safetensors.checkpoint").write_bytes(b"left behind")
    result = learn(folder, path, options=replace(OPTIONS, budget=Budget(iterations=2)))
    assert result.training.iterations == {"teacher": 1, "student": 1}


def test_groups_never_straddle_the_split(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{number:02}.png", part(number)) for number in range(30)]
    groups = {path: str(number // 3) for number, path in enumerate(paths)}
    golden = read_golden(paths, budget=64, groups=groups)
    split = split_golden(golden)
    trained = {golden.groups[number] for number in split.train}
    assert trained.isdisjoint(split.groups)
    assert len(trained) + len(set(split.groups)) == 10
    assert [groups[path] for path in split.paths] == list(split.groups)
    assert split.counts == {"train": 21, "calibration": 9}


def test_calibration_pictures_that_are_trained_on_do_not_count(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{number:02}.png", part(number)) for number in range(6)]
    golden = read_golden(paths, budget=64)
    with pytest.raises(LearningImpossible, match="among those to train on"):
        split_golden(golden, golden)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_pictures_are_refused_before_anything_is_trained(tmp_path: Path, count: int) -> None:
    for number in range(count):
        write(tmp_path / f"{number}.png", part(number))
    with pytest.raises((LearningImpossible, DatasetEmpty), match=r"too few|no pictures"):
        learn(tmp_path, tmp_path / "m.safetensors", options=OPTIONS)


def test_options_that_nobody_can_mean_are_refused() -> None:
    with pytest.raises(ValueError, match="already cuts the ROI out"):
        LearnOptions(foreground="roi")
    with pytest.raises(ValueError, match="size 32"):
        LearnOptions(size=32)


def test_a_mask_is_laid_on_the_input_by_area() -> None:
    mask = np.zeros((128, 128), np.bool_)
    mask[40:60, 40:60] = True
    laid, vanished = mask_on_input(mask, Fixture("none", None, 64, 64).still((128, 128)))
    assert vanished == 0
    assert np.argwhere(laid).min() == 20
    assert np.argwhere(laid).max() == 29
    assert laid.sum() == 100


def test_a_defect_too_small_for_the_input_keeps_its_best_pixel() -> None:
    mask = np.zeros((512, 512), np.bool_)
    mask[100:102, 200] = True
    mask[400:432, 400:432] = True
    laid, vanished = mask_on_input(mask, Fixture("none", None, 64, 64).still((512, 512)))
    assert vanished == 1
    assert laid[12, 25]
    assert laid.sum() == 17
