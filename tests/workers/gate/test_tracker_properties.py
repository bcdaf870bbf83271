"""Whatever comes in whatever order: nothing is accepted unproved, and every trigger ends in exactly one route."""

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.verdicts import GateAction, MachineVerdict, PhysicalRoute
from tests.workers.gate.bench import MS, told, trigger
from workers.gate.belt import COUNTS, Ruler
from workers.gate.parts import Part
from workers.gate.permission import Bypass, Permission
from workers.gate.tracker import Commanded, Effect, Routed, Rules, Tracked, Tracker

CAMERAS = ("top", "side")
WRAP = 1 << 32
RULER = Ruler(to_gate=1170, fastest=1000, slack=170 * MS, grace=100 * MS, rollback=10, confirm=500)


def messages() -> st.SearchStrategy[dict[str, Any]]:
    """What a verdict message may say, mostly PASS; `captured_at` counts from the trigger."""
    return st.fixed_dictionaries({
        "verdict": st.sampled_from([*map(str, MachineVerdict), "PASS", "PASS", "PASS", "GOOD"]),
        "score": st.sampled_from([0.1, 0.1, 0.1, 0.3, None]),
        "is_late": st.sampled_from([False, False, True]),
        "captured_at": st.sampled_from([0, 0, 300 * MS, 5000 * MS]),
    })  # fmt: skip


class AnyOrder(RuleBasedStateMachine):
    """Drives a tracker with anything that may happen, and keeps its own, much simpler notes of what was proved."""

    @initialize(
        rules=st.builds(
            Rules, cameras=st.sampled_from([frozenset(CAMERAS[:1]), frozenset(CAMERAS)]), budget=st.just(1000 * MS),
            grace=st.just(100 * MS), confirm=st.just(500 * MS), has_sensor=st.booleans(), has_hold_lane=st.booleans(),
            early=st.booleans(), most_in_flight=st.sampled_from([3, 256]), within_ms=st.sampled_from([0, 400]),
            ruler=st.sampled_from([None, RULER]),
        ),
        last=st.sampled_from([None, 0, 5, WRAP - 2]),
    )  # fmt: skip
    def begin(self, rules: Rules, last: int | None) -> None:
        self.set_up = rules
        self.permission = Permission()
        self.now = 0
        self.permission.qualify(0)
        self.tracker = Tracker(self.set_up, self.permission, last=last)
        self.seq = last if last is not None else 7
        self.frame = 0
        self.triggers: list[tuple[str, int]] = []  # id and time, as the PLC announced them
        self.proofs: list[tuple[str, str, int]] = []  # id, camera, time heard
        self.tracked: Counter[int] = Counter()
        self.commanded: Counter[int] = Counter()
        self.routed: Counter[int] = Counter()
        self.bypassing = False
        self.way, self.count, self.epoch = 0, COUNTS - 300, 0  # the belt, its encoder, how often that lost count
        self.begun: dict[int, tuple[int, int]] = {}  # way and epoch at a part's trigger
        self.tell_place()

    def tell_place(self) -> None:
        self.take(self.tracker.moved(self.count, self.now, self.now))

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            number = effect.part.number
            if isinstance(effect, Tracked):
                self.tracked[number] += 1
                self.begun[number] = self.way, self.epoch
            elif isinstance(effect, Commanded):
                assert self.tracked[number] == 1
                assert not self.routed[number], "told after its end"
                self.commanded[number] += 1
                if effect.decision.action is GateAction.ACCEPT:
                    self.must_be_proved(effect)
            else:
                assert isinstance(effect, Routed)
                self.routed[number] += 1
                if effect.route is PhysicalRoute.ACCEPTED:
                    assert effect.decision.verdict is MachineVerdict.PASS
                    assert self.commanded[number] == 1

    def must_be_proved(self, effect: Commanded) -> None:
        part = effect.part
        if effect.decision.route is PhysicalRoute.ACCEPTED_BYPASS:
            assert self.bypassing
            return
        assert effect.decision.verdict is MachineVerdict.PASS
        assert self.permission.is_qualified(self.now)
        assert not self.permission.faults
        for camera in self.set_up.cameras:
            assert any(
                (i, c) == (part.id, camera) and part.trigger.at <= at < self.deadline(part) for i, c, at in self.proofs
            ), f"{part.id} was accepted without a PASS of {camera} in time"
        twins = [at for i, at in self.triggers if i == part.id and at >= part.trigger.at]
        assert len(twins) == 1, "two parts under way by one id, and nobody can tell whose PASS it is"
        if self.set_up.ruler is None:
            assert self.now <= part.due + self.set_up.grace, "told when it was too late"
            return
        way, epoch = self.begun[part.number]
        assert epoch == self.epoch, "accepted although nobody knew where the belt was"
        assert self.way <= way + RULER.to_gate, "told when the belt had carried it past the gate"

    def deadline(self, part: Part) -> int:
        """By time; by the belt it is the moment of the command, which the place above is asked for."""
        return part.trigger.at + self.set_up.budget if self.set_up.ruler is None else self.now + 1

    @rule(step=st.sampled_from([1, 1, 1, 1, 2, 5, 200, 0, -3, WRAP - 1]), lag=st.sampled_from([0, 0, 20, 2000]))
    def announce(self, step: int, lag: int) -> None:
        self.seq = (self.seq + step) % WRAP
        at = max(0, self.now - lag * MS)
        self.triggers.append((str(self.seq), at))
        self.take(self.tracker.trigger(trigger(self.seq, at, utc=at, encoder=self.count), self.now))

    @precondition(lambda self: self.triggers)
    @rule(back=st.integers(0, 4), camera=st.sampled_from([*CAMERAS, "elsewhere"]), message=messages(),
          again=st.booleans(), stale=st.sampled_from([False, False, False, True]))  # fmt: skip
    def hear(self, back: int, camera: str, message: dict[str, Any], again: bool, stale: bool) -> None:
        part_id, at = self.triggers[-1 - min(back, len(self.triggers) - 1)]
        self.frame += not again
        values = message | {"camera": camera, "seq": self.frame, "captured_at": at + message["captured_at"]}
        if values["verdict"] == "PASS" and values["score"] == 0.1 and not values["is_late"] and not stale:
            self.proofs.append((part_id, camera, self.now))
        self.take(self.tracker.verdict(told(part_id, **values), self.now, is_stale=stale))

    @rule(waits=st.tuples(*[st.sampled_from([0, 100, 600, 999, 1000])] * 2), then=st.sampled_from([0, 900, 1000, 1101]),
          mishap=st.sampled_from(["", "", "lost", "unseen"]))  # fmt: skip
    def good_part(self, waits: tuple[int, int], then: int, mishap: str) -> None:
        """As most of a day goes: announced, seen by all cameras, told, acknowledged.

        lost: the encoder loses count, and somebody qualifies at once. unseen: nobody tells how the belt goes on.
        """
        self.announce(1, 0)
        good = {"verdict": "PASS", "score": 0.1, "is_late": False, "captured_at": 0}
        for camera, ms in zip(CAMERAS, waits, strict=True):
            self.go_on(ms)
            self.hear(0, camera, good, again=False, stale=False)
        if mishap == "lost":
            self.lose_count(900)
            self.qualify(yes=True)
        elif mishap == "unseen":
            self.wait(3000)
            self.way, self.count = self.way + 3000, (self.count + 3000) % COUNTS
            self.tell_place()
        self.go_on(then)
        self.look()

    def go_on(self, ms: int) -> None:
        if self.set_up.ruler:
            self.run_belt(ms, 1.0)
        else:
            self.wait(ms)

    @rule(ms=st.sampled_from([0, 1, 10, 50, 99, 101, 500, 999, 1000, 1001, 3000]))
    def wait(self, ms: int) -> None:
        self.now += ms * MS

    @rule(ms=st.sampled_from([20, 100, 400, 980, 1300]), speed=st.sampled_from([0.0, 0.3, 1.0, 1.0]))
    def run_belt(self, ms: int, speed: float) -> None:
        for _ in range(ms // 20):
            self.now += 20 * MS
            self.way += int(20 * speed)
            self.count = (self.count + int(20 * speed)) % COUNTS
            self.tell_place()

    @rule(by=st.sampled_from([11, 40, 900, 5000, COUNTS // 2]))
    def lose_count(self, by: int) -> None:
        """The encoder is reset, or runs backward."""
        self.take(self.tracker.tick(self.now))
        self.count, self.epoch = (self.count - by) % COUNTS, self.epoch + 1
        self.tell_place()
        if self.set_up.ruler:
            assert self.permission.faults.get("belt")
            assert not self.permission.is_qualified(self.now)

    @rule(since=st.sampled_from([0, 1000, 6000]))
    def line_runs(self, since: int) -> None:
        effects, stands = self.tracker.stands(self.now, since=max(0, self.now - since * MS), most=5000 * MS)
        self.epoch += stands
        self.take(effects)

    @rule()
    def look(self) -> None:
        self.take(self.tracker.tick(self.now))

    @rule()
    def clock_stands_back(self) -> None:
        self.take(self.tracker.tick(max(0, self.now - 5000 * MS)))

    @rule(number=st.integers(0, 40), clean=st.sampled_from([True, True, False]))
    def acknowledge(self, number: int, clean: bool) -> None:
        self.take(self.tracker.acknowledged(number, self.now, is_clean=clean))

    @rule(number=st.integers(0, 40))
    def cannot_tell(self, number: int) -> None:
        self.take(self.tracker.undelivered(number, self.now))

    @rule(back=st.integers(0, 5))
    def confirm(self, back: int) -> None:
        effects, _ = self.tracker.confirmed((self.seq - back) % WRAP, self.now)
        self.take(effects)

    @rule(yes=st.sampled_from([True, True, True, False]))
    def qualify(self, yes: bool) -> None:
        self.take(self.tracker.tick(self.now))
        if yes:
            self.permission.qualify(self.now)
        else:
            self.permission.disqualify()

    @rule(detail=st.sampled_from(["", "", "", "the PLC is silent"]))
    def fault(self, detail: str) -> None:
        self.take(self.tracker.tick(self.now))
        self.permission.fault("plc", detail)

    @rule(ms=st.sampled_from([0, 0, 0, 2000]))
    def bypass(self, ms: int) -> None:
        self.take(self.tracker.tick(self.now))
        if ms:
            self.permission.allow(Bypass("b1", "lead", "camera cleaned", "two people look", self.now + ms * MS))
        else:
            self.permission.end_bypass()

    @invariant()
    def never_twice(self) -> None:
        self.bypassing = self.permission.bypass(self.now) is not None
        assert max([*self.tracked.values(), *self.commanded.values(), *self.routed.values()], default=0) <= 1

    def teardown(self) -> None:
        if not hasattr(self, "tracker"):
            return
        for _ in range(2):  # all deadlines, then all confirmations
            self.now += 10_000 * MS
            self.way, self.count = self.way + 5_000, (self.count + 5_000) % COUNTS
            self.bypassing = self.permission.bypass(self.now) is not None
            self.tell_place()
            self.take(self.tracker.tick(self.now))
        never_seen = sum(self.routed.values()) - len(self.triggers)
        assert never_seen >= 0
        assert set(self.routed) == set(range(len(self.triggers) + never_seen)), "each trigger has exactly one route"
        assert self.tracker.in_flight == 0
        assert self.tracker.next_due is None


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
