from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from core.account_tables import route_frames, route_minutes, routes
from core.database import Database
from core.messages import FrameId, PartRouted
from core.records.inspections import record
from core.records.minutes import MINUTE, MinuteBook, by_camera, count, minutes
from core.records.routes import GateWord, gates, keep, where_to
from core.times import ns_of
from tests.core.records.conftest import Fresh
from tests.core.records.rows import NOON, SESSION, captured, frame_id, inspected, reported, size

LATER = NOON + timedelta(hours=1)


def routed(number: int, *seen: FrameId, route: str = "ACCEPTED", gate: str = "g1", second: float = 0.0) -> PartRouted:
    """A part whose pictures were taken when its trigger came, `second` after noon."""
    at = SESSION + round(second * 1e9)
    return PartRouted(
        gate=gate, session=SESSION, number=number, station="s", product="ring", part_id=f"P{number}", lot="",
        trigger_seq=number, triggered_at=at, commanded_at=at, routed_at=at + 10**9, deadline_ms=5000,
        verdict="PASS", reason="", detail="", action="ACCEPT", route=route,
        frames=[[*frame, at] for frame in seen])  # fmt: skip


def tell(database: Database, *told: PartRouted) -> list[bool]:
    with database.writing() as connection:
        return [keep(connection, each) for each in told]


def read(database: Database) -> list[MinuteBook]:
    with database.reading() as connection:
        return minutes(connection, since=NOON, until=LATER)


def test_a_route_is_kept_with_its_pictures_and_counted_by_camera_and_minute(database: Database) -> None:
    top, side = frame_id(0), frame_id(0, camera="side")
    tell(
        database, routed(0, top, side), routed(1, frame_id(1), frame_id(1, camera="side"), route="REJECTED", second=61)
    )
    assert {(b.camera, b.minute): (b.routes, b.unseen) for b in read(database)} == {
        ("ring-top", NOON): ({"ACCEPTED": 1}, 0), ("side", NOON): ({"ACCEPTED": 1}, 0),
        ("ring-top", NOON + MINUTE): ({"REJECTED": 1}, 0), ("side", NOON + MINUTE): ({"REJECTED": 1}, 0),
    }  # fmt: skip
    with database.reading() as connection:
        assert where_to(connection, side) == "ACCEPTED"
        assert where_to(connection, frame_id(1)) == "REJECTED"
        assert where_to(connection, frame_id(9)) is None


def test_the_same_word_again_changes_nothing(database: Database) -> None:
    assert tell(database, *[routed(0, frame_id(0))] * 3) == [True, False, False]
    (book,) = read(database)
    assert book.routes == {"ACCEPTED": 1}


@pytest.mark.parametrize("order", [1, -1])
def test_the_newest_word_of_a_part_stands_in_whatever_order_they_come(database: Database, order: int) -> None:
    first = routed(0, frame_id(0))
    second = replace(first, route="UNCONFIRMED", routed_at=first.routed_at + 1000)
    tell(database, *[first, second][::order])
    (book,) = read(database)
    assert book.routes == {"UNCONFIRMED": 1}
    with database.reading() as connection:
        assert (size(connection, routes), size(connection, route_frames)) == (1, 1)


def test_a_part_that_a_camera_did_not_see_in_time_is_known_to_the_gate_all_the_same(database: Database) -> None:
    tell(database, routed(0), routed(1, frame_id(1), frame_id(1, camera="side")), routed(2, frame_id(2)))
    assert {b.camera: (b.routes, b.unseen) for b in read(database)} == {
        "ring-top": ({"ACCEPTED": 2}, 1), "side": ({"ACCEPTED": 1}, 2),
    }  # fmt: skip


def test_what_gates_said_last_and_did_not_confirm(database: Database) -> None:
    told = [
        replace(routed(0, second=-30), route="UNCONFIRMED"),
        replace(routed(1), route="UNCONFIRMED", alarms="BIN_FULL,LOW_AIR"),
        replace(routed(2, second=1), alarms="BIN_FULL"),
        routed(0, gate="g2"),
    ]
    tell(database, *told)
    with database.reading() as connection:
        assert gates(connection, since=NOON) == [
            GateWord("g1", NOON + timedelta(seconds=2), ("BIN_FULL",), 1),
            GateWord("g2", NOON + timedelta(seconds=1), (), 0),
        ]


def fill(database: Database, n: int) -> None:
    """n frames a second apart from 12:01 on, all judged and told."""
    start = NOON + MINUTE
    frames = [captured(seq, captured_at=ns_of(start) + seq * 10**9) for seq in range(n)]
    told: Counter[int] = Counter(frame.captured_at // (60 * 10**9) * 60 * 10**9 for frame in frames)
    with database.writing() as connection:
        record(connection, [inspected(frame=frame) for frame in frames])
        count(connection, [reported(n, minutes=[[SESSION, 0, 0], *([at, n, n] for at, n in told.items())])])


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 90), lost=st.sets(st.integers(0, 89)), blind=st.sets(st.integers(0, 89)),
       luck=st.randoms(use_true_random=False))  # fmt: skip
def test_what_no_gate_knows_is_exactly_what_was_taken_away(
    fresh: Fresh, n: int, lost: set[int], blind: set[int], luck: Random
) -> None:
    """Parts are routed twice, in any order, some without their picture, because its verdict came late."""
    with fresh() as database:
        fill(database, n)
        told = [routed(s, *([] if s in blind else [frame_id(s)]), second=60 + s) for s in range(n) if s not in lost]
        told += luck.sample(told, len(told) // 2)
        luck.shuffle(told)
        tell(database, *told)
        (book,) = by_camera(read(database), now=LATER, deadlines={})
        seen = [each for each in told if each.frames]
        assert book.unrouted == (len(lost & set(range(n))) if seen else None)
        assert book.residual == 0
        with database.reading() as connection:
            parts = connection.scalar(select(func.sum(route_minutes.c.n)).where(route_minutes.c.camera == ""))
        assert (parts or 0) == n - len(lost & set(range(n)))
