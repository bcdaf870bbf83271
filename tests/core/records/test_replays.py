from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from core.account_tables import replays
from core.broker.protocol import Message, Partition
from core.database import Database
from core.dead_letters import REPLAYED, Place
from core.records.books import books
from core.records.inspections import Inspected, record
from core.records.replays import GIVEN_UP, done, supersede
from core.tables import inspections, regions, rollup_minute
from core.times import utc_of
from core.verdicts import MachineVerdict
from tests.core.records.conftest import Fresh
from tests.core.records.rows import NOON, captured, inspected, size

FAIL, INVALID, NO_VERDICT, PASS = (
    MachineVerdict.FAIL, MachineVerdict.INVALID, MachineVerdict.NO_VERDICT, MachineVerdict.PASS,
)  # fmt: skip
LETTER = Place("frames.dlq", 0, 17)
DEAD = inspected(0, INVALID, reason="DECODE_ERROR", detail="not a picture", picture="frame/a")


def message(row: Inspected, place: Place | None = LETTER) -> Message:
    headers = ((REPLAYED, str(place).encode()),) if place else ()
    return Message(Partition("frames", 0), 99, "", b"", headers, 0)


def put_back(database: Database, *rows: Inspected, place: Place | None = LETTER) -> set[int]:
    """Judge replayed frames as the inspection does; which rows changed, by their number."""
    with database.writing() as connection:
        assert record(connection, rows) == set()
        sent = {row.id: message(row, place) for row in rows}
        return {frame.seq for frame in supersede(connection, rows, sent, now=NOON)}


def given_up(database: Database, *rows: Inspected) -> None:
    with database.writing() as connection:
        record(connection, rows)


def totals(database: Database) -> dict[str, float]:
    with database.reading() as connection:
        numbers = [c for c in rollup_minute.c if c.name.startswith("n")]
        row = connection.execute(select(*(func.sum(c).label(c.name) for c in numbers))).one()
        return {name: float(value) for name, value in row._mapping.items() if value}


def row_of(database: Database) -> Any:
    with database.reading() as connection:
        return connection.execute(select(inspections)).one()


def test_a_replayed_frame_takes_the_place_of_the_row_that_says_it_was_given_up(database: Database) -> None:
    given_up(database, DEAD)
    assert put_back(database, inspected(0, FAIL, inspected_at=DEAD.inspected_at + 10**12)) == {0}
    row = row_of(database)
    assert (row.verdict, row.reason, row.score, row.detail, row.picture) == ("FAIL", "", 0.9, "", None)
    assert totals(database) == {"n": 1, "n_fail": 1, "n_scored": 1}
    with database.reading() as connection:
        assert size(connection, regions) == 1
        assert books(connection, now=NOON).duplicates == 0


def test_what_was_said_before_is_kept_whole(database: Database) -> None:
    given_up(database, DEAD)
    put_back(database, inspected(0, FAIL))
    with database.reading() as connection:
        kept = connection.execute(select(replays)).one()
        assert done(connection, [LETTER, Place("frames.dlq", 0, 18)]) == {LETTER: ("FAIL", "")}
    assert (kept.camera, kept.session, kept.seq, kept.captured_at) == (*DEAD.id, utc_of(DEAD.frame.captured_at))
    assert (kept.topic, kept.partition, kept.offset, kept.replayed_at) == (*LETTER, NOON)
    assert (kept.old_verdict, kept.old_reason, kept.new_verdict, kept.new_reason) == (
        "INVALID", "DECODE_ERROR", "FAIL", "",
    )  # fmt: skip
    assert (kept.old["detail"], kept.old["picture"], kept.old["score"]) == ("not a picture", "frame/a", None)
    assert kept.old.keys() == {column.name for column in inspections.c}


def test_a_replay_again_changes_nothing(database: Database) -> None:
    given_up(database, DEAD)
    put_back(database, inspected(0, PASS))
    before = totals(database)
    assert put_back(database, inspected(0, FAIL)) == set()
    assert (row_of(database).verdict, totals(database)) == ("PASS", before)


def test_a_frame_that_is_given_up_for_the_same_reason_again_changes_nothing(database: Database) -> None:
    given_up(database, DEAD)
    assert put_back(database, replace(DEAD, detail="still no picture")) == set()
    assert row_of(database).detail == "not a picture"


def test_a_frame_that_is_late_by_now_is_late_and_never_passes(database: Database) -> None:
    given_up(database, DEAD)
    late = inspected(0, NO_VERDICT, reason="LATE", is_late=True, score=0.2)
    assert put_back(database, late) == {0}
    assert totals(database) == {"n": 1, "n_no_verdict": 1, "n_late": 1, "n_scored": 1}
    assert put_back(database, inspected(0, PASS)) == set()


@pytest.mark.parametrize(("verdict", "reason"), [
    (FAIL, ""), (PASS, ""), (MachineVerdict.REVIEW, ""), (INVALID, "DARK"), (NO_VERDICT, "LATE"),
    (NO_VERDICT, "NOT_QUALIFIED"),
])  # fmt: skip
def test_a_verdict_of_any_other_kind_is_never_superseded(
    database: Database, verdict: MachineVerdict, reason: str
) -> None:
    given_up(database, inspected(0, verdict, reason=reason))
    other = PASS if verdict is FAIL else FAIL
    assert put_back(database, inspected(0, other)) == set()
    assert row_of(database).verdict == verdict


def test_without_the_mark_of_a_replay_nothing_is_superseded(database: Database) -> None:
    given_up(database, DEAD)
    assert put_back(database, inspected(0, PASS), place=None) == set()


@pytest.mark.parametrize("other", [{"sha256": "cd" * 32}, {"captured_at": DEAD.frame.captured_at + 1000}])
def test_another_picture_under_the_same_name_supersedes_nothing(database: Database, other: dict[str, Any]) -> None:
    given_up(database, DEAD)
    assert put_back(database, inspected(0, PASS, captured(0, **other))) == set()


verdicts = st.sampled_from([*sorted(GIVEN_UP), (PASS, ""), (FAIL, ""), (INVALID, "DARK"), (NO_VERDICT, "LATE")])


@settings(max_examples=20, deadline=None)
@given(first=st.lists(verdicts, min_size=1, max_size=6), again=st.lists(st.tuples(st.integers(0, 5), verdicts)))
def test_whatever_is_replayed_the_counters_are_the_rows_and_each_part_counts_once(
    fresh: Fresh, first: list[tuple[MachineVerdict, str]], again: list[tuple[int, tuple[MachineVerdict, str]]]
) -> None:
    with fresh() as database:
        given_up(database, *(inspected(seq, v, reason=r) for seq, (v, r) in enumerate(first)))
        now = dict(enumerate(first))
        for seq, (verdict, reason) in again:
            if seq in now:
                changed = put_back(database, inspected(seq, verdict, reason=reason, is_late=reason == "LATE"))
                allowed = now[seq] in GIVEN_UP and now[seq] != (verdict, reason)
                assert changed == ({seq} if allowed else set())
                now[seq] = (verdict, reason) if allowed else now[seq]
        with database.reading() as connection:
            rows = connection.execute(select(inspections.c.seq, inspections.c.verdict, inspections.c.reason)).all()
            book = books(connection, now=NOON)
        assert {row.seq: (row.verdict, row.reason) for row in rows} == now
        assert (book.duplicates, book.lost, book.rows) == (0, 0, len(first))
        counted = totals(database)
        for verdict in MachineVerdict:
            wanted = sum(v == verdict for v, _ in now.values())
            assert counted.get(f"n_{verdict.lower()}", 0) == wanted
