"""A live camera's triggers that passed unread, from the camera to the books and to the gate."""

import time
from datetime import timedelta

from core.broker.protocol import Topic
from core.line import Camera
from core.messages import CAMERAS, FRAMES
from core.records import books, minutes
from core.records.minutes import MINUTE, by_camera
from core.stop import Stop
from core.times import utc_of
from ingest.capture import Capture
from ingest.outlet import Outlet
from ingest.sources.source import Grabbed
from tests.ingest.test_capture import Tray
from tests.workers.bench import Bench, drain, picture
from tests.workers.gate.bench import BUDGET, RULES, commands, qualified, routes, run_out, tracker, trigger
from workers import bookkeeping
from workers.bookkeeping import Bookkeeper
from workers.runtime import Pace, Worker

TOP = Camera(name="top", product="ring", source="camera:0", gate=False, part_ids="counter", deadline_ms=60_000)


def take(bench: Bench, *counts: int) -> None:
    """A whole session of a live camera: one picture for each, after so many triggers that passed."""

    bench.broker.apply([Topic(CAMERAS, 1), Topic("cameras.dlq", 1)])
    shots = [Grabbed(picture=picture(seed), missed=count) for seed, count in enumerate(counts)]
    with Tray(*shots) as source:
        outlet = Outlet(partition=1, max_pixels=100_000)
        Capture(TOP, source, bench.broker.producer(), outlet, stop=Stop()).run()
    bench.clock.ns = time.time_ns()


def keep_books(bench: Bench) -> None:
    consumer = bench.broker.consumer(CAMERAS, group=bookkeeping.GROUP, member="one")
    pace = Pace(poll=0.0, batch=16, sleep=lambda _: None)
    drain(Worker(consumer, bench.broker.producer(), Bookkeeper(bench.database), stop=Stop(), pace=pace))


def test_each_trigger_ends_in_one_row_and_the_books_balance(bench: Bench) -> None:
    bench.teach()
    take(bench, 0, 3, 0, 2)
    drain(bench.worker())
    keep_books(bench)
    rows = bench.rows()
    assert [row.seq for row in rows] == list(range(9))
    assert [row.seq for row in rows if row.verdict == "PASS"] == [0, 4, 5, 8]
    for row in (row for row in rows if row.verdict != "PASS"):
        assert (row.verdict, row.reason, row.picture, row.thumb, row.score) == (
            "NO_VERDICT", "TRIGGER_ERROR", None, None, None,
        )  # fmt: skip
        assert "passed without a picture" in row.detail
    assert bench.dead() == []
    assert bench.counted() == 9
    with bench.database.reading() as connection:
        found = books.books(connection, now=bench.clock.utc())
        since = utc_of(rows[0].session) - MINUTE
        counted = minutes.minutes(connection, since=since, until=bench.clock.utc() + MINUTE)
    (session,) = found.sessions
    assert (session.triggered, session.captured, session.rows, session.lost, session.settled) == (9, 4, 9, 0, True)
    assert found.duplicates == 0
    (book,) = by_camera(counted, now=bench.clock.utc() + timedelta(hours=1), deadlines={"top": 60_000})
    assert (book.triggered, book.captured, book.judged, book.residual, book.under_way) == (9, 4, 9, 0, 0)
    assert [minute.residual for minute in book.minutes] == [0] * len(book.minutes)


def test_nothing_that_passed_without_a_picture_needs_a_model(bench: Bench) -> None:
    take(bench, 2)
    drain(bench.worker())
    assert [(row.verdict, row.reason) for row in bench.rows()[:2]] == [("NO_VERDICT", "TRIGGER_ERROR")] * 2


def test_the_gate_hears_of_them_and_rejects_their_parts_alone(bench: Bench) -> None:
    bench.teach()
    take(bench, 0, 2, 0)
    drain(bench.worker())
    gate = tracker(RULES, qualified())
    for part in range(5):
        gate.trigger(trigger(part, 0), 0)
    told = bench.verdicts()
    assert sorted(verdict.part_id for verdict in told) == ["0", "1", "2", "3", "4"]
    effects = [effect for verdict in told for effect in gate.verdict(verdict, 1)] + run_out(gate, BUDGET)
    assert commands(effects) == {0: "ACCEPT", 1: "REJECT", 2: "REJECT", 3: "ACCEPT", 4: "ACCEPT"}
    assert routes(effects)[1] == routes(effects)[2] == ("REJECTED_FAILSAFE", "TRIGGER_ERROR")


def test_inspected_again_they_meet_their_own_rows(bench: Bench) -> None:
    take(bench, 3, 1)
    again = bench.topic(FRAMES)
    with bench.broker.producer() as producer:
        for message in again:
            producer.send(FRAMES, message.value, partition=1, key=message.key, headers=message.headers)
    drain(bench.worker())
    assert [row.seq for row in bench.rows()] == list(range(6))
    assert bench.counted() == 6
