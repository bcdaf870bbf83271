"""All tables of the first version."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

TIME = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
BY_TIME = "RANGE (captured_at)"
BRIN = {"pages_per_range": 32, "autosummarize": "on"}
COUNTED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _products()
    _cameras()
    _recipes()
    _models()
    _inspections()
    _regions()
    _rejected_frames()
    _sessions()
    _rollup_minute()
    _reviews()
    _review_claims()
    _attempts()
    _audit_log()


def downgrade() -> None:
    for table in (
        "audit_log",
        "attempts",
        "review_claims",
        "reviews",
        "rollup_minute",
        "sessions",
        "rejected_frames",
        "regions",
        "inspections",
        "models",
        "recipes",
        "cameras",
        "products",
    ):
        op.drop_table(table)


def _products() -> None:
    op.create_table(
        "products",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_products")),
    )


def _cameras() -> None:
    op.create_table(
        "cameras",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("deadline_ms", sa.Integer(), nullable=False),
        sa.Column("in_line", sa.Boolean(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cameras")),
    )


def _recipes() -> None:
    op.create_table(
        "recipes",
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", DOCUMENT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["product"], ["products.name"], name=op.f("fk_recipes_product")),
        sa.PrimaryKeyConstraint("product", "version", name=op.f("pk_recipes")),
    )


def _models() -> None:
    op.create_table(
        "models",
        sa.Column("id", COUNTED, nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("blob", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("recipe_version", sa.Integer(), nullable=False),
        sa.Column("manifest", DOCUMENT, nullable=False),
        sa.Column("metrics", DOCUMENT, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("activated_at", TIME, nullable=True),
        sa.Column("activated_by", sa.Text(), nullable=True),
        sa.Column("activation_note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["product"], ["products.name"], name=op.f("fk_models_product")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("product", "version", name=op.f("uq_models_product")),
    )
    op.create_index(
        "models_active",
        "models",
        ["product"],
        unique=True,
        postgresql_where=sa.text("state = 'ACTIVE'"),
        sqlite_where=sa.text("state = 'ACTIVE'"),
    )


def _inspections() -> None:
    op.create_table(
        "inspections",
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("session", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("captured_at", TIME, nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("part_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("view", sa.Text(), nullable=False),
        sa.Column("run_type", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("t_lo", sa.Float(), nullable=True),
        sa.Column("t_hi", sa.Float(), nullable=True),
        sa.Column("model_id", sa.BigInteger(), nullable=True),
        sa.Column("recipe_version", sa.Integer(), nullable=True),
        sa.Column("deadline_ms", sa.Integer(), nullable=False),
        sa.Column("is_late", sa.Boolean(), nullable=False),
        sa.Column("inspected_at", TIME, nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("predict_ms", sa.Float(), nullable=True),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("picture", sa.Text(), nullable=True),
        sa.Column("thumb", sa.Text(), nullable=True),
        sa.Column("heat", sa.Text(), nullable=True),
        sa.Column("heat_min", sa.Float(), nullable=True),
        sa.Column("heat_max", sa.Float(), nullable=True),
        sa.CheckConstraint(
            "verdict <> 'PASS' OR (score IS NOT NULL AND t_lo IS NOT NULL AND score <= t_lo)",
            name=op.f("ck_inspections_pass_is_proved"),
        ),
        sa.CheckConstraint(
            "verdict IN ('PASS','FAIL','REVIEW','INVALID','NO_VERDICT')", name=op.f("ck_inspections_verdict")
        ),
        sa.PrimaryKeyConstraint(
            "camera", "session", "seq", "captured_at", name=op.f("pk_inspections"), postgresql_include=["verdict"]
        ),
        postgresql_partition_by=BY_TIME,
    )
    op.create_index(
        "inspections_attention",
        "inspections",
        ["captured_at"],
        postgresql_where=sa.text("verdict <> 'PASS'"),
        sqlite_where=sa.text("verdict <> 'PASS'"),
    )
    op.create_index("inspections_camera", "inspections", ["camera", "captured_at"])
    op.create_index("inspections_time", "inspections", ["captured_at"], postgresql_using="brin", postgresql_with=BRIN)
    if op.get_context().dialect.name == "sqlite":
        op.create_index("inspections_books", "inspections", ["camera", "session", "verdict", "seq"])
        op.create_index("inspections_identity", "inspections", ["camera", "session", "seq"], unique=True)


def _regions() -> None:
    op.create_table(
        "regions",
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("session", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("captured_at", TIME, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("x", sa.Float(), nullable=False),
        sa.Column("y", sa.Float(), nullable=False),
        sa.Column("width", sa.Float(), nullable=False),
        sa.Column("height", sa.Float(), nullable=False),
        sa.Column("area", sa.Float(), nullable=False),
        sa.Column("peak", sa.Float(), nullable=False),
        sa.Column("mean", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("camera", "session", "seq", "captured_at", "number", name=op.f("pk_regions")),
        postgresql_partition_by=BY_TIME,
    )


def _rejected_frames() -> None:
    op.create_table(
        "rejected_frames",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stored_at", TIME, nullable=False),
        sa.Column("rejected_at", TIME, nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "offset", name=op.f("pk_rejected_frames")),
    )


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("session", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("triggered", sa.BigInteger(), nullable=False),
        sa.Column("captured", sa.BigInteger(), nullable=False),
        sa.Column("reconnects", sa.Integer(), nullable=False),
        sa.Column("reported_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("camera", "session", name=op.f("pk_sessions")),
    )


def _rollup_minute() -> None:
    op.create_table(
        "rollup_minute",
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("run_type", sa.Text(), nullable=False),
        sa.Column("model_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("minute", TIME, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("n_pass", sa.BigInteger(), nullable=False),
        sa.Column("n_fail", sa.BigInteger(), nullable=False),
        sa.Column("n_review", sa.BigInteger(), nullable=False),
        sa.Column("n_invalid", sa.BigInteger(), nullable=False),
        sa.Column("n_no_verdict", sa.BigInteger(), nullable=False),
        sa.Column("n_late", sa.BigInteger(), nullable=False),
        sa.Column("n_scored", sa.BigInteger(), nullable=False),
        sa.Column("score_sum", sa.Float(), nullable=False),
        sa.Column("latency_sum_ms", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("camera", "product", "run_type", "model_id", "minute", name=op.f("pk_rollup_minute")),
    )
    op.create_index("rollup_minute_time", "rollup_minute", ["minute"])


def _reviews() -> None:
    op.create_table(
        "reviews",
        sa.Column("id", COUNTED, nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("session", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("captured_at", TIME, nullable=False),
        sa.Column("call", sa.Text(), nullable=True),
        sa.Column("defect_class", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=True),
        sa.Column("undoes", COUNTED, nullable=True),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("decided_at", TIME, nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.CheckConstraint("(call IS NULL) <> (undoes IS NULL)", name=op.f("ck_reviews_call_or_undo")),
        sa.ForeignKeyConstraint(["undoes"], ["reviews.id"], name=op.f("fk_reviews_undoes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
        sa.UniqueConstraint("undoes", name=op.f("uq_reviews_undoes")),
    )
    op.create_index("reviews_frame", "reviews", ["camera", "session", "seq"])
    op.create_index("reviews_reviewer", "reviews", ["reviewer", "id"])


def _review_claims() -> None:
    op.create_table(
        "review_claims",
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("session", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("lease_until", TIME, nullable=False),
        sa.PrimaryKeyConstraint("camera", "session", "seq", name=op.f("pk_review_claims")),
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("consumer_group", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("consumer_group", "topic", "partition", name=op.f("pk_attempts")),
    )


def _audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", COUNTED, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("old", DOCUMENT, nullable=True),
        sa.Column("new", DOCUMENT, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
