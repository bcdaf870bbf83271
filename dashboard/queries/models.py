"""The registered models of each product, beyond what the records tell: names, calibration, the way back."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from core.records.models import ModelRow
from core.tables import models, products
from core.verdicts import ModelState


def product_names(connection: Connection) -> list[str]:
    """All products, by name."""
    return list(connection.scalars(select(products.c.name).order_by(products.c.name)))


def active_versions(connection: Connection) -> dict[str, str]:
    """Product → version of the model that judges it."""
    statement = select(models.c.product, models.c.version).where(models.c.state == str(ModelState.ACTIVE))
    return {row.product: row.version for row in connection.execute(statement)}


def before_active(rows: Sequence[ModelRow]) -> ModelRow | None:
    """The version that judged before the present one: where a roll-back leads. Pure."""
    if not any(row.state is ModelState.ACTIVE for row in rows):
        return None
    earlier = [row for row in rows if row.activated_at is not None and row.state is ModelState.RETIRED]
    return max(earlier, key=lambda row: row.activated_at or row.created_at, default=None)
