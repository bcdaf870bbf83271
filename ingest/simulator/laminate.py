"""The bare printed circuit: copper under solder mask, pads, vias, holes and silkscreen."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.random import Generator

from ingest.simulator.components import metal
from ingest.simulator.drawing import Sheet
from ingest.simulator.parts import HEIGHT, MARGIN, WIDTH, Floats
from ingest.simulator.texture import blend, blur, clouds, grid, ramp, slope_light, unit, white

if TYPE_CHECKING:
    from ingest.simulator.board import Place

CANVAS_W, CANVAS_H = WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN
LEFT, TOP, RIGHT, BOTTOM = 50.0, 62.0, 632.0, 458.0
LIGHT = (-0.77, -0.64)
FINE = 3
BARE, COPPER = (17.0, 61.0, 46.0), (29.0, 95.0, 66.0)
SILK = (224.0, 228.0, 220.0)
Line = Sequence[tuple[float, float]]

# bundles of traces: middle line, number of traces, pitch (px)
BUNDLES: tuple[tuple[Line, int, float], ...] = (
    (((262, 196), (262, 176), (290, 148), (290, 120)), 12, 6.4),
    (((328, 232), (384, 232), (404, 212), (404, 172), (420, 160)), 5, 5.6),
    (((328, 286), (390, 286), (416, 312), (432, 312)), 6, 5.6),
    (((328, 262), (394, 262), (394, 262), (560, 262)), 3, 6.0),
    (((196, 250), (152, 250), (140, 262), (124, 262)), 4, 6.0),
    (((196, 300), (152, 344), (152, 372)), 4, 6.0),
    (((262, 328), (262, 372)), 3, 8.0),
    (((310, 328), (310, 344), (340, 374), (340, 430), (480, 430)), 3, 6.0),
    (((468, 206), (468, 228)), 10, 8.6),
    (((520, 178), (548, 178), (556, 170)), 4, 6.0),
    (((500, 312), (540, 312), (556, 304)), 4, 7.0),
    (((488, 334), (488, 392), (508, 412), (540, 412), (556, 400)), 4, 7.0),
    (((396, 112), (440, 112)), 4, 8.0),
    (((204, 108), (120, 108), (84, 144), (84, 200)), 5, 6.4),
    (((110, 384), (144, 384)), 1, 6.0), (((110, 412), (144, 412)), 1, 6.0),
    (((172, 384), (206, 384)), 1, 6.0), (((172, 412), (330, 412)), 2, 9.0),
)  # fmt: skip
# pads by kind of component: offsets and sizes (px)
TWO = {"cap": (13, 9, 15), "bulk": (18, 12, 22), "diode": (16, 10, 16), "green": (12, 9, 14), "red": (12, 9, 14),
       "inductor": (25, 12, 28), "crystal": (24, 12, 9), "can": (20, 16, 9)}  # fmt: skip


class Laminate:
    """Draws the bare board once. Attributes as a part's surface: colour, alpha, shadow, inside."""

    def __init__(self, rng: Generator, places: "Iterable[Place]") -> None:
        places = tuple(places)
        self._outline = self._board_outline()
        traces, pads, drilled, silk = (Sheet(CANVAS_W, CANVAS_H, FINE) for _ in range(4))
        for line, count, pitch in BUNDLES:
            for at in range(count):
                traces.line(_parallel(line, (at - (count - 1) / 2) * pitch), 2.0)
        for place in places:
            _draw_pads(pads, place)
        self._draw_silk(silk, places)
        self._scatter_vias(rng, (traces, silk), pads, drilled)
        for x, y in (
            (LEFT + 20, TOP + 20),
            (RIGHT - 20, TOP + 20),
            (LEFT + 20, BOTTOM - 20),
            (RIGHT - 20, BOTTOM - 20),
        ):
            pads.disc(x, y, 13.5)
            drilled.disc(x, y, 8.0)
        colour = self._compose(rng, traces, pads, drilled, silk)
        outline = self._outline
        self.alpha = blur(outline.reduced(outline.cover), 0.5)
        self.colour = blur(
            np.asarray(cv2.resize(colour, (CANVAS_W, CANVAS_H), interpolation=cv2.INTER_AREA), np.float32), 0.5
        )
        self.inside = cv2.erode((self.alpha > 0.98).astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
        self.shadow = self._shadow()

    @staticmethod
    def _board_outline() -> Sheet:
        sheet = Sheet(CANVAS_W, CANVAS_H, FINE)
        sheet.rounded((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2, RIGHT - LEFT, BOTTOM - TOP, 9.0)
        return sheet

    def _compose(self, rng: Generator, traces: Sheet, pads: Sheet, drilled: Sheet, silk: Sheet) -> Floats:
        """Lay the layers over one another, lit from the upper left; fine pixels (H, W, 3)."""
        pour = self._pour(traces, pads)
        copper = np.maximum(pour, traces.cover)
        x, y = grid(*copper.shape)
        cloth = np.sin(x * (2 * np.pi / 8.4)) * np.sin(y * (2 * np.pi / 8.4))
        mottle = clouds(rng, *copper.shape, cell=90.0, octaves=3)
        colour = np.asarray(BARE, np.float32) * (1.0 + 0.05 * cloth + 0.04 * mottle)[..., None]
        blend(colour, np.asarray(COPPER, np.float32) * (1.0 + 0.035 * mottle)[..., None], blur(copper, 1.0))
        relief = slope_light(blur(copper, 1.6), LIGHT)
        colour += (relief * 150.0)[..., None] * np.array([0.72, 1.0, 0.82], np.float32)
        orange_peel = blur(white(rng, *copper.shape), 3.0)
        colour += (unit(orange_peel) * 1.6)[..., None]
        opening = blur(pads.cover, 0.8)
        tin = (
            metal(pads.cover, bulge=2.2, tone=176, punch=70)
            + (7.0 * unit(blur(white(rng, *copper.shape), 2.0)))[..., None]
        )
        blend(colour, np.asarray(tin * np.array([1.0, 0.965, 0.86], np.float32), np.float32), opening)
        ink = silk.cover * (1.0 - pads.cover) * (0.90 + 0.08 * clouds(rng, *copper.shape, cell=12.0))
        blend(
            colour,
            np.asarray(SILK, np.float32) + np.zeros_like(colour),
            np.clip(blur(ink.astype(np.float32), 0.9), 0, 1),
        )
        hole = blur(drilled.cover, 0.8)
        depth = slope_light(blur(drilled.cover, 3.0), (0.77, 0.64)) * 240.0
        blend(colour, np.maximum(24.0 + depth, 9.0)[..., None] + np.zeros_like(colour), hole)
        return self._milled_edge(colour)

    def _milled_edge(self, colour: Floats) -> Floats:
        """The milled edge shows the pale laminate, brighter where it faces the lamp."""
        depth = np.asarray(cv2.distanceTransform(self._outline.cells, cv2.DIST_L2, 3), np.float32)
        rim = ramp(depth, 2.4 * FINE, 1.2 * FINE)
        facing = slope_light(blur(self._outline.cover, 2.0), LIGHT) * 6.0
        pale = np.array([140, 146, 96], np.float32) * (0.85 + 0.6 * facing)[..., None]
        blend(colour, np.asarray(pale, np.float32), rim * 0.85)
        return np.asarray(np.clip(colour, 0, 255), np.float32)

    def _pour(self, traces: Sheet, pads: Sheet) -> Floats:
        """The copper area that fills the board, kept clear of traces and pads."""
        clear = np.maximum(traces.cells, pads.cells)
        grown = cv2.dilate(clear, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13)))
        inner = cv2.erode(self._outline.cells, np.ones((31, 31), np.uint8))
        free = cv2.morphologyEx(cv2.subtract(inner, grown), cv2.MORPH_OPEN, np.ones((17, 17), np.uint8))
        return free.astype(np.float32) / np.float32(255.0)

    @staticmethod
    def _scatter_vias(rng: Generator, others: Sequence[Sheet], pads: Sheet, drilled: Sheet) -> None:
        """Vias in the free areas, a little apart from everything else."""
        taken = pads.cells.copy()
        for other in others:
            np.maximum(taken, other.cells, out=taken)
        taken = np.asarray(cv2.dilate(taken, np.ones((27, 27), np.uint8)), np.uint8)
        placed = 0
        for _ in range(600):
            x, y = rng.uniform(LEFT + 14, RIGHT - 14), rng.uniform(TOP + 14, BOTTOM - 14)
            if placed == 70 or taken[int(y * FINE), int(x * FINE)]:
                continue
            pads.disc(x, y, 3.6)
            drilled.disc(x, y, 1.7)
            cv2.circle(taken, (int(x * FINE), int(y * FINE)), 12 * FINE, 255, -1)
            placed += 1

    @staticmethod
    def _draw_silk(silk: Sheet, places: "Iterable[Place]") -> None:
        """Names, outlines, logo and a test field."""
        for place in places:
            if place.kind in ("mcu", "driver", "flash", "header", "inductor", "can", "crystal", "socket"):
                width, height, up = _OUTLINES[place.kind]
                silk.frame(place.x, place.y, width, height, 0.9)
                silk.text(place.name, place.x - width / 2 + 10, place.y - height / 2 - up, 7.5)
            else:
                x, y = place.label or ((0, 23) if place.quarters else (25, 0))
                silk.text(place.name, place.x + x, place.y + y, 6.2)
        silk.text("FLAWLINE", 128, 170, 11.0, weight=0.15)
        silk.text("LINE CTRL  REV C", 140, 440, 7.5)
        silk.rect(512, 444, 66, 15)
        silk.disc(222, 328, 2.2)

    def _shadow(self) -> Floats:
        """How much light reaches the belt beside the board."""
        move = np.array([[1, 0, 7], [0, 1, 6]], np.float32)
        cast = blur(np.asarray(cv2.warpAffine(self.alpha, move, (CANVAS_W, CANVAS_H)), np.float32), 4.0)
        return np.asarray((1.0 - 0.5 * cast) * (1.0 - 0.35 * blur(self.alpha, 2.5)), np.float32)


_OUTLINES = {
    "mcu": (144, 144, 8), "driver": (104, 70, 7), "flash": (66, 70, 7), "header": (180, 46, 7), "inductor": (66, 54, 7),
    "can": (60, 60, 7), "crystal": (72, 32, 7), "socket": (70, 78, 8),
}  # fmt: skip


def _parallel(line: Line, offset: float) -> Line:
    """The line moved sideways by `offset`, mitred at its bends."""
    points = np.asarray(line, np.float64)
    steps = np.diff(points, axis=0)
    lengths = np.maximum(np.hypot(steps[:, 0], steps[:, 1]), 1e-6)
    normals = np.stack([-steps[:, 1], steps[:, 0]], axis=1) / lengths[:, None]
    moved = []
    for at, point in enumerate(points):
        before, after = normals[max(at - 1, 0)], normals[min(at, len(normals) - 1)]
        mitre = before + after
        mitre = mitre / max(float(mitre @ mitre) / 2, 0.5)
        moved.append((float(point[0] + mitre[0] * offset), float(point[1] + mitre[1] * offset)))
    return moved


def _draw_pads(pads: Sheet, place: "Place") -> None:
    """The solder pads under a component."""
    rows = {"mcu": (16, 16, 112, 112), "driver": (14, 0, 98, 44), "flash": (8, 0, 60, 44)}.get(place.kind)
    if rows is not None:
        _draw_rows(pads, place, rows)
    elif place.kind.startswith("r") and place.kind != "red":
        _draw_pair(pads, place, (13, 9, 15))
    elif place.kind in TWO:
        _draw_pair(pads, place, TWO[place.kind])


def _draw_rows(pads: Sheet, place: "Place", rows: tuple[int, int, int, int]) -> None:
    across, down, width, height = rows
    for count, along_x in ((across, True), (down, False)):
        for at in range(count):
            offset = (at - (count - 1) / 2) * 6.4
            for side in (-1, 1):
                if along_x:
                    pads.rect(place.x + offset, place.y + side * (height / 2 + 6), 3.8, 13)
                else:
                    pads.rect(place.x + side * (width / 2 + 6), place.y + offset, 13, 3.8)


def _draw_pair(pads: Sheet, place: "Place", pair: tuple[int, int, int]) -> None:
    reach, long, wide = pair
    turn = math.radians(90 * place.quarters)
    for side in (-1, 1):
        x, y = place.x + side * reach * math.cos(turn), place.y + side * reach * math.sin(turn)
        size = (wide, long) if place.quarters % 2 else (long, wide)
        pads.rounded(x, y, *size, 1.5)
