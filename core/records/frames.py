"""Conditions that pick rows by the identity of their frames, in a form that every database answers by an index.

A session is the time at which its capture began, so a frame of it was captured later; that spares PostgreSQL the
partitions of the time before. `BEFORE` is how far a clock may be set back while a session runs.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import timedelta

from sqlalchemy import ColumnElement, Table, and_, literal, or_

from core.messages import FrameId
from core.partitions import captured_since
from core.tables import inspections, regions
from core.times import utc_of

BEFORE = timedelta(days=1)  # workers/frames.py refuses a frame that was captured longer before its session began

_CHUNK = 500  # SQLite nests each OR, 1000 deep at most
_BY_TIME = {inspections, regions}


def is_frame(table: Table, frame: FrameId) -> ColumnElement[bool]:
    """One frame's row in a table with the columns camera, session and seq."""
    return and_(of_session(table, frame.camera, frame.session), table.c.seq == frame.seq)


def among(table: Table, frames: Collection[FrameId]) -> Iterator[ColumnElement[bool]]:
    """The rows of many frames, as conditions for one question each.

    By camera and session, because SQLite reads the whole table for `(camera, session, seq) IN (…)`.
    """
    asked = list(dict.fromkeys(frames))
    for start in range(0, len(asked), _CHUNK):
        seqs: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        for camera, session, seq in asked[start : start + _CHUNK]:
            seqs[camera, session].append(seq)
        yield or_(
            *(
                and_(of_session(table, camera, session), table.c.seq.in_(numbers))
                for (camera, session), numbers in seqs.items()
            )
        )


def of_session(table: Table, camera: str, session: int) -> ColumnElement[bool]:
    """The rows of one session."""
    return and_(table.c.camera == camera, table.c.session == session, *_since(table, session))


def _since(table: Table, session: int) -> list[ColumnElement[bool]]:
    if table not in _BY_TIME:
        return []
    earliest = literal(utc_of(session) - BEFORE, table.c.captured_at.type)
    return [captured_since(table.c.captured_at, earliest)]
