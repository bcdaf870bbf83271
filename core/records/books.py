"""Part accounting by session: what is missing, exactly where, and whether anything counts twice (INV-1).

Rows are counted themselves, not by their counters: the books are the check on the counters. Nothing reads further back
than it is asked to, and gaps are found by counting over an index, so the cost follows the time that is looked at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, func, literal, select

from core.account_tables import capture_minutes
from core.messages import FRAMES
from core.partitions import captured_since
from core.records import dropped, dropped_counts
from core.records.dropped import Dropped
from core.records.frames import of_session
from core.records.minutes import GRACE, Verdicts
from core.tables import inspections, rejected_frames, rollup_minute, sessions
from core.times import minute_of, ns_of, utc_of
from core.verdicts import MachineVerdict

MOST_GAPS = 20  # ranges listed for one session; the frames in all of them are counted
ENDED = "ENDED"  # the state of CameraReported after which a session takes no more pictures

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
    """One capture session of a camera, from the frame `first_seq` on, which is 0 unless an earlier time is left out.

    `state`, `triggered`, `captured` and `reported_at` are the capture side's own report: "" and None where it never
    came. `captured` counts pictures; a trigger that passed without one has its row all the same, with NO_VERDICT.
    `gaps` are the ranges below the newest row, oldest first and 20 at most.
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
    first_seq: int = 0

    @property
    def rows(self) -> int:
        """Frames that ended in a verdict."""
        return sum(self.verdicts.values())

    @property
    def expected(self) -> int:
        """Frames that must end in a verdict; a session that died may have sent more than it last reported."""
        return max(self.triggered or 0, self._reached)

    @property
    def residual(self) -> int:
        """Frames without a verdict; must be 0 once the session is settled."""
        return self.expected - self.rows

    @property
    def missing(self) -> int:
        """Frames without a row below the newest row: order holds in a session, so they were passed over."""
        return self._reached - self.rows

    @property
    def pending(self) -> int:
        """Frames above the newest row: under way, unless the session is settled."""
        return self.expected - self._reached

    @property
    def lost(self) -> int:
        """Frames that nobody will judge any more: all without a verdict once settled, until then the gaps."""
        return self.residual if self.settled else self.missing

    @property
    def _reached(self) -> int:
        """How many frames there are up to the newest row."""
        return 0 if self.newest_seq is None else self.newest_seq + 1 - self.first_seq


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


def books(
    connection: Connection,
    *,
    now: datetime,
    since: datetime | None = None,
    cameras: Sequence[str] = (),
    grace: timedelta = GRACE,
    most_gaps: int = MOST_GAPS,
) -> Books:
    """The accounts of what was captured in or after the minute of `since`; without it, of all.

    A session is settled when nothing of it can be under way: it ended and all its frames have a verdict, or nothing
    was heard of it for `grace`. What retention has dropped counts as judged in the whole books, and is left out of
    those since a time. cameras: empty = all; most_gaps: how many ranges are listed for each session.
    """
    start = None if since is None else max(minute_of(since), dropped.complete_since(connection) or minute_of(since))
    gone = dropped.by_session(connection)
    judged, rejected = dropped_counts.whole(connection) if start is None else ({}, 0)
    whole = gone if start is None else {}
    known = list(cameras) or sorted({*_cameras(connection, start), *judged, *(camera for camera, _ in whole)})
    keys = {(camera, session) for camera in known for session in _sessions(connection, camera, start)}
    keys |= {key for key in whole if key[0] in known}
    found = [_book(connection, key, (start, now - grace), gone.get(key), most_gaps) for key in keys]
    of_frames = func.count().filter(rejected_frames.c.topic == FRAMES)
    rollup, rows = rollup_minute.c, inspections.c
    no_longer = sum(sum(each.verdicts.values()) for key, each in whole.items() if key[0] in known)
    return Books(
        sessions=tuple(sorted(filter(None, found), key=lambda book: (-book.session, book.camera))),
        rejected=_count(connection, rejected_frames.c.stored_at, start, of_frames) + rejected,
        counted=_count(connection, rollup.minute, start, func.sum(rollup.n), rollup.camera.in_(known))
        + sum(n for camera, n in judged.items() if camera in known),
        rows=_count(connection, rows.captured_at, start, func.count(), rows.camera.in_(known)) + no_longer,
    )


def _cameras(connection: Connection, start: datetime | None) -> list[str]:
    """Cameras of which anything is known since `start`."""
    names: set[str] = set()
    for table, time in ((rollup_minute, rollup_minute.c.minute), (sessions, sessions.c.reported_at)):
        wanted = select(table.c.camera).distinct()
        names.update(connection.scalars(wanted if start is None else wanted.where(time >= start)))
    return sorted(names)


def _sessions(connection: Connection, camera: str, start: datetime | None) -> set[int]:
    """The camera's sessions that may have frames since `start`, reported or not."""
    told = select(sessions.c.session).where(sessions.c.camera == camera)
    judged = set(_judged(connection, camera, start))
    if start is None:
        return {*connection.scalars(told), *judged}
    counted = select(capture_minutes.c.session).where(capture_minutes.c.camera == camera).distinct()
    reported = connection.scalars(told.where(sessions.c.reported_at >= start))
    return {*reported, *connection.scalars(counted.where(capture_minutes.c.minute >= start)), *judged}


def _judged(connection: Connection, camera: str, start: datetime | None) -> Iterator[int]:
    """The sessions that have rows, newest first, down to the one that ran at `start`: one look-up for each."""
    t = inspections.c
    mine = [t.camera == camera]
    if start is not None:
        mine.append(captured_since(t.captured_at, literal(start, t.captured_at.type)))
    earliest, below = 0 if start is None else ns_of(start), 1 << 62
    while below > earliest:
        newest = select(t.session).where(*mine, t.session < below).order_by(t.session.desc()).limit(1)
        found = connection.scalar(newest)
        if found is None:
            return
        yield found
        below = found


def _book(
    connection: Connection,
    key: _Session,
    times: tuple[datetime | None, datetime],
    gone: Dropped | None,
    most_gaps: int,
) -> SessionBook | None:
    """The accounts of one session; None when it has nothing since the first of `times`. The other: quiet since then."""
    start, quiet = times
    report = connection.execute(select(sessions).where(*_in(sessions, key))).one_or_none()
    before = _before(connection, key, start, gone)
    verdicts, newest = _tally(connection, key, before.triggered)
    captured_at = None if newest is None else _captured_at(connection, key, newest)
    heard = report.reported_at if report else captured_at
    if start is not None and all(time is None or time < start for time in (heard, captured_at)):
        return None
    span = Gap(before.triggered, before.triggered - 1 if newest is None else newest)
    gaps = _gaps(connection, key, span, sum(verdicts.values()))
    if gone is not None and start is None:
        span = Gap(0, max(span.last, gone.newest_seq))
        gaps = _gaps(connection, key, *_above(connection, key, gone.newest_seq, span.last))
        verdicts = {verdict: n + gone.verdicts.get(verdict, 0) for verdict, n in verdicts.items()}
    state = report.state if report else ""
    triggered = max(0, report.triggered - before.triggered) if report else None
    done = state == ENDED and sum(verdicts.values()) == max(triggered or 0, span.frames)
    return SessionBook(
        camera=key[0],
        session=key[1],
        state=state,
        triggered=triggered,
        captured=max(0, report.captured - before.captured) if report else None,
        reported_at=report.reported_at if report else None,
        verdicts=verdicts,
        newest_seq=span.last if span.frames else None,
        gaps=tuple(islice(gaps, most_gaps)),
        settled=done or heard is None or heard <= quiet,
        first_seq=before.triggered,
    )


def _above(connection: Connection, key: _Session, dropped_seq: int, newest: int) -> tuple[Gap, int]:
    """Where all rows are still there: below, a number without a row says nothing any more."""
    span, seq = Gap(dropped_seq + 1, newest), inspections.c.seq
    return span, connection.scalar(select(func.count()).where(_rows_of(key), seq >= span.first)) or 0


class _Before(NamedTuple):
    """What a session counted before the time that is looked at; `triggered` is the number of its next frame."""

    triggered: int
    captured: int


def _before(connection: Connection, key: _Session, start: datetime | None, gone: Dropped | None) -> _Before:
    """By the camera's own counts, so that rows which retention has dropped are not missed; else by the rows."""
    if start is None or utc_of(key[1]) >= start:
        return _Before(0, 0)
    told = capture_minutes.c
    sums = select(func.count(), func.sum(told.triggered).filter(told.minute < start).label("n"))
    sums = sums.add_columns(func.sum(told.captured).filter(told.minute < start).label("m"))
    counted = connection.execute(sums.where(*_in(capture_minutes, key))).one()
    forgotten = dropped_counts.of_session(connection, *key)
    if counted[0] or any(forgotten):
        return _Before(int(counted.n or 0) + forgotten[0], int(counted.m or 0) + forgotten[1])
    t = inspections.c
    older = select(t.seq).where(_rows_of(key), t.captured_at < start).order_by(t.seq.desc()).limit(1)
    newest = connection.scalar(older)
    if newest is None:
        newest = gone.newest_seq if gone else -1
    return _Before(newest + 1, newest + 1)


def _tally(connection: Connection, key: _Session, first: int) -> tuple[Verdicts, int | None]:
    """Rows from `first` on by verdict, and the newest of them."""
    t = inspections.c
    each = t.verdict.in_(list(map(str, MachineVerdict)))  # any: so that SQLite's index serves for the numbers too
    mine = select(t.verdict, func.count().label("n"), func.max(t.seq).label("newest"))
    rows = connection.execute(mine.where(_rows_of(key), each, t.seq >= first).group_by(t.verdict)).all()
    verdicts = dict.fromkeys(MachineVerdict, 0) | {MachineVerdict(row.verdict): int(row.n) for row in rows}
    return verdicts, max((int(row.newest) for row in rows), default=None)


def _rows_of(key: _Session) -> ColumnElement[bool]:
    return of_session(inspections, *key)


def _in(table: Table, key: _Session) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return table.c.camera == key[0], table.c.session == key[1]


def _captured_at(connection: Connection, key: _Session, seq: int) -> datetime:
    mine = (_rows_of(key), inspections.c.seq == seq)
    found: datetime = connection.execute(select(inspections.c.captured_at).where(*mine).limit(1)).scalar_one()
    return found


def _gaps(connection: Connection, key: _Session, span: Gap, rows: int) -> Iterator[Gap]:
    """All gaps in the span, oldest first, touching ones as one; read no further than they are taken."""
    open_gap: Gap | None = None
    for gap in _holes(connection, key, span, rows):
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
    mine = select(func.count()).where(_rows_of(key), seq.between(left.first, left.last))
    on_left = connection.scalar(mine) or 0
    yield from _holes(connection, key, left, on_left)
    yield from _holes(connection, key, right, rows - on_left)


def _count(
    connection: Connection,
    time: ColumnElement[datetime],
    start: datetime | None,
    what: ColumnElement[Any],
    *where: ColumnElement[bool],
) -> int:
    wanted = select(what).where(*where)
    return int(connection.scalar(wanted if start is None else wanted.where(time >= start)) or 0)
