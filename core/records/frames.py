"""Conditions that pick rows by the identity of their frames, in a form that every database answers by an index.

A session is the time at which its capture began, so a frame of it was captured later; that spares PostgreSQL the
partitions of the time before. `BEFORE` is how far a clock may be set back while a session runs.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import timedelta

from sqlalchemy import ColumnElement, Table, and_, or_

from core.messages import FrameId
from core.tables import inspections, regions
from core.times import utc_of

BEFORE = timedelta(days=1)  # workers/frames.py refuses a frame that was captured longer before its session began

_CHUNK = 500  # SQLite nests each OR, 1000 deep at most
_BY_TIME = {inspections, regions}


def is_frame(table: Table, frame: FrameId) -> ColumnElement[bool]:
    """One frame's row in a table with the columns camera, session and seq."""
    mine = (table.c[name] == value for name, value in frame._asdict().items())
    return and_(*mine, *_since(table, frame.session))


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
                and_(
                    table.c.camera == camera,
                    table.c.session == session,
                    table.c.seq.in_(numbers),
                    *_since(table, session),
                )
                for (camera, session), numbers in seqs.items()
            )
        )


def _since(table: Table, session: int) -> list[ColumnElement[bool]]:
    return [table.c.captured_at >= utc_of(session) - BEFORE] if table in _BY_TIME else []
