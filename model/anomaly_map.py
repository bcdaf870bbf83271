"""From distances by level to one anomaly map and one score per picture; source: rd-e.md §6.

Upsampling (bilinear, aligned corners) and Gaussian blur are both linear and separable, so both happen at once:
A = Σ_k P_k D_k Q_kᵀ with P_k = G U_k for the rows and Q_k for the columns.

The products are PyTorch's: NumPy's library keeps a thread spinning for milliseconds after each one, on a core that the
network wants (measured: 6 of 55 ms of CPU for a picture).
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STRIDES = (4, 8, 16)
BUDGET_SIDE = 256
SIGMA_AT_BUDGET = 4.0
TRUNCATE = 4.0
"""The blur reaches this many sigmas to each side, as in scipy.ndimage."""


def blur_sigma(height: int, width: int) -> float:
    """Sigma of the smoothing in pixels: 4 at a pixel budget of 256², and in proportion to the budget's side."""
    return SIGMA_AT_BUDGET * float(np.sqrt(height * width)) / BUDGET_SIDE


def upsample_matrix(outputs: int, inputs: int) -> NDArray[np.float64]:
    """U: bilinear interpolation with aligned corners from `inputs` samples to `outputs`; (outputs, inputs)."""
    places = np.linspace(0.0, inputs - 1.0, outputs)
    distance = np.abs(places[:, None] - np.arange(inputs)[None, :])
    return np.maximum(0.0, 1.0 - distance)


def blur_matrix(length: int, sigma: float) -> NDArray[np.float64]:
    """G: Gaussian blur of `length` samples whose border is mirrored with the edge sample repeated; (length, length)."""
    radius = int(TRUNCATE * sigma + 0.5)
    steps = np.arange(-radius, radius + 1)
    taps = np.exp(-0.5 * (steps / sigma) ** 2)
    taps /= taps.sum()
    period = np.mod(np.arange(length)[:, None] + steps[None, :], 2 * length)
    sources = np.where(period < length, period, 2 * length - 1 - period)  # ... c b a | a b c ...
    matrix = np.zeros((length, length))
    np.add.at(matrix, (np.arange(length)[:, None], sources), taps[None, :])
    return matrix


class MapMaker:
    """Turns distances by level into anomaly maps of one input size.

    smooth: blur the map, as for every score; without it the map is what runtimes are compared by.
    """

    def __init__(self, height: int, width: int, *, smooth: bool = True) -> None:
        self.size = (height, width)
        sigma = blur_sigma(height, width) if smooth else None
        self._rows = [_matrix(height, stride, sigma) for stride in STRIDES]
        self._columns = [_matrix(width, stride, sigma).T for stride in STRIDES]

    def __call__(self, distances: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """A for each picture.

        distances: D_1, D_2, D_3, each (N, H / stride, W / stride). Returns (N, H, W) float32, unclamped. A distance
        that is no finite number makes its picture's whole map NaN.
        """
        parts = [self._smooth(found, level) for level, found in enumerate(distances)]
        return _all_or_nan(parts[0] + parts[1] + parts[2])

    def one_level(self, distances: NDArray[np.float32], level: int) -> NDArray[np.float32]:
        """The map of one level's distances alone: (N, H / stride, W / stride) to (N, H, W) float32."""
        return _all_or_nan(self._smooth(distances, level))

    def _smooth(self, distances: NDArray[np.float32], level: int) -> Tensor:
        return self._rows[level] @ torch.from_numpy(distances) @ self._columns[level]


def highest(maps: NDArray[np.float32], valid: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """The image scores: the highest value of each map among valid pixels.

    maps: (N, H, W). valid: (H, W), None for all. Returns (N,); NaN for a map that is not finite, which proves nothing.
    Raises ValueError if no pixel is valid.
    """
    if valid is not None and not valid.any():
        raise ValueError("the mask leaves no pixel to look at; make it smaller")
    finite = np.isfinite(maps).all(axis=(1, 2))
    seen = maps.reshape(len(maps), -1) if valid is None else maps[:, valid]
    return np.where(finite, seen.max(axis=1), np.nan).astype(np.float32)


def _all_or_nan(maps: Tensor) -> NDArray[np.float32]:
    whole = np.asarray(maps.numpy(), dtype=np.float32)
    whole[~np.isfinite(whole).all(axis=(1, 2))] = np.nan
    return whole


def _matrix(length: int, stride: int, sigma: float | None) -> Tensor:
    matrix = upsample_matrix(length, length // stride)
    if sigma is not None:
        matrix = blur_matrix(length, sigma) @ matrix
    return torch.from_numpy(matrix.astype(np.float32))
