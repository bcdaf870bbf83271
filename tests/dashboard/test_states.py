"""What a camera and the line are said to do: never inspecting where that is not known."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.states import BEHIND_AFTER, SILENT_AFTER, Signs, Standing, State, camera_standing, line_standing, pace

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
OUT, POOR, GOOD, ENDED = (
    Standing(State.NOT_INSPECTING), Standing(State.DEGRADED), Standing(State.RUNNING), Standing(State.STOPPED)
)  # fmt: skip


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def signs(
    *, report: str = "RUNNING", told: float | None = 1.0, seen: float | None = 0.5, judged: float | None = 0.4,
    waiting: int = 0, verdicts: tuple[str, ...] = ("PASS",) * 20, reasons: tuple[str, ...] = (),
) -> Signs:  # fmt: skip
    return Signs(
        report=report, reported_at=None if told is None else ago(told), waiting=waiting, verdicts=verdicts,
        captured_at=None if seen is None else ago(seen), inspected_at=None if judged is None else ago(judged),
        reasons=reasons, report_detail="cable",
    )  # fmt: skip


def test_a_camera_that_reports_and_is_judged_runs() -> None:
    standing = camera_standing(signs(), NOW)
    assert standing.state is State.RUNNING
    assert standing.live


@pytest.mark.parametrize(
    ("given_signs", "word"),
    [
        (Signs(), "not sent a picture"),
        (signs(report="LOST"), "does not answer: cable"),
        (signs(told=SILENT_AFTER + 1), "not reported"),
        (signs(waiting=4, judged=BEHIND_AFTER + 1), "No verdict for"),
        (signs(waiting=4, seen=None, judged=None, verdicts=()), "none was ever judged"),
        (signs(waiting=30, seen=21, judged=0.1, verdicts=("NO_VERDICT",) * 9), "late"),
        (signs(verdicts=("INVALID",) * 3 + ("PASS",) * 9, reasons=("BLUR",)), "out of focus"),
        (signs(verdicts=("NO_VERDICT", "INVALID", "NO_VERDICT"), reasons=("LATE",)), "after its deadline"),
    ],
)
def test_what_is_not_inspected_says_so_and_what_becomes_of_its_parts(given_signs: Signs, word: str) -> None:
    standing = camera_standing(given_signs, NOW)
    assert standing.state is State.NOT_INSPECTING
    assert not standing.live
    assert word in standing.why
    assert standing.parts == "Its parts are rejected."
    assert standing.do


def test_late_verdicts_impair_a_camera_that_still_inspects() -> None:
    standing = camera_standing(signs(waiting=30, seen=BEHIND_AFTER + 2, judged=0.1), NOW)
    assert standing.state is State.DEGRADED
    assert "late" in standing.why


def test_some_pictures_without_verdict_impair_a_camera() -> None:
    standing = camera_standing(signs(verdicts=("PASS", "INVALID", "PASS", "INVALID", "INVALID", "PASS")), NOW)
    assert standing.state is State.DEGRADED


def test_a_camera_without_parts_keeps_running_but_its_picture_is_not_live() -> None:
    standing = camera_standing(signs(seen=45, judged=44), NOW)
    assert standing.state is State.RUNNING
    assert not standing.live
    assert "No part for" in standing.why


def test_a_source_that_ended_is_stopped_not_broken() -> None:
    assert camera_standing(signs(report="ENDED", told=500), NOW).state is State.STOPPED


@given(
    st.sampled_from(["RUNNING", "LOST", "ENDED", ""]), st.floats(0, 60), st.floats(0, 60), st.floats(0, 60),
    st.integers(0, 9), st.lists(st.sampled_from(["PASS", "FAIL", "REVIEW", "INVALID", "NO_VERDICT"]), max_size=30),
)  # fmt: skip
def test_a_live_picture_is_always_a_fresh_one_of_a_camera_that_reports(
    report: str, told: float, seen: float, judged: float, waiting: int, verdicts: list[str]
) -> None:
    found = signs(report=report, told=told, seen=seen, judged=judged, waiting=waiting, verdicts=tuple(verdicts))
    standing = camera_standing(found, NOW)
    if standing.live:
        assert report in ("RUNNING", "")
        assert told <= SILENT_AFTER
        assert seen <= 10.0 or (waiting and standing.state is State.DEGRADED)


@pytest.mark.parametrize(
    ("cameras", "state", "why"),
    [
        ([], State.NOT_INSPECTING, "no camera is set up"),
        ([GOOD, GOOD], State.RUNNING, ""),
        ([GOOD, OUT, GOOD, GOOD], State.DEGRADED, "1 of 4 cameras out"),
        ([OUT, OUT], State.NOT_INSPECTING, ""),
        ([OUT, ENDED], State.NOT_INSPECTING, ""),
        ([GOOD, ENDED], State.RUNNING, ""),
        ([ENDED, ENDED], State.STOPPED, ""),
        ([GOOD, POOR], State.DEGRADED, "1 of 2 cameras impaired"),
        ([POOR, OUT, GOOD], State.DEGRADED, "1 of 3 cameras out"),
    ],
)
def test_the_line_is_as_good_as_its_cameras(cameras: list[Standing], state: State, why: str) -> None:
    assert (line_standing(cameras).state, line_standing(cameras).why) == (state, why)


def test_pace_is_counted_over_the_last_half_minute() -> None:
    steady = [ago(0.5 * n) for n in range(200)]
    assert pace(steady, NOW) == pytest.approx(2.0)
    assert pace([ago(1)], NOW) is None
    assert pace([ago(100), ago(101)], NOW) is None
    assert pace([ago(1), ago(1)], NOW) is None
