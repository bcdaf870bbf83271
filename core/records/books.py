"""Part accounting: what was triggered, captured and judged, what is missing, and whether anything counts twice (INV-1).

Rows are counted themselves, not by their counters: the books are the check on the counters.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Table, func, select

from core.messages import FRAMES
from core.tables import inspections, rejected_frames, rollup_minute, sessions
from core.times import minute_of
from core.verdicts import MachineVerdict

GRACE = timedelta(seconds=60)  # settle time (INV-1)
MOST_GAPS = 20  # ranges listed for one session; the frames in all of them are counted
ENDED = "ENDED"  # the state of CameraReported after which a session takes no more pictures

Verdicts = dict[MachineVerdict, int]
_Session = tuple[str, int]  # camera, session


class Gap(NamedTuple):
    """Sequence numbers without a row, both ends included."""

    first: int
    last: int

    @property
    def frames(self) -> int:
        """How many frames are missing here."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionBook:
    """One capture session of a camera; its frames have the numbers 0 … `expected` - 1.

    `state`, `triggered`, `captured` and `reported_at` are the capture side's own report: "" and None where it never
    came. `gaps` are the ranges below the newest row, oldest first and 20 at most.
    """

    camera: str
    session: int
    state: str
    triggered: int | None
    captured: int | None
    reported_at: datetime | None
    verdicts: Verdicts
    newest_seq: int | None
    gaps: tuple[Gap, ...]
    settled: bool

    @property
    def rows(self) -> int:
        """Frames that ended in a verdict."""
        return sum(self.verdicts.values())

    @property
    def expected(self) -> int:
        """Frames that must end in a verdict; a session that died may have sent more than it last reported."""
        return max(self.triggered or 0, _next(self.newest_seq))

    @property
    def residual(self) -> int:
        """Frames without a verdict; must be 0 once the session is settled."""
        return self.expected - self.rows

    @property
    def missing(self) -> int:
        """Frames without a row below the newest row: order holds in a session, so they were passed over."""
        return _next(self.newest_seq) - self.rows

    @property
    def pending(self) -> int:
        """Frames above the newest row: under way, unless the session is settled."""
        return self.expected - _next(self.newest_seq)

    @property
    def lost(self) -> int:
        """Frames that nobody will judge any more: all without a verdict once settled, until then the gaps."""
        return self.residual if self.settled else self.missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """All sessions, newest first, and the checks across them.

    `rejected` frame messages had no usable identity. One may be a frame that a session lacks, or a stranger's; so it
    never makes up for a lost frame. `counted` is the sum of the minute counters, `rows` the number of rows, which it
    must equal.
    """

    sessions: tuple[SessionBook, ...]
    rejected: int
    counted: int
    rows: int

    @property
    def verdicts(self) -> Verdicts:
        """Frames by verdict, over all sessions."""
        return {verdict: sum(book.verdicts[verdict] for book in self.sessions) for verdict in MachineVerdict}

    @property
    def duplicates(self) -> int:
        """How many frames more the counters have than there are rows; anything but 0 is an error."""
        return self.counted - self.rows

    @property
    def expected(self) -> int:
        """Frames that must end in a verdict."""
        return sum(book.expected for book in self.sessions)

    @property
    def residual(self) -> int:
        """Frames without a verdict."""
        return sum(book.residual for book in self.sessions)

    @property
    def lost(self) -> int:
        """Frames that nobody will judge any more."""
        return sum(book.lost for book in self.sessions)

    @property
    def settled(self) -> bool:
        """Whether every session is settled, so that `lost` is final."""
        return all(book.settled for book in self.sessions)


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteBook:
    """One camera and minute of capture, over products, models and run types; from the counters."""

    camera: str
    minute: datetime
    n: int
    verdicts: Verdicts
    late: int

    @property
    def residual(self) -> int:
        """Frames of the minute without one of the five verdicts; anything but 0 is an error."""
        return self.n - sum(self.verdicts.values())


def books(
    connection: Connection,
    *,
    now: datetime,
    since: datetime | None = None,
    grace: timedelta = GRACE,
    most_gaps: int = MOST_GAPS,
) -> Books:
    """The accounts of every session that was alive in or after the minute of `since`; without it, of all.

    A session is settled when nothing of it can be under way: it ended and all its frames have a verdict, or nothing
    was heard of it for `grace`. most_gaps: how many ranges are listed for each session.
    """
    start = None if since is None else minute_of(since)
    alive = None if start is None else _alive(connection, start)
    told = {(row.camera, row.session): row for row in connection.execute(select(sessions))}
    tallies = _tallies(connection, alive)
    shown = told.keys() | tallies.keys() if alive is None else alive
    found = [
        _book(connection, key, (told.get(key), tallies.get(key, _Tally({}, None))), now - grace, most_gaps)
        for key in shown
    ]
    of_frames = func.count().filter(rejected_frames.c.topic == FRAMES)
    return Books(
        sessions=tuple(sorted(found, key=lambda book: (-book.session, book.camera))),
        rejected=_count(connection, rejected_frames, rejected_frames.c.stored_at, start, of_frames),
        counted=_count(connection, rollup_minute, rollup_minute.c.minute, start, func.sum(rollup_minute.c.n)),
        rows=_count(connection, inspections, inspections.c.captured_at, start),
    )


def minutes(
    connection: Connection, *, since: datetime, until: datetime, cameras: Sequence[str] = ()
) -> list[MinuteBook]:
    """The accounts by camera and minute of capture, `since` ≤ minute < `until`, oldest first; cameras: empty = all."""
    t = rollup_minute.c
    by_verdict = [func.sum(t[f"n_{verdict.lower()}"]).label(verdict) for verdict in MachineVerdict]
    wanted = (
        select(t.camera, t.minute, func.sum(t.n).label("n"), func.sum(t.n_late).label("late"), *by_verdict)
        .where(t.minute >= minute_of(since), t.minute < until)
        .group_by(t.camera, t.minute)
        .order_by(t.minute, t.camera)
    )
    if cameras:
        wanted = wanted.where(t.camera.in_(list(cameras)))
    return [
        MinuteBook(
            camera=row.camera,
            minute=row.minute,
            n=int(row.n),
            verdicts={verdict: int(getattr(row, verdict)) for verdict in MachineVerdict},
            late=int(row.late),
        )
        for row in connection.execute(wanted)
    ]


class _Tally(NamedTuple):
    verdicts: Verdicts
    newest_seq: int | None


def _next(newest_seq: int | None) -> int:
    return 0 if newest_seq is None else newest_seq + 1


def _alive(connection: Connection, start: datetime) -> set[_Session]:
    t = inspections.c
    seen = select(rollup_minute.c.camera).where(rollup_minute.c.minute >= start).distinct()
    judged = select(t.camera, t.session).where(t.captured_at >= start).distinct()
    wanted = [select(sessions.c.camera, sessions.c.session).where(sessions.c.reported_at >= start)]
    wanted += [judged.where(t.camera == camera) for camera in connection.scalars(seen)]  # by index, camera by camera
    return {(row.camera, row.session) for each in wanted for row in connection.execute(each)}


def _tallies(connection: Connection, alive: Collection[_Session] | None) -> dict[_Session, _Tally]:
    t = inspections.c
    group = (t.camera, t.session, t.verdict)
    every = select(*group, func.count().label("n"), func.max(t.seq).label("newest")).group_by(*group)
    wanted = [every] if alive is None else [every.where(*_of(key)) for key in sorted(alive)]
    found: dict[_Session, _Tally] = {}
    for row in (row for each in wanted for row in connection.execute(each)):
        verdicts, newest = found.get((row.camera, row.session), _Tally({}, None))
        highest = row.newest if newest is None else max(newest, row.newest)
        found[row.camera, row.session] = _Tally({**verdicts, MachineVerdict(row.verdict): row.n}, highest)
    return found


def _book(
    connection: Connection, key: _Session, known: tuple[Row[Any] | None, _Tally], quiet: datetime, most_gaps: int
) -> SessionBook:
    report, tally = known
    camera, session = key
    rows, newest = sum(tally.verdicts.values()), tally.newest_seq
    heard = _last_capture(connection, key, newest) if report is None else report.reported_at
    state = "" if report is None else report.state
    triggered = None if report is None else report.triggered
    done = state == ENDED and rows == max(triggered or 0, _next(newest))
    return SessionBook(
        camera=camera,
        session=session,
        state=state,
        triggered=triggered,
        captured=None if report is None else report.captured,
        reported_at=None if report is None else report.reported_at,
        verdicts={verdict: tally.verdicts.get(verdict, 0) for verdict in MachineVerdict},
        newest_seq=newest,
        gaps=() if newest is None else tuple(islice(_gaps(connection, key, newest, rows), most_gaps)),
        settled=done or heard <= quiet,
    )


def _of(key: _Session) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return inspections.c.camera == key[0], inspections.c.session == key[1]


def _last_capture(connection: Connection, key: _Session, newest_seq: int | None) -> datetime:
    mine = (*_of(key), inspections.c.seq == newest_seq)
    found: datetime = connection.execute(select(inspections.c.captured_at).where(*mine)).scalar_one()
    return found


def _gaps(connection: Connection, key: _Session, newest_seq: int, rows: int) -> Iterator[Gap]:
    """All gaps up to the newest row, oldest first, touching ones as one; read no further than they are taken."""
    open_gap: Gap | None = None
    for gap in _holes(connection, key, Gap(0, newest_seq), rows):
        if open_gap is not None and open_gap.last + 1 < gap.first:
            yield open_gap
            open_gap = None
        open_gap = Gap(gap.first if open_gap is None else open_gap.first, gap.last)
    if open_gap is not None:
        yield open_gap


def _holes(connection: Connection, key: _Session, span: Gap, rows: int) -> Iterator[Gap]:
    """Where `rows` rows leave the span empty, by halving it: a count over the index is far cheaper than reading it."""
    if rows == span.frames:
        return
    if rows == 0:
        yield span
        return
    middle = (span.first + span.last) // 2
    left, right = Gap(span.first, middle), Gap(middle + 1, span.last)
    seq = inspections.c.seq
    mine = select(func.count()).where(*_of(key), seq.between(left.first, left.last))
    on_left = connection.scalar(mine) or 0
    yield from _holes(connection, key, left, on_left)
    yield from _holes(connection, key, right, rows - on_left)


def _count(
    connection: Connection,
    table: Table,
    time: ColumnElement[datetime],
    start: datetime | None,
    what: ColumnElement[Any] | None = None,
) -> int:
    wanted = select(func.count() if what is None else what).select_from(table)
    return int(connection.scalar(wanted if start is None else wanted.where(time >= start)) or 0)
