"""Product `ring`: a turned steel ring with chamfers, bolt holes and an engraved mark, on a conveyor belt."""

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.random import Generator

from ingest.simulator import marks
from ingest.simulator.flaws import Flaw, contaminate, dent, scratch
from ingest.simulator.parts import HEIGHT, MARGIN, WIDTH, Box, DefectKind, Floats, Surface
from ingest.simulator.texture import blend, blur, clouds, display, ramp, resize, unit, white

CANVAS_W, CANVAS_H = WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN
CENTRE = (CANVAS_W / 2, CANVAS_H / 2)
OUTER, BORE = 208.0, 92.0
HOLES, HOLE_CIRCLE, HOLE_RADIUS = 6, 176.0, 11.5
MARK_TEXT, MARK_RADIUS, MARK_ANGLE, MARK_SIZE = "FLW 6204-C3  26/11", 130.0, math.radians(94.0), 21.0
VARIANTS = 4
OVERSAMPLING = 2
STEEL = np.array([0.985, 0.995, 1.0], np.float32)
# radius (px) -> slope of the turned profile there; steps between them are the edges that catch the light
PROFILE = (
    (0.0, 0.0), (BORE, 3.0), (97.0, 3.0), (97.5, 0.95), (105.0, 0.95), (105.5, 0.0), (111.0, 0.0), (111.2, 0.45),
    (112.6, 0.45), (112.8, 0.0), (149.5, 0.0), (149.8, -1.4), (151.6, -1.4), (151.9, 0.0), (154.0, 0.0),
    (154.3, 1.4), (156.1, 1.4), (156.4, 0.0), (198.0, 0.0), (198.6, -0.9), (206.6, -0.9), (207.2, -2.6), (OUTER, -2.6),
)  # fmt: skip
# lamps: position relative to the ring's centre (px, z towards the camera), strength of highlight
LAMPS = (((-620.0, -520.0, 760.0), 0.95), ((700.0, -150.0, 820.0), 0.42), ((-90.0, 760.0, 900.0), 0.30))
EYE_DISTANCE = 1500.0
ROUGH_ALONG, ROUGH_ACROSS = 0.105, 0.36


class Ring:
    """Builds its layers once; each part then mixes them anew."""

    name = "ring"
    kinds = tuple(DefectKind)
    textured = False

    def __init__(self, rng: Generator) -> None:
        x, y = np.meshgrid(np.arange(CANVAS_W * OVERSAMPLING), np.arange(CANVAS_H * OVERSAMPLING))
        scale = 1.0 / OVERSAMPLING
        self._x = (x.astype(np.float32) + 0.5) * scale - CENTRE[0]
        self._y = (y.astype(np.float32) + 0.5) * scale - CENTRE[1]
        radius = np.hypot(self._x, self._y)
        self._faces = [self._turned_face(rng, radius) for _ in range(VARIANTS)]
        edge = ramp(radius, OUTER + 0.6, OUTER - 0.6) * ramp(radius, BORE - 0.6, BORE + 0.6)
        self.alpha = blur(resize(edge, CANVAS_W, CANVAS_H), 0.55)
        self.inside = cv2.erode((self.alpha > 0.98).astype(np.uint8), np.ones((17, 17), np.uint8)) > 0
        self._hole, self._hole_alpha = _hole_sprite(rng)
        self._tones = [clouds(rng, CANVAS_H, CANVAS_W, cell=150.0, octaves=2) for _ in range(3)]
        self._mark = marks.arc_text(MARK_TEXT, CENTRE, MARK_RADIUS, MARK_ANGLE, MARK_SIZE)
        self._grain = clouds(rng, CANVAS_H, CANVAS_W, cell=3.0, octaves=2)
        del self._x, self._y
        self.shadow = _shadow(self.alpha)

    def _turned_face(self, rng: Generator, radius: Floats) -> Floats:
        """One turning of the face: display values, (520, 680) float32."""
        angle = np.arctan2(self._y, self._x)
        slope = _profile(radius) + self._tool_marks(rng, radius, angle)
        out_x, out_y = np.cos(angle), np.sin(angle)
        norm = 1.0 / np.sqrt(1.0 + slope * slope)
        light = 0.045 + 0.055 * norm
        for (px, py, pz), strength in LAMPS:
            lx, ly = px - self._x, py - self._y
            far = 1.0 / np.sqrt(lx * lx + ly * ly + pz * pz)
            ex, ey = -self._x / EYE_DISTANCE, -self._y / EYE_DISTANCE
            hx, hy, hz = lx * far + ex, ly * far + ey, pz * far + 1.0
            size = 1.0 / np.sqrt(hx * hx + hy * hy + hz * hz)
            along = (hy * out_x - hx * out_y) * size
            outward = (hx * out_x + hy * out_y) * size
            across = (outward + slope * hz * size) * norm
            facing = np.maximum((hz * size - slope * outward) * norm, 0.05)
            # Ward's anisotropic lobe: narrow along the grooves, wide across them, hence the bow-tie of turned metal
            lobe = np.exp(-((along / ROUGH_ALONG) ** 2 + (across / ROUGH_ACROSS) ** 2) / facing**2)
            soft = np.exp(-((along / 0.34) ** 2 + (across / 0.62) ** 2) / facing**2)
            lean = np.maximum((lx * out_x + ly * out_y) * far * -slope + pz * far, 0.0) * norm
            edge = np.maximum(-slope * (lx * out_x + ly * out_y) * far - 0.12, 0.0) * norm
            light = light + strength * (0.80 * lobe + 0.17 * soft + 0.055 * lean + 0.95 * edge)
        depth = ramp(radius, BORE, 98.0)  # the bore's wall falls away from the light
        light = light * (0.22 + 0.78 * depth)
        groove = 1.0 - 0.55 * ramp(radius, 151.0, 152.2) * ramp(radius, 155.0, 153.8)
        return blur(resize(display(light * groove), CANVAS_W, CANVAS_H), 0.55)

    def _tool_marks(self, rng: Generator, radius: Floats, angle: Floats) -> Floats:
        """Slope errors that the turning tool left: feed lines, single deeper lines, and fading streaks."""
        step = 0.25
        count = int(340 / step)
        feed = np.sin(2 * np.pi * np.arange(count) * step / 2.7 + rng.uniform(0, 6.3) + 1.2 * _line(rng, count, 60.0))
        lines = 0.075 * feed + 0.10 * _line(rng, count, 2.2) + 0.06 * _line(rng, count, 5.0)
        lines = lines + 0.22 * (_line(rng, count, 1.2) > 2.55)
        marks_1d = np.interp(radius, np.arange(count) * step, lines).astype(np.float32)
        polar = white(rng, 256, 720)
        wrapped = np.hstack([polar, polar, polar]).astype(np.float32)
        streaks = unit(blur(wrapped, 26.0, 0.7)[:, 720:1440])
        where_x = ((angle + math.pi) / (2 * math.pi) * 719.0).astype(np.float32)
        found = cv2.remap(
            streaks, where_x, (radius * 1.2).astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
        return np.asarray(marks_1d + 0.05 * found, np.float32)

    def part(self, rng: Generator) -> Surface:
        """The next part without defect."""
        return self.assemble(rng, frozenset(), self._mark)

    def assemble(self, rng: Generator, without: frozenset[int], mark: marks.Ink | None) -> Surface:
        """A part from the stock of layers; equal rng, equal part. `without` names holes that were not drilled."""
        first, second = rng.choice(VARIANTS, 2, replace=False)
        share = float(rng.uniform(0.0, 0.5))
        face = cv2.addWeighted(self._faces[first], 1.0 - share, self._faces[second], share, 0.0)
        tone = self._tones[int(rng.integers(3))]
        face *= np.float32(rng.uniform(0.97, 1.03))
        face += tone * np.float32(rng.uniform(-2.2, 2.2)) + self._grain * np.float32(1.1)
        if mark is not None:
            mark.engrave(face, strength=float(rng.uniform(0.9, 1.05)))
        turns = rng.normal(0.0, 0.35, (HOLES, 2))
        for hole in range(HOLES):
            if hole not in without:
                x, y = hole_at(hole)
                self._drill(face, x + float(turns[hole, 0]), y + float(turns[hole, 1]))
        colour = cv2.merge([face * STEEL[0], face * STEEL[1], face * STEEL[2]])
        return Surface(np.asarray(colour, np.float32), self.alpha)

    def marred(self, rng: Generator, flaw: Flaw) -> Surface:
        """The part that `part` would give for an equal rng, with a flaw."""
        if flaw.kind is DefectKind.MISSING_FEATURE and flaw.severity > 0.45 and flaw.rng.random() < 0.6:
            missing = flaw.rng.choice(HOLES, 1 if flaw.severity < 0.8 else 2, replace=False)
            return self.assemble(rng, frozenset(int(hole) for hole in missing), self._mark)
        if flaw.kind is DefectKind.MISSING_FEATURE:
            return self.assemble(rng, frozenset(), self._incomplete_mark(flaw))
        if flaw.kind is DefectKind.MISPRINT:
            return self.assemble(rng, frozenset(), self._wrong_mark(flaw))
        surface = self.part(rng)
        apply = {DefectKind.SCRATCH: scratch, DefectKind.DENT: dent, DefectKind.CONTAMINATION: contaminate}
        # turning marks hide more than a plain ground does
        apply[flaw.kind](surface.colour, self.inside, replace(flaw, strength=1.5 * flaw.strength))
        np.clip(surface.colour, 0.0, 255.0, out=surface.colour)
        return surface

    def _incomplete_mark(self, flaw: Flaw) -> marks.Ink | None:
        """The mark with characters missing: two of them, or all."""
        if flaw.severity > 0.75:
            return None
        cover = self._mark.cover.copy()
        width = cover.shape[1]
        gap = int(width * flaw.between(0.10, 0.5))
        start = int(flaw.rng.integers(int(0.08 * width), int(0.92 * width) - gap))
        cover[:, start : start + gap] = 0.0
        return marks.Ink(self._mark.box, cover)

    def _wrong_mark(self, flaw: Flaw) -> marks.Ink:
        """The mark struck twice, out of place, or smeared."""
        way = flaw.rng.random()
        if way < 0.4:  # struck twice
            side = 1 if flaw.rng.random() < 0.5 else -1
            turn = side * flaw.between(3.0, 9.0) / MARK_RADIUS
            again = marks.arc_text(MARK_TEXT, CENTRE, MARK_RADIUS + side * 2, MARK_ANGLE + turn, MARK_SIZE)
            return marks.together(self._mark, again)
        if way < 0.75:  # out of place
            side = 1 if flaw.rng.random() < 0.5 else -1
            turn = side * flaw.between(9.0, 70.0) / MARK_RADIUS
            return marks.arc_text(MARK_TEXT, CENTRE, MARK_RADIUS + flaw.rng.normal(0, 2), MARK_ANGLE + turn, MARK_SIZE)
        return marks.smeared(self._mark, flaw.between(1.2, 3.0))

    def _drill(self, face: Floats, x: float, y: float) -> None:
        """Put one hole's picture at a place given to a fraction of a pixel."""
        side = self._hole.shape[0]
        left, top = math.floor(x - side / 2), math.floor(y - side / 2)
        shift = np.array([[1, 0, x - side / 2 - left], [0, 1, y - side / 2 - top]], np.float32)
        look = cv2.warpAffine(self._hole, shift, (side, side), borderMode=cv2.BORDER_REPLICATE)
        cover = cv2.warpAffine(self._hole_alpha, shift, (side, side))
        blend(face[top : top + side, left : left + side], np.asarray(look, np.float32), np.asarray(cover, np.float32))


def hole_at(hole: int) -> tuple[float, float]:
    """Centre of one of the bolt holes on the canvas, px."""
    angle = 2 * math.pi * (hole + 0.5) / HOLES
    return CENTRE[0] + HOLE_CIRCLE * math.cos(angle), CENTRE[1] + HOLE_CIRCLE * math.sin(angle)


def hole_box(hole: int) -> Box:
    """Where that hole shows."""
    x, y = hole_at(hole)
    return Box.around(x, y, HOLE_RADIUS + 6)


def _line(rng: Generator, count: int, width: float) -> Floats:
    """Smooth noise along the radius, unit deviation; width in quarter pixels."""
    return np.asarray(unit(blur(white(rng, 1, count), width, 0.1))[0], np.float32)


def _profile(radius: Floats) -> Floats:
    """Slope of the turned profile at each radius, edges rounded by half a pixel."""
    fine = np.arange(0, 400, 0.1)
    slopes = np.interp(fine, [r for r, _ in PROFILE], [s for _, s in PROFILE], right=0.0).astype(np.float32)
    soft = blur(slopes[None, :], 5.0, 0.1)[0]
    return np.asarray(np.interp(radius, fine, soft), np.float32)


def _hole_sprite(rng: Generator) -> tuple[Floats, Floats]:
    """A countersunk hole: display values and cover, both square."""
    side, fine = 36, 4
    y, x = np.mgrid[0 : side * fine, 0 : side * fine].astype(np.float32)
    x, y = (x + 0.5) / fine - side / 2, (y + 0.5) / fine - side / 2
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    sink = 0.20 + 0.75 * np.maximum(np.cos(angle - math.radians(40)), 0) ** 3 + 0.22 * np.maximum(-np.cos(angle), 0)
    wall = 0.035 + 0.16 * ramp(x * 0.77 + y * 0.64, 1.0, 9.0) * ramp(radius, 3.0, 9.0)
    light = wall + (sink - wall) * ramp(radius, 8.6, 9.4)
    light = light + 0.5 * np.exp(-(((radius - HOLE_RADIUS) / 0.5) ** 2))
    cover = ramp(radius, HOLE_RADIUS + 0.9, HOLE_RADIUS - 0.1)
    noisy = light * (1.0 + 0.06 * clouds(rng, side * fine, side * fine, cell=10.0))
    return blur(resize(display(noisy), side, side), 0.5), blur(resize(cover, side, side), 0.5)


def _shadow(alpha: Floats) -> Floats:
    """How much light reaches the belt beside the part: 1 in the open, less in the part's soft shadow."""
    move = np.array([[1, 0, 15], [0, 1, 13]], np.float32)
    cast = blur(np.asarray(cv2.warpAffine(alpha, move, (CANVAS_W, CANVAS_H)), np.float32), 7.0)
    touch = blur(alpha, 4.0)
    return np.asarray((1.0 - 0.50 * cast) * (1.0 - 0.38 * touch), np.float32)
