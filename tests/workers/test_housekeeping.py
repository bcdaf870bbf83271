"""Housekeeping: each kind of picture has its life, each duty its pace, and a store that is away holds up no other."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from cli.services.plant import Services
from core.alarms import Cause
from core.alarms import Kind as Alarm
from core.blobs.keys import Kind, frame_key
from core.blobs.protocol import BlobStore
from core.blobs.s3 import S3Blobs
from core.broker.protocol import Message, Partition, Topic
from core.database import open_database
from core.errors import StoreUnavailable
from core.health import Health
from core.messages import FrameId
from core.partitions import next_missing
from core.records import inspections
from core.records.alerts import all_marks, keep, since
from core.records.books import books
from core.settings import BlobSettings, BrokerSettings, DatabaseSettings, Settings
from core.stop import Stop
from core.tables import inspections as rows
from core.times import ns_of
from core.verdicts import MachineVerdict
from tests.servers import s3_of
from tests.workers.bench import Bench, frame
from workers.housekeeping import Duty, Housekeeper, duties, lives
from workers.signs import Signs
from workers.space import PICTURES, fullness

NOON = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
LIVES = [
    (Kind.RING, timedelta(hours=3), timedelta(hours=6)), (Kind.SAMPLE, timedelta(days=13), timedelta(days=15)),
    (Kind.THUMB, timedelta(days=89), timedelta(days=91)), (Kind.FRAME, timedelta(days=364), timedelta(days=366)),
    (Kind.HEAT, timedelta(days=364), timedelta(days=366)), (Kind.INBOX, timedelta(hours=47), timedelta(hours=50)),
    (Kind.GOLDEN, timedelta(days=364), timedelta(days=366)),
]  # fmt: skip


class Clock:
    """Seconds that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, bench: Bench, servers: Services) -> BlobStore:
    return bench.blobs if request.param == "file" else S3Blobs(s3_of(servers))


def put(store: BlobStore, kind: Kind, age: timedelta) -> str:
    key = frame_key(kind, FrameId("top", 1, 1), ns_of(NOON - age), "jpg")
    store.put(key, b"x")
    return key


def housekeeper(bench: Bench, store: BlobStore, settings: Settings | None = None) -> Housekeeper:
    work = duties(bench.broker, bench.database, store, settings or Settings(), now=lambda: NOON)
    return Housekeeper([duty for duty in work if "make room" not in duty.name])  # this machine's disk may be full


def test_each_kind_of_picture_has_its_life(bench: Bench, store: BlobStore) -> None:
    young = [put(store, kind, kept) for kind, kept, _ in LIVES]
    old = [put(store, kind, dropped) for kind, _, dropped in LIVES]
    assert housekeeper(bench, store).step() == len(old)
    assert sorted(store.keys()) == sorted(young)
    assert not any(store.exists(key) for key in old)


def test_every_kind_that_is_made_hour_by_hour_has_a_life_and_the_others_none() -> None:
    assert set(Kind) - set(lives(Settings())) == {Kind.MODEL, Kind.DATASET}


def test_pictures_that_wait_for_their_verdict_outlive_the_log_that_names_them() -> None:
    settings = Settings(broker=BrokerSettings(retention_hours=100))
    assert lives(settings)[Kind.INBOX] == timedelta(hours=124)


def test_models_and_labelled_pictures_are_kept_for_ever(bench: Bench, store: BlobStore) -> None:
    keys = [put(store, kind, timedelta(days=4000)) for kind in (Kind.MODEL, Kind.DATASET)]
    housekeeper(bench, store).step()
    assert all(store.exists(key) for key in keys)


def test_what_goes_is_logged_by_kind_with_its_count(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for hours in (6, 7, 8):
        put(bench.blobs, Kind.RING, timedelta(hours=hours))
    put(bench.blobs, Kind.FRAME, timedelta(days=400))
    housekeeper(bench, bench.blobs).step()
    assert caplog.messages == ["pictures of kind ring dropped past their time: 3",
                               "pictures of kind frame dropped past their time: 1"]  # fmt: skip


def test_log_records_past_their_time_go(bench: Bench) -> None:
    bench.broker.apply([Topic("frames", 2, 24 * 3600, 1)])
    for _ in range(3):
        bench.send(bytes(100))
    assert housekeeper(bench, bench.blobs).step() > 0


def test_half_written_files_go_where_no_hour_takes_them_along(bench: Bench) -> None:
    bench.blobs.put("model/ring/a", b"x")
    half = bench.folder / "blobs/model/ring/.part-1"
    half.write_bytes(b"half")
    later = datetime.now(UTC) + timedelta(days=2)
    work = duties(bench.broker, bench.database, bench.blobs, Settings(), now=lambda: later)
    Housekeeper([duty for duty in work if "half-written" in duty.name]).step()
    assert not half.exists()
    assert bench.blobs.exists("model/ring/a")


def test_room_is_made_when_the_disk_is_fuller_than_it_may_be(bench: Bench) -> None:
    passed, failed = put(bench.blobs, Kind.RING, timedelta(hours=1)), put(bench.blobs, Kind.FRAME, timedelta(hours=1))
    settings = Settings(blobs=BlobSettings(full_percent=0.001))
    Housekeeper(duties(bench.broker, bench.database, bench.blobs, settings, now=lambda: NOON)).step()
    assert not bench.blobs.exists(passed)
    assert bench.blobs.exists(failed)


def test_what_an_s3_store_holds_is_told_to_the_watch(bench: Bench, servers: Services) -> None:
    store = S3Blobs(s3_of(servers))
    put(store, Kind.RING, timedelta(hours=1))
    put(store, Kind.FRAME, timedelta(hours=1))
    settings = Settings(data=bench.folder, blobs=s3_of(servers, most_bytes=1))
    Housekeeper(duties(bench.broker, bench.database, store, settings, now=lambda: NOON)).step()
    with bench.database.reading() as connection:
        assert all_marks(connection, PICTURES) == {PICTURES: (NOON, "1")}
    assert [key.partition("/")[0] for key in store.keys()] == ["frame"]  # noqa: SIM118 - no mapping


def test_an_s3_store_that_only_evidence_fills_becomes_an_alert(bench: Bench, servers: Services) -> None:
    store = S3Blobs(s3_of(servers))
    for hours in (1, 2, 3):
        put(store, Kind.FRAME, timedelta(hours=hours))
    settings = Settings(data=bench.folder, blobs=s3_of(servers, most_bytes=2))
    Housekeeper(duties(bench.broker, bench.database, store, settings, now=lambda: NOON)).step()
    with bench.database.reading() as connection:
        ((_, counted),) = all_marks(connection, PICTURES).values()
    (cause,) = [pressure.cause() for pressure in fullness(settings, counted) if pressure.place == "the picture store"]
    assert cause is not None
    assert (cause.kind, cause.subject, cause.detail["used"]) == (Alarm.DISK_95, "the picture store", 3)


def test_of_a_disk_nothing_is_told_that_all_can_see(bench: Bench) -> None:
    Housekeeper(duties(bench.broker, bench.database, bench.blobs, Settings(), now=lambda: NOON)).step()
    with bench.database.reading() as connection:
        assert all_marks(connection, "") == {}


# The books


def old_row(age: timedelta) -> inspections.Inspected:
    at = ns_of(NOON - age)
    return inspections.Inspected(
        frame=replace(frame(), captured_at=at, seq=age.days), verdict=MachineVerdict.NO_VERDICT, inspected_at=at,
        worker="", size=1, reason="LATE",
    )  # fmt: skip


@pytest.mark.parametrize(("keep_days", "left"), [(0, 2), (10, 1)])
def test_verdict_rows_live_as_long_as_is_set(bench: Bench, keep_days: float, left: int) -> None:
    with bench.database.writing() as connection:
        inspections.record(connection, [old_row(timedelta(days=5)), old_row(timedelta(days=15))])
    housekeeper(bench, bench.blobs, Settings(database=DatabaseSettings(keep_days=keep_days))).step()
    with bench.database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(rows)) == left


def test_what_stands_beside_the_rows_lives_as_long_as_is_set(bench: Bench) -> None:
    settings = Settings(database=DatabaseSettings(keep_days=10, keep_minute_days=10, keep_alert_days=10))
    cause = Cause(kind=Alarm.CAMERA_LOST, subject="top", what="lost", why="", do="")
    with bench.database.writing() as connection:
        inspections.record(connection, [old_row(timedelta(days=15))])
        inspections.reject(connection, Message(Partition("frames", 0), 1, "", b"", (), 0), detail="?",
                           now=NOON - timedelta(days=15))  # fmt: skip
        for causes, age in (([cause], 16), ([], 15)):
            keep(connection, causes, looked_at=frozenset(Alarm), now=NOON - timedelta(days=age))
    assert housekeeper(bench, bench.blobs, settings).step() == 4
    assert housekeeper(bench, bench.blobs, settings).step() == 0
    with bench.database.reading() as connection:
        whole = books(connection, now=NOON)
        assert (whole.rows, whole.duplicates, whole.rejected) == (1, 0, 1)
        assert since(connection, NOON - timedelta(days=99)) == []


def test_partitions_are_made_ahead_on_postgresql(bench: Bench, postgres_url: str) -> None:
    with open_database(postgres_url) as database:
        work = duties(bench.broker, database, bench.blobs, Settings(), now=lambda: NOON)
        Housekeeper([duty for duty in work if "partitions" in duty.name]).step()
        with database.reading() as connection:
            assert next_missing(connection, now=NOON) == datetime(2026, 12, 2, tzinfo=UTC)


# Pace and failures


class Work:
    """A duty's work that counts its calls and fails while it is told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.away = False

    def __call__(self) -> int:
        self.calls += 1
        if self.away:
            raise StoreUnavailable("the store is away")
        return 1


def test_each_duty_has_its_own_pace() -> None:
    clock, often, seldom = Clock(), Work(), Work()
    keeper = Housekeeper([Duty("often", 30, often), Duty("seldom", 3600, seldom)], clock=clock)
    for _ in range(121):
        keeper.step()
        keeper.step()
        clock.now += 30
    assert (often.calls, seldom.calls) == (121, 2)


def test_a_store_that_is_away_is_tried_again_soon_and_keeps_no_other_duty_from_its_turn() -> None:
    clock, broken, well, health = Clock(), Work(), Work(), Health()
    signs = Signs("housekeeping", health=health)
    signs.ready()
    keeper = Housekeeper([Duty("a", 3600, broken), Duty("b", 3600, well)], signs=signs, clock=clock)
    broken.away = True
    assert keeper.step() == 1
    assert not health.state().ok
    assert "the store is away" in health.state().why
    clock.now += 1
    keeper.step()
    assert (broken.calls, well.calls) == (1, 1)
    assert not health.state().ok  # it is still away, as far as anybody knows
    clock.now += 30
    broken.away = False
    assert keeper.step() == 1
    assert (broken.calls, well.calls) == (2, 1)
    assert health.state().ok


class Away:
    """A log that does not answer."""

    def retain(self) -> int:
        raise StoreUnavailable("the log is locked")


def test_a_log_that_is_away_does_not_keep_the_pictures_from_their_turn(bench: Bench) -> None:
    old = put(bench.blobs, Kind.RING, timedelta(hours=6))
    work = duties(Away(), bench.database, bench.blobs, Settings(), now=lambda: NOON)  # type: ignore[arg-type]
    Housekeeper(work).step()
    assert not bench.blobs.exists(old)


def test_it_stops_when_asked() -> None:
    stop, work = Stop(), Work()

    def ask() -> int:
        stop.asked = True
        return work()

    Housekeeper([Duty("stop", 1, ask)]).run(stop)
    assert work.calls == 1
