"""Small data sets that are really written, and what a data set holds in plain words."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.datasets import Dataset
from model.pictures import read_mask, read_picture
from tests.model.learning.conftest import write


def picture(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def label(*, defective: bool) -> NDArray[np.uint8]:
    mask = np.zeros((12, 16), np.uint8)
    mask[3:6, 4:9] = 255 if defective else 0
    return mask


def write_all(root: Path, *names: str) -> None:
    """Pictures that differ, or masks where the name says so."""
    for number, name in enumerate(names):
        is_mask = any(word in name for word in ("ground_truth", "Masks"))
        write(root / name, label(defective=True) if is_mask else picture(number))


def trained(dataset: Dataset) -> set[str]:
    return {path.relative_to(dataset.root).as_posix() for path in dataset.train}


def labels(dataset: Dataset) -> dict[str, str]:
    """Kind by path."""
    return {one.path.relative_to(dataset.root).as_posix(): one.kind for one in dataset.test}


def masks(dataset: Dataset) -> dict[str, str]:
    """Mask by name of the picture, for those that have one."""
    return {one.path.name: one.mask.relative_to(dataset.root).as_posix() for one in dataset.test if one.mask}


def all_files_are_pictures(dataset: Dataset) -> bool:
    for path in (*dataset.train, *dataset.held_out):
        read_picture(path)
    return all(
        read_picture(one.path).shape[:2] == read_mask(one.mask).shape and read_mask(one.mask).any()
        for one in dataset.test
        if one.mask
    )
