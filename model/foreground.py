"""
Where the part is, so that synthetic anomalies lie on the part and not on its background (rd-e.md, section 5).
"""

from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

Kind = Literal["none", "otsu", "grabcut", "roi"]
KINDS: tuple[str, ...] = get_args(Kind)
GRABCUT_ITERATIONS = 11  # as in the authors' release
LEAST, MOST = 0.01, 0.99  # a foreground outside these shares of the picture was not found


class Foregrounds:
    """The foreground of each picture, found once and kept.

    pictures: (N, H, W, 3) uint8. region: (H, W) bool, for kind "roi" only. `lost` counts pictures in which no
    plausible foreground was found and the whole picture is taken. Raises ValueError for an unknown kind.
    """

    def __init__(self, pictures: NDArray[np.uint8], kind: Kind, region: NDArray[np.bool_] | None = None) -> None:
        if kind not in KINDS:
            raise ValueError(f"foreground {kind!r} is unknown; choose one of {', '.join(KINDS)}")
        if (kind == "roi") != (region is not None):
            raise ValueError("foreground roi needs a region, the other kinds take none")
        if region is not None and region.shape != pictures.shape[1:3]:
            raise ValueError(f"region is {region.shape}, the pictures are {pictures.shape[1:3]} (height, width)")
        self._pictures = pictures
        self._kind = kind
        self._region = region
        self._found: dict[int, NDArray[np.bool_] | None] = {}

    def __getitem__(self, index: int) -> NDArray[np.bool_] | None:
        """(H, W) bool, or None for the whole picture."""
        if index not in self._found:
            self._found[index] = find_foreground(self._pictures[index], self._kind, self._region)
        return self._found[index]

    @property
    def lost(self) -> int:
        """How many of the pictures asked for so far have no plausible foreground."""
        return 0 if self._kind == "none" else sum(found is None for found in self._found.values())


def find_foreground(
    picture: NDArray[np.uint8], kind: Kind, region: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_] | None:
    """The part in one picture, (H, W) bool; None for the whole picture, also where no plausible part was found."""
    if kind == "none":
        return None
    found = region
    if kind != "roi":
        found = _otsu(picture) if kind == "otsu" else _grabcut(picture)
    if found is None or not LEAST <= float(found.mean()) <= MOST:
        return None
    return found


def _otsu(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Two classes by brightness; the one that holds most of the border is the background."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    _, classes = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    bright = np.asarray(classes) > 0
    border = np.concatenate([bright[0], bright[-1], bright[1:-1, 0], bright[1:-1, -1]])
    return ~bright if border.mean() > 0.5 else bright


def _grabcut(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """GrabCut from a rectangle inset by one pixel."""
    height, width = picture.shape[:2]
    label = np.zeros((height, width), np.uint8)
    back, front = np.zeros((1, 65)), np.zeros((1, 65))
    box = (1, 1, width - 2, height - 2)
    cv2.setRNGSeed(0)  # its clustering draws from OpenCV's own generator
    cv2.grabCut(picture, label, box, back, front, GRABCUT_ITERATIONS, cv2.GC_INIT_WITH_RECT)
    return np.asarray((label == cv2.GC_FGD) | (label == cv2.GC_PR_FGD), dtype=np.bool_)
