import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from ingest.simulator import Simulator
from ingest.sources.camera import CameraSource, Capture, redacted
from ingest.sources.source import Grabbed, SourceState
from ingest.sources.video import VideoSource


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, ring: Simulator) -> Path:
    """Six good parts as a small video file."""
    return write_clip(tmp_path_factory.mktemp("clip") / "line.avi", ring, frames=6)


def write_clip(path: Path, ring: Simulator, *, frames: int, size: tuple[int, int] = (320, 240)) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 50.0, size)
    for part in range(frames):
        writer.write(cv2.cvtColor(cv2.resize(ring.render(part).picture, size), cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def film(path: Path) -> Callable[[], Capture]:
    """A camera that shows a film and is unplugged at its end."""
    return lambda: cv2.VideoCapture(str(path))


class Bench:
    """A camera whose frames the test makes one by one."""

    def __init__(self) -> None:
        self.plugged = True
        self.size = (48, 64)
        self._frames = threading.Semaphore(0)
        self._number = 0

    def shoot(self, frames: int = 1) -> None:
        self._frames.release(frames)

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.plugged

    def read(self) -> tuple[bool, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
        while self.plugged and not self._frames.acquire(timeout=0.02):
            pass
        if not self.plugged:
            return False, np.zeros((0, 0, 3), np.uint8)
        self._number += 1
        return True, np.full((*self.size, 3), (self._number, 0, 200), np.uint8)

    def release(self) -> None:
        pass


@contextmanager
def opened(bench: Bench, *, rate: float = 0.0, watchdog: float = 20.0) -> Iterator[CameraSource]:
    with CameraSource(lambda: bench, name="camera:9", rate=rate, watchdog=watchdog, first_backoff=0.02) as source:
        try:
            yield source
        finally:
            bench.plugged = False


def read(source: CameraSource, within: float = 5.0) -> Grabbed:
    grabbed = source.read(within)
    assert grabbed is not None
    return grabbed


def wait_for(condition: Callable[[], bool], within: float = 5.0) -> None:
    until = time.monotonic() + within
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    assert condition()


def test_a_frame_arrives_as_rgb_with_the_time_of_its_grabbing() -> None:
    bench = Bench()
    with opened(bench) as source:
        before = time.time_ns()
        bench.shoot()
        grabbed = read(source)
        assert grabbed.picture is not None
        assert grabbed.picture[0, 0].tolist() == [200, 0, 1]
        assert before <= grabbed.captured_at <= time.time_ns()
        assert not source.waits


def test_the_newest_frame_is_handed_on_and_the_ones_passed_over_are_counted() -> None:
    bench = Bench()
    with opened(bench) as source:
        bench.shoot()
        assert read(source).missed == 0
        bench.shoot(4)
        wait_for(lambda: source._count == 5)
        grabbed = read(source)
        assert grabbed.picture is not None
        assert grabbed.picture[0, 0, 2] == 5
        assert grabbed.missed == 3
        assert source.read(0.05) is None


def test_with_a_rate_a_late_reader_misses_whole_triggers() -> None:
    bench = Bench()
    with opened(bench, rate=20.0) as source:
        bench.shoot(1)
        assert read(source).missed == 0
        time.sleep(0.26)
        bench.shoot(1)
        assert 3 <= read(source).missed <= 6


def test_a_lost_connection_is_made_again_and_counted(clip: Path) -> None:
    with CameraSource(film(clip), name="camera:0", first_backoff=0.01) as source:
        wait_for(lambda: source.reconnects >= 2)
        assert read(source).picture is not None
        assert source.state is SourceState.OPEN


def test_a_camera_that_is_not_there_is_lost_after_the_watchdog_and_says_why() -> None:
    bench = Bench()
    bench.plugged = False
    with opened(bench, watchdog=0.15) as source:
        assert source.state == SourceState.OPEN
        assert source.read(0.05) is None
        wait_for(lambda: source.state is SourceState.LOST)
        assert "cannot be opened; check its cable" in source.detail
        bench.plugged = True
        bench.shoot(100)
        read(source)
        assert source.state == SourceState.OPEN
        assert source.detail == ""


def test_a_camera_that_falls_silent_is_lost() -> None:
    bench = Bench()
    with opened(bench, watchdog=0.2) as source:
        bench.shoot()
        read(source)
        wait_for(lambda: source.state is SourceState.LOST)
        assert "no frame for" in source.detail


def test_another_picture_size_after_a_reconnect_is_not_accepted() -> None:
    bench = Bench()
    with opened(bench) as source:
        bench.shoot()
        read(source)
        bench.size = (24, 32)
        bench.shoot()
        wait_for(lambda: source.detail != "")
        assert "now delivers 32x24 px instead of 64x48" in source.detail
        assert source.read(0.05) is None
        bench.size = (48, 64)
        bench.shoot(2)
        assert read(source).picture is not None


def test_stop_works_before_the_first_connection() -> None:
    hanging = threading.Event()

    def connect() -> Capture:
        hanging.wait(5.0)
        return Bench()

    began = time.monotonic()
    with CameraSource(connect, name="rtsp://host/x") as source:
        assert source.read(0.01) is None
    assert time.monotonic() - began < 3.0
    hanging.set()


@pytest.mark.parametrize(
    "address",
    ["rtsp://user:secret@host/stream", "rtsp://user:p@ss/wo:rd-secret@host:554/stream", "rtsps://secret@host"],
)
def test_credentials_are_taken_out_of_an_address(address: str) -> None:
    assert "secret" not in redacted(address)
    assert "host" in redacted(address)


def test_credentials_never_reach_the_log_or_a_message(caplog: pytest.LogCaptureFixture) -> None:
    from ingest.sources import open_source

    caplog.set_level(logging.DEBUG)
    source = open_source("rtsp://user:secret@127.0.0.1:1/stream?rate=5&channel=2")
    with source:
        wait_for(lambda: source.detail != "", within=10.0)
    assert caplog.text
    assert "secret" not in caplog.text + source.detail
    assert "127.0.0.1:1" in caplog.text


def test_a_video_gives_each_frame_once_and_ends(clip: Path) -> None:
    with VideoSource(clip, rate=500.0) as source:
        names = []
        while (grabbed := source.read(1.0)) is not None:
            assert grabbed.picture is not None
            assert grabbed.picture.shape == (240, 320, 3)
            names.append(grabbed.part_id)
        assert source.state is SourceState.ENDED
    assert names == [f"line-{frame}" for frame in range(6)]


def test_a_looped_video_goes_on_and_keeps_its_own_rate(clip: Path) -> None:
    with VideoSource(clip, loop=True) as source:
        began = time.monotonic()
        assert all(source.read(1.0) for _ in range(9))
        assert time.monotonic() - began > 0.15  # 50 frames per second


def test_a_file_that_is_no_video_is_named(tmp_path: Path) -> None:
    from core.errors import SourceUnavailable

    (tmp_path / "text.avi").write_text("no video")
    with (
        pytest.raises(SourceUnavailable, match=r"text\.avi cannot be opened as a video"),
        VideoSource(tmp_path / "text.avi"),
    ):
        pass
    with pytest.raises(SourceUnavailable, match="is no file"), VideoSource(tmp_path / "none.avi"):
        pass
