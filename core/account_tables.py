"""The tables of part accounting beside `inspections`: what the cameras counted, where parts went, what was replayed.

On the metadata of `core.tables`. None references `inspections` by a foreign key, for the reason that stands there.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, Table, Text

from core.tables import Counted, Document, UtcDateTime, metadata

capture_minutes = Table(  # what a capture process counted itself; a count only grows, so the larger one is the newer
    "capture_minutes",
    metadata,
    Column("camera", Text, primary_key=True),
    Column("session", BigInteger, primary_key=True, autoincrement=False),
    Column("minute", UtcDateTime, primary_key=True),  # of capture
    Column("triggered", BigInteger, nullable=False),
    Column("captured", BigInteger, nullable=False),
    Index("capture_minutes_time", "minute"),
)

camera_signs = Table(  # what else a capture process told in its newest report, beside `sessions`
    "camera_signs",
    metadata,
    Column("camera", Text, primary_key=True),
    Column("session", BigInteger, primary_key=True, autoincrement=False),
    Column("reported_at", UtcDateTime, nullable=False),
    Column("alarm", Text, nullable=False),  # lines that begin with a code; "" = nothing is wrong
    Column("spool_bytes", BigInteger, nullable=False),
    Column("spool_oldest_ms", BigInteger, nullable=False),
    Column("diverted", BigInteger, nullable=False),
    Column("host", Text, nullable=False),
)

routes = Table(  # where a gate sent each part, by its newest word
    "routes",
    metadata,
    Column("gate", Text, primary_key=True),
    Column("session", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("station", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("part_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    Column("trigger_seq", BigInteger, nullable=False),
    Column("triggered_at", UtcDateTime, nullable=False),
    Column("routed_at", UtcDateTime, nullable=False),
    Column("verdict", Text, nullable=False),  # that the gate acted on
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("route", Text, nullable=False),  # core.verdicts.PhysicalRoute
    Column("bypass", Text, nullable=False),
    Column("line_state", Text, nullable=False),
    Column("flags", Text, nullable=False),
    Column("alarms", Text, nullable=False),
    Column("unseen_by", Text, nullable=False),  # cameras of the gate that had no frame of it, with commas
    Index("routes_time", "triggered_at"),
)

route_frames = Table(  # the pictures that a gate weighed for a part
    "route_frames",
    metadata,
    Column("gate", Text, primary_key=True),
    Column("gate_session", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("camera", Text, primary_key=True),
    Column("session", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("captured_at", UtcDateTime, nullable=False),
    Index("route_frames_frame", "camera", "session", "seq"),
)

route_minutes = Table(  # written in the transaction of the routes that it counts
    "route_minutes",
    metadata,
    Column("gate", Text, primary_key=True),
    Column("camera", Text, primary_key=True),  # "" = the gate itself
    Column("minute", UtcDateTime, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),  # frames by minute of capture; of the gate itself parts, by their trigger
    Column("n_unseen", BigInteger, nullable=False),  # parts without a frame of the camera, or of any, by their trigger
    Index("route_minutes_time", "minute"),
)

replays = Table(  # append-only: the verdict that a replayed dead letter replaced, whole, and by what
    "replays",
    metadata,
    Column("id", Counted, primary_key=True),
    Column("camera", Text, nullable=False),
    Column("session", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("captured_at", UtcDateTime, nullable=False),
    Column("topic", Text, nullable=False),  # the dead letter's place
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("replayed_at", UtcDateTime, nullable=False),
    Column("old_verdict", Text, nullable=False),
    Column("old_reason", Text, nullable=False),
    Column("old", Document, nullable=False),  # the row as it was
    Column("new_verdict", Text, nullable=False),
    Column("new_reason", Text, nullable=False),
    CheckConstraint("old_verdict IN ('INVALID','NO_VERDICT')", name="only_what_was_not_judged"),
    Index("replays_frame", "camera", "session", "seq"),
    Index("replays_time", "captured_at"),
)

dropped_counts = Table(  # what retention has dropped beside verdict rows, as far as the books still count it
    "dropped_counts",
    metadata,
    Column("what", Text, primary_key=True),  # core.records.dropped_counts.Count
    Column("subject", Text, primary_key=True),  # the camera or topic; "" = the line
    Column("session", BigInteger, primary_key=True, autoincrement=False),  # 0 = any
    Column("n", BigInteger, nullable=False),
    Column("before", UtcDateTime, nullable=False),  # all of it was of a time before this
)

__all__ = ["camera_signs", "capture_minutes", "dropped_counts", "replays", "route_frames", "route_minutes", "routes"]
