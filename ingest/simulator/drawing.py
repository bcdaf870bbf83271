"""Antialiased drawing of flat shapes into cover sheets, in canvas pixels."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ingest.simulator.parts import Floats, Picture
from ingest.simulator.texture import resize

_SHIFT = 4  # OpenCV takes coordinates with this many binary places


class Sheet:
    """A cover sheet of (height, width) pixels, drawn `fine` times finer; full cover is 255."""

    def __init__(self, width: int, height: int, fine: int) -> None:
        self.fine = fine
        self.width, self.height = width, height
        self.cells: Picture = np.zeros((height * fine, width * fine), np.uint8)

    def line(self, points: Sequence[tuple[float, float]], width: float, level: int = 255) -> None:
        """An open line through the points."""
        cv2.polylines(
            self.cells,
            [self._fixed(points)],
            isClosed=False,
            color=level,
            thickness=self._pen(width),
            lineType=cv2.LINE_AA,
            shift=_SHIFT,
        )

    def area(self, points: Sequence[tuple[float, float]], level: int = 255) -> None:
        """A filled polygon."""
        cv2.fillPoly(self.cells, [self._fixed(points)], level, cv2.LINE_AA, _SHIFT)

    def rect(self, x: float, y: float, width: float, height: float, level: int = 255) -> None:
        """A filled rectangle around (x, y)."""
        a, b = width / 2, height / 2
        self.area([(x - a, y - b), (x + a, y - b), (x + a, y + b), (x - a, y + b)], level)

    def frame(self, x: float, y: float, width: float, height: float, pen: float) -> None:
        """A rectangle's outline around (x, y)."""
        a, b = width / 2, height / 2
        self.line([(x - a, y - b), (x + a, y - b), (x + a, y + b), (x - a, y + b), (x - a, y - b)], pen)

    def rounded(self, x: float, y: float, width: float, height: float, radius: float) -> None:
        """A filled rectangle with round corners."""
        self.rect(x, y, width - 2 * radius, height)
        self.rect(x, y, width, height - 2 * radius)
        for side_x in (-1, 1):
            for side_y in (-1, 1):
                self.disc(x + side_x * (width / 2 - radius), y + side_y * (height / 2 - radius), radius)

    def disc(self, x: float, y: float, radius: float, level: int = 255) -> None:
        """A filled circle."""
        at = self._fixed([(x, y)])[0]
        reach = round(radius * self.fine * 2**_SHIFT)
        cv2.circle(self.cells, (int(at[0]), int(at[1])), reach, level, -1, cv2.LINE_AA, _SHIFT)

    def circle(self, x: float, y: float, radius: float, pen: float) -> None:
        """A circle's outline."""
        at = self._fixed([(x, y)])[0]
        reach = round(radius * self.fine * 2**_SHIFT)
        cv2.circle(self.cells, (int(at[0]), int(at[1])), reach, 255, self._pen(pen), cv2.LINE_AA, _SHIFT)

    def text(self, words: str, x: float, y: float, size: float, *, weight: float = 0.12) -> None:
        """One line of stroke text whose capitals are `size` high, centred at (x, y)."""
        scale = size * self.fine / 21.0
        pen = max(1, round(size * self.fine * weight))
        (width, height), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, scale, pen)
        at = (round(x * self.fine - width / 2), round(y * self.fine + height / 2))
        cv2.putText(self.cells, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, pen, cv2.LINE_AA)

    @property
    def cover(self) -> Floats:
        """What was drawn, at the drawing's own fineness, 0..1."""
        return self.cells.astype(np.float32) / np.float32(255.0)

    def reduced(self, values: Floats) -> Floats:
        """A fine picture brought to canvas pixels."""
        return resize(values, self.width, self.height)

    def _pen(self, width: float) -> int:
        return max(1, round(width * self.fine))

    def _fixed(self, points: Sequence[tuple[float, float]]) -> NDArray[np.int32]:
        scaled = (np.asarray(points, np.float64) * self.fine - 0.5) * 2**_SHIFT
        return np.asarray(np.round(scaled), np.int32).reshape(-1, 2)
