"""Deadlines by the belt's encoder: what stands runs out of no time, and an encoder that lies opens no gate."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.gate.bench import MS, RULES, commands, qualified, routes, told, tracker, trigger
from workers.gate.belt import COUNTS, Belt, Ruler
from workers.gate.permission import Permission
from workers.gate.simulated_belt import SimulatedBelt, Trouble
from workers.gate.tracker import Commanded, Effect, Rules, Tracker

RULER = Ruler(to_gate=2400, fastest=1000, slack=170 * MS, grace=100 * MS, rollback=10, confirm=1000)
"""domain.md §3.1: 1.2 m at 0.5 m/s, 2000 counts a metre, 170 ms of slack."""
BY_BELT = replace(RULES, budget=2230 * MS, ruler=RULER)
FAILSAFE = "REJECTED_FAILSAFE"


class Line:
    """A tracker and the belt under it; the PLC tells where it is every 20 ms."""

    def __init__(self, rules: Rules = BY_BELT, permission: Permission | None = None, *, first: int = 5000) -> None:
        self.permission = permission or qualified()
        self.gate: Tracker = tracker(rules, self.permission)
        self.now, self.count = 0, first
        self.effects: list[Effect] = []
        self.acknowledges = True
        self.tell()

    def tell(self) -> None:
        self.effects += self.gate.moved(self.count % COUNTS, self.now, self.now)

    def go(self, ms: int, *, speed: float = 1.0) -> None:
        """Time goes on, and the belt at `speed` counts a millisecond."""
        for _ in range(ms // 20):
            self.now += 20 * MS
            self.count += int(20 * speed)
            self.tell()
            if self.acknowledges:
                self.acknowledge()

    def announce(self, seq: int) -> None:
        self.effects += self.gate.trigger(trigger(seq, self.now, encoder=self.count % COUNTS), self.now)

    def hear(self, seq: int, verdict: str = "PASS", **more: object) -> None:
        self.effects += self.gate.verdict(told(seq, verdict, **more), self.now)

    def acknowledge(self) -> None:
        for effect in [each for each in self.effects if isinstance(each, Commanded)]:
            self.effects += self.gate.acknowledged(effect.part.number, self.now)

    def told(self) -> dict[int, str]:
        return commands(self.effects)

    def routes(self) -> dict[int, tuple[str, str]]:
        self.acknowledge()
        return routes(self.effects)


def test_the_encoder_form_of_the_handbook() -> None:
    """At full speed it is due when 170 counts are left, 2.23 s from the trigger: as by time."""
    line = Line()
    line.announce(7)
    line.hear(7)
    line.go(2220)
    assert line.told() == {}
    line.go(20)
    assert line.told() == {7: "ACCEPT"}


def test_at_half_the_speed_it_is_due_twice_as_late_and_half_as_near() -> None:
    line = Line()
    line.announce(7)
    line.hear(7)
    line.go(4600, speed=0.5)  # 100 counts left; 85 are the slack
    assert line.told() == {}
    line.go(40, speed=0.5)
    assert line.told() == {7: "ACCEPT"}


def test_a_belt_that_stands_runs_out_no_deadline() -> None:
    line = Line()
    line.announce(7)
    line.go(1000)
    line.go(600_000, speed=0)
    assert line.told() == {}
    line.hear(7)
    line.go(1000)
    assert line.told() == {}
    line.go(300)
    assert line.told() == {7: "ACCEPT"}


def test_a_belt_that_goes_on_without_a_verdict_rejects() -> None:
    line = Line()
    line.announce(7)
    line.go(2000)
    line.go(10_000, speed=0)
    line.go(300)
    line.hear(7)
    assert line.routes() == {7: (FAILSAFE, "LATE")}


def test_a_part_that_stands_just_before_the_gate_is_told_when_the_belt_starts_again() -> None:
    line = Line()
    line.announce(7)
    line.go(2220)  # 180 counts left
    line.go(5000, speed=0)
    line.hear(7)
    line.go(60, speed=0.5)
    line.go(80)
    assert line.told() == {7: "ACCEPT"}


def test_the_count_may_wrap() -> None:
    line = Line(first=COUNTS - 1000)
    line.announce(7)
    line.hear(7)
    line.go(2240)
    assert line.routes() == {7: ("ACCEPTED", "")}


def test_a_belt_that_rolls_back_a_little_when_it_stops_is_no_fault() -> None:
    line = Line()
    line.announce(7)
    line.go(1000)
    line.count -= 10
    line.go(1000, speed=0)
    line.hear(7)
    line.go(1300)
    assert line.routes() == {7: ("ACCEPTED", "")}


@pytest.mark.parametrize("there", [0, 5_989, 7_300, 6_000 + COUNTS // 2], ids=["reset", "back", "leap", "garbled"])
def test_an_encoder_that_was_reset_or_runs_backward_is_a_fault_until_somebody_qualifies(there: int) -> None:
    line = Line()
    line.announce(7)
    line.hear(7)
    line.go(1000)
    line.count = there
    line.tell()
    assert "encoder" in line.permission.faults["belt"]
    assert not line.permission.is_qualified(line.now)
    line.go(3000)
    assert line.routes() == {7: (FAILSAFE, "TRIGGER_ERROR")}
    line.announce(8)
    line.hear(8)
    line.go(3000)
    assert line.routes()[8] == (FAILSAFE, "INTERNAL_ERROR")
    line.permission.qualify(line.now)
    line.announce(9)
    line.hear(9)
    line.go(3000)
    assert line.routes()[9] == ("ACCEPTED", "")


def test_a_site_that_only_flags_what_is_not_qualified_accepts_nothing_by_a_lost_belt_either() -> None:
    line = Line(permission=Permission(withhold=False))
    line.go(1000)
    line.count = 0
    line.announce(7)  # the trigger itself tells it
    line.hear(7)
    line.go(2300)
    assert line.routes() == {7: (FAILSAFE, "INTERNAL_ERROR")}


def test_what_creeps_back_under_the_allowance_is_found_in_sum() -> None:
    line = Line()
    line.go(1000)
    for _ in range(11):
        line.count -= 1
        line.go(20, speed=0)
    assert "backward" in line.permission.faults["belt"]


def test_while_nobody_knows_where_the_belt_is_parts_are_told_by_time() -> None:
    line = Line()
    line.announce(7)
    line.go(1000)
    line.count = 0
    line.go(1220, speed=0)
    assert line.told() == {}
    line.go(20, speed=0)
    assert line.told() == {7: "REJECT"}


def test_an_encoder_that_stands_still_while_the_line_runs_spoils_what_is_under_way() -> None:
    line = Line()
    line.announce(7)
    line.hear(7)
    line.go(1000)
    line.go(4980, speed=0)
    assert line.gate.stands(line.now, since=0, most=5000 * MS) == ([], False)
    line.go(20, speed=0)
    effects, stands = line.gate.stands(line.now, since=0, most=5000 * MS)
    assert stands
    assert commands(effects) == {7: "REJECT"}
    assert line.gate.stands(line.now, since=line.now - 1, most=5000 * MS) == ([], False), "it has only begun to run"


def test_a_gate_by_time_knows_no_belt() -> None:
    gate = tracker()
    assert gate.moved(5, 0, 0) == []
    assert gate.moved(3, 0, 0) == []
    assert gate.stands(10**12, since=0, most=1) == ([], False)


def test_a_place_that_nobody_has_told_for_too_long_accepts_nothing() -> None:
    """As when the gate hung, or the PLC was cut off: the belt may be anywhere by now."""
    line = Line()
    line.announce(7)
    line.hear(7)
    line.go(2220)
    hung_at = line.now
    line.now += 400 * MS
    for ms in range(20, 420, 20):  # what the PLC told meanwhile is heard now
        line.effects += line.gate.moved(line.count + ms, hung_at + ms * MS, line.now)
    assert line.routes() == {7: (FAILSAFE, "LATE")}


def test_a_belt_that_has_passed_the_gate_meanwhile_accepts_nothing() -> None:
    line = Line()
    line.announce(7)
    line.hear(7)
    line.now += 2500 * MS
    line.count += 2500
    line.tell()
    assert line.routes() == {7: (FAILSAFE, "LATE")}


def test_a_verdict_before_the_belt_has_brought_the_part_to_its_camera_is_another_part_s() -> None:
    rules = replace(BY_BELT, ruler=replace(RULER, to_cameras=(("top", 1000),)))
    line = Line(rules)
    line.announce(7)
    line.announce(8)
    line.go(880)
    line.hear(7)
    line.go(20)
    line.hear(8)  # 100 counts early are allowed
    line.go(1400)
    assert line.routes() == {7: (FAILSAFE, "TRIGGER_ERROR"), 8: ("ACCEPTED", "")}


def test_the_sensor_has_as_much_belt_as_it_needs_and_no_stop_runs_it_out() -> None:
    line = Line(replace(BY_BELT, has_sensor=True))
    for seq in (7, 8):
        line.announce(seq)
    line.go(2240)
    assert line.routes() == {}
    line.go(60_000, speed=0)
    assert line.routes() == {}
    effects, was_expected = line.gate.confirmed(8, line.now)
    assert was_expected
    assert routes(effects) == {8: (FAILSAFE, "LATE")}
    line.go(1200)
    assert routes(line.effects)[7] == ("UNCONFIRMED", "LATE")


def test_the_plc_s_acknowledgement_is_waited_for_by_time() -> None:
    line = Line()
    line.acknowledges = False
    line.announce(7)
    line.hear(7)
    line.go(2240)
    line.go(1000, speed=0)
    assert routes(line.effects) == {7: ("UNCONFIRMED", "")}


@pytest.mark.parametrize("count", [-1, COUNTS])
def test_a_count_of_more_than_32_bits_is_nobody_s(count: int) -> None:
    with pytest.raises(ValueError, match="32 bits"):
        Belt(RULER).move(count, 0)


@given(st.lists(st.tuples(st.integers(1, 150), st.floats(0, 1.0)), min_size=1, max_size=200),
       st.integers(0, COUNTS - 1))  # fmt: skip
def test_no_belt_that_only_goes_forward_is_ever_doubted_and_its_place_is_exact(
    steps: list[tuple[int, float]], first: int
) -> None:
    belt, now, way = Belt(RULER), 0, 0
    assert belt.move(first, 0) == ""
    for ms, speed in steps:
        now += ms * MS
        way += int(ms * speed)
        assert belt.move((first + way) % COUNTS, now) == ""
        assert belt.place == way
        assert 0 <= belt.speed(now) <= 2 * RULER.fastest


@given(st.lists(st.integers(0, 20), max_size=100), st.integers(11, COUNTS - 5000))
def test_no_step_back_beyond_the_allowance_goes_unseen(steps: list[int], back: int) -> None:
    belt, now, count = Belt(RULER), 0, 10_000
    belt.move(count, now)
    for step in steps:
        now, count = now + 20 * MS, count + step
        belt.move(count, now)
    before = belt.place
    assert "encoder" in belt.move((count - back) % COUNTS, now + 20 * MS)
    assert belt.place == before


def test_the_simulated_belt_stands_runs_back_and_loses_count() -> None:
    belt = SimulatedBelt(1000, 0.0)
    belt.go(2.0)
    assert (belt.way, belt.count) == (2.0, 1000)
    belt.suffer(Trouble.STAND)
    belt.go(3.0)
    assert (belt.runs, belt.way) == (False, 2.0)
    belt.go(5.0)
    assert (belt.runs, belt.way) == (True, 3.0)
    belt.suffer(Trouble.REVERSE)
    belt.go(5.5)
    assert belt.way == 2.5
    belt.suffer(Trouble.RESET)
    belt.go(6.5)
    assert belt.count == 1000
    belt.suffer(Trouble.DEAD)
    belt.go(9.5)
    assert (belt.way, belt.count) == (6.5, 1000)
