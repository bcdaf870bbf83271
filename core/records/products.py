"""The products: a row each, which recipes and models reference and which serialises changes to them."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, select

from core.database import insert_new
from core.tables import products


def enter(connection: Connection, names: Iterable[str], *, now: datetime) -> None:
    """Make sure that the products are in the books."""
    insert_new(connection, products, [{"name": name, "created_at": now} for name in set(names)], [products.c.name])


def names(connection: Connection) -> list[str]:
    """All products, in alphabetical order."""
    return list(connection.scalars(select(products.c.name).order_by(products.c.name)))


def hold(connection: Connection, product: str) -> None:
    """Keep other transactions from changing this product's models and recipes until ours ends.

    SQLite has one writer at a time and leaves the lock out.
    """
    connection.execute(select(products.c.name).where(products.c.name == product).with_for_update())
