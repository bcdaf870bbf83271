"""What grows with time beside the verdict rows goes in its time, and the books say the same without it. On both."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text

from core.account_tables import (
    camera_signs,
    capture_minutes,
    dropped_counts,
    replays,
    route_frames,
    route_minutes,
    routes,
)
from core.alarms import HABITS, Cause, Kind
from core.alert_tables import alerts, marks
from core.broker.protocol import Message, Partition
from core.database import Database, open_database
from core.messages import CameraReported
from core.records import alerts as alert_records
from core.records import dropped, retention, reviews, sessions, signs
from core.records import routes as route_records
from core.records.books import books
from core.records.dropped import drop_old
from core.records.inspections import record, reject
from core.records.minutes import MinuteBook, count, minutes
from core.records.retention import drop_alerts, drop_beside_rows, drop_claims, drop_minutes
from core.settings import BrokerSettings, DatabaseSettings, Settings
from core.tables import inspections, metadata, regions, rejected_frames, review_claims, rollup_minute
from tests.core.records.conftest import Fresh
from tests.core.records.rows import NOON, SESSION, captured, frame_id, inspected, reported, size
from tests.core.records.test_routes import routed

DAY = timedelta(days=1)
DAY_NS = 86_400 * 10**9
MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
CAMERAS = ("ring-top", "board-top")
EVERY = (drop_beside_rows, drop_minutes, drop_alerts)

GROWS = {
    inspections, regions, capture_minutes, rollup_minute, route_minutes, routes, route_frames, replays, rejected_frames,
    alerts, review_claims, camera_signs,
}  # fmt: skip
STAYS = {
    "products", "cameras", "recipes", "models", "reviews", "audit_log",  # by people
    "sessions", "dropped_rows", "dropped_counts",  # a few rows for each start of a camera's process
    "attempts", "marks",  # one row for each partition, and for each thing that is marked
}  # fmt: skip


def for_days(rows: float = 0, minutes: int = 0, alerts: int = 0) -> Settings:
    return Settings(database=DatabaseSettings(keep_days=rows, keep_minute_days=minutes, keep_alert_days=alerts))


def test_every_table_either_has_a_life_or_is_known_not_to_grow_with_time() -> None:
    assert {table.name for table in GROWS} | STAYS == set(metadata.tables)
    of_kinds = {old.table for old in (retention.ROUTES, retention.REPLAYS, retention.REJECTED, *retention.MINUTES)}
    of_kinds |= {retention.ALERTS.table, retention.CLAIMS.table}
    assert GROWS - of_kinds == {inspections, regions, route_frames, camera_signs}  # by other rows, or by themselves


# A line that ran for some days: each day some parts of two cameras, one session over all of it


def count_of(days: list[int], camera: str, extra: int) -> CameraReported:
    """What the camera counted by minute: a minute a day, `extra` parts of it never judged."""
    told = [[SESSION + day * DAY_NS, days.count(day) + extra, days.count(day)] for day in sorted(set(days))]
    whole = len(days) + extra * len(set(days))
    return replace(
        reported(whole, after=max(days, default=0) * 86_400), camera=camera, captured=len(days), minutes=told
    )


def message(day: int) -> Message:
    return Message(Partition("frames", 0), day, "", b"?", (), SESSION + day * DAY_NS)


def tell(database: Database, days: list[int], extra: int) -> None:
    """All that the line told, as it may come again."""
    with database.writing() as connection:
        for camera in CAMERAS:
            frames = [captured(n, camera=camera, captured_at=SESSION + day * DAY_NS + n) for n, day in enumerate(days)]
            record(connection, [inspected(frame=frame) for frame in frames])
            told = count_of(days, camera, extra)
            sessions.report(connection, told)
            count(connection, [told])
        for day in set(days):
            reject(connection, message(day), detail="?", now=NOON + day * DAY)


def told_by_books(database: Database, now: datetime, since: datetime | None) -> tuple[Any, ...]:
    with database.reading() as connection:
        found = books(connection, now=now, since=since)
    of_sessions = [replace(book, gaps=()) for book in found.sessions]
    return of_sessions, found.rejected, found.counted, found.rows, found.lost, found.residual


def told_by_minutes(database: Database, since: datetime) -> list[MinuteBook]:
    with database.reading() as connection:
        return minutes(connection, since=since, until=NOON + 100 * DAY)


@settings(max_examples=25)
@given(
    days=st.lists(st.integers(0, 4), max_size=8).map(sorted), extra=st.integers(0, 2), today=st.integers(4, 7),
    lives=st.tuples(st.integers(0, 3), st.integers(1, 3)),
)  # fmt: skip
def test_the_books_say_the_same_without_what_was_dropped_and_when_all_of_it_comes_again(
    fresh: Fresh, days: list[int], extra: int, today: int, lives: tuple[int, int]
) -> None:
    with fresh() as database:
        tell(database, days, extra)
        now = NOON + today * DAY
        since = MIDNIGHT + (today - min(filter(None, lives))) * DAY
        before = [told_by_books(database, now, time) for time in (None, since)], told_by_minutes(database, since)
        for again in (False, True):
            drop_old(database, DatabaseSettings(keep_days=lives[0]), now=now)
            drop_beside_rows(database, for_days(rows=lives[0]), now=now)
            drop_minutes(database, for_days(minutes=lives[1]), now=now)
            after = [told_by_books(database, now, time) for time in (None, since)], told_by_minutes(database, since)
            assert after == before
            if not again and not lives[0]:  # rows that are there are met; of dropped ones the workers refuse the frames
                tell(database, days, extra)
        with database.reading() as connection:
            left = {(minute - NOON).days for minute in connection.scalars(select(capture_minutes.c.minute))}
            assert left == {day for day in days if day >= today - lives[1]}


def test_books_of_a_time_begin_where_the_minutes_do(database: Database) -> None:
    tell(database, [0, 1, 2], extra=1)
    drop_minutes(database, for_days(minutes=1), now=NOON + 2 * DAY)
    with database.reading() as connection:
        found = books(connection, now=NOON + 3 * DAY, since=NOON)
        (book,) = [book for book in found.sessions if book.camera == "ring-top"]
        listed = minutes(connection, since=NOON, until=NOON + 9 * DAY)
    assert (book.first_seq, book.triggered, book.captured, found.duplicates) == (2, 4, 2, 0)
    assert {each.minute for each in listed} == {NOON + DAY, NOON + 2 * DAY}


def test_a_minute_that_was_dropped_is_not_counted_again_when_its_report_comes_late(database: Database) -> None:
    tell(database, [0, 2], extra=0)
    drop_minutes(database, for_days(minutes=1), now=NOON + 2 * DAY)
    tell(database, [0, 2], extra=0)
    drop_minutes(database, for_days(minutes=1), now=NOON + 2 * DAY)
    with database.reading() as connection:
        sums = {(row.what, row.subject): row.n for row in connection.execute(select(dropped_counts))}
    assert sums == {(what, camera): 1 for what in ("triggered", "captured", "judged") for camera in CAMERAS}


def test_routes_go_with_the_pictures_that_were_weighed_for_them_and_their_minutes_stay(database: Database) -> None:
    told = [routed(n, frame_id(n), frame_id(n, camera="side"), second=86_400 * n) for n in range(4)]
    with database.writing() as connection:
        for part in told:
            route_records.keep(connection, part)
    before = told_by_minutes(database, NOON)
    assert drop_beside_rows(database, for_days(rows=1), now=NOON + 3 * DAY) == 2
    with database.reading() as connection:
        assert set(connection.scalars(select(routes.c.number))) == {2, 3}
        assert set(connection.scalars(select(route_frames.c.number))) == {2, 3}
        assert route_records.where_to(connection, frame_id(0)) is None
        assert route_records.where_to(connection, frame_id(3)) == "ACCEPTED"
        assert route_records.kept_since(connection) == MIDNIGHT + 2 * DAY
    assert told_by_minutes(database, NOON) == before


def test_evidence_of_replays_lives_as_long_as_the_row_that_it_belongs_to(database: Database) -> None:
    row = {"camera": "top", "session": SESSION, "topic": "frames.dlq", "partition": 0, "replayed_at": NOON + 9 * DAY}
    row |= {"old_verdict": "INVALID", "old_reason": "", "old": {}, "new_verdict": "PASS", "new_reason": ""}
    with database.writing() as connection:
        for day in range(4):
            values = row | {"seq": day, "offset": day, "captured_at": NOON + day * DAY}
            connection.execute(insert(replays).values(values))
    assert drop_beside_rows(database, for_days(rows=1), now=NOON + 3 * DAY) == 2
    with database.reading() as connection:
        assert set(connection.scalars(select(replays.c.seq))) == {2, 3}


def test_a_rejected_message_stays_as_long_as_the_log_may_deliver_it_again(database: Database) -> None:
    with database.writing() as connection:
        for day in range(4):
            reject(connection, message(day), detail="?", now=NOON + day * DAY)
    settings = Settings(
        database=DatabaseSettings(keep_days=0.25),
        broker=BrokerSettings(retention_hours=24),
    )
    assert drop_beside_rows(database, settings, now=NOON + 3 * DAY) == 1  # a day, and one more
    with database.reading() as connection:
        assert set(connection.scalars(select(rejected_frames.c.offset))) == {1, 2, 3}
        assert books(connection, now=NOON + 4 * DAY).rejected == 4


def test_an_alert_goes_when_it_has_been_closed_for_long_and_an_open_one_never(database: Database) -> None:
    def lost(camera: str) -> Cause:
        return Cause(kind=Kind.CAMERA_LOST, subject=camera, what="lost", why="", do="")

    off = timedelta(seconds=HABITS[Kind.CAMERA_LOST].off)
    with database.writing() as connection:
        everything = frozenset(Kind)
        alert_records.keep(connection, [lost("a"), lost("b"), lost("c")], looked_at=everything, now=NOON)
        alert_records.keep(connection, [lost("b"), lost("c")], looked_at=everything, now=NOON + off)
        alert_records.keep(connection, [lost("b")], looked_at=everything, now=NOON + 5 * DAY)
    assert drop_alerts(database, for_days(alerts=3), now=NOON + 6 * DAY) == 1
    with database.reading() as connection:
        assert set(connection.scalars(select(alerts.c.subject))) == {"b", "c"}


def test_a_reservation_that_ended_a_day_ago_goes_and_one_that_holds_stays(database: Database) -> None:
    with database.writing() as connection:
        record(connection, [inspected(n) for n in range(2)])
        for n, moment in enumerate((NOON, NOON + 2 * DAY)):
            values = frame_id(n)._asdict() | {"reviewer": "ann", "lease_until": moment + reviews.LEASE}
            connection.execute(insert(review_claims).values(values))
    assert drop_claims(database, now=NOON + 2 * DAY) == 1
    with database.reading() as connection:
        assert connection.scalars(select(review_claims.c.seq)).all() == [1]


def test_of_a_cameras_processes_the_newest_ones_are_known(database: Database) -> None:
    with database.writing() as connection:
        for n in [*range(15), 3]:  # a report of an old one comes again
            told = replace(reported(1), session=SESSION + n)
            sessions.report(connection, told)
            signs.keep(connection, told)
        signs.keep(connection, replace(reported(1), camera="side"))
        assert size(connection, camera_signs) == signs.KEPT + 1
        assert [sign.session for sign in signs.newest(connection, "ring-top")] == [SESSION + n for n in (14, 13, 12)]


@pytest.mark.parametrize("drop", EVERY)
def test_all_of_it_lives_for_ever_unless_told_otherwise(database: Database, drop: Callable[..., int]) -> None:
    tell(database, [0, 1], extra=0)
    with database.writing() as connection:
        route_records.keep(connection, routed(0, frame_id(0)))
    assert drop(database, Settings(), now=NOON + 10_000 * DAY) == 0
    with database.reading() as connection:
        assert size(connection, dropped_counts) == 0


def test_many_rows_go_in_small_transactions_and_a_bounded_number_in_one_call(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dropped, "BATCH", 3)
    monkeypatch.setattr(dropped, "MOST", 8)
    row = {"camera": "top", "session": SESSION, "triggered": 1, "captured": 1}
    with database.writing() as connection:
        connection.execute(
            insert(capture_minutes), [row | {"minute": NOON + n * timedelta(minutes=1)} for n in range(20)]
        )
    gone = [drop_minutes(database, for_days(minutes=1), now=NOON + 5 * DAY) for _ in range(4)]
    assert gone == [9, 9, 2, 0]
    with database.reading() as connection:
        assert connection.scalar(select(dropped_counts.c.n).where(dropped_counts.c.what == "triggered")) == 20


def test_a_row_that_a_writer_holds_is_left_for_the_next_time_and_holds_up_nothing(postgres_url: str) -> None:
    with open_database(postgres_url) as database:
        tell(database, [0], extra=0)
        with database.writing() as writer:
            writer.execute(select(capture_minutes).where(capture_minutes.c.camera == "ring-top").with_for_update())
            assert drop_minutes(database, for_days(minutes=1), now=NOON + 5 * DAY) == 1 + 2  # and both of the verdicts
        assert drop_minutes(database, for_days(minutes=1), now=NOON + 5 * DAY) == 1


@pytest.mark.parametrize(
    "old",
    [*retention.MINUTES, retention.ROUTES, retention.REPLAYS, retention.REJECTED, retention.ALERTS],
    ids=lambda old: str(old.table.name),
)
def test_what_is_past_its_time_is_found_by_an_index(database: Database, old: retention.Old) -> None:
    named = {index.name for index in old.table.indexes if next(iter(index.columns)).name == old.time.name}
    assert named
    with database.reading() as connection:
        if connection.dialect.name != "sqlite":
            return
        name, time = old.table.name, old.time.name
        plan = connection.execute(
            text(f"EXPLAIN QUERY PLAN DELETE FROM {name} WHERE rowid IN (SELECT oldest.rowid FROM {name} AS oldest"
                 f" WHERE oldest.{time} < '2026' ORDER BY oldest.{time} LIMIT 5)")
        ).all()  # fmt: skip
    assert not any("SCAN" in row.detail or "TEMP B-TREE" in row.detail for row in plan), plan


def test_marks_are_one_row_for_each_name(database: Database) -> None:
    with database.writing() as connection:
        for second in range(5):
            alert_records.mark(connection, alert_records.WATCH, now=NOON + second * timedelta(seconds=1))
        assert size(connection, marks) == 1
