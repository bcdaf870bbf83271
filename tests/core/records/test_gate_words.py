"""What gates tell of themselves in the books: orders once in the audit log, alarms until the gate takes them back."""

import threading
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.alarms import Cause, Kind
from core.database import Database
from core.errors import BadFrame
from core.gate_messages import GateOrdered, GateStands, read
from core.messages import PartRouted
from core.records import alerts, audit, routes
from core.records.gate_words import enter, gates
from core.times import ns_of
from tests.core.records.conftest import Fresh
from tests.core.records.rows import NOON

AT = ns_of(NOON)
MINUTE = timedelta(minutes=1)


def ordered(number: int = 1, action: str = "bypass", **more: object) -> GateOrdered:
    values = {
        "gate": "g1",
        "session": 1,
        "number": number,
        "at": AT,
        "action": action,
        "who": "A. Lead",
        "why": "cleaning",
    }
    return GateOrdered.model_validate(values | more)


def stands(number: int = 1, *kinds: str, **more: object) -> GateStands:
    values = {"gate": "g1", "session": 1, "number": number, "at": AT, "alarms": dict.fromkeys(kinds, "why")}
    return GateStands.model_validate(values | more)


def tell(database: Database, *words: GateOrdered | GateStands) -> int:
    with database.writing() as connection:
        return enter(connection, words)


def alarms(database: Database, now: datetime = NOON) -> dict[str, tuple[str, ...]]:
    with database.reading() as connection:
        return {word.gate: word.alarms for word in gates(connection, since=now - 5 * MINUTE)}


def acknowledge(database: Database, kind: Kind, *, at: datetime) -> None:
    cause = Cause(kind=kind, subject="g1", what="w", why="y", do="d")
    with database.writing() as connection:
        (alert,) = alerts.keep(connection, [cause], looked_at=[], now=NOON).raised
        alerts.acknowledge(connection, alert.id, who="lead", note="", now=at)


def test_an_order_stands_in_the_audit_log_with_who_why_when_and_until_when(database: Database) -> None:
    tell(database, ordered(until=AT + 20 * 60 * 10**9, control="two people look"))
    with database.reading() as connection:
        (entry,) = audit.since(connection, None)
    assert (entry.at, entry.who, entry.action, entry.subject) == (NOON, "A. Lead", "gate.bypass", "gate g1")
    assert entry.reason == "cleaning"
    assert entry.new == {
        "until": (NOON + 20 * MINUTE).isoformat(), "control": "two people look", "key": "g1-1-order-1",
    }  # fmt: skip


def test_an_order_that_comes_again_is_there_once_and_another_of_the_same_moment_is_another(database: Database) -> None:
    assert tell(database, ordered(), ordered()) == 1
    assert tell(database, ordered(), ordered(2)) == 1
    assert tell(database, ordered(session=2), ordered(gate="g2")) == 2
    with database.reading() as connection:
        assert len(audit.since(connection, None)) == 4


def test_two_bookkeepers_at_once_write_it_once(database: Database) -> None:
    both = threading.Barrier(2)

    def keep() -> None:
        both.wait(10)
        tell(database, *(ordered(n) for n in range(20)))

    threads = [threading.Thread(target=keep) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with database.reading() as connection:
        assert len(audit.since(connection, None)) == 20


def test_the_audit_log_is_read_newest_first_by_time_and_by_words(database: Database) -> None:
    tell(database, ordered(1, "bypass"), ordered(2, "reset", at=AT + 10**9, who="50 % Meier"), ordered(3, gate="g2"))
    with database.reading() as connection:
        assert [e.action for e in audit.since(connection, NOON + timedelta(seconds=1))] == ["gate.reset"]
        assert [e.action for e in audit.since(connection, None, most=1)] == ["gate.reset"]
        assert [e.who for e in audit.since(connection, None, about="50 %")] == ["50 % Meier"]
        assert [e.subject for e in audit.since(connection, None, about="gate g2")] == ["gate g2"]
        assert audit.since(connection, None, about="model") == []


def test_an_alarm_stays_on_a_line_that_stands_until_the_gate_takes_it_back(database: Database) -> None:
    tell(database, stands(1, "BIN_FULL", "LOW_AIR"))
    assert alarms(database) == {"g1": ("BIN_FULL", "LOW_AIR")}
    assert alarms(database, NOON + timedelta(days=3)) == {"g1": ("BIN_FULL", "LOW_AIR")}
    tell(database, stands(2, "LOW_AIR", at=AT + 10**9))
    assert alarms(database, NOON + timedelta(days=3)) == {"g1": ("LOW_AIR",)}
    tell(database, stands(1, session=2, at=AT + 2 * 10**9))
    assert alarms(database) == {"g1": ()}


@given(st.permutations([(s, n) for s in (1, 2) for n in (1, 2, 10)]), st.lists(st.integers(0, 5), max_size=6))
def test_in_whatever_order_and_however_often_they_come_the_newest_word_of_a_gate_counts(
    fresh: Fresh, order: list[tuple[int, int]], again: list[int]
) -> None:
    with fresh() as database:
        for session, number in [*order, *(order[n] for n in again)]:
            tell(database, stands(number, f"A{session}-{number}", session=session, at=AT + session * 100 + number))
        assert alarms(database) == {"g1": ("A2-10",)}


def test_of_a_part_and_a_word_the_newer_one_counts(database: Database) -> None:
    part = PartRouted(
        gate="g1", session=1, number=3, station="s", product="ring", part_id="3", trigger_seq=3, lot="",
        triggered_at=AT,
        commanded_at=AT, routed_at=AT + 10**9, deadline_ms=5000, verdict="FAIL", reason="", detail="", action="REJECT",
        route="UNCONFIRMED", alarms="LOW_AIR")  # fmt: skip
    with database.writing() as connection:
        routes.keep(connection, part)
    tell(database, stands(1, "BIN_FULL"))
    assert alarms(database) == {"g1": ("LOW_AIR",)}
    tell(database, stands(2, "BIN_FULL", at=AT + 2 * 10**9))
    assert alarms(database) == {"g1": ("BIN_FULL",)}
    with database.reading() as connection:
        assert [word.unconfirmed for word in gates(connection, since=NOON)] == [1]


def test_what_a_silent_gate_said_closes_when_somebody_acknowledges_it(database: Database) -> None:
    """It may be gone for good; a word after that counts again."""
    tell(database, stands(1, "BIN_FULL", "LOW_AIR"))
    acknowledge(database, Kind.BIN_FULL, at=NOON + MINUTE)
    assert alarms(database, NOON + 4 * MINUTE) == {"g1": ("BIN_FULL", "LOW_AIR")}, "it may say so itself"
    assert alarms(database, NOON + 6 * MINUTE) == {"g1": ("LOW_AIR",)}
    tell(database, stands(2, "BIN_FULL", at=AT + 7 * 60 * 10**9))
    assert alarms(database, NOON + 20 * MINUTE) == {"g1": ("BIN_FULL",)}


def test_nobody_acknowledges_a_bypass_away_before_its_time_is_up(database: Database) -> None:
    tell(database, stands(1, "BYPASS_ACTIVE", bypass_until=AT + 30 * 60 * 10**9))
    acknowledge(database, Kind.BYPASS_ACTIVE, at=NOON + MINUTE)
    assert alarms(database, NOON + 29 * MINUTE) == {"g1": ("BYPASS_ACTIVE",)}
    assert alarms(database, NOON + 36 * MINUTE) == {"g1": ()}


@pytest.mark.parametrize("word", [ordered(), stands(1, "BIN_FULL")])
def test_words_survive_the_wire(word: GateOrdered | GateStands) -> None:
    assert read(word.model_dump_json().encode()) == word


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "stroll"},
        {"gate": ""},
        {"number": -1},
        {"session": 1 << 62},
        {"at": "noon"},
        {"who": "a\0b"},
        {"why": 3},
    ],
)
def test_what_is_no_word_is_refused(change: dict[str, object]) -> None:
    text = ordered().model_copy(update=change).model_dump_json(warnings=False)
    with pytest.raises(BadFrame, match="PartRouted"):
        read(text.encode())


@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_noise_is_a_bad_message(noise: bytes) -> None:
    with pytest.raises(BadFrame):
        read(noise)
