"""What gates tell of themselves: their orders go into the audit log, and the newest state of each stays until the next.

Both come at least once. Writers take turns, so that what comes twice is there once.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, select

from core.alarms import Kind
from core.alert_tables import alerts
from core.database import take_turns
from core.gate_messages import GateOrdered, GateStands
from core.records import alerts as alert_records
from core.records import audit, routes
from core.records.audit import Change
from core.records.routes import GateWord
from core.times import utc_of

_STANDS = "gate "  # the marks that keep how a gate stands


def enter(connection: Connection, words: Sequence[GateOrdered | GateStands]) -> int:
    """Put what gates told into the books; how much of it was new."""
    if words:
        take_turns(connection, ["what gates tell"])
    return sum(
        _order(connection, word) if isinstance(word, GateOrdered) else _stand(connection, word) for word in words
    )


def gates(connection: Connection, *, since: datetime) -> list[GateWord]:
    """What is wrong with each gate, by its newest word, by name.

    A word counts until a newer one comes, however long the line stands. Of a gate that has said nothing since then,
    what a person acknowledged after its word is left out; a bypass only when its time is up too.
    """
    words = {word.gate: word for word in routes.gates(connection, since=since)}
    for name, (at, detail) in alert_records.all_marks(connection, _STANDS).items():
        gate = name.removeprefix(_STANDS)
        word = words.get(gate, GateWord(gate, at, (), 0))
        if word.routed_at > at:
            continue
        said = GateStands.model_validate_json(detail)
        seen = _acknowledged(connection, gate, after=at) if at < since else set[str]()
        if said.bypass_until and utc_of(said.bypass_until) >= since:
            seen -= {Kind.BYPASS_ACTIVE}
        words[gate] = replace(word, routed_at=at, alarms=tuple(kind for kind in said.alarms if kind not in seen))
    return [words[gate] for gate in sorted(words)]


def _order(connection: Connection, word: GateOrdered) -> bool:
    until = utc_of(word.until).isoformat(timespec="seconds") if word.until else ""
    said = {"until": until, "control": word.control, "refused": word.refused}
    change = Change(
        at=utc_of(word.at), who=word.who, action=f"gate.{word.action}", subject=f"gate {word.gate}",
        new={name: value for name, value in said.items() if value}, reason=word.why)  # fmt: skip
    return audit.write_once(connection, change, key=word.key)


def _stand(connection: Connection, word: GateStands) -> bool:
    name = _STANDS + word.gate
    if former := alert_records.all_marks(connection, name).get(name):
        known = GateStands.model_validate_json(former[1])
        if (known.session, known.number) >= (word.session, word.number):
            return False
    alert_records.mark(connection, name, now=utc_of(word.at), detail=word.model_dump_json())
    return True


def _acknowledged(connection: Connection, gate: str, *, after: datetime) -> set[str]:
    """The kinds of a gate's alerts that a person acknowledged after its word."""
    t = alerts.c
    return set(connection.scalars(select(t.kind).where(t.subject == gate, t.acknowledged_at > after)))
