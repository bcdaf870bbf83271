import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from model.fixture import Fixture
from model.regions import Region, RegionRule, find_regions


def _map() -> NDArray[np.float32]:
    anomaly = np.zeros((32, 64), dtype=np.float32)
    anomaly[2:6, 10:20] = 3
    anomaly[3, 12] = 5
    anomaly[6, 20] = 3  # touches the first at a corner
    anomaly[20:22, 40:42] = 4
    anomaly[30, 60] = 2
    return anomaly


def test_regions_are_listed_by_their_peak() -> None:
    regions = find_regions(_map(), RegionRule(limit=1, minimum_area=2))
    assert regions == (
        Region(10, 2, 11, 5, area=41, peak=5, mean=125 / 41),
        Region(40, 20, 2, 2, area=4, peak=4, mean=4),
    )


def test_the_highest_region_is_listed_however_small() -> None:
    anomaly = np.zeros((8, 8), dtype=np.float32)
    anomaly[1, 1] = 1
    assert [region.area for region in find_regions(anomaly, RegionRule(limit=0.5, minimum_area=9))] == [1]


def test_a_pixel_at_the_limit_is_not_above_it() -> None:
    assert find_regions(_map(), RegionRule(limit=5)) == ()


def test_without_a_limit_there_are_no_regions() -> None:
    assert find_regions(_map(), RegionRule()) == ()


def test_a_map_that_is_not_finite_has_no_regions() -> None:
    anomaly = _map()
    anomaly[0, 0] = np.nan
    assert find_regions(anomaly, RegionRule(limit=1)) == ()


def test_pixels_that_are_not_looked_at_belong_to_no_region() -> None:
    valid = np.ones((32, 64), dtype=np.bool_)
    valid[:, :30] = False
    assert [region.x for region in find_regions(_map(), RegionRule(limit=1), valid=valid)] == [40]


@given(arrays(np.float32, (8, 8), elements=st.floats(0, 2, width=32)), st.floats(0, 2), st.integers(1, 20))
def test_there_is_a_region_exactly_if_the_score_is_above_the_limit(
    anomaly: NDArray[np.float32], limit: float, minimum_area: int
) -> None:
    regions = find_regions(anomaly, RegionRule(limit, minimum_area))
    assert bool(regions) is bool(anomaly.max() > limit)
    if regions:
        assert regions[0].peak == anomaly.max()


def test_regions_are_carried_back_to_the_raw_picture() -> None:
    fixture = Fixture("roi", (100, 50, 512, 256), height=128, width=256, picture=(800, 600))
    found = Region(10, 20, 30, 40, area=600, peak=1, mean=1)
    assert found.on_picture(fixture.still((800, 600))) == Region(120, 90, 60, 80, area=2400, peak=1, mean=1)
