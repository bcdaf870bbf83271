"""Alembic: the database from the first table on."""
