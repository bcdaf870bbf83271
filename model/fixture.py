"""
The fixture: every part is brought to the same place, angle and scale before anything looks at it (rd-e.md, section 13).

One implementation serves training and inspection. The aspect ratio is kept; 256 means a budget of 256² pixels.

* Golden pictures of one size (a fixed camera): a picture of another aspect ratio is refused, because something about
  the camera has changed; another resolution of the same aspect ratio is only resized. With a ROI the size must agree
  to the pixel, or the ROI would lie elsewhere.
* Golden pictures of several sizes (parts that were cut out): the middle aspect ratio gives the input's shape, a picture
  that is narrower or wider is scaled to fit and continued by its own mirror image, never squeezed.
* A part that lies elsewhere in each picture is located (model.pose); one that cannot be located is refused, not judged.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from model.flat_field import even_light
from model.placement import Box, FixtureMismatch, Placement, Size, number, ratio
from model.pose import Pose

__all__ = ["KINDS", "Box", "Fixture", "FixtureMismatch", "Kind", "Size", "input_shape"]

Kind = Literal["none", "stretch", "roi", "part", "axis", "template"]
KINDS: tuple[str, ...] = get_args(Kind)
STEP = 32  # the deepest level of the networks halves five times
SHORTEST = 64
SAME_ASPECT = 1.02


@dataclass(frozen=True)
class Fixture:
    """How a raw picture becomes the network's input of height × width pixels.

    kind: none, the whole picture · stretch, the whole picture whatever its aspect ratio, for parts that were cut out
    along their edges · roi, always the same rectangle · part, a rectangle around the part wherever it lies
    · axis, the same turned to the part's long axis · template, a rectangle registered to the golden parts. roi: x, y,
    width, height in raw pixels, for kind roi. picture: the golden pictures' width and height,
    where they all agree; None where they vary. pose: how the part is located, for the last three kinds. flat: uneven
    light is taken out.
    """

    kind: Kind
    roi: Box | None
    height: int
    width: int
    picture: Size | None = None
    pose: Pose | None = None
    flat: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"fixture kind {self.kind!r} is unknown; {', '.join(KINDS)} are offered")
        if (self.kind == "roi") != (self.roi is not None):
            raise ValueError(f"fixture {self.kind} with ROI {self.roi}: a ROI belongs to kind roi, and only to it")
        if (self.kind in {"none", "stretch", "roi"}) != (self.pose is None):
            raise ValueError(f"fixture {self.kind} {'without' if self.pose is None else 'with'} a pose")
        if self.pose is not None and self.kind != self.pose.kind:
            raise ValueError(f"fixture {self.kind} with the pose of {self.pose.kind}")
        if self.roi and (min(self.roi[:2]) < 0 or min(self.roi[2:]) < 1):
            raise ValueError(f"ROI {self.roi} is not x, y, width, height with x, y >= 0 and width, height >= 1")
        if self.picture and min(self.picture) < 1:
            raise ValueError(f"golden pictures of {self.picture[0]}x{self.picture[1]} px show nothing")
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
        height, width = input_shape(aspect, budget)
        return cls("roi" if roi else "none", roi, height, width, picture)

    @classmethod
    def for_pose(cls, pose: Pose, picture: Size | None, *, budget: int = 256) -> Self:
        """The fixture that locates each part; picture: the golden pictures' width and height where they agree."""
        height, width = input_shape(pose.span[0] / pose.span[1], budget)
        return cls(pose.kind, None, height, width, picture, pose)

    def place(self, picture: NDArray[np.uint8]) -> Placement:
        """Where a raw picture, (H, W, 3) uint8, lies on the input.

        Raises FixtureMismatch when its size does not fit the golden ones, or its part cannot be located; ValueError for
        numbers of another kind, which would not be colours (NaN would become black without a word).
        """
        _require_picture(picture)
        size = (picture.shape[1], picture.shape[0])
        window = self._window(size)
        if self.pose is not None:
            return self.pose.placement(picture, (self.width, self.height))
        return self._still(window, size)

    def lay(self, picture: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
        """The network's input for a raw picture whose placement is known: (height, width, 3) uint8, antialiased."""
        laid = np.asarray(placement.lay(picture), dtype=np.uint8)
        return even_light(laid) if self.flat else laid

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The network's input for a raw picture, (H, W, 3) uint8 to (height, width, 3). Raises FixtureMismatch."""
        return self.lay(picture, self.place(picture))

    def still(self, picture_size: Size) -> Placement:
        """The placement of every picture of this width and height, where nothing is located. Raises FixtureMismatch."""
        if self.pose is not None:
            raise FixtureMismatch(f"fixture {self.kind} finds another place in each picture")
        return self._still(self._window(picture_size), picture_size)

    def _still(self, window: Box, picture: Size) -> Placement:
        return Placement.of_window(window, picture, (self.width, self.height), stretched=self.kind == "stretch")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model file."""
        values: dict[str, Any] = {
            "kind": self.kind,
            "roi": list(self.roi) if self.roi else None,
            "height": self.height,
            "width": self.width,
            "picture": list(self.picture) if self.picture else None,
        }
        if self.pose is not None:
            values["pose"] = self.pose.to_dict()
        return values | ({"flat": True} if self.flat else {})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Back from to_dict; raises KeyError, TypeError or ValueError when something is missing or impossible."""
        roi, picture, pose = values["roi"], values.get("picture"), values.get("pose")
        left, top, wide, high = map(_whole, roi or (0, 0, 0, 0))
        across, down = map(_whole, picture or (0, 0))
        return cls(
            values["kind"],
            (left, top, wide, high) if roi else None,
            _whole(values["height"]),
            _whole(values["width"]),
            (across, down) if picture else None,
            Pose.from_dict(pose) if pose else None,
            bool(values.get("flat", False)),
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
        if self.pose and self.picture and size != self.picture:
            raise FixtureMismatch(
                f"picture is {size[0]}x{size[1]} px, the golden ones were {self.picture[0]}x{self.picture[1]}: "
                "the part would be larger or smaller; check the camera's resolution or teach the product again"
            )
        if self.picture and ratio(size, self.picture) > SAME_ASPECT:
            raise FixtureMismatch(
                f"picture is {size[0]}x{size[1]} px, the golden ones were {self.picture[0]}x{self.picture[1]}: "
                "another aspect ratio; check the camera's resolution and cropping or teach the product again"
            )
        return 0, 0, size[0], size[1]


def _whole(value: object) -> int:
    return int(number(value))


def _require_picture(picture: NDArray[np.uint8]) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(
            f"a picture is uint8 of shape (H, W, 3), RGB, not {picture.dtype} {picture.shape}; read files with "
            "read_picture, or bring the numbers to 0 to 255 and three channels first"
        )


def _require_inside(roi: Box, size: Size) -> None:
    x, y, width, height = roi
    if x + width > size[0] or y + height > size[1]:
        raise FixtureMismatch(
            f"ROI {width}x{height} at ({x}, {y}) reaches outside the picture of {size[0]}x{size[1]} px; "
            "move or shrink it"
        )


def input_shape(aspect: float, budget: int) -> tuple[int, int]:
    """Height and width, multiples of 32, nearest to the aspect ratio and to budget² pixels."""
    wanted = float(budget * budget)
    longest = max(2 * SHORTEST, int(wanted // SHORTEST) + STEP)
    sides = range(SHORTEST, longest + 1, STEP)
    shapes = ((height, width) for height in sides for width in sides)
    return min(
        shapes,
        key=lambda s: 2 * abs(math.log(s[1] / s[0] / aspect)) + abs(math.log(s[0] * s[1] / wanted)),
    )
