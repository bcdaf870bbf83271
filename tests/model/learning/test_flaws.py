"""Made-up flaws: where they are asked for, as strong as they are asked for, and nowhere else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from model.flaws import FLAW_KINDS, Flaw, FlawKind, mar
from tests.model.learning.scenes import HEIGHT, WIDTH, Picture, board, bolt

kinds = st.sampled_from(FLAW_KINDS)
seeds = st.integers(0, 2**32)


def changed(before: Picture, after: Picture) -> Picture:
    return np.asarray(np.abs(after.astype(int) - before).max(axis=2), dtype=np.uint8)


@settings(max_examples=80, deadline=None)
@given(kinds, st.floats(1, 300), st.floats(5, 120), seeds)
def test_only_the_box_changes_and_the_picture_stays(kind: FlawKind, size: float, contrast: float, seed: int) -> None:
    picture = board(0)
    before = picture.copy()
    marred, (x, y, width, height) = mar(picture, Flaw(kind, size, contrast), default_rng(seed))
    assert (picture == before).all()
    assert marred.shape == picture.shape
    assert marred.dtype == np.uint8
    assert min(x, y, width - 1, height - 1) >= 0
    assert x + width <= WIDTH
    assert y + height <= HEIGHT
    outside = np.ones((HEIGHT, WIDTH), np.bool_)
    outside[y : y + height, x : x + width] = False
    assert not changed(picture, marred)[outside].any()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["spot", "scratch"]), st.sampled_from([0, 20, 90, 128, 200, 255]), st.floats(15, 90), seeds)
def test_a_flaw_reaches_its_contrast_on_dark_and_bright_parts(
    kind: FlawKind, level: int, contrast: float, seed: int
) -> None:
    picture = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
    marred, _ = mar(picture, Flaw(kind, 24, contrast), default_rng(seed))
    apart = np.abs(marred.astype(float) - picture).mean(axis=2)
    assert apart.max() == pytest.approx(contrast, abs=0.12 * contrast + 1)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_a_graft_differs_from_what_was_there(seed: int) -> None:
    picture = board(1)
    marred, box = mar(picture, Flaw("graft", 30, 60), default_rng(seed))
    assert changed(picture, marred).max() > 15
    assert box[2] >= 20


@settings(max_examples=60, deadline=None)
@given(kinds, seeds, st.sampled_from([1, 2, 5]))
def test_its_middle_lies_where_it_is_allowed(kind: FlawKind, seed: int, coarse: int) -> None:
    picture = bolt(0, angle=0.3, centre=(160, 120))
    allowed = np.zeros((HEIGHT // coarse, WIDTH // coarse), np.bool_)
    allowed[60 // coarse : 80 // coarse, 200 // coarse : 240 // coarse] = True
    _, (x, y, width, height) = mar(picture, Flaw(kind, 8, 80), default_rng(seed), allowed)
    assert 200 - 1 <= x + width / 2 <= 240 + 1
    assert 60 - 1 <= y + height / 2 <= 80 + 1


@settings(max_examples=30, deadline=None)
@given(kinds, st.floats(4, 40), seeds)
def test_a_flaw_is_about_as_large_as_asked(kind: FlawKind, size: float, seed: int) -> None:
    picture = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    allowed = np.zeros((3, 3), np.bool_)
    allowed[1, 1] = True  # its middle third, so that nothing is cut
    marred, _ = mar(picture, Flaw(kind, size, 80), default_rng(seed), allowed)
    rows, columns = np.nonzero(changed(picture, marred) > 30)
    if kind == "graft":
        assert not rows.size  # there is nothing else on an even picture to graft
        return
    longest = np.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1)
    assert 0.5 * size <= longest <= (2.4 if kind == "scratch" else 1.6) * size + 4
    assert rows.size <= 0.9 * size**2 + 16


def test_the_same_generator_gives_the_same_flaw() -> None:
    for kind in FLAW_KINDS:
        one, other = (mar(board(2), Flaw(kind, 12, 60), default_rng(7)) for _ in range(2))
        assert one[1] == other[1]
        assert (one[0] == other[0]).all()
        third, box = mar(board(2), Flaw(kind, 12, 60), default_rng(8))
        assert box != one[1]
        assert (third != one[0]).any()


def test_where_nothing_is_allowed_a_flaw_may_lie_anywhere() -> None:
    _, box = mar(board(3), Flaw("spot", 8, 60), default_rng(0), np.zeros((HEIGHT, WIDTH), np.bool_))
    assert box[2] > 0
