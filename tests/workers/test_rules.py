"""Each rule of the watch by example: what raises it, what does not, and how it reads."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.alarms import Cause, Kind, Severity
from core.broker.protocol import Lag, Partition
from core.broker.spool_file import Record, Spool
from core.broker.spool_watch import SpoolWatch
from core.broker.stall import Stall
from core.clock import ClockWatch
from core.messages import CAMERAS, FRAMES
from core.metrics import Metrics
from workers.facts import Account, Away, Camera, DeadLetters, Facts, GateTold, Judged, Line, Log, Silent, Told
from workers.rules import causes, looked_at
from workers.space import Pressure

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NAMES = ("top", "b ", "c ", "d ")  # cameras stand under their own names
ANSWERS = Log()
NOON_NS = int(NOON.timestamp()) * 10**9


def told(**more: Any) -> Told:
    values: dict[str, Any] = {"session": 7, "state": "RUNNING", "detail": "", "reported_at": NOON - SECOND}
    return Told(**values | more)


def judged(*words: str, seconds: float = 0.2) -> tuple[Judged, ...]:
    """Newest first: PASS, FAIL, INVALID or a reason for which there is no verdict."""
    verdicts = {"PASS", "FAIL", "REVIEW", "INVALID"}
    return tuple(
        Judged(w, "", NOON, seconds) if w in verdicts else Judged("NO_VERDICT", w, NOON, seconds) for w in words
    )


def camera(name: str = "top", **more: Any) -> Camera:
    values: dict[str, Any] = {"product": "ring", "partition": 0, "deadline_ms": 2000, "told": (told(),)}
    values |= {"since": NOON - 60 * SECOND}
    return Camera(name=name, **values | more)


def facts(*cameras: Camera, log: Log | Away = ANSWERS, **more: Any) -> Facts:
    line = {name: more.pop(name) for name in list(more) if name in Line.__dataclass_fields__}
    line.setdefault("qualified", frozenset({"ring"}))
    return Facts(now=NOON, line=Line(cameras=cameras, **line), log=log, retention_seconds=86400, **more)


def only(found: Facts) -> Cause:
    (cause,) = causes(found)
    return cause


def lag(records: int, seconds: float, topic: str = FRAMES, number: int = 0) -> Lag:
    return Lag(Partition(topic, number), 0, records, NOON_NS - round(seconds * 1e9))


def test_a_quiet_line_needs_nobody() -> None:
    assert causes(facts(camera(judged=judged(*["PASS"] * 5)))) == []


# cameras


@pytest.mark.parametrize(("state", "ago", "raised"), [
    ("RUNNING", 20, False), ("RUNNING", 20.1, True), ("LOST", 1, True), ("ENDED", 500, False),
])  # fmt: skip
def test_a_camera_is_lost_when_it_says_so_or_is_silent_for_twenty_seconds(
    state: str, ago: float, *, raised: bool
) -> None:
    found = causes(facts(camera(told=(told(state=state, reported_at=NOON - ago * SECOND),))))
    assert [(c.kind, c.subject) for c in found] == [(Kind.CAMERA_LOST, "top")] * raised


@pytest.mark.parametrize(("since", "raised"), [(19, False), (21, True)])
def test_a_camera_that_never_reported_is_lost_some_time_after_it_joined_the_line(since: int, *, raised: bool) -> None:
    found = causes(facts(camera(told=(), since=NOON - since * SECOND)))
    assert len(found) == raised


def test_a_lost_camera_says_what_it_means_and_what_to_do() -> None:
    cause = only(facts(camera(told=(told(state="LOST", detail="no picture for 21 s"),))))
    assert cause.what == "top is lost"
    assert cause.why == "No picture for 21 s; it is being tried again. Its parts are rejected."
    assert cause.do == "Check power and cable at the camera."
    assert cause.loudness is Severity.RED


@pytest.mark.parametrize("log", [Away("no answer"), Log(reports_waiting=3)])
def test_while_reports_cannot_be_read_nobody_knows_whether_a_camera_is_lost(log: Log | Away) -> None:
    found = facts(camera(told=(told(reported_at=NOON - 99 * SECOND),)), log=log)
    assert Kind.CAMERA_LOST not in {cause.kind for cause in causes(found)} | looked_at(found)


def test_two_processes_of_one_camera_are_told_with_their_machines() -> None:
    both = (told(session=8, host="edge-2"), told(session=7, host="edge-1"))
    cause = only(facts(camera(told=both)))
    assert (cause.kind, cause.detail) == (Kind.TWO_SESSIONS, {"sessions": [8, 7]})
    assert "edge-1, edge-2" in cause.why


@pytest.mark.parametrize("former", [told(state="ENDED"), told(reported_at=NOON - 7 * SECOND)])
def test_a_process_that_ended_or_was_killed_is_not_a_second_one(former: Told) -> None:
    assert causes(facts(camera(told=(told(session=8), former)))) == []


@pytest.mark.parametrize("code", ["SPOOL_FULL", "SPOOL_80", "CLOCK_OFFSET"])
def test_what_a_camera_tells_of_itself_is_raised_with_its_words(code: str) -> None:
    cause = only(facts(camera(told=(told(alarm=f"{code}: as it says: so\nOTHER: unknown"),))))
    assert (cause.kind, cause.subject) == (code, "top")
    assert cause.why.startswith("As it says: so. ")
    assert cause.what.startswith("The ")


def test_the_alarms_of_a_real_spool_and_a_real_clock_are_understood(tmp_path: Path) -> None:
    wall = [0]
    clock = ClockWatch(wall=lambda: wall[0], monotonic=lambda: 0)
    wall[0] = 5 * 10**9
    (cause,) = causes(facts(camera(told=(told(alarm=clock.look()),))))
    assert (cause.kind, "jumped by +5.0 s" in cause.why) == (Kind.CLOCK_OFFSET, True)
    with Spool(tmp_path / "top.sqlite", most_bytes=1 << 20) as spool:
        spool.append([Record(FRAMES, 0, "", bytes(880_000), ())])
        watch = SpoolWatch(spool, Metrics())
        (nearly,) = causes(facts(camera(told=(told(alarm=watch.report().alarm),))))
        watch.refused("the spool has no room", diverting=False)
        (full,) = causes(facts(camera(told=(told(alarm=watch.report().alarm),))))
    assert (nearly.kind, full.kind) == (Kind.SPOOL_80, Kind.SPOOL_FULL)
    assert full.why.startswith("The spool has no room; no more pictures are taken. ")


def test_what_a_silent_process_told_is_no_longer_so() -> None:
    quiet = told(alarm="SPOOL_80: 81 %", reported_at=NOON - 10 * SECOND)
    assert causes(facts(camera(told=(quiet,)))) == []


def test_a_code_that_begins_like_another_is_another() -> None:
    assert causes(facts(camera(told=(told(alarm="SPOOL_800: x"),)))) == []


# verdicts


def test_a_product_without_a_model_is_told_once() -> None:
    cause = only(facts(camera("a"), camera("b"), qualified=frozenset()))
    assert (cause.kind, cause.subject) == (Kind.NOT_QUALIFIED, "ring")


@pytest.mark.parametrize(("words", "raised"), [
    (["INVALID"] * 3, True), (["INVALID", "INVALID"], False), (["INVALID", "PASS", "INVALID", "INVALID"], False),
    (["INVALID", "INVALID", "INVALID", "PASS"], True), (["PASS", "INVALID", "INVALID", "INVALID"], False),
])  # fmt: skip
def test_three_invalid_in_a_row(words: list[str], *, raised: bool) -> None:
    found = causes(facts(camera(judged=judged(*words))))
    assert [c.kind for c in found] == [Kind.IMAGE_INVALID_RUN] * raised


@pytest.mark.parametrize(("missing", "raised"), [(5, False), (6, True)])
def test_more_than_half_a_percent_of_the_last_thousand_without_a_verdict(missing: int, *, raised: bool) -> None:
    words = ["PASS", *["WORKER_DOWN"] * missing, *["PASS"] * 2000]
    words[2:2] = ["PASS", "PASS"]  # no three in a row
    words[5:5] = ["PASS"]
    words[7:7] = ["PASS"]
    found = causes(facts(camera(judged=judged(*words))))
    assert [c.kind for c in found] == [Kind.NO_VERDICT_RATE] * raised


def test_three_without_a_verdict_in_a_row_are_enough() -> None:
    cause = only(facts(camera(judged=judged(*["NOT_QUALIFIED"] * 3, "PASS"))))
    assert (cause.kind, cause.what) == (Kind.NO_VERDICT_RATE, "3 of the last 4 parts of top have no verdict")


def test_parts_without_a_verdict_for_want_of_a_model_are_told_once() -> None:
    found = facts(camera(judged=judged(*["NOT_QUALIFIED"] * 9)), qualified=frozenset())
    assert only(found).kind is Kind.NOT_QUALIFIED
    worse = facts(camera(judged=judged(*["INTERNAL_ERROR"] * 3)), qualified=frozenset())
    assert {cause.kind for cause in causes(worse)} == {Kind.NOT_QUALIFIED, Kind.NO_VERDICT_RATE}


@pytest.mark.parametrize(("words", "severity"), [
    (["PASS", "LATE", "PASS"], Severity.AMBER), (["LATE", "LATE", "PASS"], Severity.AMBER),
    (["LATE"] * 3, Severity.RED),
])  # fmt: skip
def test_late_verdicts_are_amber_and_red_at_three_in_a_row(words: list[str], severity: Severity) -> None:
    cause = only(facts(camera(judged=judged(*words, seconds=2.5))))
    assert (cause.kind, cause.loudness) == (Kind.LATE_VERDICT, severity)
    assert "by 0.5 s" in cause.why


# books


@pytest.mark.parametrize(("account", "number", "words"), [
    (Account(residual=2), 2, "they were captured and never judged"),
    (Account(residual=3, not_captured=3), 3, "3 were triggered and never had a picture"),
    (Account(missing=4, gaps=("no. 3 to 6 of session 7",)), 4, "missing: no. 3 to 6 of session 7"),
    (Account(unrouted=1), 1, "1 went where no gate tells"),
])  # fmt: skip
def test_any_part_that_is_unaccounted_for_is_red(account: Account, number: int, words: str) -> None:
    cause = only(facts(camera(account=account)))
    assert (cause.kind, cause.loudness) == (Kind.COUNT_RECONCILE, Severity.RED)
    assert cause.what == f"Unaccounted for: {number} part{'s' * (number > 1)} of top"
    assert words in cause.why.lower()


@pytest.mark.parametrize("unrouted", [None, 0])
def test_balanced_books_need_nobody(unrouted: int | None) -> None:
    assert causes(facts(camera(account=Account(unrouted=unrouted)))) == []


@pytest.mark.parametrize("difference", [3, -3])
def test_counters_that_differ_from_the_rows(difference: int) -> None:
    cause = only(facts(duplicates=difference))
    assert (cause.kind, f"{difference:+d} frames" in cause.why) == (Kind.COUNTED_TWICE, True)


# gates


def test_a_reject_that_no_sensor_saw() -> None:
    cause = only(facts(gates=(GateTold(name="g1", unconfirmed=2),)))
    assert (cause.kind, cause.subject) == (Kind.GATE_UNCONFIRMED, "g1")


def test_a_reject_that_no_sensor_saw_stays_while_the_gate_says_so() -> None:
    cause = only(facts(gates=(GateTold(name="g1", alarms=("GATE_UNCONFIRMED",)),)))
    assert (cause.kind, cause.what) == (Kind.GATE_UNCONFIRMED, "Gate g1 did not confirm 1 part")


def test_what_a_gate_told_is_raised_by_its_code_and_what_the_watch_sees_itself_is_not() -> None:
    gate = GateTold(name="g1", alarms=("BIN_FULL", "CHALLENGE_DUE", "NO_VERDICT_RATE", "A_NEW_ONE"))
    found = causes(facts(gates=(gate,)))
    assert {(c.kind, c.loudness) for c in found} == {
        (Kind.BIN_FULL, Severity.RED), (Kind.CHALLENGE_DUE, Severity.WHITE),
    }  # fmt: skip


# broker and database


def test_a_broker_that_is_away_is_one_alert_and_hides_what_it_alone_could_tell() -> None:
    found = facts(camera(), log=Away("kafka://a:9092 does not answer"))
    assert only(found).kind is Kind.BROKER_DOWN
    assert not {Kind.LAG, Kind.NOT_INSPECTING, Kind.DEAD_LETTERS, Kind.SPOOL_80} & looked_at(found)
    assert Kind.BROKER_DOWN in looked_at(found)


def test_a_database_that_was_away_is_told_when_it_is_back() -> None:
    cause = only(facts(database_away=(NOON - 90 * SECOND, "it does not answer")))
    assert (cause.kind, cause.what) == (Kind.DATABASE_DOWN, "The database was away for 90 s")


def test_frames_that_nobody_takes_are_not_inspected() -> None:
    cause = only(facts(camera(), camera("side"), log=Log(stalls=(Stall(lag(80, 30), 12.0),))))
    assert (cause.kind, cause.subject, cause.what) == (Kind.NOT_INSPECTING, "frames/0", "top, side is not inspected")


@pytest.mark.parametrize(("seconds", "raised"), [(1.9, False), (2.1, True)])
def test_lag_counts_in_seconds_against_the_tightest_deadline_of_the_partition(seconds: float, *, raised: bool) -> None:
    cameras = camera(), camera("slow", deadline_ms=9000), camera("other", partition=1, deadline_ms=100)
    found = causes(facts(*cameras, log=Log(lags=(lag(5, seconds),))))
    assert [c.kind for c in found] == [Kind.LAG] * raised


def test_what_stands_still_is_not_told_twice() -> None:
    late = lag(5, 60)
    assert only(facts(camera(), log=Log(lags=(late,), stalls=(Stall(late, 60),)))).kind is Kind.NOT_INSPECTING


def test_lag_of_other_topics_matters_only_when_messages_will_be_lost() -> None:
    assert causes(facts(camera(), log=Log(lags=(lag(5, 600, CAMERAS),)))) == []
    cause = only(facts(camera(), log=Log(lags=(lag(5, 50_000, CAMERAS),))))
    assert (cause.kind, cause.subject) == (Kind.RETENTION_HALF, "cameras/0")
    assert "lost in 10 hours" in cause.what


def test_lag_without_a_record_is_none() -> None:
    assert causes(facts(camera(), log=Log(lags=(Lag(Partition(FRAMES, 0), 5, 5),)))) == []


def test_new_dead_letters_are_told_with_the_command_that_shows_them() -> None:
    cause = only(facts(log=Log(dead=(DeadLetters(topic="frames.dlq", fresh=3, last_at=NOON),))))
    assert (cause.kind, cause.subject) == (Kind.DEAD_LETTERS, "frames.dlq")
    assert "flawline dead-letters list" in cause.do


# machines


def disk(share: float, folder: str = "/data") -> Pressure:
    return Pressure(f"the disk of {folder}", round(share * 1000), 850, 950)


def test_a_process_without_a_beat() -> None:
    cause = only(facts(silent=(Silent("inspection", "w2", 21),)))
    assert (cause.kind, cause.subject) == (Kind.WORKER_MISSING, "inspection w2")


def test_without_a_cache_nobody_knows_of_beats_and_without_a_disk_of_its_space() -> None:
    blind = frozenset(Kind) - looked_at(facts())
    assert blind == {Kind.WORKER_MISSING, Kind.DISK_85, Kind.DISK_95}
    assert looked_at(facts(silent=(), disks=(disk(0.1),))) == frozenset(Kind)


@pytest.mark.parametrize(("share", "kind"), [(0.85, None), (0.851, Kind.DISK_85), (0.951, Kind.DISK_95)])
def test_a_disk_that_fills_up(share: float, kind: Kind | None) -> None:
    assert [c.kind for c in causes(facts(disks=(disk(share),)))] == [kind] * (kind is not None)


@pytest.mark.parametrize(("hours", "raised"), [(23, True), (25, False)])
def test_partitions_that_end_within_a_day(hours: int, *, raised: bool) -> None:
    found = causes(facts(partition_until=NOON + timedelta(hours=hours)))
    assert [c.kind for c in found] == [Kind.PARTITION_MISSING] * raised


@pytest.mark.parametrize(("hours", "raised"), [(26, False), (27, True)])
def test_a_backup_that_is_old(hours: int, *, raised: bool) -> None:
    found = causes(facts(backup_at=NOON - timedelta(hours=hours)))
    assert [c.kind for c in found] == [Kind.BACKUP_STALE] * raised


@given(
    words=st.lists(st.sampled_from(["PASS", "FAIL", "REVIEW"]), max_size=20),
    ago=st.floats(0, 20), share=st.floats(0, 0.84), behind=st.floats(0, 2),
)  # fmt: skip
def test_whatever_a_healthy_line_judges_nobody_is_called(
    words: list[str], ago: float, share: float, behind: float
) -> None:
    """Product defects are no system faults (INV-14)."""
    one = camera(judged=judged(*words), told=(told(reported_at=NOON - ago * SECOND),))
    log = Log(lags=(lag(1, behind),))
    assert causes(facts(one, log=log, silent=(), disks=(disk(share),), backup_at=NOON)) == []


def test_every_cause_says_what_why_and_what_to_do_in_sentences() -> None:
    bad = camera(
        judged=judged(*["LATE"] * 6), account=Account(residual=1),
        told=(told(alarm="SPOOL_80: a\nSPOOL_FULL: b\nCLOCK_OFFSET: c"), told(session=1)),
    )  # fmt: skip
    gates = tuple(GateTold(name=f"g{n}", alarms=(kind,), unconfirmed=1) for n, kind in enumerate(Kind))
    log = Log(
        lags=(lag(1, 80_000), lag(1, 9, number=1)), stalls=(Stall(lag(1, 80_000), 6),),
        dead=(DeadLetters(topic="t", fresh=1, last_at=NOON),),
    )  # fmt: skip
    everything = facts(
        bad, camera("b", told=()), camera("c", judged=judged(*["INVALID"] * 3), partition=1),
        camera("d", judged=judged(*["WORKER_DOWN"] * 3)), gates=gates, log=log,
        qualified=frozenset(), duplicates=1, partition_until=NOON, backup_at=NOON - timedelta(days=3),
        database_away=(NOON, "away"), silent=(Silent("a", "b", 20),), disks=(disk(0.9), disk(0.99, "/b")),
    )  # fmt: skip
    found = [*causes(everything), *causes(replace(everything, log=Away("gone")))]
    assert {cause.kind for cause in found} == set(Kind)
    for cause in found:
        assert cause.what[0].isupper() or cause.what[0].isdigit() or cause.what.startswith(NAMES), cause
        assert not cause.what.endswith("."), cause
        assert (cause.why[-1], cause.do[-1]) == (".", "."), cause
        assert ".." not in cause.why, cause
