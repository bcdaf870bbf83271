"""Pictures at the model's size in, maps and raw scores out: the part that calibration and inspection share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from model.anomaly_map import MapMaker, highest
from model.normalisation import IMAGENET, Normalisation
from model.runtimes import Runtime, RuntimeChoice, open_runtime


@dataclass(frozen=True)
class Scored:
    """scores: (N,) float32, raw; maps: (N, H, W) float32. Both NaN where the network's answer was not finite."""

    scores: NDArray[np.float32]
    maps: NDArray[np.float32]


class Scorer:
    """A runtime with the map behind it. valid: (H, W), pixels that are looked at; None for all."""

    def __init__(self, runtime: Runtime, *, valid: NDArray[np.bool_] | None = None) -> None:
        if valid is not None and (valid.shape != runtime.size or not valid.any()):
            raise ValueError(f"the mask {valid.shape} must be {runtime.size} and leave at least one pixel to look at")
        self.runtime = runtime
        self.valid = valid
        self._maker = MapMaker(*runtime.size)

    def __call__(self, images: NDArray[np.uint8]) -> Scored:
        """images: (N, H, W, 3) uint8 RGB at the model's size."""
        maps = self._maker(self.runtime.distances(images))
        return Scored(highest(maps, self.valid), maps)


def open_scorer(
    teacher: nn.Module,
    student: nn.Module,
    *,
    size: tuple[int, int],
    choice: RuntimeChoice | None = None,
    normalisation: Normalisation = IMAGENET,
    valid: NDArray[np.bool_] | None = None,
) -> Scorer:
    """Networks just trained, on the runtime they will be deployed on; see open_runtime."""
    runtime = open_runtime(teacher, student, size=size, choice=choice, normalisation=normalisation)
    return Scorer(runtime, valid=valid)
