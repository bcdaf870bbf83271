"""Graded made-up flaws on raw pictures of good parts: of a given size and contrast, where a real one could lie.

They choose between ways to look at a product and tell how small a flaw is still caught. They never set a limit: limits
come from good parts alone (rd-e.md, section 9).
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model.placement import Box

FlawKind = Literal["spot", "scratch", "graft"]
FLAW_KINDS: tuple[FlawKind, ...] = get_args(FlawKind)
SLENDER = 8.0  # times longer than wide is a scratch
SOFT = 0.15  # of its width is a flaw's soft edge
PLACES = 20


@dataclass(frozen=True)
class Flaw:
    """What is to be made: kind, size in raw pixels (a spot's or graft's diameter, a scratch's width times SLENDER / 2),
    contrast in grey levels."""

    kind: FlawKind
    size: float
    contrast: float


def mar(
    picture: NDArray[np.uint8], flaw: Flaw, rng: Generator, allowed: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.uint8], Box]:
    """A copy of a raw picture, (H, W, 3), with the flaw, and the box around it.

    allowed: (h, w) bool over the whole picture at any scale, where its middle may lie; None for everywhere.
    """
    height, width = picture.shape[:2]
    x, y = _place(rng, (width, height), allowed)
    half = flaw.size if flaw.kind == "scratch" else flaw.size / 2
    reach = math.ceil(half * 1.5) + 3
    left, top = max(0, round(x) - reach), max(0, round(y) - reach)
    right, bottom = min(width, round(x) + reach + 1), min(height, round(y) + reach + 1)
    rows, columns = np.mgrid[top:bottom, left:right].astype(np.float32)
    strength = _strength(flaw, rng, columns + 0.5 - x, rows + 0.5 - y)
    marred = picture.copy()
    part = marred[top:bottom, left:right].astype(np.float32)
    if flaw.kind == "graft":
        change = _graft(picture, part, rng, flaw.contrast)
    else:
        change = _tint(rng, flaw.contrast, _level(part, strength))
    part += strength[:, :, None] * change
    marred[top:bottom, left:right] = np.clip(np.rint(part), 0, 255).astype(np.uint8)
    return marred, (left, top, right - left, bottom - top)


def _place(rng: Generator, size: tuple[int, int], allowed: NDArray[np.bool_] | None) -> tuple[float, float]:
    if allowed is None or not allowed.any():
        return float(rng.uniform(0.03, 0.97) * size[0]), float(rng.uniform(0.03, 0.97) * size[1])
    rows, columns = np.nonzero(allowed)
    one = int(rng.integers(len(rows)))
    across, down = size[0] / allowed.shape[1], size[1] / allowed.shape[0]
    return float((columns[one] + rng.random()) * across), float((rows[one] + rng.random()) * down)


def _strength(flaw: Flaw, rng: Generator, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w) float32 in [0, 1]: how much of the change each pixel takes; x, y: distances from the middle."""
    angle = float(rng.uniform(0, math.pi))
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    if flaw.kind == "scratch":
        long, broad = flaw.size, flaw.size / SLENDER
        across = across + float(rng.uniform(-0.15, 0.15)) * along * along / long  # a slight bow
    else:
        long, broad = flaw.size / 2, flaw.size / 2 * float(rng.uniform(0.6, 1.0))
    outside = np.sqrt((along / long) ** 2 + (across / broad) ** 2) - 1  # in half-widths
    edge = max(SOFT, 1.0 / max(broad, 1e-6) / 2)
    return np.asarray(np.clip(0.5 - outside / (2 * edge), 0, 1), dtype=np.float32)


def _level(part: NDArray[np.float32], strength: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3,): the colour where the flaw is to be."""
    weights = strength[:, :, None] + np.float32(1e-6)
    return np.asarray((part * weights).sum(axis=(0, 1)) / weights.sum(), dtype=np.float32)


def _tint(rng: Generator, contrast: float, level: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3,): a change of colour whose mean is `contrast` grey levels, lighter or darker, where there is room for it."""
    shade = rng.uniform(0.6, 1.4, 3)
    change = np.asarray(shade / shade.mean() * contrast * (1 if rng.random() < 0.5 else -1), dtype=np.float32)
    has_room = bool(((level + change >= 0) & (level + change <= 255)).all())
    return change if has_room else -change


def _graft(
    picture: NDArray[np.uint8], part: NDArray[np.float32], rng: Generator, contrast: float
) -> NDArray[np.float32]:
    """(h, w, 3): the difference to another place of the same picture, turned and brought to the contrast."""
    height, width = part.shape[:2]
    best = np.zeros_like(part)
    for _ in range(PLACES):
        y = int(rng.integers(0, picture.shape[0] - height + 1))
        x = int(rng.integers(0, picture.shape[1] - width + 1))
        other = picture[y : y + height, x : x + width]
        change = np.asarray(cv2.rotate(other, cv2.ROTATE_180), dtype=np.float32) - part
        if float(np.abs(change).mean()) >= contrast / 2:
            best = change
            break
        if float(np.abs(change).mean()) > float(np.abs(best).mean()):
            best = change
    mean = float(np.abs(best).mean())
    return best if mean == 0 else best * np.float32(min(3.0, contrast / mean))
