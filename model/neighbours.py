"""The golden parts that are nearest to a part: what normal looks like at the place where it differs from them.

For people to look at. Nothing here has a say in any score.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.memory import GoldenMemory

MOST = 3  # parts that are shown
QUALITY = 85  # of the JPEGs in a model file
AROUND = 1  # cells about the box that are compared too
TILE = 320  # px, the longer side of a part's picture in a comparison
LEAST_SEEN = 0.35  # of a side of the input: less around a flaw would not show which place it is
ROOM = 2.5  # times the box is what is shown, where that is more

Picture = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # x, y, width, height in pixels of the input

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GoldenPictures:
    """The remembered golden parts as JPEGs of the model's input size, in the order of the memory's bank."""

    encoded: tuple[bytes, ...]

    @classmethod
    def of(cls, pictures: NDArray[np.uint8]) -> Self:
        """pictures: (N, H, W, 3) uint8 RGB."""
        return cls(tuple(_jpeg(picture) for picture in pictures))

    def __len__(self) -> int:
        return len(self.encoded)

    def picture(self, number: int) -> Picture:
        """One of them, (H, W, 3) uint8 RGB. Raises ValueError for bytes that are no picture."""
        data = np.frombuffer(self.encoded[number], np.uint8)
        found = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if len(data) else None
        if found is None:
            raise ValueError(f"golden picture {number} of the model file is no picture")
        return np.asarray(found, dtype=np.uint8)

    def tensors(self) -> dict[str, Tensor]:
        """What a model file keeps: all JPEGs one behind the other (uint8), and where each ends (int64)."""
        joined = np.frombuffer(b"".join(self.encoded), np.uint8).copy()
        ends = np.cumsum([len(one) for one in self.encoded], dtype=np.int64)
        return {"golden.jpegs": torch.from_numpy(joined), "golden.ends": torch.from_numpy(ends)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], parts: int) -> Self | None:
        """Back from a model file whose memory holds so many parts; None for a file without pictures of just these."""
        jpegs, ends = tensors.get("golden.jpegs"), tensors.get("golden.ends")
        if jpegs is None or ends is None:
            return None
        steps = [0, *ends.flatten().tolist()]
        fits = jpegs.dtype == torch.uint8 and ends.dtype == torch.int64 and len(ends) == parts
        if not fits or steps != sorted(steps) or steps[-1] != jpegs.numel():
            log.warning("the golden pictures of this model file do not fit its memory: none will be shown")
            return None
        data = jpegs.numpy().tobytes()
        return cls(tuple(data[start:end] for start, end in pairwise(steps)))


@dataclass(frozen=True)
class Nearest:
    """Golden parts by their places in the memory's bank, the nearest first, and how far each is.

    distances: root mean squares over cells and channels, in spreads of the features on golden parts.
    """

    samples: tuple[int, ...]
    distances: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """A part beside the golden parts nearest to it, all cut out at the same place.

    tiles: (1 + len(nearest.samples), h, w, 3) uint8 RGB: the part itself first, then they, nearest first. box: of the
    highest region, x, y, width, height in pixels of a tile; None where there is no region, and the whole part is shown.
    """

    tiles: NDArray[np.uint8]
    box: tuple[float, float, float, float] | None
    nearest: Nearest


def nearest(
    memory: GoldenMemory, features: NDArray[np.float32], cells: tuple[slice, slice] | None = None
) -> Nearest | None:
    """The golden parts whose features are nearest to a part's at the same cells.

    features: (C, h, w) of one part. cells: rows and columns that are compared; None for all. Of equally near ones the
    first in the bank stands first. None where a feature is no finite number.
    """
    rows, columns = memory.shape
    down, across = cells or (slice(0, rows), slice(0, columns))
    given = (features - memory.mean.numpy()[:, None, None]) / memory.spread.numpy()[:, None, None]
    given = given[:, down, across]
    if not given.size or not np.isfinite(given).all():
        return None
    sums = np.zeros(memory.bank.shape[1], np.float64)
    for number, row in enumerate(range(rows)[down]):  # a row at a time: all cells at once would copy the whole bank
        bank = memory.bank[row * columns : (row + 1) * columns][across].float().numpy()  # (columns, parts, C)
        apart = bank - given[:, number].T[:, None]
        sums += np.einsum("npc,npc->p", apart, apart, dtype=np.float64)
    distances = np.sqrt(sums / given.size)
    order = np.argsort(distances, kind="stable")[:MOST]
    return Nearest(tuple(int(n) for n in order), tuple(float(distances[n]) for n in order))


class Neighbours:
    """Finds and shows the golden parts nearest to a part. Any thread may ask."""

    def __init__(self, memory: GoldenMemory, pictures: GoldenPictures) -> None:
        self._memory = memory
        self._pictures = pictures

    def __call__(self, laid: Picture, features: NDArray[np.float32], box: Box | None) -> Comparison | None:
        """laid: (H, W, 3) uint8 RGB, the part on the input; features: (C, h, w); box: of its highest region.

        None where the features are not finite. Raises ValueError for golden pictures that cannot be read.
        """
        size = laid.shape[0], laid.shape[1]
        found = nearest(self._memory, features, None if box is None else cells_of(box, size, self._memory.shape))
        if found is None:
            return None
        left, top, width, height = window_of(box, size)
        shown = [laid, *(self._pictures.picture(number) for number in found.samples)]
        if any(picture.shape != laid.shape for picture in shown):
            raise ValueError(f"the golden pictures of the model file are not {size[1]}x{size[0]} px")
        tile = _tile_of(size)
        tiles = np.stack([_resized(picture[top : top + height, left : left + width], tile) for picture in shown])
        if box is None:
            return Comparison(tiles, None, found)
        across, down = tile[0] / width, tile[1] / height
        marked = ((box[0] - left) * across, (box[1] - top) * down, box[2] * across, box[3] * down)
        return Comparison(tiles, marked, found)


def cells_of(box: Box, size: tuple[int, int], grid: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the cells that a box touches, and AROUND more on each side.

    size: height and width of the input; grid: rows and columns of cells on it.
    """
    spans = []
    for start, length, side, count in zip((box[1], box[0]), (box[3], box[2]), size, grid, strict=True):
        first = start * count // side - AROUND
        last = -(-(start + length) * count // side) + AROUND
        spans.append(slice(max(0, min(first, count - 1)), max(1, min(last, count))))
    return spans[0], spans[1]


def window_of(box: Box | None, size: tuple[int, int]) -> Box:
    """What is shown of an input of this height and width: the box with room about it, in the input's own aspect."""
    height, width = size
    if box is None:
        return 0, 0, width, height
    share = min(1.0, max(LEAST_SEEN, ROOM * box[2] / width, ROOM * box[3] / height))
    wide, high = max(1, round(share * width)), max(1, round(share * height))
    left, top = round(box[0] + box[2] / 2 - wide / 2), round(box[1] + box[3] / 2 - high / 2)
    return min(max(0, left), width - wide), min(max(0, top), height - high), wide, high


def _tile_of(size: Sequence[int]) -> tuple[int, int]:
    """Width and height of a tile for an input of this height and width."""
    scale = TILE / max(size)
    return max(1, round(size[1] * scale)), max(1, round(size[0] * scale))


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    grows = picture.shape[1] < size[0]
    way = cv2.INTER_CUBIC if grows else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, size, interpolation=way), dtype=np.uint8)


def _jpeg(picture: Picture) -> bytes:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"OpenCV could not encode a golden picture of {picture.shape} as JPEG")
    return data.tobytes()
