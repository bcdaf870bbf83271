"""The gate's loop: from registers and verdicts to results, journal and report."""

import sqlite3
from pathlib import Path

import pytest

from core.errors import StoreUnavailable
from core.messages import PartRouted
from tests.workers.gate.bench import told
from tests.workers.gate.plant import Plant
from workers.gate.events import Listening
from workers.gate.image import Coil, Holding, Input, Register
from workers.gate.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "g.sqlite"


def test_a_good_part_goes_by_and_stands_in_the_books(path: Path) -> None:
    plant = Plant(path, station="press-2")
    plant.trigger(7)
    plant.hear(told(7, captured_at=77, recipe_version=3))
    plant.pass_time(999)
    assert plant.results() == {}
    plant.pass_time(20)
    assert plant.results() == {7: True}
    assert plant.image.read_registers(Register.RECIPE_VERSION, 1) == [3]
    (part,) = plant.routes()
    assert (part.route, part.verdict, part.action) == ("ACCEPTED", "PASS", "ACCEPT")
    assert (part.part_id, part.station) == ("7", "press-2")
    assert (part.product, part.score, part.t_lo, part.model) == ("ring", 0.1, 0.2, "m")
    assert part.frames == [["top", 1, 7, 77]]
    assert 990_000_000 <= part.commanded_at - part.triggered_at <= 1_030_000_000
    assert part.routed_at >= part.commanded_at
    assert (part.line_state, part.flags, part.alarms) == ("RUNNING", "", "")


def test_a_missing_and_a_bad_part_stay_off_the_line(path: Path) -> None:
    plant = Plant(path)
    plant.trigger(7)
    plant.trigger(8)
    plant.hear(told(8, "FAIL"))
    plant.pass_time(1040)
    assert plant.results() == {7: False, 8: False}
    assert plant.route_of(7) == "REJECTED_FAILSAFE LATE"
    assert plant.route_of(8) == "REJECTED"


def test_a_start_qualifies_nobody_whatever_was_ordered_before(path: Path) -> None:
    with Journal(path) as journal:
        journal.order({"kind": "qualify", "who": "lead", "why": "of an earlier run"})
    plant = Plant(path, qualified=False)
    plant.trigger(7)
    plant.hear(told(7))
    plant.pass_time(1040)
    assert plant.results() == {7: False}
    assert plant.route_of(7) == "REJECTED_FAILSAFE NOT_QUALIFIED"
    assert plant.on(Input.NOT_QUALIFIED)
    assert plant.on(Input.CHALLENGE_DUE)


def test_the_next_start_gives_what_was_under_way_its_route_and_goes_on_counting(path: Path) -> None:
    plant = Plant(path)
    for seq in (7, 8):
        plant.trigger(seq)
        plant.hear(told(seq))
        plant.pass_time(500)
    plant.pass_time(40)
    assert plant.results(acknowledge=False) == {7: True}
    plant.journal.close()  # and the process is gone
    again = Plant(path)
    assert again.route_of(7) == "UNCONFIRMED"
    assert again.route_of(8) == "REJECTED_FAILSAFE POWER_CYCLE"
    again.trigger(9)
    again.hear(told(9))
    again.pass_time(1040)
    assert again.results() == {9: True}
    assert not again.journal.left_over()
    sessions = {part.trigger_seq: part.session for part in again.routes()}
    assert sessions[7] == sessions[8]


def test_two_runs_never_share_an_identity_wherever_the_clock_was_set(path: Path) -> None:
    sessions = []
    for _ in range(3):
        plant = Plant(path)  # each at the same wall time
        plant.trigger(7)
        plant.pass_time(1040)
        sessions.append(plant.shown[-1].session)
        plant.journal.close()
    assert len(set(sessions)) == 3
    assert sessions == sorted(sessions)


def test_a_part_of_the_last_run_lends_its_verdict_to_nobody(path: Path) -> None:
    plant = Plant(path)
    plant.trigger(7)
    plant.journal.close()
    again = Plant(path)
    again.trigger(6)
    again.trigger(7)  # the PLC's counter was set back
    again.hear(told(7))
    again.pass_time(1040)
    assert again.results() == {6: False, 7: False}


@pytest.mark.parametrize(("locked_after", "route"), [(0, "REJECTED_FAILSAFE INTERNAL_ERROR"), (999, "UNCONFIRMED")])
def test_what_the_journal_cannot_note_is_not_accepted_and_nothing_is_forgotten(
    path: Path, locked_after: int, route: str
) -> None:
    plant = Plant(path)
    for seq in (7, 8):
        plant.trigger(seq)
        plant.hear(told(seq))
    plant.pass_time(locked_after)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    plant.pass_time(1040 - locked_after)
    assert plant.results() == {7: False, 8: False}
    assert plant.on(Input.FAULT)
    other.execute("ROLLBACK")
    other.close()
    plant.pass_time(500)
    assert not plant.on(Input.FAULT)
    assert [plant.route_of(7), plant.route_of(8)] == [route, route]
    plant.trigger(9)
    plant.hear(told(9))
    plant.pass_time(1040)
    assert plant.results() == {9: True}


def test_a_plc_that_takes_no_results_gets_eight_and_the_others_are_unconfirmed(path: Path) -> None:
    plant = Plant(path, confirm_ms=60_000)
    for seq in range(1, 11):
        plant.trigger(seq)
        plant.hear(told(seq))
    plant.pass_time(1040)
    assert [part.trigger_seq for part in plant.routes() if part.route == "UNCONFIRMED"] == [9, 10]
    assert "GATE_UNCONFIRMED" in plant.stops()
    assert plant.results() == dict.fromkeys(range(1, 9), True)


def test_the_sensor_confirms_what_was_rejected(path: Path) -> None:
    plant = Plant(path, reject_sensor=True)
    plant.trigger(7)
    plant.pass_time(1040)
    plant.results()
    assert plant.routes() == []
    plant.image.write_holding(Holding.CONFIRMED_SEQ, [0, 7])
    plant.write(Coil.GATE_CONFIRMED, on=True)
    plant.pass_time(20)
    assert plant.route_of(7) == "REJECTED_FAILSAFE LATE"


def test_a_rejected_part_that_the_sensor_does_not_see_stops_the_line(path: Path) -> None:
    plant = Plant(path, reject_sensor=True)
    plant.trigger(7)
    plant.pass_time(1040)
    plant.results()
    plant.pass_time(1040)
    assert plant.route_of(7) == "UNCONFIRMED LATE"
    assert "GATE_UNCONFIRMED" in plant.stops()
    assert plant.on(Input.STOP_REQUEST)


def test_a_part_in_the_bin_that_should_not_be_there_is_an_alarm(path: Path) -> None:
    plant = Plant(path, reject_sensor=True)
    plant.image.write_holding(Holding.CONFIRMED_SEQ, [0, 99])
    plant.write(Coil.GATE_CONFIRMED, on=True)
    assert "part 99" in plant.alarms()["TRIGGER_MISMATCH"]


def test_the_key_switch_takes_back_alarms_and_the_stop(path: Path) -> None:
    plant = Plant(path)
    plant.write(Coil.BIN_FULL, on=True)
    assert plant.stops() == {"BIN_FULL"}
    plant.write(Coil.BIN_FULL, on=False)
    assert plant.stops() == {"BIN_FULL"}, "it stays until somebody has looked"
    plant.write(Coil.KEY_SWITCH, on=True)
    assert plant.stops() == set()
    assert not plant.on(Input.STOP_REQUEST)


def test_an_order_takes_them_back_too(path: Path) -> None:
    plant = Plant(path, stop_late=1)
    plant.trigger(7)
    plant.pass_time(1040)
    plant.results()
    assert plant.stops() == {"LATE_VERDICT"}
    plant.order("reset")
    assert plant.stops() == set()


@pytest.mark.parametrize(
    "order",
    [{"kind": "bypass", "minutes": 90}, {"kind": "bypass"}, {"kind": "open-sesame"}, {"kind": "bypass", "minutes": -1}],
)
def test_orders_that_the_gate_does_not_allow_change_nothing(path: Path, order: dict[str, object]) -> None:
    plant = Plant(path)
    plant.order(**order)  # type: ignore[arg-type]
    assert not plant.on(Input.BYPASS)


def test_a_failed_challenge_takes_the_qualification_back(path: Path) -> None:
    plant = Plant(path)
    assert not plant.on(Input.NOT_QUALIFIED)
    plant.order("disqualify")
    assert plant.on(Input.NOT_QUALIFIED)


def test_alarms_are_told_when_they_come_and_when_they_go(path: Path) -> None:
    plant = Plant(path)
    plant.write(Coil.LOW_AIR, on=True)
    plant.pass_time(500)
    plant.write(Coil.LOW_AIR, on=False)
    plant.pass_time(500)
    entries = plant.journal.waiting("books", most=100)
    told_of = [entry for entry in entries if b"LOW_AIR" in entry.body and entry.kind == "alarm"]
    assert [b'"is_active": true' in entry.body for entry in told_of] == [True, False]
    assert len({entry.key for entry in told_of}) == 2


def test_the_report_counts_and_names_what_is_wrong(path: Path) -> None:
    plant = Plant(path)
    for seq, verdict in ((1, "PASS"), (2, "FAIL"), (3, "REVIEW"), (4, "INVALID"), (7, "PASS")):
        plant.trigger(seq)
        plant.hear(told(seq, verdict))
    plant.hear(told(99))
    plant.inbox.put(Listening("no broker"))
    plant.pass_time(1300)
    plant.results()
    plant.pass_time(250)
    report = plant.journal.recall("report")
    counted = {"triggers": 7, "ok": 2, "ng": 2, "trigger_errors": 2, "no_verdict": 2, "invalid": 1}
    assert report["counters"] == counted
    assert report["alarms"].keys() == {"TRIGGER_MISMATCH", "BROKER_DOWN"}
    assert report["notes"] == {"orphan": 1}
    assert report["steps"] == {"NEXT": 4, "GAP": 1}
    words = plant.image.read_registers(Register.TRIGGERS, 12)
    assert words[1::2] == list(counted.values())


def test_the_gate_ends_when_one_of_its_threads_has_ended(path: Path) -> None:
    dead: list[str] = []
    plant = Plant(path, dead=lambda: dead)
    dead.append("modbus")
    with pytest.raises(RuntimeError, match="modbus"):
        plant.pass_time(250)


def test_a_gate_without_a_journal_does_not_start(path: Path) -> None:
    with Journal(path) as journal:
        journal.order({})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        Plant(path)
    other.execute("ROLLBACK")
    other.close()


def test_every_record_that_is_told_can_be_read(path: Path) -> None:
    plant = Plant(path)
    for seq in (1, 5, 5, 90_000, 6):
        plant.trigger(seq)
    plant.pass_time(1040)
    plant.results()
    plant.pass_time(1040)
    assert len(plant.routes()) == 8  # 2, 3 and 4 were never announced
    assert len({part.id for part in plant.routes()}) == 8
    assert all(isinstance(part, PartRouted) for part in plant.routes())


def test_a_frame_that_an_earlier_run_heard_counts_for_nobody_again(path: Path) -> None:
    """As when an old frame is judged once more: a dead letter that was put back, a worker that was killed."""
    plant = Plant(path)
    plant.trigger(7)
    plant.hear(told(7, seq=50))
    plant.pass_time(1040)
    plant.results()
    plant.journal.close()
    again = Plant(path)
    for seq, frame in ((6, 49), (7, 50), (8, 51)):  # the PLC's counter was set back
        again.trigger(seq)
        again.hear(told(seq, seq=frame))
    again.pass_time(1040)
    assert again.results() == {6: False, 7: False, 8: True}
