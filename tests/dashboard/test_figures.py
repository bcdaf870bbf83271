"""Numbers as people read them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.statistics import Share
from dashboard import figures
from dashboard.shifts import day_start, shift_at

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def plain(text: str) -> str:
    return text.replace(figures.THIN, " ")


@pytest.mark.parametrize(("number", "said"), [(None, "–"), (0, "0"), (999, "999"), (18204, "18 204"), (-5, "-5")])
def test_thousands_stand_apart(number: int | None, said: str) -> None:
    assert plain(figures.count(number)) == said


@pytest.mark.parametrize(
    ("part", "said"),
    [(None, "–"), (float("nan"), "–"), (0.0, "0 %"), (1.0, "100 %"), (0.00666, "0.67 %"), (0.9996, "99.96 %"),
     (0.989, "98.9 %"), (0.5, "50.0 %")],
)  # fmt: skip
def test_a_share_has_the_digits_that_it_needs(part: float | None, said: str) -> None:
    assert plain(figures.percent(part)) == said


@pytest.mark.parametrize(
    ("pixels", "mm2", "said"),
    [(500, None, "500 px"), (2012.4, 5.03, "5.0 mm² (2 012 px)"), (3, 0.00421, "0.0042 mm² (3 px)"),
     (4, 0.0, "0 mm² (4 px)"), (9000, 1204.4, "1 204 mm² (9 000 px)"), (1, 1e-9, "1.0e-09 mm² (1 px)")],
)  # fmt: skip
def test_an_area_is_in_square_millimetres_where_the_scale_is_known(pixels: float, mm2: float | None, said: str) -> None:
    assert plain(figures.area(pixels, mm2)) == said


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_only_all_parts_are_a_hundred_percent_down_to_a_hundredth(hits: int, misses: int) -> None:
    said = plain(figures.percent(hits / (hits + misses)))
    if misses / (hits + misses) > 5e-5:
        assert said not in ("100 %", "100.0 %", "100.00 %")
    if hits / (hits + misses) > 5e-5:
        assert said not in ("0 %", "0.0 %", "0.00 %")


def test_a_rate_shows_its_interval_and_its_denominator() -> None:
    assert plain(figures.between(Share(121, 18176))) == "0.56 to 0.79 % · of 18 176"
    assert figures.between(Share(0, 0)) == "nothing counted yet"


@pytest.mark.parametrize(
    ("score", "said"), [(None, "–"), (float("inf"), "–"), (0.0, "0.0000"), (0.54, "0.5400"), (0.81234, "0.8123"),
                        (12.345, "12.35"), (1234.5, "1234"), (1e-5, "1.000e-05")],
)  # fmt: skip
def test_scores_have_four_digits(score: float | None, said: str) -> None:
    assert figures.score(score) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0.0 s"), (0.31, "0.3 s"), (9.96, "10 s"), (41, "41 s"), (59.7, "1:00"), (185, "3:05"), (8040, "2 h 14"),
     (273600, "3 d 4 h")],
)  # fmt: skip
def test_ages_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert plain(figures.age(seconds)) == said


@given(st.floats(0, 1e9))
def test_a_clock_never_shows_sixty(seconds: float) -> None:
    assert ":60" not in figures.clock(seconds)
    assert f"h{figures.THIN}60" not in figures.clock(seconds)


def test_latency_is_in_the_unit_that_fits() -> None:
    assert plain(figures.milliseconds(118.4)) == "118 ms"
    assert plain(figures.milliseconds(12_000)) == "12 s"
    assert figures.milliseconds(None) == "–"


@given(st.integers(0, 365 * 86400))
def test_every_moment_lies_in_one_shift_of_eight_hours(seconds: int) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    shift = shift_at(moment)
    assert timedelta(0) <= moment - shift.start < timedelta(hours=10)  # a clock change makes one longer or shorter
    assert shift_at(shift.start).name == shift.name
    assert timedelta(0) <= moment - day_start(moment) <= timedelta(hours=25)


def test_another_day_is_named() -> None:
    assert figures.day_and_time(NOW, NOW) == NOW.astimezone().strftime("%H:%M")
    assert figures.day_and_time(NOW - timedelta(days=2), NOW).startswith("22 Nov ")
