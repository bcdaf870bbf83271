"""An anomaly map in colour, on a scale that the limits fix: what lies below the review limit stays clear.

So a good part never glows, and the picture agrees with the verdict (domain.md OP-3).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from core.verdicts import Limits

LONGEST = 640  # px of the drawing; the stored map is smaller
_STOPS = np.array([0.0, 0.45, 1.0, 2.0])  # 0 = review limit, 1 = fail limit
_COLOURS = np.array([[240, 196, 84], [240, 160, 40], [226, 74, 42], [168, 18, 44]], dtype=np.float64)  # RGB
_OPACITY = np.array([0.30, 0.48, 0.64, 0.74])


def heat_values(stored: NDArray[np.uint8], low: float, high: float) -> NDArray[np.float64]:
    """The map in units of the score from its 8-bit form; (H, W) → (H, W)."""
    return low + stored.astype(np.float64) / 255.0 * (high - low)


def scaled(values: NDArray[np.float64], limits: Limits) -> NDArray[np.float64]:
    """0 at the review limit, 1 at the fail limit; where none is proved, at half as much again above the review limit."""
    span = (limits.t_hi - limits.t_lo) if limits.t_hi is not None else 0.5 * abs(limits.t_lo)
    return (values - limits.t_lo) / max(span, 0.05 * abs(limits.t_lo), 1e-9)


def overlay(stored: NDArray[np.uint8], span: tuple[float, float], limits: Limits) -> NDArray[np.uint8]:
    """RGBA of the map (H, W) → (H', W', 4), its longer side LONGEST; clear wherever the review limit is kept.

    span: the score at 0 and at 255. An outline with a white and a dark edge stands where the limit is passed.
    """
    height, width = stored.shape
    grow = LONGEST / max(height, width)
    size = max(1, round(width * grow)), max(1, round(height * grow))
    grown = cv2.resize(heat_values(stored, *span), size, interpolation=cv2.INTER_LINEAR)
    above = scaled(grown.astype(np.float64, copy=False), limits)
    hot = above > 0
    painted = np.zeros((size[1], size[0], 4), np.uint8)
    for channel in range(3):
        painted[..., channel] = np.interp(above, _STOPS, _COLOURS[:, channel])
    painted[..., 3] = np.where(hot, np.interp(above, _STOPS, _OPACITY) * 255, 0)
    painted[~hot] = 0
    outlines, _ = cv2.findContours(hot.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(painted, outlines, -1, (10, 12, 14, 170), 4, cv2.LINE_AA)
    cv2.drawContours(painted, outlines, -1, (255, 255, 255, 235), 2, cv2.LINE_AA)
    return painted


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
