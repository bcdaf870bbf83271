"""What retention drops beside verdict rows stays counted; rejected messages are known by time and content too."""

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None

TIME = sa.DateTime(timezone=True)
PLACE = 'topic, "partition", "offset"'
REST = "stored_at, rejected_at, detail"


def upgrade() -> None:
    op.create_table(
        "dropped_counts",
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("session", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("before", TIME, nullable=False),
        sa.PrimaryKeyConstraint("what", "subject", "session", name=op.f("pk_dropped_counts")),
    )
    _set_aside()
    _rejected_frames(sa.Column("checksum", sa.Text(), nullable=False), key=("stored_at", "checksum"))
    columns = f"{PLACE}, {REST}"
    op.execute(f"INSERT INTO rejected_frames ({columns}, checksum) SELECT {columns}, '' FROM set_aside")  # noqa: S608
    op.drop_table("set_aside")
    op.create_index("rejected_frames_time", "rejected_frames", ["rejected_at"])
    op.create_index("alerts_closed", "alerts", ["closed_at"])
    op.create_index("replays_time", "replays", ["captured_at"])


def downgrade() -> None:
    """Of rows that then share a place, all but the first go below 0: none is lost, and the books count as many."""
    op.drop_index("replays_time", "replays")
    op.drop_index("alerts_closed", "alerts")
    _set_aside()
    _rejected_frames(key=())
    twin = f"row_number() OVER (PARTITION BY {PLACE} ORDER BY rejected_at, checksum)"
    number = f'row_number() OVER (PARTITION BY topic, "partition" ORDER BY {PLACE}, rejected_at, checksum)'
    lowest = 'min("offset") OVER (PARTITION BY topic, "partition")'
    below = "(CASE WHEN lowest < 0 THEN lowest ELSE 0 END) - number"
    placed = f"SELECT {PLACE}, {REST}, {twin} AS twin, {number} AS number, {lowest} AS lowest FROM set_aside"  # noqa: S608
    columns = f'topic, "partition", CASE WHEN twin = 1 THEN "offset" ELSE {below} END, {REST}'
    op.execute(f"INSERT INTO rejected_frames ({PLACE}, {REST}) SELECT {columns} FROM ({placed}) AS placed")  # noqa: S608
    op.drop_table("set_aside")
    op.drop_table("dropped_counts")


def _set_aside() -> None:
    """Because SQLite changes no key of a table that is there."""
    op.execute("CREATE TABLE set_aside AS SELECT * FROM rejected_frames")
    op.drop_table("rejected_frames")


def _rejected_frames(*more: sa.Column[str], key: tuple[str, ...]) -> None:
    op.create_table(
        "rejected_frames",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stored_at", TIME, nullable=False),
        *more,
        sa.Column("rejected_at", TIME, nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "offset", *key, name=op.f("pk_rejected_frames")),
    )
