"""Pictures at the model's size in, maps and raw scores out: the part that calibration and inspection share."""

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.anomaly_map import MapMaker, highest
from model.fusion import Second
from model.memory import MemoryMaps
from model.runtimes import Runtime, Seen
from model.threads import on_one_thread
from model.widening import Widener


@dataclass(frozen=True)
class Scored:
    """scores: (N,) float32, raw; maps: (N, H, W) float32. Both NaN where the network's answer was not finite.

    The score is the highest value of the map where it is looked at.
    """

    scores: NDArray[np.float32]
    maps: NDArray[np.float32]


class Scorer:
    """A runtime with the map behind it.

    valid: (H, W), pixels that are looked at; None for all. second: the golden memory as a second witness; None for the
    student's map alone.
    """

    def __init__(
        self, runtime: Runtime, *, valid: NDArray[np.bool_] | None = None, second: Second | None = None
    ) -> None:
        if valid is not None and (valid.shape != runtime.size or not valid.any()):
            raise ValueError(f"the mask {valid.shape} must be {runtime.size} and leave at least one pixel to look at")
        self.runtime = runtime
        self.valid = valid
        self._second = second
        self._maker = MapMaker(*runtime.size)
        self._golden = MemoryMaps(second.memory, runtime.size, runtime.search(second.memory)) if second else None
        wide = second.wide if second else None
        self._widened = Widener(wide, runtime.size, runtime.search(wide.memory)) if wide else None

    def __call__(self, images: NDArray[np.uint8]) -> Scored:
        """images: (N, H, W, 3) uint8 RGB at the model's size."""
        return self.conclude(self.runtime.look(images))

    def conclude(self, seen: Seen) -> Scored:
        """What the network has said, as maps and scores; shares nothing with the runtime."""
        with nullcontext() if self.runtime.fingerprint.runtime == "torch" else on_one_thread():
            maps = self._maker(seen.distances)
            if self._second is None or self._golden is None:
                return Scored(highest(maps, self.valid), maps)
            assert seen.features is not None  # the runtime was opened for a memory
            cells = self._golden.cells(seen.features)
            maps = self._second.fuse(maps, self._golden.of_cells(cells))
            scores = highest(maps, self.valid)
            if self._widened is not None:
                maps = self._widened(maps, seen.features, cells, scores)
        return Scored(scores, maps)
