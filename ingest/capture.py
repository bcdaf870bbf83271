"""The capture loop of one camera: grab, stamp, gate, encode, append to the log durably, and keep the camera's books."""

import hashlib
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from core import faults
from core.broker.protocol import Producer
from core.broker.spool import SpooledProducer
from core.broker.spool_watch import SpoolReport
from core.clock import ClockWatch, boot
from core.errors import SourceUnavailable, StoreUnavailable
from core.line import Camera
from core.messages import CAMERAS, FRAMES, CameraReported, FrameCaptured
from core.metrics import Metrics
from core.stop import Stop
from ingest.encoder import Codec
from ingest.gate import Gate
from ingest.minutes import MinuteCounts
from ingest.missed import MissedTriggers
from ingest.outlet import Outlet
from ingest.preparing import prepare
from ingest.sources.source import Claim, Grabbed, Source, SourceState

REPORT_SECONDS = 1.0
FIRST_BACKOFF, LONGEST_BACKOFF = 0.25, 5.0
GRACE_SECONDS = 10.0
"""How long a picture that could not be appended is tried again after the process was asked to end."""
REPORTS_PARTITION = 0  # the topic of camera reports has one
_log = logging.getLogger(__name__)


@dataclass
class _Held:
    """A picture on its way into the log, and how far it got."""

    grabbed: Grabbed
    frame: FrameCaptured
    value: bytes
    claimed: bool = False
    placed: bool = False
    sent: bool = False


class Capture:
    """Takes the pictures of one camera from an opened source into topic `frames`.

    A picture is safe when the producer's flush returns; until then it is held and tried again, and nothing more is
    read: files wait, a live camera counts the triggers that pass meanwhile. Numbers run from 0 in a session, and each
    of those triggers takes one: it goes on record as NO_VERDICT, before the next picture and as safely. `triggered`
    counts both, `captured` pictures alone. `codec` may be set before the first step.
    """

    def __init__(
        self, camera: Camera, source: Source, producer: Producer, outlet: Outlet,
        *, stop: Stop, metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        self._camera, self._source, self._producer = camera, source, producer
        self._outlet, self._stop = outlet, stop
        self._missed = MissedTriggers(camera, producer, outlet.partition, outlet.owing)
        self._metrics = metrics or Metrics()
        self._clock = ClockWatch()
        self.codec = Codec.JPEG
        self.session = outlet.session or time.time_ns()
        self.triggered = 0
        self.captured = 0
        self._minutes = MinuteCounts()
        self._gate = Gate() if camera.gate else None
        self._held: _Held | None = None
        self._trouble = ""  # why the source cannot be read now
        self._report_due = time.monotonic()
        self._report_stuck = False
        self._backoff = FIRST_BACKOFF
        self._waits_for = ""  # a store that is away, or the source
        self._held_up = ""  # the last of these since the newest picture was read

    @property
    def ended(self) -> bool:
        """Whether the source has no more pictures and all that was triggered is in the log."""
        return self._held is None and self._missed.owed is None and self._source.state is SourceState.ENDED

    def run(self, turned: Callable[[str], None] = lambda _: None) -> None:
        """Take pictures until asked to stop or the source ends, then write the last report.

        turned: told after each turn what it waits for, in words; "" while all is well.
        """
        while not self._stop.asked and not self.ended:
            self.step()
            turned(self._waits_for)
        self.finish()

    def step(self, timeout: float = 0.5) -> bool:
        """Deal with at most one picture, waiting at most `timeout` seconds for it; whether one reached the log."""
        if self._held is None and self._recovered():
            self._held = self._next(timeout)
        appended = self._held is not None and self._append(self._held)
        if self._held is None and time.monotonic() >= self._report_due:
            self._report()
        return appended

    def finish(self) -> None:
        """Bring the picture at hand into the log, as far as the log answers in time, and report the end."""
        until = time.monotonic() + GRACE_SECONDS
        while self._held is not None and time.monotonic() < until:
            self._append(self._held)
        if self._held is not None:
            _log.error("%s: frame %s could not be appended before the end", self._camera.name, self._held.frame.id)
        self._report(state=SourceState.ENDED)

    def _recovered(self) -> bool:
        """Bring on record what a process that died still owed; nothing is read before that is done."""
        if (run := self._missed.owed) is None:
            return True
        try:
            self._missed.send()
            self._producer.flush()
            self._missed.safe()
        except StoreUnavailable as problem:
            self._wait(problem)
            return False
        self._backoff, self._waits_for = FIRST_BACKOFF, ""
        self._report_old(run.like, triggered=run.last + 1, captured=run.captured)
        return True

    def _next(self, timeout: float) -> _Held | None:
        try:
            grabbed = self._source.read(timeout)
        except SourceUnavailable as problem:
            self._trouble = str(problem)
            self._wait(problem)
            return None
        if grabbed is None:
            return None
        why, self._held_up = self._held_up, ""
        self._trouble = self._waits_for = ""
        if grabbed.again is not None:
            return self._prepare(grabbed, grabbed.again)
        if not grabbed.captured_at:
            grabbed = replace(grabbed, captured_at=time.time_ns(), monotonic_at=time.monotonic_ns())
        self.triggered += grabbed.missed
        held = self._prepare(grabbed, Claim(self.session, self.triggered, grabbed.captured_at))
        if grabbed.missed:
            self._missed.passed(grabbed.missed, held.frame, captured=self.captured, why=why)
        self.triggered += 1
        self._minutes.trigger(grabbed.captured_at, 1 + grabbed.missed)
        return held

    def _prepare(self, grabbed: Grabbed, claim: Claim) -> _Held:
        """The picture in its envelope; its time was stamped once and is carried from here on."""
        # a picture that is taken again after a crash belongs to another session: no neighbour to compare it with
        gate = self._gate if grabbed.again is None else None
        ready = prepare(grabbed, gate, codec=self.codec, max_pixels=self._outlet.max_pixels)
        camera = self._camera
        frame = FrameCaptured(
            station=camera.station,
            camera=camera.name,
            session=claim.session,
            seq=claim.seq,
            captured_at=claim.captured_at,
            product=camera.product,
            part_id=grabbed.part_id or (str(claim.seq) if camera.part_ids == "counter" else ""),
            lot=camera.lot,
            view=camera.view,
            deadline_ms=camera.deadline_ms,
            encoding=ready.encoding,
            width=ready.width,
            height=ready.height,
            gate=ready.gate.reason or "",
            gate_detail=ready.gate.detail,
            sha256=hashlib.sha256(ready.value).hexdigest(),
            boot=boot() if grabbed.monotonic_at else "",
            monotonic_at=grabbed.monotonic_at,
        )
        return _Held(grabbed, frame, ready.value, claimed=grabbed.again is not None)

    def _append(self, held: _Held) -> bool:
        """What passed before it, then claim, place, send and flush, going on where the last try stopped.

        True when the picture is safe.
        """
        frame = held.frame
        size = len(held.value) or frame.blob_bytes
        try:
            self._missed.send()
            if not held.claimed:
                self._source.claim(held.grabbed, Claim(frame.session, frame.seq, frame.captured_at))
                held.claimed = True
            if not held.placed:
                held.frame, held.value = self._outlet.place(frame, held.value)
                held.placed = True
            if not held.sent:
                # a failed flush keeps the record in the producer: it must not be handed over twice
                self._producer.send(
                    FRAMES, held.value, partition=self._outlet.partition, key=frame.camera, headers=held.frame.headers()
                )
                held.sent = True
            self._producer.flush()
            self._missed.safe()
        except StoreUnavailable as problem:
            self._wait(problem)
            return False
        faults.reach("capture_after_append")
        self._held = None
        self._backoff, self._waits_for = FIRST_BACKOFF, ""
        self._source.done(held.grabbed)
        self._metrics.captured(frame.camera, size)
        if held.grabbed.again is None:
            self.captured += 1
            self._minutes.capture(frame.captured_at)
        else:
            # the last of its session, and its source misses nothing: all up to it are captured now
            self._report_old(frame, triggered=frame.seq + 1, captured=frame.seq + 1)
        return True

    def _report(self, state: SourceState | None = None) -> None:
        """Say how the camera is doing; a report that cannot be written is no reason to stop taking pictures."""
        self._report_due = time.monotonic() + REPORT_SECONDS
        if self._report_stuck and not self._flushed():
            return
        source, spool = self._source, self._spool_report()
        state = state or (SourceState.LOST if self._trouble else source.state)
        report = CameraReported(
            camera=self._camera.name,
            station=self._camera.station,
            product=self._camera.product,
            session=self.session,
            state="RUNNING" if state is SourceState.OPEN else state.value,
            detail=self._trouble or source.detail,
            triggered=self.triggered,
            captured=self.captured,
            reconnects=source.reconnects,
            reported_at=time.time_ns(),
            minutes=self._minutes.newest(),
            spool_bytes=spool.size,
            spool_oldest_ms=spool.oldest_ms,
            diverted=spool.diverted,
            alarm="\n".join(filter(None, (spool.alarm, self._clock.look()))),
            host=socket.gethostname(),
        )
        self._send_report(report)

    def _spool_report(self) -> SpoolReport:
        return self._producer.report() if isinstance(self._producer, SpooledProducer) else SpoolReport()

    def _report_old(self, frame: FrameCaptured, *, triggered: int, captured: int) -> None:
        """The last report of the frame's session, whose process died before it could tell."""
        self._send_report(
            CameraReported(
                camera=frame.camera,
                station=frame.station,
                product=frame.product,
                session=frame.session,
                state=SourceState.ENDED.value,
                detail="ended without a last report",
                triggered=triggered,
                captured=captured,
                reconnects=0,
                reported_at=time.time_ns(),
            )
        )

    def _send_report(self, report: CameraReported) -> None:
        self._producer.send(CAMERAS, report.to_json(), partition=REPORTS_PARTITION, key=report.camera)
        self._flushed()

    def _flushed(self) -> bool:
        try:
            self._producer.flush()
        except StoreUnavailable as problem:
            if not self._report_stuck:
                _log.warning("%s: the report of the camera waits: %s", self._camera.name, problem)
            self._report_stuck = True
            return False
        self._report_stuck = False
        return True

    def _wait(self, problem: Exception) -> None:
        """Back off for a while that doubles, cut short by a request to stop."""
        if self._backoff == FIRST_BACKOFF:
            _log.warning("%s: %s; trying again", self._camera.name, problem)
        self._waits_for = self._held_up = str(problem)
        until = time.monotonic() + self._backoff
        while not self._stop.asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        if self._stop.asked:
            time.sleep(FIRST_BACKOFF / 5)
        self._backoff = min(self._backoff * 2, LONGEST_BACKOFF)
