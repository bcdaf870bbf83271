import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.broker.memory import MemoryBroker
from core.broker.protocol import Message, Topic
from core.line import Camera
from core.messages import CAMERAS, FRAMES, CameraReported, FrameCaptured
from core.stop import Stop
from core.verdicts import InvalidReason
from ingest.capture import Capture
from ingest.encoder import Codec
from ingest.gate import GateLimits
from ingest.outlet import Outlet
from ingest.pictures import decode
from ingest.simulator import Simulator
from ingest.sources import open_source
from ingest.sources.folder import FolderSource
from ingest.sources.source import Claim, Grabbed, Source, SourceState

OUTLET = Outlet(partition=2, max_pixels=4_000_000)


@pytest.fixture
def broker() -> Iterator[MemoryBroker]:
    with MemoryBroker() as broker:
        broker.apply([Topic(FRAMES, 4), Topic(CAMERAS, 1)])
        yield broker


def camera(source: str = "simulator:ring", *, gate: bool = True) -> Camera:
    return Camera(name="top", product="ring", source=source, lot="L7", view="above", deadline_ms=900, gate=gate)


def capture(source: Source, broker: MemoryBroker, *, stop: Stop | None = None, gate: bool = True) -> Capture:
    return Capture(camera(gate=gate), source, broker.producer(), OUTLET, stop=stop or Stop())


def logged(broker: MemoryBroker, topic: str) -> list[Message]:
    with broker.consumer(topic, group="test") as consumer:
        found: list[Message] = []
        while batch := consumer.poll(0.01, most=256):
            found += batch
        return found


def frames(broker: MemoryBroker) -> list[FrameCaptured]:
    return [FrameCaptured.of(message.headers) for message in logged(broker, FRAMES)]


def reports(broker: MemoryBroker) -> list[CameraReported]:
    return [CameraReported.from_json(message.value) for message in logged(broker, CAMERAS)]


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, (1_700_000_000, 1_700_000_000))


class Tray:
    """A live source whose pictures the test lays out; counts what passes unread as a camera does."""

    waits = False
    detail = ""
    reconnects = 3

    def __init__(self, *grabbed: Grabbed) -> None:
        self.left = list(grabbed)

    def __enter__(self) -> "Tray":
        return self

    def __exit__(self, *problem: object) -> None:
        pass

    @property
    def state(self) -> SourceState:
        return SourceState.OPEN if self.left else SourceState.ENDED

    def read(self, timeout: float) -> Grabbed | None:
        return self.left.pop(0) if self.left else None

    def claim(self, grabbed: Grabbed, claim: Claim) -> None:
        pass

    def done(self, grabbed: Grabbed) -> None:
        pass


def test_each_part_becomes_one_message_with_its_envelope_in_order(broker: MemoryBroker) -> None:
    before = time.time_ns()
    with open_source("simulator:ring?rate=0&parts=4&defects=0&seed=5") as source:
        loop = capture(source, broker)
        loop.run()
    messages = logged(broker, FRAMES)
    found = [FrameCaptured.of(message.headers) for message in messages]
    assert [frame.seq for frame in found] == [0, 1, 2, 3]
    assert {message.partition.number for message in messages} == {2}
    assert {(frame.session, frame.camera, frame.lot, frame.view, frame.deadline_ms) for frame in found} == {
        (loop.session, "top", "L7", "above", 900)
    }
    assert [frame.part_id for frame in found] == [f"ring-5-{part}" for part in range(4)]
    times = [frame.captured_at for frame in found]
    assert before <= loop.session <= times[0]
    assert times == sorted(set(times))
    for frame, message in zip(found, messages, strict=True):
        assert (frame.encoding, frame.width, frame.height, frame.gate) == ("jpeg", 640, 480, "")
        assert frame.sha256 == hashlib.sha256(message.value).hexdigest()
        assert decode(message.value, max_pixels=10**6).shape == (480, 640, 3)


def test_png_can_be_chosen_and_keeps_every_pixel(broker: MemoryBroker, ring: Simulator) -> None:
    picture = ring.render(1).picture
    with Tray(Grabbed(picture=picture)) as source:
        loop = capture(source, broker)
        loop.codec = Codec.PNG
        loop.run()
    (message,) = logged(broker, FRAMES)
    assert FrameCaptured.of(message.headers).encoding == "png"
    assert (decode(message.value, max_pixels=10**6) == picture).all()


def test_the_books_are_reported_while_running_and_at_the_end(broker: MemoryBroker) -> None:
    with open_source("simulator:ring?rate=0&parts=3&defects=0") as source:
        loop = capture(source, broker)
        assert loop.step()
        loop.run()
    first, *_, last = reports(broker)
    assert (first.state, first.triggered, first.captured) == ("RUNNING", 1, 1)
    assert (last.state, last.triggered, last.captured, last.session) == ("ENDED", 3, 3, loop.session)
    assert (last.camera, last.station, last.product) == ("top", "station-1", "ring")


def test_files_keep_their_bytes_and_bad_files_become_invalid_frames(
    broker: MemoryBroker, tmp_path: Path, jpegs: list[bytes], png: bytes
) -> None:
    from tests.ingest.test_pictures import huge_png

    contents = {
        "0-good.jpg": jpegs[0],
        "1-good.png": png,
        "2-empty.png": b"",
        "3-text.png": b"a text named .png",
        "4-cut.jpg": jpegs[1][: len(jpegs[1]) // 2],
        "5-huge.png": huge_png(10_000, 10_000),
        "6-good.jpg": jpegs[2],
    }
    for name, content in contents.items():
        put(tmp_path / name, content)
    with FolderSource(tmp_path) as source:
        loop = capture(source, broker)
        loop.run()
    messages = logged(broker, FRAMES)
    assert [message.value for message in messages] == list(contents.values())
    found = [FrameCaptured.of(message.headers) for message in messages]
    gates = [frame.gate for frame in found]
    bad = InvalidReason.DECODE_ERROR
    assert gates == ["", "", bad, bad, bad, bad, ""]
    assert [frame.encoding for frame in found] == ["jpeg", "png", "unknown", "unknown", "jpeg", "png", "jpeg"]
    assert "3-text.png: no picture" in found[3].gate_detail
    assert "cut short" in found[4].gate_detail
    assert "100 megapixels" in found[5].gate_detail
    assert (found[5].width, found[5].height) == (10_000, 10_000)
    assert (loop.triggered, loop.captured) == (7, 7)


def test_raw_bytes_beyond_all_measure_are_left_out_and_the_frame_still_counts(
    broker: MemoryBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.preparing.MOST_EVIDENCE", 2_000_000)
    put(tmp_path / "endless.png", bytes(2_000_001))
    with FolderSource(tmp_path) as source:
        capture(source, broker).run()
    (message,) = logged(broker, FRAMES)
    frame = FrameCaptured.of(message.headers)
    assert message.value == b""
    assert frame.gate == InvalidReason.DECODE_ERROR
    assert "2000001 bytes are not kept" in frame.gate_detail


def test_other_formats_are_encoded_for_the_log(broker: MemoryBroker, tmp_path: Path, ring: Simulator) -> None:
    import cv2

    put(tmp_path / "part.bmp", cv2.imencode(".bmp", ring.render(0).picture)[1].tobytes())
    with FolderSource(tmp_path) as source:
        capture(source, broker).run()
    (message,) = logged(broker, FRAMES)
    assert FrameCaptured.of(message.headers).encoding == "jpeg"
    assert message.value.startswith(b"\xff\xd8")


def test_the_gate_marks_unfit_pictures_and_can_be_left_out(broker: MemoryBroker, ring: Simulator) -> None:
    picture = ring.render(0).picture
    twice = (Grabbed(picture=picture), Grabbed(picture=picture.copy()))
    with Tray(*twice) as source:
        capture(source, broker).run()
    with Tray(*twice) as source:
        capture(source, broker, gate=False).run()
    assert [frame.gate for frame in frames(broker)] == ["", InvalidReason.FROZEN, "", ""]


def test_camera_faults_of_the_simulator_reach_the_log_as_invalid(broker: MemoryBroker) -> None:
    start = GateLimits().learn + 2
    url = f"simulator:ring?rate=0&defects=0&parts={start + 4}&faults=blur@{start},dark@{start + 1},frozen@{start + 2}"
    with open_source(url) as source:
        capture(source, broker).run()
    gates = [frame.gate for frame in frames(broker)]
    assert gates[:start] == [""] * start
    assert gates[start : start + 2] == [InvalidReason.BLUR, InvalidReason.DARK]
    assert gates[start + 2 :] == [InvalidReason.FROZEN, ""]  # it repeats the dark picture of the part before


def test_triggers_that_passed_unread_take_numbers_and_are_counted(broker: MemoryBroker, ring: Simulator) -> None:
    shots = [Grabbed(picture=ring.render(part).picture, missed=missed) for part, missed in enumerate((0, 3, 0))]
    with Tray(*shots) as source:
        loop = capture(source, broker)
        loop.run()
    assert [frame.seq for frame in frames(broker) if not frame.no_verdict] == [0, 4, 5]
    last = reports(broker)[-1]
    assert (last.triggered, last.captured, last.reconnects) == (6, 3, 3)


def test_a_camera_may_count_its_parts_where_the_source_does_not_name_them(
    broker: MemoryBroker, ring: Simulator
) -> None:
    shots = [Grabbed(picture=ring.render(part).picture, missed=part, part_id="A" * part) for part in (0, 1, 0)]
    counting = camera().model_copy(update={"part_ids": "counter"})
    with Tray(*shots) as source:
        Capture(counting, source, broker.producer(), OUTLET, stop=Stop()).run()
    assert [frame.part_id for frame in frames(broker)] == ["0", "1", "A", "3"]


def test_the_time_of_grabbing_is_kept_where_the_source_knows_it(broker: MemoryBroker, ring: Simulator) -> None:
    with Tray(Grabbed(picture=ring.render(0).picture, captured_at=1_700_000_000_000_000_123)) as source:
        capture(source, broker).run()
    assert [frame.captured_at for frame in frames(broker)] == [1_700_000_000_000_000_123]


def test_while_the_log_is_away_the_frame_is_held_and_nothing_more_is_read(broker: MemoryBroker) -> None:
    with open_source("simulator:ring?rate=0&parts=3&defects=0") as source:
        loop = capture(source, broker)
        assert loop.step()
        broker.available = False
        for _ in range(3):
            assert not loop.step()
        assert (loop.triggered, loop.captured) == (2, 1)
        broker.available = True
        loop.run()
    assert [frame.seq for frame in frames(broker)] == [0, 1, 2]  # none lost, none twice
    assert [(report.triggered, report.captured) for report in reports(broker)][-1] == (3, 3)
    assert all(report.triggered == report.captured for report in reports(broker))


def test_an_outage_between_frames_keeps_one_report_waiting_not_many(broker: MemoryBroker) -> None:
    with Tray() as source:
        loop = capture(source, broker)
        broker.available = False
        for _ in range(20):
            loop._report()
        broker.available = True
        loop.finish()
    assert len(reports(broker)) == 2


def test_a_request_to_stop_ends_the_loop_between_two_pictures(broker: MemoryBroker) -> None:
    stop = Stop()
    with open_source("simulator:ring?rate=50&defects=0") as source:
        loop = capture(source, broker, stop=stop)
        thread = threading.Thread(target=loop.run)
        thread.start()
        while loop.captured < 3:
            time.sleep(0.01)
        stop.asked = True
        thread.join(5.0)
        assert not thread.is_alive()
    assert [frame.seq for frame in frames(broker)] == list(range(loop.captured))
    assert reports(broker)[-1].state == "ENDED"


def test_a_source_that_cannot_be_read_is_reported_lost_and_tried_again(broker: MemoryBroker, ring: Simulator) -> None:
    from core.errors import SourceUnavailable

    class Flaky(Tray):
        fails = 1

        def read(self, timeout: float) -> Grabbed | None:
            if self.fails:
                self.fails -= 1
                raise SourceUnavailable("the share is away; check the network")
            return super().read(timeout)

    with Flaky(Grabbed(picture=ring.render(0).picture)) as source:
        loop = capture(source, broker)
        assert not loop.step()
        loop.run()
    assert len(frames(broker)) == 1
    assert (reports(broker)[0].state, reports(broker)[0].detail) == ("LOST", "the share is away; check the network")
    assert reports(broker)[-1].detail == ""


def test_after_a_kill_the_claimed_picture_keeps_its_identity_and_its_sessions_books_close(
    broker: MemoryBroker, tmp_path: Path, jpegs: list[bytes]
) -> None:
    notes = tmp_path / "notes" / "taken.sqlite"
    for number in range(4):
        put(tmp_path / f"{number}.jpg", jpegs[number])
    source = FolderSource(tmp_path, watch=True, notes=notes)
    source.__enter__()
    killed = capture(source, broker)
    assert killed.step()
    broker.available = False
    assert not killed.step()  # claimed on disk, not in the log; the process dies here
    broker.available = True
    with FolderSource(tmp_path, watch=True, notes=notes) as source:
        loop = capture(source, broker)
        for _ in range(3):
            assert loop.step()
        loop.finish()
    found = frames(broker)
    assert [(frame.session, frame.seq) for frame in found] == [
        (killed.session, 0), (killed.session, 1), (loop.session, 0), (loop.session, 1),
    ]  # fmt: skip
    assert [message.value for message in logged_again(broker)] == jpegs[:4]
    old = [report for report in reports(broker) if report.session == killed.session][-1]
    assert (old.state, old.triggered, old.captured) == ("ENDED", 2, 2)
    assert (loop.triggered, loop.captured) == (2, 2)


def logged_again(broker: MemoryBroker) -> list[Message]:
    with broker.consumer(FRAMES, group="second reader") as consumer:
        return consumer.poll(0.1, most=64)
