"""The registered models of each product, beyond what the records tell: names, calibration, the way back."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from core.records.models import ModelRow
from core.tables import models, products
from core.verdicts import ModelState
from dashboard.calibration import proof_of


def product_names(connection: Connection) -> list[str]:
    """All products, by name."""
    return list(connection.scalars(select(products.c.name).order_by(products.c.name)))


def active_versions(connection: Connection) -> dict[str, str]:
    """Product → version of the model that judges it."""
    statement = select(models.c.product, models.c.version).where(models.c.state == str(ModelState.ACTIVE))
    return {row.product: row.version for row in connection.execute(statement)}


def floor(connection: Connection, model_id: int | None) -> float | None:
    """The lowest score of a model's held-out good parts, as its manifest tells; None where it tells none."""
    if model_id is None:
        return None
    manifest = connection.scalar(select(models.c.manifest).where(models.c.id == model_id))
    scores = proof_of(manifest).scores if isinstance(manifest, Mapping) else ()
    return scores[0] if scores else None


def before_active(rows: Sequence[ModelRow]) -> ModelRow | None:
    """The version that judged before the present one: where a roll-back leads. Pure."""
    if not any(row.state is ModelState.ACTIVE for row in rows):
        return None
    earlier = [row for row in rows if row.activated_at is not None and row.state is ModelState.RETIRED]
    return max(earlier, key=lambda row: row.activated_at or row.created_at, default=None)
