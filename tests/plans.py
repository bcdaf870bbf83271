"""Which indexes and partitions a database uses for the questions that are asked of it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, event, text


class Plan(NamedTuple):
    """Of one SELECT: the tables or partitions that are read, and the indexes, by the names that the code gives them."""

    tables: frozenset[str]
    indexes: frozenset[str]


@contextmanager
def plans(connection: Connection) -> Iterator[list[Plan]]:
    """The plans of the SELECTs that are asked inside it. PostgreSQL is to use indexes even where tables are small."""
    server = connection.dialect.name == "postgresql"
    if server:
        others = ("seqscan", "sort", "hashjoin", "mergejoin")
        connection.execute(text("; ".join(f"SET LOCAL enable_{other} = off" for other in others)))
    found: list[Plan] = []

    def explain(_: Connection, cursor: Any, statement: str, parameters: Any, *_more: object) -> None:
        if statement.startswith("SELECT") and "pg_advisory" not in statement:
            cursor.execute(f"EXPLAIN {'(FORMAT JSON)' if server else 'QUERY PLAN'} {statement}", parameters)
            told = cursor.fetchall()
            found.append(_of_server(cursor, told[0][0][0]["Plan"]) if server else _of_sqlite(told))

    event.listen(connection, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(connection, "before_cursor_execute", explain)


def _of_sqlite(told: list[Any]) -> Plan:
    steps = [re.match(r"(?:SEARCH|SCAN) (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", row[3]) for row in told]
    taken = [step for step in steps if step]
    return Plan(frozenset(step[1] for step in taken), frozenset(step[2] for step in taken if step[2]))


def _of_server(cursor: Any, root: Mapping[str, Any]) -> Plan:
    nodes = list(_nodes(root))
    tables = {node["Relation Name"] for node in nodes if "Relation Name" in node}
    used = [node["Index Name"] for node in nodes if "Index Name" in node]
    cursor.execute(
        "SELECT coalesce(inhparent::regclass, c.oid::regclass)::text FROM pg_class c"
        " LEFT JOIN pg_inherits ON inhrelid = c.oid WHERE relname = ANY(%s)",
        (used,),
    )
    return Plan(frozenset(tables), frozenset(name for (name,) in cursor.fetchall()))


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)
