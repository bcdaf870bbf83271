import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from model.anomaly_map import STRIDES, MapMaker, blur_matrix, blur_sigma, highest, upsample_matrix

SIZES = [(256, 256), (160, 416), (416, 160), (64, 64)]
Distances = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def _distances(height: int, width: int, count: int = 2) -> Distances:
    rng = np.random.default_rng(0)
    first, second, third = (rng.random((count, height // s, width // s), dtype=np.float32) for s in STRIDES)
    return first, second, third


def _summed(distances: Distances, size: tuple[int, int]) -> NDArray[np.float32]:
    levels = [
        F.interpolate(torch.from_numpy(level)[:, None], size=size, mode="bilinear", align_corners=True)[:, 0]
        for level in distances
    ]
    return np.asarray(sum(level.numpy() for level in levels), dtype=np.float32)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_unsmoothed_map_is_the_sum_of_upsampled_distances(size: tuple[int, int]) -> None:
    distances = _distances(*size)
    assert np.abs(MapMaker(*size, smooth=False)(distances) - _summed(distances, size)).max() <= 1e-5


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_map_agrees_with_scipys_gaussian(size: tuple[int, int]) -> None:
    distances = _distances(*size)
    wanted = [gaussian_filter(picture, sigma=blur_sigma(*size)) for picture in _summed(distances, size)]
    assert np.abs(MapMaker(*size)(distances) - np.stack(wanted)).max() <= 1e-4


def test_sigma_follows_the_pixel_budget_not_the_shape() -> None:
    assert blur_sigma(256, 256) == 4
    assert blur_sigma(128, 512) == 4
    assert blur_sigma(512, 512) == 8


@given(st.integers(8, 200), st.floats(0.5, 12))
def test_blurring_keeps_a_constant(length: int, sigma: float) -> None:
    assert np.allclose(blur_matrix(length, sigma).sum(axis=1), 1)


@given(st.integers(2, 60), st.floats(0.5, 20))
def test_blurring_folds_its_border_as_scipy_does_even_where_it_is_wider_than_the_picture(
    length: int, sigma: float
) -> None:
    assert np.allclose(blur_matrix(length, sigma), gaussian_filter(np.eye(length), sigma=(sigma, 0)), atol=1e-12)


def test_upsampling_meets_both_ends() -> None:
    matrix = upsample_matrix(16, 4)
    assert matrix[0].tolist() == [1, 0, 0, 0]
    assert matrix[-1].tolist() == [0, 0, 0, 1]
    assert np.allclose(matrix.sum(axis=1), 1)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_one_distance_that_is_no_number_spoils_its_picture_and_no_other(level: int, poison: float) -> None:
    distances = _distances(64, 64)
    distances[level][1, 0, 0] = poison
    maps = MapMaker(64, 64)(distances)
    scores = highest(maps)
    assert np.isnan(maps[1]).all()
    assert np.isnan(scores[1])
    assert np.isfinite(maps[0]).all()
    assert scores[0] == maps[0].max()


def test_the_score_is_the_highest_pixel_that_is_looked_at() -> None:
    maps = np.zeros((1, 4, 4), dtype=np.float32)
    maps[0, 0, 0], maps[0, 3, 3] = 9, 2
    valid = np.ones((4, 4), dtype=np.bool_)
    valid[0, 0] = False
    assert highest(maps).tolist() == [9]
    assert highest(maps, valid).tolist() == [2]
    with pytest.raises(ValueError, match="no pixel"):
        highest(maps, np.zeros((4, 4), dtype=np.bool_))
