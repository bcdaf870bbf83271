"""A part before a plain background is found; where the golden pictures show none, none is."""

import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.locating import Part, PartFinder
from tests.model.learning.scenes import GROUND, HEAD, HEIGHT, LONG, WIDTH, Picture, board, bolt, cloth, noisy, plain

FINDER = PartFinder.learnt([bolt(seed) for seed in range(8)])
AREA = (LONG - HEAD) * 22 + HEAD * 46


def found(picture: Picture) -> Part:
    assert FINDER is not None
    part = FINDER.find(picture)
    assert part is not None
    return part


def disc(seed: int, radius: int, *, hole: int = 0, place: tuple[int, int] = (160, 120)) -> Picture:
    picture = np.full((HEIGHT, WIDTH, 3), GROUND, np.uint8)
    cv2.circle(picture, place, radius, (180, 170, 160), -1, cv2.LINE_AA)
    cv2.circle(picture, place, hole, (GROUND, GROUND, GROUND), -1, cv2.LINE_AA) if hole else None
    return noisy(picture, np.random.default_rng(seed))


@settings(max_examples=50, deadline=None)
@given(st.floats(-math.pi, math.pi), st.floats(80, 240), st.floats(80, 160), st.integers(-40, 60))
def test_a_part_is_found_at_any_place_and_angle_whatever_the_light(
    angle: float, x: float, y: float, light: int
) -> None:
    part = found(bolt(1, angle=angle, centre=(x, y), light=light))
    apart = np.array(part.centre) - (x, y)
    toward = apart @ (math.cos(angle), math.sin(angle))
    assert np.hypot(*apart) < 12  # its area's middle lies towards the head
    assert toward > 4
    assert abs(apart @ (-math.sin(angle), math.cos(angle))) < 1.0
    turned = (part.angle - angle + math.pi / 2) % math.pi - math.pi / 2
    assert abs(turned) < math.radians(2)
    assert part.length == pytest.approx(LONG, abs=6)
    assert part.breadth == pytest.approx(46, abs=6)
    assert part.mask.mean() * WIDTH * HEIGHT == pytest.approx(AREA, rel=0.15)


def test_the_heavier_end_lies_on_the_same_side_of_the_axis_at_any_angle() -> None:
    turns = np.linspace(-3.1, 3.1, 41)
    ways = [math.cos(found(bolt(2, angle=float(turn))).angle - float(turn)) > 0 for turn in turns]
    assert len(set(ways)) == 1


def test_the_box_holds_the_whole_part() -> None:
    for x, y in ((160, 120), (101, 77), (222, 140)):
        left, top, width, height = found(bolt(3, angle=0.0, centre=(x, y))).box
        assert left <= x - LONG / 2
        assert left + width >= x + LONG / 2
        assert top <= y - 23
        assert top + height >= y + 23
        assert width < LONG + 8
        assert height < 46 + 8


def test_its_reach_is_measured_from_its_centre_along_any_axis() -> None:
    part = found(bolt(4, angle=0.0, centre=(160, 120)))
    along, across = part.reach(0.0)
    assert along == pytest.approx(part.centre[0] - 115, abs=3)  # to the shank's end, which is farther than the head's
    assert across == pytest.approx(23, abs=3)
    assert part.reach(math.pi / 2) == pytest.approx((across, along))


@pytest.mark.parametrize("make", [cloth, plain], ids=["texture", "empty"])
def test_where_there_is_no_part_none_is_learnt(make: Callable[[int], Picture]) -> None:
    assert PartFinder.learnt([make(seed) for seed in range(8)]) is None


def test_where_golden_pictures_disagree_none_is_learnt() -> None:
    some = [bolt(seed) for seed in range(6)]
    assert PartFinder.learnt([*some, plain(1), plain(2)]) is None  # a part is missing from too many
    sizes = [disc(seed, radius) for seed, radius in enumerate((15, 25, 35, 45, 55, 65))]
    assert PartFinder.learnt(sizes) is None  # its size is another each time


def test_a_part_that_fills_nearly_the_whole_picture_is_none() -> None:
    full = []
    for seed in range(6):
        picture = np.full((HEIGHT, WIDTH, 3), GROUND, np.uint8)
        cv2.rectangle(picture, (10, 10), (WIDTH - 11, HEIGHT - 11), (180, 170, 160), -1)
        full.append(noisy(picture, np.random.default_rng(seed)))
    assert PartFinder.learnt(full) is None


@pytest.mark.parametrize(
    "picture", [plain(0), disc(0, 8), disc(0, 80), cloth(0)], ids=["none", "too small", "too large", "texture"]
)
def test_what_has_not_the_size_of_a_golden_part_is_none(picture: Picture) -> None:
    assert FINDER is not None
    assert FINDER.find(picture) is None


def test_holes_belong_to_the_part() -> None:
    rings = [disc(seed, 50, hole=25) for seed in range(6)]
    finder = PartFinder.learnt(rings)
    assert finder is not None
    part = finder.find(rings[0])
    assert part is not None
    assert part.mask.mean() * WIDTH * HEIGHT == pytest.approx(math.pi * 50**2, rel=0.1)
    assert part.centre == pytest.approx((160.5, 120.5), abs=1)


def test_a_part_that_touches_the_border_is_found() -> None:
    part = found(bolt(5, angle=0.0, centre=(LONG / 2 - 8, 120)))
    assert part.box[0] == 0


def test_the_background_at_the_border_is_no_part() -> None:
    frame = np.full((HEIGHT, WIDTH, 3), GROUND, np.uint8)
    frame[:, :14] = frame[:14] = 200
    assert FINDER is not None
    assert FINDER.find(noisy(frame, np.random.default_rng(0))) is None


@pytest.mark.parametrize("scale", [0.2, 0.5, 3.0, 3.37])
def test_places_are_in_raw_pixels_whatever_the_resolution(scale: float) -> None:
    size = round(WIDTH * scale), round(HEIGHT * scale)
    larger = np.asarray(
        cv2.resize(bolt(6, angle=0.4), size, interpolation=cv2.INTER_AREA if scale < 1 else 1), np.uint8
    )
    small, large = found(bolt(6, angle=0.4)), found(larger)
    assert np.array(large.centre) / scale == pytest.approx(small.centre, abs=2.5)
    assert large.length / scale == pytest.approx(small.length, rel=0.1)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"threshold": 20, "least": 0.1},
        {"threshold": 20, "least": 0.5, "most": 0.1},
        {"threshold": -1, "least": 0.1, "most": 0.5},
        {"threshold": float("nan"), "least": 0.1, "most": 0.5},
        {"threshold": 10**400, "least": 0.1, "most": 0.5},
        {"threshold": [20], "least": 0.1, "most": 0.5},
    ],
)
def test_what_tells_no_part_is_refused(values: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        PartFinder.from_dict(values)


def test_a_finder_survives_the_model_file() -> None:
    assert FINDER is not None
    assert PartFinder.from_dict(FINDER.to_dict()) == FINDER


def test_a_board_of_many_components_is_no_single_part() -> None:
    assert PartFinder.learnt([board(seed) for seed in range(6)]) is None
