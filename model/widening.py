"""
How far a large flaw reaches: the golden memory's distances of whole neighbourhoods, beside those of single cells.

Where light is uneven or a surface worn, each cell is like some golden one, and only many of them together are unlike.
The mean of a neighbourhood's features tells, but hides small flaws: as a witness it costs more than it finds (on the
magnetic tiles, image AUROC 0.78 instead of 0.85). So it widens what is shown up to the score, and never raises it: the
verdict stays that of the sharp map. Around a strong flaw all is unlike by the flaw itself, so the higher the score is
above what good parts reach, the less do neighbourhoods count, by its square: else boxes of small flaws grew threefold.
"""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from numpy.typing import NDArray
from torch import Tensor

from model.fusion import Units, Wide
from model.memory import GoldenMemory, MemoryMaps, Search
from model.threads import on_one_thread

STEP = 2  # cells of stride 8: the neighbourhoods' places lie at stride 16
REACH = 2  # such places, in each direction: 10x10 cells, 80x80 pixels of the input, are averaged
FEWEST_CELLS = 20  # on the shorter side of an input: on less, a neighbourhood would be half of the part


def neighbourhoods(features: NDArray[np.float32], distances: NDArray[np.float32], units: Units) -> NDArray[np.float32]:
    """The means around every second cell: (B, C, h, w) to (B, C, h / 2, w / 2); at the edges of what there is.

    distances: (B, h, w) of the cells by themselves, not yet in these units. The farther one lies beyond what one good
    part in ten reaches (1), the less it counts, unless all around do too: a small strong flaw must not be spread.
    """
    unlike = np.maximum(units(distances), 0)
    weights = torch.from_numpy(1 / (1 + unlike**4))[:, None]
    weighted, counted = (_around(values) for values in (torch.from_numpy(features) * weights, weights))
    return np.asarray((weighted / counted).numpy(), dtype=np.float32)


def _around(cells: Tensor) -> Tensor:
    coarse = F.avg_pool2d(cells, STEP)
    return F.avg_pool2d(coarse, 2 * REACH + 1, stride=1, padding=REACH)


def learn_wide(
    features: NDArray[np.float32], distances: NDArray[np.float32], units: Units, size: tuple[int, int]
) -> Wide | None:
    """From the golden features of N parts, (N, C, h, w), and their distances, at an input of that height and width.

    None for a small input.
    """
    if min(features.shape[2:]) < FEWEST_CELLS:
        return None
    memory, own = GoldenMemory.learnt(neighbourhoods(features, distances, units))
    return Wide(memory, Units.of(MemoryMaps(memory, size).of_cells(own)), units)


class Widener:
    """Widens maps of one input size. search: the memory's own if None."""

    def __init__(self, wide: Wide, size: tuple[int, int], search: Search | None = None) -> None:
        self._wide = wide
        self._maps = MemoryMaps(wide.memory, size, search)

    def __call__(
        self,
        maps: NDArray[np.float32],
        features: NDArray[np.float32],
        distances: NDArray[np.float32],
        scores: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """The higher of the map and its neighbourhoods' one, the latter below the score: what is highest stays so.

        maps: (N, H, W) in units of good parts, features: (N, C, h, w), distances: (N, h, w) of the cells, scores: (N,).
        Returns (N, H, W); NaN where a score is no number.
        """
        with on_one_thread():
            around = neighbourhoods(features, distances, self._wide.cells)
        wide = self._wide.units(self._maps(around)) / np.square(np.maximum(scores, 1))[:, None, None]
        below = np.nextafter(scores, np.float32(-np.inf))[:, None, None]
        return np.asarray(np.maximum(maps, np.minimum(wide, below)), dtype=np.float32)
