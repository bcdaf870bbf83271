"""The golden parts nearest to a frame stand in its row; a region has its area in mm² where the scale is known."""

import re

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None

DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
PARTITION = re.compile(r"(inspections|regions)_\d{8}")


def upgrade() -> None:
    for table in _tables("inspections"):
        op.add_column(table, sa.Column("golden", DOCUMENT))
    for table in _tables("regions"):
        op.add_column(table, sa.Column("area_mm2", sa.Float()))


def downgrade() -> None:
    for table in _tables("inspections"):
        op.drop_column(table, "golden")
    for table in _tables("regions"):
        op.drop_column(table, "area_mm2")


def _tables(name: str) -> list[str]:
    """The table, which hands it on to its partitions, and partitions that retention has detached and not yet dropped:
    one of them may be attached again.
    """
    if op.get_context().dialect.name != "postgresql" or context.is_offline_mode():
        return [name]
    query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND NOT relispartition AND pg_table_is_visible(oid)"
    found = op.get_bind().exec_driver_sql(query).scalars()
    return [name, *sorted(one for one in found if one.startswith(f"{name}_") and PARTITION.fullmatch(one))]
