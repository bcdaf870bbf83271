import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.broker.protocol import Topic
from core.messages import CAMERAS, DEAD_LETTERS, ROUTES, CameraReported, FrameId, PartRouted
from core.records.books import books
from core.records.minutes import minutes
from core.records.retention import drop_beside_rows
from core.records.routes import where_to
from core.records.signs import newest
from core.settings import DatabaseSettings, Settings
from core.stop import Stop
from core.times import MINUTE_NS, utc_of
from tests.workers.bench import NOW, Bench, drain
from workers.bookkeeping import GROUP, ROUTE_GROUP, Bookkeeper, RouteKeeper
from workers.runtime import Pace, Worker
from workers.steps import Dead

REPORT = CameraReported(
    camera="top", station="s", product="ring", session=NOW, state="RUNNING", detail="", triggered=5, captured=5,
    reconnects=0, reported_at=NOW,
)  # fmt: skip


def worker(bench: Bench) -> Worker:
    consumer = bench.broker.consumer(CAMERAS, group=GROUP, member="books")
    pace = Pace(poll=0.0, sleep=lambda _: None)
    return Worker(consumer, bench.broker.producer(), Bookkeeper(bench.database), stop=Stop(), pace=pace)


def send(bench: Bench, *values: bytes) -> None:
    bench.broker.apply([Topic(CAMERAS, 1)])
    with bench.broker.producer() as producer:
        for value in values:
            producer.send(CAMERAS, value, partition=0)


def test_reports_reach_the_books_and_an_older_one_changes_nothing(bench: Bench) -> None:
    newer = replace(
        REPORT, triggered=9, captured=8, reported_at=NOW + 10**9, state="LOST", detail="no picture for 21 s"
    )
    send(bench, newer.to_json(), REPORT.to_json(), newer.to_json())
    assert drain(worker(bench)) == 3
    with bench.database.reading() as connection:
        (book,) = books(connection, now=bench.clock.utc()).sessions
    assert (book.state, book.triggered, book.captured) == ("LOST", 9, 8)


def test_what_is_no_report_is_a_dead_letter_and_the_others_are_written(bench: Bench) -> None:
    send(bench, b"{}", REPORT.to_json())
    assert drain(worker(bench)) == 2
    (letter,) = bench.topic(DEAD_LETTERS[CAMERAS])
    assert letter.value == b"{}"
    with bench.database.reading() as connection:
        assert len(books(connection, now=bench.clock.utc()).sessions) == 1


def test_a_report_that_cannot_be_written_is_given_up(bench: Bench) -> None:
    send(bench, REPORT.to_json())
    (message,) = bench.topic(CAMERAS)
    assert Bookkeeper(bench.database).give_up(message, "it ended its worker") == Dead("it ended its worker")


@pytest.mark.parametrize(
    "counts", [[1, 2], [1, 2, 3, 4], [1, -2, 3], [1, 2.5, 3], [1, True, 3], [1 << 63, 1, 1], "abc"]
)
def test_counts_that_no_database_takes_make_a_report_a_dead_letter(bench: Bench, counts: Any) -> None:
    send(bench, replace(REPORT, minutes=[counts]).to_json())
    drain(worker(bench))
    (letter,) = bench.topic(DEAD_LETTERS[CAMERAS])
    assert "not a CameraReported message" in dict(letter.headers)["dead.detail"].decode()


def test_a_report_of_an_older_version_counts_no_minutes(bench: Bench) -> None:
    told = json.loads(REPORT.to_json())
    del told["minutes"]
    send(bench, json.dumps(told).encode())
    drain(worker(bench))
    assert bench.topic(DEAD_LETTERS[CAMERAS]) == []


def test_reports_keep_what_the_camera_counted_by_minute_and_what_is_wrong_with_it(bench: Bench) -> None:
    start = NOW - NOW % MINUTE_NS
    told = replace(REPORT, minutes=[[start, 5, 4]], alarm="SPOOL_80 81 % of 4 GiB", host="edge-1")
    send(bench, told.to_json(), replace(REPORT, triggered=4, minutes=[[start, 4, 4]]).to_json(), told.to_json())
    drain(worker(bench))
    with bench.database.reading() as connection:
        (book,) = minutes(connection, since=utc_of(start), until=utc_of(start) + timedelta(minutes=1))
        (sign,) = newest(connection, "top")
    assert (book.triggered, book.captured, book.residual) == (5, 4, 5)
    assert (sign.state, sign.reported_at, sign.alarm, sign.host) == (
        "RUNNING", utc_of(NOW), "SPOOL_80 81 % of 4 GiB", "edge-1",
    )  # fmt: skip


ROUTE = PartRouted(
    gate="g1", session=NOW, number=3, station="s", product="ring", part_id="P3", trigger_seq=3, lot="",
    triggered_at=NOW, commanded_at=NOW, routed_at=NOW, deadline_ms=5000, verdict="FAIL", reason="", detail="",
    action="REJECT", route="REJECTED", frames=[["top", NOW, 3, NOW]],
)  # fmt: skip


def test_routes_reach_the_books_once_and_what_is_no_route_is_a_dead_letter(bench: Bench) -> None:
    bench.broker.apply([Topic(ROUTES, 1)])
    with bench.broker.producer() as producer:
        for value in (ROUTE.to_json(), b"{}", ROUTE.to_json()):
            producer.send(ROUTES, value, partition=0)
    consumer = bench.broker.consumer(ROUTES, group=ROUTE_GROUP, member="routes")
    pace = Pace(poll=0.0, sleep=lambda _: None)
    keeper = RouteKeeper(bench.database)
    assert drain(Worker(consumer, bench.broker.producer(), keeper, stop=Stop(), pace=pace)) == 3
    (letter,) = bench.topic(DEAD_LETTERS[ROUTES])
    assert letter.value == b"{}"
    with bench.database.reading() as connection:
        assert where_to(connection, FrameId("top", NOW, 3)) == "REJECTED"
        (book,) = minutes(connection, since=utc_of(NOW - MINUTE_NS), until=utc_of(NOW + MINUTE_NS))
    assert book.routes == {"REJECTED": 1}
    assert keeper.give_up(letter, "it ended its worker") == Dead("it ended its worker")


def test_a_route_that_comes_after_its_time_is_a_dead_letter_and_is_not_counted_again(bench: Bench) -> None:
    bench.broker.apply([Topic(ROUTES, 1)])
    days = Settings(database=DatabaseSettings(keep_days=2))
    keeper = RouteKeeper(bench.database)
    producer = bench.broker.producer()

    def tell() -> None:
        producer.send(ROUTES, ROUTE.to_json(), partition=0)
        producer.flush()
        consumer = bench.broker.consumer(ROUTES, group=ROUTE_GROUP, member="routes")
        drain(Worker(consumer, producer, keeper, stop=Stop(), pace=Pace(poll=0.0, sleep=lambda _: None)))
        consumer.close()

    tell()
    assert drop_beside_rows(bench.database, days, now=utc_of(NOW) + timedelta(days=4)) == 1
    tell()
    (letter,) = bench.topic(DEAD_LETTERS[ROUTES])
    assert "FLAWLINE_DATABASE__KEEP_DAYS" in dict(letter.headers)["dead.detail"].decode()
    with bench.database.reading() as connection:
        (book,) = minutes(connection, since=utc_of(NOW - MINUTE_NS), until=utc_of(NOW + MINUTE_NS))
    assert book.routes == {"REJECTED": 1}
