"""A part before a plain background: where it is and how it lies.

Looked for in a small copy of the picture, by its distance in colour from the picture's own border, so that the light
may change. What the golden pictures do not agree about is no part (rd-e.md, section 13).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from model.placement import Box, number, resize

WORK = 256  # pixels, the most of the longer side of the copy, which is halved until it is no longer
RING = 0.04  # of each side: what counts as border
LEAST_SHARE, MOST_SHARE = 0.01, 0.8  # of the picture that a part covers
LEAST_FOUND = 0.95  # of the golden pictures must show it
AREA_SPREAD = 0.25  # standard deviation of its area over the golden pictures, relative
LEAST_DISTANCE = 12.0  # grey levels between part and background
ALONE = 0.7  # of all that stands out belongs to the part; else there are several, and one of them is not the product
PIECES = 8  # the largest that are looked at
AREA_SLACK = 1.5  # times larger or smaller than any golden part: something else lies there


@dataclass(frozen=True)
class Part:
    """A part that was found, in raw pixels.

    mask: (h, w) bool of the small copy. centre: of its area. angle: of its long axis in radians, in (-π/2, π/2], with
    the heavier end (third moment) on the axis's positive side: then in (-π, π]. length, breadth: along and across the
    axis. box: around it. factors: raw pixels for one of the mask's, across and down.
    """

    mask: NDArray[np.bool_]
    factors: tuple[float, float]
    centre: tuple[float, float]
    angle: float
    length: float
    breadth: float
    box: Box

    def reach(self, angle: float) -> tuple[float, float]:
        """How far it reaches from its centre along an axis at this angle, and across it, in raw pixels."""
        around = _places(self.mask, self.factors) - self.centre
        along = np.abs(around @ (math.cos(angle), math.sin(angle))).max()
        across = np.abs(around @ (-math.sin(angle), math.cos(angle))).max()
        return float(along), float(across)


@dataclass(frozen=True)
class PartFinder:
    """What a part of a product is told by.

    threshold: distance in colour from the background, in grey levels. least, most: its area as a share of the picture.
    """

    threshold: float
    least: float = LEAST_SHARE
    most: float = MOST_SHARE

    @classmethod
    def learnt(cls, pictures: Sequence[NDArray[np.uint8]]) -> Self | None:
        """From golden pictures, (H, W, 3) uint8 each; None where they show no part before a plain background."""
        distances = [_distance(_small(picture)) for picture in pictures]
        thresholds = [_otsu(distance) for distance in distances]
        threshold = float(np.median(thresholds))
        if threshold < LEAST_DISTANCE:
            return None
        pieces = [[float(piece.mean()) for piece in _pieces(distance > threshold)] or [0.0] for distance in distances]
        shares = np.array([max(areas) for areas in pieces])
        found = shares[(shares >= LEAST_SHARE) & (shares <= MOST_SHARE)]
        if len(found) < LEAST_FOUND * len(shares) or found.std() > AREA_SPREAD * found.mean():
            return None
        if float(np.median(shares / [sum(areas) or 1.0 for areas in pieces])) < ALONE:
            return None
        return cls(threshold, float(found.min()) / AREA_SLACK, min(float(found.max()) * AREA_SLACK, 0.95))

    def find(self, picture: NDArray[np.uint8]) -> Part | None:
        """The part in a raw picture, (H, W, 3) uint8; None where there is none of the size of a golden one."""
        small = _small(picture)
        mask = next(_pieces(_distance(small) > self.threshold), None)
        if mask is None or not self.least <= float(mask.mean()) <= self.most:
            return None
        return _measured(mask, (picture.shape[1] / small.shape[1], picture.shape[0] / small.shape[0]))

    def to_dict(self) -> dict[str, float]:
        """Plain values for the model file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Back from to_dict; raises KeyError, TypeError or ValueError for what it is not."""
        made = cls(number(values["threshold"]), number(values["least"]), number(values["most"]))
        if not (made.threshold > 0 and 0 < made.least <= made.most <= 1):
            raise ValueError(f"{values} tells no part")
        return made


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    step = 2 ** max(0, math.ceil(math.log2(max(height, width) / WORK)))
    return np.asarray(resize(picture, (max(8, -(-width // step)), max(8, -(-height // step)))), dtype=np.uint8)


def _distance(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w) float32: how far each pixel's colour is from the border's middle one, in grey levels."""
    height, width = small.shape[:2]
    deep = max(2, round(RING * min(height, width)))
    ring = np.concatenate(
        [
            small[:deep].reshape(-1, 3), small[-deep:].reshape(-1, 3),
            small[:, :deep].reshape(-1, 3), small[:, -deep:].reshape(-1, 3),
        ]
    )  # fmt: skip
    apart = small.astype(np.float32) - np.median(ring, axis=0).astype(np.float32)
    distance = np.sqrt((apart * apart).sum(axis=2) / 3)
    return np.asarray(cv2.GaussianBlur(distance, (0, 0), 1.0), dtype=np.float32)


def _otsu(distance: NDArray[np.float32]) -> float:
    levels = np.clip(np.rint(distance), 0, 255).astype(np.uint8)
    return float(cv2.threshold(levels, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[0])


def _pieces(mask: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """Its connected pieces, the largest first, holes filled; one that is mostly at the picture's edge is background."""
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for outline in sorted(outlines, key=cv2.contourArea, reverse=True)[:PIECES]:
        filled = np.zeros(mask.shape, np.uint8)
        cv2.drawContours(filled, [outline], -1, 1, cv2.FILLED)
        edge = int(filled[0].sum()) + int(filled[-1].sum()) + int(filled[:, 0].sum()) + int(filled[:, -1].sum())
        if edge <= 0.25 * len(outline):
            yield np.asarray(filled > 0)


def _measured(mask: NDArray[np.bool_], factors: tuple[float, float]) -> Part:
    """Moments of a mask, in raw pixels."""
    x, y = factors
    found = cv2.moments(mask.astype(np.uint8), binaryImage=True)
    centre = (found["m10"] / found["m00"] + 0.5) * x, (found["m01"] / found["m00"] + 0.5) * y
    angle = math.atan2(2 * found["mu11"] * x * y, found["mu20"] * x * x - found["mu02"] * y * y) / 2
    cos, sin = math.cos(angle) * x, math.sin(angle) * y
    third = found["mu30"] * cos**3 + 3 * found["mu21"] * cos**2 * sin + 3 * found["mu12"] * cos * sin**2
    if third + found["mu03"] * sin**3 < 0:  # the lighter end lies on the positive side
        angle += math.pi if angle <= 0 else -math.pi
    around = _places(mask, factors) - centre
    along = around @ (math.cos(angle), math.sin(angle))
    across = around @ (-math.sin(angle), math.cos(angle))
    columns, rows = np.nonzero(mask.any(axis=0))[0], np.nonzero(mask.any(axis=1))[0]
    left, top = math.floor(columns[0] * x), math.floor(rows[0] * y)
    box = (left, top, math.ceil((columns[-1] + 1) * x) - left, math.ceil((rows[-1] + 1) * y) - top)
    side = math.sqrt(x * y)  # places are the middles of pixels
    return Part(mask, factors, centre, angle, float(np.ptp(along)) + side, float(np.ptp(across)) + side, box)


def _places(mask: NDArray[np.bool_], factors: tuple[float, float]) -> NDArray[np.float64]:
    """The centres of a mask's pixels, (n, 2) in raw pixels."""
    rows, columns = np.nonzero(mask)
    return np.column_stack([(columns + 0.5) * factors[0], (rows + 0.5) * factors[1]])
