"""
Synthetic twins: a good part with a made-up anomaly and the mask of where it is (rd-e.md, section 5).

As the authors' release, after DRAEM, with three promises it does not give: the mask is never empty, the anomaly never
invisible, and one generator per (seed, iteration, position) makes the same twin however the work is spread.
Twins train only; thresholds and reported accuracy never see them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import cv2
import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from model.textures import Textures

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
OCTAVES = 6  # the grid is 2^i × 2^j, i and j in 0..5
THRESHOLD = 0.5
MOST = 0.5  # share of the picture a mask may cover
MASK_DRAWS = 20
TEXTURE_DRAWS = 20
VISIBLE = 8 / 255
BLEND = 0.8  # β is uniform in [0, 0.8]


@dataclass(frozen=True)
class Twin:
    """A good picture's twin.

    marred: (H, W, 3) float32 in [0, 1], not rounded to 8 bits. mask: (H, W) bool, True where it was changed.
    The counts say how many draws were thrown away; `ellipse` and `forced` that the fall-backs were needed.
    """

    marred: Field
    mask: Mask
    mask_redraws: int = 0
    texture_redraws: int = 0
    ellipse: bool = False
    forced: bool = False


@dataclass
class TwinReport:
    """What making the twins took, for the training report."""

    twins: int = 0
    mask_redraws: int = 0
    ellipses: int = 0
    texture_redraws: int = 0
    forced: int = 0

    def count(self, twin: Twin) -> None:
        """Add one twin."""
        self.twins += 1
        self.mask_redraws += twin.mask_redraws
        self.ellipses += twin.ellipse
        self.texture_redraws += twin.texture_redraws
        self.forced += twin.forced

    def to_dict(self) -> Mapping[str, int]:
        """Plain values for the model file."""
        return dict(asdict(self))


def twin_rng(seed: int, iteration: int, position: int) -> Generator:
    """The generator of one twin: the same for equal arguments, whatever was drawn elsewhere."""
    return default_rng((seed, iteration, position))


def make_twin(normal: NDArray[np.uint8], textures: Textures, rng: Generator, foreground: Mask | None = None) -> Twin:
    """A twin of a good picture.

    normal: (H, W, 3) uint8, both sides multiples of 32. foreground: (H, W) bool, the part; None for the whole picture.
    """
    mask, mask_redraws, ellipse = _draw_mask(rng, normal.shape[:2], foreground)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)  # all else stays as it is
    marred = normal.astype(np.float32) / np.float32(255)
    part, inside = marred[window], mask[window]
    old = part[inside]  # (pixels, 3)
    for redraw in range(TEXTURE_DRAWS):
        texture = textures.sample(rng, normal.shape[:2])[window][inside]
        share = np.float32(rng.uniform(0, BLEND))
        new = (1 - share) * texture + share * old
        if visible(new, old):
            part[inside] = new
            return Twin(marred, mask, mask_redraws, redraw, ellipse)
    part[inside] = (old + np.float32(0.5)) % 1  # half of the range away from what was there
    return Twin(marred, mask, mask_redraws, TEXTURE_DRAWS, ellipse, forced=True)


def visible(new: Field, old: Field) -> bool:
    """Whether the mean change, in the channel where it is largest, reaches 8/255. Both (pixels, 3) in [0, 1]."""
    return bool(np.abs(new - old).mean(axis=0).max() >= VISIBLE)


def perlin(rng: Generator, size: tuple[int, int], grid: tuple[int, int]) -> Field:
    """One octave of Perlin noise, times √2.

    size: height, width, divisible by grid. Unit gradients, fade 6t⁵ − 15t⁴ + 10t³. Returns (H, W) float32.
    """
    down, across = grid
    angle = rng.uniform(0, 2 * np.pi, (down + 1, across + 1)).astype(np.float32)
    cos, sin = np.cos(angle), np.sin(angle)
    y = (np.arange(size[0] // down, dtype=np.float32) * np.float32(down / size[0]))[:, None, None]
    x = (np.arange(size[1] // across, dtype=np.float32) * np.float32(across / size[1]))[None, None, :]

    def corner(dy: int, dx: int) -> Field:
        """The gradient of one corner times the way to it: (down, cell height, across, cell width)."""
        part = slice(dy, dy + down), slice(dx, dx + across)
        return np.asarray(sin[part][:, None, :, None] * (y - dy) + cos[part][:, None, :, None] * (x - dx))

    fade_y, fade_x = _fade(y), _fade(x)
    top, bottom = corner(0, 0), corner(1, 0)
    top += fade_x * (corner(0, 1) - top)
    bottom += fade_x * (corner(1, 1) - bottom)
    top += fade_y * (bottom - top)
    return (top * np.float32(np.sqrt(2))).reshape(size)


def shrink_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """One step of the mask's way down: bilinear with aligned corners, then at least one half (rd-e.md, section 2)."""
    rows, columns = (_taps(old, new) for old, new in zip(mask.shape, size, strict=True))
    level = mask.astype(np.float32)
    level = level[rows[0]] * (1 - rows[2])[:, None] + level[rows[1]] * rows[2][:, None]
    level = level[:, columns[0]] * (1 - columns[2]) + level[:, columns[1]] * columns[2]
    return np.asarray(level >= 0.5)


def _draw_mask(rng: Generator, size: tuple[int, int], foreground: Mask | None) -> tuple[Mask, int, bool]:
    """A mask, the number of draws thrown away, and whether the ellipse had to stand in."""
    for redraw in range(MASK_DRAWS):
        grid = 2 ** int(rng.integers(OCTAVES)), 2 ** int(rng.integers(OCTAVES))
        noise = perlin(rng, size, grid)
        turn = cv2.getRotationMatrix2D((size[1] / 2 - 0.5, size[0] / 2 - 0.5), float(rng.uniform(-90, 90)), 1.0)
        turned = np.asarray(cv2.warpAffine(noise, turn, (size[1], size[0]), flags=cv2.INTER_LINEAR))
        mask = np.asarray(turned > THRESHOLD)
        if foreground is not None:
            mask &= foreground
        if _acceptable(mask):
            return mask, redraw, False
    return _ellipse(rng, size, foreground), MASK_DRAWS, True


def _acceptable(mask: Mask) -> bool:
    quarter = mask.shape[0] // 4, mask.shape[1] // 4
    return bool(mask.any()) and float(mask.mean()) <= MOST and bool(shrink_mask(mask, quarter).any())


def _ellipse(rng: Generator, size: tuple[int, int], foreground: Mask | None) -> Mask:
    """An ellipse with half-axes of 4 to 24 px (at 256), centred on the part."""
    scale = max(1.0, float(np.sqrt(size[0] * size[1])) / 256)
    spots = np.argwhere(foreground) if foreground is not None else None
    y, x = rng.integers((0, 0), size) if spots is None else spots[int(rng.integers(len(spots)))]
    across, down = (round(float(half) * scale) for half in rng.uniform(4, 24, 2))
    canvas = np.zeros(size, np.uint8)
    cv2.ellipse(canvas, (int(x), int(y)), (across, down), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return np.asarray(canvas > 0)


def _taps(old: int, new: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Field]:
    """The two neighbours of each new sample and the weight of the second, corners aligned."""
    at = np.linspace(0, old - 1, new)
    low = np.minimum(at.astype(np.intp), old - 1)
    return low, np.minimum(low + 1, old - 1), (at - low).astype(np.float32)


def _fade(t: Field) -> Field:
    return np.asarray(t * t * t * (t * (t * 6 - 15) + 10), dtype=np.float32)
