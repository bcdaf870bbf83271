"""The tables of alerts, on the metadata of `core.tables`."""

from sqlalchemy import CheckConstraint, Column, Index, Table, Text, text

from core.tables import Counted, Document, UtcDateTime, metadata

alerts = Table(  # one row from the moment a cause is seen until it has gone
    "alerts",
    metadata,
    Column("id", Counted, primary_key=True),
    Column("kind", Text, nullable=False),  # core.alarms.Kind
    Column("subject", Text, nullable=False),  # the camera, partition or store that it is about; "" = the line
    Column("severity", Text, nullable=False),
    Column("owner", Text, nullable=False),  # the role that acts on it
    Column("what", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("action", Text, nullable=False),  # what to do now
    Column("detail", Document),
    Column("raised_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),  # when its cause was last there
    Column("closed_at", UtcDateTime),
    Column("acknowledged_at", UtcDateTime),
    Column("acknowledged_by", Text),
    Column("note", Text, nullable=False),  # of whoever acknowledged it
    CheckConstraint("severity IN ('red','amber','white')", name="severity"),
    Index("alerts_time", "raised_at"),
    Index("alerts_closed", "closed_at"),
    # Raised once: one open row for one cause, by the database itself.
    Index(
        "alerts_open",
        "kind",
        "subject",
        unique=True,
        postgresql_where=text("closed_at IS NULL"),
        sqlite_where=text("closed_at IS NULL"),
    ),
)

marks = Table(  # when something that must happen again and again was last done: few names, one row for each
    "marks",
    metadata,
    Column("name", Text, primary_key=True),  # watch, backup
    Column("at", UtcDateTime, nullable=False),
    Column("detail", Text, nullable=False),
)

__all__ = ["alerts", "marks"]
