"""Seeded procedural textures and the few image operations that all products share."""

import cv2
import numpy as np
from numpy.random import Generator

from ingest.simulator.parts import Floats

GAMMA = 2.2
"""Display values are linear light to the power 1 / 2.2; a factor in light is then a factor in display values."""


def blur(image: Floats, sigma: float, sigma_y: float | None = None) -> Floats:
    """Gaussian blur; sigma in pixels, sigma_y where it differs by direction."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, sigmaY=sigma if sigma_y is None else sigma_y), np.float32)


def resize(image: Floats, width: int, height: int, *, smooth: bool = False) -> Floats:
    """Scale to the given size: area average, or cubic when enlarging smoothly."""
    way = cv2.INTER_CUBIC if smooth else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (width, height), interpolation=way), np.float32)


def white(rng: Generator, height: int, width: int) -> Floats:
    """Normal noise of unit variance, (height, width)."""
    return rng.standard_normal((height, width), dtype=np.float32)


def clouds(rng: Generator, height: int, width: int, *, cell: float, octaves: int = 3) -> Floats:
    """Fractal noise of zero mean and unit deviation whose largest features measure about `cell` pixels."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        rows, columns = int(height / step) + 3, int(width / step) + 3
        total += resize(white(rng, rows, columns), width, height, smooth=True) * 0.55**octave
    return unit(total)


def unit(image: Floats) -> Floats:
    """The same picture with zero mean and unit deviation."""
    return np.asarray((image - image.mean()) / (image.std() + 1e-6), np.float32)


def ramp(values: Floats, low: float, high: float) -> Floats:
    """Smooth step: 0 up to `low`, 1 from `high` on; a falling one where low > high."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0).astype(np.float32)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def display(light: Floats) -> Floats:
    """Linear light (1 = white) to display values 0..255, with a soft shoulder instead of a hard clip."""
    rolled = light / (1.0 + 0.12 * light + 0.10 * light**2) * 1.22
    return np.asarray(255.0 * np.clip(rolled, 0.0, 1.0) ** (1.0 / GAMMA), np.float32)


def slope_light(height: Floats, direction: tuple[float, float]) -> Floats:
    """Relief shading: how much a height map (pixels) leans towards a light in `direction` (x, y)."""
    across = np.asarray(cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125), np.float32)
    down = np.asarray(cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125), np.float32)
    return np.asarray(-(across * direction[0] + down * direction[1]), np.float32)


def blend(under: Floats, over: Floats | float, alpha: Floats) -> None:
    """Lay `over` on `under` in place; alpha (H, W) or of the same shape as `under`."""
    cover = alpha[..., None] if under.ndim == 3 and alpha.ndim == 2 else alpha
    under += (over - under) * cover


def grid(height: int, width: int) -> tuple[Floats, Floats]:
    """Pixel coordinates x and y, each (height, width)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x, y
