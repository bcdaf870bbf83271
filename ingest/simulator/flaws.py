"""Damage that any surface can suffer: scratches, dents, stains, grit and fibres."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ingest.simulator.parts import Box, DefectKind, Floats, Mask
from ingest.simulator.texture import blend, blur, clouds, grid, ramp, resize, slope_light

LIGHT = (-0.77, -0.64)
DARK_GROUND, BRIGHT_GROUND = 105.0, 165.0  # mean display values
VISIBLE = 7.0
"""Display values by which a spot must differ, after a blur of one pixel, to be visible: some four times the noise."""
_FINE = 4
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Flaw:
    """What to do to a part.

    severity: above 0 up to 1. strength: factor on its contrast, raised where a flaw would else be invisible.
    rng: draws place and shape; equal generators, equal flaws.
    """

    kind: DefectKind
    severity: float
    strength: float
    rng: Generator

    def between(self, gentle: float, gross: float) -> float:
        """A size in pixels for this severity."""
        return gentle + (gross - gentle) * self.severity

    def contrast(self, gentle: float, gross: float) -> float:
        """A difference in display values for this severity."""
        return self.between(gentle, gross) * self.strength


def visible_change(clean: Floats, marred: Floats) -> Mask:
    """Where two pictures (H, W, 3) of one part differ visibly, closed and without crumbs; (H, W) bool."""
    strongest = np.max(np.abs(marred - clean), axis=2)
    seen = (blur(strongest, 1.0) > VISIBLE).astype(np.uint8)
    if not seen.any():
        return seen.astype(np.bool_)
    closed = cv2.morphologyEx(seen, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= 10
    large[0] = False
    return np.asarray(large[labels], np.bool_)


def spot_within(rng: Generator, where: Mask) -> tuple[float, float]:
    """A random place (x, y) where `where` is true."""
    rows, columns = np.nonzero(where)
    at = int(rng.integers(len(rows)))
    return float(columns[at]), float(rows[at])


def wander(rng: Generator, start: tuple[float, float], length: float, *, bend: float) -> Points:
    """A curved path of that length; bend: deviation of the turn in radians over its whole length. (N, 2)."""
    steps = max(6, int(length / 3))
    turn = rng.normal(0.0, bend) / steps + rng.normal(0.0, bend / 2 / math.sqrt(steps), steps)
    heading = rng.uniform(0, 2 * math.pi) + np.cumsum(turn)
    moves = np.stack([np.cos(heading), np.sin(heading)], axis=1) * (length / steps)
    path = np.cumsum(moves, axis=0)
    return np.asarray(path - path[steps // 2] + np.asarray(start), np.float64)


def path_within(rng: Generator, where: Mask, length: float, *, bend: float) -> Points:
    """Such a path that stays on the part, as far as twelve tries find one."""
    best, most = np.empty((0, 2)), -1.0
    for _ in range(12):
        path = wander(rng, spot_within(rng, where), length, bend=bend)
        columns = np.clip(path[:, 0].astype(int), 0, where.shape[1] - 1)
        rows = np.clip(path[:, 1].astype(int), 0, where.shape[0] - 1)
        share = float(where[rows, columns].mean())
        if share > most:
            best, most = path, share
        if share > 0.97:
            break
    return best


def stroke(path: Points, width: float, levels: Floats) -> tuple[Box, Floats]:
    """Draw a path whose darkness follows `levels` (one a point, 0..1); the box and its cover (h, w)."""
    reach = width + 4
    low, high = path.min(axis=0) - reach, path.max(axis=0) + reach
    middle, half = (low + high) / 2, (high - low) / 2
    box = Box.around(float(middle[0]), float(middle[1]), float(half[0]), float(half[1]))
    sheet = np.zeros((box.height * _FINE, box.width * _FINE), np.uint8)
    local = np.round((path - (box.left, box.top)) * _FINE).astype(np.int32)
    pen = max(1, round(width * _FINE))
    for start, end, level in zip(local[:-1], local[1:], levels, strict=False):
        cv2.line(sheet, start.tolist(), end.tolist(), int(255 * float(np.clip(level, 0, 1))), pen, cv2.LINE_AA)
    cover = resize(sheet.astype(np.float32) / 255.0, box.width, box.height)
    return box, blur(cover, 0.5)


def fading(rng: Generator, count: int) -> Floats:
    """Levels along a scratch: uneven pressure, thin ends."""
    ends = np.minimum(np.linspace(0, 5, count), np.linspace(5, 0, count)).clip(0.15, 1.0)
    return np.asarray(ends * (0.78 + 0.22 * clouds(rng, 2, count, cell=12.0)[0]), np.float32)


def scratch(colour: Floats, where: Mask, flaw: Flaw) -> None:
    """A scratch: a bright or dark line with one lit and one shaded flank."""
    rng = flaw.rng
    path = path_within(rng, where, flaw.between(38, 190) * float(rng.uniform(0.8, 1.2)), bend=0.5)
    box, cover = stroke(path, flaw.between(1.1, 2.9), fading(rng, len(path)))
    area = colour[box.slices]
    ground = float((area.mean(axis=2) * cover).sum() / max(float(cover.sum()), 1e-6))
    bright = ground < BRIGHT_GROUND and rng.random() < 0.75  # bare metal glints, but not on a ground that glints itself
    core = flaw.contrast(34, 84) * (1.0 if bright else -1.0)
    area += (core * cover + flaw.contrast(38, 105) * slope_light(-cover, LIGHT))[..., None]


def dent(colour: Floats, where: Mask, flaw: Flaw) -> None:
    """A dent: the surface dips, so that its texture is drawn in, one wall is lit and the other shaded."""
    rng = flaw.rng
    x, y = spot_within(rng, where)
    wide, narrow = flaw.between(8, 24), flaw.between(8, 24) * float(rng.uniform(0.55, 1.0))
    box = Box.around(x, y, wide * 2.6)
    columns, rows = grid(box.height, box.width)
    angle = rng.uniform(0, math.pi)
    u = (columns + box.left - x) * math.cos(angle) + (rows + box.top - y) * math.sin(angle)
    v = -(columns + box.left - x) * math.sin(angle) + (rows + box.top - y) * math.cos(angle)
    uneven = 1.0 + 0.12 * clouds(rng, box.height, box.width, cell=wide)
    depth = np.exp(-((((u / wide) ** 2 + (v / narrow) ** 2) * uneven) ** 1.5)).astype(np.float32)
    lean_x = np.asarray(cv2.Sobel(depth, cv2.CV_32F, 1, 0, ksize=3, scale=0.125), np.float32)
    lean_y = np.asarray(cv2.Sobel(depth, cv2.CV_32F, 0, 1, ksize=3, scale=0.125), np.float32)
    pull = narrow * 1.4
    area = colour[box.slices]
    drawn = cv2.remap(
        area, columns + lean_x * pull, rows + lean_y * pull, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    wall = slope_light(-depth, LIGHT) * narrow
    gleam = np.maximum(wall, 0.0) ** 2
    area[...] = (
        np.asarray(drawn, np.float32) + (flaw.contrast(45, 95) * wall + flaw.contrast(20, 90) * gleam)[..., None]
    )


def stain(colour: Floats, where: Mask, flaw: Flaw) -> None:
    """A drop of oil or coolant: an uneven film with a darker rim."""
    rng = flaw.rng
    x, y = spot_within(rng, where)
    reach = flaw.between(11, 34)
    box = Box.around(x, y, reach * 2.2)
    columns, rows = grid(box.height, box.width)
    distance = np.hypot(columns + box.left - x, (rows + box.top - y) * float(rng.uniform(0.8, 1.3))) / reach
    edge = distance + 0.17 * clouds(rng, box.height, box.width, cell=reach * 0.75, octaves=4)
    film = ramp(edge, 1.05, 0.85)
    rim = np.exp(-(((edge - 0.92) / 0.09) ** 2)).astype(np.float32)
    density = film * (0.75 + 0.25 * clouds(rng, box.height, box.width, cell=reach * 0.5)) + 0.7 * rim * film
    area = colour[box.slices]
    if float(area.mean()) < DARK_GROUND:  # oil hardly shows on a dark ground, a dried film does
        blend(
            area,
            np.array([196, 190, 162], np.float32),
            (density * min(0.75, flaw.contrast(0.16, 0.55))).astype(np.float32),
        )
        return
    tint = np.array([0.20, 0.26, 0.36], np.float32) * np.float32(flaw.contrast(0.55, 1.75))
    area *= np.clip(1.0 - density[..., None] * tint, 0.12, 1.0)


def grit(colour: Floats, where: Mask, flaw: Flaw) -> None:
    """A few chips or crumbs lying on the part, each with its small shadow."""
    rng = flaw.rng
    x, y = spot_within(rng, where)
    bright = rng.random() < 0.35
    tone = rng.uniform(205, 245) if bright else rng.uniform(22, 60)
    for _ in range(int(rng.integers(1, 3 + round(4 * flaw.severity)))):
        size = flaw.between(2.6, 7.5) * float(rng.uniform(0.7, 1.25))
        _crumb(colour, (x, y), size, float(tone), flaw)
        x, y = x + rng.normal(0, 5 * size), y + rng.normal(0, 5 * size)


def _crumb(colour: Floats, at: tuple[float, float], size: float, tone: float, flaw: Flaw) -> None:
    rng = flaw.rng
    reach = size * 3 + 5
    if not (reach < at[0] < colour.shape[1] - reach and reach < at[1] < colour.shape[0] - reach):
        return
    box = Box.around(*at, reach)
    corners = int(rng.integers(5, 9))
    angles = np.sort(rng.uniform(0, 2 * math.pi, corners))
    radii = size * rng.uniform(0.5, 1.15, corners) * _FINE
    middle = np.array([at[0] - box.left, at[1] - box.top]) * _FINE
    outline = middle + np.stack([np.cos(angles) * radii, np.sin(angles) * radii * 0.8], axis=1)
    sheet = np.zeros((box.height * _FINE, box.width * _FINE), np.uint8)
    cv2.fillPoly(sheet, [np.round(outline).astype(np.int32)], 255, cv2.LINE_AA)
    body = blur(resize(sheet.astype(np.float32) / 255.0, box.width, box.height), 0.6)
    move = np.array([[1, 0, size * 0.45], [0, 1, size * 0.4]], np.float32)
    shade = blur(np.asarray(cv2.warpAffine(body, move, (box.width, box.height)), np.float32), 1.3)
    area = colour[box.slices]
    area *= (1.0 - 0.5 * shade)[..., None]
    relief = slope_light(blur(body, size * 0.35), LIGHT) * size * 55.0
    look = tone + relief + 9.0 * clouds(rng, box.height, box.width, cell=size)
    blend(area, np.repeat(look[..., None], 3, axis=2), body * min(1.0, flaw.contrast(0.65, 1.0)))


def fibre(colour: Floats, where: Mask, flaw: Flaw) -> None:
    """A hair or textile fibre that lies on the part."""
    rng = flaw.rng
    path = path_within(rng, where, flaw.between(45, 130), bend=2.6)
    box, cover = stroke(path, flaw.between(1.0, 1.7), np.ones(len(path), np.float32))
    area = colour[box.slices]
    move = np.array([[1, 0, 1.8], [0, 1, 1.6]], np.float32)
    shade = blur(np.asarray(cv2.warpAffine(cover, move, (box.width, box.height)), np.float32), 1.1)
    area *= (1.0 - 0.30 * shade)[..., None]
    tone = np.array([34, 30, 28] if rng.random() < 0.6 else [214, 218, 224], np.float32)
    blend(area, tone, cover * min(1.0, flaw.contrast(0.45, 0.95)))


def contaminate(colour: Floats, where: Mask, flaw: Flaw) -> None:
    """One of stain, grit and fibre."""
    choices: tuple[Callable[[Floats, Mask, Flaw], None], ...] = (stain, stain, grit, fibre)
    choices[int(flaw.rng.integers(len(choices)))](colour, where, flaw)
