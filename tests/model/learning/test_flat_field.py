"""Uneven light is taken out, and nothing else."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.flat_field import MOST_GAIN, even_light
from tests.model.learning.scenes import Picture, noisy

LIGHT = np.linspace(0.5, 1.5, 256)[None, :, None]


def surface(level: float = 120, *, contrast: float = 0.0, seed: int = 0) -> Picture:
    """An even surface with a small dark spot."""
    picture = np.full((192, 256, 3), level, np.float32)
    cv2.circle(picture, (60, 100), 4, (level - contrast,) * 3, -1)
    return noisy(picture, np.random.default_rng(seed), levels=2)


def lit(picture: Picture) -> Picture:
    return np.asarray(np.clip(picture * LIGHT, 0, 255), dtype=np.uint8)


def test_a_gradient_is_taken_out() -> None:
    before, after = lit(surface()), even_light(lit(surface()))
    columns = after.mean(axis=(0, 2))
    assert np.ptp(before.mean(axis=(0, 2))) > 100
    assert np.ptp(columns[16:-16]) < 20
    assert after.mean() == pytest.approx(before.mean(), rel=0.05)


def test_two_lights_give_nearly_the_same_picture() -> None:
    one, other = lit(surface()), np.ascontiguousarray(lit(surface())[:, ::-1])
    apart = np.abs(even_light(one).astype(int) - even_light(other))[16:-16, 16:-16]
    assert apart.mean() < 0.25 * np.abs(one.astype(int) - other).mean()


def test_a_small_defect_keeps_its_contrast() -> None:
    evened = even_light(lit(surface(contrast=40)))
    spot, around = evened[98:103, 58:63].mean(), evened[80:120, 40:80].mean()
    assert around - spot == pytest.approx(40, abs=8)


@pytest.mark.parametrize("level", [0, 1, 3, 6])
def test_a_dark_picture_is_not_blown_up(level: int) -> None:
    dark = surface(level)
    evened = even_light(dark)
    assert evened.max() <= dark.max() + 1
    dark[:, 128:] = 120  # its lit half says nothing about the dark one
    assert even_light(dark)[:, :64].mean() <= MOST_GAIN * dark[:, :64].mean() + 1


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 255))
def test_shape_kind_and_an_even_picture_stay(height: int, width: int, level: int) -> None:
    picture = np.full((height, width, 3), level, np.uint8)
    before = picture.copy()
    evened = even_light(picture)
    assert evened.shape == picture.shape
    assert evened.dtype == np.uint8
    assert np.abs(evened.astype(int) - level).max() <= (1 if level >= 8 else level)
    assert (picture == before).all()


def test_bright_places_are_cut_and_never_wrap_around() -> None:
    picture = np.full((128, 128, 3), 20, np.uint8)
    picture[:64] = 250
    assert even_light(picture)[:8].min() > 60
    assert even_light(np.full((64, 64, 3), 255, np.uint8)).min() >= 254
