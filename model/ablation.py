"""
Which part of the method is worth what: the same data set, budget, seed and split for each ablation.

Each is judged by its student alone: a golden memory beside it would hide what the ablation changes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, Literal

from model.architecture import ABLATIONS
from model.cost import Cost, cost_of
from model.errors import ModelFileInvalid
from model.evaluation import Evaluation
from model.fusion import Witness
from model.learning import LearnOptions, Progress
from model.steps import TrainingDiverged
from model.trial import learn_and_test

WITNESS: Witness = "student"
FIGURES = (
    "image_auroc", "image_ap", "pixel_auroc", "au_pro", "au_pro_005", "false_reject_rate", "miss_rate",
    "train_seconds", "ms_per_frame",
)  # fmt: skip

Outcome = Literal["done", "diverged", "failed"]


@dataclass(frozen=True)
class Run:
    """One ablation on one data set. reason: why there is no evaluation, where it is not done."""

    data: Path
    ablation: str
    outcome: Outcome = "done"
    reason: str = ""
    evaluation: Evaluation | None = None
    cost: Cost | None = None

    @property
    def figures(self) -> dict[str, float | None]:
        """The figures that are compared, by name; None where the data set does not allow one, or nothing was done."""
        found: dict[str, float | None] = {name: getattr(self.evaluation, name, None) for name in FIGURES}
        found["million_parameters"] = self.cost.parameters / 1e6 if self.cost else None
        found["gmac"] = self.cost.macs / 1e9 if self.cost else None
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {
            "data": str(self.data),
            "ablation": self.ablation,
            "outcome": self.outcome,
            "reason": self.reason,
            "million_parameters": self.figures["million_parameters"],
            "gmac": self.figures["gmac"],
            "evaluation": self.evaluation.to_dict() if self.evaluation else None,
        }


@dataclass(frozen=True)
class Mean:
    """An ablation's figures over several data sets, each with the same weight; None where no set has the figure."""

    ablation: str
    sets: int
    figures: Mapping[str, float | None]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {"ablation": self.ablation, "sets": self.sets, **self.figures}


def attempt(
    data: Path,
    ablation: str,
    options: LearnOptions,
    *,
    progress: Progress = lambda *_: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Run:
    """Learn and test one ablation, whose architecture the options have; nothing is kept of it but the figures.

    A training that diverges and a data set that cannot be used are runs too. Raises TrainingCancelled, ModelError,
    OSError.
    """
    try:
        with TemporaryDirectory() as scratch:
            target = Path(scratch) / "model.safetensors"
            options = replace(options, capability=False)  # made-up flaws would cost each ablation a share of its time
            learnt, found = learn_and_test(data, target, options=options, progress=progress, cancelled=cancelled)
    except (TrainingDiverged, ModelFileInvalid) as problem:  # statistics can overflow where no loss shows it
        return Run(data, ablation, "diverged", str(problem))
    except ValueError as problem:  # what learn and evaluate say of pictures; the runs before this one must not be lost
        return Run(data, ablation, "failed", str(problem))
    cost = cost_of(options.architecture, learnt.manifest.size)
    return Run(data, ablation, evaluation=found, cost=cost)


def means(runs: Sequence[Run]) -> list[Mean]:
    """Each ablation's mean over the data sets that every ablation has finished; none where there are fewer than two.

    A mean over other sets than its neighbour's would compare the sets.
    """
    done = {(run.data, run.ablation): run for run in runs if run.outcome == "done"}
    sets = [data for data in dict.fromkeys(run.data for run in runs) if all((data, name) in done for name in ABLATIONS)]
    if len(sets) < 2:
        return []
    return [Mean(name, len(sets), _mean([done[data, name].figures for data in sets])) for name in ABLATIONS]


def _mean(figures: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    return {name: _average([one[name] for one in figures]) for name in figures[0]}


def _average(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
