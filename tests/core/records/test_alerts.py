from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from core.alarms import HABITS, Cause, Kind, Severity
from core.alert_tables import alerts
from core.database import Database
from core.errors import NotAllowed
from core.records.alerts import Alert, acknowledge, keep, mark, marked, since, standing
from core.tables import audit_log
from tests.core.records.conftest import Fresh
from tests.core.records.rows import NOON, size

LOST, LATE = Kind.CAMERA_LOST, Kind.LATE_VERDICT
OFF = timedelta(seconds=HABITS[LOST].off)
SECOND = timedelta(seconds=1)
EVERY = frozenset(Kind)


def cause(kind: Kind = LOST, subject: str = "top", **more: object) -> Cause:
    words = {"what": "top is lost", "why": "no report", "do": "check the cable"}
    return Cause(kind=kind, subject=subject, **words | more)  # type: ignore[arg-type]  # what Cause takes


def look(database: Database, *causes: Cause, now: datetime = NOON, at: frozenset[Kind] = EVERY) -> None:
    with database.writing() as connection:
        keep(connection, causes, looked_at=at, now=now)


def read(database: Database) -> list[Alert]:
    with database.reading() as connection:
        return standing(connection)


def only(database: Database) -> Alert:
    (alert,) = read(database)
    return alert


def test_a_cause_is_raised_once_and_refreshed_while_it_lasts(database: Database) -> None:
    look(database, cause())
    look(database, cause(what="top is lost, third try", detail={"tries": 3}), now=NOON + SECOND)
    alert = only(database)
    assert (alert.kind, alert.subject, alert.severity, alert.owner) == ("CAMERA_LOST", "top", "red", "technician")
    assert (alert.what, alert.why, alert.action) == ("top is lost, third try", "no report", "check the cable")
    assert (alert.raised_at, alert.seen_at, alert.detail) == (NOON, NOON + SECOND, {"tries": 3})
    with database.reading() as connection:
        assert size(connection, alerts) == 1


def test_what_a_look_raised_and_closed_is_told(database: Database) -> None:
    with database.writing() as connection:
        first = keep(connection, [cause()], looked_at=EVERY, now=NOON)
        again = keep(connection, [cause()], looked_at=EVERY, now=NOON)
        last = keep(connection, [], looked_at=EVERY, now=NOON + OFF)
    assert [alert.subject for alert in first.raised] == ["top"]
    assert (first.closed, again.raised, again.closed, last.raised) == ((), (), (), ())
    assert [alert.id for alert in last.closed] == [alert.id for alert in first.raised]


def test_causes_of_other_cameras_and_kinds_are_alerts_of_their_own(database: Database) -> None:
    look(database, cause(), cause(subject="side"), cause(LATE))
    assert {(alert.kind, alert.subject) for alert in read(database)} == {
        ("CAMERA_LOST", "top"), ("CAMERA_LOST", "side"), ("LATE_VERDICT", "top"),
    }  # fmt: skip


def test_an_alert_closes_when_its_cause_has_stayed_away_for_the_delay(database: Database) -> None:
    look(database, cause())
    look(database, now=NOON + OFF - SECOND)
    assert only(database).closed_at is None
    look(database, now=NOON + OFF)
    assert read(database) == []
    with database.reading() as connection:
        (closed,) = since(connection, NOON)
    assert closed.closed_at == NOON + OFF


def test_a_cause_that_comes_and_goes_is_one_alert(database: Database) -> None:
    for step in range(10):
        look(database, *([cause()] if step % 2 else []), now=NOON + step * OFF / 2)
    with database.reading() as connection:
        assert size(connection, alerts) == 1


def test_a_cause_that_returns_after_its_alert_closed_is_a_new_alert(database: Database) -> None:
    look(database, cause())
    look(database, now=NOON + OFF)
    look(database, cause(), now=NOON + 2 * OFF)
    assert only(database).raised_at == NOON + 2 * OFF
    with database.reading() as connection:
        assert [alert.closed_at is None for alert in since(connection, NOON)] == [True, False]


def test_what_could_not_be_looked_at_stays_open(database: Database) -> None:
    look(database, cause(), cause(LATE))
    look(database, now=NOON + 10 * OFF, at=frozenset({LATE}))
    assert only(database).kind == LOST


def test_the_loudest_and_unacknowledged_stand_first(database: Database) -> None:
    look(database, cause(LATE, "a"), cause(LOST, "b"))
    look(database, cause(LATE, "a"), cause(LOST, "b"), cause(LOST, "c"), now=NOON + SECOND)
    assert [alert.subject for alert in read(database)] == ["c", "b", "a"]
    loudest = read(database)[0].id
    with database.writing() as connection:
        acknowledge(connection, loudest, who="ann", note="", now=NOON)
    assert [alert.subject for alert in read(database)] == ["b", "c", "a"]


def test_an_acknowledgement_is_audited_and_leaves_the_alert_open(database: Database) -> None:
    look(database, cause())
    number = only(database).id
    with database.writing() as connection:
        alert = acknowledge(connection, number, who="ann", note="cable ordered", now=NOON + SECOND)
        entry = connection.execute(select(audit_log)).one()
    assert (alert.acknowledged_by, alert.acknowledged_at, alert.note) == ("ann", NOON + SECOND, "cable ordered")
    assert (entry.who, entry.action, entry.subject, entry.reason) == (
        "ann", "alert.acknowledge", "CAMERA_LOST top", "cable ordered",
    )  # fmt: skip
    look(database, cause(), now=NOON + 2 * SECOND)
    assert only(database).acknowledged_by == "ann"


def test_an_alert_that_becomes_louder_needs_to_be_acknowledged_again(database: Database) -> None:
    look(database, cause(LATE))
    number = only(database).id
    with database.writing() as connection:
        acknowledge(connection, number, who="ann", note="", now=NOON)
    look(database, cause(LATE), now=NOON + SECOND)
    assert only(database).acknowledged_by == "ann"
    look(database, cause(LATE, severity=Severity.RED), now=NOON + SECOND)
    assert (only(database).severity, only(database).acknowledged_by) == ("red", None)
    number = only(database).id
    with database.writing() as connection:
        acknowledge(connection, number, who="bob", note="", now=NOON)
    look(database, cause(LATE), now=NOON + SECOND)
    assert (only(database).severity, only(database).acknowledged_by) == ("amber", "bob")


@pytest.mark.parametrize("tries", ["twice", "closed", "unknown"])
def test_what_cannot_be_acknowledged_is_refused_and_leaves_no_entry(database: Database, tries: str) -> None:
    look(database, cause())
    number = only(database).id
    with database.writing() as connection:
        if tries == "twice":
            acknowledge(connection, number, who="ann", note="", now=NOON)
        elif tries == "closed":
            keep(connection, [], looked_at=EVERY, now=NOON + OFF)
    before = 1 if tries == "twice" else 0
    wanted = {"twice": "acknowledged by ann before", "closed": "has closed by itself", "unknown": "no alert"}[tries]
    with pytest.raises(NotAllowed, match=wanted), database.writing() as connection:
        acknowledge(connection, number + (tries == "unknown"), who="bob", note="", now=NOON)
    with database.reading() as connection:
        assert size(connection, audit_log) == before


def test_the_database_itself_refuses_a_second_open_alert_for_one_cause(database: Database) -> None:
    look(database, cause())
    with database.reading() as connection:
        row = dict(connection.execute(select(alerts)).one()._mapping)
    del row["id"]
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(insert(alerts).values(row))
    with database.writing() as connection:
        connection.execute(insert(alerts).values(row | {"closed_at": NOON}))


def test_every_kind_has_its_habit() -> None:
    assert HABITS.keys() == set(Kind)


def test_a_mark_is_the_last_time_that_something_was_done(database: Database) -> None:
    with database.writing() as connection:
        assert marked(connection, "watch") is None
        mark(connection, "watch", now=NOON)
        mark(connection, "watch", now=NOON + SECOND, detail="12 s")
        mark(connection, "backup", now=NOON)
        assert (marked(connection, "watch"), marked(connection, "backup")) == (NOON + SECOND, NOON)


class Watched(RuleBasedStateMachine):
    """Causes come and go; the model keeps when each was last seen."""

    fresh: Fresh

    def __init__(self) -> None:
        super().__init__()
        self.opened = self.fresh()
        self.database = self.opened.__enter__()
        self.now = NOON
        self.open: dict[tuple[Kind, str], tuple[datetime, datetime]] = {}  # raised, last seen

    def teardown(self) -> None:
        self.opened.__exit__(None, None, None)

    @rule(
        seen=st.sets(st.tuples(st.sampled_from([LOST, LATE]), st.sampled_from(["a", "b"]))),
        looked=st.frozensets(st.sampled_from([LOST, LATE])),
        seconds=st.sampled_from([0, 5, 29, 30, 61]),
    )
    def looks(self, seen: set[tuple[Kind, str]], looked: frozenset[Kind], seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        look(self.database, *(cause(*key) for key in seen), now=self.now, at=looked)
        for key in seen:
            self.open[key] = (self.open.get(key, (self.now, self.now))[0], self.now)
        over = [
            key
            for key, (_, last) in self.open.items()
            if key not in seen and key[0] in looked and self.now - last >= timedelta(seconds=HABITS[key[0]].off)
        ]
        for key in over:
            del self.open[key]

    @invariant()
    def exactly_the_standing_causes_are_open_once(self) -> None:
        found = {(alert.kind, alert.subject): (alert.raised_at, alert.seen_at) for alert in read(self.database)}
        assert found == {(str(kind), subject): times for (kind, subject), times in self.open.items()}


def test_whatever_comes_and_goes_one_alert_is_open_for_each_cause(fresh: Fresh) -> None:
    machine = type("OnThisDatabase", (Watched,), {"fresh": staticmethod(fresh)})
    run_state_machine_as_test(machine, settings=settings(max_examples=10, stateful_step_count=10, deadline=None))
