"""
What synthetic anomalies are filled with: pictures from a folder, procedural textures, or other parts of the product.

Each source gives a texture of any size from a generator, and nothing else decides what it gives: the same generator
state means the same texture. No texture files are shipped.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model.pictures import SUFFIXES, read_picture
from model.placement import resize

Size = tuple[int, int]  # height, width
Field = NDArray[np.float32]


class Textures(Protocol):
    """A source of textures."""

    def sample(self, rng: Generator, size: Size) -> Field:
        """One texture for height, width: (H, W, 3) float32 in [0, 1]."""
        ...


@dataclass(frozen=True)
class Mixed:
    """Each texture from one of several sources, all equally often."""

    sources: Sequence[Textures]

    def sample(self, rng: Generator, size: Size) -> Field:
        """One texture, see Textures."""
        return self.sources[int(rng.integers(len(self.sources)))].sample(rng, size)


class FolderTextures:
    """Pictures from a folder and the folders below it (DTD or any), resized whole to the size asked for.

    `hashes` lists (name, SHA-256) for the model file. Raises ValueError when there is no picture.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not paths:
            raise ValueError(f"{folder}: no texture pictures there; give a folder of pictures or leave it out")
        self._paths = paths
        self._scaled: dict[tuple[Path, Size], NDArray[np.uint8]] = {}
        self.hashes = tuple((str(path.relative_to(folder)), _sha256(path)) for path in paths)

    def sample(self, rng: Generator, size: Size) -> Field:
        """One texture, see Textures; raises PictureUnreadable for a damaged file."""
        key = self._paths[int(rng.integers(len(self._paths)))], size
        if key not in self._scaled:
            self._scaled[key] = resize(read_picture(key[0]), (size[1], size[0]))
        return np.asarray(self._scaled[key].astype(np.float32) / 255)


class NormalTextures:
    """Patches of other good parts of the same product, turned, shifted, brighter or darker (rd-e.md, section 5).

    pictures: (N, H, W, 3) uint8.
    """

    def __init__(self, pictures: NDArray[np.uint8]) -> None:
        self._pictures = pictures

    def sample(self, rng: Generator, size: Size) -> Field:
        """One texture, see Textures: contrast × 0.4 to 1.8, brightness ± 80/255."""
        picture = self._pictures[int(rng.integers(len(self._pictures)))]
        height, width = picture.shape[:2]
        turn = cv2.getRotationMatrix2D(
            (width / 2, height / 2), float(rng.uniform(0, 360)), float(rng.uniform(0.8, 1.6))
        )
        turn[:, 2] += rng.uniform(-0.5, 0.5, 2) * (width, height)
        turned = cv2.warpAffine(picture, turn, (size[1], size[0]), borderMode=cv2.BORDER_REFLECT)
        texture = np.asarray(turned, dtype=np.float32) / np.float32(255)
        contrast, brightness = np.float32(rng.uniform(0.4, 1.8)), np.float32(rng.uniform(-80, 80) / 255)
        middle = np.float32(texture.mean())
        return np.asarray(np.clip((texture - middle) * contrast + (middle + brightness), 0, 1), dtype=np.float32)


class ProceduralTextures:
    """Fractal noise, cells, stripes, checks, speckle and scratches in random colours or greys."""

    def sample(self, rng: Generator, size: Size) -> Field:
        """One texture, see Textures."""
        pattern = PATTERNS[int(rng.integers(len(PATTERNS)))](rng, size)  # (H, W) in [0, 1]
        ends = rng.random((2, 3), dtype=np.float32)
        if rng.random() < 0.3:
            ends[:] = ends[:, :1]  # grey
        return np.asarray(ends[0] + pattern[:, :, None] * (ends[1] - ends[0]), dtype=np.float32)


def fractal(rng: Generator, size: Size) -> Field:
    """Smooth noise of several octaves."""
    total = np.zeros(size, np.float32)
    for octave in range(int(rng.integers(1, 4)), 7):
        grid = rng.random((2**octave, 2**octave), dtype=np.float32)
        total += _enlarged(grid, size) * np.float32(0.6**octave)
    return _stretched(total)


def cells(rng: Generator, size: Size) -> Field:
    """Voronoi cells of random brightness, with or without the shading towards their borders."""
    seeds = np.ones(size, np.uint8)
    count = int(rng.integers(8, 200))
    seeds[rng.integers(0, size[0], count), rng.integers(0, size[1], count)] = 0
    distance, label = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    flat = rng.random(count + 1, dtype=np.float32)[np.asarray(label) % (count + 1)]
    return _stretched(np.asarray(distance, dtype=np.float32)) if rng.random() < 0.5 else flat


def stripes(rng: Generator, size: Size) -> Field:
    """Parallel stripes at any angle, soft or hard."""
    wave = np.sin(_ramp(rng, size, float(rng.uniform(0, np.pi))))
    return np.asarray(wave > 0, np.float32) if rng.random() < 0.5 else np.asarray(0.5 + 0.5 * wave, np.float32)


def checks(rng: Generator, size: Size) -> Field:
    """A chequered pattern at any angle."""
    angle = float(rng.uniform(0, np.pi))
    product = np.sin(_ramp(rng, size, angle)) * np.sin(_ramp(rng, size, angle + np.pi / 2))
    return np.asarray(product > 0, np.float32)


def speckle(rng: Generator, size: Size) -> Field:
    """Fine grain of random size."""
    grain = rng.random(size, dtype=np.float32)
    return _stretched(np.asarray(cv2.GaussianBlur(grain, (0, 0), float(rng.uniform(0.4, 2.5))), dtype=np.float32))


def scratches(rng: Generator, size: Size) -> Field:
    """Straight lines of random length, width and brightness on a plain ground."""
    ground = np.full(size, rng.random(), np.float32)
    for _ in range(int(rng.integers(5, 60))):
        x, y, dx, dy = rng.integers((0, 0, -80, -80), (size[1], size[0], 80, 80)).tolist()
        cv2.line(ground, (x, y), (x + dx, y + dy), float(rng.random()), int(rng.integers(1, 4)), cv2.LINE_AA)
    return ground


PATTERNS: tuple[Callable[[Generator, Size], Field], ...] = (fractal, cells, stripes, checks, speckle, scratches)


def _ramp(rng: Generator, size: Size, angle: float) -> Field:
    """A phase that grows along `angle`, with a random period of 4 to 40 px."""
    rows, columns = np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32)
    pace = np.float32(2 * np.pi / rng.uniform(4, 40))
    across, down = np.float32(np.cos(angle)) * pace, np.float32(np.sin(angle)) * pace
    return np.asarray(rows[:, None] * down + columns[None, :] * across, dtype=np.float32)


def _enlarged(grid: Field, size: Size) -> Field:
    return np.asarray(cv2.resize(grid, (size[1], size[0]), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _stretched(field: Field) -> Field:
    """Linearly to [0, 1]; a constant field becomes 0."""
    low, high = field.min(), field.max()
    return np.asarray((field - low) / max(high - low, np.float32(1e-6)), dtype=np.float32)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
