"""Which part is where between camera and gate, and what the gate does with it. Pure: no I/O, and time comes in.

Bad until proven good (INV-2): a part is accepted only when all its cameras said PASS for its very id after its trigger
and before its deadline, or while a bypass is active. Whatever else happens, it is rejected.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from core.messages import FrameInspected
from core.verdicts import GateAction, MachineVerdict, NoVerdictReason, PhysicalRoute, route
from workers.gate.belt import Belt, Ruler
from workers.gate.owed import Owed
from workers.gate.parts import Decision, Part, Trigger, View, believe, too_soon, weigh
from workers.gate.permission import Permission
from workers.gate.sequence import Sequence, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How one gate tracks parts; times in ns.

    cameras: each is one view that a part needs. budget: from trigger to command. grace: a command that is later than
    this after its time accepts nothing. confirm: wait for the PLC's acknowledgement and, where `has_sensor`, for the
    sensor that sees a rejected part. early: tell a part as soon as it and all before it are decided. ruler: measure
    deadlines by the belt's encoder; budget and confirm then hold only while nobody knows where the belt is.
    """

    cameras: frozenset[str]
    budget: int
    grace: int = 100_000_000
    confirm: int = 1_000_000_000
    has_sensor: bool = False
    has_hold_lane: bool = False
    by_barcode: bool = False
    early: bool = False
    most_in_flight: int = 256
    product_codes: Mapping[str, int] = field(default_factory=dict)
    within_ms: int = 0
    ruler: Ruler | None = None


@dataclass(frozen=True, slots=True)
class Tracked:
    """A part is under way; exactly once for each trigger that was announced."""

    part: Part


@dataclass(frozen=True, slots=True)
class Commanded:
    """Tell the PLC now; exactly once for each trigger."""

    part: Part
    decision: Decision


@dataclass(frozen=True, slots=True)
class Routed:
    """The part's end, exactly once for each trigger. `number` is part of its identity; `route` is final."""

    part: Part
    decision: Decision
    route: PhysicalRoute
    detail: str


Effect = Tracked | Commanded | Routed


class Note(StrEnum):
    """Verdicts that decide nothing, counted by why."""

    LATE = "late"  # for a part that was decided already: evidence (INV-4)
    ORPHAN = "orphan"  # for a part that no trigger announced
    DUPLICATE = "duplicate"  # the frame, or a newer one of its camera, was heard before
    STALE = "stale"  # older than this run of the gate
    FOREIGN = "foreign"  # of a camera that does not belong to this gate


class Tracker:
    """Parts in the order of their triggers. Every method first deals with what is due at its time.

    last: newest trigger number of an earlier run. newest: by camera, session and seq of the newest frame heard then; no
    frame up to it counts again. owed: ids of that run whose verdicts may still come; a part is not
    trusted under such an id, because nobody could tell whose verdict it would get, unless the time of the picture does.
    """

    def __init__(
        self,
        rules: Rules,
        permission: Permission,
        *,
        last: int | None = None,
        owed: Iterable[str] = (),
        newest: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        self._rules, self._permission = rules, permission
        self._sequence = Sequence(last)
        self._belt = Belt(rules.ruler) if rules.ruler else None
        self._number = 0
        self._now = 0
        self._flying: dict[int, Part] = {}
        self._by_id: dict[str, list[Part]] = {}
        self._told: dict[int, Part] = {}
        self._owed = Owed()
        for part_id in owed:
            self._owed.owe(part_id, rules.cameras)
        self._newest = dict(newest or {})
        self.notes: Counter[Note] = Counter()
        self.steps: Counter[Step] = Counter()

    @property
    def next_due(self) -> int | None:
        """When `tick` has something to do, as far as time alone tells."""
        times = [part.due for part in self._flying.values() if part.place is None]
        times += [part.commanded_at + self._rules.confirm for part in self._told.values()
                  if part.place is None or not part.is_acknowledged]  # fmt: skip
        return min(times, default=None)

    @property
    def last_seq(self) -> int | None:
        """The newest trigger number that is trusted."""
        return self._sequence.last

    @property
    def in_flight(self) -> int:
        """Parts that are not decided yet."""
        return len(self._flying)

    def trigger(self, trigger: Trigger, now: int) -> list[Effect]:
        """A part is on its way. Raises ValueError for a number that no 32-bit counter has."""
        judged = self._sequence.judge(trigger.seq)
        effects = self.tick(now)
        if self._belt:
            effects += self.moved(trigger.encoder, trigger.at, now)
        self.steps[judged.step] += 1
        for seq in judged.missing:
            effects.append(self._never_seen(seq, trigger))
        part_id = trigger.code if self._rules.by_barcode else str(trigger.seq)
        place = self._belt.place if self._belt else None
        part = Part(self._next_number(), part_id, trigger, trigger.at + self._rules.budget, place)
        if not judged.is_trusted:
            part.spoiled = f"trigger {trigger.seq} is {judged.step.replace('_', ' ').lower()}"
        elif not part_id:
            part.spoiled = "the PLC handed over no barcode"
        elif part_id in self._owed and not self._rules.within_ms:
            part.spoiled = f"a verdict for an earlier part {part_id} may still come"
        for twin in self._by_id.get(part_id, []) if part_id else []:
            twin.spoiled = part.spoiled = f"two parts go by the id {part_id}"
        if any(told.id == part_id for told in self._told.values()) and not part.spoiled:
            part.spoiled = f"part {part_id} is at the gate already"
        if len(self._flying) >= self._rules.most_in_flight:
            part.spoiled = f"triggered while busy with {len(self._flying)} parts"
            return [*effects, Tracked(part), self._command(part)]
        self._flying[part.number] = part
        if part_id:
            self._by_id.setdefault(part_id, []).append(part)
        return [*effects, Tracked(part), *self.tick(now)]

    def verdict(self, told: FrameInspected, now: int, *, is_stale: bool = False) -> list[Effect]:
        """A camera's verdict came; is_stale: it was there before this gate began to listen, so it decides nothing."""
        effects = self.tick(now)
        note = self._refused(told, is_stale=is_stale)
        if note is None:
            part = next((p for p in self._by_id[told.part_id] if told.camera not in p.views), None)
            part = part or self._by_id[told.part_id][-1]
            part.seen_at = now
            part.see(self._seen(told, part))
            return [*effects, *self._release()]
        self.notes[note] += 1
        return effects

    def tick(self, now: int) -> list[Effect]:
        """Command what is due, end what waited too long for its confirmation. Time never runs backward in here."""
        self._now = now = max(now, self._now)
        overdue = [part for part in self._told.values() if self._is_overdue(part)]
        ended = [self._end(part, is_certain=False) for part in overdue]
        due = [part for part in self._flying.values() if self._is_due(part)]
        return [*ended, *map(self._command, due), *self._release()]

    def moved(self, count: int, at: int, now: int) -> list[Effect]:
        """The belt's encoder stood at `count`; one that ran backward or was reset must be qualified anew."""
        if self._belt and (lost := self._belt.move(count, at)):
            self._permission.lose_track(lost)
            self._lose_belt(lost)
        return self.tick(now)

    def stands(self, now: int, *, since: int, most: int) -> tuple[list[Effect], bool]:
        """The line has run since then: whether the belt's encoder has stood still for longer than that, `most` ns."""
        if not self._belt or now - max(since, self._belt.moved_at) < most:
            return [], False
        self._lose_belt("the encoder stood still while the line ran")
        return self.tick(now), True

    def acknowledged(self, number: int, now: int, *, is_clean: bool = True) -> list[Effect]:
        """The PLC took the result of a trigger; not clean: it may have seen another one than was commanded."""
        effects = self.tick(now)
        if part := self._told.get(number):
            if not is_clean:
                return [*effects, self._end(part, is_certain=False)]
            part.is_acknowledged = True
            effects += self._settle(part)
        return effects

    def undelivered(self, number: int, now: int) -> list[Effect]:
        """The result of a trigger could not be told: the PLC holds too many already."""
        effects = self.tick(now)
        if part := self._told.get(number):
            effects.append(self._end(part, is_certain=False))
        return effects

    def confirmed(self, seq: int, now: int) -> tuple[list[Effect], bool]:
        """The gate's sensor saw the part of that number kept off the line; False: it should not have been."""
        effects = self.tick(now)
        part = next((p for p in self._told.values() if p.trigger.seq == seq and not p.is_confirmed), None)
        if part is None or part.decision is None or part.decision.action is GateAction.ACCEPT:
            return effects, False
        part.is_confirmed = True
        return [*effects, *self._settle(part)], True

    def _lose_belt(self, why: str) -> None:
        """Nobody knows where the parts under way are: none is accepted, and each is told by time."""
        for part in (*self._flying.values(), *self._told.values()):
            if part.place is not None:
                part.place, part.spoiled = None, part.spoiled or why

    def _gate_of(self, part: Part) -> int:
        """The belt's place that brings the part to the gate."""
        assert self._rules.ruler is not None
        return (part.place or 0) + self._rules.ruler.to_gate

    def _is_due(self, part: Part) -> bool:
        if part.place is None or self._belt is None:
            return part.due <= self._now
        return self._belt.is_due(self._gate_of(part), self._now)

    def _is_overdue(self, part: Part) -> bool:
        """Whether the PLC, or the sensor that sees the part, should have confirmed by now."""
        if part.place is None or self._belt is None or self._rules.ruler is None or not part.is_acknowledged:
            return self._now >= part.commanded_at + self._rules.confirm
        return self._belt.place >= self._gate_of(part) + self._rules.ruler.confirm

    def _seen(self, told: FrameInspected, part: Part) -> View:
        view = believe(told, self._rules.product_codes, part.trigger, self._rules.within_ms)
        is_pass = view.verdict is MachineVerdict.PASS
        if is_pass and self._belt and part.place is not None and not self._belt.has_reached(told.camera, part.place):
            return too_soon(told)
        return view

    def _refused(self, told: FrameInspected, *, is_stale: bool) -> Note | None:
        if told.camera not in self._rules.cameras:
            return Note.FOREIGN
        frame = (told.session, told.seq)
        if frame <= self._newest.get(told.camera, (-1, -1)):
            return Note.DUPLICATE
        self._newest[told.camera] = frame
        if told.part_id and told.part_id in self._by_id and not is_stale:
            return None
        if not is_stale and not self._owed.pay(told.part_id, told.camera):
            return Note.ORPHAN
        return Note.STALE if is_stale else Note.LATE

    def _release(self) -> Iterator[Effect]:
        """Early commands: from the head of the line, as far as all views are there."""
        while self._rules.early and self._flying:
            head = next(iter(self._flying.values()))
            if not (head.spoiled or self._rules.cameras <= head.views.keys()):
                return
            yield self._command(head)

    def _command(self, part: Part) -> Commanded:
        now = self._now
        self._flying.pop(part.number, None)
        twins = [twin for twin in self._by_id.pop(part.id, []) if twin is not part]
        if twins:
            self._by_id[part.id] = twins
        if part.id:
            self._owed.owe(part.id, self._rules.cameras - part.views.keys())
        part.decision, part.commanded_at = self._decide(part, now), now
        self._told[part.number] = part
        return Commanded(part, part.decision)

    def _decide(self, part: Part, now: int) -> Decision:
        decision = self._judge(part)
        if bypass := self._permission.bypass(now):
            return Decision(
                decision.verdict,
                decision.reason,
                decision.detail,
                PhysicalRoute.ACCEPTED_BYPASS,
                bypass.id,
                decision.view,
            )
        if decision.verdict is not MachineVerdict.PASS:
            return decision
        if late := self._lateness(part, now):
            return _no_verdict(NoVerdictReason.LATE, late, decision.view)
        if withheld := self._permission.withheld(now):
            return _no_verdict(*withheld, decision.view)
        return decision

    def _lateness(self, part: Part, now: int) -> str:
        """Why the gate itself is too late for a part; "" = it is not."""
        if part.place is not None and self._belt:
            is_late = self._belt.is_too_late(self._gate_of(part), now)
            return "the belt had brought it too near to the gate, or did not tell where it was" if is_late else ""
        late = now - part.due
        return f"the gate itself was {late // 1_000_000} ms late" if late > self._rules.grace else ""

    def _judge(self, part: Part) -> Decision:
        if part.spoiled:
            return _no_verdict(NoVerdictReason.TRIGGER_ERROR, part.spoiled)
        worst = weigh(part, self._rules.cameras)
        if isinstance(worst, tuple):
            return _no_verdict(*worst)
        where = route(worst.verdict, hold_lane=self._rules.has_hold_lane)
        return Decision(worst.verdict, worst.reason, worst.detail, where, view=worst)

    def _settle(self, part: Part) -> list[Effect]:
        needs_sensor = self._rules.has_sensor and part.decision and part.decision.action is not GateAction.ACCEPT
        if part.is_acknowledged and (part.is_confirmed or not needs_sensor):
            return [self._end(part, is_certain=True)]
        return []

    def _end(self, part: Part, *, is_certain: bool) -> Routed:
        del self._told[part.number]
        assert part.decision is not None
        if is_certain:
            return Routed(part, part.decision, part.decision.route, part.decision.detail)
        what = "sensor" if part.is_acknowledged else "PLC"
        detail = f"the {what} did not confirm {part.decision.action}"
        return Routed(part, part.decision, PhysicalRoute.UNCONFIRMED, detail)

    def _never_seen(self, seq: int, after: Trigger) -> Routed:
        part = Part(self._next_number(), str(seq), Trigger(seq=seq, at=after.at, utc=after.utc), after.at)
        detail = "its trigger never came; without a result the PLC rejects"
        part.decision = _no_verdict(NoVerdictReason.TRIGGER_ERROR, detail)
        return Routed(part, part.decision, part.decision.route, detail)

    def _next_number(self) -> int:
        self._number += 1
        return self._number - 1


def _no_verdict(reason: NoVerdictReason, detail: str, view: View | None = None) -> Decision:
    return Decision(MachineVerdict.NO_VERDICT, reason, detail, PhysicalRoute.REJECTED_FAILSAFE, view=view)
