"""Part accounting by camera and minute of capture: what the camera counted, what was judged, where the parts went.

All of it from counters that are kept beside the rows; `core.records.books` counts the rows themselves.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, case, func, or_, select, update

from core.account_tables import capture_minutes, route_minutes
from core.database import insert_new
from core.messages import CameraReported
from core.records import dropped_counts
from core.tables import rollup_minute
from core.times import minute_of, utc_of
from core.verdicts import MachineVerdict

GRACE = timedelta(seconds=60)  # settle time after the deadline (INV-1)
MINUTE = timedelta(minutes=1)

Verdicts = dict[MachineVerdict, int]
_Found = defaultdict[tuple[datetime, str], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteBook:
    """One camera and minute of capture, over sessions, products, models and run types.

    `triggered` and `captured` are the camera's own counts, of parts and of pictures, None where it never told; `n` are
    in the books. A trigger that passed without a picture is one of them, with NO_VERDICT.
    `routes`: its frames by the physical route of their part; `unseen`: parts that a gate routed without a frame of it.
    """

    camera: str
    minute: datetime
    n: int = 0
    verdicts: Verdicts = field(default_factory=lambda: dict.fromkeys(MachineVerdict, 0))
    late: int = 0
    triggered: int | None = None
    captured: int | None = None
    routes: dict[str, int] = field(default_factory=dict)
    unseen: int = 0

    @property
    def expected(self) -> int:
        """Parts that must end in a verdict; a process that died may have sent more than it told."""
        return max(self.triggered or 0, self.n)

    @property
    def residual(self) -> int:
        """Parts without one of the five verdicts; anything but 0 is an error once the minute is settled."""
        return self.expected - sum(self.verdicts.values())

    @property
    def not_captured(self) -> int:
        """Parts of the residual that certainly had no picture; those that have a row ended as NO_VERDICT."""
        without = (self.triggered or 0) - (self.captured or 0)
        return max(0, without - self.verdicts[MachineVerdict.NO_VERDICT])


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraBook:
    """A camera's minutes, added up. `residual` is of settled minutes, `under_way` of those that are not yet.

    `unrouted` parts of settled minutes are known to no gate; None where the camera has none.
    """

    camera: str
    minutes: tuple[MinuteBook, ...]
    triggered: int | None
    captured: int | None
    verdicts: Verdicts
    late: int
    routes: dict[str, int]
    residual: int
    under_way: int
    unrouted: int | None

    @property
    def judged(self) -> int:
        """Frames with a verdict."""
        return sum(self.verdicts.values())


def count(connection: Connection, reports: Iterable[CameraReported]) -> None:
    """Keep what cameras counted by minute. Counts only grow, so a report that comes twice or late changes nothing.

    Minutes of a session that retention has dropped are counted already, and stay dropped.
    """
    most: dict[tuple[str, int, datetime], tuple[int, int]] = {}
    for told in reports:
        for start, triggered, captured in told.minutes:
            key = (told.camera, told.session, minute_of(utc_of(start)))
            old = most.get(key, (0, 0))
            most[key] = (max(old[0], triggered), max(old[1], captured))
    gone = dropped_counts.minutes_before(connection, {key[:2] for key in most})
    most = {key: told for key, told in most.items() if key[:2] not in gone or key[2] >= gone[key[:2]]}
    names = ("camera", "session", "minute")
    t = capture_minutes.c
    rows = [dict(zip(names, key, strict=True)) | {"triggered": n, "captured": m} for key, (n, m) in most.items()]
    new = insert_new(connection, capture_minutes, rows, [t[name] for name in names])
    for key, (triggered, captured) in sorted(most.items()):
        if key not in new:
            mine = [t[name] == value for name, value in zip(names, key, strict=True)]
            grown = update(capture_minutes).where(*mine, or_(t.triggered < triggered, t.captured < captured))
            larger = {"triggered": _larger(t.triggered, triggered), "captured": _larger(t.captured, captured)}
            connection.execute(grown.values(larger))


def minutes(
    connection: Connection, *, since: datetime, until: datetime, cameras: Sequence[str] = ()
) -> list[MinuteBook]:
    """The accounts by camera and minute of capture, `since` ≤ minute < `until`, oldest first; cameras: empty = all.

    They begin where retention has left the minutes whole.
    """
    found: _Found = defaultdict(dict)
    since = max(since, dropped_counts.complete_since(connection, dropped_counts.BY_MINUTE) or since)

    def read(table: Table, *sums: Any) -> Iterable[Any]:
        t = table.c
        group = (t.minute, t.camera)
        wanted = select(*group, *sums).where(t.minute >= minute_of(since), t.minute < until).group_by(*group)
        return connection.execute(wanted.where(t.camera.in_(list(cameras))) if cameras else wanted)

    t, told = rollup_minute.c, capture_minutes.c
    by_verdict = [func.sum(t[f"n_{verdict.lower()}"]).label(verdict) for verdict in MachineVerdict]
    for row in read(rollup_minute, func.sum(t.n).label("n"), func.sum(t.n_late).label("late"), *by_verdict):
        verdicts = {verdict: int(getattr(row, verdict)) for verdict in MachineVerdict}
        found[row.minute, row.camera] |= {"n": int(row.n), "late": int(row.late), "verdicts": verdicts}
    for row in read(capture_minutes, func.sum(told.triggered).label("n"), func.sum(told.captured).label("m")):
        found[row.minute, row.camera] |= {"triggered": int(row.n), "captured": int(row.m)}
    minute = route_minutes.c.minute
    routed = select(route_minutes).where(minute >= minute_of(since), minute < until)
    _add_routes(found, connection.execute(routed).all(), cameras)
    return [MinuteBook(camera=camera, minute=minute, **found[minute, camera]) for minute, camera in sorted(found)]


def _add_routes(found: _Found, rows: Sequence[Any], cameras: Sequence[str]) -> None:
    """Routes of each camera's frames; a part without any frame is one that no camera of its gate saw."""
    of_gate: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.camera and (not cameras or row.camera in cameras):
            of_gate[row.gate].add(row.camera)
    for row in rows:
        for camera in of_gate[row.gate] & {row.camera} if row.camera else of_gate[row.gate]:
            if row.n_unseen:
                book = found[row.minute, camera]
                book["unseen"] = book.get("unseen", 0) + row.n_unseen
            if row.n and row.camera:
                routes = found[row.minute, camera].setdefault("routes", {})
                routes[row.route] = routes.get(row.route, 0) + row.n


def settled_until(now: datetime, deadline_ms: int = 0) -> datetime:
    """Minutes that begin before this must balance: the deadline of their last part and the settle time are over."""
    return now - MINUTE - timedelta(milliseconds=deadline_ms) - GRACE


def by_camera(found: Iterable[MinuteBook], *, now: datetime, deadlines: Mapping[str, int]) -> list[CameraBook]:
    """Minutes added up by camera, in the order of their names; deadlines: ms by camera, 0 = none.

    Routes of the first minute are not asked for: a gate may have counted some of its parts in the minute before.
    """
    grouped: defaultdict[str, list[MinuteBook]] = defaultdict(list)
    for book in found:
        grouped[book.camera].append(book)
    first = min((book.minute for books in grouped.values() for book in books), default=now)
    return [_sum(grouped[camera], first, settled_until(now, deadlines.get(camera, 0))) for camera in sorted(grouped)]


def _sum(books: Sequence[MinuteBook], first: datetime, settled: datetime) -> CameraBook:
    verdicts: Verdicts = {verdict: sum(book.verdicts[verdict] for book in books) for verdict in MachineVerdict}
    routes = Counter[str]()
    for book in books:
        routes.update(book.routes)
    told = [book for book in books if book.triggered is not None]
    over = [book for book in books if book.minute <= settled]
    unseen = sum(book.unseen for book in books if book.minute <= settled + MINUTE)
    unrouted = sum(book.expected - sum(book.routes.values()) for book in over if book.minute > first)
    return CameraBook(
        camera=books[0].camera,
        minutes=tuple(books),
        triggered=sum(book.triggered or 0 for book in told) if told else None,
        captured=sum(book.captured or 0 for book in told) if told else None,
        verdicts=verdicts,
        late=sum(book.late for book in books),
        routes=dict(routes),
        residual=sum(abs(book.residual) for book in over),
        under_way=sum(book.residual for book in books if book.minute > settled),
        unrouted=max(unrouted - unseen, -unrouted, 0) if routes else None,
    )


def _larger(column: Any, value: int) -> Any:
    return case((column < value, value), else_=column)
