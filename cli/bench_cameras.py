"""The cameras of a bench, and the gate that waits for their verdicts: one loop in one process.

At full speed a frame is sent whenever fewer than `window` are without a verdict, so the line sets the pace. Paced, each
frame has its time, and its age counts from that time on even where the loop comes late to it.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.broker.protocol import Consumer, Producer
from core.clock import boot
from core.errors import StoreUnavailable
from core.line import Line
from core.messages import CAMERAS, FRAMES, CameraReported, FrameCaptured, FrameId, FrameInspected

REPORT_EVERY = 1.0  # s
STUCK_AFTER = 120.0  # s without a verdict
SHORT, LONG = 0.005, 0.3  # s that a look for verdicts waits for one: while paced, and at full speed


@dataclass(frozen=True, slots=True)
class Photo:
    """An encoded picture that travels again and again, each time as another part."""

    value: bytes
    sha256: str
    width: int
    height: int

    @classmethod
    def of(cls, value: bytes, width: int, height: int) -> "Photo":
        """With its checksum."""
        return cls(value, hashlib.sha256(value).hexdigest(), width, height)


class Cameras:
    """Takes pictures for all cameras of a line in turn, and counts their verdicts."""

    def __init__(self, line: Line, photos: Sequence[Photo], producer: Producer, verdicts: Consumer, *,
                 deadline_ms: int = 0) -> None:  # fmt: skip
        self._line = line
        self._photos = photos
        self._producer = producer
        self._reader = verdicts
        self._deadline_ms = deadline_ms
        self._session = time.time_ns()
        self._sent = 0
        self._open: dict[FrameId, int] = {}  # when it was due, monotonic ns
        self._report_at = 0.0
        self._latencies: list[float] = []  # ms
        self.told = 0
        self.repeated = 0
        self.verdicts: Counter[str] = Counter()

    @property
    def mean_bytes(self) -> int:
        """Of the encoded pictures."""
        return sum(len(photo.value) for photo in self._photos) // len(self._photos)

    def take_latencies(self) -> list[float]:
        """Milliseconds from capture to the arrival of the verdict, of all frames since the last call."""
        taken, self._latencies = self._latencies, []
        return taken

    def full_speed(self, frames: int, *, window: int, tend: Callable[[], None]) -> None:
        """Send so many frames and see all their verdicts; `tend` is called again and again."""
        self._run(frames, tend, lambda _: max(0, window - len(self._open)), time.monotonic_ns, look=LONG)

    def paced(self, frames: int, *, rate: float, tend: Callable[[], None]) -> None:
        """The same at so many frames per second."""
        begun, step = time.monotonic_ns(), 1e9 / rate
        first = self._sent

        def due(sent: int) -> int:
            return int((time.monotonic_ns() - begun) / step) + 1 - (sent - first)

        self._run(frames, tend, due, lambda: begun + int((self._sent - first) * step), look=SHORT)

    def finish(self) -> None:
        """The cameras' last reports."""
        self._report("ENDED")
        self._producer.flush()

    def _run(self, frames: int, tend: Callable[[], None], due: Callable[[int], int], taken_at: Callable[[], int], *,
             look: float) -> None:  # fmt: skip
        last, told = self._sent + frames, self.told
        stuck_at = time.monotonic() + STUCK_AFTER
        while self._sent < last or self._open:
            for _ in range(min(due(self._sent), last - self._sent)):
                self._send(taken_at())
            self._producer.flush()
            self._look(look)
            self._report("RUNNING")
            tend()
            if self.told > told:
                told, stuck_at = self.told, time.monotonic() + STUCK_AFTER
            elif time.monotonic() > stuck_at:
                raise StoreUnavailable(f"no verdict for {STUCK_AFTER:.0f} s; {len(self._open)} frames wait for theirs")

    def _send(self, taken_at: int) -> None:
        cameras = self._line.camera
        camera, seq = cameras[self._sent % len(cameras)], self._sent // len(cameras)
        photo = self._photos[self._sent % len(self._photos)]
        frame = FrameCaptured(
            station=camera.station, camera=camera.name, session=self._session, seq=seq,
            captured_at=time.time_ns() - (time.monotonic_ns() - taken_at), product=camera.product,
            part_id=f"{camera.name}-{seq}", deadline_ms=self._deadline_ms, width=photo.width, height=photo.height,
            sha256=photo.sha256, boot=boot(), monotonic_at=taken_at,
        )  # fmt: skip
        self._open[frame.id] = taken_at
        self._producer.send(
            FRAMES,
            photo.value,
            partition=self._line.partition_of(camera.name),
            key=camera.name,
            headers=frame.headers(),
        )
        self._sent += 1

    def _look(self, seconds: float) -> None:
        for message in self._reader.poll(seconds, most=1000):
            verdict = FrameInspected.from_json(message.value)
            taken_at = self._open.pop(verdict.id, None)
            if taken_at is None:
                self.repeated += 1
                continue
            self.told += 1
            self.verdicts[verdict.verdict] += 1
            self._latencies.append((time.monotonic_ns() - taken_at) / 1e6)

    def _report(self, state: str) -> None:
        now = time.monotonic()
        if state == "RUNNING" and now < self._report_at:
            return
        self._report_at = now + REPORT_EVERY
        cameras = self._line.camera
        for place, camera in enumerate(cameras):
            count = (self._sent - place + len(cameras) - 1) // len(cameras)
            report = CameraReported(
                camera=camera.name, station=camera.station, product=camera.product, session=self._session, state=state,
                detail="", triggered=count, captured=count, reconnects=0, reported_at=time.time_ns(),
            )  # fmt: skip
            self._producer.send(CAMERAS, report.to_json(), partition=0, key=camera.name)
