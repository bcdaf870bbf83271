"""An anomaly map in colour, on a scale that the limits fix: what lies below the review limit stays clear.

So a good part never glows, and the picture agrees with the verdict (domain.md OP-3).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from core.verdicts import Limits

LONGEST = 800  # px of the drawing; the stored map is smaller
_STOPS = np.array([0.0, 0.45, 1.0, 2.0])  # 0 = review limit, 1 = fail limit
_COLOURS = np.array([[240, 196, 84], [240, 160, 40], [226, 74, 42], [168, 18, 44]], dtype=np.float64)  # RGB
_OPACITY = np.array([0.16, 0.32, 0.46, 0.58])
_DARK, _WHITE = np.array([10.0, 12.0, 14.0]), np.array([255.0, 255.0, 255.0])
_MARGIN = 12  # px round what is hot, for the outline
_BEYOND = 0.2  # of the review limit: how far above the fail limit the darkest red stands
_FAR = 1e6  # px; where the map is flat, no outline passes


def heat_values(stored: NDArray[np.uint8], low: float, high: float) -> NDArray[np.float64]:
    """The map in units of the score from its 8-bit form; (H, W) → (H, W)."""
    return low + stored.astype(np.float64) / 255.0 * (high - low)


def scaled(values: NDArray[np.float64], limits: Limits) -> NDArray[np.float64]:
    """0 at the review limit, 1 at the fail limit, 2 a good way beyond; without a fail limit nothing passes 1.

    The limits may lie close together: what the machine fails is then still above 1, so that it is painted as failed.
    """
    beyond = max(_BEYOND * abs(limits.t_lo), 1e-9)
    if limits.t_hi is None:
        return np.minimum((values - limits.t_lo) / beyond, 1.0)
    between = (values - limits.t_lo) / max(limits.t_hi - limits.t_lo, 1e-9)
    return np.where(values <= limits.t_hi, np.minimum(between, 1.0), 1.0 + (values - limits.t_hi) / beyond)


def overlay(stored: NDArray[np.uint8], span: tuple[float, float], limits: Limits) -> NDArray[np.uint8]:
    """RGBA of the map (H, W) → (H', W', 4), its longer side LONGEST; clear wherever the review limit is kept.

    span: the score at 0 and at 255. An outline with a dark edge stands where the limit is passed.
    """
    height, width = stored.shape
    grow = LONGEST / max(height, width)
    size = max(1, round(width * grow)), max(1, round(height * grow))
    painted = np.zeros((size[1], size[0], 4), np.uint8)
    grown: NDArray[np.float64] = cv2.resize(heat_values(stored, *span), size, interpolation=cv2.INTER_LINEAR).astype(
        np.float64, copy=False
    )
    hot = grown > limits.t_lo
    if not hot.any():
        return painted
    window = _around(hot)  # the rest of the map stays clear, so it is not worked on
    painted[window] = _painted(scaled(grown[window], limits), blur=max(0.5, grow * 0.4))
    return painted


def _around(hot: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(hot.any(axis=1)), np.flatnonzero(hot.any(axis=0))
    return (
        slice(max(0, int(rows[0]) - _MARGIN), int(rows[-1]) + _MARGIN),
        slice(max(0, int(columns[0]) - _MARGIN), int(columns[-1]) + _MARGIN),
    )


def _painted(above: NDArray[np.float64], *, blur: float) -> NDArray[np.uint8]:
    """RGBA of a scaled map; `blur` in pixels smooths away the stored map's own steps."""
    smooth: NDArray[np.float64] = cv2.GaussianBlur(above, (0, 0), blur).astype(np.float64, copy=False)
    colour = np.stack([np.interp(smooth, _STOPS, _COLOURS[:, channel]) for channel in range(3)], axis=-1)
    opacity = np.where(smooth > 0, np.interp(smooth, _STOPS, _OPACITY), 0.0)
    away = _distance(smooth)
    colour, opacity = _laid_over(colour, opacity, _DARK, 0.55 * np.clip(2.6 - away, 0.0, 1.0))
    colour, opacity = _laid_over(colour, opacity, _WHITE, 0.95 * np.clip(1.4 - away, 0.0, 1.0))
    return np.dstack([colour.round(), (opacity * 255).round()]).astype(np.uint8)


def _distance(field: NDArray[np.float64]) -> NDArray[np.float64]:
    """About how many pixels away the zero line of a smooth field lies; (H, W) → (H, W)."""
    slopes = np.gradient(field) if min(field.shape) > 1 else (np.zeros_like(field), np.zeros_like(field))
    steep = np.hypot(slopes[0], slopes[1])
    return np.where(steep > 1e-9, np.abs(field) / np.maximum(steep, 1e-9), _FAR)


def _laid_over(
    colour: NDArray[np.float64], opacity: NDArray[np.float64], ink: NDArray[np.float64], amount: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ink of some amount (H, W) over a picture with opacity; straight, not premultiplied, alpha."""
    whole = amount + opacity * (1 - amount)
    share = np.divide(amount, whole, out=np.zeros_like(amount), where=whole > 0)[..., None]
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
