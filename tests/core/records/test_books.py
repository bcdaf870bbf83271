from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, text, update

from core.broker.protocol import Message, Partition
from core.database import Database
from core.partitions import keep_ahead
from core.records.books import Books, Gap, SessionBook, books
from core.records.dropped import drop_old
from core.records.inspections import record, reject
from core.records.minutes import GRACE, count
from core.records.sessions import report
from core.settings import DatabaseSettings
from core.tables import inspections, rollup_minute
from core.verdicts import MachineVerdict
from tests.core.records.conftest import Fresh
from tests.core.records.rows import NOON, SESSION, captured, inspected, reported
from tests.plans import plans

FAIL, INVALID, NO_VERDICT = MachineVerdict.FAIL, MachineVerdict.INVALID, MachineVerdict.NO_VERDICT
PASS, REVIEW = MachineVerdict.PASS, MachineVerdict.REVIEW
SOON = NOON + timedelta(seconds=10)


def keep(database: Database, *seqs: int) -> None:
    with database.writing() as connection:
        record(connection, [inspected(seq) for seq in seqs])


def tell(database: Database, triggered: int, *, state: str = "RUNNING", after: float = 5) -> None:
    with database.writing() as connection:
        report(connection, reported(triggered, state=state, after=after))


def read(database: Database, seconds: float = 10) -> Books:
    with database.reading() as connection:
        return books(connection, now=NOON + timedelta(seconds=seconds))


def only(found: Books) -> SessionBook:
    (book,) = found.sessions
    return book


def test_empty_books_balance(database: Database) -> None:
    found = read(database)
    assert found == Books(sessions=(), rejected=0, counted=0, rows=0)
    assert (found.lost, found.duplicates, found.residual, found.expected, found.settled) == (0, 0, 0, 0, True)


def test_a_session_that_ended_with_a_verdict_for_each_trigger_is_settled_at_once(database: Database) -> None:
    with database.writing() as connection:
        for seq, verdict in enumerate([*MachineVerdict, PASS, FAIL, PASS]):
            record(connection, [inspected(seq, verdict)])
    tell(database, 8, state="ENDED")
    book = only(read(database))
    assert book.verdicts == {PASS: 3, FAIL: 2, REVIEW: 1, INVALID: 1, NO_VERDICT: 1}
    assert (book.camera, book.session, book.state, book.triggered, book.captured) == (
        "ring-top",
        SESSION,
        "ENDED",
        8,
        8,
    )
    assert (book.rows, book.expected, book.residual, book.gaps, book.settled) == (8, 8, 0, (), True)


def test_a_session_balances_when_what_passed_without_a_picture_has_its_rows(database: Database) -> None:
    verdicts = [PASS, NO_VERDICT, NO_VERDICT, FAIL]
    with database.writing() as connection:
        record(connection, [inspected(seq, verdict) for seq, verdict in enumerate(verdicts)])
        report(connection, reported(4, state="ENDED", captured=2))
    book = only(read(database))
    assert (book.triggered, book.captured, book.rows, book.lost, book.gaps, book.settled) == (4, 2, 4, 0, (), True)


def test_frames_under_way_are_pending_and_not_lost(database: Database) -> None:
    keep(database, 0, 1, 2)
    tell(database, 7)
    found = read(database)
    book = only(found)
    assert (book.pending, book.missing, book.lost, book.residual, book.settled) == (4, 0, 0, 4, False)
    assert (found.lost, found.residual, found.settled) == (0, 4, False)


@pytest.mark.parametrize("state", ["RUNNING", "LOST", "ENDED"])
def test_frames_still_under_way_when_a_session_was_silent_for_the_grace_time_are_lost(
    database: Database, state: str
) -> None:
    keep(database, 0, 1, 2)
    tell(database, 7, state=state, after=5)
    settles = 5 + GRACE.total_seconds()
    assert read(database, settles - 0.001).lost == 0
    found = read(database, settles)
    assert (found.lost, found.residual, found.settled) == (4, 4, True)


def test_frames_that_were_passed_over_are_gaps_at_once(database: Database) -> None:
    keep(database, 2, 3, 5, 9)
    tell(database, 10)
    book = only(read(database))
    assert book.gaps == (Gap(0, 1), Gap(4, 4), Gap(6, 8))
    assert [gap.frames for gap in book.gaps] == [2, 1, 3]
    assert (book.missing, book.pending, book.lost, book.settled) == (6, 0, 6, False)


def test_the_list_of_gaps_is_bounded_and_the_count_is_not(database: Database) -> None:
    keep(database, *range(1, 101, 2))
    with database.reading() as connection:
        every = only(books(connection, now=SOON))
        none = only(books(connection, now=SOON, most_gaps=0))
    assert every.gaps == tuple(Gap(seq, seq) for seq in range(0, 40, 2))
    assert none.gaps == ()
    assert every.missing == none.missing == 50


def test_a_session_that_died_may_have_stored_more_than_it_reported(database: Database) -> None:
    keep(database, 0, 1, 2, 3)
    tell(database, 2)
    book = only(read(database, 120))
    assert (book.triggered, book.expected, book.residual, book.lost) == (2, 4, 0, 0)


def test_a_session_that_reported_no_row_yet_is_in_the_books(database: Database) -> None:
    tell(database, 3)
    book = only(read(database))
    assert (book.rows, book.newest_seq, book.pending, book.gaps) == (0, None, 3, ())


def test_a_session_that_never_reported_is_in_the_books_and_settles_by_its_newest_picture(database: Database) -> None:
    keep(database, 0, 2)
    book = only(read(database))
    assert (book.state, book.triggered, book.captured, book.reported_at) == ("", None, None, None)
    assert (book.expected, book.missing, book.settled) == (3, 1, False)
    assert only(read(database, 61)).settled


def test_a_rejected_frame_message_is_counted_and_never_makes_up_for_a_lost_frame(database: Database) -> None:
    keep(database, 0, 2)
    tell(database, 3, state="ENDED")
    with database.writing() as connection:
        for topic in ("frames", "cameras"):
            reject(connection, Message(Partition(topic, 0), 1, "", b"", (), SESSION), detail="no seq", now=NOON)
    found = read(database, 120)
    assert (found.rejected, found.residual, found.lost) == (1, 1, 1)


def test_a_frame_that_the_counters_have_twice_is_a_duplicate(database: Database) -> None:
    keep(database, 0, 1)
    assert read(database).duplicates == 0
    with database.writing() as connection:
        connection.execute(update(rollup_minute).values(n=rollup_minute.c.n + 1))
    assert read(database).duplicates == 1


def test_sessions_stand_newest_first_and_add_up(database: Database) -> None:
    with database.writing() as connection:
        record(connection, [inspected(0, FAIL), inspected(1)])
        record(connection, [inspected(0, frame=captured(0, session=SESSION + 7))])
        record(connection, [inspected(0, REVIEW, captured(0, camera="board-top"))])
    found = read(database)
    assert [(book.camera, book.session) for book in found.sessions] == [
        ("ring-top", SESSION + 7),
        ("board-top", SESSION),
        ("ring-top", SESSION),
    ]
    assert found.verdicts == {PASS: 2, FAIL: 1, REVIEW: 1, INVALID: 0, NO_VERDICT: 0}
    assert (found.expected, found.rows, found.counted) == (4, 4, 4)


def test_since_leaves_out_what_was_over_before(database: Database) -> None:
    old = SESSION - 3600 * 10**9
    with database.writing() as connection:
        record(connection, [inspected(0, frame=captured(seq, camera="old-top", session=old)) for seq in range(3)])
        report(connection, reported(3, camera="old-top", session=old, state="ENDED", after=-3500))
        report(connection, reported(4, camera="quiet-top", session=old, after=5))
        record(connection, [inspected(0)])
        found = books(connection, now=SOON, since=NOON + timedelta(seconds=30))
    assert {(book.camera, book.rows) for book in found.sessions} == {("quiet-top", 0), ("ring-top", 1)}
    assert (found.rows, found.counted, found.duplicates) == (1, 1, 0)


LONG_AGO = SESSION - 3600 * 10**9  # a session that began an hour before


def keep_long(database: Database, *, before: int, after: int, told: bool) -> None:
    """One session with frames before and from noon on."""
    times = [LONG_AGO + seq for seq in range(before)] + [SESSION + seq for seq in range(after)]
    frames = [captured(seq, session=LONG_AGO, captured_at=time) for seq, time in enumerate(times)]
    minutes = [[LONG_AGO, before, before], [SESSION, after, after]] if told else []
    last = reported(len(times), session=LONG_AGO, after=5, minutes=minutes)
    with database.writing() as connection:
        record(connection, [inspected(frame=frame) for frame in frames])
        report(connection, last)
        count(connection, [last])


@pytest.mark.parametrize("told", [True, False])
def test_a_session_that_goes_on_is_counted_from_the_time_that_is_asked_for(database: Database, *, told: bool) -> None:
    keep_long(database, before=6, after=4, told=told)
    with database.reading() as connection:
        book = only(books(connection, now=SOON, since=NOON))
    assert (book.first_seq, book.rows, book.expected, book.triggered, book.captured) == (6, 4, 4, 4, 4)
    assert (book.gaps, book.lost, book.newest_seq) == ((), 0, 9)


@pytest.mark.parametrize("told", [True, False])
def test_a_frame_that_is_missing_since_then_is_found_and_one_before_is_not(database: Database, *, told: bool) -> None:
    keep_long(database, before=6, after=4, told=told)
    with database.writing() as connection:
        connection.execute(delete(inspections).where(inspections.c.seq.in_([2, 7])))
        book = only(books(connection, now=SOON, since=NOON))
        whole = only(books(connection, now=SOON))
    assert (book.gaps, book.missing, book.expected) == ((Gap(7, 7),), 1, 4)
    assert (whole.gaps, whole.missing, whole.expected) == ((Gap(2, 2), Gap(7, 7)), 2, 10)


def test_rows_that_retention_has_dropped_are_not_lost_when_the_camera_has_told_of_them(database: Database) -> None:
    keep_long(database, before=6, after=4, told=True)
    with database.writing() as connection:
        connection.execute(delete(inspections).where(inspections.c.captured_at < NOON))
        book = only(books(connection, now=SOON, since=NOON))
    assert (book.first_seq, book.rows, book.lost) == (6, 4, 0)


def drop_before_noon(database: Database) -> None:
    keep = DatabaseSettings(keep_days=1)
    assert drop_old(database, keep, now=NOON + timedelta(days=1, hours=1)) == 6


@pytest.mark.parametrize("told", [True, False])
def test_what_retention_has_dropped_stays_counted(database: Database, *, told: bool) -> None:
    day = 24 * 3600 * 10**9
    session = SESSION - day
    times = [session + seq for seq in range(6)] + [SESSION + seq for seq in (0, 1, 3)]
    seqs = [0, 1, 2, 4, 5, 6, 7, 8, 10]  # 3 was lost before, 9 after
    frames = [captured(seq, session=session, captured_at=at) for seq, at in zip(seqs, times, strict=True)]
    with database.writing() as connection:
        record(connection, [inspected(frame=frame) for frame in frames])
        if told:
            report(connection, reported(11, session=session, after=5))
            count(connection, [reported(11, session=session, minutes=[[session, 7, 7], [SESSION, 4, 4]])])
    drop_before_noon(database)
    whole = read(database)
    book = only(whole)
    assert (whole.duplicates, book.rows, book.expected, book.missing, book.gaps) == (0, 9, 11, 2, (Gap(9, 9),))
    with database.reading() as connection:
        (recent,) = books(connection, now=SOON, since=NOON).sessions
        older = books(connection, now=SOON, since=NOON - timedelta(days=2))
    assert (recent.first_seq, recent.rows, recent.missing, recent.gaps) == (7, 3, 1, (Gap(9, 9),))
    assert (older.duplicates, only(older).rows) == (0, 3)


def test_a_session_that_was_dropped_whole_balances(database: Database) -> None:
    session = SESSION - 24 * 3600 * 10**9
    with database.writing() as connection:
        frames = [captured(seq, session=session, captured_at=session + seq) for seq in range(6)]
        record(connection, [inspected(frame=frame) for frame in frames])
    drop_before_noon(database)
    whole = read(database)
    assert (whole.rows, whole.duplicates, whole.lost, whole.settled) == (6, 0, 0, True)
    with database.reading() as connection:
        assert books(connection, now=SOON, since=NOON - timedelta(days=2)).sessions == ()


def test_all_frames_of_the_time_may_be_missing(database: Database) -> None:
    keep_long(database, before=6, after=4, told=True)
    with database.writing() as connection:
        connection.execute(delete(inspections).where(inspections.c.captured_at >= NOON))
        book = only(books(connection, now=SOON + GRACE, since=NOON))
    assert (book.first_seq, book.rows, book.newest_seq, book.lost, book.gaps) == (6, 0, None, 4, ())


def test_a_session_that_never_reported_and_stored_nothing_since_then_is_left_out(database: Database) -> None:
    with database.writing() as connection:
        record(connection, [inspected(frame=captured(0, session=LONG_AGO))])
        assert books(connection, now=SOON, since=NOON).sessions == ()
        assert [book.session for book in books(connection, now=SOON).sessions] == [LONG_AGO]


def test_gaps_are_found_by_counting_over_an_index_in_the_partitions_since_the_session(database: Database) -> None:
    keep_ahead(database, DatabaseSettings(partitions_ahead=11), now=NOON - timedelta(days=10))
    with database.writing() as connection:
        record(connection, [inspected(frame=captured(0, session=SESSION - 9 * 24 * 3600 * 10**9))])
        record(connection, [inspected(seq) for seq in range(1000) if seq not in {313, 700}])
        connection.execute(text("ANALYZE inspections" if connection.dialect.name == "postgresql" else "SELECT 1"))
    with database.writing() as connection, plans(connection) as found:
        book = only(books(connection, now=SOON, since=NOON))
    assert book.gaps == (Gap(313, 313), Gap(700, 700))
    parts = {name for plan in found for name in plan.tables if name.startswith("inspections_2")}
    assert all(name >= "inspections_20261123" for name in parts)  # later ones may be left by other tests
    assert all(plan.indexes for plan in found if "inspections" in plan.tables or plan.tables & parts)
    assert len(found) < 60  # each gap by halving the numbers


def test_one_camera_alone(database: Database) -> None:
    with database.writing() as connection:
        record(connection, [inspected(0, FAIL), inspected(0, PASS, captured(0, camera="board-top"))])
        found = books(connection, now=SOON, cameras=["board-top"])
    assert ([book.camera for book in found.sessions], found.rows, found.counted) == (["board-top"], 1, 1)


@settings(max_examples=30, deadline=None)
@given(stored=st.sets(st.integers(0, 70), min_size=1), triggered=st.none() | st.integers(0, 90))
def test_the_gaps_and_the_pending_frames_are_what_is_missing(
    fresh: Fresh, stored: set[int], triggered: int | None
) -> None:
    with fresh() as database:
        keep(database, *stored)
        if triggered is not None:
            tell(database, triggered)
        with database.reading() as connection:
            book = only(books(connection, now=SOON, most_gaps=1000))
    listed = [seq for gap in book.gaps for seq in range(gap.first, gap.last + 1)]
    assert listed == sorted(set(range(max(stored))) - stored)
    assert all(one.last + 1 < two.first for one, two in zip(book.gaps, book.gaps[1:], strict=False))
    assert (book.missing, book.rows) == (len(listed), len(stored))
    assert book.expected == max(max(stored) + 1, triggered or 0)
    assert book.rows + book.missing + book.pending == book.expected
