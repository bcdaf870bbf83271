"""The review queue: what the machine did not pass, of PRODUCTION alone (INV-6), and nobody has decided (OP-10)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, select

from core.messages import FrameId
from core.records.reviews import unclaimed, undecided
from core.tables import inspections
from core.verdicts import MachineVerdict, RunType

ATTENTION = (MachineVerdict.FAIL, MachineVerdict.REVIEW)

# In SQL's own words, so that SQLite sees that the partial index `inspections_attention` holds all such rows.
_NOT_PASSED: ColumnElement[bool] = literal_column("inspections.verdict <> 'PASS'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which items: empty means all. INVALID ones come only when `verdicts` names them."""

    cameras: Sequence[str] = ()
    products: Sequence[str] = ()
    lots: Sequence[str] = ()
    verdicts: Sequence[MachineVerdict] = ATTENTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One undecided frame, with what a reviewer is shown; blob keys are None where nothing was kept."""

    frame: FrameId
    captured_at: datetime
    station: str
    product: str
    part_id: str
    lot: str
    verdict: MachineVerdict
    reason: str
    detail: str
    score: float | None
    t_lo: float | None
    t_hi: float | None
    model_id: int | None
    width: int
    height: int
    picture: str | None
    thumb: str | None
    heat: str | None
    heat_min: float | None
    heat_max: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many items are open, in all and by each filter's values."""

    total: int = 0
    cameras: dict[str, int] = field(default_factory=dict)
    products: dict[str, int] = field(default_factory=dict)
    lots: dict[str, int] = field(default_factory=dict)
    verdicts: dict[MachineVerdict, int] = field(default_factory=dict)


_SHOWN = tuple(name for name in Item.__dataclass_fields__ if name not in {"frame", "verdict"})


def queue(
    connection: Connection,
    wanted: Wanted = Wanted(),
    *,
    reviewer: str,
    now: datetime,
    newest_first: bool = False,
    limit: int = 50,
) -> list[Item]:
    """Open items that no other reviewer holds, oldest first: up to `limit` of them."""
    time = inspections.c.captured_at
    columns = [inspections.c[name] for name in (*FrameId._fields, "verdict", *_SHOWN)]
    found = (
        select(*columns)
        .where(_open(wanted), unclaimed(reviewer=reviewer, now=now))
        .order_by(time.desc() if newest_first else time, inspections.c.camera, inspections.c.seq)
        .limit(limit)
    )
    return [
        Item(
            frame=FrameId(row.camera, row.session, row.seq),
            verdict=MachineVerdict(row.verdict),
            **{name: getattr(row, name) for name in _SHOWN},
        )
        for row in connection.execute(found)
    ]


def counts(connection: Connection, wanted: Wanted = Wanted()) -> Counts:
    """How much is open, leased items included."""
    t = inspections.c
    groups = (t.camera, t.product, t.lot, t.verdict)
    rows = connection.execute(select(*groups, func.count()).where(_open(wanted)).group_by(*groups)).all()
    by: list[dict[str, int]] = [{}, {}, {}, {}]
    for *values, n in rows:
        for sums, value in zip(by, values, strict=True):
            sums[value] = sums.get(value, 0) + n
    cameras, products, lots, verdicts = by
    return Counts(
        total=sum(cameras.values()),
        cameras=cameras,
        products=products,
        lots=lots,
        verdicts={MachineVerdict(verdict): n for verdict, n in verdicts.items()},
    )


def _open(wanted: Wanted) -> ColumnElement[bool]:
    t = inspections.c
    asked = ((t.camera, wanted.cameras), (t.product, wanted.products), (t.lot, wanted.lots))
    return and_(
        _NOT_PASSED,
        t.run_type == RunType.PRODUCTION.value,
        t.verdict.in_([str(verdict) for verdict in wanted.verdicts]),
        *(column.in_(list(values)) for column, values in asked if values),
        undecided(),
    )
