"""What the rows of `flawline bench peers` are asked for, and on which pictures: all of them on the same."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from core.settings import Settings
from model.architecture import Architecture
from model.backbones import build_encoder
from model.datasets import LabelledPicture, open_dataset
from model.evaluation import mask_on_input
from model.pictures import read_mask
from model.placement import Placement
from model.weights import imagenet_weights, load_imagenet

WITNESSES: Mapping[str, str] = {"ours": "both", "rd-e+gii": "student"}
"""Our rows: the engine as `flawline evaluate` runs it, and the method alone."""
PEERS = ("padim", "patchcore", "stfpm")
MODELS = (*WITNESSES, *PEERS)
BACKBONE = "efficientnet_lite0"
CORESET = 1500
SCRIPT = Path(__file__).with_name("anomalib_row.py")


@dataclass(frozen=True)
class Asked:
    """What is to be compared.

    size: of a side of the peers' input, and of the frame in which maps are compared. python: the interpreter that has
    anomalib; script: what it runs.
    """

    data: Path
    budget: str
    size: int
    seed: int
    python: Path
    script: Path = SCRIPT


@dataclass(frozen=True)
class Split:
    """One data set as every row has it."""

    root: Path
    train: tuple[Path, ...]
    test: tuple[LabelledPicture, ...]

    @classmethod
    def of(cls, root: Path) -> Self:
        """The division of a data set. Raises DatasetUnusable."""
        found = open_dataset(root)
        return cls(root, found.train, found.test)

    @property
    def tells(self) -> bool:
        """Whether there are good and defective test pictures."""
        return len({one.is_good for one in self.test}) == 2

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {
            "train": [str(path) for path in self.train],
            "test": [
                {"path": str(one.path), "kind": one.kind, "mask": str(one.mask) if one.mask else None}
                for one in self.test
            ],
        }

    def truth(self, side: int) -> list[NDArray[np.bool_] | None]:
        """Where the defects of each test picture are, the whole picture squeezed to (side, side); None if nobody says.

        Raises PictureUnreadable.
        """
        return [_truth(one, side) for one in self.test]


def write_job(folder: Path, model: str, split: Split, asked: Asked, settings: Settings, **more: object) -> None:
    """The job file of a row; `more` is what only this one needs."""
    job = {
        "model": model,
        "side": asked.size,
        "seed": asked.seed,
        "threads": settings.worker.threads or None,
        **split.to_dict(),
        **more,
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")


def ours(model: str, split: Split, asked: Asked, settings: Settings) -> dict[str, object]:
    """What only our own rows need."""
    return {
        "data": str(split.root),
        "budget": asked.budget,
        "witness": WITNESSES[model],
        "runtime": settings.worker.runtime,
        "weights_place": str(settings.weights) if settings.weights else None,
    }


def write_weights(target: Path, settings: Settings) -> Path:
    """The weights that our networks begin with, in the network's order, for the peers. Raises WeightsMissing."""
    encoder = build_encoder(Architecture(backbone=BACKBONE))
    load_imagenet(encoder, BACKBONE, imagenet_weights(BACKBONE, settings.weights))
    torch.save(dict(encoder.state_dict()), target)
    return target


def _truth(picture: LabelledPicture, side: int) -> NDArray[np.bool_] | None:
    if picture.is_good:
        return np.zeros((side, side), np.bool_)
    if picture.mask is None:
        return None
    mask = read_mask(picture.mask)
    size = (mask.shape[1], mask.shape[0])
    return mask_on_input(mask, Placement.of_window((0, 0, *size), size, (side, side), stretched=True))[0]
