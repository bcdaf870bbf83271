"""That what is asked often is answered by an index, and on PostgreSQL by few partitions."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, text

from core.database import Database
from core.partitions import keep_ahead
from core.records.inspections import record, stored
from core.records.review_queue import counts, queue
from core.records.reviews import Decision, call
from core.settings import DatabaseSettings
from core.verdicts import HumanCall, MachineVerdict
from tests.core.records.rows import NOON, SESSION, captured, frame_id, inspected
from tests.plans import Plan, plans

DAY_NS = 86_400 * 10**9
DAY_BEFORE = "20261123"


@pytest.fixture
def books(database: Database) -> Iterator[Connection]:
    """Frames of one session that began at noon, and partitions from ten days before it to one day after."""
    keep_ahead(database, DatabaseSettings(partitions_ahead=11), now=NOON - timedelta(days=10))
    with database.writing() as connection:
        record(connection, [inspected(seq, MachineVerdict.FAIL) for seq in range(20)])
        record(connection, [inspected(seq) for seq in range(20, 1000)])
        old = SESSION - 9 * DAY_NS
        record(connection, [inspected(0, frame=captured(0, camera="old", session=old))])
        connection.execute(text("ANALYZE inspections" if connection.dialect.name == "postgresql" else "SELECT 1"))
    with database.writing() as connection:
        yield connection


def only_near(found: list[Plan]) -> bool:
    """No partition of the days before the session is read; SQLite has none at all."""
    read = {name for plan in found for name in plan.tables if name.startswith(("inspections_2", "regions_2"))}
    return all(name.rpartition("_")[2] >= DAY_BEFORE for name in read)


def test_a_redelivery_is_recognised_by_an_index_in_the_partitions_since_its_session(books: Connection) -> None:
    with plans(books) as found:
        record(books, [inspected(seq) for seq in (998, 999, 1000)])
    (look_up,) = found
    assert only_near(found)
    assert look_up.indexes & {"pk_inspections", "inspections_identity"}


def test_stored_verdicts_are_found_by_an_index_in_the_partitions_since_their_session(books: Connection) -> None:
    with plans(books) as found:
        assert len(stored(books, [frame_id(seq) for seq in range(20)])) == 20
    assert only_near(found)
    assert found[0].indexes & {"pk_inspections", "inspections_identity"}


def test_a_call_finds_its_frame_by_an_index_in_the_partitions_since_its_session(books: Connection) -> None:
    with plans(books) as found:
        call(books, frame_id(3), Decision(call=HumanCall.GOOD), reviewer="ann", now=NOON)
    assert only_near(found)
    assert any(plan.indexes & {"pk_inspections", "inspections_identity"} for plan in found)


def test_the_queue_is_found_by_the_index_of_what_needs_attention(books: Connection) -> None:
    with plans(books) as found:
        assert len(queue(books, reviewer="ann", now=NOON)) == 20
        assert counts(books).total == 20
    assert all("inspections_attention" in plan.indexes for plan in found)
