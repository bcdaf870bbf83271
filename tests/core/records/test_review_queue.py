from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from core.database import Database
from core.records.inspections import record
from core.records.review_queue import ATTENTION, Wanted, counts, queue
from core.records.reviews import LEASE, Decision, call, claim
from core.verdicts import HumanCall, InvalidReason, MachineVerdict, RunType
from tests.core.records.rows import FRAME_NS, LIMITS, NOON, SESSION, captured, frame_id, inspected

FAIL, INVALID, PASS, REVIEW = MachineVerdict.FAIL, MachineVerdict.INVALID, MachineVerdict.PASS, MachineVerdict.REVIEW
ALL = Wanted()


@pytest.fixture
def books(database: Database) -> Iterator[Connection]:
    """Seven frames that wait, in the order 0, 1, 2, 3 of ring-top and 0, 1, 2 of board-top; and some that do not."""
    later = SESSION + 60 * 1_000_000_000
    board: dict[str, Any] = {"camera": "board-top", "session": later, "product": "board", "lot": "L2"}
    with database.writing() as connection:
        record(
            connection,
            [
                *(inspected(seq, REVIEW if seq == 2 else FAIL) for seq in range(4)),
                *(inspected(0, FAIL, captured(seq, **board)) for seq in range(2)),
                inspected(0, REVIEW, captured(2, **board)),
                inspected(10, PASS),
                inspected(11, INVALID, reason=InvalidReason.DARK),
                *(
                    inspected(0, FAIL, captured(20 + place, run_type=run))
                    for place, run in enumerate(set(RunType) - {RunType.PRODUCTION})
                ),
            ],
        )
        yield connection


def seqs(books: Connection, wanted: Wanted = ALL, **more: Any) -> list[tuple[str, int]]:
    found = queue(books, wanted, reviewer="ann", now=NOON, **more)
    return [(item.frame.camera[0], item.frame.seq) for item in found]


def test_what_the_machine_did_not_pass_waits_oldest_first(books: Connection) -> None:
    oldest_first = [("r", 0), ("r", 1), ("r", 2), ("r", 3), ("b", 0), ("b", 1), ("b", 2)]
    assert seqs(books) == oldest_first
    assert seqs(books, newest_first=True) == oldest_first[::-1]
    assert seqs(books, limit=2) == oldest_first[:2]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(cameras=["board-top"]), "b0 b1 b2"),
        (Wanted(products=["ring"], verdicts=[REVIEW]), "r2"),
        (Wanted(lots=["L2"], verdicts=[FAIL]), "b0 b1"),
        (Wanted(verdicts=[*ATTENTION, INVALID], cameras=["ring-top"]), "r0 r1 r2 r3 r11"),
        (Wanted(verdicts=[PASS]), ""),
        (Wanted(cameras=["nowhere"]), ""),
        (Wanted(verdicts=[]), ""),
    ],
)
def test_filters_narrow_the_queue_and_its_counts(books: Connection, wanted: Wanted, found: str) -> None:
    assert [f"{camera}{seq}" for camera, seq in seqs(books, wanted)] == found.split()
    assert counts(books, wanted).total == len(found.split())


def test_the_counts_tell_each_filter_what_it_would_leave(books: Connection) -> None:
    found = counts(books)
    assert found.total == 7
    assert found.cameras == {"ring-top": 4, "board-top": 3}
    assert found.products == {"ring": 4, "board": 3}
    assert found.lots == {"L1": 4, "L2": 3}
    assert found.verdicts == {FAIL: 5, REVIEW: 2}


def test_a_decided_frame_leaves_the_queue_and_one_that_is_open_elsewhere_is_not_offered(books: Connection) -> None:
    call(books, frame_id(0), Decision(call=HumanCall.UNSURE), reviewer="bob", now=NOON)
    claim(books, frame_id(1), reviewer="bob", now=NOON)
    claim(books, frame_id(2), reviewer="ann", now=NOON)
    assert seqs(books, Wanted(cameras=["ring-top"])) == [("r", 2), ("r", 3)]
    assert counts(books, Wanted(cameras=["ring-top"])).total == 3
    after = queue(books, Wanted(cameras=["ring-top"]), reviewer="ann", now=NOON + LEASE)
    assert [item.frame.seq for item in after] == [1, 2, 3]


def test_an_item_carries_what_a_reviewer_is_shown(database: Database) -> None:
    keys: dict[str, Any] = {
        "picture": "frame/a.jpg",
        "thumb": "thumb/a.jpg",
        "heat": "heat/a.png",
        "heat_min": 0.1,
        "heat_max": 0.9,
    }
    with database.writing() as connection:
        record(connection, [inspected(3, REVIEW, recipe_version=2, detail="grey zone", **keys)])
        item = queue(connection, reviewer="ann", now=NOON)[0]
    assert item.frame == frame_id(3)
    assert item.captured_at == NOON + timedelta(microseconds=3 * FRAME_NS // 1000)
    assert (item.station, item.product, item.part_id, item.lot, item.model_id) == ("station-1", "ring", "P3", "L1", 1)
    assert (item.verdict, item.score, item.t_lo, item.t_hi) == (REVIEW, 0.7, LIMITS.t_lo, LIMITS.t_hi)
    assert (item.detail, item.width, item.height) == ("grey zone", 64, 48)
    assert {name: getattr(item, name) for name in keys} == keys
