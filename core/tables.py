"""The tables, as SQLAlchemy Core; Alembic makes them, `core.records` writes them, pages read them.

Times are aware UTC. A frame's identity with its capture time is the key of `inspections`, so a redelivered frame can
only meet its own row. Nothing references `inspections` by a foreign key: PostgreSQL cannot detach a partition that is
referenced; one transaction writes a row and its regions, and retention removes both. On PostgreSQL both tables are
partitioned by the time of capture, and `core.partitions` makes and drops the partitions.

One identity, one row, even for a frame that comes again with another capture time: `core.records.inspections.record`
looks before it writes. SQLite also has a unique index for it; PostgreSQL cannot keep one across partitions by time.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import DateTime

REVISION = "0006"  # the newest file of migrations/versions, which makes these tables

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
BY_TIME = "RANGE (captured_at)"
BRIN = {"pages_per_range": 32, "autosummarize": "on"}  # streaming.md §4.3
Counted = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only an INTEGER primary key


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in and out; SQLite keeps no offset, so it is put back on the way out. Refuses naive datetimes."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; the books keep UTC only")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _frame_key(*, primary: bool) -> list[Column[Any]]:
    return [
        Column("camera", Text, primary_key=primary, nullable=False),
        Column("session", BigInteger, primary_key=primary, nullable=False, autoincrement=False),
        Column("seq", BigInteger, primary_key=primary, nullable=False, autoincrement=False),
        Column("captured_at", UtcDateTime, primary_key=primary, nullable=False),
    ]


def _sqlite_index(name: str, *columns: str, unique: bool = False) -> Index:
    """`info` tells Alembic what `ddl_if` tells SQLAlchemy."""
    return Index(name, *columns, unique=unique, info={"dialect": "sqlite"}).ddl_if(dialect="sqlite")


products = Table(
    "products", metadata, Column("name", Text, primary_key=True), Column("created_at", UtcDateTime, nullable=False)
)

cameras = Table(
    "cameras",
    metadata,
    Column("name", Text, primary_key=True),
    Column("station", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("deadline_ms", Integer, nullable=False),
    Column("in_line", Boolean, nullable=False),  # False: of an earlier line file; its rows stay
    Column("place", Integer, nullable=False),  # its order on the Line page
    Column("updated_at", UtcDateTime, nullable=False),
)

recipes = Table(
    "recipes",
    metadata,
    Column("product", Text, ForeignKey("products.name"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("body", Document, nullable=False),  # core.recipes.Recipe
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("note", Text, nullable=False),
)

models = Table(
    "models",
    metadata,
    Column("id", Counted, primary_key=True),
    Column("product", Text, ForeignKey("products.name"), nullable=False),
    Column("version", Text, nullable=False),  # 2026-11-24/1
    Column("state", Text, nullable=False),  # core.verdicts.ModelState
    Column("blob", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("recipe_version", Integer, nullable=False),
    Column("manifest", Document, nullable=False),
    Column("metrics", Document, nullable=False),
    Column("card", Document),  # model.card_document; NULL for a model of before there were cards
    Column("note", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("activated_at", UtcDateTime),
    Column("activated_by", Text),
    Column("activation_note", Text),
    UniqueConstraint("product", "version"),
    # One active model per product, by the database itself.
    Index(
        "models_active",
        "product",
        unique=True,
        postgresql_where=text("state = 'ACTIVE'"),
        sqlite_where=text("state = 'ACTIVE'"),
    ),
)

inspections = Table(
    "inspections",
    metadata,
    *_frame_key(primary=True),
    Column("station", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("part_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    Column("view", Text, nullable=False),
    Column("run_type", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),  # InvalidReason or NoVerdictReason, else ""
    Column("detail", Text, nullable=False),  # the reason in words
    Column("score", Float),  # raw, never clamped
    Column("t_lo", Float),
    Column("t_hi", Float),
    Column("model_id", BigInteger),
    Column("recipe_version", Integer),
    Column("deadline_ms", Integer, nullable=False),
    Column("is_late", Boolean, nullable=False),
    Column("inspected_at", UtcDateTime, nullable=False),
    Column("latency_ms", Float, nullable=False),  # capture to verdict
    Column("predict_ms", Float),  # this frame's share of its batch
    Column("worker", Text, nullable=False),  # version, runtime, device, precision
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),  # bytes of the encoded picture
    Column("sha256", Text, nullable=False),
    Column("picture", Text),  # blob key; None where the picture was not kept
    Column("thumb", Text),
    Column("heat", Text),
    Column("heat_min", Float),
    Column("heat_max", Float),
    Column("golden", Document),  # core.records.compared.Compared; NULL where no golden parts were shown beside it
    CheckConstraint("verdict IN ('PASS','FAIL','REVIEW','INVALID','NO_VERDICT')", name="verdict"),
    CheckConstraint(
        "verdict <> 'PASS' OR (score IS NOT NULL AND t_lo IS NOT NULL AND score <= t_lo)", name="pass_is_proved"
    ),
    # With the verdict, part accounting on PostgreSQL reads this index alone.
    PrimaryKeyConstraint("camera", "session", "seq", "captured_at", postgresql_include=["verdict"]),
    Index("inspections_camera", "camera", "captured_at"),
    Index("inspections_time", "captured_at", postgresql_using="brin", postgresql_with=BRIN),
    Index(
        "inspections_attention",
        "captured_at",
        postgresql_where=text("verdict <> 'PASS'"),
        sqlite_where=text("verdict <> 'PASS'"),
    ),
    _sqlite_index("inspections_identity", "camera", "session", "seq", unique=True),
    # All that part accounting counts, so that it never reads the wide rows.
    _sqlite_index("inspections_books", "camera", "session", "verdict", "seq"),
    postgresql_partition_by=BY_TIME,
)

regions = Table(
    "regions",
    metadata,
    *_frame_key(primary=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # 0 = highest peak
    Column("x", Float, nullable=False),  # bounding box in raw picture pixels
    Column("y", Float, nullable=False),
    Column("width", Float, nullable=False),
    Column("height", Float, nullable=False),
    Column("area", Float, nullable=False),  # raw picture pixels
    Column("peak", Float, nullable=False),  # in units of the score
    Column("mean", Float, nullable=False),
    Column("area_mm2", Float),  # NULL where the recipe had no scale
    postgresql_partition_by=BY_TIME,
)

dropped_rows = Table(  # how many rows of `inspections` retention has dropped: a part that was judged stays counted
    "dropped_rows",
    metadata,
    Column("camera", Text, primary_key=True),
    Column("session", BigInteger, primary_key=True, autoincrement=False),
    Column("verdict", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),
    Column("newest_seq", BigInteger, nullable=False),
    Column("before", UtcDateTime, nullable=False),  # all of them were captured before this
)

rejected_frames = Table(  # keyed by place, time and content: a new or wiped log begins again at offset 0
    "rejected_frames",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("stored_at", UtcDateTime, primary_key=True),
    Column("checksum", Text, primary_key=True),  # SHA-256 of key, headers and value; "" in rows of revision 0003
    Column("rejected_at", UtcDateTime, nullable=False),
    Column("detail", Text, nullable=False),
    Index("rejected_frames_time", "rejected_at"),
)

sessions = Table(  # the capture side's own books, by the newest report
    "sessions",
    metadata,
    Column("camera", Text, primary_key=True),
    Column("session", BigInteger, primary_key=True, autoincrement=False),
    Column("station", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("triggered", BigInteger, nullable=False),
    Column("captured", BigInteger, nullable=False),
    Column("reconnects", Integer, nullable=False),
    Column("reported_at", UtcDateTime, nullable=False),
)

rollup_minute = Table(  # written in the transaction of the rows that it counts
    "rollup_minute",
    metadata,
    Column("camera", Text, primary_key=True),
    Column("product", Text, primary_key=True),
    Column("run_type", Text, primary_key=True),
    Column("model_id", BigInteger, primary_key=True, autoincrement=False),  # 0 = none
    Column("minute", UtcDateTime, primary_key=True),  # of capture
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("n", "n_pass", "n_fail", "n_review", "n_invalid", "n_no_verdict", "n_late", "n_scored")
    ),
    Column("score_sum", Float, nullable=False),
    Column("latency_sum_ms", Float, nullable=False),
    Index("rollup_minute_time", "minute"),
)

reviews = Table(  # append-only: an undo is a row of its own
    "reviews",
    metadata,
    Column("id", Counted, primary_key=True),
    *_frame_key(primary=False),
    Column("call", Text),  # core.verdicts.HumanCall; NULL in an undo
    Column("defect_class", Text, nullable=False),
    Column("severity", Text),
    Column("undoes", BigInteger().with_variant(Integer, "sqlite"), ForeignKey("reviews.id")),
    Column("reviewer", Text, nullable=False),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("seconds", Float),  # from opening the item to the key
    Column("verdict", Text, nullable=False),  # the machine's, at the time
    CheckConstraint("(call IS NULL) <> (undoes IS NULL)", name="call_or_undo"),
    UniqueConstraint("undoes"),  # a call is undone once
    Index("reviews_frame", "camera", "session", "seq"),
    Index("reviews_reviewer", "reviewer", "id"),
)

review_claims = Table(
    "review_claims",
    metadata,
    Column("camera", Text, primary_key=True),
    Column("session", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("reviewer", Text, nullable=False),
    Column("lease_until", UtcDateTime, nullable=False),
)

attempts = Table(  # tries of the first batch after a start, counted beyond the life of the process
    "attempts",
    metadata,
    Column("consumer_group", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Counted, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("who", Text, nullable=False),
    Column("action", Text, nullable=False),  # model.activate, review.call, line.change, …
    Column("subject", Text, nullable=False),
    Column("old", Document),
    Column("new", Document),
    Column("reason", Text, nullable=False),
)

__all__ = [
    "REVISION",
    "UtcDateTime",
    "attempts",
    "audit_log",
    "cameras",
    "dropped_rows",
    "inspections",
    "metadata",
    "models",
    "products",
    "recipes",
    "regions",
    "rejected_frames",
    "review_claims",
    "reviews",
    "rollup_minute",
    "sessions",
]
