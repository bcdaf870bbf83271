"""What raises an alarm, what asks for a stop, and what takes it back."""

import pytest

from core.gates import Gate
from core.verdicts import LineState, MachineVerdict, NoVerdictReason, PhysicalRoute
from tests.workers.gate.bench import qualified, told
from workers.gate.andon import WINDOW, Andon, Sensors
from workers.gate.parts import Decision, View
from workers.gate.permission import Bypass, Permission

S = 10**9
RUNNING = Sensors(line_running=True)


def andon(**rules: object) -> Andon:
    return Andon(Gate.model_validate({"name": "g", "cameras": ["top"], "deadline_ms": 1000, **rules}))


def decision(verdict: str, reason: str = "", *, seen: bool = True) -> Decision:
    view = View(MachineVerdict(verdict), reason, "", told(1, verdict)) if seen else None
    return Decision(MachineVerdict(verdict), reason, "in words", PhysicalRoute.REJECTED, view=view)


LATE = decision("NO_VERDICT", NoVerdictReason.LATE, seen=False)
PASS, FAIL, INVALID = decision("PASS"), decision("FAIL"), decision("INVALID", "FROZEN")


def after(*decisions: Decision, **rules: object) -> Andon:
    watched = andon(**rules)
    for each in decisions:
        watched.decided(each)
    watched.look(0, RUNNING, qualified())
    return watched


def test_one_late_verdict_is_amber_and_the_third_in_a_row_stops_the_line() -> None:
    assert after(LATE).alarms.keys() == {"LATE_VERDICT"}
    assert after(LATE).severity("LATE_VERDICT") == "amber"
    assert not after(LATE, LATE, PASS, LATE, LATE).stop
    stopped = after(LATE, LATE, LATE)
    assert stopped.stop.keys() == {"LATE_VERDICT"}
    assert stopped.severity("LATE_VERDICT") == "red"


def test_a_verdict_in_time_ends_the_row() -> None:
    assert after(LATE, LATE, FAIL).alarms == {}


def test_a_pass_that_was_withheld_came_in_time() -> None:
    withheld = decision("NO_VERDICT", NoVerdictReason.NOT_QUALIFIED)
    assert not after(LATE, LATE, withheld, LATE).stop


def test_more_than_half_a_percent_of_the_last_thousand_stops_the_line() -> None:
    five = [each for _ in range(5) for each in (LATE, *[PASS] * 150)]
    assert not after(*five).stop
    assert after(*five, LATE, PASS).stop.keys() == {"NO_VERDICT_RATE"}
    assert not after(LATE, *[PASS] * WINDOW, *five).stop, "the first has left the window"


def test_fails_in_a_row_stop_the_line_and_what_was_not_judged_neither_counts_nor_breaks() -> None:
    assert after(FAIL, FAIL, LATE, FAIL, INVALID, FAIL).stop.keys() == {"CONSECUTIVE_REJECT"}
    assert not after(FAIL, FAIL, FAIL, PASS, FAIL).stop


def test_invalid_pictures_in_a_row_stop_the_line() -> None:
    stopped = after(INVALID, INVALID, INVALID)
    assert stopped.stop.keys() == {"IMAGE_INVALID_RUN"}
    assert "FROZEN" in stopped.stop["IMAGE_INVALID_RUN"]
    assert not after(INVALID, INVALID, PASS, INVALID).stop


def test_another_product_than_the_plc_runs_stops_the_line() -> None:
    assert after(decision("NO_VERDICT", NoVerdictReason.RECIPE_MISMATCH)).stop.keys() == {"WRONG_PRODUCT"}


def test_a_trigger_error_is_an_alarm_and_no_stop() -> None:
    watched = after(decision("NO_VERDICT", NoVerdictReason.TRIGGER_ERROR, seen=False))
    assert watched.alarms.keys() == {"TRIGGER_MISMATCH"}
    assert not watched.stop


def test_parts_without_any_verdict_for_five_seconds_are_not_inspected() -> None:
    watched = andon()
    watched.triggered(1 * S)
    watched.triggered(5 * S)
    watched.look(6 * S - 1, RUNNING, qualified())
    assert not watched.stop
    watched.look(6 * S, RUNNING, qualified())
    assert watched.stop.keys() == {"NOT_INSPECTING"}
    assert watched.state(6 * S, RUNNING, qualified()) is LineState.NOT_INSPECTING
    watched.heard()
    watched.look(7 * S, RUNNING, qualified())
    assert "NOT_INSPECTING" not in watched.alarms


def test_no_part_no_silence() -> None:
    watched = andon()
    watched.look(10**15, RUNNING, qualified())
    assert watched.alarms == {}


@pytest.mark.parametrize(
    ("sensors", "kind", "stops"),
    [
        (Sensors(bin_full=True), "BIN_FULL", True),
        (Sensors(bin_open=True), "BIN_OPEN", False),
        (Sensors(low_air=True), "LOW_AIR", True),
    ],
)
def test_what_the_sensors_say(sensors: Sensors, kind: str, stops: bool) -> None:
    watched = andon()
    watched.look(0, sensors, qualified())
    assert watched.alarms.keys() == {kind}
    assert (kind in watched.stop) == stops
    watched.look(1, RUNNING, qualified())
    assert watched.alarms == {}
    assert bool(watched.stop) == stops, "a stop stays until somebody has looked"


def test_a_site_chooses_what_stops_its_line() -> None:
    watched = andon(stop_on=["BIN_OPEN"], stop_late=1)
    watched.decided(LATE)
    watched.look(0, Sensors(bin_full=True), qualified())
    assert not watched.stop
    watched.look(0, Sensors(bin_open=True), qualified())
    assert watched.stop.keys() == {"BIN_OPEN"}


@pytest.mark.parametrize("rule", ["stop_late", "stop_late_percent", "stop_fail", "stop_invalid", "stop_silent_s"])
def test_each_rule_can_be_switched_off(rule: str) -> None:
    rules: dict[str, object] = dict.fromkeys(
        ("stop_late", "stop_late_percent", "stop_fail", "stop_invalid", "stop_silent_s"), 0
    )
    rules.pop(rule)
    kinds = {"stop_late": "LATE_VERDICT", "stop_late_percent": "NO_VERDICT_RATE", "stop_fail": "CONSECUTIVE_REJECT",
             "stop_invalid": "IMAGE_INVALID_RUN", "stop_silent_s": "NOT_INSPECTING"}  # fmt: skip
    watched = andon(**rules)
    watched.triggered(1)
    for each in [LATE] * 10 + [FAIL] * 10 + [INVALID] * 10 + [LATE] * 10:
        watched.decided(each)
    watched.look(60 * S, RUNNING, qualified())
    assert watched.stop.keys() == {kinds[rule]}


def test_a_reset_takes_back_what_stays_but_not_what_is_still_wrong() -> None:
    watched = after(FAIL, FAIL, FAIL, FAIL)
    watched.look(0, Sensors(bin_full=True), qualified())
    assert watched.stop.keys() == {"CONSECUTIVE_REJECT", "BIN_FULL"}
    watched.reset()
    assert watched.stop == {}
    watched.look(0, Sensors(bin_full=True), qualified())
    assert watched.stop.keys() == watched.alarms.keys() == {"BIN_FULL"}


def test_bypass_challenge_broker_and_faults_are_alarms() -> None:
    permission = Permission(challenge_ns=10)
    permission.qualify(0)
    permission.fault("plc", "silent")
    permission.allow(Bypass("b", "lead", "cleaning", "two people", until=50))
    watched = andon()
    watched.look(20, RUNNING, permission, deaf="no broker")
    assert watched.alarms.keys() == {"GATE_FAULT", "BROKER_DOWN", "BYPASS_ACTIVE", "CHALLENGE_OVERDUE", "CHALLENGE_DUE"}
    assert watched.alarms["BYPASS_ACTIVE"] == "by lead: cleaning"
    permission.fault("plc", "")
    watched.look(60, RUNNING, permission)
    assert watched.alarms.keys() == {"BYPASS_EXPIRED", "CHALLENGE_DUE"}
    assert [watched.severity(kind) for kind in ("BYPASS_EXPIRED", "CHALLENGE_DUE")] == ["red", "white"]


def test_the_state_of_the_line() -> None:
    permission, watched = qualified(), andon()
    watched.look(0, RUNNING, permission)
    assert watched.state(0, RUNNING, permission) is LineState.RUNNING
    assert watched.state(0, Sensors(), permission) is LineState.STOPPED
    watched.mismatch("odd")
    assert watched.state(0, RUNNING, permission) is LineState.DEGRADED
    permission.fault("plc", "silent")
    assert watched.state(0, RUNNING, permission) is LineState.NOT_INSPECTING
    permission.fault("plc", "")
    permission.allow(Bypass("b", "lead", "why", "control", until=50))
    assert watched.state(0, RUNNING, permission) is LineState.NOT_INSPECTING, "nobody looks during a bypass"
