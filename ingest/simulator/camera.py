"""The simulated camera: pose, background, illumination, optics, sensor noise and camera faults."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from ingest.simulator.parts import HEIGHT, MARGIN, WIDTH, CameraFault, Floats, Mask, Picture, Surface
from ingest.simulator.texture import GAMMA, blur, clouds, display, grid, unit, white

_SPARE = 192  # noise and belt are larger than the picture; each part takes another cut of them
READ_NOISE, SHOT_NOISE = 1.15, 0.105  # display values; see `noise_levels`
BELT = (0.040, 0.046, 0.050)


@dataclass(frozen=True)
class Pose:
    """How the part lies under the camera: shift in pixels, turn in degrees."""

    x: float
    y: float
    turn: float

    @property
    def matrix(self) -> Floats:
        """Affine map from the canvas to the picture, (2, 3)."""
        middle = (WIDTH / 2 + MARGIN, HEIGHT / 2 + MARGIN)
        matrix = cv2.getRotationMatrix2D(middle, self.turn, 1.0)
        matrix[:, 2] += np.array([self.x - MARGIN, self.y - MARGIN])
        return np.asarray(matrix, np.float32)


def draw_pose(rng: Generator, *, shift: float = 2.5, turn: float = 0.6) -> Pose:
    """A part's place: normally distributed, never beyond 2.5 deviations of shift (px) and turn (degrees)."""
    x, y, angle = np.clip(rng.normal(size=3), -2.5, 2.5)
    return Pose(float(x * shift), float(y * shift), float(angle * turn))


def bumped(pose: Pose, rng: Generator) -> Pose:
    """The same part after somebody knocked the camera's bracket."""
    bearing, far = rng.uniform(0, 2 * math.pi), rng.uniform(45, 80)
    turn = pose.turn + float(rng.choice([-1, 1])) * float(rng.uniform(0.8, 2.5))
    return Pose(pose.x + far * math.cos(bearing), pose.y + far * math.sin(bearing), turn)


def noise_levels() -> Floats:
    """Standard deviation of the noise at each display value, (256,) float32.

    Shot noise grows with the root of the light, and the gamma curve is steep in the dark, so that in display values
    it is nearly constant; read noise is what the gamma curve lifts in the dark.
    """
    light = (np.maximum(np.arange(256), 6) / 255.0) ** GAMMA
    slope = (255.0 / GAMMA) * light ** (1.0 / GAMMA - 1.0)
    shot = slope * 0.0125 * np.sqrt(light) * SHOT_NOISE * 8.0
    read = slope * 0.00042 * READ_NOISE
    return np.asarray(np.sqrt(shot**2 + read**2), np.float32)


class Camera:
    """One camera above one lamp; deterministic for its generator, so that equal seeds give equal cameras."""

    def __init__(self, rng: Generator, *, shadow: Floats | None) -> None:
        self._levels = noise_levels()
        self._noise = self._sensor_noise(rng)
        self._falloff = self._illumination(rng)
        self._belt = _belt(rng, HEIGHT + _SPARE, WIDTH + _SPARE) if shadow is not None else None
        self._shadow = shadow

    @staticmethod
    def _sensor_noise(rng: Generator) -> Floats:
        """Unit noise as a colour sensor gives it: neighbours share a little through demosaicing."""
        height, width = HEIGHT + _SPARE, WIDTH + _SPARE
        grey = white(rng, height, width)
        planes = [unit(blur(0.75 * grey + white(rng, height, width), 0.42)) for _ in range(3)]
        return np.asarray(cv2.merge(planes), np.float32)

    @staticmethod
    def _illumination(rng: Generator) -> Floats:
        """Factor in display values from lamp and lens, (480, 640, 3): a slope towards one side and vignetting."""
        x, y = grid(HEIGHT, WIDTH)
        u, v = (x - WIDTH / 2) / (WIDTH / 2), (y - HEIGHT / 2) / (WIDTH / 2)
        lens = 1.0 / (1.0 + 0.16 * (u * u + v * v)) ** 2
        lamp = 1.06 - 0.11 * u - 0.09 * v - 0.05 * (u + 0.3) ** 2
        light = (lens * lamp) ** (1.0 / GAMMA)
        warm = 1.0 + 0.012 * u + rng.normal(0.0, 0.002)
        return np.asarray(cv2.merge([light * warm, light, light * (2.0 - warm)]), np.float32)

    def photograph(self, surface: Surface, pose: Pose, rng: Generator, fault: CameraFault | None) -> Picture:
        """The picture (480, 640, 3) uint8 RGB of a part on the belt."""
        scene = self._scene(surface, pose, rng)
        cv2.multiply(scene, self._falloff, scene, scale=float(rng.normal(1.0, 0.006)))
        if fault is CameraFault.BLUR:
            scene = blur(scene, float(rng.uniform(3.5, 6.0)))
        elif fault is CameraFault.DARK:
            scene *= np.float32(rng.uniform(0.10, 0.22))
        elif fault is CameraFault.SATURATED:
            scene *= np.float32(rng.uniform(2.2, 3.2))
        top, left = (int(at) for at in rng.integers(0, _SPARE, 2))
        noise = self._noise[top : top + HEIGHT, left : left + WIDTH]
        level = cv2.LUT(cv2.convertScaleAbs(scene), self._levels)
        return np.asarray(cv2.add(scene, cv2.multiply(level, noise), dtype=cv2.CV_8U), np.uint8)

    def _scene(self, surface: Surface, pose: Pose, rng: Generator) -> Floats:
        """What lies under the camera, before light fall-off and noise."""
        size = (WIDTH, HEIGHT)
        part = cv2.warpAffine(surface.colour, pose.matrix, size, borderMode=cv2.BORDER_REFLECT_101)
        scene = np.asarray(part, np.float32)
        if self._belt is None or self._shadow is None:
            return scene
        top, left = (int(at) for at in rng.integers(0, _SPARE, 2))
        open_light = cv2.warpAffine(self._shadow, pose.matrix, size, borderMode=cv2.BORDER_CONSTANT, borderValue=1.0)
        cover = cv2.warpAffine(surface.alpha, pose.matrix, size)
        belt = cv2.multiply(self._belt[top : top + HEIGHT, left : left + WIDTH], cv2.merge([open_light] * 3))
        cv2.subtract(scene, belt, scene)
        cv2.multiply(scene, cv2.merge([cover] * 3), scene)
        return np.asarray(cv2.add(scene, belt, scene), np.float32)


def place_mask(mask: Mask, pose: Pose) -> Mask:
    """A mask of the canvas as it shows in the picture."""
    found = cv2.warpAffine(mask.astype(np.float32), pose.matrix, (WIDTH, HEIGHT))
    return np.asarray(found > 0.5, np.bool_)


def _belt(rng: Generator, height: int, width: int) -> Floats:
    """A dark rubber belt with a fine woven imprint, dust and wear; display values (height, width, 3)."""
    x, y = grid(height, width)
    wander = 0.8 * clouds(rng, height, width, cell=60.0, octaves=1)
    imprint = np.sin((x + y + wander) * (2 * np.pi / 5.3)) * np.sin((x - y - wander) * (2 * np.pi / 5.3))
    wear = clouds(rng, height, width, cell=120.0, octaves=4)
    along = unit(blur(white(rng, height, width), 40.0, 0.8))
    grain = clouds(rng, height, width, cell=2.2, octaves=2)
    light = 1.0 + 0.06 * imprint + 0.03 * wear + 0.025 * along + 0.05 * grain
    specks = blur((white(rng, height, width) > 3.75).astype(np.float32), 0.7)
    light = light + 0.5 * specks
    planes = [display(np.maximum(light * tone, 0.002).astype(np.float32)) for tone in BELT]
    return blur(np.asarray(cv2.merge(planes), np.float32), 0.6)
