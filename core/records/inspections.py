"""What the inspection worker writes: one row per frame, its regions and its share of the minute's counters.

Everything here may run twice: what is already in the books stays as it is, and counts once (INV-1, INV-3, INV-15).
"""

import hashlib
import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from core.broker.protocol import Message
from core.database import add_up, insert_new, take_turns
from core.messages import FrameCaptured, FrameId, FrameInspected
from core.partitions import write_into
from core.records.compared import Compared
from core.records.frames import among
from core.tables import inspections, models, regions, rejected_frames, rollup_minute
from core.times import minute_of, ns_of, utc_of
from core.verdicts import Limits, MachineVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRow:
    """A place that looks wrong: bounding box and area in raw picture pixels, peak and mean in units of the score.

    area_mm2: None where the recipe has no scale.
    """

    x: float
    y: float
    width: float
    height: float
    area: float
    peak: float
    mean: float
    area_mm2: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """A frame and all that became of it.

    `reason` is an InvalidReason or NoVerdictReason, else "". `score` is raw; one that is no finite number is kept as
    None. `inspected_at` is ns UTC, `predict_ms` the frame's share of its batch, `worker` names version, runtime, device
    and precision, `size` counts bytes of the encoded picture. `picture`, `thumb` and `heat` are blob keys, None where
    nothing was kept; `golden` the golden parts nearest to it; `regions` stand with the highest peak first.
    """

    frame: FrameCaptured
    verdict: MachineVerdict
    inspected_at: int
    worker: str
    size: int
    reason: str = ""
    detail: str = ""
    score: float | None = None
    limits: Limits | None = None
    model_id: int | None = None
    model_version: str = ""
    recipe_version: int | None = None
    predict_ms: float | None = None
    is_late: bool = False
    picture: str | None = None
    thumb: str | None = None
    heat: str | None = None
    heat_min: float | None = None
    heat_max: float | None = None
    golden: Compared | None = None
    regions: tuple[RegionRow, ...] = ()

    @property
    def id(self) -> FrameId:
        """The frame's identity."""
        return self.frame.id


def record(connection: Connection, rows: Sequence[Inspected]) -> set[FrameId]:
    """Write what is not in the books yet, with regions and counters; return the frames that are new.

    A frame that is already there, or that comes twice in `rows`, changes nothing, not even with another capture time:
    its first row stands. Writers take turns by camera and session, because no index of PostgreSQL sees that two rows
    with different times are of one frame. A PASS without a score within its limit is refused by the database
    (IntegrityError).
    """
    first: dict[FrameId, Inspected] = {}
    for row in rows:
        first.setdefault(row.id, row)
    take_turns(connection, {f"{camera} {session}" for camera, session, _ in first})
    there = _there(connection, first)
    missing = [row for frame, row in first.items() if frame not in there]
    moments = [utc_of(row.frame.captured_at) for row in missing]
    return write_into(connection, moments, lambda: _insert(connection, missing))


def _there(connection: Connection, frames: Collection[FrameId]) -> set[FrameId]:
    columns = select(*(inspections.c[name] for name in FrameId._fields))
    return {
        FrameId(*found)
        for part in among(connection, inspections, frames)
        for found in connection.execute(columns.where(part))
    }


def _insert(connection: Connection, rows: Sequence[Inspected]) -> set[FrameId]:
    key = [inspections.c[name] for name in FrameId._fields]
    new = {FrameId(*found) for found in insert_new(connection, inspections, [values_of(row) for row in rows], key)}
    fresh = [row for row in rows if row.id in new]
    insert_new(connection, regions, [r for row in fresh for r in region_values_of(row)], list(regions.primary_key))
    add_up(connection, rollup_minute, [counts_of(row) for row in fresh])
    return new


def stored(connection: Connection, frames: Collection[FrameId]) -> dict[FrameId, FrameInspected]:
    """The verdict messages of the frames that are in the books, as they were first published."""
    t = inspections.c
    wanted = select(inspections, models.c.version).join(models, models.c.id == t.model_id, isouter=True)
    found = (row for part in among(connection, inspections, frames) for row in connection.execute(wanted.where(part)))
    messages = (_message(dict(row._mapping), row.version or "") for row in found)  # noqa: SLF001 - public, documented
    return {message.id: message for message in messages}


def to_message(row: Inspected) -> FrameInspected:
    """The verdict message of a row; equal to the one that `stored` reads back: times are cut to µs in both."""
    return _message(values_of(row), row.model_version)


def reject(connection: Connection, message: Message, *, detail: str, now: datetime) -> bool:
    """Enter a message whose frame has no usable identity or time; False when it is already there.

    It is known by its place in the log, the log's own time and its content: on a new cluster or in a wiped log,
    offsets begin again.
    """
    place = {"topic": message.partition.topic, "partition": message.partition.number, "offset": message.offset}
    place["stored_at"] = utc_of(message.stored_at)
    t = rejected_frames.c
    mine = [t[name] == value for name, value in place.items()]
    if connection.scalar(select(t.checksum).where(*mine, t.checksum == "")) is not None:  # entered by revision 0003
        return False
    row = place | {"checksum": _checksum(message), "rejected_at": now, "detail": detail}
    return bool(insert_new(connection, rejected_frames, [row], list(rejected_frames.primary_key)))


def _checksum(message: Message) -> str:
    """SHA-256 over its parts, each after its length, so that no two messages read alike."""
    digest = hashlib.sha256()
    headers = (part for name, value in message.headers for part in (name.encode(errors="surrogateescape"), value))
    for part in (message.key.encode(errors="surrogateescape"), *headers, message.value):
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.hexdigest()


def values_of(row: Inspected) -> dict[str, Any]:
    """The row as `inspections` keeps it."""
    frame, limits = row.frame, row.limits
    taken = ("camera", "session", "seq", "station", "product", "part_id", "lot", "view", "run_type")
    pictured = ("deadline_ms", "width", "height", "sha256")
    judged = ("reason", "detail", "model_id", "recipe_version", "predict_ms", "is_late", "worker", "size")
    kept = ("picture", "thumb", "heat", "heat_min", "heat_max")
    return {
        **{name: getattr(frame, name) for name in (*taken, *pictured)},
        **{name: getattr(row, name) for name in (*judged, *kept)},
        "captured_at": utc_of(frame.captured_at),
        "inspected_at": utc_of(row.inspected_at),
        "latency_ms": _latency_ms(row),
        "verdict": str(row.verdict),
        "golden": row.golden.document() if row.golden else None,
        "score": _finite(row.score),
        "t_lo": None if limits is None else limits.t_lo,
        "t_hi": None if limits is None else limits.t_hi,
    }


def region_values_of(row: Inspected) -> list[dict[str, Any]]:
    """Its regions, as `regions` keeps them."""
    place = {"camera": row.frame.camera, "session": row.frame.session, "seq": row.frame.seq}
    place["captured_at"] = utc_of(row.frame.captured_at)
    return [{**place, "number": number, **asdict(region)} for number, region in enumerate(row.regions)]


def counts_of(row: Inspected) -> dict[str, Any]:
    """Its share of the minute's counters."""
    frame, score = row.frame, _finite(row.score)
    return {
        "camera": frame.camera,
        "product": frame.product,
        "run_type": str(frame.run_type),
        "model_id": row.model_id or 0,
        "minute": minute_of(utc_of(frame.captured_at)),
        "n": 1,
        **{f"n_{verdict.lower()}": int(row.verdict is verdict) for verdict in MachineVerdict},
        "n_late": int(row.is_late),
        "n_scored": int(score is not None),
        "score_sum": score or 0.0,
        "latency_sum_ms": _latency_ms(row),
    }


def _latency_ms(row: Inspected) -> float:
    return (row.inspected_at - row.frame.captured_at) / 1e6


def _finite(score: float | None) -> float | None:
    return score if score is not None and math.isfinite(score) else None


def _message(row: dict[str, Any], model: str) -> FrameInspected:
    captured_at, deadline_ms = ns_of(row["captured_at"]), row["deadline_ms"]
    same = ("camera", "session", "seq", "station", "product", "part_id", "lot", "verdict", "reason", "detail")
    return FrameInspected(
        **{name: row[name] for name in (*same, "score", "t_lo", "t_hi", "is_late")},
        captured_at=captured_at,
        inspected_at=ns_of(row["inspected_at"]),
        model=model,
        recipe_version=row["recipe_version"] or 0,
        expires_at=captured_at + deadline_ms * 1_000_000 if deadline_ms else 0,
    )
