"""Small parts and small networks, quick enough to really train."""

import copy
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.architecture import Architecture
from model.networks import Networks, build_networks

SMALL = Architecture(features="linear")


def part(number: int, *, scratched: bool = False, size: tuple[int, int] = (64, 64)) -> NDArray[np.uint8]:
    """A grey part with a bright ring, a little noise and jitter; the same for the same number."""
    rng = np.random.default_rng(number)
    picture = np.full((*size, 3), 90, np.uint8)
    x, y = (rng.integers(-1, 2, 2) + np.array([size[1] // 2, size[0] // 2])).tolist()
    cv2.circle(picture, (x, y), min(size) // 3, (180, 170, 160), 5, cv2.LINE_AA)
    if scratched:
        cv2.line(picture, (x - 12, y - 10), (x + 12, y + 8), (20, 20, 40), 3, cv2.LINE_AA)
    noisy = picture.astype(np.int16) + rng.integers(-6, 7, picture.shape)
    return np.asarray(np.clip(noisy, 0, 255), dtype=np.uint8)


def write(path: Path, picture: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.ascontiguousarray(picture[:, :, ::-1]) if picture.ndim == 3 else picture)
    return path


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Small networks gain nothing from a second thread, and lose much where the machine has other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def parts() -> NDArray[np.uint8]:
    """(12, 64, 64, 3) uint8."""
    return np.stack([part(number) for number in range(12)])


@pytest.fixture(scope="session")
def fresh_networks() -> Networks:
    return build_networks(SMALL, seed=0)


@pytest.fixture
def networks(fresh_networks: Networks) -> Networks:
    """Networks at the start of training, for this test alone."""
    return copy.deepcopy(fresh_networks)


def data_set(root: Path, *, train: range, test: range, digits: int = 1) -> Path:
    """A data set in the MVTec AD layout: `train` to learn from; as many good and scratched ones as `test`, with masks.

    digits: of the names of those to learn from, which are read in the order of their names.
    """
    for number in train:
        write(root / f"train/good/{number:0{digits}}.png", part(number))
    for number in test:
        write(root / f"test/good/{number}.png", part(100 + number))
        picture, clean = part(200 + number, scratched=True), part(200 + number)
        write(root / f"test/scratch/{number}.png", picture)
        changed = np.abs(picture.astype(int) - clean.astype(int)).max(axis=2) > 30
        write(root / f"ground_truth/scratch/{number}_mask.png", changed.astype(np.uint8) * 255)
    return root


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in the MVTec AD layout: 24 to learn from, 6 good and 6 scratched to test on."""
    return data_set(tmp_path_factory.mktemp("rings"), train=range(24), test=range(6), digits=2)
