"""A part beside golden parts, as a worker stores it, for a seeded line."""

import cv2
import numpy as np
from numpy.typing import NDArray

from core.records.compared import Compared
from model.neighbours import Comparison, Nearest, window_of
from workers.keeping import golden_jpeg, told_of

TILE = (320, 240)


def beside(jpeg: bytes, good: tuple[bytes, ...], box: tuple[int, int, int, int]) -> Comparison:
    """A part and good ones, cut out round the box as a worker would."""
    pictures = [decoded(one) for one in (jpeg, *good)]
    height, width = pictures[0].shape[:2]
    left, top, wide, high = window_of(box, (height, width))
    tiles = np.stack([cv2.resize(one[top : top + high, left : left + wide], TILE) for one in pictures])
    across, down = TILE[0] / wide, TILE[1] / high
    marked = ((box[0] - left) * across, (box[1] - top) * down, box[2] * across, box[3] * down)
    distances = tuple(0.81 + 0.13 * n for n in range(len(good)))
    return Comparison(np.asarray(tiles, np.uint8), marked, Nearest(tuple(range(len(good))), distances))


def decoded(jpeg: bytes) -> NDArray[np.uint8]:
    """RGB pixels."""
    found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert found is not None
    return np.asarray(found, np.uint8)


def stored(comparison: Comparison, key: str) -> tuple[bytes, Compared]:
    """The picture and what the row tells of it."""
    return golden_jpeg(comparison), told_of(comparison, key)
