"""Ablations side by side: what a run is worth, and which runs may be averaged."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.ablation import FIGURES, Run, attempt, means
from model.architecture import ABLATIONS, named
from model.cost import Cost
from model.efficientnet import EPSILON
from model.evaluation import Evaluation
from model.learning import LearnOptions
from model.pace import Budget
from model.training import TrainingCancelled
from model.weights import imagenet_weights
from tests.model.learning.conftest import part, write

ONE, TWO, THREE = Path("one"), Path("two"), Path("three")
OPTIONS = LearnOptions(named("rd"), budget=Budget(iterations=2), size=64, witness="student", runtime="torch", threads=1)


def _evaluation(**figures: Any) -> Evaluation:
    return Evaluation(**({field.name: None for field in fields(Evaluation)} | figures))


def _runs(data: Path, auroc: float, **figures: Any) -> list[Run]:
    """Every ablation, each a hundredth better than the one before it."""
    return [
        Run(data, name, evaluation=_evaluation(image_auroc=auroc + place / 100, **figures), cost=Cost(2_000_000, 10**9))
        for place, name in enumerate(ABLATIONS)
    ]


def test_a_mean_weighs_every_data_set_the_same() -> None:
    found = means([*_runs(ONE, 0.5, pixel_auroc=0.75), *_runs(TWO, 0.75)])
    assert [mean.ablation for mean in found] == list(ABLATIONS)
    assert [mean.figures["image_auroc"] for mean in found] == pytest.approx([0.625, 0.635, 0.645, 0.655])
    first = found[0].to_dict()
    assert (first["sets"], first["pixel_auroc"], first["au_pro"]) == (2, 0.75, None)
    assert (first["million_parameters"], first["gmac"]) == (2.0, 1.0)


def test_one_data_set_has_no_mean() -> None:
    assert means(_runs(ONE, 0.5)) == []
    assert means([]) == []


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
def test_ablations_are_averaged_over_the_same_sets_only(outcome: Any) -> None:
    two = _runs(TWO, 0.9)
    two[1] = Run(TWO, two[1].ablation, outcome, "why")
    runs = [*_runs(ONE, 0.5), *two, *_runs(THREE, 0.7)[:3]]  # and the third was stopped before its last
    assert means(runs) == []
    found = means([*runs, *_runs(THREE, 0.7)[3:]])
    assert [mean.sets for mean in found] == [2, 2, 2, 2]
    assert found[1].figures["image_auroc"] == pytest.approx(0.61)


def test_a_run_is_plain_json() -> None:
    run = Run(ONE, "rd", "diverged", "training diverged in iteration 3")
    assert json.loads(json.dumps(run.to_dict()))["reason"] == "training diverged in iteration 3"
    assert set(run.figures.values()) == {None}
    assert set(run.figures) == {*FIGURES, "million_parameters", "gmac"}


def test_an_attempt_trains_tests_and_counts(folder: Path) -> None:
    told: list[str] = []
    run = attempt(folder, "rd", OPTIONS, progress=lambda phase, *_: told.append(phase))
    assert (run.outcome, run.reason) == ("done", "")
    assert run.evaluation is not None
    assert (run.evaluation.good, run.evaluation.defective) == (6, 6)
    assert run.evaluation.settings["witness"] == "student"
    assert all(value is not None for value in run.figures.values())
    phases = ["fixture", "pictures", "training baseline", "calibration", "saving", "testing"]
    assert list(dict.fromkeys(told)) == phases


def test_an_attempt_is_cancelled_between_two_test_pictures(folder: Path) -> None:
    told: list[str] = []
    with pytest.raises(TrainingCancelled, match="after 2 of 12 test pictures"):
        attempt(
            folder, "rd", OPTIONS, progress=lambda phase, *_: told.append(phase),
            cancelled=lambda: told.count("testing") >= 2)  # fmt: skip


def test_pictures_that_cannot_be_used_fail_their_run_alone(tmp_path: Path) -> None:
    write(tmp_path / "train/good/0.png", part(0))
    run = attempt(tmp_path, "rd", OPTIONS)
    assert run.outcome == "failed"
    assert "too few to learn from" in run.reason


def overflowing(path: Path, scale: float = 3e35) -> Path:
    """ImageNet weights that answer as they always do, but overflow as soon as they learn.

    What one norm is given is scaled up, and its stored statistics make up for it: those of a batch are beyond float32.
    """
    weights = dict(imagenet_weights("efficientnet_lite0"))
    largest = 3e38  # about float32's
    convolution, norm = "_blocks.1._depthwise_conv.weight", "_blocks.1._bn1."
    spread = (weights[norm + "running_var"] + EPSILON).sqrt()
    weights[convolution] = weights[convolution] * scale
    weights[norm + "running_mean"] = weights[norm + "running_mean"] * scale
    weights[norm + "running_var"] = torch.full_like(spread, largest)
    weights[norm + "weight"] = weights[norm + "weight"] / spread * (largest**0.5 / scale)
    torch.save(weights, path)
    return path


@pytest.mark.parametrize(
    ("scale", "said"), [(3e35, "diverged in iteration"), (1e25, "no finite numbers")], ids=["loss", "statistics alone"]
)
def test_a_training_that_diverges_is_a_run_that_says_so(scale: float, said: str, folder: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, weights=overflowing(tmp_path / "huge.pth", scale))
    assert attempt(folder, "rd", options).outcome == "done"
    run = attempt(folder, "rd-e", replace(options, architecture=named("rd-e"), budget=Budget(iterations=4)))
    assert (run.outcome, run.evaluation, run.cost) == ("diverged", None, None)
    assert said in run.reason
