"""Rows of `inspections` by the identity of their frames."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, tuple_

from core.messages import FrameId
from core.tables import inspections


def is_frame(frame: FrameId) -> ColumnElement[bool]:
    """The condition that picks one frame's row."""
    t = inspections.c
    return and_(t.camera == frame.camera, t.session == frame.session, t.seq == frame.seq)


def among(frames: Collection[FrameId]) -> ColumnElement[bool]:
    """The condition that picks the rows of up to some thousand frames."""
    t = inspections.c
    return tuple_(t.camera, t.session, t.seq).in_([tuple(frame) for frame in frames])
