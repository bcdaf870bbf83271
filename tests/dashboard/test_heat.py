"""Heat on the fixed scale of the limits: a good part never glows."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.verdicts import Limits
from dashboard.heat import LONGEST, overlay, overlay_png, scaled

LIMITS = Limits(0.46, 0.62)


def spot(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    heat: NDArray[np.uint8] = (np.exp(-((x - 40) ** 2 + (y - 12) ** 2) / 30) * 255).astype(np.uint8)
    return heat


@given(st.floats(-2, 0.46), st.floats(0, 3), st.integers(0, 255))
@settings(max_examples=25, deadline=None)
def test_a_part_below_the_review_limit_never_glows(high: float, depth: float, value: int) -> None:
    stored = np.full((12, 16), value, np.uint8)
    stored[3:6, 4:9] = 255
    assert not overlay(stored, (high - depth, high), LIMITS).any()


def test_only_what_passes_the_limit_is_painted_and_the_worst_most() -> None:
    painted = overlay(spot(), (0.05, 0.9), LIMITS)
    assert painted.shape == (LONGEST * 48 // 64, LONGEST, 4)
    peak = painted[12 * LONGEST // 64, 40 * LONGEST // 64]
    assert peak[3] > 100
    assert peak[0] > peak[2]  # red, not blue
    assert not painted[-60:, :60].any()


def test_the_scale_hangs_on_the_limits_not_on_the_picture() -> None:
    weak, strong = (int(overlay(spot(), (0.05, top), LIMITS)[..., 3].max()) for top in (0.5, 0.9))
    middle = [overlay(spot(), (0.05, top), LIMITS)[12 * LONGEST // 64, 40 * LONGEST // 64, 3] for top in (0.5, 0.9)]
    assert middle[0] < middle[1]
    assert weak > 0
    assert strong > 0


@pytest.mark.parametrize(
    ("score", "colour", "opacity"),
    [(0.461, (240, 196, 84), 0.16), (0.62, (226, 74, 42), 0.46), (0.9, (168, 18, 44), 0.58)],
)
def test_even_heat_has_the_colour_of_its_place_on_the_scale(
    score: float, colour: tuple[int, int, int], opacity: float
) -> None:
    painted = overlay(np.zeros((60, 80), np.uint8), (score, score), LIMITS)
    assert (painted == painted[0, 0]).all()
    assert painted[0, 0].tolist() == pytest.approx([*colour, round(255 * opacity)], abs=2)


def test_a_map_that_lies_on_the_limit_everywhere_is_clear() -> None:
    assert not overlay(np.full((60, 80), 7, np.uint8), (LIMITS.t_lo, LIMITS.t_lo), LIMITS).any()


def test_no_seam_shows_where_a_drawing_was_put_together() -> None:
    random = np.random.default_rng(0)
    hills = np.asarray(cv2.GaussianBlur(random.random((320, 250)), (0, 0), 4.0))
    stored = ((hills - hills.min()) / np.ptp(hills) * 255).astype(np.uint8)
    upright = overlay(stored, (0.05, 0.9), LIMITS).astype(int)
    turned = overlay(stored[::-1], (0.05, 0.9), LIMITS)[::-1].astype(int)  # its bands begin elsewhere
    assert (np.abs(upright - turned)[..., 3] > 3).mean() < 1e-4


def test_the_outline_stands_where_the_limit_is_passed() -> None:
    slope = np.tile(np.arange(0, 255, 4, dtype=np.uint8), (48, 1))
    painted = overlay(slope, (0.0, 1.0), Limits(0.5, 0.9))[300]
    white = np.flatnonzero((painted[:, :3] > 240).all(axis=1) & (painted[:, 3] > 200))
    passed = (0.5 * 255 / 4 + 0.5) * LONGEST / 64
    assert white.mean() == pytest.approx(passed, abs=1.0)
    assert not painted[: white[0] - 5, 3].any()
    assert painted[white[-1] + 5 :, 3].all()


def test_without_a_fail_limit_nothing_is_painted_as_failed() -> None:
    heat = scaled(np.array([[0.0, 8.54]]), Limits(0.46, None))
    assert heat[0].tolist() == pytest.approx([0.0, 1.0])


@given(st.floats(0.1, 5), st.floats(0, 0.01), st.floats(0, 1), st.floats(0, 1))
def test_the_colour_agrees_with_the_verdict(t_lo: float, width: float, one: float, other: float) -> None:
    limits = Limits(t_lo, t_lo + width)
    values = np.array([[t_lo * one, t_lo + width * other, t_lo + width + 0.01 + one]])
    passed, review, failed = scaled(values - t_lo, limits)[0].tolist()
    assert passed <= 0 or one == 1
    assert 0 <= review <= 1 or width < 1e-8
    assert failed > 1


@pytest.mark.parametrize("limits", [Limits(0.0, 0.0), Limits(0.0, None), Limits(-1.0, -1.0)])
def test_limits_without_any_width_do_not_divide_by_nothing(limits: Limits) -> None:
    assert np.isfinite(scaled(np.array([[0.0, 1.0]]), limits)).all()


def test_a_stored_map_becomes_a_picture_with_transparency() -> None:
    encoded = cv2.imencode(".png", spot())[1].tobytes()
    drawn = cv2.imdecode(np.frombuffer(overlay_png(encoded, (0.05, 0.9), LIMITS), np.uint8), cv2.IMREAD_UNCHANGED)
    assert drawn is not None
    assert drawn.shape == (600, 800, 4)


@pytest.mark.parametrize(
    "encoded", [b"", b"no picture", cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()]
)
def test_what_is_no_map_is_refused(encoded: bytes) -> None:
    with pytest.raises(ValueError, match="no 8-bit map"):
        overlay_png(encoded, (0.0, 1.0), LIMITS)


def test_a_map_of_one_row_can_be_drawn() -> None:
    assert overlay(np.full((1, 9), 255, np.uint8), (0.0, 1.0), LIMITS).shape[2] == 4
