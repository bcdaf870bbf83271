"""Claim check: a picture too large for the log is in the blob store before the message that names it."""

import hashlib
import time
from pathlib import Path

import pytest

from core.blobs.file import FileBlobs
from core.blobs.keys import Kind
from core.blobs.protocol import BlobStore
from core.broker.memory import MemoryBroker
from core.clock import boot
from core.errors import StoreUnavailable
from core.messages import FRAMES, FrameCaptured
from core.stop import Stop
from ingest.capture import Capture
from ingest.outlet import Outlet
from ingest.simulator import Simulator
from ingest.sources.source import Grabbed
from tests.ingest.test_capture import Tray, broker, camera, logged, reports

__all__ = ["broker"]

FRAME = FrameCaptured(
    station="s", camera="top", session=7, seq=3, captured_at=1_790_000_000 * 10**9, product="ring", encoding="jpeg",
    sha256=hashlib.sha256(bytes(2000)).hexdigest(),
)  # fmt: skip


class AwayBlobs(FileBlobs):
    """A picture store that can be away."""

    away = True

    def put(self, key: str, data: bytes, *, durable: bool = True) -> None:
        if self.away:
            raise StoreUnavailable("the picture store is away")
        super().put(key, data, durable=durable)


def outlet(blobs: BlobStore | None, *, inline: int = 1000, most: int = 5000) -> Outlet:
    return Outlet(partition=2, max_pixels=10**7, inline=inline, most_inline=most, blobs=blobs)


def test_a_small_picture_travels_in_the_log(tmp_path: Path) -> None:
    assert outlet(FileBlobs(tmp_path)).place(FRAME, bytes(1000)) == (FRAME, bytes(1000))
    assert not list(FileBlobs(tmp_path).keys())


def test_a_large_one_is_named_by_key_hash_and_size(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    frame, value = outlet(blobs).place(FRAME, bytes(2000))
    assert value == b""
    assert frame.blob.startswith(f"{Kind.INBOX}/2026/09/21/14/top/")
    assert frame.blob.endswith("_7_3.jpeg")
    assert (frame.blob_bytes, frame.sha256) == (2000, FRAME.sha256)
    assert blobs.get(frame.blob) == bytes(2000)
    assert outlet(blobs).place(FRAME, bytes(2000))[0] == frame  # placed again, it replaces itself
    assert len(list(blobs.keys())) == 1


def test_without_its_store_a_picture_goes_inline_where_the_log_takes_it_else_it_waits(tmp_path: Path) -> None:
    away = AwayBlobs(tmp_path)
    assert outlet(away).place(FRAME, bytes(5000)) == (FRAME, bytes(5000))
    with pytest.raises(StoreUnavailable, match="picture store is away"):
        outlet(away).place(FRAME, bytes(5001))


def test_the_loop_puts_the_picture_first_and_holds_it_while_the_store_is_away(
    broker: MemoryBroker, tmp_path: Path, ring: Simulator
) -> None:
    blobs = AwayBlobs(tmp_path)
    way = outlet(blobs, inline=1000, most=1000)
    with Tray(*(Grabbed(picture=ring.render(part).picture) for part in range(2))) as source:
        loop = Capture(camera(), source, broker.producer(), way, stop=Stop())
        assert not loop.step()
        assert not loop.step()
        assert (loop.triggered, loop.captured) == (1, 0)
        assert logged(broker, FRAMES) == []
        blobs.away = False
        loop.run()
    messages = logged(broker, FRAMES)
    assert [message.value for message in messages] == [b"", b""]
    for message in messages:
        frame = FrameCaptured.of(message.headers)
        kept = blobs.get(frame.blob)
        assert hashlib.sha256(kept).hexdigest() == frame.sha256
        assert len(kept) == frame.blob_bytes > 1000
    assert (loop.triggered, loop.captured) == (2, 2)


def test_the_loop_says_what_it_waits_for(broker: MemoryBroker, tmp_path: Path, ring: Simulator) -> None:
    blobs = AwayBlobs(tmp_path)
    told: list[str] = []

    def turned(waits_for: str) -> None:
        told.append(waits_for)
        blobs.away = len(told) < 2

    with Tray(Grabbed(picture=ring.render(0).picture)) as source:
        Capture(camera(), source, broker.producer(), outlet(blobs, most=1000), stop=Stop()).run(turned)
    assert told[0] == "the picture store is away"
    assert told[-1] == ""


def test_a_frame_carries_its_time_on_both_clocks(broker: MemoryBroker, ring: Simulator) -> None:
    before = time.monotonic_ns()
    with Tray(Grabbed(picture=ring.render(0).picture)) as source:
        Capture(camera(), source, broker.producer(), outlet(None), stop=Stop()).run()
    (message,) = logged(broker, FRAMES)
    frame = FrameCaptured.of(message.headers)
    assert frame.boot == boot()
    assert before <= frame.monotonic_at <= time.monotonic_ns()


def test_a_session_that_was_given_is_used(broker: MemoryBroker, ring: Simulator) -> None:
    way = Outlet(partition=2, max_pixels=10**7, session=1234)
    with Tray(Grabbed(picture=ring.render(0).picture)) as source:
        assert Capture(camera(), source, broker.producer(), way, stop=Stop()).session == 1234


def test_a_jump_of_the_wall_clock_is_in_the_report(
    broker: MemoryBroker, ring: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = time.time_ns
    with Tray(Grabbed(picture=ring.render(0).picture)) as source:
        loop = Capture(camera(), source, broker.producer(), outlet(None), stop=Stop())
        monkeypatch.setattr("time.time_ns", lambda: true() - 7200 * 10**9)
        loop._clock._wall = time.time_ns
        loop.run()
    last = reports(broker)[-1]
    assert last.alarm.startswith("CLOCK_OFFSET: the wall clock jumped by -7200.0 s")
    assert last.host
