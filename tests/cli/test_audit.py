"""`flawline audit` as a person types it."""

import json
from datetime import UTC, datetime
from pathlib import Path

from cli import parts
from core.gate_messages import GateOrdered
from core.line import line_of
from core.records.gate_words import enter
from core.settings import Settings
from core.times import ns_of
from tests.cli.conftest import Run

AT = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def test_who_changed_what_and_why_newest_first(data: Path, flawline: Run) -> None:
    settings = Settings(data=data)
    parts.prepare(settings, line_of([]))
    bypass = GateOrdered(
        gate="reject-1", session=1, number=1, at=ns_of(AT), action="bypass", who="[b] Lead", why="camera is cleaned",
        control="two people", until=ns_of(AT) + 1200 * 10**9)  # fmt: skip
    reset = GateOrdered(gate="g2", session=1, number=1, at=ns_of(AT) + 10**9, action="reset", who="key", why="turned")
    with parts.database(settings) as database, database.writing() as connection:
        enter(connection, [bypass, reset])
    code, printed = flawline("audit", "--about", "gate.")
    assert code == 0
    said = "camera is cleaned; until 2026-11-24T10:20:00+00:00; control two people"
    assert printed.splitlines() == [
        "2026-11-24 10:00:01 UTC  gate.reset  gate g2  by key: turned",
        f"2026-11-24 10:00:00 UTC  gate.bypass  gate reject-1  by [b] Lead: {said}",
    ]
    _, printed = flawline("audit", "--about", "reject-1", "--json", "-")
    (entry,) = json.loads(printed)["entries"]
    assert (entry["at"], entry["new"]["control"]) == (AT.isoformat(), "two people")
    assert "no entry" in flawline("audit", "--about", "nobody")[1]
    assert "gate.bypass" not in flawline("audit", "--since", "2026-11-24T10:00:01", "--about", "gate.")[1]
    assert len(flawline("audit", "--most", 1)[1].splitlines()) == 1
