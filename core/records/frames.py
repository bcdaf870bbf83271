"""Conditions that pick rows by the identity of their frames, in a form that every database answers by an index.

A session is the time at which its capture began, so a frame of it was captured later; that spares PostgreSQL the
partitions of the time before. `BEFORE` is how far a clock may be set back while a session runs.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, Table, and_, literal, or_

from core.messages import FrameId
from core.partitions import captured_since, is_partitioned, unnested
from core.tables import inspections, regions
from core.times import utc_of

BEFORE = timedelta(days=1)  # workers/frames.py refuses a frame that was captured longer before its session began

_CHUNK = 500  # SQLite nests each OR, 1000 deep at most
_BY_TIME = {inspections, regions}


def is_frame(table: Table, frame: FrameId) -> ColumnElement[bool]:
    """One frame's row in a table with the columns camera, session and seq."""
    return and_(of_session(table, frame.camera, frame.session), table.c.seq == frame.seq)


def among(connection: Connection, table: Table, frames: Collection[FrameId]) -> Iterator[ColumnElement[bool]]:
    """The rows of many frames, as conditions for one question each."""
    asked = list(dict.fromkeys(frames))
    if not asked:
        return
    if is_partitioned(connection):
        yield _joined(table, asked)
        return
    for start in range(0, len(asked), _CHUNK):
        yield _spelled_out(table, asked[start : start + _CHUNK])


def _joined(table: Table, frames: Sequence[FrameId]) -> ColumnElement[bool]:
    """By three arrays: PostgreSQL then finds each by the key, even in a partition of which it knows nothing yet."""
    columns = zip(FrameId._fields, zip(*frames, strict=True), strict=True)
    wanted = unnested({name: (table.c[name].type, values) for name, values in columns})
    same = (table.c[name] == wanted.c[name] for name in FrameId._fields)
    return and_(*same, *_since(table, min(frame.session for frame in frames)))


def _spelled_out(table: Table, frames: Sequence[FrameId]) -> ColumnElement[bool]:
    """By camera and session, because SQLite reads the whole table for `(camera, session, seq) IN (…)`."""
    seqs: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for camera, session, seq in frames:
        seqs[camera, session].append(seq)
    sessions = ((of_session(table, *key), table.c.seq.in_(numbers)) for key, numbers in seqs.items())
    return or_(*(and_(*each) for each in sessions))


def of_session(table: Table, camera: str, session: int) -> ColumnElement[bool]:
    """The rows of one session."""
    return and_(table.c.camera == camera, table.c.session == session, *_since(table, session))


def _since(table: Table, session: int) -> list[ColumnElement[bool]]:
    if table not in _BY_TIME:
        return []
    earliest = literal(utc_of(session) - BEFORE, table.c.captured_at.type)
    return [captured_since(table.c.captured_at, earliest)]
