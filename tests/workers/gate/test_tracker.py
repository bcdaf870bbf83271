"""The gate's rules by example: who is accepted, who is not, and what is said of it."""

from dataclasses import replace

import pytest

from core.verdicts import MachineVerdict
from tests.workers.gate.bench import BUDGET, MS, RULES, commands, qualified, routes, run_out, told, tracker, trigger
from workers.gate.permission import Bypass, Permission
from workers.gate.sequence import Step
from workers.gate.tracker import Commanded, Note, Routed, Tracked

TWO = replace(RULES, cameras=frozenset({"top", "side"}))
FAILSAFE = "REJECTED_FAILSAFE"


def test_a_pass_in_time_accepts_its_part_at_its_time_and_not_before() -> None:
    gate = tracker()
    assert [type(effect) for effect in gate.trigger(trigger(7, 0), 0)] == [Tracked]
    assert gate.verdict(told(7), 10) == []
    assert gate.tick(BUDGET - 1) == []
    assert commands(gate.tick(BUDGET)) == {7: "ACCEPT"}


def test_a_part_without_a_verdict_is_rejected_as_late() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    effects = run_out(gate, BUDGET)
    assert commands(effects) == {7: "REJECT"}
    assert routes(effects) == {7: (FAILSAFE, "LATE")}


@pytest.mark.parametrize(("at", "action"), [(BUDGET - 1, "ACCEPT"), (BUDGET, "REJECT"), (BUDGET + 1, "REJECT")])
def test_a_pass_must_come_before_the_deadline(at: int, action: str) -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    assert commands(gate.verdict(told(7), at) + gate.tick(BUDGET)) == {7: action}


def test_a_late_pass_is_evidence_and_moves_nothing() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    run_out(gate, BUDGET)
    assert gate.verdict(told(7), BUDGET + 1) == []
    assert gate.notes == {Note.LATE: 1}


@pytest.mark.parametrize(
    ("verdict", "hold_lane", "action", "where"),
    [
        ("PASS", False, "ACCEPT", "ACCEPTED"),
        ("FAIL", True, "REJECT", "REJECTED"),
        ("REVIEW", True, "HOLD", "HELD"),
        ("REVIEW", False, "REJECT", "REJECTED"),
        ("INVALID", True, "REJECT", FAILSAFE),
        ("NO_VERDICT", True, "REJECT", FAILSAFE),
        ("pass", True, "REJECT", FAILSAFE),
        ("", True, "REJECT", FAILSAFE),
    ],
)
def test_each_verdict_has_its_route(verdict: str, hold_lane: bool, action: str, where: str) -> None:
    gate = tracker(replace(RULES, has_hold_lane=hold_lane))
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7, verdict), 1)
    effects = run_out(gate, BUDGET)
    assert commands(effects) == {7: action}
    assert routes(effects)[7][0] == where


@pytest.mark.parametrize(
    "doubt", [{"is_late": True}, {"score": None}, {"t_lo": None}, {"score": 0.3}, {"score": float("nan")}]
)
def test_a_pass_that_contradicts_itself_proves_nothing(doubt: dict[str, object]) -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7, "PASS", **doubt), 1)
    assert commands(gate.tick(BUDGET)) == {7: "REJECT"}


def test_a_pass_counts_for_its_own_part_only() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    gate.trigger(trigger(8, 100), 100)
    gate.verdict(told(8), 200)
    assert commands(gate.tick(BUDGET + 100)) == {7: "REJECT", 8: "ACCEPT"}


def test_a_verdict_for_a_part_that_nobody_announced_decides_nothing_even_if_it_is_announced_later() -> None:
    gate = tracker()
    gate.verdict(told(7), 1)
    gate.trigger(trigger(7, 2), 2)
    assert commands(gate.tick(2 + BUDGET)) == {7: "REJECT"}
    assert gate.notes == {Note.ORPHAN: 1}


def test_a_verdict_without_a_part_is_never_given_to_the_part_at_hand() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told("", seq=1), 1)
    assert commands(gate.tick(BUDGET)) == {7: "REJECT"}


def test_a_verdict_that_was_there_before_the_gate_decides_nothing() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7), 1, is_stale=True)
    gate.verdict(told(7), 2)
    assert commands(gate.tick(BUDGET)) == {7: "REJECT"}
    assert gate.notes == {Note.STALE: 1, Note.DUPLICATE: 1}


def test_a_frame_that_was_heard_before_decides_nothing_for_a_later_part_of_the_same_number() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7, seq=100), 1)
    run_out(gate, BUDGET)
    gate.trigger(trigger(6, 2 * BUDGET), 2 * BUDGET)  # the counter was set anew
    gate.trigger(trigger(7, 2 * BUDGET), 2 * BUDGET)
    gate.verdict(told(7, seq=100), 2 * BUDGET + 1)
    assert commands(gate.tick(3 * BUDGET)) == {6: "REJECT", 7: "REJECT"}


def test_a_part_is_not_trusted_by_an_id_whose_earlier_verdict_may_still_come() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    run_out(gate, BUDGET)
    gate.trigger(trigger(6, 2 * BUDGET), 2 * BUDGET)
    gate.trigger(trigger(7, 2 * BUDGET), 2 * BUDGET)
    gate.verdict(told(7), 2 * BUDGET + 1)  # of which of the two?
    effects = run_out(gate, 3 * BUDGET)
    assert commands(effects)[7] == "REJECT"
    assert routes(effects)[7] == (FAILSAFE, "TRIGGER_ERROR")


def test_what_an_earlier_run_left_open_is_not_trusted_either() -> None:
    gate = tracker(owed=["7"], last=6)
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7), 1)
    assert commands(gate.tick(BUDGET)) == {7: "REJECT"}


def test_once_the_earlier_verdict_has_come_the_id_is_free_again() -> None:
    gate = tracker(owed=["7"])
    gate.verdict(told(7, seq=1), 1)
    gate.trigger(trigger(7, 2), 2)
    gate.verdict(told(7, seq=2), 3)
    assert gate.notes == {Note.LATE: 1}
    assert commands(gate.tick(2 + BUDGET)) == {7: "ACCEPT"}


def test_another_gate_s_camera_is_not_heard() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7, camera="elsewhere"), 1)
    assert commands(gate.tick(BUDGET)) == {7: "REJECT"}
    assert gate.notes == {Note.FOREIGN: 1}


# --- several views -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("one", list(MachineVerdict))
@pytest.mark.parametrize("other", list(MachineVerdict))
def test_the_worst_view_wins(one: MachineVerdict, other: MachineVerdict, early: bool) -> None:
    order = ["FAIL", "NO_VERDICT", "INVALID", "REVIEW", "PASS"]
    gate = tracker(replace(TWO, early=early))
    gate.trigger(trigger(7, 0), 0)
    effects = gate.verdict(told(7, one), 1) + gate.verdict(told(7, other, camera="side"), 2) + gate.tick(BUDGET)
    (command,) = (effect for effect in effects if isinstance(effect, Commanded))
    assert command.decision.verdict == min(one, other, key=order.index)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [("PASS", "VIEW_MISSING"), ("REVIEW", "VIEW_MISSING"), ("INVALID", "VIEW_MISSING"), ("FAIL", "")],
)
def test_a_missing_view_is_no_verdict_unless_the_other_is_worse(seen: str, reason: str) -> None:
    gate = tracker(TWO)
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7, seen), 1)
    effects = run_out(gate, BUDGET)
    assert commands(effects) == {7: "REJECT"}
    assert routes(effects)[7][1] == reason


@pytest.mark.parametrize(("first", "second"), [("FAIL", "PASS"), ("PASS", "FAIL")])
def test_a_second_picture_by_the_same_camera_makes_it_worse_at_most(first: str, second: str) -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7, first, seq=1), 1)
    gate.verdict(told(7, second, seq=2), 2)
    assert commands(gate.tick(BUDGET)) == {7: "REJECT"}


# --- triggers ------------------------------------------------------------------------------------------------------


def test_parts_that_a_gap_left_out_are_on_record_and_the_one_after_it_is_certain() -> None:
    gate = tracker(last=6)
    effects = gate.trigger(trigger(9, 0), 0)
    gate.verdict(told(9), 1)
    effects += run_out(gate, BUDGET)
    assert routes(effects) == {7: (FAILSAFE, "TRIGGER_ERROR"), 8: (FAILSAFE, "TRIGGER_ERROR"), 9: ("ACCEPTED", "")}
    assert gate.steps == {Step.GAP: 1}


def test_a_double_trigger_spoils_both_parts() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7), 1)
    gate.trigger(trigger(7, 2), 2)
    effects = run_out(gate, BUDGET + 2)
    ended = [(e.route, e.decision.reason) for e in effects if isinstance(e, Routed)]
    assert ended == [(FAILSAFE, "TRIGGER_ERROR")] * 2


def test_a_double_trigger_after_the_first_part_was_told_spoils_the_second() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7, seq=1), 1)
    assert commands(gate.tick(BUDGET)) == {7: "ACCEPT"}
    gate.trigger(trigger(7, BUDGET + 1), BUDGET + 1)
    gate.verdict(told(7, seq=2), BUDGET + 2)
    assert commands(run_out(gate, 2 * BUDGET + 1)) == {7: "REJECT"}


def test_a_trigger_while_busy_is_rejected_at_once_and_the_others_go_on() -> None:
    gate = tracker(replace(RULES, most_in_flight=1))
    gate.trigger(trigger(7, 0), 0)
    assert commands(gate.trigger(trigger(8, 1), 1)) == {8: "REJECT"}
    gate.verdict(told(7), 2)
    assert commands(gate.tick(BUDGET)) == {7: "ACCEPT"}


def test_a_stray_number_is_a_trigger_error_whatever_its_verdict() -> None:
    gate = tracker(last=6)
    gate.trigger(trigger(4_000_000, 0), 0)
    gate.verdict(told(4_000_000), 1)
    assert routes(run_out(gate, BUDGET)) == {4_000_000: (FAILSAFE, "TRIGGER_ERROR")}


def test_the_counter_may_wrap() -> None:
    gate = tracker(last=(1 << 32) - 2)
    for seq in ((1 << 32) - 1, 0, 1):
        gate.trigger(trigger(seq, 0), 0)
        gate.verdict(told(seq, session=2, seq=(seq + 5) % (1 << 32)), 1)
    assert commands(gate.tick(BUDGET)) == {(1 << 32) - 1: "ACCEPT", 0: "ACCEPT", 1: "ACCEPT"}


def test_a_trigger_that_reaches_us_late_is_judged_from_its_own_time() -> None:
    gate = tracker()
    effects = gate.trigger(trigger(7, 0), BUDGET)
    assert commands(effects) == {7: "REJECT"}


# --- barcodes ------------------------------------------------------------------------------------------------------


def test_parts_may_go_by_the_barcode_that_the_plc_hands_over() -> None:
    gate = tracker(replace(RULES, by_barcode=True))
    gate.trigger(trigger(7, 0, code="PCB-0815"), 0)
    gate.verdict(told("PCB-0815"), 1)
    gate.verdict(told(7, seq=1), 2)
    assert commands(gate.tick(BUDGET)) == {7: "ACCEPT"}


def test_a_part_whose_barcode_was_not_read_is_never_guessed() -> None:
    gate = tracker(replace(RULES, by_barcode=True))
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told("", seq=1), 1)
    assert routes(run_out(gate, BUDGET)) == {7: (FAILSAFE, "TRIGGER_ERROR")}


def test_a_part_that_comes_again_by_its_barcode_needs_a_new_verdict() -> None:
    gate = tracker(replace(RULES, by_barcode=True))
    gate.trigger(trigger(7, 0, code="A"), 0)
    gate.verdict(told("A", seq=1), 1)
    run_out(gate, BUDGET)
    gate.trigger(trigger(8, 2 * BUDGET, code="A"), 2 * BUDGET)
    assert commands(run_out(gate, 3 * BUDGET)) == {8: "REJECT"}
    gate.verdict(told("A", seq=2), 3 * BUDGET + 1)
    gate.trigger(trigger(9, 4 * BUDGET, code="A"), 4 * BUDGET)
    gate.verdict(told("A", seq=3), 4 * BUDGET + 1)
    assert commands(run_out(gate, 5 * BUDGET)) == {9: "ACCEPT"}


@pytest.mark.parametrize(
    ("away_ms", "action"), [(0, "ACCEPT"), (-50, "ACCEPT"), (51, "REJECT"), (-86_400_000, "REJECT")]
)
def test_picture_and_trigger_must_lie_together_in_time_where_that_is_asked(away_ms: int, action: str) -> None:
    gate = tracker(replace(RULES, within_ms=50), owed=["7"])
    gate.trigger(trigger(7, 0, utc=10**18), 0)
    gate.verdict(told(7, captured_at=10**18 + away_ms * MS), 1)
    assert commands(gate.tick(BUDGET)) == {7: action}


# --- products ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "reason"), [(1, ""), (2, "RECIPE_MISMATCH"), (0, "RECIPE_MISMATCH")])
def test_the_product_that_was_judged_must_be_the_one_that_runs(code: int, reason: str) -> None:
    gate = tracker(replace(RULES, product_codes={"ring": 1, "board": 2}))
    gate.trigger(trigger(7, 0, product_code=code), 0)
    gate.verdict(told(7), 1)
    assert routes(run_out(gate, BUDGET))[7][1] == reason


# --- early commands ------------------------------------------------------------------------------------------------


def test_early_commands_keep_the_order_of_the_line() -> None:
    gate = tracker(replace(RULES, early=True))
    gate.trigger(trigger(7, 0), 0)
    gate.trigger(trigger(8, 100), 100)
    assert gate.verdict(told(8), 200) == []
    assert list(commands(gate.tick(BUDGET)).items()) == [(7, "REJECT"), (8, "ACCEPT")]


def test_an_early_command_comes_with_the_last_view() -> None:
    gate = tracker(replace(TWO, early=True))
    gate.trigger(trigger(7, 0), 0)
    assert gate.verdict(told(7), 1) == []
    assert commands(gate.verdict(told(7, camera="side"), 2)) == {7: "ACCEPT"}


# --- what withholds ------------------------------------------------------------------------------------------------


def test_after_a_start_nothing_is_accepted_until_a_challenge_was_passed() -> None:
    permission = Permission()
    gate = tracker(RULES, permission)
    for seq in (7, 8):
        gate.trigger(trigger(seq, 0), 0)
        gate.verdict(told(seq), 1)
        effects = run_out(gate, BUDGET)
        permission.qualify(BUDGET)
        assert seq == 8 or routes(effects) == {7: (FAILSAFE, "NOT_QUALIFIED")}


def test_a_fault_and_a_pass_never_go_together() -> None:
    permission = qualified()
    gate = tracker(RULES, permission)
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7), 1)
    permission.fault("plc", "the PLC is silent")
    assert routes(run_out(gate, BUDGET)) == {7: (FAILSAFE, "INTERNAL_ERROR")}


def test_a_gate_that_hung_past_the_part_accepts_nothing() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7), 1)
    assert routes(run_out(gate, BUDGET + RULES.grace + 1)) == {7: (FAILSAFE, "LATE")}


@pytest.mark.parametrize("verdict", ["PASS", "FAIL", "NO_VERDICT"])
def test_a_bypass_lets_everything_by_and_says_so(verdict: str) -> None:
    permission = Permission()
    permission.allow(Bypass("b1", "lead", "why", "control", until=10 * BUDGET))
    gate = tracker(RULES, permission)
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7, verdict), 1)
    effects = run_out(gate, BUDGET)
    (ended,) = (effect for effect in effects if isinstance(effect, Routed))
    assert (ended.route, ended.decision.verdict, ended.decision.bypass) == ("ACCEPTED_BYPASS", verdict, "b1")


def test_a_bypass_that_ended_before_the_part_s_time_does_not_help_it() -> None:
    permission = Permission()
    permission.allow(Bypass("b1", "lead", "why", "control", until=BUDGET))
    gate = tracker(RULES, permission)
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7), 1)
    assert routes(run_out(gate, BUDGET)) == {7: (FAILSAFE, "NOT_QUALIFIED")}


# --- confirmation --------------------------------------------------------------------------------------------------


def test_a_part_has_its_route_only_when_the_plc_took_the_result() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7), 1)
    assert routes(gate.tick(BUDGET)) == {}
    assert routes(gate.acknowledged(0, BUDGET + 1)) == {7: ("ACCEPTED", "")}
    assert gate.acknowledged(0, BUDGET + 2) == []


def test_a_result_that_the_plc_never_took_is_unconfirmed() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7), 1)
    gate.tick(BUDGET)
    assert gate.next_due == BUDGET + RULES.confirm
    assert routes(gate.tick(BUDGET + RULES.confirm)) == {7: ("UNCONFIRMED", "")}


def test_a_result_that_changed_while_the_plc_read_it_is_unconfirmed() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7), 1)
    gate.tick(BUDGET)
    assert routes(gate.acknowledged(0, BUDGET, is_clean=False)) == {7: ("UNCONFIRMED", "")}


def test_a_result_that_could_not_be_told_is_unconfirmed() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    gate.tick(BUDGET)
    assert routes(gate.undelivered(0, BUDGET)) == {7: ("UNCONFIRMED", "LATE")}


def test_with_a_sensor_a_rejected_part_must_be_seen() -> None:
    gate = tracker(replace(RULES, has_sensor=True))
    for seq in (7, 8):
        gate.trigger(trigger(seq, 0), 0)
    gate.tick(BUDGET)
    assert gate.acknowledged(0, BUDGET) == gate.acknowledged(1, BUDGET) == []
    effects, was_expected = gate.confirmed(8, BUDGET + 5)
    assert was_expected
    assert routes(effects) == {8: (FAILSAFE, "LATE")}
    assert routes(gate.tick(BUDGET + RULES.confirm)) == {7: ("UNCONFIRMED", "LATE")}


def test_with_a_sensor_an_accepted_part_needs_the_acknowledgement_only() -> None:
    gate = tracker(replace(RULES, has_sensor=True))
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7), 1)
    gate.tick(BUDGET)
    assert routes(gate.acknowledged(0, BUDGET)) == {7: ("ACCEPTED", "")}


def test_an_accepted_part_in_the_reject_bin_is_reported() -> None:
    gate = tracker(replace(RULES, has_sensor=True))
    gate.trigger(trigger(7, 0), 0)
    gate.verdict(told(7), 1)
    gate.tick(BUDGET)
    assert gate.confirmed(7, BUDGET) == ([], False)
    assert gate.confirmed(99, BUDGET) == ([], False)


def test_a_clock_that_runs_backward_extends_no_deadline() -> None:
    gate = tracker()
    gate.trigger(trigger(7, 0), 0)
    gate.tick(BUDGET - 1)
    gate.verdict(told(7), 5)
    assert commands(gate.tick(BUDGET)) == {7: "ACCEPT"}
    gate.trigger(trigger(8, BUDGET), BUDGET)
    gate.tick(2 * BUDGET)
    gate.verdict(told(8), BUDGET + 1)
    assert gate.notes == {Note.LATE: 1}
