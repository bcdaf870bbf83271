"""Vectors of domain.md §7.10; every figure there is exact to its last printed digit."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from core.statistics import Confirmed, Counts, Share, clopper_pearson, ppm, upper_bound, wilson, zero_failures_needed


def digits(*values: float) -> tuple[float, ...]:
    return tuple(round(value, 6) for value in values)


@pytest.mark.parametrize(
    ("events", "n", "low", "high"), [(0, 300, 0, 0.012643), (1, 500, 0.000353, 0.011241), (3, 2000, 0.000510, 0.004401)]
)
def test_wilson(events: int, n: int, low: float, high: float) -> None:
    assert digits(*wilson(events, n)) == (low, high)


@pytest.mark.parametrize(
    ("events", "n", "low", "high"), [(0, 300, 0, 0.012221), (1, 500, 0.000051, 0.011092), (3, 2000, 0.000309, 0.004377)]
)
def test_clopper_pearson_on_two_sides(events: int, n: int, low: float, high: float) -> None:
    assert digits(*clopper_pearson(events, n)) == (low, high)


@pytest.mark.parametrize(("events", "n", "high"), [(0, 300, 0.009936), (1, 500, 0.009452), (3, 2000, 0.003872)])
def test_clopper_pearson_on_one_side(events: int, n: int, high: float) -> None:
    assert digits(upper_bound(events, n)) == (high,)


def test_nothing_found_proves_a_bound_and_a_full_house_proves_none() -> None:
    assert round(1 - upper_bound(0, 29), 4) == 0.9019  # the POD of 29 of 29
    assert round(upper_bound(0, 400) * 1e6) == 7461
    assert upper_bound(29, 29) == 1.0


@pytest.mark.parametrize(("rate", "n"), [(0.01, 299), (0.005, 598), (0.001, 2995), (1e-4, 29_956)])
def test_parts_without_a_failure_that_prove_a_rate(rate: float, n: int) -> None:
    assert zero_failures_needed(rate) == n
    assert upper_bound(0, n) <= rate < upper_bound(0, n - 1)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
def test_a_rate_that_nothing_can_prove_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        zero_failures_needed(rate)


samples = st.integers(1, 200_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@settings(deadline=None)
@given(sample=samples)
def test_intervals_hold_the_share_and_stay_between_0_and_1(sample: tuple[int, int]) -> None:
    share = sample[0] / sample[1]
    for low, high in (wilson(*sample), clopper_pearson(*sample)):
        assert 0 <= low <= share <= high <= 1
    assert share <= upper_bound(*sample) <= clopper_pearson(*sample)[1]


@settings(deadline=None)
@given(sample=samples)
def test_the_exact_interval_is_that_of_scipy(sample: tuple[int, int]) -> None:
    events, n = sample
    low, high = clopper_pearson(events, n)
    assert low == pytest.approx(0 if events == 0 else beta.ppf(0.025, events, n - events + 1), rel=1e-7)
    assert high == pytest.approx(1 if events == n else beta.ppf(0.975, events + 1, n - events), rel=1e-7)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 60), p=st.floats(0.001, 0.999))
def test_the_exact_interval_covers_the_truth_as_often_as_it_says(n: int, p: float) -> None:
    missed = sum(
        float(binom.pmf(events, n, p))
        for events in range(n + 1)
        if binom.pmf(events, n, p) > 1e-9 and not clopper_pearson(events, n)[0] <= p <= clopper_pearson(events, n)[1]
    )
    assert missed <= 0.05 + 1e-6


@pytest.mark.parametrize(("events", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_what_is_no_proportion_has_no_interval(events: int, n: int) -> None:
    for interval in (wilson, clopper_pearson, upper_bound):
        with pytest.raises(ValueError, match="has no interval"):
            interval(events, n)


def test_a_share_of_nothing_is_unknown_and_never_0() -> None:
    share = Share(0, 0)
    assert (share.value, share.interval, ppm(share)) == (None, None, None)
    assert Counts().machine_reject.value is None


@pytest.mark.parametrize(("events", "n"), [(-1, 5), (6, 5), (1, 0)])
def test_a_share_beyond_its_whole_is_refused(events: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"{events} of {n} is no proportion"):
        Share(events, n)


COUNTS = Counts(n_pass=9900, n_fail=60, n_review=20, n_invalid=15, n_no_verdict=5, late=3)
DECIDED = Confirmed(counts=COUNTS, defects=45, false_rejects=35)


def test_what_the_machine_said_of_ten_thousand_parts() -> None:
    assert COUNTS.triggered == 10_000
    assert COUNTS.machine_reject == Share(100, 10_000)
    assert COUNTS.first_pass_raw.value == 0.99
    parts = [COUNTS.fail, COUNTS.review, COUNTS.invalid, COUNTS.no_verdict]
    assert sum(part.numerator for part in parts) == COUNTS.machine_reject.numerator
    assert COUNTS.judged_in_time == Share(9997, 10_000)


def test_what_people_found_in_them() -> None:
    assert DECIDED.first_pass_confirmed.value == 0.9955
    assert ppm(DECIDED.defective) == pytest.approx(4500)
    assert DECIDED.false_discovery.value == 0.4375
    assert DECIDED.confirmed_rejects.value == 1 - 0.4375
    assert DECIDED.overkill == Share(35, 9935)
    assert round(DECIDED.overkill.value or 0, 6) == 0.003523
    assert DECIDED.review_coverage == Share(80, 80)


def test_a_known_escape_is_a_defective_part_and_no_good_one() -> None:
    escaped = Confirmed(counts=COUNTS, defects=45, false_rejects=35, escapes=10)
    assert escaped.defective == Share(55, 10_000)
    assert escaped.overkill == Share(35, 9925)
