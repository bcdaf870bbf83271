"""Two witnesses, one map: the student's and the golden memory's, each in units of good parts (rd-e.md, section 13).

The units come from good parts that neither witness knows where some can be spared (model/weighing.py), else from those
that trained them, each held against the memory of the others; never from the parts that set the limits: the score is a
fixed function before calibration begins, as conformal limits demand.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.memory import GoldenMemory

Witness = Literal["both", "student", "memory"]
SHARES: dict[Witness, float] = {"both": 0.6, "student": 0.0, "memory": 1.0}
"""The memory's share of the map; `student` alone is the paper's method. After a minute of learning the memory is the
steadier witness: of 0.3 to 0.85, 0.6 was best on the mean of the three simulated products."""
QUANTILE = 0.9


@dataclass(frozen=True)
class Units:
    """A witness's scale: 0 at `middle`, the usual value on good parts, 1 at what one good part in ten reaches."""

    middle: float
    spread: float

    @classmethod
    def of(cls, maps: NDArray[np.float32]) -> "Units":
        """From maps of good parts, (N, H, W). Raises ValueError if they are not finite."""
        middle = float(np.median(maps))
        spread = float(np.quantile(maps.max(axis=(1, 2)), QUANTILE)) - middle
        if not np.isfinite([middle, spread]).all():
            raise ValueError("the maps of good parts are not finite; the model or the runtime is broken")
        return cls(middle, max(spread, 1e-6))

    def __call__(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """The maps in these units."""
        return np.asarray((maps - self.middle) / self.spread, dtype=np.float32)


@dataclass(frozen=True)
class Wide:
    """A memory of neighbourhoods, which shows how far a flaw reaches (model.widening).

    units: of its map. cells: of the distances of single cells, by which these count in a neighbourhood.
    """

    memory: GoldenMemory
    units: Units
    cells: Units


@dataclass(frozen=True)
class Second:
    """The golden memory as a second witness. share: of the memory in the map, 0 to 1. wide: None for small inputs."""

    memory: GoldenMemory
    student: Units
    golden: Units
    share: float
    wide: Wide | None = None

    def fuse(self, maps: NDArray[np.float32], golden: NDArray[np.float32]) -> NDArray[np.float32]:
        """Both witnesses' maps as one: (N, H, W) each; NaN where either is."""
        return np.asarray((1 - self.share) * self.student(maps) + self.share * self.golden(golden), dtype=np.float32)
