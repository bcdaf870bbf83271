"""Verdict rows as the pages show them: the newest of a camera, the last rejects, one by its identity."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, literal_column, or_, select

from core.messages import FrameId
from core.records.compared import Compared, compared_of
from core.records.frames import BEFORE, is_frame
from core.tables import inspections, models, regions, sessions
from core.times import utc_of
from core.verdicts import MachineVerdict, RunType

ROW_COLUMNS = tuple(
    inspections.c[name]
    for name in (
        *("camera", "session", "seq", "captured_at", "station", "product", "part_id", "lot", "view", "verdict"),
        *(
            "reason",
            "detail",
            "score",
            "t_lo",
            "t_hi",
            "model_id",
            "recipe_version",
            "deadline_ms",
            "is_late",
            "inspected_at",
        ),
        *("latency_ms", "predict_ms", "worker", "width", "height", "picture", "thumb", "heat", "heat_min", "heat_max"),
        "golden",
    )
)


@dataclass(frozen=True, slots=True)
class Region:
    """A marked place in raw picture pixels; `peak` and `mean` in units of the score; `area_mm2` where it is known."""

    x: float
    y: float
    width: float
    height: float
    area: float
    peak: float
    mean: float | None = None
    area_mm2: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One verdict row with its regions, highest peak first.

    `model` is the version that judged it, or ""; `floor` the lowest score of that model's held-out good parts;
    `golden` the golden parts nearest to it.
    """

    id: FrameId
    captured_at: datetime
    inspected_at: datetime
    station: str
    product: str
    part_id: str
    lot: str
    view: str
    verdict: str
    reason: str
    detail: str
    score: float | None
    t_lo: float | None
    t_hi: float | None
    recipe_version: int | None
    deadline_ms: int
    is_late: bool
    latency_ms: float
    predict_ms: float | None
    worker: str
    width: int
    height: int
    picture: str | None
    thumb: str | None
    heat: str | None
    heat_min: float | None
    heat_max: float | None
    golden: Compared | None = None
    model_id: int | None = None
    model: str = ""
    floor: float | None = None
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """What the strip, the pace and the state of a camera need of a row."""

    captured_at: datetime
    inspected_at: datetime
    verdict: str
    reason: str


def frame_rows() -> Select[Any]:
    """The select that `frames_of` reads."""
    return select(*ROW_COLUMNS, models.c.version.label("model")).outerjoin(
        models, models.c.id == inspections.c.model_id
    )


def frames_of(connection: Connection, rows: Sequence[Row[Any]]) -> list[Frame]:
    """Rows of `frame_rows` with their regions, in the same order."""
    marked = _regions(connection, rows)
    found = []
    for row in rows:
        values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
        identity = FrameId(values.pop("camera"), values.pop("session"), values.pop("seq"))
        model, golden = values.pop("model") or "", compared_of(values.pop("golden"))
        mine = tuple(marked.get(identity, ()))
        found.append(Frame(id=identity, model=model, golden=golden, regions=mine, **values))
    return found


def newest(connection: Connection, camera: str) -> Frame | None:
    """The newest verdict of a camera."""
    found = frames_of(connection, _newest(connection, camera, frame_rows(), 1))
    return found[0] if found else None


def bars(connection: Connection, camera: str, *, most: int) -> list[Bar]:
    """The newest rows of a camera, newest first."""
    columns = inspections.c.captured_at, inspections.c.inspected_at, inspections.c.verdict, inspections.c.reason
    rows = _newest(connection, camera, select(*columns), most)
    return [Bar(row.captured_at, row.inspected_at, row.verdict, row.reason) for row in rows]


def _newest(connection: Connection, camera: str, rows: Select[Any], most: int) -> Sequence[Row[Any]]:
    session = connection.scalar(select(func.max(sessions.c.session)).where(sessions.c.camera == camera))
    recent = None if session is None else utc_of(session) - BEFORE
    return _latest(connection, rows.where(inspections.c.camera == camera), most, recent=recent)


def _latest(connection: Connection, rows: Select[Any], most: int, *, recent: datetime | None) -> Sequence[Row[Any]]:
    """The newest `most`, newest first. Mostly all are `recent`; only else does PostgreSQL read its older partitions."""
    newest_first = rows.order_by(inspections.c.captured_at.desc()).limit(most)
    if recent is not None:
        found = connection.execute(newest_first.where(inspections.c.captured_at >= recent)).all()
        if len(found) == most:
            return found
    return connection.execute(newest_first).all()


def rejects(connection: Connection, since: datetime, *, most: int) -> list[Frame]:
    """The newest parts of production that were failed since then, newest first."""
    wanted = and_(
        literal_column("inspections.verdict <> 'PASS'"),  # the words of the partial index
        inspections.c.verdict == str(MachineVerdict.FAIL),
        inspections.c.captured_at >= since,
        inspections.c.run_type == str(RunType.PRODUCTION),
    )
    statement = frame_rows().where(wanted).order_by(inspections.c.captured_at.desc()).limit(most)
    return frames_of(connection, connection.execute(statement).all())


def passed_before(connection: Connection, frame: Frame, *, most: int) -> list[Frame]:
    """The last passed parts of the same camera and product before `frame` whose small picture was kept."""
    wanted = and_(
        inspections.c.camera == frame.id.camera,
        inspections.c.captured_at < frame.captured_at,
        inspections.c.product == frame.product,
        inspections.c.verdict == str(MachineVerdict.PASS),
        inspections.c.thumb.is_not(None),
    )
    day_before = frame.captured_at - timedelta(days=1)
    return frames_of(connection, _latest(connection, frame_rows().where(wanted), most, recent=day_before))


def one(connection: Connection, identity: FrameId) -> Frame | None:
    """The row of that identity."""
    statement = frame_rows().where(is_frame(inspections, identity))
    found = frames_of(connection, connection.execute(statement).all())
    return found[0] if found else None


def _regions(connection: Connection, rows: Sequence[Row[Any]]) -> dict[FrameId, list[Region]]:
    marked: dict[FrameId, list[Region]] = {}
    if not rows:
        return marked
    key = [*FrameId._fields, "captured_at"]
    named = [and_(*(regions.c[name] == getattr(row, name) for name in key)) for row in rows]
    for row in connection.execute(select(regions).where(or_(*named)).order_by(regions.c.number)):
        place = Region(row.x, row.y, row.width, row.height, row.area, row.peak, row.mean, row.area_mm2)
        marked.setdefault(FrameId(row.camera, row.session, row.seq), []).append(place)
    return marked
