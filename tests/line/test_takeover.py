"""Inspection workers on real servers: they share the cameras, and one takes over what another leaves."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cli import parts
from cli.services.plant import Services
from core.broker.kafka import KafkaBroker
from core.broker.kafka_admin import KafkaAdmin
from core.broker.protocol import Lag
from core.line import Camera, Line, line_of
from core.live_open import open_live
from core.messages import CAMERAS, FRAMES, CameraReported, FrameCaptured
from tests.line.plant import PATIENCE, Plant, on_servers, until
from tests.workers.bench import frame, picture, png
from workers import inspection

pytestmark = pytest.mark.slow

NAMES = [f"camera-{number}" for number in range(4)]
GOOD = [png(picture(seed)) for seed in range(8)]
INSPECTION = ("worker", "inspection", "--name")
SESSION = 2.0  # s, as the plant's processes are told


class Cameras:
    """All cameras of a line, taking pictures as a test wants them."""

    def __init__(self, plant: Plant, line: Line) -> None:
        self._plant, self._line = plant, line
        self._session = time.time_ns()
        self.taken = 0  # of each camera

    def take(self, frames: int) -> None:
        """So many more pictures of each camera, and their reports."""
        with parts.broker(self._plant.settings) as broker, broker.producer() as producer:
            for seq in range(self.taken, self.taken + frames):
                for place, name in enumerate(NAMES):
                    value = GOOD[seq % len(GOOD)]
                    sent = self._frame(name, seq, value)
                    producer.send(FRAMES, value, partition=place, key=name, headers=sent.headers())
            self.taken += frames
            for name in NAMES:
                producer.send(CAMERAS, self._report(name).to_json(), partition=0, key=name)

    def _frame(self, name: str, seq: int, value: bytes) -> FrameCaptured:
        now = time.time_ns()
        return frame(seq, value, camera=name, session=self._session, captured_at=now, part_id=f"{name}-{seq}")

    def _report(self, name: str) -> CameraReported:
        return CameraReported(
            camera=name, station="station-1", product="ring", session=self._session, state="ENDED", detail="",
            triggered=self.taken, captured=self.taken, reconnects=0, reported_at=time.time_ns())  # fmt: skip


@pytest.fixture
def plant(servers: Services, postgres_url: str, tmp_path: Path) -> Iterator[Plant]:
    """A line of four cameras on the shared servers, in small batches, with a product that is taught."""
    small = {"FLAWLINE_BROKER__BATCH": "4", "FLAWLINE_BROKER__POLL_SECONDS": "0.1"}
    plant = Plant(tmp_path, on_servers(servers, postgres_url) | small)
    parts.prepare(plant.settings, _line())
    plant.teach()
    yield plant
    with KafkaBroker(plant.settings.broker) as broker:
        broker.drop()


@pytest.fixture
def cameras(plant: Plant) -> Cameras:
    return Cameras(plant, _line())


def _line() -> Line:
    return line_of(
        [Camera(name=name, product="ring", source="folder:nowhere") for name in NAMES], partitions=len(NAMES)
    )


def ready(plant: Plant, *names: str) -> None:
    """Wait until these workers are members of the group."""
    until(plant, lambda: members(plant) >= set(names), f"{names} to join")


def members(plant: Plant) -> set[str]:
    admin = KafkaAdmin(plant.settings.broker)
    try:
        return admin.members(inspection.GROUP)
    finally:
        admin.close()


def assert_all_is_accounted_for(plant: Plant, frames: int) -> None:
    with plant.running("worker", "books"):
        until(plant, lambda: plant.lag() == 0, "the cameras' reports to be read")
    found = plant.books()
    assert (found.rows, found.lost, found.duplicates, found.rejected) == (frames, 0, 0, 0), plant.said()
    assert found.counted == frames
    assert {row.verdict for row in plant.rows()} == {"PASS"}, plant.said()
    told = Counter(message.id for message in plant.told())
    assert len(told) == frames, "every verdict is told, at least once"
    blobs = parts.blobs(plant.settings)
    assert all(blobs.exists(row.thumb) for row in plant.rows()[:: max(1, frames // 20)])


def judged(plant: Plant) -> int:
    return sum(lag.committed for lag in _lags(plant))


def left(plant: Plant) -> int:
    return sum(lag.records for lag in _lags(plant))


def _lags(plant: Plant) -> list[Lag]:
    with parts.broker(plant.settings) as broker:
        return list(broker.lag(FRAMES, group=inspection.GROUP))


def test_of_two_workers_one_is_killed_and_the_other_takes_over_within_the_session(
    plant: Plant, cameras: Cameras
) -> None:
    with ExitStack() as stack:
        stack.enter_context(plant.running(*INSPECTION, "right"))
        victim = plant.start(*INSPECTION, "left", FLAWLINE_WORKER__FAULT="inspect_after_transaction:3")
        ready(plant, "left", "right")
        cameras.take(40)
        assert victim.wait(PATIENCE) == -signal.SIGKILL, plant.said()  # so it had a share of the cameras
        died = time.monotonic()
        until(plant, lambda: left(plant) == 0, "the other one to judge the rest")
        took = time.monotonic() - died
        with open_live(plant.settings) as live:
            assert "right" in {beat.name for beat in live.beats() or []}
    assert took < SESSION + 30, f"the rest was judged {took:.0f} s later, the session is {SESSION} s"
    assert_all_is_accounted_for(plant, 4 * 40)


def test_a_second_worker_that_comes_later_gets_its_share(plant: Plant, cameras: Cameras) -> None:
    with ExitStack() as stack:
        stack.enter_context(plant.running(*INSPECTION, "first"))
        ready(plant, "first")
        cameras.take(5)
        until(plant, lambda: left(plant) == 0, "the first frames")
        second = plant.start(*INSPECTION, "second", FLAWLINE_WORKER__FAULT="inspect_after_commit:2")
        ready(plant, "first", "second")
        taken = 0
        while second.poll() is None and taken < 40:  # it ends with its second batch: so it was given some
            cameras.take(2)
            taken += 1
            until(plant, lambda: left(plant) == 0 or second.poll() is not None, "the frames of this round")
        assert second.wait(PATIENCE) == -signal.SIGKILL, plant.said()
        until(plant, lambda: left(plant) == 0, "the rest")
    assert_all_is_accounted_for(plant, 4 * cameras.taken)


def test_a_worker_that_is_asked_to_stop_finishes_its_batch_and_commits_it(plant: Plant, cameras: Cameras) -> None:
    cameras.take(60)
    worker = plant.start("worker", "inspection")  # without a name it goes by its machine, and comes back as the same
    until(plant, lambda: judged(plant) >= 8, "the first batches")
    assert members(plant) == {parts.worker_name(plant.settings, "inspection", "")}
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0, plant.said()
    rows = plant.rows()
    assert judged(plant) == len(rows), "all that is in the books is committed, and nothing else"
    assert len(plant.told()) == len(rows), "told once each: nothing has to be told again"
    with plant.running("worker", "inspection"):
        until(plant, lambda: left(plant) == 0, "the rest")
    assert_all_is_accounted_for(plant, 4 * 60)
    assert len(plant.told()) == 4 * 60, "nothing was judged twice"
