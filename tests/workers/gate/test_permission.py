"""When a PASS may accept a part."""

from core.verdicts import NoVerdictReason
from workers.gate.permission import Bypass, Permission

HOUR = 3600 * 10**9


def bypass(until: int) -> Bypass:
    return Bypass("b1", "lead", "camera is being cleaned", "two people look at each part", until)


def test_a_gate_starts_without_qualification() -> None:
    withheld = Permission().withheld(0)
    assert withheld is not None
    assert withheld[0] is NoVerdictReason.NOT_QUALIFIED


def test_a_passed_challenge_qualifies_and_a_failed_one_ends_it() -> None:
    permission = Permission()
    permission.qualify(5)
    assert permission.withheld(10**18) is None
    permission.disqualify()
    assert permission.withheld(10**18)


def test_a_challenge_falls_due_and_then_is_overdue() -> None:
    permission = Permission(challenge_ns=10 * HOUR)
    assert permission.is_challenge_due(0), "nothing was passed yet"
    permission.qualify(0)
    assert not permission.is_challenge_due(8 * HOUR)
    assert permission.is_challenge_due(9 * HOUR)
    assert permission.withheld(10 * HOUR - 1) is None
    withheld = permission.withheld(10 * HOUR)
    assert withheld == (NoVerdictReason.NOT_QUALIFIED, "the challenge is overdue")


def test_a_site_may_choose_to_flag_instead_of_withholding() -> None:
    permission = Permission(withhold=False)
    assert permission.withheld(0) is None
    assert not permission.is_qualified(0), "the flag stands"


def test_any_fault_withholds_until_each_is_gone() -> None:
    permission = Permission(withhold=False)
    permission.fault("plc", "the PLC is silent")
    permission.fault("journal", "the disk is full")
    permission.fault("plc", "")
    assert permission.withheld(0) == (NoVerdictReason.INTERNAL_ERROR, "the disk is full")
    permission.fault("journal", "")
    assert permission.withheld(0) is None


def test_a_bypass_ends_by_itself_and_leaves_the_gate_unqualified() -> None:
    permission = Permission()
    permission.qualify(0)
    permission.allow(bypass(until=100))
    assert permission.bypass(99)
    assert not permission.has_expired(99)
    assert permission.bypass(100) is None
    assert permission.has_expired(100)
    assert not permission.is_qualified(100)


def test_a_bypass_that_a_person_ends_leaves_the_gate_unqualified_too() -> None:
    permission = Permission()
    permission.qualify(0)
    permission.allow(bypass(until=100))
    permission.end_bypass()
    assert not permission.is_qualified(1)
    assert not permission.has_expired(1)


def test_ending_no_bypass_changes_nothing() -> None:
    permission = Permission()
    permission.qualify(0)
    permission.end_bypass()
    assert permission.is_qualified(1)
