"""Rows for tests: one camera, one session, ten frames a second from noon on."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, func, select

from core.messages import CameraReported, FrameCaptured, FrameId
from core.records.inspections import Inspected, RegionRow
from core.times import ns_of
from core.verdicts import Limits, MachineVerdict

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SESSION = ns_of(NOON)
FRAME_NS = 100_000_000
LIMITS = Limits(0.5, 0.8)
SCORES = {MachineVerdict.PASS: 0.2, MachineVerdict.REVIEW: 0.7, MachineVerdict.FAIL: 0.9}
BROKEN = RegionRow(x=3, y=4, width=10, height=6, area=41, peak=0.9, mean=0.85)


def captured(seq: int, *, camera: str = "ring-top", session: int = SESSION, **more: Any) -> FrameCaptured:
    values: dict[str, Any] = {
        "station": "station-1",
        "product": "ring",
        "lot": "L1",
        "deadline_ms": 5000,
        "width": 64,
        "height": 48,
    }
    values |= {"captured_at": session + seq * FRAME_NS + 123, "part_id": f"P{seq}", "sha256": "ab" * 32}
    return FrameCaptured(camera=camera, session=session, seq=seq, **values | more)


def inspected(
    seq: int = 0, verdict: MachineVerdict = MachineVerdict.PASS, frame: FrameCaptured | None = None, **more: Any
) -> Inspected:
    frame = captured(seq) if frame is None else frame
    values: dict[str, Any] = {"inspected_at": frame.captured_at + 40_000_456, "worker": "test", "size": 1000}
    values |= {"score": SCORES.get(verdict), "limits": LIMITS if verdict in SCORES else None}
    values |= {"model_id": 1 if verdict in SCORES else None}
    values |= {"regions": (BROKEN,) if verdict in {MachineVerdict.FAIL, MachineVerdict.REVIEW} else ()}
    return Inspected(frame=frame, verdict=verdict, **values | more)


def frame_id(seq: int, *, camera: str = "ring-top", session: int = SESSION) -> FrameId:
    return FrameId(camera, session, seq)


def reported(triggered: int, *, state: str = "RUNNING", after: float = 0.0, **more: Any) -> CameraReported:
    """A report `after` seconds past noon."""
    values: dict[str, Any] = {"camera": "ring-top", "station": "station-1", "product": "ring", "session": SESSION}
    values |= {"detail": "", "captured": triggered, "reconnects": 0, "reported_at": SESSION + round(after * 1e9)}
    return CameraReported(state=state, triggered=triggered, **values | more)


def size(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0
