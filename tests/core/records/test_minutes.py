from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from core.database import Database
from core.messages import CameraReported
from core.records.inspections import record
from core.records.minutes import GRACE, MINUTE, CameraBook, MinuteBook, by_camera, count, minutes, settled_until
from core.tables import inspections, rollup_minute
from core.times import ns_of
from core.verdicts import MachineVerdict
from ingest.minutes import MinuteCounts
from tests.core.records.conftest import Fresh
from tests.core.records.rows import NOON, SESSION, captured, inspected, reported

FAIL, INVALID, PASS = MachineVerdict.FAIL, MachineVerdict.INVALID, MachineVerdict.PASS
NOTHING = dict.fromkeys(MachineVerdict, 0)
ONE_O_CLOCK = NOON + timedelta(hours=1)


def read(database: Database) -> list[MinuteBook]:
    with database.reading() as connection:
        return minutes(connection, since=NOON, until=ONE_O_CLOCK)


def tell(database: Database, *reports: CameraReported) -> None:
    with database.writing() as connection:
        count(connection, reports)


def said(*counts: tuple[datetime, int, int], **more: object) -> CameraReported:
    told = [[ns_of(minute), triggered, captured] for minute, triggered, captured in counts]
    return replace(reported(0), minutes=told, **more)  # type: ignore[arg-type]  # what replace takes


def test_minutes_tell_each_camera_and_minute_of_capture(database: Database) -> None:
    with database.writing() as connection:
        record(connection, [inspected(seq, FAIL if seq % 100 == 0 else PASS, model_id=seq % 2) for seq in range(700)])
        record(connection, [inspected(0, INVALID, captured(0, camera="board-top"), is_late=True)])
        every = minutes(connection, since=NOON, until=NOON + 2 * MINUTE)
        one = minutes(connection, since=NOON + timedelta(seconds=70), until=NOON + GRACE * 9, cameras=["ring-top"])
    ring = MinuteBook(camera="ring-top", minute=NOON, n=600, verdicts=NOTHING | {FAIL: 6, PASS: 594})
    later = MinuteBook(camera="ring-top", minute=NOON + MINUTE, n=100, verdicts=NOTHING | {FAIL: 1, PASS: 99})
    board = MinuteBook(camera="board-top", minute=NOON, n=1, verdicts=NOTHING | {INVALID: 1}, late=1)
    assert every == [board, ring, later]
    assert one == [later]
    assert {book.residual for book in every} == {0}


def test_the_cameras_own_counts_stand_beside_the_verdicts(database: Database) -> None:
    with database.writing() as connection:
        record(connection, [inspected(seq) for seq in range(4)])
    tell(database, said((NOON, 6, 5), (NOON + MINUTE, 2, 2)))
    first, second = read(database)
    assert (first.triggered, first.captured, first.n, first.expected, first.residual, first.not_captured) == (
        6, 5, 4, 6, 2, 1,
    )  # fmt: skip
    assert (second.triggered, second.n, second.residual) == (2, 0, 2)


def test_triggers_without_a_picture_that_are_on_record_are_no_residual(database: Database) -> None:
    verdicts = [PASS, PASS, *[MachineVerdict.NO_VERDICT] * 3]
    with database.writing() as connection:
        record(connection, [inspected(seq, verdict) for seq, verdict in enumerate(verdicts)])
    tell(database, said((NOON, 5, 2)))
    (book,) = read(database)
    assert (book.triggered, book.captured, book.n, book.residual, book.not_captured) == (5, 2, 5, 0, 0)
    tell(database, said((NOON, 9, 3)))  # a fourth picture is not judged yet, and three more triggers have no record
    (book,) = read(database)
    assert (book.residual, book.not_captured) == (4, 3)


def test_a_minute_that_no_camera_told_of_is_unknown_and_not_zero(database: Database) -> None:
    with database.writing() as connection:
        record(connection, [inspected(0)])
    (book,) = read(database)
    assert (book.triggered, book.captured, book.residual) == (None, None, 0)


def test_a_process_that_died_may_have_sent_more_than_it_told(database: Database) -> None:
    with database.writing() as connection:
        record(connection, [inspected(seq) for seq in range(4)])
    tell(database, said((NOON, 2, 2)))
    (book,) = read(database)
    assert (book.expected, book.residual) == (4, 0)


def test_two_sessions_in_a_minute_add_up(database: Database) -> None:
    tell(database, said((NOON, 3, 3)), said((NOON, 4, 2), session=SESSION + 5))
    (book,) = read(database)
    assert (book.triggered, book.captured) == (7, 5)


def test_a_report_again_or_late_changes_nothing(database: Database) -> None:
    for told in (said((NOON, 6, 5)), said((NOON, 6, 5)), said((NOON, 2, 1)), said((NOON, 5, 5))):
        tell(database, told)
    (book,) = read(database)
    assert (book.triggered, book.captured) == (6, 5)


def test_a_minute_is_settled_when_deadline_and_settle_time_are_over_for_its_last_part() -> None:
    assert settled_until(NOON, 5000) == NOON - timedelta(seconds=125)
    books = [MinuteBook(camera="a", minute=NOON - timedelta(seconds=s), triggered=1, captured=1) for s in (126, 124)]
    (found,) = by_camera(books, now=NOON, deadlines={"a": 5000})
    assert (found.residual, found.under_way, found.triggered, found.judged) == (1, 1, 2, 0)


def test_routes_are_asked_for_only_where_a_gate_has_told_of_any() -> None:
    before = [MinuteBook(camera=name, minute=NOON - MINUTE) for name in "ab"]
    one = MinuteBook(camera="a", minute=NOON, n=3, verdicts=NOTHING | {PASS: 3}, routes={"ACCEPTED": 2})
    two = MinuteBook(camera="b", minute=NOON, n=3, verdicts=NOTHING | {PASS: 3})
    a, b = by_camera([*before, one, two], now=ONE_O_CLOCK, deadlines={})
    assert (a.unrouted, a.routes, b.unrouted, b.routes) == (1, {"ACCEPTED": 2}, None, {})
    assert (a.triggered, a.captured) == (None, None)


@pytest.mark.parametrize(("routed", "unseen", "unrouted"), [(3, 0, 0), (2, 1, 0), (1, 1, 1), (3, 2, 0), (5, 0, 2)])
def test_a_part_that_the_gate_routed_without_a_picture_is_accounted_for(
    routed: int, unseen: int, unrouted: int
) -> None:
    minute = MinuteBook(camera="a", minute=NOON, n=3, verdicts=NOTHING | {PASS: 3}, routes={"ACCEPTED": routed})
    blind = MinuteBook(camera="a", minute=NOON + MINUTE, unseen=unseen)  # its trigger came a moment later
    (book,) = by_camera([MinuteBook(camera="a", minute=NOON - MINUTE), minute, blind], now=ONE_O_CLOCK, deadlines={})
    assert book.unrouted == unrouted


def test_too_many_verdicts_never_make_up_for_a_missing_one() -> None:
    short = MinuteBook(camera="a", minute=NOON, triggered=5, captured=5, n=4, verdicts=NOTHING | {PASS: 4})
    over = MinuteBook(camera="a", minute=NOON + MINUTE, triggered=5, captured=5, n=5, verdicts=NOTHING | {PASS: 6})
    (book,) = by_camera([short, over], now=ONE_O_CLOCK, deadlines={})
    assert book.residual == 2


def balance(database: Database) -> CameraBook:
    (book,) = by_camera(read(database), now=ONE_O_CLOCK, deadlines={})
    return book


@settings(max_examples=25, deadline=None)
@given(
    times=st.lists(st.integers(0, 240), min_size=1, max_size=60),
    taken=st.sets(st.integers(0, 59)),
    luck=st.randoms(use_true_random=False),
)
def test_the_residual_is_exactly_what_was_taken_away(
    fresh: Fresh, times: list[int], taken: set[int], luck: Random
) -> None:
    """A clock that jumps, reports that come twice, out of order or not at all, frames that are judged twice."""
    counts, told, frames = MinuteCounts(), [], []
    for seq, second in enumerate(times):
        at = SESSION + second * 10**9
        counts.trigger(at)
        counts.capture(at)
        frames.append(captured(seq, captured_at=at))
        told.append(replace(reported(seq + 1), minutes=counts.newest()))
    kept = [inspected(frame=frame) for frame in frames if frame.seq not in taken]
    noise = [each for each in told[:-1] if luck.random() < 0.7]
    with fresh() as database:
        for rows in (kept, luck.sample(kept, len(kept) // 2)):
            with database.writing() as connection:
                record(connection, rows)
        everything = told + noise
        luck.shuffle(everything)
        tell(database, *everything)
        tell(database, *noise)
        assert balance(database).residual == len({seq for seq in taken if seq < len(times)})
        assert balance(database).triggered == balance(database).captured == len(times)


def test_the_rows_are_the_check_on_the_counters(database: Database) -> None:
    """A row that vanishes leaves the counters balanced: `books` counts the rows, and finds it."""
    with database.writing() as connection:
        record(connection, [inspected(seq) for seq in range(4)])
        connection.execute(delete(inspections).where(inspections.c.seq == 2))
    assert balance(database).residual == 0
    with database.writing() as connection:
        connection.execute(delete(rollup_minute))
    tell(database, said((NOON, 4, 4)))
    assert balance(database).residual == 4
