"""How far a large flaw reaches, and that showing it never changes a score."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from model.fusion import Units, Wide
from model.memory import GoldenMemory
from model.widening import REACH, STEP, Widener, learn_wide, neighbourhoods

SIZE = (256, 256)
CELLS = 32  # of stride 8
CHANNELS = 12
UNITS = Units(0.0, 1.0)

Floats = NDArray[np.float32]


def texture(parts: int, *, seed: int = 0) -> Floats:
    """Golden features that vary from cell to cell, about the same mean everywhere."""
    return np.random.default_rng(seed).normal(size=(parts, CHANNELS, CELLS, CELLS)).astype(np.float32)


def worn(features: Floats, rows: slice, columns: slice, *, by: float = 0.7) -> Floats:
    """Features of parts with an area where every cell is a little, but only a little, unlike golden ones."""
    changed = features.copy()
    changed[:, :, rows, columns] += by
    return changed


def calm(features: Floats) -> Floats:
    """Distances of cells that tell nothing by themselves."""
    return np.zeros((len(features), *features.shape[2:]), np.float32)


def learnt(parts: int) -> Wide:
    given_parts = texture(parts)
    wide = learn_wide(given_parts, calm(given_parts), UNITS, SIZE)
    assert wide is not None
    return wide


def flat(score: float) -> tuple[Floats, Floats]:
    """A map with one highest pixel, and its score."""
    maps = np.zeros((1, *SIZE), np.float32)
    maps[0, 3, 5] = score
    return maps, np.array([score], np.float32)


def test_a_neighbourhood_is_the_mean_of_ten_by_ten_cells() -> None:
    given_cells = texture(2)
    means = neighbourhoods(given_cells, calm(given_cells), UNITS)
    assert means.shape == (2, CHANNELS, CELLS // STEP, CELLS // STEP)
    assert means[:, :, 3, 4] == pytest.approx(given_cells[:, :, 2:12, 4:14].mean(axis=(2, 3)), abs=1e-5)


def test_at_an_edge_it_is_the_mean_of_the_cells_that_are_there() -> None:
    given_cells = texture(1)
    assert REACH == 2
    assert neighbourhoods(given_cells, calm(given_cells), UNITS)[0, :, 0, 0] == pytest.approx(
        given_cells[0, :, :6, :6].mean(axis=(1, 2)), abs=1e-5
    )


def test_a_small_strong_flaw_is_not_spread_over_its_neighbourhood() -> None:
    good = texture(1)
    flawed, distances = good.copy(), calm(good)
    flawed[:, :, 7, 7] += 40
    distances[:, 7, 7] = 10
    plain = neighbourhoods(flawed, calm(good), UNITS) - neighbourhoods(good, calm(good), UNITS)
    kept_out = neighbourhoods(flawed, distances, UNITS) - neighbourhoods(good, calm(good), UNITS)
    assert np.abs(plain).max() > 0.5
    assert np.abs(kept_out).max() < 0.1


def test_a_flaw_that_fills_its_neighbourhood_is_seen_as_it_is() -> None:
    good = texture(1)
    distances = np.full((1, CELLS, CELLS), 10, np.float32)
    assert neighbourhoods(good, distances, UNITS) == pytest.approx(neighbourhoods(good, calm(good), UNITS), abs=1e-4)


def test_features_as_the_network_lays_them_out_give_the_same() -> None:
    given_cells = texture(3)
    laid = np.moveaxis(np.ascontiguousarray(np.moveaxis(given_cells, 1, -1)), -1, 1)
    assert neighbourhoods(laid, calm(laid), UNITS) == pytest.approx(
        neighbourhoods(given_cells, calm(given_cells), UNITS), abs=1e-6
    )


def test_a_worn_area_is_shown_as_far_as_it_reaches() -> None:
    wide = learnt(30)
    area = np.zeros((CELLS, CELLS), bool)
    area[8:24, 4:20] = True
    pixels = area.repeat(8, axis=0).repeat(8, axis=1)
    maps, scores = flat(4.0)  # above all that the neighbourhoods say, or they would be cut off there
    area_worn = worn(texture(1, seed=9), slice(8, 24), slice(4, 20))
    shown = Widener(wide, SIZE)(maps, area_worn, calm(area_worn), scores)[0]
    inside, outside = shown[pixels], shown[~pixels]
    assert np.median(inside) > 2 * np.quantile(outside, 0.9)
    single = GoldenMemory.learnt(texture(30))[0].distances(area_worn)[0]
    apart = (single[area].mean() - single[~area].mean()) / single[~area].std()
    apart_wide = (inside.mean() - outside.mean()) / outside.std()
    assert apart_wide > apart  # cell by cell it can hardly be told


def test_a_good_part_of_a_low_score_shows_nothing_above_it() -> None:
    wide = learnt(30)
    maps, scores = flat(0.2)
    cells = worn(texture(1, seed=3), slice(0, 32), slice(0, 32), by=5)
    shown = Widener(wide, SIZE)(maps, cells, calm(cells), scores)
    assert shown.max() == np.float32(0.2)
    assert np.argwhere(shown[0] == shown.max()).tolist() == [[3, 5]]  # the highest place is still the only one


@given(
    maps=arrays(np.float32, (2, 32, 32), elements=st.floats(-10, 10, width=32)),
    features=arrays(np.float32, (2, 3, 4, 4), elements=st.floats(-5, 5, width=32)),
)
@settings(deadline=None, max_examples=40)
def test_the_score_stays_and_no_pixel_falls(maps: Floats, features: Floats) -> None:
    rng = np.random.default_rng(0)
    golden = rng.normal(size=(5, 3, 4, 4)).astype(np.float32)
    memory = GoldenMemory.of(neighbourhoods(golden, calm(golden), UNITS))
    widener = Widener(Wide(memory, Units(0.0, 0.1), UNITS), (32, 32))
    scores = maps.max(axis=(1, 2))
    shown = widener(maps, features, np.abs(features[:, 0]), scores)
    assert (shown.max(axis=(1, 2)) == scores).all()
    assert (shown >= maps).all()


def test_the_stronger_a_flaw_is_the_less_its_surroundings_are_marked() -> None:
    """Or the box around a small strong flaw would be that of its neighbourhood."""
    wide = learnt(30)
    area = worn(texture(1, seed=9), slice(8, 24), slice(4, 20), by=1)
    marked = []
    for score in (1.5, 3.0, 6.0):
        maps, scores = flat(score)
        marked.append(int((Widener(wide, SIZE)(maps, area, calm(area), scores) > 1).sum()))
    assert marked[0] > 128 * 128 / 2
    assert marked[0] >= marked[1] >= marked[2]
    assert marked[2] < 0.1 * marked[0]


@pytest.mark.parametrize("nan_in", ["features", "map"])
def test_what_is_no_number_leaves_no_number(nan_in: str) -> None:
    wide = learnt(10)
    maps, scores = np.zeros((2, *SIZE), np.float32), np.zeros(2, np.float32)
    cells = texture(2, seed=1)
    if nan_in == "features":
        cells[1, 0, 5, 5] = np.nan
    else:
        maps[1], scores[1] = np.nan, np.nan
    shown = Widener(wide, SIZE)(maps, cells, calm(cells), scores)
    assert np.isfinite(shown[0]).all()
    assert np.isnan(shown[1]).all()


def test_on_a_small_input_there_are_no_neighbourhoods() -> None:
    small = texture(10)[:, :, :, :16]
    assert learn_wide(small, calm(small), UNITS, (256, 128)) is None


def test_a_memory_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="16x16 cells does not fit 512x512"):
        Widener(learnt(10), (512, 512))
