"""
The fixture: every part is brought to the same place and scale before anything looks at it (rd-e.md, section 13).

One implementation serves training and inspection. The aspect ratio is kept; 256 means a budget of 256² pixels.

* Golden pictures of one size (a fixed camera): a picture of another aspect ratio is refused, because something about
  the camera has changed; another resolution of the same aspect ratio is only resized. With a ROI the size must agree
  to the pixel, or the ROI would lie elsewhere.
* Golden pictures of several sizes (parts that were cut out): the middle aspect ratio gives the input's shape, a picture
  that is narrower or wider is scaled to fit and continued by its own mirror image, never squeezed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]  # x, y, width, height
Size = tuple[int, int]  # width, height
STEP = 32  # the deepest level of the networks halves five times
SHORTEST = 64
SQUEEZE = 1.12  # rounding sides to multiples of 32 changes the aspect ratio by about this much at the worst
SAME_ASPECT = 1.02


class FixtureMismatch(ValueError):
    """A picture cannot be brought into the place that the model was taught; the message says why and what to check."""


@dataclass(frozen=True)
class Fixture:
    """How a raw picture becomes the network's input of height × width pixels.

    roi: x, y, width, height in raw pixels, for kind "roi". picture: the golden pictures' width and height, where they
    all agree; None where they vary.
    """

    kind: Literal["none", "roi"]
    roi: Box | None
    height: int
    width: int
    picture: Size | None = None

    def __post_init__(self) -> None:
        if self.kind not in {"none", "roi"}:
            raise ValueError(f"fixture kind {self.kind!r} is unknown; none and roi are offered")
        if (self.kind == "roi") != (self.roi is not None):
            raise ValueError(f"fixture {self.kind} with ROI {self.roi}: a ROI belongs to kind roi, and only to it")
        if self.roi and (min(self.roi[:2]) < 0 or min(self.roi[2:]) < 1):
            raise ValueError(f"ROI {self.roi} is not x, y, width, height with x, y >= 0 and width, height >= 1")
        if min(self.height, self.width) < STEP or self.height % STEP or self.width % STEP:
            raise ValueError(f"input {self.width}x{self.height}: both sides must be multiples of {STEP}")

    @classmethod
    def for_pictures(cls, sizes: Sequence[Size], *, roi: Box | None = None, budget: int = 256) -> Self:
        """The fixture for golden pictures of these (width, height), at about budget² pixels.

        Raises FixtureMismatch if the ROI does not lie inside every picture, ValueError if there are no pictures.
        """
        if not sizes:
            raise ValueError("a fixture needs at least one golden picture")
        for size in set(sizes):
            if roi:
                _require_inside(roi, size)
        picture = sizes[0] if len(set(sizes)) == 1 else None
        shapes = [(roi[2], roi[3])] if roi else sizes
        aspect = float(np.exp(np.median([math.log(width / height) for width, height in shapes])))
        height, width = _input_shape(aspect, budget)
        return cls("roi" if roi else "none", roi, height, width, picture)

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The network's input for a raw picture.

        picture: (H, W, 3) uint8. Returns (height, width, 3) uint8, antialiased. Raises FixtureMismatch when the
        picture's size does not fit the golden ones.
        """
        size = (picture.shape[1], picture.shape[0])
        left, top, width, height = self._window(size)
        part = picture[top : top + height, left : left + width]
        inner = _fit((width, height), (self.width, self.height))
        scaled = resize(part, inner)
        if inner == (self.width, self.height):
            return scaled
        x, y = (self.width - inner[0]) // 2, (self.height - inner[1]) // 2
        rest = (y, self.height - inner[1] - y, x, self.width - inner[0] - x)
        return np.asarray(cv2.copyMakeBorder(scaled, *rest, cv2.BORDER_REFLECT), dtype=np.uint8)

    def to_raw(self, box: tuple[float, float, float, float], picture_size: Size) -> Box:
        """A box on the network's input as the smallest box of whole raw pixels around it, cut at the picture's edge.

        box: x, y, width, height in input pixels. picture_size: width, height of the raw picture.
        """
        left, top, width, height = self._window(picture_size)
        inner = _fit((width, height), (self.width, self.height))
        x0, y0 = (self.width - inner[0]) // 2, (self.height - inner[1]) // 2
        ends = []
        for start, length, offset, scale, origin, limit in (
            (box[0], box[2], x0, width / inner[0], left, width),
            (box[1], box[3], y0, height / inner[1], top, height),
        ):
            low = min(max(math.floor((start - offset) * scale + 1e-6), 0), limit - 1)
            high = min(max(math.ceil((start + length - offset) * scale - 1e-6), low + 1), limit)
            ends.append((origin + low, high - low))
        return ends[0][0], ends[1][0], ends[0][1], ends[1][1]

    def window(self, picture_size: Size) -> tuple[Box, Box]:
        """Where the raw picture's part lies on the input: (raw box, input box), both x, y, width, height.

        What lies outside the input box is mirrored. Raises FixtureMismatch as apply does.
        """
        raw = self._window(picture_size)
        inner = _fit((raw[2], raw[3]), (self.width, self.height))
        return raw, ((self.width - inner[0]) // 2, (self.height - inner[1]) // 2, inner[0], inner[1])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model file."""
        return {
            "kind": self.kind,
            "roi": list(self.roi) if self.roi else None,
            "height": self.height,
            "width": self.width,
            "picture": list(self.picture) if self.picture else None,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Back from to_dict; raises ValueError or KeyError when something is missing or impossible."""
        roi, picture = values["roi"], values.get("picture")
        return cls(
            values["kind"],
            (int(roi[0]), int(roi[1]), int(roi[2]), int(roi[3])) if roi else None,
            int(values["height"]),
            int(values["width"]),
            (int(picture[0]), int(picture[1])) if picture else None,
        )

    def _window(self, size: Size) -> Box:
        """The part of a raw picture that is looked at; refuses a picture of the wrong size."""
        if self.roi:
            if self.picture and size != self.picture:
                raise FixtureMismatch(
                    f"picture is {size[0]}x{size[1]} px, the golden ones were {self.picture[0]}x{self.picture[1]}: "
                    "the ROI would lie elsewhere; check the camera's resolution or teach the product again"
                )
            _require_inside(self.roi, size)
            return self.roi
        if self.picture and _ratio(size, self.picture) > SAME_ASPECT:
            raise FixtureMismatch(
                f"picture is {size[0]}x{size[1]} px, the golden ones were {self.picture[0]}x{self.picture[1]}: "
                "another aspect ratio; check the camera's resolution and cropping or teach the product again"
            )
        return 0, 0, size[0], size[1]


def resize(picture: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Resize (H, W[, 3]) uint8 to width, height: area average where it shrinks, bilinear where it grows."""
    height, width = picture.shape[:2]
    smaller = (min(width, size[0]), min(height, size[1]))
    if smaller != (width, height):
        picture = np.asarray(cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if smaller != size:
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    return picture


def _require_inside(roi: Box, size: Size) -> None:
    x, y, width, height = roi
    if x + width > size[0] or y + height > size[1]:
        raise FixtureMismatch(
            f"ROI {width}x{height} at ({x}, {y}) reaches outside the picture of {size[0]}x{size[1]} px; "
            "move or shrink it"
        )


def _ratio(one: Size, other: Size) -> float:
    """By what factor two aspect ratios differ, 1 or more."""
    return math.exp(abs(math.log(one[0] / one[1] * other[1] / other[0])))


def _fit(size: Size, frame: Size) -> Size:
    """The size at which a picture is laid into a frame: all of it if the aspect ratios nearly agree."""
    if _ratio(size, frame) <= SQUEEZE:
        return frame
    scale = min(frame[0] / size[0], frame[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _input_shape(aspect: float, budget: int) -> tuple[int, int]:
    """Height and width, multiples of 32, nearest to the aspect ratio and to budget² pixels."""
    wanted = float(budget * budget)
    longest = max(2 * SHORTEST, int(wanted // SHORTEST) + STEP)
    sides = range(SHORTEST, longest + 1, STEP)
    shapes = ((height, width) for height in sides for width in sides)
    return min(
        shapes,
        key=lambda s: 2 * abs(math.log(s[1] / s[0] / aspect)) + abs(math.log(s[0] * s[1] / wanted)),
    )
