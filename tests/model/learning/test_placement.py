"""Where a raw picture lies on the input, and the way back."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.placement import Box, Placement, Size, fit, number, resize

PICTURE, SIZE = (400, 300), (160, 128)
sides = st.integers(32, 512)
angles = st.floats(-math.pi, math.pi)


@st.composite
def poses(draw: st.DrawFn) -> Placement:
    """Parts anywhere in or near a picture, shrunk and grown."""
    picture, size = (draw(sides), draw(sides)), (draw(sides), draw(sides))
    centre = draw(st.floats(-0.2, 1.2)) * picture[0], draw(st.floats(-0.2, 1.2)) * picture[1]
    span = draw(st.floats(8, 800)), draw(st.floats(8, 800))
    return Placement.of_pose(centre, draw(angles), span, picture=picture, size=size)


def on_input(placed: Placement, x: float, y: float) -> tuple[float, float]:
    """A raw point on the input."""
    (a, b, c), (d, e, f) = placed.matrix
    return a * x + b * y + c, d * x + e * y + f


def with_mark(x: float, y: float, *, size: Size = PICTURE, radius: float = 5) -> NDArray[np.uint8]:
    """A white disc on black whose middle lies at x, y."""
    rows, columns = np.mgrid[: size[1], : size[0]] + 0.5
    inside = np.clip(radius + 0.5 - np.hypot(columns - x, rows - y), 0, 1)
    return np.repeat(np.rint(inside * 255).astype(np.uint8)[:, :, None], 3, axis=2)


def middle(laid: NDArray[np.generic]) -> tuple[float, float]:
    """Where a mark's middle lies, in continuous coordinates."""
    found = cv2.moments(laid.astype(np.float32) if laid.ndim == 2 else laid[:, :, 0].astype(np.float32))
    return found["m10"] / found["m00"] + 0.5, found["m01"] / found["m00"] + 0.5


@given(poses(), st.floats(-500, 500), st.floats(-500, 500))
def test_the_scale_says_how_long_a_raw_side_is_on_the_input(placed: Placement, x: float, y: float) -> None:
    span = placed.size[0] / placed.scale * placed.size[1] / placed.scale
    (u0, v0), (u1, v1), (u2, v2) = (on_input(placed, *at) for at in ((x, y), (x + 10, y), (x, y + 10)))
    area = abs((u1 - u0) * (v2 - v0) - (u2 - u0) * (v1 - v0))
    assert area * span == pytest.approx(100 * placed.size[0] * placed.size[1], rel=1e-4)


@given(poses(), st.floats(0, 1), st.floats(0, 1))
def test_a_point_of_the_picture_comes_back_to_its_own_pixel(placed: Placement, across: float, down: float) -> None:
    x, y = across * placed.picture[0], down * placed.picture[1]
    left, top, width, height = placed.to_raw((*on_input(placed, x, y), 0, 0))
    assert left - 1e-3 <= x <= left + width + 1e-3
    assert top - 1e-3 <= y <= top + height + 1e-3
    assert (width, height) == (1, 1)


@given(poses(), st.floats(0, 1), st.floats(0, 1), st.floats(0, 200), st.floats(0, 200))
def test_a_box_on_the_input_comes_back_around_its_raw_pixels_at_any_angle(
    placed: Placement, across: float, down: float, wide: float, high: float
) -> None:
    x, y = across * placed.size[0], down * placed.size[1]
    left, top, width, height = placed.to_raw((x, y, wide, high))
    assert min(left, top, width - 1, height - 1) >= 0
    assert left + width <= placed.picture[0]
    assert top + height <= placed.picture[1]
    back = np.linalg.inv(np.vstack([placed.matrix, (0, 0, 1)]))
    for u, v in ((x, y), (x + wide, y), (x, y + high), (x + wide, y + high)):
        raw_x, raw_y, _ = back @ (u, v, 1)
        assert left - 1e-3 <= min(max(raw_x, left), placed.picture[0])
        assert not left + width + 1e-3 < raw_x < placed.picture[0] - 1
        assert not top + height + 1e-3 < raw_y < placed.picture[1] - 1


@settings(max_examples=60, deadline=None)
@given(angles, st.floats(0.2, 4.0), st.floats(0.4, 0.6), st.floats(0.4, 0.6))
def test_a_mark_lies_where_the_matrix_says_shrunk_grown_and_turned(
    angle: float, scale: float, across: float, down: float
) -> None:
    x, y = across * PICTURE[0], down * PICTURE[1]
    span = SIZE[0] / scale, SIZE[1] / scale
    placed = Placement.of_pose((203.3, 148.1), angle, span, picture=PICTURE, size=SIZE)
    u, v = on_input(placed, x, y)
    radius = max(4.0, 3 / scale)
    if min(u, v, SIZE[0] - u, SIZE[1] - v) <= radius * scale + 2:
        return  # it is not wholly on the input
    assert middle(placed.lay(with_mark(x, y, radius=radius))) == pytest.approx((u, v), abs=0.25)


@pytest.mark.parametrize("size", [(160, 128), (150, 100), (97, 61), (800, 600), (200, 300), (400, 300)])
@pytest.mark.parametrize("window", [(0, 0, 400, 300), (100, 60, 200, 180), (101, 61, 199, 177)])
def test_a_mark_in_a_window_lies_where_the_matrix_says(window: Box, size: Size) -> None:
    placed = Placement.of_window(window, PICTURE, size, stretched=True)
    x, y = 190.4, 140.7
    laid = placed.lay(with_mark(x, y))
    assert laid.shape == (size[1], size[0], 3)
    assert middle(laid) == pytest.approx(on_input(placed, x, y), abs=0.25)


def test_a_turned_window_is_the_same_as_one_that_is_not_turned() -> None:
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8), (0, 0), 2)
    still = Placement.of_window((0, 0, 400, 300), PICTURE, (160, 120)).lay(np.asarray(picture))
    turned = Placement.of_pose((200, 150), 0.0, (400, 300), picture=PICTURE, size=(160, 120)).lay(np.asarray(picture))
    assert np.abs(still.astype(int) - turned).mean() < 1.5


@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 4, 2.0])
@pytest.mark.parametrize("scale", [0.11, 0.3, 0.55, 0.8])
@pytest.mark.parametrize("period", [2, 3])
def test_a_fine_stripe_never_becomes_a_coarse_one(angle: float, scale: float, period: int) -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::period] = 255
    placed = Placement.of_pose((256, 256), angle, (64 / scale, 64 / scale), picture=(512, 512), size=(64, 64))
    inside = placed.lay(stripes)
    coarse = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 2.0)[8:-8, 8:-8]
    assert coarse.std() < 12
    assert coarse.mean() == pytest.approx(255 / period, abs=8)


def test_floats_are_laid_as_well_as_bytes() -> None:
    mark = with_mark(200, 150)[:, :, 0].astype(np.float32) / 255
    for placed in (
        Placement.of_pose((200, 150), 0.7, (100, 80), picture=PICTURE, size=SIZE),
        Placement.of_window((100, 100, 160, 128), PICTURE, SIZE),
    ):
        laid = placed.lay(mark)
        assert laid.dtype == np.float32
        assert laid.shape == (128, 160)
        assert middle(laid) == pytest.approx(on_input(placed, 200, 150), abs=0.25)


def test_a_part_partly_outside_the_picture_is_continued_by_its_edge() -> None:
    picture = np.full((300, 400, 3), 50, np.uint8)
    picture[:, :40] = 200
    placed = Placement.of_pose((0, 150), 0.0, (160, 128), picture=PICTURE, size=SIZE)
    laid = placed.lay(picture)
    assert (laid[:, :118] == 200).all()
    assert (laid[:, 122:] == 50).all()
    assert placed.to_raw((0, 0, *SIZE)) == (0, 86, 80, 128)


@pytest.mark.parametrize("centre", [(-300, 150), (900, 150), (200, -900), (5000, 5000)])
def test_a_part_wholly_outside_the_picture_breaks_nothing(centre: tuple[float, float]) -> None:
    placed = Placement.of_pose(centre, 0.5, (100, 80), picture=PICTURE, size=SIZE)
    assert placed.lay(with_mark(200, 150)).shape == (128, 160, 3)
    x, y, width, height = placed.to_raw((0, 0, *SIZE))
    assert 0 <= x < x + width <= PICTURE[0]
    assert 0 <= y < y + height <= PICTURE[1]
    assert (placed.on_picture(np.eye(128, 160, dtype=np.float32), 100) == 0).all()


WINDOWS = {
    "none": Placement.of_window((0, 0, 400, 300), PICTURE, SIZE),
    "roi": Placement.of_window((150, 100, 100, 80), PICTURE, SIZE),
    "mirrored": Placement.of_window((0, 0, 400, 300), PICTURE, (128, 160)),
    "mirrored roi": Placement.of_window((180, 40, 40, 200), PICTURE, (160, 160)),
    "stretch": Placement.of_window((0, 0, 400, 300), PICTURE, (96, 192), stretched=True),
    "turned": Placement.of_pose((210, 140), 0.6, (200, 160), picture=PICTURE, size=SIZE),
    "grown": Placement.of_pose((210, 140), -2.0, (50, 40), picture=PICTURE, size=SIZE),
}


@pytest.mark.parametrize("longest", [50, 133, 320, 400, 4000])
@pytest.mark.parametrize("name", WINDOWS)
def test_a_peak_comes_back_to_its_raw_place(name: str, longest: int) -> None:
    placed = WINDOWS[name]
    scale = min(1.0, longest / PICTURE[0])
    rng = np.random.default_rng(3)
    x0, y0, wide, high = placed.inner
    for u, v in rng.integers((x0 + 2, y0 + 2), (x0 + wide - 2, y0 + high - 2), (20, 2)).tolist():
        anomaly = np.full((placed.size[1], placed.size[0]), 0.2, np.float32)
        anomaly[v, u] = 1.0
        back = np.linalg.inv(np.vstack([placed.matrix, (0, 0, 1)]))
        x, y, _ = back @ (u + 0.5, v + 0.5, 1)
        spread = placed.on_picture(anomaly, longest)
        assert spread.shape == (round(PICTURE[1] * scale), round(PICTURE[0] * scale))
        assert spread.max() > 0.3  # however small it becomes
        weight = spread - spread.min()
        assert middle(weight) == pytest.approx((x * scale, y * scale), abs=1.0)
        if placed.scale > scale * 1.5:
            assert spread.max() == 1.0  # where several pixels fall on one, the highest counts


@pytest.mark.parametrize("name", ["roi", "mirrored roi", "turned", "grown"])
def test_what_is_not_looked_at_has_the_lowest_value(name: str) -> None:
    placed = WINDOWS[name]
    anomaly = np.full((placed.size[1], placed.size[0]), 2.0, np.float32)
    anomaly[placed.size[1] // 2, placed.size[0] // 2] = -1.0
    spread = placed.on_picture(anomaly, max(PICTURE))
    x, y, width, height = placed.inner
    rows, columns = np.mgrid[:300, :400] + 0.5
    places = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.array(placed.matrix).T
    seen = ((places >= (x, y)) & (places < (x + width, y + height))).all(axis=-1)
    assert (spread[~cv2.dilate(seen.astype(np.uint8), np.ones((3, 3))).astype(bool)] == -1.0).all()
    assert (spread[seen] == 2.0).mean() > 0.99


def test_heat_at_the_picture_s_edge_does_not_fade() -> None:
    anomaly = np.zeros((32, 32), np.float32)
    anomaly[:, 0] = 1.0
    spread = Placement.of_window((0, 0, 320, 320), (320, 320), (32, 32)).on_picture(anomaly, 320)
    assert (spread[:, 0] == 1.0).all()


@given(sides, sides, sides, sides)
def test_a_fit_keeps_the_aspect_ratio_unless_it_nearly_agrees(a: int, b: int, c: int, d: int) -> None:
    width, height = fit((a, b), (c, d))
    assert width <= c
    assert height <= d
    assert width == c or height == d
    if (width, height) != (c, d) and min(width, height) > 16:
        assert math.log(width / height * b / a) == pytest.approx(0, abs=0.07)


@pytest.mark.parametrize("size", [(320, 240), (288, 224), (64, 48), (33, 47), (7, 900)])
def test_halving_first_is_still_an_average_over_areas(size: Size) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (960, 1280), dtype=np.uint8).astype(np.float32)
    picture = np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.0)) * 3  # as sharp as lenses are
    once = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    assert np.abs(resize(picture, size) - once).mean() < 0.1 * picture.std()
    assert resize(picture, size).mean() == pytest.approx(picture.mean(), rel=0.01)


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 10**400, "3", None, [1], 1e300])
def test_only_a_finite_number_is_one(odd: object) -> None:
    with pytest.raises(ValueError, match="is no number"):
        number(odd)
    assert number(3) == 3.0
