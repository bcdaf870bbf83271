"""Alembic's entry: migrates over the connection that `migrations.upgrade` hands in, or over the settings' database.

No ini file: `alembic revision --autogenerate -m …` takes the database that core.settings names.
"""

from alembic import context
from sqlalchemy import Connection

import core.account_tables
import core.alert_tables  # noqa: F401 - both put their tables on the metadata
from core.database import make_engine
from core.settings import read_settings
from core.tables import metadata
from migrations.upgrade import comparing


def migrate(connection: Connection) -> None:
    """Run the revisions that were asked for, inside the connection's transaction."""
    options = comparing(connection.dialect.name)
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, **options)
    context.run_migrations()


def write_sql(dialect: str) -> None:
    """Write the revisions that were asked for as SQL."""
    context.configure(dialect_name=dialect, target_metadata=metadata, literal_binds=True, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    """Offline, over the handed-in connection, or over one of our own."""
    given = context.config.attributes
    if context.is_offline_mode():
        write_sql(given.get("dialect", "sqlite"))
    elif "connection" in given:
        migrate(given["connection"])
    else:
        engine = make_engine(read_settings().database_url, foreign_keys=False)
        with engine.execution_options(writes=True).begin() as connection:
            migrate(connection)


main()
