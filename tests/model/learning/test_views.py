"""What networks train on: whole pictures, turned ones, or tiles of large ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.fixture import Fixture
from model.foreground import Foregrounds
from model.learning import LearnOptions, learn
from model.lessons import lessons_of
from model.networks import Networks
from model.pace import Budget
from model.predictor import Predictor
from model.views import LARGE, MOST_VIEWS, TILE, TURNS, Turns, View, ViewForegrounds, Views, tile_for, views_of
from tests.model.learning.conftest import SMALL, part


def numbered(count: int, height: int, width: int) -> NDArray[np.uint8]:
    """Pictures in which no two places look the same."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, height, width, 3)).astype(np.uint8)


def same(one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None) -> bool:
    return one is not None and other is not None and np.array_equal(one, other)


def test_by_default_pictures_are_taken_as_they_are() -> None:
    pictures = numbered(5, 64, 96)
    views = views_of(5, (64, 96))
    assert views.cut(pictures) is pictures
    assert views.to_dict() == {"count": 5, "turns": "none", "tile": None}


@pytest.mark.parametrize(("turns", "count"), [("flips", 4), ("quarter", 4), ("all", 8)])
def test_a_group_of_turns_gives_so_many_different_pictures_and_each_undoes_another(turns: Turns, count: int) -> None:
    picture = numbered(1, 64, 64)
    found = views_of(1, (64, 64), turns=turns).cut(picture)
    assert len({one.tobytes() for one in found}) == len(found) == count
    again = {one.tobytes() for each in found for one in views_of(1, (64, 64), turns=turns).cut(each[None])}
    assert again == {one.tobytes() for one in found}


def test_all_pictures_come_as_they_are_and_turned_ones_as_there_is_room() -> None:
    views = views_of(100, (64, 64), turns="all").views
    assert views[:100] == tuple(View(number) for number in range(100))
    assert len(views) == len(set(views)) == MOST_VIEWS
    assert len(views_of(MOST_VIEWS + 5, (64, 64), turns="all").views) == MOST_VIEWS + 5


def test_only_what_is_square_is_turned_by_a_quarter() -> None:
    with pytest.raises(ValueError, match=r"96x64 px cannot be turned by quarters.*flips or none"):
        views_of(3, (64, 96), turns="quarter")
    assert views_of(3, (64, 96), turns="flips").cut(numbered(3, 64, 96)).shape[1:] == (64, 96, 3)
    assert views_of(3, (512, 1024), turns="all").cut(numbered(3, 512, 1024)).shape[1:] == (TILE, TILE, 3)


@pytest.mark.parametrize(
    ("size", "asked", "side"),
    [
        ((256, 256), None, None), ((352, 352), None, None), ((384, 384), None, TILE), ((192, 800), None, TILE),
        ((1024, 1024), 0, None), ((1024, 1024), 128, 128), ((256, 256), 256, None), ((256, 288), 256, 256),
    ],
)  # fmt: skip
def test_tiles_are_for_large_inputs_unless_asked_for(
    size: tuple[int, int], asked: int | None, side: int | None
) -> None:
    assert tile_for(size, asked) == side
    assert (size[0] * size[1] > LARGE * TILE**2) == (tile_for(size, None) is not None)


@given(
    st.integers(1, 200), st.sampled_from([(512, 512), (320, 640), (1024, 160)]), st.sampled_from(list(TURNS)),
    st.integers(0, 9),
)  # fmt: skip
def test_tiles_lie_inside_on_the_networks_grid_and_are_shared_out_evenly(
    count: int, size: tuple[int, int], turns: Turns, seed: int
) -> None:
    if turns in {"quarter", "all"} and min(size) < TILE:
        return
    views = views_of(count, size, turns=turns, seed=seed)
    assert views == views_of(count, size, turns=turns, seed=seed)
    for view in views.views:
        assert view.top % 32 == view.left % 32 == 0
        assert 0 <= view.top <= size[0] - views.height
        assert 0 <= view.left <= size[1] - views.width
    shares = np.bincount([view.picture for view in views.views], minlength=count)
    assert shares.max() - shares.min() <= 1
    assert shares.min() >= 1


def test_every_place_of_a_large_picture_is_in_some_tile() -> None:
    views = views_of(16, (1024, 1024))
    seen = np.zeros((1024, 1024), np.intp)
    for view in views.views:
        seen[view.top : view.top + TILE, view.left : view.left + TILE] += 1
    assert len(views.views) == MOST_VIEWS
    assert seen.min() >= 1


def test_a_foreground_is_cut_and_turned_as_its_picture() -> None:
    pictures = np.full((2, 512, 512, 3), 20, np.uint8)
    pictures[:, 100:400, 150:300] = 220
    views = views_of(2, (512, 512), turns="all", seed=3)
    found = ViewForegrounds(pictures, "otsu", views)
    cut = views.cut(pictures)
    told = [number for number in range(len(cut)) if found[number] is not None]
    for number in told:
        assert same(found[number], cut[number, ..., 0] > 100)
    assert told
    empty = Views(64, 64, (View(0), View(1, (1, False), 128, 160)), "none", tiled=True)
    assert ViewForegrounds(pictures, "otsu", empty)[0] is None, "nothing of the part"
    assert ViewForegrounds(pictures, "otsu", empty)[1] is None, "nothing but the part"
    assert ViewForegrounds(pictures, "none", views)[0] is None
    whole = ViewForegrounds(pictures, "otsu", views_of(2, (512, 512), tile=0))
    assert same(whole[1], Foregrounds(pictures, "otsu")[1])


@pytest.mark.parametrize("tile", [32, 100, 2048])
def test_tiles_that_the_networks_cannot_take_are_refused(tile: int) -> None:
    with pytest.raises(ValueError, match=f"tiles of {tile} px: 0 for none, or 64 to 1024 in steps of 32"):
        LearnOptions(tile=tile)


def test_a_model_that_has_learnt_on_turned_tiles_looks_at_whole_pictures_and_says_so(
    folder: Path, tmp_path: Path
) -> None:
    options = LearnOptions(
        architecture=SMALL, budget=Budget(iterations=2), size=128, tile=64, turns="all", fixture="none", flat=False,
        runtime="torch", threads=1, capability=False,
    )  # fmt: skip
    learnt = learn(folder, tmp_path / "m.safetensors", options=options)
    assert learnt.manifest.training["views"] == {
        "count": MOST_VIEWS, "turns": "all", "tile": [64, 64], "why": "asked for", "effects": {},
    }  # fmt: skip
    predictor = Predictor.load(learnt.path, runtime="torch", threads=1)
    assert predictor.size == (128, 128)
    assert predictor.inspect([part(0)])[0].map.shape == (128, 128)


def test_features_of_a_view_are_computed_once(fresh_networks: Networks) -> None:
    pictures = numbered(3, 64, 64)
    options = LearnOptions(architecture=SMALL, turns="flips", batch=4)
    fixture = Fixture("none", None, 64, 64)
    lessons = lessons_of(pictures, "abc", fixture, fresh_networks.expert, options, device=torch.device("cpu"))
    assert len(lessons.batches.pictures) == 12
    picks = {int(pick) for iteration in range(3) for pick in lessons.batches[iteration].picks}
    assert picks == set(range(12)), "a batch names views, as the feature cache keeps them"
    assert lessons.twins.report.twins == 12
