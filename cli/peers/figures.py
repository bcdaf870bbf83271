"""What a row of `flawline bench peers` found: read from what its process left, with the same metrics for all."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cli.peers.child import Ending, Outcome
from cli.peers.jobs import Split
from model.metrics import auroc, pixel_auroc

FIGURES = ("image_auroc", "pixel_auroc", "train_seconds", "ms_per_frame", "peak_mb", "pixel_auroc_at_input")


@dataclass(frozen=True)
class Row:
    """One model on one data set.

    why_not: why there are no figures, where it is not done. figures: by the names in FIGURES, None where the data do
    not allow one. judged, left_out: test pictures that count, and that it refused.
    """

    data: Path
    model: str
    outcome: Outcome = "done"
    why_not: str = ""
    figures: Mapping[str, float | None] = field(default_factory=dict)
    judged: int = 0
    left_out: int = 0

    @property
    def name(self) -> str:
        """The data set's, of `.` too."""
        return self.data.resolve().name

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {
            "set": self.name,
            "model": self.model,
            "outcome": self.outcome,
            "why_not": self.why_not or None,
            **{name: self.figures.get(name) for name in FIGURES},
            "judged": self.judged,
            "left_out": self.left_out,
        }


def row_of(ending: Ending, folder: Path, split: Split, truth: Sequence[NDArray[np.bool_] | None], *, model: str) -> Row:
    """The row of a child that has ended, by result.json and maps.npy in its folder.

    truth: the masks of the test pictures, as large as the maps. A result that nobody can use is a failed row.
    """
    if ending.outcome != "done":
        return Row(split.root, model, ending.outcome, ending.why)
    try:
        values = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        maps = np.load(folder / "maps.npy", mmap_mode="r")
        return _counted(values, maps, split, truth, model=model)
    except (OSError, ValueError, KeyError, TypeError) as problem:  # another program wrote it
        return Row(split.root, model, "failed", f"it left no usable result ({type(problem).__name__}: {problem})")


def _counted(
    values: Mapping[str, Any],
    maps: NDArray[np.floating],
    split: Split,
    truth: Sequence[NDArray[np.bool_] | None],
    *,
    model: str,
) -> Row:
    scores: list[float | None] = [None if score is None else float(score) for score in values["scores"]]
    if not len(scores) == len(maps) == len(split.test):
        raise ValueError(f"{len(scores)} scores and {len(maps)} maps of {len(split.test)} test pictures")
    judged = [number for number, score in enumerate(scores) if score is not None]
    if not all(math.isfinite(score) for score in scores if score is not None) or not np.isfinite(maps[judged]).all():
        raise ValueError("a score or a map is not finite")
    good, bad = (
        np.array([scores[number] for number in judged if split.test[number].is_good == wanted], np.float64)
        for wanted in (True, False)
    )
    pairs = [(maps[number], mask) for number in judged if (mask := truth[number]) is not None]
    figures = {
        "image_auroc": auroc(good, bad),
        "pixel_auroc": pixel_auroc([heat for heat, _ in pairs], [mask for _, mask in pairs]),
        **{name: values.get(name) for name in FIGURES[2:]},
    }
    return Row(
        split.root, model, figures=figures, judged=len(judged), left_out=len(scores) - len(judged)
    )  # fmt: skip
