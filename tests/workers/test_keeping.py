"""What is kept of a frame, and the small pictures."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.records.compared import Compared
from core.verdicts import MachineVerdict
from model.neighbours import Comparison, Nearest
from model.placement import Placement
from model.predictor import Prediction
from tests.workers.bench import SIDE, frame, picture, png
from workers.keeping import SMALL, Evidence, Keeper, small_jpeg

GOOD = png(picture())
HEAT = np.linspace(0, 1, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
WHOLE = Placement.of_window((0, 0, SIDE, SIDE), (SIDE, SIDE), (SIDE, SIDE))
EVIDENCE = Evidence(GOOD, small_jpeg(picture()), Prediction(1.0, HEAT, (), WHOLE))


def decoded(jpeg: bytes) -> NDArray[np.uint8]:
    found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert found is not None
    return np.asarray(found, np.uint8)


def kinds(verdict: MachineVerdict, **rules: object) -> dict[str, bool]:
    """Kinds that are kept, and whether durably."""
    keeper = Keeper(**{"sample_share": 0.0, "all_heat": False} | rules)  # type: ignore[arg-type]
    kept = keeper(frame(), verdict, EVIDENCE)
    return {key.partition("/")[0]: durable for key, _, durable in kept.items}


def test_of_a_passing_part_only_the_small_picture_is_kept() -> None:
    assert kinds(MachineVerdict.PASS) == {"ring": False}
    assert kinds(MachineVerdict.PASS, sample_share=1.0, all_heat=True) == {
        "sample": False,
        "ring": False,
        "heat": False,
    }


@pytest.mark.parametrize("verdict", [MachineVerdict.FAIL, MachineVerdict.REVIEW])
def test_evidence_is_durable(verdict: MachineVerdict) -> None:
    assert kinds(verdict) == {"frame": True, "thumb": False, "heat": True}


TILES = np.stack([np.full((30, 40, 3), 60 * n, np.uint8) for n in range(3)])
BESIDE = Comparison(TILES, (10.04, 5.0, 8.0, 4.0), Nearest((4, 1), (0.5, 0.75)))


@pytest.mark.parametrize("verdict", list(MachineVerdict))
def test_golden_parts_are_kept_beside_what_a_person_is_to_look_at_and_hold_up_no_verdict(
    verdict: MachineVerdict,
) -> None:
    keeper = Keeper(sample_share=1.0, all_heat=True)
    kept = keeper(frame(), verdict, replace(EVIDENCE, golden=BESIDE))
    items = {key.partition("/")[0]: (key, data, durable) for key, data, durable in kept.items}
    assert ("golden" in items) == (verdict in (MachineVerdict.FAIL, MachineVerdict.REVIEW))
    if kept.golden is None:
        assert "golden" not in items
        return
    key, data, durable = items["golden"]
    assert not durable
    assert decoded(data).shape == (30, 120, 3)
    assert [int(decoded(data)[15, 20 + 40 * n].mean()) for n in range(3)] == pytest.approx([0, 60, 120], abs=3)
    assert kept.golden == Compared(
        picture=key, width=40, height=30, distances=(0.5, 0.75), samples=(4, 1), box=(10.0, 5.0, 8.0, 4.0)
    )
    assert keeper(frame(), verdict, replace(EVIDENCE, golden=BESIDE)).golden == kept.golden  # a retry meets its own


@pytest.mark.parametrize("verdict", [MachineVerdict.INVALID, MachineVerdict.NO_VERDICT])
def test_what_was_not_scored_keeps_its_picture(verdict: MachineVerdict) -> None:
    assert kinds(verdict) == {"frame": True, "thumb": False}


def test_the_row_names_what_is_stored_and_nothing_else() -> None:
    kept = Keeper(sample_share=0.0, all_heat=False)(frame(), MachineVerdict.FAIL, EVIDENCE)
    assert {key for key, _, _ in kept.items} == {kept.picture, kept.thumb, kept.heat}
    assert {key: data for key, data, _ in kept.items}[kept.thumb or ""] == kept.small
    assert (kept.heat_min, kept.heat_max) == (0.0, 1.0)


def test_a_map_that_is_not_finite_is_not_kept() -> None:
    broken = Evidence(GOOD, None, Prediction(np.nan, np.full((SIDE, SIDE), np.nan, np.float32), (), WHOLE))
    kept = Keeper(sample_share=0.0, all_heat=True)(frame(), MachineVerdict.NO_VERDICT, broken)
    assert (kept.heat, kept.heat_min) == (None, None)


def test_a_heat_map_shows_the_whole_picture_however_little_of_it_was_looked_at() -> None:
    """A page lays it over the picture as it is."""
    hot = np.zeros((SIDE, SIDE), np.float32)
    hot[40, 48] = 3.0
    placed = Placement.of_window((800, 200, 256, 256), (1280, 1024), (SIDE, SIDE))
    kept = Keeper(sample_share=0.0, all_heat=True)(
        frame(), MachineVerdict.FAIL, Evidence(GOOD, None, Prediction(3.0, hot, (), placed))
    )
    (heat,) = (data for key, data, _ in kept.items if key == kept.heat)
    levels = cv2.imdecode(np.frombuffer(heat, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert levels is not None
    assert levels.shape == (256, 320)
    rows, columns = np.nonzero(levels == levels.max())
    assert (columns.mean() + 0.5) * 4 == pytest.approx(800 + 48.5 * 4, abs=4)
    assert (rows.mean() + 0.5) * 4 == pytest.approx(200 + 40.5 * 4, abs=4)
    assert (kept.heat_min, kept.heat_max) == (0.0, 3.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 1500), st.integers(1, 1500))
def test_a_small_picture_is_at_most_640_px_and_never_needlessly_smaller(width: int, height: int) -> None:
    small = decoded(small_jpeg(np.full((height, width, 3), 128, np.uint8)))
    longer = max(small.shape[:2])
    assert longer <= SMALL
    assert longer == max(width, height) or longer >= SMALL // 2


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (480, 640)), ((1024, 1280), (512, 640)), ((1080, 1920), (270, 480)), ((90, 60), (90, 60))],
)
def test_the_aspect_and_the_colours_stay(size: tuple[int, int], expected: tuple[int, int]) -> None:
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[:, : size[1] // 2] = (200, 30, 30)
    small = decoded(small_jpeg(pixels))
    assert small.shape[:2] == expected
    left, right = (small[expected[0] // 2, expected[1] * place // 4].tolist() for place in (1, 3))
    assert left == pytest.approx((200, 30, 30), abs=6)
    assert right == pytest.approx((0, 0, 0), abs=6)
