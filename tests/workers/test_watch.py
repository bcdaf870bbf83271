"""The watch on real small parts: a SQLite file, a log in memory, a clock that is moved by hand."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.services.plant import Services
from core.alarms import HABITS, Kind
from core.broker.kafka import KafkaBroker
from core.broker.memory import MemoryBroker
from core.broker.protocol import Broker, Topic
from core.database import Database, open_database
from core.errors import StoreUnavailable
from core.line import Camera, line_of
from core.live import Beat, NoLive
from core.messages import CAMERAS, DEAD_LETTERS, FRAMES, ROUTES, CameraReported
from core.metrics import Metrics
from core.records import alerts, line, minutes, routes, sessions, signs
from core.records.inspections import record
from core.settings import BlobSettings, Settings
from core.stop import Stop
from core.verdicts import MachineVerdict, RunType
from migrations.upgrade import upgrade
from tests.core.records.rows import captured, inspected
from tests.core.records.test_routes import routed
from tests.servers import kafka_of
from workers.facts import Log
from workers.looking import BEAT_WITHIN, INSPECTION, Looker
from workers.signs import Signs
from workers.space import PICTURES
from workers.watch import Watch

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOON_NS = int(NOON.timestamp()) * 10**9


class Beats(NoLive):
    """A cache that tells of the processes that a test names."""

    def __init__(self) -> None:
        self.alive: list[tuple[str, str]] | None = None

    def beats(self) -> list[Beat] | None:
        """The processes that live."""
        return None if self.alive is None else [Beat(role, name, 0, 0) for role, name in self.alive]


class Told(Metrics):
    """Keeps which alerts were counted."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def raised(self, kind: str) -> None:
        """An alert was raised."""
        self.kinds.append(kind)


@dataclass
class Rig:
    """A line of one camera, and its watch."""

    folder: Path
    database: Database
    broker: MemoryBroker
    now: datetime = NOON
    live: Beats = field(default_factory=Beats)
    broker_away: str = ""
    metrics: Told = field(default_factory=Told)
    settings: Settings | None = None
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.anew()

    def anew(self) -> None:
        """The watch's process starts again."""
        settings = self.settings or Settings(data=self.folder)
        looker = Looker(
            self.database,
            self.open_broker,
            self.live,
            settings,
            now=lambda: self.now,
            seconds=self.seconds,
        )
        self.watch = Watch(looker, signs=Signs("watch", metrics=self.metrics))

    def seconds(self) -> float:
        """The clock for intervals."""
        return self.now.timestamp()

    def open_broker(self) -> Broker:
        """As the looker opens it."""
        if self.broker_away:
            raise StoreUnavailable(self.broker_away)
        return self.broker

    def look(self, seconds: float = 3.0, times: int = 1) -> list[tuple[str, str]]:
        """Let time pass, look, and say which alerts are open then."""
        for _ in range(times):
            self.now += timedelta(seconds=seconds)
            self.watch.step()
        return sorted((alert.kind, alert.subject) for alert in self.open())

    def open(self) -> list[alerts.Alert]:
        """The open alerts."""
        with self.database.reading() as connection:
            return alerts.standing(connection)

    def report(self, **more: Any) -> None:
        """The camera reports now."""
        told = CameraReported(
            camera="ring-top", station="s", product="ring", session=NOON_NS, state="RUNNING", detail="", triggered=0,
            captured=0, reconnects=0, reported_at=int(self.now.timestamp() * 1e9))  # fmt: skip
        told = replace(told, **more)
        with self.database.writing() as connection:
            sessions.report(connection, told)
            signs.keep(connection, told)
            minutes.count(connection, [told])

    def send(self, topic: str, *values: bytes) -> None:
        """Append records."""
        with self.broker.producer() as producer:
            for value in values:
                producer.send(topic, value, partition=0)

    def judge(self, first: int, *verdicts: MachineVerdict, late_ms: float = 40.0, **more: Any) -> None:
        """Frames of this moment, judged."""
        at = int(self.now.timestamp() * 1e9)
        frames = [captured(first + n, captured_at=at + n * 1000, **more) for n in range(len(verdicts))]
        rows = [
            inspected(0, verdict, frame, inspected_at=frame.captured_at + round(late_ms * 1e6), reason="DARK")
            for verdict, frame in zip(verdicts, frames, strict=True)
        ]
        with self.database.writing() as connection:
            record(connection, rows)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    url = f"sqlite:///{tmp_path}/books.sqlite"
    upgrade(url)
    with open_database(url, busy_seconds=0.2) as database, MemoryBroker() as broker:
        broker.apply([Topic(name, 1) for name in (FRAMES, CAMERAS, ROUTES, *DEAD_LETTERS.values())])
        with database.writing() as connection:
            line.register(connection, line_of([Camera(name="ring-top", product="ring", source="folder:/a")]), now=NOON)
        yield Rig(tmp_path, database, broker)


NO_MODEL = (str(Kind.NOT_QUALIFIED), "ring")  # the rig has no model: always there, and in nobody's way


def beyond(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What is open beside the missing model."""
    return [each for each in found if each != NO_MODEL]


def test_a_camera_that_falls_silent_is_raised_after_its_delay_and_closes_when_it_is_back(rig: Rig) -> None:
    rig.report()
    assert beyond(rig.look(20)) == []
    assert beyond(rig.look(1)) == []  # seen now; it must last
    assert beyond(rig.look(3)) == [("CAMERA_LOST", "ring-top")]
    rig.report()
    assert beyond(rig.look(3)) == [("CAMERA_LOST", "ring-top")]
    for _ in range(int(HABITS[Kind.CAMERA_LOST].off // 3)):
        rig.report()
        found = rig.look(3)
    assert beyond(found) == []
    assert rig.metrics.kinds.count("CAMERA_LOST") == 1


def test_a_cause_that_does_not_last_is_never_raised(rig: Rig) -> None:
    for _ in range(5):
        rig.report(state="LOST")
        assert beyond(rig.look(1)) == []
        rig.report(triggered=0)
        assert beyond(rig.look(1)) == []


def test_a_watch_that_starts_again_goes_on_with_the_alerts_that_are_open(rig: Rig) -> None:
    rig.report(state="LOST")
    rig.look(3, times=2)
    (before,) = [alert for alert in rig.open() if alert.kind == "CAMERA_LOST"]
    rig.anew()
    rig.look(3, times=3)
    (after,) = [alert for alert in rig.open() if alert.kind == "CAMERA_LOST"]
    assert (after.id, after.seen_at > before.seen_at) == (before.id, True)


def test_a_broker_that_goes_away_is_one_alert_and_keeps_the_others_as_they_are(rig: Rig) -> None:
    rig.report(alarm="SPOOL_80: 81 % of 4 GiB")
    assert beyond(rig.look(3)) == [("SPOOL_80", "ring-top")]
    rig.broker_away = "kafka://a:9092 does not answer"
    rig.watch._looker.close()
    found = rig.look(30, times=4)
    assert beyond(found) == [("BROKER_DOWN", ""), ("SPOOL_80", "ring-top")]


def test_frames_that_nobody_takes_for_five_seconds_are_not_inspected(rig: Rig) -> None:
    rig.report()
    rig.send(FRAMES, b"a", b"b")
    for _ in range(4):
        rig.report()
        found = rig.look(3)
    assert ("NOT_INSPECTING", "frames/0") in found
    with rig.broker.consumer(FRAMES, group=INSPECTION) as consumer:
        messages = consumer.poll(1.0)
        consumer.commit({messages[0].partition: messages[-1].offset + 1})
    for _ in range(12):
        rig.report()
        found = rig.look(3)
    assert beyond(found) == []


def test_new_dead_letters_are_counted_also_over_a_restart_of_the_watch(rig: Rig) -> None:
    rig.report()
    rig.look()
    rig.send("frames.dlq", b"a")
    assert ("DEAD_LETTERS", "frames.dlq") in rig.look()
    rig.anew()
    rig.send("frames.dlq", b"b", b"c")
    rig.report()
    rig.look()
    (alert,) = [alert for alert in rig.open() if alert.kind == "DEAD_LETTERS"]
    assert alert.what == "Given up: 3 messages, now in frames.dlq"
    rig.report()
    rig.look(605)
    rig.report()
    assert "DEAD_LETTERS" not in {kind for kind, _ in rig.look(60)}


def test_a_lost_part_is_told_when_its_time_to_settle_is_over_and_closes_when_it_is_found(rig: Rig) -> None:
    start = NOON_NS
    rig.judge(0, MachineVerdict.PASS, MachineVerdict.PASS)
    for _ in range(8):
        rig.report(triggered=3, captured=3, minutes=[[start, 3, 3]])
        assert "COUNT_RECONCILE" not in {kind for kind, _ in rig.look(14)}
    for _ in range(6):
        rig.report(triggered=3, captured=3, minutes=[[start, 3, 3]])
        found = rig.look(16)
    assert ("COUNT_RECONCILE", "ring-top") in found
    with rig.database.writing() as connection:
        record(connection, [inspected(0, frame=captured(2, captured_at=start + 999))])
    for _ in range(6):
        rig.report(triggered=3, captured=3, minutes=[[start, 3, 3]])
        found = rig.look(16)
    assert beyond(found) == []


def test_a_frame_that_was_passed_over_is_told_with_its_number(rig: Rig) -> None:
    rig.judge(0, MachineVerdict.PASS)
    rig.judge(2, MachineVerdict.PASS)
    for _ in range(4):
        rig.report(triggered=3, captured=3)
        rig.look(16)
    (alert,) = [alert for alert in rig.open() if alert.kind == "COUNT_RECONCILE"]
    assert f"Missing: no. 1 of session {NOON_NS}" in alert.why


@pytest.mark.parametrize(("more", "late_ms", "raised"), [
    ({}, 40, True), ({"run_type": RunType.SETUP}, 40, False), ({}, 61_000, False),
])  # fmt: skip
def test_only_live_production_frames_raise_anything(
    rig: Rig, more: dict[str, Any], late_ms: float, *, raised: bool
) -> None:
    rig.report(triggered=3, captured=3)
    rig.judge(0, *[MachineVerdict.INVALID] * 3, late_ms=late_ms, **more)
    assert (("IMAGE_INVALID_RUN", "ring-top") in rig.look()) is raised


def test_a_reject_that_the_gate_did_not_confirm(rig: Rig) -> None:
    rig.report()
    with rig.database.writing() as connection:
        routes.keep(connection, replace(routed(0), route="UNCONFIRMED", alarms="BIN_FULL"))
    assert beyond(rig.look()) == [("BIN_FULL", "g1"), ("GATE_UNCONFIRMED", "g1")]


def test_a_process_whose_beat_stops_is_missing_unless_another_took_its_place(rig: Rig) -> None:
    rig.live.alive = [("inspection", "w1"), ("inspection", "w2"), ("books", "books")]
    rig.report()
    rig.look()
    rig.live.alive = [("inspection", "w1"), ("books", "books")]
    for _ in range(10):
        rig.report()
        found = rig.look(3)
    assert beyond(found) == [("WORKER_MISSING", "inspection w2")]
    rig.live.alive.append(("inspection", "w3"))
    for _ in range(int(BEAT_WITHIN)):
        rig.report()
        found = rig.look(3)
    assert beyond(found) == []


def test_a_database_that_is_away_is_told_when_it_is_back(rig: Rig) -> None:
    rig.report()
    with closing(sqlite3.connect(rig.folder / "books.sqlite", isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")  # somebody holds the lock
        assert rig.watch.step() is False
        rig.now += timedelta(seconds=8)
        assert rig.watch.step() is False
        raw.execute("ROLLBACK")
    rig.report()
    assert ("DATABASE_DOWN", "") in rig.look(1)
    for _ in range(12):
        rig.report()
        found = rig.look(3)
    assert beyond(found) == []


def test_the_watch_leaves_a_mark_so_that_the_pages_know_that_it_looks(rig: Rig) -> None:
    rig.look()
    with rig.database.reading() as connection:
        assert alerts.marked(connection, alerts.WATCH) == rig.now


def test_an_old_backup_is_told_where_backups_are_made(rig: Rig) -> None:
    rig.report()
    with rig.database.writing() as connection:
        alerts.mark(connection, alerts.BACKUP, now=NOON - timedelta(hours=30))
    found = [kind for _ in range(5) for kind, _ in rig.look(3)]
    assert "BACKUP_STALE" in found


def test_a_missing_topic_is_told_with_what_to_do(rig: Rig) -> None:
    with MemoryBroker() as empty:
        rig.broker = empty
        rig.anew()
        rig.report()
        rig.look(3, times=2)
    (alert,) = [alert for alert in rig.open() if alert.kind == "BROKER_DOWN"]
    assert "flawline topics apply" in alert.why


def test_the_watch_sees_lag_and_dead_letters_on_kafka(rig: Rig, servers: Services) -> None:
    with KafkaBroker(kafka_of(servers)) as kafka:
        kafka.apply([Topic(name, 1) for name in (FRAMES, CAMERAS, ROUTES, *DEAD_LETTERS.values())])
        with kafka.producer() as producer:
            producer.send(FRAMES, b"a", partition=0)
            producer.send("frames.dlq", b"b", partition=0)
            producer.flush()
        looker = Looker(rig.database, lambda: kafka, rig.live, Settings(data=rig.folder), now=lambda: datetime.now(UTC))
        log = looker.look().log
        assert isinstance(log, Log)
        assert {lag.partition.topic: lag.records for lag in log.lags} == {FRAMES: 1, CAMERAS: 0, ROUTES: 0}
        assert [(dead.topic, dead.fresh) for dead in log.dead] == [("frames.dlq", 1)]


def test_it_runs_until_it_is_asked_to_stop(rig: Rig) -> None:
    stop = Stop()
    stop.asked = True
    rig.watch.run(stop)
    assert rig.open() == []


def test_the_group_whose_lag_is_asked_for_is_the_inspections_own() -> None:
    from workers.inspection import GROUP

    assert INSPECTION == GROUP


def test_a_picture_store_that_is_too_full_by_the_last_count_raises_an_alert(rig: Rig) -> None:
    rig.settings = Settings(data=rig.folder, blobs=BlobSettings(url="s3://abc", most_bytes=1000))
    rig.anew()
    with rig.database.writing() as connection:
        alerts.mark(connection, PICTURES, now=rig.now, detail="1100")
    assert beyond(rig.look(6, times=3)) == [("DISK_85", "the picture store")]
    with rig.database.writing() as connection:
        alerts.mark(connection, PICTURES, now=rig.now, detail="2000")
    assert ("DISK_95", "the picture store") in rig.look(6, times=2)
    with rig.database.writing() as connection:
        alerts.mark(connection, PICTURES, now=rig.now, detail="900")
    assert not [kind for kind, _ in rig.look(60, times=4) if kind.startswith("DISK")]
