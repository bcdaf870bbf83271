"""A capture process put together: its seat, its broker with the spool in front, its picture store."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli import parts
from cli.capturing import capture_camera, most_inline, seats, spool_path
from cli.services.plant import Services
from core.broker.protocol import Message, Topic
from core.broker.spool_file import Spool
from core.errors import NotAllowed, SettingsInvalid
from core.line import Camera, Line, line_of
from core.messages import CAMERAS, FRAMES, CameraReported, FrameCaptured
from core.settings import BrokerSettings, PictureSettings, Settings
from core.stop import Stop
from ingest.seat import CameraSeat
from tests.servers import kafka_of

AWAY = BrokerSettings(url="kafka://127.0.0.1:9", send_seconds=0.5)


def line(parts_made: int = 3, *, partition: int = 1) -> Line:
    source = f"simulator:ring?rate=0&defects=0&parts={parts_made}"
    return line_of([Camera(name="top", product="ring", source=source, partition=partition)])


def settings_of(tmp_path: Path, broker: BrokerSettings | None = None, *, inline: int = 0) -> Settings:
    return Settings(data=tmp_path, broker=broker or BrokerSettings(), pictures=PictureSettings(inline_max_bytes=inline))


def with_topics(settings: Settings, *, partitions: int = 4) -> Settings:
    settings.data.mkdir(parents=True, exist_ok=True)
    with parts.broker(settings) as broker:
        broker.apply([Topic(FRAMES, partitions), Topic(CAMERAS, 1)])
    return settings


def logged(settings: Settings, topic: str = FRAMES) -> list[Message]:
    with parts.broker(settings) as broker, broker.consumer(topic, group=f"test-{time.monotonic_ns()}") as reader:
        found = reader.poll(10.0, most=256)
        while more := reader.poll(0.5, most=256):
            found += more
        return found


def frames(settings: Settings) -> list[FrameCaptured]:
    return [FrameCaptured.of(message.headers) for message in logged(settings)]


@contextmanager
def capturing(settings: Settings) -> Iterator[tuple[Stop, list[bool]]]:
    """A capture in a thread of its own; at the end it is asked to stop and has told whether it ended by itself."""
    stop, told = Stop(), []
    thread = threading.Thread(target=lambda: told.append(capture_camera(settings, line(), "top", stop=stop)))
    thread.start()
    try:
        yield stop, told
    finally:
        stop.asked = True
        thread.join(60.0)


def test_on_one_machine_pictures_go_into_the_local_log(tmp_path: Path) -> None:
    settings = with_topics(settings_of(tmp_path))
    assert capture_camera(settings, line(), "top", stop=Stop())
    found = logged(settings)
    assert [FrameCaptured.of(m.headers).seq for m in found] == [0, 1, 2]
    assert {m.partition.number for m in found} == {1}
    assert not settings.spool_folder.exists()


def test_each_start_is_a_later_session_even_when_the_clock_was_set_back(tmp_path: Path) -> None:
    settings = with_topics(settings_of(tmp_path))
    with CameraSeat(seats(settings), "top", clock=lambda: time.time_ns() + 3600 * 10**9) as seat:
        earlier = seat.next_session()  # an hour ahead, before somebody set the clock right
    for _ in range(2):
        assert capture_camera(settings, line(1), "top", stop=Stop())
    assert [frame.session - earlier for frame in frames(settings)] == [1, 2]


def test_a_camera_that_another_process_captures_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.seat.PATIENCE_SECONDS", 0.1)
    settings = with_topics(settings_of(tmp_path))
    with CameraSeat(seats(settings), "top"), pytest.raises(NotAllowed, match="already takes the pictures"):
        capture_camera(settings, line(), "top", stop=Stop())


def test_on_kafka_pictures_go_straight_and_the_report_tells_of_an_empty_spool(
    servers: Services, tmp_path: Path
) -> None:
    settings = with_topics(settings_of(tmp_path, kafka_of(servers)))
    assert capture_camera(settings, line(), "top", stop=Stop())
    assert [frame.seq for frame in frames(settings)] == [0, 1, 2]
    last = CameraReported.from_json(logged(settings, CAMERAS)[-1].value)
    assert (last.state, last.captured, last.spool_bytes, last.diverted, last.alarm) == ("ENDED", 3, 0, 0, "")


def test_while_kafka_is_away_a_camera_starts_and_its_spool_waits_for_the_next_start(
    servers: Services, tmp_path: Path
) -> None:
    with capturing(settings_of(tmp_path, AWAY)) as (_, told):
        limit = time.monotonic() + 30
        while records(settings_of(tmp_path, AWAY)) < 4:  # the last report is one more
            assert time.monotonic() < limit
            time.sleep(0.05)
        assert not told  # the source has ended, its pictures are not forwarded: it waits
    assert told == [False]
    settings = with_topics(settings_of(tmp_path, kafka_of(servers)))
    assert capture_camera(settings, line(2), "top", stop=Stop())
    assert records(settings) == 0
    assert [frame.seq for frame in frames(settings)] == [0, 1, 2, 0, 1]
    first = CameraReported.from_json(logged(settings, CAMERAS)[0].value)
    assert first.spool_bytes > 0


def records(settings: Settings) -> int:
    if not spool_path(settings, "top").exists():
        return 0
    with Spool(spool_path(settings, "top"), most_bytes=1 << 30) as spool:
        return spool.state().records


def test_a_topic_that_is_missing_is_refused_with_the_command_that_makes_it(servers: Services, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"'frames' on the broker.*`flawline topics apply`"):
        capture_camera(settings_of(tmp_path, kafka_of(servers)), line(), "top", stop=Stop())


@pytest.mark.parametrize("kind", ["local", "kafka"])
def test_a_partition_beyond_the_topics_is_refused(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    broker = None if kind == "local" else kafka_of(request.getfixturevalue("servers"))
    settings = with_topics(settings_of(tmp_path, broker), partitions=2)
    with pytest.raises(SettingsInvalid, match=r"frames has partitions 0 to 1, camera top belongs in 3"):
        capture_camera(settings, line(partition=3), "top", stop=Stop())


def test_large_pictures_go_into_the_picture_store(tmp_path: Path) -> None:
    settings = with_topics(settings_of(tmp_path, inline=1024))
    assert capture_camera(settings, line(), "top", stop=Stop())
    found = logged(settings)
    assert {message.value for message in found} == {b""}
    for message in found:
        frame = FrameCaptured.of(message.headers)
        assert len(parts.blobs(settings).get(frame.blob)) == frame.blob_bytes


def test_what_travels_inline_is_bounded_by_what_the_log_takes(tmp_path: Path) -> None:
    assert settings_of(tmp_path).inline_bytes == 5_000_000
    kafka = settings_of(tmp_path, AWAY)
    assert kafka.inline_bytes == 1_000_000
    assert settings_of(tmp_path, AWAY, inline=1 << 30).inline_bytes > most_inline(kafka) > 4_000_000
