from dataclasses import replace

from core.broker.protocol import Topic
from core.messages import CAMERAS, DEAD_LETTERS, CameraReported
from core.records.books import books
from core.stop import Stop
from tests.workers.bench import NOW, Bench, drain
from workers.bookkeeping import GROUP, Bookkeeper
from workers.runtime import Dead, Pace, Worker

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
