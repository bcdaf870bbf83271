"""Loss curves stay small, in order and true on the whole."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.curves import BLOCKS, MOST_POINTS, CurveKeeper, curves_from, distribution, sparkline

LOSSES = st.lists(st.floats(0, 10), min_size=1, max_size=700)


def kept(losses: list[float]) -> CurveKeeper:
    keeper = CurveKeeper()
    for iteration, loss in enumerate(losses, start=1):
        keeper.add("teacher", iteration, {"teacher": loss, "student": None})
    return keeper


@given(LOSSES)
def test_a_curve_is_small_and_ends_where_training_did(losses: list[float]) -> None:
    (curve,) = kept(losses).curves
    assert (curve.stage, curve.network) == ("teacher", "teacher")
    assert len(curve.iterations) == len(curve.losses) <= MOST_POINTS
    assert list(curve.iterations) == sorted(set(curve.iterations))
    assert curve.iterations[-1] == len(losses)
    assert min(losses) - 1e-9 <= min(curve.losses)
    assert max(curve.losses) <= max(losses) + 1e-9
    if len(losses) <= MOST_POINTS:
        assert list(curve.losses) == losses


@given(LOSSES)
def test_the_points_weighted_by_their_iterations_have_the_mean_of_all(losses: list[float]) -> None:
    (curve,) = kept(losses).curves
    widths = [at - before for before, at in zip((0, *curve.iterations), curve.iterations, strict=False)]
    total = math.fsum(width * loss for width, loss in zip(widths, curve.losses, strict=True))
    assert total == pytest.approx(math.fsum(losses), abs=1e-6)


def test_each_network_and_stage_has_its_own_curve() -> None:
    keeper = CurveKeeper()
    keeper.add("joint", 1, {"teacher": 0.5, "student": 0.75})
    keeper.add("joint", 2, {"teacher": 0.25, "student": 0.5})
    assert [(curve.network, curve.losses) for curve in keeper.curves] == [
        ("teacher", (0.5, 0.25)), ("student", (0.75, 0.5)),
    ]  # fmt: skip
    assert CurveKeeper().curves == ()


@given(LOSSES)
def test_a_curve_comes_back_from_a_file_to_four_digits(losses: list[float]) -> None:
    (curve,) = kept(losses).curves
    (back,) = curves_from([curve.to_dict()])
    assert back.iterations == curve.iterations
    assert back.losses == pytest.approx(curve.losses, rel=1e-3)


@pytest.mark.parametrize("strange", [
    None, 3, "abc", [None], [{}], [{"stage": "a", "network": "b", "iterations": [1, 2], "losses": [0.5]}],
    [{"stage": "a", "network": "b", "iterations": [], "losses": []}],
    [{"stage": "a", "network": "b", "iterations": [True], "losses": [0.5]}],
    [{"stage": "a", "network": "b", "iterations": [1], "losses": [math.nan]}],
])  # fmt: skip
def test_what_is_no_curve_is_left_out(strange: Any) -> None:
    assert curves_from(strange) == ()


def test_a_sparkline_falls_as_its_values_do() -> None:
    assert sparkline([8, 7, 6, 5, 4, 3, 2, 1]) == BLOCKS[::-1]
    assert sparkline([2.0, 2.0]) == "▁▁"
    assert sparkline([]) == ""
    assert sparkline([1, 1, 3, 3], 2) == "▁█"


@given(st.lists(st.floats(-1e6, 1e6), max_size=300), st.integers(1, 40))
def test_a_sparkline_fits(values: list[float], width: int) -> None:
    assert len(sparkline(values, width)) == min(width, len(values))


def test_a_distribution_shows_where_scores_lie_and_where_none_does() -> None:
    assert distribution([0.0, 0.1, 0.1, 0.1, 1.0], 10) == "▃█" + "·" * 7 + "▃"
    assert distribution([0.5, 0.5]) == "█"
    assert distribution([]) == ""


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300))
def test_the_lowest_and_the_highest_score_are_in_it(scores: list[float]) -> None:
    drawn = distribution(scores)
    assert drawn[0] != "·"
    assert drawn[-1] != "·"
    assert "█" in drawn
