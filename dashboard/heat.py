"""An anomaly map in colour, on a scale that the limits fix: what lies below the review limit stays clear.

So a good part never glows, and the picture agrees with the verdict (domain.md OP-3).
"""

import math
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from core.verdicts import Limits

LONGEST = 800  # px of the drawing; the stored map is smaller
_STOPS = np.array([0.0, 0.45, 1.0, 2.0])  # 0 = review limit, 1 = fail limit
_COLOURS = np.array([[240, 196, 84], [240, 160, 40], [226, 74, 42], [168, 18, 44]], dtype=np.float64)  # RGB
_OPACITY = np.array([0.16, 0.32, 0.46, 0.58])
_DARK, _WHITE = np.array([10.0, 12.0, 14.0]), np.array([255.0, 255.0, 255.0])
_BEYOND = 0.2  # of the review limit: how far above the fail limit the darkest red stands
_BAND = 128  # rows that are drawn at a time: what is worked out in between then stays in a core's cache
_BLURRED = 4.0  # sigmas to each side that OpenCV's blur of floating-point numbers reaches
_LINE, _EDGE = 1.4, 2.6  # px to each side of where the limit is passed: the white line, and its dark edge
_LEVELS = 256  # steps of heat, and of distance from that line, in which colours are worked out
_HEAT_STEPS = (_LEVELS - 2) / 2.0  # for 1 of the scale; level 0 is what keeps the limit
_AWAY_STEPS = (_LEVELS - 1) / _EDGE  # for 1 px; the last is all that lies beyond the outline
_FLAT = 1e-9  # a field that is 0 and flat has no line to be near to


def heat_values(stored: NDArray[np.uint8], low: float, high: float) -> NDArray[np.float64]:
    """The map in units of the score from its 8-bit form; (H, W) → (H, W)."""
    return low + stored.astype(np.float64) / 255.0 * (high - low)


def scaled(above: NDArray[np.floating], limits: Limits) -> NDArray[np.floating]:
    """0 at the review limit, 1 at the fail limit, 2 a good way beyond; without a fail limit nothing passes 1.

    above: how far the score is above the review limit, which float32 tells more finely than the score itself. The
    limits may lie close together: what the machine fails is then still above 1, so that it is painted as failed.
    """
    beyond = max(_BEYOND * abs(limits.t_lo), 1e-9)
    width = beyond if limits.t_hi is None else max(limits.t_hi - limits.t_lo, 1e-9)
    heat: NDArray[np.floating] = np.clip(above / width, -np.inf, 1.0)  # a third of the time of np.minimum
    if limits.t_hi is not None:
        heat += np.clip((above - (limits.t_hi - limits.t_lo)) / beyond, 0.0, np.inf)
    return heat


def overlay(stored: NDArray[np.uint8], span: tuple[float, float], limits: Limits) -> NDArray[np.uint8]:
    """RGBA of the map (H, W) → (H', W', 4), its longer side LONGEST; clear wherever the review limit is kept.

    span: the score at 0 and at 255. An outline with a dark edge stands where the limit is passed.
    """
    height, width = stored.shape
    grow = LONGEST / max(height, width)
    size = max(1, round(width * grow)), max(1, round(height * grow))
    painted = np.zeros((size[1], size[0], 4), np.uint8)
    above = (heat_values(stored, *span) - limits.t_lo).astype(np.float32)
    grown: NDArray[np.float32] = np.asarray(cv2.resize(above, size, interpolation=cv2.INTER_LINEAR), np.float32)
    hot = grown > 0
    blur = max(0.5, grow * 0.4)
    reach = math.ceil(_BLURRED * blur + _EDGE)
    for top in range(0, size[1], _BAND):
        rows = slice(max(0, top - reach), top + _BAND + reach)
        columns = np.flatnonzero(hot[rows].any(axis=0))
        if len(columns):  # the rest of the map stays clear, so it is not worked on
            across = slice(max(0, int(columns[0]) - 2 * reach), int(columns[-1]) + 2 * reach)
            band = _painted(scaled(grown[rows, across], limits), blur=blur)
            painted[top : top + _BAND, across] = band[top - rows.start :][:_BAND]
    return painted


def _painted(heat: NDArray[np.floating], *, blur: float) -> NDArray[np.uint8]:
    """RGBA of a scaled map; `blur` in pixels smooths away the stored map's own steps."""
    smooth = np.asarray(cv2.GaussianBlur(heat, (0, 0), blur), dtype=np.float32)
    level = np.clip(np.ceil(smooth * _HEAT_STEPS), 0, _LEVELS - 1).astype(np.uint16)
    away = np.clip(_distance(smooth) * _AWAY_STEPS, 0, _LEVELS - 1).astype(np.uint16)
    inked = np.take(_palette(), away * np.uint16(_LEVELS) + level)
    return np.asarray(inked[..., None].view(np.uint8))


def _distance(field: NDArray[np.float32]) -> NDArray[np.float32]:
    """About how many pixels away the zero line of a smooth field lies; (H, W) → (H, W)."""
    across, down = (
        cv2.Sobel(field, cv2.CV_32F, *axis, ksize=1, borderType=cv2.BORDER_REPLICATE) for axis in ((1, 0), (0, 1))
    )  # over two pixels
    steep = np.asarray(cv2.magnitude(across, down), dtype=np.float32) / 2
    return np.asarray((np.abs(field) + _FLAT) / (steep + _FLAT * _FLAT), dtype=np.float32)


@cache
def _palette() -> NDArray[np.uint32]:
    """RGBA, four bytes in one number, by distance from the line and heat: (_LEVELS * _LEVELS,), heat in single steps.

    Each is the middle of its step, but for level 0, which is clear, and for what lies beyond the outline.
    """
    heat = (np.arange(_LEVELS) - 0.5) / _HEAT_STEPS
    colour = np.stack([np.interp(heat, _STOPS, _COLOURS[:, channel]) for channel in range(3)], axis=-1)
    opacity = np.where(heat > 0, np.interp(heat, _STOPS, _OPACITY), 0.0)
    away = (np.arange(_LEVELS)[:, None] + 0.5) / _AWAY_STEPS
    colour, opacity = _laid_over(colour, opacity, _DARK, 0.55 * np.clip(_EDGE - away, 0.0, 1.0))
    colour, opacity = _laid_over(colour, opacity, _WHITE, 0.95 * np.clip(_LINE - away, 0.0, 1.0))
    return np.dstack([colour.round(), (opacity * 255).round()]).astype(np.uint8).view(np.uint32).ravel()


def _laid_over(
    colour: NDArray[np.float64], opacity: NDArray[np.float64], ink: NDArray[np.float64], amount: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ink of some amount over a picture with opacity; straight, not premultiplied, alpha."""
    whole = amount + opacity * (1 - amount)
    share = np.divide(amount, whole, out=np.zeros_like(whole), where=whole > 0)[..., None]
    return ink * share + colour * (1 - share), whole


def overlay_png(encoded: bytes, span: tuple[float, float], limits: Limits) -> bytes:
    """The overlay of a stored map as a PNG. Raises ValueError for bytes that are no 8-bit map."""
    stored = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED) if encoded else None
    if stored is None or stored.ndim != 2 or stored.dtype != np.uint8:
        raise ValueError("no 8-bit map of one channel")
    painted = cv2.cvtColor(overlay(stored.astype(np.uint8, copy=False), span, limits), cv2.COLOR_RGBA2BGRA)
    done, png = cv2.imencode(".png", painted, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise ValueError("the overlay could not be encoded")
    return bytes(png.tobytes())
