"""A picture that shows what a fixture does: golden parts as photographed, with what is looked at, and as laid."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from model.fixture import Fixture, FixtureMismatch
from model.pictures import PictureUnreadable, read_picture
from model.placement import Placement

CELL = 360  # pixels a side
GAP = 8
FRAME = (255, 160, 0)
GROUND = 32


def fixture_sheet(paths: Sequence[Path], fixture: Fixture, *, most: int = 4) -> NDArray[np.uint8]:
    """Raw pictures with an outline of what the network sees in the upper row, and that in the lower one.

    paths: golden pictures; those that cannot be read or placed are left out. Returns (H, W, 3) uint8 RGB. Raises
    ValueError if none is left.
    """
    columns = []
    for path in paths:
        try:
            picture = read_picture(path)
            placement = fixture.place(picture)
        except (PictureUnreadable, FixtureMismatch):
            continue
        columns.append(np.vstack([_cell(_outlined(picture, placement)), _cell(fixture.lay(picture, placement))]))
        if len(columns) == most:
            break
    if not columns:
        raise ValueError("none of the pictures can be shown in this fixture")
    return np.hstack(columns)


def _outlined(picture: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
    raw = placement.corners(placement.inner)
    thick = max(2, round(max(picture.shape[:2]) / 160))
    return np.asarray(cv2.polylines(picture.copy(), [np.rint(raw).astype(np.int32)], True, FRAME, thick), np.uint8)  # noqa: FBT003


def _cell(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture as large as a cell takes, on a dark ground."""
    scale = (CELL - 2 * GAP) / max(picture.shape[:2])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    shown = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    cell = np.full((CELL, CELL, 3), GROUND, np.uint8)
    left, top = (CELL - size[0]) // 2, (CELL - size[1]) // 2
    cell[top : top + size[1], left : left + size[0]] = shown
    return cell
