import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.verdicts import HumanCall, Limits, MachineVerdict, decide, human_call

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        (0.10, MachineVerdict.PASS), (0.46, MachineVerdict.PASS), (0.4600001, MachineVerdict.REVIEW),
        (0.62, MachineVerdict.REVIEW), (0.6200001, MachineVerdict.FAIL), (99.0, MachineVerdict.FAIL),
        (-1.0, MachineVerdict.PASS),
        (math.nan, MachineVerdict.NO_VERDICT),
        (math.inf, MachineVerdict.NO_VERDICT), (-math.inf, MachineVerdict.NO_VERDICT),
    ],
)  # fmt: skip
def test_a_score_is_judged_by_both_limits(score: float, verdict: MachineVerdict) -> None:
    assert decide(score, Limits(0.46, 0.62)) is verdict


@pytest.mark.parametrize("score", [0.47, 0.9, 1e30])
def test_without_a_fail_limit_all_that_does_not_pass_is_for_people(score: float) -> None:
    assert decide(score, Limits(0.46)) is MachineVerdict.REVIEW


@given(st.floats(), finite, st.none() | finite)
def test_pass_is_given_only_to_a_finite_score_up_to_the_limit(score: float, low: float, high: float | None) -> None:
    if high is not None and high < low:
        low, high = high, low
    passed = decide(score, Limits(low, high)) is MachineVerdict.PASS
    assert passed == (math.isfinite(score) and score <= low)


@given(finite, finite, finite, finite)
def test_a_higher_score_never_gets_a_better_verdict(one: float, two: float, low: float, high: float) -> None:
    order = [MachineVerdict.PASS, MachineVerdict.REVIEW, MachineVerdict.FAIL]
    limits = Limits(min(low, high), max(low, high))
    assert order.index(decide(min(one, two), limits)) <= order.index(decide(max(one, two), limits))


@pytest.mark.parametrize(
    ("low", "high"), [(math.nan, None), (math.inf, None), (0.5, 0.4), (0.5, math.nan), (0.5, math.inf)]
)
def test_limits_that_nobody_can_mean_are_refused(low: float, high: float | None) -> None:
    with pytest.raises(ValueError, match="limit t_"):
        Limits(low, high)


@pytest.mark.parametrize(
    ("is_good", "verdict", "call"),
    [
        (True, MachineVerdict.PASS, HumanCall.GOOD), (True, MachineVerdict.FAIL, HumanCall.FALSE_REJECT),
        (True, MachineVerdict.REVIEW, HumanCall.FALSE_REJECT), (False, MachineVerdict.FAIL, HumanCall.DEFECT),
    ],
)  # fmt: skip
def test_one_good_key_means_false_reject_where_the_machine_did_not_pass(
    is_good: bool, verdict: MachineVerdict, call: HumanCall
) -> None:
    assert human_call(is_good=is_good, verdict=verdict) is call
