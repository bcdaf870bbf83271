"""A part that lies elsewhere in each picture comes to the same place, angle and way round, or is refused."""

import json
import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.architecture import Architecture
from model.fixture import Fixture
from model.locating import PartFinder
from model.manifest import Manifest
from model.placement import FixtureMismatch, Placement
from model.pose import Pose, grey, likeness, part_pose, register, template_pose
from tests.model.learning.scenes import HEIGHT, WIDTH, Picture, board, bolt, cloth, noisy, plain

SIZE = (WIDTH, HEIGHT)
BOLTS = [bolt(seed) for seed in range(10)]
BOARDS = [board(seed) for seed in range(8)]


def finder() -> PartFinder:
    found = PartFinder.learnt(BOLTS)
    assert found is not None
    return found


def learnt(kind: str) -> Pose:
    found = template_pose(BOARDS) if kind == "template" else part_pose(BOLTS, finder(), turned=kind == "axis")
    assert found is not None
    return found


POSES = {kind: learnt(kind) for kind in ("part", "axis", "template")}
FIXTURES = {kind: Fixture.for_pose(pose, SIZE, budget=96) for kind, pose in POSES.items()}


def laid(kind: str, picture: Picture) -> Picture:
    return FIXTURES[kind].apply(picture)


def raw_of(placed: Placement, u: float, v: float) -> tuple[float, float]:
    """A point of the input on the raw picture."""
    x, y, _ = np.linalg.inv(np.vstack([placed.matrix, (0, 0, 1)])) @ (u, v, 1)
    return float(x), float(y)


@settings(max_examples=40, deadline=None)
@given(st.floats(-math.pi, math.pi), st.floats(90, 230), st.floats(85, 155), st.integers(-30, 40))
def test_a_bolt_comes_to_the_same_place_angle_and_way_round(angle: float, x: float, y: float, light: int) -> None:
    reference = grey(laid("axis", bolt(0, angle=0.0)))
    found = laid("axis", bolt(1, angle=angle, centre=(x, y), light=light))
    assert likeness(grey(found), reference) >= 0.9


def test_even_a_bolt_whose_ends_weigh_about_the_same_is_taken_the_right_way_round() -> None:
    def even(seed: int) -> Picture:
        """Its mass is the same at both ends; only its colours tell them apart."""
        rng = np.random.default_rng(seed)
        picture = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
        cv2.rectangle(picture, (115, 108), (205, 132), (160, 160, 160), -1)
        cv2.rectangle(picture, (180, 108), (205, 132), (230, 120, 110), -1)
        matrix = cv2.getRotationMatrix2D((160, 120), float(rng.uniform(0, 360)), 1)
        turned = cv2.warpAffine(picture, matrix, SIZE, borderMode=cv2.BORDER_REPLICATE)
        return noisy(np.asarray(turned), rng)

    pictures = [even(seed) for seed in range(12)]
    found = PartFinder.learnt(pictures)
    assert found is not None
    pose = part_pose(pictures, found, turned=True)
    assert pose is not None
    fixture = Fixture.for_pose(pose, SIZE, budget=96)
    first = grey(fixture.apply(pictures[0]))
    assert all(likeness(grey(fixture.apply(even(seed))), first) > 0.9 for seed in range(20, 30))


def test_the_input_shows_the_whole_part_and_little_more() -> None:
    across, down = POSES["axis"].span
    assert 90 < across < 130
    assert 46 < down < 66


def test_kind_part_turns_nothing() -> None:
    placed = FIXTURES["part"].place(bolt(1, angle=0.5))
    assert placed.matrix[0][1] == placed.matrix[1][0] == 0
    x, y = raw_of(placed, FIXTURES["part"].width / 2, FIXTURES["part"].height / 2)
    part = finder().find(bolt(1, angle=0.5))
    assert part is not None
    assert (x, y) == pytest.approx(part.centre)


def test_a_round_part_has_no_axis() -> None:
    def disc(seed: int) -> Picture:
        rng = np.random.default_rng(seed)
        picture = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
        cv2.circle(picture, (int(rng.integers(100, 220)), 120), 40, (180, 170, 160), -1, cv2.LINE_AA)
        return noisy(picture, rng)

    pictures = [disc(seed) for seed in range(6)]
    found = PartFinder.learnt(pictures)
    assert found is not None
    assert part_pose(pictures, found, turned=True) is None
    assert part_pose(pictures, found, turned=False) is not None


@settings(max_examples=30, deadline=None)
@given(st.floats(-6, 6), st.floats(-6, 6), st.floats(-1.2, 1.2))
def test_a_board_is_registered_to_a_quarter_of_an_input_pixel(x: float, y: float, turn: float) -> None:
    fixture = FIXTURES["template"]
    still = fixture.place(board(100, shift=(0.001, 0), angle=0.0))
    moved = fixture.place(board(101, shift=(x, y), angle=turn))
    cos, sin = math.cos(math.radians(-turn)), math.sin(math.radians(-turn))  # OpenCV turns the other way
    for u, v in ((20, 20), (fixture.width - 20, 20), (fixture.width / 2, fixture.height - 15)):
        raw_x, raw_y = raw_of(still, u, v)
        dx, dy = raw_x - WIDTH / 2, raw_y - HEIGHT / 2
        wanted = cos * dx - sin * dy + WIDTH / 2 + x, sin * dx + cos * dy + HEIGHT / 2 + y
        off = np.hypot(*(np.array(raw_of(moved, u, v)) - wanted)) * moved.scale
        assert off < 0.25


def test_a_template_s_rectangle_follows_the_board() -> None:
    pose = template_pose(BOARDS, (120, 80, 100, 60))
    assert pose is not None
    assert pose.span == (100, 60)
    fixture = Fixture.for_pose(pose, SIZE, budget=96)
    views = [grey(fixture.apply(board(seed))) for seed in range(20, 26)]
    assert all(likeness(view, views[0]) > 0.97 for view in views)
    x, y = raw_of(fixture.place(BOARDS[0]), fixture.width / 2, fixture.height / 2)
    assert (x, y) == pytest.approx((170, 110), abs=4)  # where it was given, but for that board's own shift


def test_locating_changes_nothing_that_it_looks_at() -> None:
    for kind, picture in (("template", BOARDS[1]), ("axis", BOLTS[1]), ("part", BOLTS[1])):
        fresh, before = Pose.from_dict(POSES[kind].to_dict()), picture.copy()
        first = fresh.best(picture, (96, 96))
        template = fresh.picture.copy()
        for _ in range(5):
            assert fresh.best(picture, (96, 96)) == first
        assert (picture == before).all()
        assert (fresh.picture == template).all()


def test_registering_leaves_both_pictures_as_they_are() -> None:
    one, other = (np.ascontiguousarray(grey(board(seed))[:128, :160]) for seed in (0, 1))  # a size that FFTs like
    before = one.copy(), other.copy()
    register(one, other)
    assert (one == before[0]).all()
    assert (other == before[1]).all()


@pytest.mark.parametrize("kind", ["part", "axis", "template"])
def test_every_golden_picture_is_accepted(kind: str) -> None:
    for picture in BOARDS if kind == "template" else BOLTS:
        assert FIXTURES[kind].place(picture).confidence >= POSES[kind].least


def test_a_picture_without_the_part_is_refused() -> None:
    for kind in ("part", "axis"):
        with pytest.raises(FixtureMismatch, match="no part of the golden ones' size before a plain background"):
            FIXTURES[kind].place(plain(0))


def test_another_part_of_the_same_size_is_refused() -> None:
    cross = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    cv2.rectangle(cross, (153, 75), (167, 165), (180, 170, 160), -1)
    cv2.rectangle(cross, (115, 113), (205, 127), (180, 170, 160), -1)
    with pytest.raises(FixtureMismatch, match=r"likeness 0\.\d\d, at least 0\.\d\d is asked\); check that it is there"):
        FIXTURES["axis"].place(noisy(cross, np.random.default_rng(0)))


@pytest.mark.parametrize("picture", [cloth(0), plain(0), bolt(0)], ids=["texture", "empty", "bolt"])
def test_what_is_no_board_is_refused(picture: Picture) -> None:
    with pytest.raises(FixtureMismatch, match=r"does not lie as|cannot be registered|shifted too far"):
        FIXTURES["template"].place(picture)


def test_pictures_that_are_not_alike_give_no_template() -> None:
    assert template_pose([cloth(seed) for seed in range(6)]) is None
    assert template_pose([plain(seed) for seed in range(6)]) is None


def test_a_picture_of_another_size_is_refused_where_the_part_would_be_larger() -> None:
    with pytest.raises(FixtureMismatch, match=r"golden ones were 320x240: the part would be larger or smaller"):
        FIXTURES["axis"].place(np.asarray(cv2.resize(BOLTS[0], (640, 480)), np.uint8))


@pytest.mark.parametrize("kind", ["part", "axis", "template"])
def test_a_pose_survives_the_model_file(kind: str) -> None:
    words = json.loads(json.dumps(FIXTURES[kind].to_dict()))
    again = Fixture.from_dict(words)
    assert again == FIXTURES[kind]
    picture = BOARDS[0] if kind == "template" else BOLTS[0]
    assert again.place(picture) == FIXTURES[kind].place(picture)
    Manifest(architecture=Architecture().to_dict(), height=again.height, width=again.width, fixture=words)


ODD: list[Any] = [
    None, True, -1, 0, 1 << 40, 10**400, 1e308, float("nan"), float("inf"), "", "x", "QUJD", [], {}, [1], [1, 2],
    [0, 0], [1, 2, 3], ["a", "b"], {"a": 1, "b": 2}, {"threshold": 1}, "part", "axis", "template",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["axis", "template"])
@pytest.mark.parametrize("name", ["kind", "span", "template", "least", "finder", "centre"])
def test_a_malformed_pose_is_refused_plainly(kind: str, name: str) -> None:
    for odd in ODD:
        words = FIXTURES[kind].to_dict()
        words["pose"][name] = odd
        try:
            found = Fixture.from_dict(words)
        except (KeyError, TypeError, ValueError):
            with pytest.raises(ValueError, match=r"."):
                Manifest(architecture=Architecture().to_dict(), height=96, width=96, fixture=words).fitted()
            continue
        assert found.pose is not None
        assert math.isfinite(found.pose.least)
        del words["pose"][name]
        with pytest.raises(KeyError):
            Fixture.from_dict(words)


@pytest.mark.parametrize(
    "change", [{"finder": None}, {"centre": (1.0, 1.0)}, {"kind": "template"}, {"span": (0.0, 9.0)}]
)
def test_a_pose_of_parts_that_do_not_belong_together_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="pose"):
        replace(POSES["axis"], **change)
