import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.fixture import Fixture, FixtureMismatch
from model.placement import resize


def test_the_shapes_of_the_reference_pictures() -> None:
    assert Fixture.for_pictures([(640, 480)]).to_dict() == {
        "kind": "none", "roi": None, "height": 224, "width": 288, "picture": [640, 480],
    }  # fmt: skip
    board = Fixture.for_pictures([(1000, 667)], roi=(300, 200, 448, 160))
    assert (board.height, board.width) == (160, 448)
    crack = Fixture.for_pictures([(500, 1250)])
    assert (crack.height, crack.width) == (416, 160)


@given(st.integers(32, 4000), st.integers(32, 4000), st.integers(128, 512))
def test_the_input_keeps_the_aspect_ratio_near_the_budget(width: int, height: int, budget: int) -> None:
    fixture = Fixture.for_pictures([(width, height)], budget=budget)
    assert fixture.height % 32 == fixture.width % 32 == 0
    if max(width / height, height / width) <= budget / 64:  # else the shortest side allowed decides
        assert abs(math.log(fixture.width / fixture.height / (width / height))) < math.log(1.35)
        assert 0.5 < fixture.width * fixture.height / budget**2 < 1.6


def test_an_antialiased_resize_does_not_turn_a_fine_stripe_into_a_coarse_one() -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    small = Fixture.for_pictures([(512, 512)], budget=192).apply(stripes)
    assert small.shape == (192, 192, 3)
    assert small.std() < 30
    assert abs(float(small.mean()) - 127.5) < 1


def test_the_roi_is_what_is_seen() -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[100:164, 200:328] = (10, 200, 30)
    fixture = Fixture.for_pictures([(400, 300)], roi=(200, 100, 128, 64), budget=96)
    assert (fixture.apply(picture) == (10, 200, 30)).all()


def test_a_roi_outside_the_picture_is_refused() -> None:
    with pytest.raises(FixtureMismatch, match=r"100x100 at \(350, 0\) reaches outside the picture of 400x300"):
        Fixture.for_pictures([(400, 300)], roi=(350, 0, 100, 100))


def test_with_a_roi_another_resolution_is_refused() -> None:
    fixture = Fixture.for_pictures([(400, 300)], roi=(0, 0, 100, 100))
    with pytest.raises(FixtureMismatch, match="the ROI would lie elsewhere"):
        fixture.apply(np.zeros((600, 800, 3), np.uint8))


def test_without_a_roi_another_resolution_is_resized_and_another_aspect_refused() -> None:
    fixture = Fixture.for_pictures([(640, 480)] * 3)
    assert fixture.apply(np.zeros((960, 1280, 3), np.uint8)).shape == (224, 288, 3)
    with pytest.raises(FixtureMismatch, match="another aspect ratio"):
        fixture.apply(np.zeros((480, 480, 3), np.uint8))


def test_where_sizes_vary_a_narrow_picture_is_mirrored_and_not_squeezed() -> None:
    fixture = Fixture.for_pictures([(200, 200), (210, 200), (190, 200)], budget=128)
    assert fixture.picture is None
    disc = np.zeros((200, 100, 3), np.uint8)
    cv2.circle(disc, (50, 100), 30, (255, 255, 255), -1)
    seen = fixture.apply(disc)[:, :, 0] > 127
    rows, columns = np.nonzero(seen[:, 32:96])  # the middle half is the picture, the rest its mirror image
    assert abs(int(np.ptp(rows)) - int(np.ptp(columns))) <= 1
    placement = fixture.still((100, 200))
    assert (placement.window, placement.inner) == ((0, 0, 100, 200), (32, 0, 64, 128))


@given(st.integers(0, 380), st.integers(0, 280), st.integers(1, 20), st.integers(1, 20))
def test_a_box_on_the_input_comes_back_around_its_raw_pixels(x: int, y: int, width: int, height: int) -> None:
    fixture = Fixture.for_pictures([(400, 300)], budget=256)
    across, down = fixture.width / 400, fixture.height / 300
    box = fixture.still((400, 300)).to_raw((x * across, y * down, width * across, height * down))
    assert box == (x, y, width, height)


def test_a_box_over_the_edge_is_cut_and_never_empty() -> None:
    fixture = Fixture.for_pictures([(400, 300)], roi=(100, 50, 200, 200), budget=128)
    placement = fixture.still((400, 300))
    assert placement.to_raw((-10, -10, 500, 500)) == (100, 50, 200, 200)
    x, y, width, height = placement.to_raw((127.9, 127.9, 0.01, 0.01))
    assert (x + width, y + height) == (300, 250)
    assert min(width, height) >= 1


def test_a_fixture_survives_the_model_file() -> None:
    for fixture in (Fixture.for_pictures([(640, 480)]), Fixture.for_pictures([(64, 64)] * 2, roi=(0, 0, 32, 32))):
        assert Fixture.from_dict(fixture.to_dict()) == fixture


@pytest.mark.parametrize("name", ["roi", "height", "width", "picture"])
@pytest.mark.parametrize("odd", [float("inf"), float("nan"), 10**400, "64", [64], [0, 0], [-3, 5], True, {"x": 1}])
def test_a_fixture_of_odd_numbers_is_refused_plainly(name: str, odd: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Fixture.from_dict(Fixture.for_pictures([(64, 64)], roi=(0, 0, 32, 32)).to_dict() | {name: odd})


def test_a_flat_field_belongs_to_what_is_laid() -> None:
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[:] = np.linspace(40, 160, 320).astype(np.uint8)[None, :, None]
    plain = Fixture.for_pictures([(320, 240)], budget=128)
    flat = replace(plain, flat=True)
    assert Fixture.from_dict(flat.to_dict()) == flat
    assert "flat" not in plain.to_dict()
    assert np.ptp(flat.apply(picture).mean(axis=(0, 2))) < 0.7 * np.ptp(plain.apply(picture).mean(axis=(0, 2)))
    assert flat.place(picture) == plain.place(picture)


def test_a_stretched_picture_is_shown_whole_whatever_its_aspect_ratio() -> None:
    fixture = replace(Fixture.for_pictures([(100, 200), (110, 200)], budget=96), kind="stretch")
    for size in ((100, 200), (60, 220), (200, 200)):
        picture = np.full((size[1], size[0], 3), 50, np.uint8)
        picture[:, : size[0] // 2] = 200
        laid = fixture.apply(picture)
        assert fixture.still(size).inner == (0, 0, fixture.width, fixture.height)
        assert (laid[:, : fixture.width // 2 - 1] > 190).all()
        assert (laid[:, fixture.width // 2 + 1 :] < 60).all()


@pytest.mark.parametrize(
    ("kind", "roi", "height"), [("none", (0, 0, 8, 8), 64), ("roi", None, 64), ("axis", None, 64), ("none", None, 50)]
)
def test_an_impossible_fixture_is_refused(kind: str, roi: tuple[int, int, int, int] | None, height: int) -> None:
    with pytest.raises(ValueError, match=r"ROI|unknown|multiples of 32|without a pose"):
        Fixture(kind, roi, height, 64)  # type: ignore[arg-type]


def test_resize_shrinks_one_side_and_grows_the_other() -> None:
    ramp = np.repeat(np.arange(0, 240, dtype=np.uint8)[None, :, None], 10, axis=0).repeat(3, axis=2)
    out = resize(ramp, (60, 40))
    assert out.shape == (40, 60, 3)
    assert np.allclose(out[0, :, 0], np.arange(60) * 4 + 1.5, atol=1)
