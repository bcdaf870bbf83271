"""Text that is engraved, printed or burnt in with a laser, in the stroke fonts that such machines use."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from ingest.simulator.parts import Box, Floats
from ingest.simulator.texture import blur, resize, slope_light

FONT = cv2.FONT_HERSHEY_SIMPLEX
_FINE = 4


@dataclass(frozen=True)
class Ink:
    """Strokes in a box of the canvas; cover (h, w) float32 0..1."""

    box: Box
    cover: Floats

    def engrave(self, face: Floats, *, strength: float = 1.0) -> None:
        """Cut the strokes into a grey face (H, W): darker ground, one lit and one shaded flank."""
        area = face[self.box.slices]
        flank = slope_light(blur(self.cover, 0.6), (-0.77, -0.64))
        area *= 1.0 - 0.58 * strength * self.cover
        area += 95.0 * strength * flank

    def moved(self, x: int, y: int) -> "Ink":
        """The same strokes elsewhere."""
        box = self.box
        return Ink(Box(box.left + x, box.top + y, box.right + x, box.bottom + y), self.cover)


def together(first: Ink, second: Ink) -> Ink:
    """Both strokes at once."""
    a, b = first.box, second.box
    box = Box(min(a.left, b.left), min(a.top, b.top), max(a.right, b.right), max(a.bottom, b.bottom))
    cover = np.zeros((box.height, box.width), np.float32)
    for ink in (first, second):
        top, left = ink.box.top - box.top, ink.box.left - box.left
        area = cover[top : top + ink.box.height, left : left + ink.box.width]
        np.maximum(area, ink.cover, out=area)
    return Ink(box, cover)


def smeared(ink: Ink, reach: float) -> Ink:
    """The strokes run into one another over `reach` pixels, as of a worn tool."""
    return Ink(ink.box, np.asarray(np.clip(1.6 * blur(ink.cover, reach), 0.0, 1.0), np.float32))


def text_line(text: str, size: float, weight: float = 0.13) -> Floats:
    """One line of text as cover (h, w) float32 0..1; size: height of capitals in pixels."""
    scale = size * _FINE / 21.0
    pen = max(1, round(size * _FINE * weight))
    (width, height), base = cv2.getTextSize(text, FONT, scale, pen)
    pad = pen + _FINE * 2
    sheet = np.zeros((height + base + 2 * pad, width + 2 * pad), np.uint8)
    cv2.putText(sheet, text, (pad, pad + height), FONT, scale, 255, pen, cv2.LINE_AA)
    return resize(sheet.astype(np.float32) / 255.0, max(1, sheet.shape[1] // _FINE), max(1, sheet.shape[0] // _FINE))


def arc_text(text: str, centre: tuple[float, float], radius: float, angle: float, size: float) -> Ink:
    """Text along a circle, read from inside, its middle at `angle` (radians, clockwise from the x axis)."""
    strip = text_line(text, size, 0.14)
    high, wide = strip.shape
    half = wide / 2 / radius + 0.05
    angles = np.linspace(angle - half, angle + half, 40)
    rim = radius + high
    xs, ys = centre[0] + rim * np.cos(angles), centre[1] + rim * np.sin(angles)
    near = radius - high
    xs = np.append(xs, centre[0] + near * np.cos(angles))
    ys = np.append(ys, centre[1] + near * np.sin(angles))
    box = Box(math.floor(xs.min()), math.floor(ys.min()), math.ceil(xs.max()), math.ceil(ys.max()))
    y, x = np.mgrid[box.top : box.bottom, box.left : box.right].astype(np.float32)
    distance = np.hypot(x - centre[0], y - centre[1])
    bearing = np.arctan2(y - centre[1], x - centre[0])
    turned = np.angle(np.exp(1j * (bearing - angle))).astype(np.float32)
    column = wide / 2 - turned * radius
    row = high / 2 + (distance - radius)
    found = cv2.remap(strip, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR)
    return Ink(box, np.asarray(found, np.float32))
