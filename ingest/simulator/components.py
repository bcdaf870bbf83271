"""The electronic components of the simulated board, each drawn once as a small picture with cover and shadow."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from ingest.simulator.drawing import Sheet
from ingest.simulator.parts import Floats
from ingest.simulator.texture import blend, blur, clouds, ramp, slope_light

LIGHT = (-0.77, -0.64)
_FINE = 4
_PAD = 14
EPOXY, TIN, LASER = (39.0, 40.0, 43.0), (188.0, 190.0, 190.0), (146.0, 146.0, 140.0)


@dataclass(frozen=True)
class Sprite:
    """A component seen from above.

    Both (h, w, 4) float32 with an idle fourth channel, which OpenCV warps faster than three. paint: RGB 0..255 times
    cover. keep: what is left of the ground, 0 under the component and less than 1 in its shadow.
    """

    paint: Floats
    keep: Floats

    def turned(self, quarters: int) -> "Sprite":
        """Turned by quarter turns; the shading stays right because the lamp is nearly diffuse at this size."""
        return Sprite(
            np.ascontiguousarray(np.rot90(self.paint, quarters)), np.ascontiguousarray(np.rot90(self.keep, quarters))
        )

    def paste(self, canvas: Floats, x: float, y: float, turn: float, gain: float) -> None:
        """Solder it to a canvas (H, W, 4) at (x, y), turned by some degrees, its brightness changed by `gain`."""
        height, width = self.keep.shape[:2]
        left, top = math.floor(x - width / 2), math.floor(y - height / 2)
        matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), turn, 1.0)
        matrix[:, 2] += np.array([x - width / 2 - left, y - height / 2 - top])
        area, size = canvas[top : top + height, left : left + width], (width, height)
        keep = cv2.warpAffine(self.keep, matrix, size, borderMode=cv2.BORDER_REPLICATE)
        paint = cv2.warpAffine(self.paint, matrix, size, borderMode=cv2.BORDER_REPLICATE)
        cv2.multiply(area, keep, area)
        cv2.scaleAdd(paint, gain, area, area)


class Bench:
    """Where one component is drawn: a fine colour sheet on which parts are laid one by one."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = math.ceil(width) + 2 * _PAD, math.ceil(height) + 2 * _PAD
        self.x, self.y = self.width / 2, self.height / 2
        shape = (self.height * _FINE, self.width * _FINE)
        self.colour: Floats = np.zeros((*shape, 3), np.float32)
        self.cover: Floats = np.zeros(shape, np.float32)

    def sheet(self) -> Sheet:
        """An empty sheet of this size."""
        return Sheet(self.width, self.height, _FINE)

    def lay(self, cover: Floats, look: Floats | tuple[float, float, float]) -> None:
        """Lay a shape of one colour, or of a picture, on what is there."""
        tone = np.broadcast_to(np.asarray(look, np.float32), self.colour.shape)
        blend(self.colour, tone.astype(np.float32), cover)
        np.maximum(self.cover, cover, out=self.cover)

    def print(self, cover: Floats, tone: tuple[float, float, float], strength: float = 1.0) -> None:
        """Print on the component; its outline stays."""
        blend(self.colour, np.asarray(tone, np.float32) + np.zeros_like(self.colour), cover * np.float32(strength))

    def done(self, height: float) -> Sprite:
        """The finished component; height: how far it stands up, px, for its shadow."""
        size = (self.width, self.height)
        cover = np.asarray(cv2.resize(self.cover, size, interpolation=cv2.INTER_AREA), np.float32)
        wet = np.where(self.cover[..., None] > 0, self.colour, 0)
        filled = cv2.resize(wet, size, interpolation=cv2.INTER_AREA) / np.maximum(cover, 0.02)[..., None]
        move = np.array([[1, 0, height * 0.8], [0, 1, height * 0.66]], np.float32)
        cast = blur(np.asarray(cv2.warpAffine(cover, move, size), np.float32), 0.8 + height * 0.35)
        touch = blur(cover, 1.6)
        light = (1.0 - 0.52 * cast) * (1.0 - 0.35 * touch)
        colour = blur(np.clip(filled, 0, 255).astype(np.float32), 0.45)
        soft = blur(cover, 0.45)
        keep = np.asarray(light * (1.0 - soft), np.float32)
        paint = np.dstack([colour * soft[..., None], np.zeros_like(soft)])
        return Sprite(np.asarray(paint, np.float32), np.asarray(cv2.merge([keep] * 4), np.float32))


def metal(cover: Floats, *, bulge: float, tone: float = 150.0, punch: float = 150.0) -> Floats:
    """The look of a bright bulging metal part: grey with lit flanks and a mirror-like gleam; (h, w, 3)."""
    height = blur(cover, bulge)
    lean = slope_light(height, LIGHT) * bulge * 2.2
    gleam = np.exp(-(((lean - 0.32) / 0.16) ** 2)) + 0.5 * ramp(height, 0.86, 0.99)
    value = tone * (0.62 + 0.75 * lean) + punch * 0.55 * gleam
    return np.asarray(np.clip(value, 8, 255)[..., None] * np.array([1.0, 1.0, 0.985], np.float32), np.float32)


def _moulded(bench: Bench, rng: Generator, width: float, height: float, tone: tuple[float, float, float]) -> None:
    """A moulded plastic body with chamfered edges and a fine grain."""
    sheet = bench.sheet()
    sheet.rounded(bench.x, bench.y, width, height, 1.2)
    body = sheet.cover
    relief = slope_light(blur(body, 1.5 * _FINE), LIGHT) * 3.2 * _FINE
    grain = clouds(rng, *body.shape, cell=3.0 * _FINE, octaves=3)
    sheen = clouds(rng, *body.shape, cell=60.0 * _FINE, octaves=1)
    factor = 1.0 + 0.9 * relief + 0.055 * grain + 0.03 * sheen
    bench.lay(body, np.asarray(np.asarray(tone, np.float32) * factor[..., None], np.float32))


Leg = tuple[float, float, int, int]  # where it leaves the body, and the direction in which it points


def _legs(bench: Bench, legs: list[Leg], *, length: float, width: float) -> None:
    """Gull-wing legs: shoulder, bend and soldered foot of each, pointing away from the body."""

    def rects(near: float, far: float, wide: float) -> Floats:
        sheet = bench.sheet()
        middle, span, across = length * (near + far) / 2, length * (far - near), width * wide
        for x, y, fx, fy in legs:
            size = (span, across) if fx else (across, span)
            sheet.rect(x + fx * middle, y + fy * middle, *size)
        return sheet.cover

    wet, foot, shoulder = rects(0.45, 1.28, 1.55), rects(0.0, 1.0, 1.0), rects(0.0, 0.42, 1.05)
    bench.lay(wet, metal(wet, bulge=1.0 * _FINE, tone=150, punch=165))
    bench.lay(foot, metal(foot, bulge=0.6 * _FINE, tone=172, punch=110))
    bench.lay(shoulder, metal(shoulder, bulge=0.7 * _FINE, tone=205, punch=150))
    bench.print(rects(0.43, 0.53, 1.0), (70, 70, 70), 0.7)


def package(rng: Generator, size: tuple[float, float], legs: tuple[int, int], text: tuple[str, ...]) -> Sprite:
    """An integrated circuit; legs: how many on the upper and lower, and on the left and right edge."""
    width, height = size
    bench = Bench(width + 26, height + 26)
    pitch, legs_at = 6.4, []
    for at in range(legs[0]):
        x = bench.x + (at - (legs[0] - 1) / 2) * pitch
        legs_at += [(x, bench.y + side * (height / 2 - 1), 0, side) for side in (-1, 1)]
    for at in range(legs[1]):
        y = bench.y + (at - (legs[1] - 1) / 2) * pitch
        legs_at += [(bench.x + side * (width / 2 - 1), y, side, 0) for side in (-1, 1)]
    _legs(bench, legs_at, length=9.5, width=2.7)
    _moulded(bench, rng, width, height, EPOXY)
    dimple = bench.sheet()
    dimple.disc(bench.x - width / 2 + 8, bench.y + height / 2 - 8, 2.7)
    bench.print(dimple.cover, (26, 26, 28), 0.9)
    _burn(bench, text, 9.5 if height > 60 else 7.0)
    return bench.done(3.2)


def _burn(bench: Bench, text: tuple[str, ...], size: float) -> None:
    """Laser marking: pale, slightly uneven strokes."""
    for row, words in enumerate(text):
        sheet = bench.sheet()
        sheet.text(words, bench.x, bench.y + (row - (len(text) - 1) / 2) * size * 1.75, size, weight=0.10)
        bench.print(sheet.cover, LASER, 0.82)


def chip(rng: Generator, *, length: float, width: float, tone: tuple[float, float, float], text: str = "") -> Sprite:
    """A chip resistor or capacitor with its two soldered ends."""
    bench = Bench(length + 12, width + 6)
    for side in (-1, 1):
        solder = bench.sheet()
        solder.rounded(bench.x + side * (length / 2 + 0.5), bench.y, 9.0, width + 1.6, 2.2)
        bench.lay(solder.cover, metal(solder.cover, bulge=1.7 * _FINE, tone=150, punch=170))
    _moulded(bench, rng, length, width, tone)
    for side in (-1, 1):
        end = bench.sheet()
        end.rounded(bench.x + side * (length / 2 - 2.2), bench.y, 4.8, width, 0.8)
        bench.lay(end.cover, metal(end.cover, bulge=0.9 * _FINE, tone=182, punch=90))
    if text:
        sheet = bench.sheet()
        sheet.text(text, bench.x, bench.y, width * 0.5, weight=0.11)
        bench.print(sheet.cover, (226, 226, 222), 0.9)
    return bench.done(1.6)


def can(rng: Generator, radius: float, text: str) -> Sprite:
    """An electrolytic capacitor: square base, aluminium can with a printed half."""
    bench = Bench(2 * radius + 10, 2 * radius + 10)
    base = bench.sheet()
    side = radius + 3.0
    base.area([
        (bench.x - side, bench.y - side + 6), (bench.x - side + 6, bench.y - side), (bench.x + side, bench.y - side),
        (bench.x + side, bench.y + side), (bench.x - side + 6, bench.y + side), (bench.x - side, bench.y + side - 6),
    ])  # fmt: skip
    bench.lay(base.cover, (30, 30, 32))
    top = bench.sheet()
    top.disc(bench.x, bench.y, radius)
    rim = metal(top.cover, bulge=2.0 * _FINE, tone=160, punch=80)
    y, x = np.mgrid[0 : bench.height * _FINE, 0 : bench.width * _FINE].astype(np.float32) / _FINE
    angle = np.arctan2(y - bench.y, x - bench.x)
    brushed = 186 + 30 * np.cos(2 * (angle - 0.7)) + 5 * clouds(rng, *top.cells.shape, cell=5.0 * _FINE)
    bench.lay(top.cover, rim)
    inner = bench.sheet()
    inner.disc(bench.x, bench.y, radius - 2.6)
    bench.lay(inner.cover, np.asarray(brushed[..., None] * np.array([1, 1, 1.0], np.float32), np.float32))
    half = inner.cover * (x < bench.x - radius * 0.35)
    bench.print(half, (26, 26, 30), 0.95)
    words = bench.sheet()
    words.text(text, bench.x + radius * 0.22, bench.y - 4, 7.0, weight=0.11)
    words.text("16V", bench.x + radius * 0.22, bench.y + 7, 6.0, weight=0.11)
    bench.print(words.cover, (30, 30, 34), 0.9)
    return bench.done(8.0)


def crystal(rng: Generator) -> Sprite:
    """A quartz in its pressed metal can."""
    bench = Bench(66, 28)
    base, top, print_ = bench.sheet(), bench.sheet(), bench.sheet()
    base.rounded(bench.x, bench.y, 66, 27, 13.4)
    top.rounded(bench.x, bench.y, 60, 21, 10.4)
    bench.lay(base.cover, metal(base.cover, bulge=1.2 * _FINE, tone=150, punch=90))
    relief = metal(top.cover, bulge=2.4 * _FINE, tone=176, punch=95)
    streaks = blur(clouds(rng, *top.cells.shape, cell=6.0), 18.0, 0.8)
    bench.lay(top.cover, np.asarray(relief + 9.0 * streaks[..., None], np.float32))
    print_.text("16.000", bench.x, bench.y, 8.0, weight=0.11)
    bench.print(print_.cover, (58, 58, 60), 0.85)
    return bench.done(4.5)


def inductor(rng: Generator) -> Sprite:
    """A shielded power inductor with its wound core."""
    bench = Bench(56, 52)
    for side in (-1, 1):
        end = bench.sheet()
        end.rounded(bench.x + side * 25, bench.y, 8, 22, 1.6)
        bench.lay(end.cover, metal(end.cover, bulge=1.4 * _FINE, tone=160, punch=150))
    _moulded(bench, rng, 48, 48, (62, 61, 60))
    drum, core = bench.sheet(), bench.sheet()
    drum.disc(bench.x, bench.y, 19.5)
    core.disc(bench.x, bench.y, 15.5)
    bench.print(drum.cover, (30, 28, 27), 0.9)
    relief = slope_light(blur(core.cover, 1.4 * _FINE), LIGHT) * 3.0 * _FINE
    look = (
        np.asarray((66, 65, 63), np.float32)
        * (1.0 + 0.8 * relief + 0.06 * clouds(rng, *core.cells.shape, cell=8.0))[..., None]
    )
    bench.lay(core.cover, np.asarray(look, np.float32))
    words = bench.sheet()
    words.text("4R7", bench.x, bench.y, 9.5, weight=0.12)
    bench.print(words.cover, (206, 206, 200), 0.85)
    return bench.done(6.0)


def header(rng: Generator, columns: int) -> Sprite:
    """A box header: black shroud and two rows of gold pins."""
    pitch = 11.0
    width, height = columns * pitch + 22, 40.0
    bench = Bench(width, height)
    _moulded(bench, rng, width, height, (44, 45, 48))
    well = bench.sheet()
    well.rounded(bench.x, bench.y, width - 9, height - 9, 1.0)
    bench.print(well.cover, (17, 17, 19), 0.95)
    notch = bench.sheet()
    notch.rect(bench.x, bench.y + height / 2 - 2.5, 20, 5.2)
    bench.print(notch.cover, (20, 20, 22), 0.95)
    pins = bench.sheet()
    for column in range(columns):
        for row in (-1, 1):
            pins.rect(bench.x + (column - (columns - 1) / 2) * pitch, bench.y + row * pitch / 2, 4.0, 4.0)
    gold = metal(pins.cover, bulge=0.9 * _FINE, tone=170, punch=120) * np.array([1.0, 0.83, 0.46], np.float32)
    bench.lay(pins.cover, np.asarray(gold, np.float32))
    return bench.done(7.0)


def socket(rng: Generator) -> Sprite:
    """A USB socket at the board's edge, of folded tin plate."""
    bench = Bench(62, 70)
    tabs = bench.sheet()
    for side in (-1, 1):
        tabs.rounded(bench.x - 12, bench.y + side * 31, 14, 9, 2.0)
        tabs.rounded(bench.x + 20, bench.y + side * 31, 12, 9, 2.0)
    bench.lay(tabs.cover, metal(tabs.cover, bulge=1.6 * _FINE, tone=160, punch=160))
    shell = bench.sheet()
    shell.rounded(bench.x, bench.y, 60, 58, 3.0)
    brushed = blur(clouds(rng, *shell.cells.shape, cell=4.0), 1.0, 26.0)
    look = metal(shell.cover, bulge=2.2 * _FINE, tone=172, punch=70) + 10.0 * brushed[..., None]
    bench.lay(shell.cover, np.asarray(look, np.float32))
    cuts = bench.sheet()
    for side in (-1, 1):
        cuts.rect(bench.x + 6, bench.y + side * 14, 22, 1.6)
        cuts.rect(bench.x - 5, bench.y + side * 11, 1.6, 6)
        cuts.rect(bench.x + 17, bench.y + side * 11, 1.6, 6)
    bench.print(cuts.cover, (40, 40, 42), 0.9)
    return bench.done(6.0)


def lamp(rng: Generator, tone: tuple[float, float, float]) -> Sprite:
    """A light-emitting diode: pale body with a clear lens."""
    bench = Bench(28, 16)
    for side in (-1, 1):
        end = bench.sheet()
        end.rounded(bench.x + side * 11, bench.y, 8, 13, 1.6)
        bench.lay(end.cover, metal(end.cover, bulge=1.5 * _FINE, tone=160, punch=160))
    _moulded(bench, rng, 19, 13, (214, 212, 200))
    lens = bench.sheet()
    lens.disc(bench.x, bench.y, 5.2)
    bench.lay(
        lens.cover,
        np.asarray(
            metal(lens.cover, bulge=1.5 * _FINE, tone=150, punch=150) * np.asarray(tone, np.float32), np.float32
        ),
    )
    return bench.done(2.0)
