"""Renders a twill yarn by yarn; a part of the picture can be rendered again with yarns changed."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ingest.simulator.parts import Box, Floats
from ingest.simulator.texture import blur, clouds, display, grid, ramp, resize, slope_light, unit, white

PITCH = 9.0  # px from yarn to yarn, both ways
STRIDE = 3  # twill 2/1: a warp passes over two wefts and under one
FINE = 2
WARP, WEFT = (0.085, 0.125, 0.190), (0.330, 0.335, 0.325)  # linear light, RGB
LIGHT = (-0.77, -0.64)
GAP = -4.0  # the height of a yarn that is not there
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Change:
    """What is different about one yarn between two places along it (px of the roll)."""

    yarn: int
    start: float
    end: float
    warp: bool = False
    missing: bool = False
    tone: tuple[float, float, float] | None = None
    floats: bool = False  # it lies on top all along: a mis-weave

    def covers(self, yarn: Whole, along: Floats) -> NDArray[np.bool_]:
        """Where it applies."""
        return np.asarray((yarn == self.yarn) & (along >= self.start) & (along < self.end), np.bool_)


@dataclass
class _Set:
    """One direction of yarns as seen at each pixel: index, place across (-0.5..0.5) and height."""

    yarn: Whole
    across: Floats
    height: Floats


class Cloth:
    """A piece of cloth of (height, width) px with its own yarns; `render` draws any box of it."""

    def __init__(self, rng: Generator, height: int, width: int) -> None:
        self.height, self.width = height, width
        self._drift_x = 1.1 * clouds(rng, height, width, cell=130.0, octaves=2) + 0.35 * clouds(
            rng, height, width, cell=18.0
        )
        self._drift_y = 1.1 * clouds(rng, height, width, cell=130.0, octaves=2) + 0.35 * clouds(
            rng, height, width, cell=18.0
        )
        rows, columns = height * FINE, width * FINE
        self._hair = [unit(blur(white(rng, rows, columns), *s)) for s in ((0.55, 4.5), (4.5, 0.55))]
        count = int(max(height, width) / PITCH) + 8
        self._bright = [np.asarray(1.0 + 0.075 * white(rng, 1, count)[0].clip(-2, 2), np.float32) for _ in range(2)]
        self._thick = [np.asarray(1.04 + 0.06 * white(rng, 1, count)[0].clip(-2, 2), np.float32) for _ in range(2)]
        self._slubs = [
            clouds(rng, count, 160, cell=1.0, octaves=1) * 0.5 + unit(blur(white(rng, count, 160), 3.0, 0.1))
            for _ in range(2)
        ]
        self._uneven = clouds(rng, height, width, cell=200.0, octaves=3)

    def render(self, box: Box, changes: tuple[Change, ...] = (), push: tuple[Floats, Floats] | None = None) -> Floats:
        """Display values (h, w, 3) of a box; push: extra displacement (h, w) of the yarns in x and y, px."""
        cells = box.slices
        drift_x, drift_y = self._drift_x[cells], self._drift_y[cells]
        if push is not None:
            drift_x, drift_y = drift_x + push[0], drift_y + push[1]
        rows, columns = box.height * FINE, box.width * FINE
        column, row = grid(rows, columns)
        x = np.asarray((column + 0.5) / FINE + box.left + resize(drift_x, columns, rows, smooth=True), np.float32)
        y = np.asarray((row + 0.5) / FINE + box.top + resize(drift_y, columns, rows, smooth=True), np.float32)
        warp, weft = self._lie(x, y, changes)
        on_top = warp.height > weft.height
        height = np.maximum(np.maximum(warp.height, weft.height), -1.6)
        fine = (slice(box.top * FINE, box.bottom * FINE), slice(box.left * FINE, box.right * FINE))
        tone = np.where(
            on_top[..., None],
            self._dyed(warp, y, 0, WARP, fine, changes),
            self._dyed(weft, x, 1, WEFT, fine, changes),
        )
        lean = slope_light(blur(height.astype(np.float32), 0.6), LIGHT)
        open_sky = ramp(blur(height.astype(np.float32), 1.3), -1.05, 1.30)
        light = (0.10 + 1.02 * open_sky) * np.clip(1.0 + 3.6 * lean, 0.3, 1.8)
        fuzz = 1.0 + 0.05 * resize(self._uneven[cells], columns, rows, smooth=True)
        return resize(display(np.asarray(tone * (light * fuzz)[..., None], np.float32)), box.width, box.height)

    def _lie(self, x: Floats, y: Floats, changes: tuple[Change, ...]) -> tuple[_Set, _Set]:
        """How high each yarn lies at each pixel: round in section, dipping under where it is crossed."""
        u, v = x / PITCH, y / PITCH
        i, j = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
        a, b = (u - i - 0.5).astype(np.float32), (v - j - 0.5).astype(np.float32)
        here = _state(i, j)
        next_j = _state(i, j + np.where(b > 0, 1, -1))
        next_i = _state(i + np.where(a > 0, 1, -1), j)
        warp_wave = here + (next_j - here) * 0.5 * ramp(np.abs(b), 0.12, 0.5)
        weft_wave = -(here + (next_i - here) * 0.5 * ramp(np.abs(a), 0.12, 0.5))
        warp = _Set(i, a, _height(warp_wave, a, self._thick[0][np.clip(i, 0, len(self._thick[0]) - 1)]))
        weft = _Set(j, b, _height(weft_wave, b, self._thick[1][np.clip(j, 0, len(self._thick[1]) - 1)]))
        for change in changes:
            yarns, along = (warp, y) if change.warp else (weft, x)
            where = change.covers(yarns.yarn, along)
            if change.missing:
                yarns.height = np.where(where, GAP, yarns.height).astype(np.float32)
            if change.floats:
                lifted = np.maximum(yarns.height, 0.4 + _round(yarns.across, 1.1))
                yarns.height = np.where(where, lifted, yarns.height).astype(np.float32)
        return warp, weft

    def _dyed(
        self, yarns: _Set, along: Floats, way: int, dye: tuple[float, float, float], fine: tuple[slice, slice],
        changes: tuple[Change, ...],
    ) -> Floats:  # fmt: skip
        """Linear-light colour of one set of yarns: dye, yarn, slubs, twist and single fibres."""
        index = np.clip(yarns.yarn, 0, len(self._bright[way]) - 1)
        slub = self._slubs[way][index, (along / 8.0).astype(np.int64) % 160]
        twist = np.sin(2 * np.pi * (yarns.across * 1.3 + along / 5.2 + index * 0.37))
        value = self._bright[way][index] * (1.0 + 0.05 * slub + 0.07 * twist + 0.13 * self._hair[way][fine])
        tone = np.asarray(dye, np.float32) * value[..., None].astype(np.float32)
        for change in changes:
            if change.tone is not None and change.warp == (way == 0):
                where = change.covers(yarns.yarn, along)[..., None]
                tone = np.where(where, np.asarray(change.tone, np.float32) * value[..., None], tone)
        return np.asarray(tone, np.float32)


def _state(i: Whole, j: Whole) -> Floats:
    """1 where the warp lies over the weft, -1 where under."""
    return np.where((i + j) % STRIDE != 0, 1.0, -1.0).astype(np.float32)


def _height(wave: NDArray[np.floating], across: Floats, thick: NDArray[np.floating]) -> Floats:
    """Height of a yarn's surface: its wave over and under, and its round section."""
    return np.asarray(0.55 * wave + _round(across, np.asarray(thick, np.float32)), np.float32)


def _round(across: Floats, thick: Floats | float) -> Floats:
    """Height of a round section at a place across it."""
    inside = 1.0 - (2.0 * across / thick) ** 2
    return np.asarray(np.sqrt(np.maximum(inside, 0.0)) - 1.2 * (inside < 0), np.float32)
