"""Where one raw picture lies on the network's input, and the way back (rd-e.md, section 13).

Coordinates are continuous: pixel i covers [i, i + 1). Shrinking averages over areas, whatever the angle, so that no
detail of the raw picture is skipped.
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]  # x, y, width, height
Size = tuple[int, int]  # width, height
Matrix = tuple[tuple[float, float, float], tuple[float, float, float]]
HALF = 0.5 + 1e-6
LARGEST = 1e9  # no size, place or level is meant to be larger
SQUEEZE = 1.12  # rounding sides to multiples of 32 changes the aspect ratio by about this much at the worst


class FixtureMismatch(ValueError):
    """A picture cannot be brought into the place that the model was taught; the message says why and what to check."""


@dataclass(frozen=True)
class Placement:
    """An affine way from a raw picture to the input.

    picture, size: width and height of the raw picture and of the input. matrix: (2, 3), raw to input coordinates.
    inner: x, y, width, height of the part of the input that shows the picture; what lies around it is mirrored.
    window: the raw box that `inner` shows, where nothing is turned; None where the part's own pose decides. confidence:
    of a located part, how like the golden ones it lies there, at most 1.
    """

    picture: Size
    size: Size
    matrix: Matrix
    inner: Box
    window: Box | None = None
    confidence: float = 1.0

    @classmethod
    def of_window(cls, window: Box, picture: Size, size: Size, *, stretched: bool = False) -> Self:
        """A raw box laid into the input: all of it if the aspect ratios nearly agree or `stretched`, else to fit."""
        inner = size if stretched else fit((window[2], window[3]), size)
        x, y = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
        across, down = inner[0] / window[2], inner[1] / window[3]
        matrix = ((across, 0.0, x - window[0] * across), (0.0, down, y - window[1] * down))
        return cls(picture, size, matrix, (x, y, *inner), window)

    @classmethod
    def of_pose(
        cls, centre: tuple[float, float], angle: float, span: tuple[float, float], *, picture: Size, size: Size
    ) -> Self:
        """A part whose centre and angle are known: its axis at `angle` radians lies along the input's width.

        centre, span: in raw pixels; span is the width and height that the input shows.
        """
        across, down = size[0] / span[0], size[1] / span[1]
        cos, sin = math.cos(angle), math.sin(angle)
        rows = ((across * cos, across * sin), (-down * sin, down * cos))
        shift = [
            half - row[0] * centre[0] - row[1] * centre[1]
            for half, row in zip((size[0] / 2, size[1] / 2), rows, strict=True)
        ]
        return cls(picture, size, ((*rows[0], shift[0]), (*rows[1], shift[1])), (0, 0, *size))

    @property
    def scale(self) -> float:
        """Input pixels for one raw pixel, along a side."""
        (a, b, _), (c, d, _) = self.matrix
        return math.sqrt(abs(a * d - b * c))

    def lay(self, picture: NDArray[Any]) -> NDArray[Any]:
        """The network's input for the raw picture: (H, W[, 3]) of uint8 or float32 to (height, width[, 3])."""
        if self.window is None:
            return self._turned(picture)
        left, top, width, height = self.window
        x, y, inner_width, inner_height = self.inner
        scaled = resize(picture[top : top + height, left : left + width], (inner_width, inner_height))
        if (inner_width, inner_height) == self.size:
            return scaled
        rest = (y, self.size[1] - inner_height - y, x, self.size[0] - inner_width - x)
        return np.asarray(cv2.copyMakeBorder(scaled, *rest, cv2.BORDER_REFLECT))

    def corners(self, box: tuple[float, float, float, float]) -> NDArray[np.float64]:
        """The corners of a box on the input, one after the other around it, in raw coordinates: (4, 2)."""
        x, y, width, height = box
        laid = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], dtype=np.float64)
        inverse = np.asarray(cv2.invertAffineTransform(np.array(self.matrix)))
        return np.asarray(laid @ inverse[:, :2].T + inverse[:, 2])

    def to_raw(self, box: tuple[float, float, float, float]) -> Box:
        """A box on the input as the smallest of whole raw pixels around it, cut at the edge of what is looked at."""
        raw = self.corners(box)
        left, top, wide, high = self.window or (0, 0, *self.picture)
        ends = []
        for low, far, origin, limit in zip(raw.min(axis=0), raw.max(axis=0), (left, top), (wide, high), strict=True):
            start = min(max(math.floor(low - origin + 1e-6), 0), limit - 1)
            end = min(max(math.ceil(far - origin - 1e-6), start + 1), limit)
            ends.append((origin + start, end - start))
        return ends[0][0], ends[1][0], ends[0][1], ends[1][1]

    def on_picture(self, anomaly: NDArray[np.float32], longest: int) -> NDArray[np.float32]:
        """A map of the input, (height, width), as one of the whole raw picture whose longer side is at most `longest`.

        What is not looked at has the map's lowest value.
        """
        low = float(anomaly.min())
        scale = min(1.0, longest / max(self.picture))
        size = (max(1, round(self.picture[0] * scale)), max(1, round(self.picture[1] * scale)))
        matrix = np.array(self.matrix)
        linear = matrix[:, :2] * (np.array(self.picture) / size)
        shift = matrix[:, 2] + linear @ (0.5, 0.5) - 0.5
        reach = np.abs(linear).sum(axis=1) / 2  # of one pixel of the picture on the map, each way
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        if reach.max() > HALF:  # the highest of those that fall on one pixel counts: no hot place is skipped
            across, down = (2 * math.ceil(one) + 1 for one in reach)
            anomaly = np.asarray(cv2.dilate(anomaly, np.ones((down, across), np.uint8)), dtype=np.float32)
            flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        full = np.column_stack([linear, shift])
        spread = np.asarray(
            cv2.warpAffine(anomaly, full, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32
        )
        columns, rows = np.arange(size[0]), np.arange(size[1])
        if not self._looked_at(full, reach, columns[[0, -1]], rows[[0, -1]]).all():  # if they are, so is all between
            spread[~self._looked_at(full, reach, columns, rows)] = low
        return spread

    def _looked_at(
        self, full: NDArray[np.float64], reach: NDArray[np.float64], columns: NDArray[np.int_], rows: NDArray[np.int_]
    ) -> NDArray[np.bool_]:
        """(rows, columns) bool: which of these pixels of a picture touch `inner`; full, reach: see on_picture."""
        rows = rows[:, None]
        seen = np.ones((len(rows), len(columns)), np.bool_)
        for row, far, start, length in zip(full, reach, self.inner[:2], self.inner[2:], strict=True):
            place = row[0] * columns + row[1] * rows + row[2] + 0.5 - start
            seen &= (place > 1e-6 - far) & (place < length + far - 1e-6)
        return seen

    def _around(self, step: int) -> Box:
        """The raw box around all that the input shows, with sides that can be halved often where the picture allows."""
        left, top, width, height = self.to_raw((-2, -2, self.size[0] + 4, self.size[1] + 4))
        x, y = left // step * step, top // step * step
        right, bottom = (-(-end // step) * step for end in (left + width, top + height))
        return x, y, min(right, self.picture[0]) - x, min(bottom, self.picture[1]) - y

    def _turned(self, picture: NDArray[Any]) -> NDArray[Any]:
        """Halved to at most twice the input's scale, turned at twice its size, then averaged over two by two."""
        step = 2 ** int(math.log2(1 / min(1.0, self.scale)))
        left, top, width, height = self._around(step)
        small = resize(picture[top : top + height, left : left + width], (-(-width // step), -(-height // step)))
        finer = 2 if self.scale < 1 else 1
        # small = raw less its corner, times the true factors; pixel centres lie half a pixel in
        matrix = np.array(self.matrix) * finer
        linear = matrix[:, :2] * (width / small.shape[1], height / small.shape[0])
        shift = matrix[:, 2] + matrix[:, :2] @ (left, top) + linear @ (0.5, 0.5) - 0.5
        size = (self.size[0] * finer, self.size[1] * finer)
        full = np.column_stack([linear, shift])
        laid = cv2.warpAffine(small, full, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return resize(np.asarray(laid), self.size)


def resize(picture: NDArray[Any], size: Size) -> NDArray[Any]:
    """Resize (H, W[, 3]) to width, height: area average where it shrinks, bilinear where it grows.

    Halved first where much remains to be averaged: over two by two pixels it takes a tenth of the time.
    """
    height, width = picture.shape[:2]
    smaller = (min(width, size[0]), min(height, size[1]))
    while _halves(width, smaller[0]) and _halves(height, smaller[1]):
        width, height = width // 2, height // 2
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
    if smaller != (width, height):
        picture = np.asarray(cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA))
    if smaller != size:
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR))
    return picture


def _halves(side: int, end: int) -> bool:
    return side % 2 == 0 and (side >= 4 * end or side == 2 * end)


def number(value: object) -> float:
    """A finite number that a model file gives; raises ValueError for anything else."""
    if isinstance(value, int | float) and -LARGEST < value < LARGEST:
        return float(value)
    raise ValueError(f"{value!r} is no number that could be meant")


def ratio(one: tuple[float, float], other: tuple[float, float]) -> float:
    """By what factor two aspect ratios differ, 1 or more."""
    return math.exp(abs(math.log(one[0] / one[1] * other[1] / other[0])))


def fit(size: Size, frame: Size) -> Size:
    """The size at which a picture is laid into a frame: all of it if the aspect ratios nearly agree."""
    if ratio(size, frame) <= SQUEEZE:
        return frame
    scale = min(frame[0] / size[0], frame[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
