import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.calibration import Calibration, calibrate, conformal_limit, hold_out_count, needed, one_per_group

SCORES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300)
RATES = st.floats(0.001, 0.5)


def test_the_reference_vector() -> None:
    """Scores 1 to 99 at 1 %: limit 99; 99 is kept with p = 0.02, 99.5 rejected with p = 0.01 (rd-e.md, section 9)."""
    calibration = calibrate([float(score) for score in range(1, 100)], review_rate=0.01, fail_rate=0.01)
    assert calibration.pass_limit == calibration.fail_limit == 99
    assert calibration.p_value(99) == pytest.approx(0.02)
    assert calibration.p_value(99.5) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("rate", "count"), [(0.05, 19), (0.02, 49), (0.01, 99), (0.005, 199), (0.003, 333), (0.002, 499), (0.001, 999)]
)
def test_how_many_parts_a_rate_needs(rate: float, count: int) -> None:
    assert needed(rate) == count
    assert conformal_limit(range(count), rate) == count - 1
    assert conformal_limit(range(count - 1), rate) is None


def test_forty_two_parts_claim_two_point_three_percent_and_no_less() -> None:
    calibration = calibrate(list(map(float, range(42))), review_rate=0.01, fail_rate=0.002)
    assert calibration.pass_limit == 41
    assert calibration.fail_limit is None
    assert calibration.proved_review_rate == pytest.approx(1 / 43)
    assert calibration.proved_fail_rate is None
    assert "2.33%" in calibration.message
    assert "collect 57 more" in calibration.message
    assert "457 more" in calibration.message


def test_where_only_the_review_rate_is_proved_nothing_fails() -> None:
    calibration = calibrate(list(map(float, range(120))), review_rate=0.01, fail_rate=0.002)
    assert calibration.pass_limit == 119
    assert calibration.fail_limit is None
    assert calibration.proved_review_rate == 0.01
    assert "379 more" in calibration.message


def test_with_enough_parts_both_limits_are_proved() -> None:
    calibration = calibrate(list(map(float, range(999))), review_rate=0.01, fail_rate=0.002)
    assert calibration.pass_limit == 989
    assert calibration.fail_limit == 997
    assert calibration.proved_fail_rate == 0.002


@given(SCORES, RATES, st.floats(-2e6, 2e6))
def test_a_score_is_rejected_exactly_when_its_p_value_is_at_most_the_rate(
    scores: list[float], rate: float, score: float
) -> None:
    calibration = calibrate(scores, review_rate=rate, fail_rate=rate)
    limit = calibration.fail_limit
    if limit is None:
        assert rate < 1 / (len(scores) + 1)
    else:
        near_whole = abs(rate * (len(scores) + 1) - round(rate * (len(scores) + 1))) < 1e-6
        assert near_whole or (score > limit) == (calibration.p_value(score) <= rate)


@given(SCORES, RATES)
def test_the_pass_limit_is_one_of_the_scores_and_not_above_the_fail_limit(scores: list[float], rate: float) -> None:
    calibration = calibrate(scores, review_rate=rate, fail_rate=rate / 5)
    assert calibration.pass_limit in calibration.scores
    assert calibration.fail_limit is None or calibration.pass_limit <= calibration.fail_limit
    assert list(calibration.scores) == sorted(scores)
    assert Calibration.from_dict(calibration.to_dict()) == calibration


def test_good_parts_are_rejected_as_often_as_promised() -> None:
    rng = np.random.default_rng(0)
    rejects = []
    for _ in range(400):
        limit = calibrate(rng.gamma(3, size=99).tolist(), review_rate=0.05, fail_rate=0.05).pass_limit
        rejects.append(float((rng.gamma(3, size=500) > limit).mean()))
    assert 0.045 < np.mean(rejects) < 0.055


def test_pictures_of_one_part_count_once_with_their_highest_score() -> None:
    assert one_per_group([1.0, 5.0, 2.0, 3.0], ["a", "b", "a", "b"]) == [2.0, 5.0]
    assert math.isnan(one_per_group([1.0, math.nan], ["a", "a"])[0])


@pytest.mark.parametrize(
    ("scores", "rates"),
    [
        ([], (0.01, 0.01)),
        ([1.0, math.nan], (0.1, 0.1)),
        ([math.inf], (0.1, 0.1)),
        ([1.0], (0.01, 0.1)),
        ([1.0], (1, 1)),
    ],
)
def test_what_proves_nothing_is_refused(scores: list[float], rates: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"at least one|finite|rates must be"):
        calibrate(scores, review_rate=rates[0], fail_rate=rates[1])


def test_limits_that_do_not_follow_from_the_scores_are_refused() -> None:
    values = calibrate([1.0, 2.0, 3.0]).to_dict()
    values["pass_limit"] = 100.0
    with pytest.raises(ValueError, match="changed by hand"):
        Calibration.from_dict(values)


@pytest.mark.parametrize(
    ("count", "held"),
    [(2, 1), (5, 2), (10, 3), (20, 6), (33, 10), (49, 10), (81, 16), (200, 40), (400, 200), (2000, 499)],
)
def test_how_many_parts_are_held_out(count: int, held: int) -> None:
    assert hold_out_count(count, 0.002) == held


@given(st.integers(2, 5000), st.floats(0.0005, 0.1))
def test_something_is_left_to_train_on(count: int, rate: float) -> None:
    assert 1 <= hold_out_count(count, rate) <= count // 2 + 1
    assert hold_out_count(count, rate) < count
