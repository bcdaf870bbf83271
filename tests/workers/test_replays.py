"""A dead letter that is put back goes the way of any frame, through the real inspection."""

from typing import Any

from core.dead_letters import Letter, read, replay
from core.messages import FRAMES, FrameCaptured
from core.records.books import books
from tests.workers.bench import Bench, drain, frame, picture, png


def give_up(bench: Bench, **envelope: Any) -> Letter:
    """A frame of a product that nobody knows yet."""
    value = png(picture())
    bench.send(value, frame(value=value, **envelope))
    drain(bench.worker())
    return letters(bench)[-1]


def letters(bench: Bench) -> list[Letter]:
    return list(read(bench.broker, FRAMES))


def put_back(bench: Bench, letter: Letter) -> None:
    with bench.broker.producer() as producer:
        replay(producer, letter)
    drain(bench.worker())


def balanced(bench: Bench) -> bool:
    with bench.database.reading() as connection:
        found = books(connection, now=bench.clock.utc())
    return (found.duplicates, found.lost) == (0, 0)


def test_a_frame_of_an_unknown_product_is_judged_when_it_is_put_back_after_the_product_was_taught(bench: Bench) -> None:
    letter = give_up(bench)
    assert (bench.row().verdict, bench.row().reason) == ("INVALID", "WRONG_PRODUCT")
    bench.teach()
    bench.clock.forward(60)
    put_back(bench, letter)
    row = bench.row()
    assert (row.verdict, row.reason, row.score is not None) == ("PASS", "", True)
    assert bench.verdicts()[-1].verdict == "PASS"
    assert (bench.counted(), balanced(bench), len(letters(bench))) == (1, True, 1)


def test_put_back_twice_it_changes_nothing_more(bench: Bench) -> None:
    letter = give_up(bench)
    bench.teach()
    bench.clock.forward(60)
    put_back(bench, letter)
    first = bench.row()
    put_back(bench, letter)
    assert bench.row() == first
    assert (bench.counted(), balanced(bench)) == (1, True)


def test_after_its_deadline_it_is_late_and_never_passes(bench: Bench) -> None:
    letter = give_up(bench, deadline_ms=5000)
    bench.teach()
    bench.clock.forward(60)
    put_back(bench, letter)
    row = bench.row()
    assert (row.verdict, row.reason, row.is_late, row.score is not None) == ("NO_VERDICT", "LATE", True, True)
    assert "it would have been PASS" in row.detail
    assert (bench.counted(), balanced(bench)) == (1, True)


def test_what_still_cannot_be_judged_is_given_up_again_and_stays_as_it_was(bench: Bench) -> None:
    letter = give_up(bench)
    first = bench.row()
    put_back(bench, letter)
    assert bench.row() == first
    again = letters(bench)
    assert [one.replays for one in again] == [None, letter.place]
    assert (bench.counted(), balanced(bench)) == (1, True)


def test_a_message_without_identity_is_rejected_once_however_often_it_is_put_back(bench: Bench) -> None:
    nameless = tuple(pair for pair in FrameCaptured.headers(frame()) if pair[0] != "camera")
    with bench.broker.producer() as producer:
        producer.send(FRAMES, b"x", partition=0, headers=nameless)
    drain(bench.worker())
    put_back(bench, letters(bench)[0])
    assert len(bench.rejected()) == 1
    assert len(letters(bench)) == 2
