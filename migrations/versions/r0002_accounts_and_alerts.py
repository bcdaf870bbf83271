"""Alerts, the cameras' own counts by minute, physical routes, replayed dead letters."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None

TIME = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
COUNTED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _alerts()
    _marks()
    _capture_minutes()
    _camera_signs()
    _routes()
    _route_frames()
    _route_minutes()
    _replays()


def downgrade() -> None:
    for table in (
        "replays",
        "route_minutes",
        "route_frames",
        "routes",
        "camera_signs",
        "capture_minutes",
        "marks",
        "alerts",
    ):
        op.drop_table(table)


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", COUNTED, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("kind", "subject", "severity", "owner")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("what", "why", "action")),
        sa.Column("detail", DOCUMENT),
        sa.Column("raised_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("closed_at", TIME),
        sa.Column("acknowledged_at", TIME),
        sa.Column("acknowledged_by", sa.Text()),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.CheckConstraint("severity IN ('red','amber','white')", name=op.f("ck_alerts_severity")),
    )
    op.create_index("alerts_time", "alerts", ["raised_at"])
    is_open = sa.text("closed_at IS NULL")
    op.create_index(
        "alerts_open", "alerts", ["kind", "subject"], unique=True, postgresql_where=is_open, sqlite_where=is_open
    )


def _marks() -> None:
    op.create_table(
        "marks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_marks")),
    )


def _camera_signs() -> None:
    op.create_table(
        "camera_signs",
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("session", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reported_at", TIME, nullable=False),
        sa.Column("alarm", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("spool_bytes", "spool_oldest_ms", "diverted")),
        sa.Column("host", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("camera", "session", name=op.f("pk_camera_signs")),
    )


def _capture_minutes() -> None:
    op.create_table(
        "capture_minutes",
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("session", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("minute", TIME, nullable=False),
        sa.Column("triggered", sa.BigInteger(), nullable=False),
        sa.Column("captured", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("camera", "session", "minute", name=op.f("pk_capture_minutes")),
    )
    op.create_index("capture_minutes_time", "capture_minutes", ["minute"])


def _routes() -> None:
    op.create_table(
        "routes",
        sa.Column("gate", sa.Text(), nullable=False),
        sa.Column("session", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("station", "product", "part_id", "lot")),
        sa.Column("trigger_seq", sa.BigInteger(), nullable=False),
        sa.Column("triggered_at", TIME, nullable=False),
        sa.Column("routed_at", TIME, nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in (
                "verdict",
                "reason",
                "detail",
                "action",
                "route",
                "bypass",
                "line_state",
                "flags",
                "alarms",
                "unseen_by",
            )
        ),
        sa.PrimaryKeyConstraint("gate", "session", "number", name=op.f("pk_routes")),
    )
    op.create_index("routes_time", "routes", ["triggered_at"])


def _route_frames() -> None:
    op.create_table(
        "route_frames",
        sa.Column("gate", sa.Text(), nullable=False),
        sa.Column("gate_session", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("session", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("captured_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint(
            "gate", "gate_session", "number", "camera", "session", "seq", name=op.f("pk_route_frames")
        ),
    )
    op.create_index("route_frames_frame", "route_frames", ["camera", "session", "seq"])


def _route_minutes() -> None:
    op.create_table(
        "route_minutes",
        sa.Column("gate", sa.Text(), nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("minute", TIME, nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("n_unseen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gate", "camera", "minute", "route", name=op.f("pk_route_minutes")),
    )
    op.create_index("route_minutes_time", "route_minutes", ["minute"])


def _replays() -> None:
    op.create_table(
        "replays",
        sa.Column("id", COUNTED, nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("session", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("captured_at", TIME, nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("replayed_at", TIME, nullable=False),
        sa.Column("old_verdict", sa.Text(), nullable=False),
        sa.Column("old_reason", sa.Text(), nullable=False),
        sa.Column("old", DOCUMENT, nullable=False),
        sa.Column("new_verdict", sa.Text(), nullable=False),
        sa.Column("new_reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replays")),
        sa.CheckConstraint("old_verdict IN ('INVALID','NO_VERDICT')", name=op.f("ck_replays_only_what_was_not_judged")),
    )
    op.create_index("replays_frame", "replays", ["camera", "session", "seq"])
