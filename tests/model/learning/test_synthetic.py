import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator
from numpy.typing import NDArray

from model.losses import mask_levels
from model.synthetic import Twin, TwinReport, make_twin, perlin, shrink_mask, twin_rng
from model.textures import ProceduralTextures

PICTURE = np.random.default_rng(0).integers(60, 200, (64, 96, 3), dtype=np.uint8)


class Plain:
    """A texture of one tone."""

    def __init__(self, tone: float) -> None:
        self.tone = tone

    def sample(self, _rng: Generator, size: tuple[int, int]) -> NDArray[np.float32]:
        return np.full((*size, 3), self.tone, np.float32)


def twin(seed: int, foreground: NDArray[np.bool_] | None = None) -> Twin:
    return make_twin(PICTURE, ProceduralTextures(), twin_rng(seed, 0, 0), foreground)


@given(st.integers(0, 2**31), st.integers(0, 10**6), st.integers(0, 64))
@settings(max_examples=60, deadline=None)
def test_no_mask_is_empty_and_no_twin_invisible(seed: int, iteration: int, position: int) -> None:
    made = make_twin(PICTURE, ProceduralTextures(), twin_rng(seed, iteration, position))
    old = PICTURE.astype(np.float32) / 255
    assert made.mask.any()
    assert shrink_mask(made.mask, (16, 24)).any()
    assert made.mask.mean() <= 0.5
    assert np.abs(made.marred - old)[made.mask].mean(axis=0).max() >= 8 / 255 - 1e-6
    assert np.array_equal(made.marred[~made.mask], old[~made.mask])
    assert made.marred.dtype == np.float32
    assert 0 <= made.marred.min() <= made.marred.max() <= 1


def test_seed_iteration_and_position_make_the_twin() -> None:
    first, again = (make_twin(PICTURE, ProceduralTextures(), twin_rng(3, 5, 7)) for _ in range(2))
    assert np.array_equal(first.marred, again.marred)
    for other in ((4, 5, 7), (3, 6, 7), (3, 5, 8)):
        assert not np.array_equal(first.mask, make_twin(PICTURE, ProceduralTextures(), twin_rng(*other)).mask)


def test_the_global_random_state_is_neither_used_nor_moved() -> None:
    np.random.seed(1)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    first = twin(1)
    np.random.seed(1)  # noqa: NPY002
    second = twin(1)
    assert np.random.random() == expected  # noqa: NPY002
    assert np.array_equal(first.marred, second.marred)


def test_anomalies_lie_on_the_foreground() -> None:
    left = np.zeros((64, 96), np.bool_)
    left[:, :48] = True
    made = [twin(seed, left) for seed in range(30)]
    assert all(not one.mask[:, 48:].any() for one in made if not one.ellipse)
    assert sum(one.ellipse for one in made) < 10


def test_a_foreground_that_no_noise_hits_gets_an_ellipse() -> None:
    dot = np.zeros((64, 96), np.bool_)
    dot[30, 40] = True
    made = twin(0, dot)
    assert made.ellipse
    assert made.mask_redraws == 20
    assert made.mask[30, 40]
    rows, columns = np.nonzero(made.mask)
    assert np.ptp(rows) <= 49
    assert np.ptp(columns) <= 49


def test_a_texture_that_changes_nothing_is_drawn_again_and_then_forced() -> None:
    grey = np.full((64, 64, 3), 102, np.uint8)
    made = make_twin(grey, Plain(0.4), twin_rng(0, 0, 0))
    assert made.forced
    assert made.texture_redraws == 20
    assert np.allclose(made.marred[made.mask], 0.9)
    assert not make_twin(grey, Plain(0.9), twin_rng(0, 0, 0)).forced


def test_the_report_counts_redraws_and_fall_backs() -> None:
    report = TwinReport()
    grey = np.full((64, 64, 3), 102, np.uint8)
    report.count(make_twin(grey, Plain(0.4), twin_rng(0, 0, 0)))
    report.count(make_twin(grey, Plain(0.9), twin_rng(0, 0, 1)))
    assert report.to_dict()["twins"] == 2
    assert report.to_dict()["forced"] == 1
    assert report.to_dict()["texture_redraws"] == 20


def test_perlin_noise_vanishes_at_the_grid_and_varies_between() -> None:
    noise = perlin(np.random.default_rng(0), (64, 128), (4, 8))
    assert noise.shape == (64, 128)
    assert np.abs(noise[::16, ::16]).max() < 1e-6
    assert 0.2 < noise.std() < 0.6
    assert np.abs(np.diff(noise, axis=1)).max() < 0.2  # continuous across the cells


def test_masks_cover_what_the_reference_says() -> None:
    """4.6 % of raw draws are empty, the median area is 4.6 % (rd-e.md, section 5)."""
    areas = []
    for number in range(600):
        rng = np.random.default_rng(number)
        grid = 2 ** int(rng.integers(6)), 2 ** int(rng.integers(6))
        areas.append(float((perlin(rng, (256, 256), grid) > 0.5).mean()))
    assert 0.02 < np.mean(np.array(areas) == 0) < 0.08
    assert 0.03 < np.median(areas) < 0.08


@pytest.mark.parametrize(
    ("rows", "counts"), [((128, 134), (64, 0, 0)), ((128, 140), (192, 32, 0))], ids=["six rows", "twelve rows"]
)
def test_a_mask_shrinks_by_cascade(rows: tuple[int, int], counts: tuple[int, int, int]) -> None:
    mask = np.zeros((256, 256), np.bool_)
    mask[rows[0] : rows[1]] = True
    found = []
    for side in (64, 32, 16):
        mask = shrink_mask(mask, (side, side))
        found.append(int(mask.sum()))
    assert tuple(found) == counts


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_a_mask_shrinks_here_as_it_does_in_the_losses(seed: int) -> None:
    mask = np.random.default_rng(seed).random((8, 12)).repeat(8, axis=0).repeat(8, axis=1) > 0.6
    by_losses = mask_levels(torch.from_numpy(mask)[None, None].float(), [(16, 24)])[0][0].numpy()
    assert np.array_equal(shrink_mask(mask, (16, 24)), by_losses > 0)
