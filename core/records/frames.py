"""Conditions that pick rows by the identity of their frames, in a form that every database answers by an index."""

from collections import defaultdict
from collections.abc import Collection, Iterator

from sqlalchemy import ColumnElement, Table, and_, or_

from core.messages import FrameId

_CHUNK = 500  # SQLite nests each OR, 1000 deep at most


def is_frame(table: Table, frame: FrameId) -> ColumnElement[bool]:
    """One frame's row in a table with the columns camera, session and seq."""
    return and_(*(table.c[name] == value for name, value in frame._asdict().items()))


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
                and_(table.c.camera == camera, table.c.session == session, table.c.seq.in_(numbers))
                for (camera, session), numbers in seqs.items()
            )
        )
