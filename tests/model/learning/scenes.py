"""Small synthetic pictures of what stands before a camera: parts at any place and angle, boards, cut-outs, textures."""

import math

import cv2
import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
WIDTH, HEIGHT = 320, 240
LONG, HEAD = 90, 20  # pixels of the bolt, along its axis and of its head
GROUND = 60
FEATURE = (225, 215, 40)


def noisy(picture: NDArray[np.generic], rng: np.random.Generator, *, levels: int = 4) -> Picture:
    """The picture with a camera's noise."""
    shaken = picture.astype(np.int16) + rng.integers(-levels, levels + 1, picture.shape)
    return np.asarray(np.clip(shaken, 0, 255), dtype=np.uint8)


def bolt(
    seed: int,
    *,
    angle: float | None = None,
    centre: tuple[float, float] | None = None,
    light: int = 0,
    flaw: bool = False,
) -> Picture:
    """A bolt with its head at the end to which `angle` points, anywhere; flaw: a dark spot on its shank."""
    rng = default_rng(seed)
    angle = float(rng.uniform(-math.pi, math.pi)) if angle is None else angle
    x, y = centre or (float(rng.uniform(100, 220)), float(rng.uniform(90, 150)))
    picture = np.full((HEIGHT, WIDTH, 3), GROUND, np.uint8)
    along = np.array([math.cos(angle), math.sin(angle)])
    shank, head = np.array([x, y]) - along * HEAD / 2, np.array([x, y]) + along * (LONG - HEAD) / 2
    _block(picture, shank, (LONG - HEAD, 22), angle, (170, 160, 150))
    _block(picture, head, (HEAD, 46), angle, (200, 190, 180))
    if flaw:
        _block(picture, flaw_of(angle, (x, y)), (9, 9), angle, (20, 20, 30))
    return noisy(picture.astype(np.int16) + light, rng)


def flaw_of(angle: float, centre: tuple[float, float]) -> NDArray[np.float64]:
    """Where the flaw of a bolt lies, x and y."""
    return np.asarray(np.array(centre) - 25 * np.array([math.cos(angle), math.sin(angle)]))


def board(
    seed: int, *, shift: tuple[float, float] | None = None, angle: float | None = None, flaw: bool = False
) -> Picture:
    """A board of many components that lies a few pixels and up to a degree elsewhere in each picture."""
    rng = default_rng(seed)
    x, y = shift or rng.uniform(-4, 4, 2)
    turn = float(rng.uniform(-1, 1)) if angle is None else angle
    matrix = np.array(cv2.getRotationMatrix2D((WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5), turn, 1), dtype=np.float64)
    matrix[:, 2] += (x, y)
    plan = _plan()
    if flaw:
        cv2.circle(plan, (150, 110), 4, (250, 250, 250), -1, cv2.LINE_AA)
    return noisy(np.asarray(cv2.warpAffine(plan, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)), rng)


def wide_board(seed: int) -> Picture:
    """The board, a few pixels and a degree elsewhere each time, small before a wide plain ground."""
    rng = default_rng(seed)
    scale = 0.4
    turn = float(rng.uniform(-1, 1))
    matrix = np.array(cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), turn, scale), dtype=np.float64)
    matrix[:, 2] += rng.uniform(-5, 5, 2)
    ground = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    cv2.warpAffine(_plan(), matrix, (WIDTH, HEIGHT), ground, borderMode=cv2.BORDER_TRANSPARENT)
    return noisy(ground, rng)


def cutout(seed: int) -> Picture:
    """A part cut out along its edges, whose picture is larger or narrower each time; a mark sits at a share of it."""
    rng = default_rng(seed)
    width, height = (int(side) for side in rng.integers((70, 120), (130, 200)))
    picture = np.full((height, width, 3), 120, np.uint8)
    edge = max(2, width // 14)
    cv2.rectangle(picture, (0, 0), (width - 1, height - 1), (30, 30, 30), 2 * edge)
    for across, down in ((0.3, 0.25), (0.7, 0.25), (0.3, 0.75), (0.7, 0.75)):
        middle = round(across * width), round(down * height)
        cv2.ellipse(picture, middle, (width // 10, height // 14), 0, 0, 360, FEATURE, -1, cv2.LINE_AA)
    return noisy(picture, rng)


def cloth(seed: int) -> Picture:
    """A texture without any part: another place of an endless pattern in each picture."""
    rng = default_rng(seed)
    coarse = rng.integers(60, 200, (40, 53), dtype=np.uint8)
    wide = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return noisy(np.repeat(wide[:, :, None], 3, axis=2), rng)


def plain(seed: int) -> Picture:
    """Nothing but background."""
    return noisy(np.full((HEIGHT, WIDTH, 3), GROUND, np.uint8), default_rng(seed))


def unevenly_lit(picture: Picture, seed: int) -> Picture:
    """The same under light that falls from another side each time."""
    rng = default_rng(seed)
    turn, strength = float(rng.uniform(0, 2 * math.pi)), float(rng.uniform(0.6, 0.85))
    rows, columns = np.mgrid[-1 : 1 : picture.shape[0] * 1j, -1 : 1 : picture.shape[1] * 1j]
    light = 1 + strength * (columns * math.cos(turn) + rows * math.sin(turn)) / math.sqrt(2)
    return np.asarray(np.clip(picture * light[:, :, None], 0, 255), dtype=np.uint8)


def _plan() -> Picture:
    """The board as it is drawn, always the same."""
    rng = default_rng(99)
    plan = np.full((HEIGHT, WIDTH, 3), (40, 90, 50), np.uint8)
    for x, y, wide, high in rng.integers((20, 20, 10, 8), (280, 200, 34, 26), (24, 4)).tolist():
        cv2.rectangle(plan, (x, y), (x + wide, y + high), rng.integers(30, 220, 3).tolist(), -1)
    return plan


def _block(
    picture: Picture, middle: NDArray[np.float64], size: tuple[float, float], angle: float, colour: tuple[int, int, int]
) -> None:
    """A rectangle, placed to a sixteenth of a pixel; coordinates are continuous, pixel i covers [i, i + 1)."""
    corners = cv2.boxPoints(((float(middle[0]) - 0.5, float(middle[1]) - 0.5), size, math.degrees(angle)))
    cv2.fillConvexPoly(picture, np.rint(corners * 16).astype(np.int32), colour, cv2.LINE_AA, 4)
