import json
import math
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from core.broker.protocol import Message, Partition
from core.database import Database, open_database
from core.messages import FrameInspected
from core.records import models
from core.records.compared import Compared, compared_of
from core.records.inspections import RegionRow, record, reject, stored, to_message
from core.tables import inspections, regions, rejected_frames, rollup_minute
from core.times import utc_of
from core.verdicts import InvalidReason, Limits, MachineVerdict, NoVerdictReason
from tests.core.records.conftest import Fresh
from tests.core.records.processes import record_all, record_shifted
from tests.core.records.rows import NOON, SESSION, captured, frame_id, inspected, size

FAIL, INVALID, NO_VERDICT = MachineVerdict.FAIL, MachineVerdict.INVALID, MachineVerdict.NO_VERDICT
PASS, REVIEW = MachineVerdict.PASS, MachineVerdict.REVIEW


def test_new_frames_are_written_with_their_regions_and_counted_in_their_minute(database: Database) -> None:
    second = RegionRow(x=30, y=1, width=2, height=2, area=4, peak=0.6, mean=0.55)
    failed = inspected(1, FAIL)
    with database.writing() as connection:
        new = record(connection, [inspected(0), inspected(1, FAIL, regions=(failed.regions[0], second), is_late=True)])
    assert new == {frame_id(0), frame_id(1)}
    with database.reading() as connection:
        found = connection.execute(select(regions).order_by(regions.c.number)).all()
        assert [(row.seq, row.number, row.peak) for row in found] == [(1, 0, 0.9), (1, 1, 0.6)]
        counted = connection.execute(select(rollup_minute)).one()
    assert (counted.camera, counted.product, counted.run_type, counted.model_id) == (
        "ring-top",
        "ring",
        "PRODUCTION",
        1,
    )
    assert (counted.minute, counted.n, counted.n_pass, counted.n_fail, counted.n_late) == (NOON, 2, 1, 1, 1)
    assert (counted.n_scored, counted.score_sum) == (2, pytest.approx(1.1))
    assert counted.latency_sum_ms == pytest.approx(2 * 40.000456)


def test_what_is_told_of_golden_parts_and_of_areas_comes_back(database: Database) -> None:
    beside = Compared(
        picture="golden/x.jpg", width=320, height=240, distances=(0.5, 0.75), samples=(3, 0), box=(1, 2, 3, 4)
    )
    known = replace(inspected(1, FAIL).regions[0], area_mm2=3.25)
    with database.writing() as connection:
        record(connection, [inspected(0, FAIL), inspected(1, FAIL, golden=beside, regions=(known,))])
    with database.reading() as connection:
        golden = connection.execute(select(inspections.c.seq, inspections.c.golden).order_by(inspections.c.seq)).all()
        areas = connection.execute(select(regions.c.area_mm2).order_by(regions.c.seq)).scalars().all()
    assert [compared_of(row.golden) for row in golden] == [None, beside]
    assert areas == [None, 3.25]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(sorted(Compared.__slots__)), inner),
    max_leaves=12,
)


@given(JUNK)
def test_what_nobody_can_show_is_none_at_all(document: object) -> None:
    found = compared_of(document)
    assert found is None or (found.picture and len(found.distances) == len(found.samples) > 0)


@given(
    st.builds(
        Compared, picture=st.text(min_size=1, max_size=9), width=st.integers(1, 999), height=st.integers(1, 999),
        distances=st.tuples(st.floats(0, 9), st.floats(0, 9)), samples=st.tuples(st.integers(0, 119), st.just(7)),
        box=st.none() | st.tuples(*[st.floats(-9, 999)] * 4),
    )
)  # fmt: skip
def test_each_that_a_worker_writes_can_be_shown(told: Compared) -> None:
    assert compared_of(json.loads(json.dumps(told.document()))) == told


def test_a_redelivery_changes_nothing(database: Database) -> None:
    rows = [inspected(seq, FAIL) for seq in range(20)]
    with database.writing() as connection:
        record(connection, rows)
    with database.reading() as connection:
        before = [connection.execute(select(table)).all() for table in (inspections, regions, rollup_minute)]
    with database.writing() as connection:
        assert record(connection, rows) == set()
    with database.reading() as connection:
        after = [connection.execute(select(table)).all() for table in (inspections, regions, rollup_minute)]
    assert after == before


def test_only_the_new_frames_of_a_batch_are_counted(database: Database) -> None:
    with database.writing() as connection:
        record(connection, [inspected(1), inspected(2)])
        assert record(connection, [inspected(2), inspected(3), inspected(1)]) == {frame_id(3)}
        assert connection.scalar(select(func.sum(rollup_minute.c.n))) == 3


def test_a_frame_that_comes_again_with_another_time_and_verdict_keeps_its_first_row(database: Database) -> None:
    first = inspected(5, FAIL)
    again = inspected(5, PASS, captured(5, captured_at=first.frame.captured_at + 90_000_000_000))
    with database.writing() as connection:
        record(connection, [first])
        assert record(connection, [again]) == set()
        assert connection.scalars(select(inspections.c.verdict)).all() == [FAIL]
        assert connection.scalars(select(rollup_minute.c.n)).all() == [1]
        assert stored(connection, [again.id]) == {first.id: to_message(first)}


def test_a_frame_twice_in_one_batch_is_one_row(database: Database) -> None:
    twice = [inspected(5, FAIL), inspected(5, REVIEW, captured(5, captured_at=SESSION + 1))]
    with database.writing() as connection:
        assert record(connection, twice) == {frame_id(5)}
        assert (size(connection, inspections), size(connection, regions)) == (1, 1)
        assert connection.scalars(select(rollup_minute.c.n_fail)).all() == [1]


def test_an_empty_batch_writes_nothing(database: Database) -> None:
    with database.writing() as connection:
        assert record(connection, []) == set()
        assert stored(connection, []) == {}
        assert size(connection, inspections) == size(connection, rollup_minute) == 0


@pytest.mark.parametrize(
    ("score", "limits"),
    [
        (None, Limits(0.5, 0.8)),
        (0.2, None),
        (None, None),
        (0.500001, Limits(0.5, 0.8)),
        (math.nan, Limits(0.5, 0.8)),
        (-math.inf, Limits(0.5, 0.8)),
    ],
)
def test_a_pass_that_is_not_proved_is_refused_by_the_database(
    database: Database, score: float | None, limits: Limits | None
) -> None:
    with pytest.raises(IntegrityError, match="pass_is_proved"), database.writing() as connection:
        record(connection, [inspected(0), inspected(1, score=score, limits=limits)])
    with database.reading() as connection:
        assert size(connection, inspections) == size(connection, rollup_minute) == 0


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_kept_as_unknown(database: Database, score: float) -> None:
    row = inspected(0, NO_VERDICT, score=score, reason=NoVerdictReason.INTERNAL_ERROR)
    with database.writing() as connection:
        record(connection, [row])
        assert connection.scalars(select(inspections.c.score)).all() == [None]
        assert connection.scalars(select(rollup_minute.c.n_scored)).all() == [0]
    assert FrameInspected.from_json(to_message(row).to_json()).score is None


def _record_and_break_off(database: Database) -> None:
    with database.writing() as connection:
        record(connection, [inspected(0, FAIL)])
        raise KeyboardInterrupt


def test_a_transaction_that_breaks_off_leaves_nothing(database: Database) -> None:
    with pytest.raises(KeyboardInterrupt):
        _record_and_break_off(database)
    with database.reading() as connection:
        assert [size(connection, table) for table in (inspections, regions, rollup_minute)] == [0, 0, 0]


def test_the_stored_message_names_the_model_that_judged(database: Database) -> None:
    candidate = models.NewModel(product="ring", blob="b", sha256="s", size=1, recipe_version=1, manifest={}, metrics={})
    with database.writing() as connection:
        model = models.register(connection, candidate, who="trainer", now=NOON)
        rows = [
            inspected(0, FAIL, model_id=model.id, model_version=model.version),
            inspected(1, INVALID, reason=InvalidReason.BLUR, detail="sharpness 12, at least 40"),
            inspected(2, frame=captured(2, deadline_ms=0), model_id=model.id, model_version=model.version),
        ]
        record(connection, rows)
        found = stored(connection, [row.id for row in rows] + [frame_id(77)])
    assert found == {row.id: to_message(row) for row in rows}
    assert found[frame_id(0)].model == "2026-11-24/1"
    assert found[frame_id(0)].expires_at - found[frame_id(0)].captured_at == 5_000_000_000
    assert found[frame_id(1)].detail == "sharpness 12, at least 40"
    assert found[frame_id(2)].expires_at == 0


def test_a_question_about_more_frames_than_one_statement_takes_is_answered(database: Database) -> None:
    rows = [inspected(seq, frame=captured(seq, camera=f"camera-{seq % 700}")) for seq in range(1400)]
    with database.writing() as connection:
        record(connection, rows)
        assert stored(connection, [row.id for row in rows]).keys() == {row.id for row in rows}


def test_a_message_without_identity_is_rejected_once(database: Database) -> None:
    message = Message(Partition("frames", 2), 41, "", b"", (), SESSION)
    with database.writing() as connection:
        assert reject(connection, message, detail="no camera", now=NOON)
        assert not reject(connection, message, detail="no camera", now=NOON)
        row = connection.execute(select(rejected_frames)).one()
    assert (row.topic, row.partition, row.offset, row.stored_at, row.detail) == (
        "frames", 2, 41, utc_of(SESSION), "no camera",
    )  # fmt: skip


OF_OLD = Message(Partition("frames", 0), 0, "k", b"?", (("a", b"bc"),), SESSION)


@pytest.mark.parametrize(
    "changed",
    [
        {"partition": Partition("frames", 1)}, {"offset": 1}, {"stored_at": SESSION + 1_000_000}, {"value": b"??"},
        {"key": "kk"}, {"headers": (("ab", b"c"),)}, {"headers": ()}, {"headers": (("a", b"bc"), ("a", b"bc"))},
        {"headers": (("a", b""),), "value": b"bc?"}, {"key": "\udcff"},
    ],
    ids=str,
)  # fmt: skip
def test_a_message_of_a_new_log_at_the_offset_of_an_old_one_is_another_one(
    database: Database, changed: dict[str, Any]
) -> None:
    new = replace(OF_OLD, **changed)
    with database.writing() as connection:
        told = [reject(connection, message, detail="?", now=NOON) for message in (OF_OLD, new, OF_OLD, new)]
        assert told == [True, True, False, False]
        assert size(connection, rejected_frames) == 2


def test_a_message_that_an_earlier_version_rejected_is_the_same_when_it_comes_again(database: Database) -> None:
    row = {"topic": "frames", "partition": 0, "offset": 0, "stored_at": utc_of(SESSION), "checksum": ""}
    with database.writing() as connection:
        connection.execute(insert(rejected_frames).values(row | {"rejected_at": NOON, "detail": "?"}))
        assert not reject(connection, OF_OLD, detail="?", now=NOON)
        assert reject(connection, replace(OF_OLD, stored_at=SESSION + 10**9), detail="?", now=NOON)


verdicts = st.sampled_from(list(MachineVerdict))
deliveries = st.lists(st.lists(st.tuples(st.integers(0, 12), verdicts), max_size=8), max_size=6)


@settings(max_examples=40, deadline=None)
@given(batches=deliveries)
def test_rows_and_counters_agree_whatever_is_delivered_again(
    fresh: Fresh, batches: list[list[tuple[int, MachineVerdict]]]
) -> None:
    first: dict[int, MachineVerdict] = {}
    with fresh() as database:
        for batch in batches:
            expected = {seq for seq, _ in batch} - first.keys()
            for seq, verdict in batch:
                first.setdefault(seq, verdict)
            with database.writing() as connection:
                new = record(connection, [inspected(seq, verdict) for seq, verdict in batch])
            assert {frame.seq for frame in new} == expected
        with database.reading() as connection:
            assert {row.seq: row.verdict for row in connection.execute(select(inspections))} == first
            sums = [func.coalesce(func.sum(rollup_minute.c[f"n_{v.lower()}"]), 0) for v in MachineVerdict]
            counted = dict(zip(MachineVerdict, connection.execute(select(*sums)).one(), strict=True))
    assert counted == {verdict: Counter(first.values())[verdict] for verdict in MachineVerdict}


def test_two_processes_with_the_same_frames_write_and_count_each_once(
    new_url: Callable[[], str], two_processes: ProcessPoolExecutor
) -> None:
    url = new_url()
    new = [two_processes.submit(record_all, url, order) for order in (1, -1)]
    assert sum(each.result(60) for each in new) == 200
    with open_database(url) as database, database.reading() as connection:
        assert size(connection, inspections) == 200
        assert connection.scalar(select(func.sum(rollup_minute.c.n))) == 200


@pytest.mark.parametrize("apart", [1_000, 90_000 * 10**9], ids=["a microsecond", "a day"])
def test_two_processes_with_the_same_frames_at_other_times_write_and_count_each_once(
    new_url: Callable[[], str], two_processes: ProcessPoolExecutor, apart: int
) -> None:
    url = new_url()
    new = [two_processes.submit(record_shifted, url, shift) for shift in (0, apart + 1)]
    assert sum(each.result(60) for each in new) == 200
    with open_database(url) as database, database.reading() as connection:
        assert size(connection, inspections) == size(connection, regions) == 200
        assert connection.scalar(select(func.sum(rollup_minute.c.n))) == 200
        assert {
            row[0]
            for row in connection.execute(
                select(func.count()).group_by(inspections.c.camera, inspections.c.seq).select_from(inspections)
            )
        } == {1}


def test_a_worker_that_is_killed_in_its_transaction_lets_the_others_go_on(new_url: Callable[[], str]) -> None:
    url = new_url()
    with open_database(url) as killed, open_database(url, busy_seconds=30) as other:
        with pytest.raises(KeyboardInterrupt):
            _record_and_break_off(killed)
        with other.writing() as connection:
            assert record(connection, [inspected(0, FAIL)]) == {frame_id(0)}


same_frame = st.tuples(st.integers(0, 6), st.integers(0, 3 * 24 * 3600))


@settings(max_examples=25, deadline=None)
@given(batches=st.lists(st.lists(same_frame, max_size=6), max_size=5))
def test_one_frame_is_one_row_at_whatever_times_it_comes(fresh: Fresh, batches: list[list[tuple[int, int]]]) -> None:
    first: dict[int, int] = {}
    with fresh() as database:
        for batch in batches:
            frames = [captured(seq, captured_at=SESSION + seconds * 10**9) for seq, seconds in batch]
            with database.writing() as connection:
                record(connection, [inspected(0, frame=frame) for frame in frames])
            for frame in frames:
                first.setdefault(frame.seq, frame.captured_at)
        with database.reading() as connection:
            rows = connection.execute(select(inspections.c.seq, inspections.c.captured_at)).all()
            counted = connection.scalar(select(func.coalesce(func.sum(rollup_minute.c.n), 0)))
    assert sorted(tuple(row) for row in rows) == sorted((seq, utc_of(at)) for seq, at in first.items())
    assert counted == len(first)
