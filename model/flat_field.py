"""Shading correction: uneven light is taken out by dividing by a wide local mean (rd-e.md, section 13)."""

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH = 24.0  # sigma of the local mean at a budget of 256² pixels
COARSE = 8  # the mean is taken on a copy that is smaller by this factor: it has no detail to lose
DARKEST = 8.0  # grey levels; below, noise would be blown up
MOST_GAIN = 4.0


def even_light(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 to the same, each place divided by the brightness around it, times the picture's own mean."""
    height, width = picture.shape[:2]
    sigma = WIDTH * float(np.sqrt(height * width)) / 256 / COARSE
    small = cv2.resize(picture, (max(1, width // COARSE), max(1, height // COARSE)), interpolation=cv2.INTER_AREA)
    light = np.asarray(small, dtype=np.float32).mean(axis=2)
    around = cv2.GaussianBlur(light, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    gain = np.clip(float(light.mean()) / np.maximum(around, DARKEST), 1 / MOST_GAIN, MOST_GAIN)
    wide = cv2.resize(gain.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(picture, cv2.merge([wide] * 3), dtype=cv2.CV_8U))
