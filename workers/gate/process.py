"""The gate's loop: what reached it, what is due, what is wrong; then the journal, then the PLC, then the others.

It needs neither broker nor database nor dashboard: all of them are reached from threads that may fail for ever.
"""

import logging
import queue
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from core.errors import StoreUnavailable
from core.gates import Gate
from core.stop import Stop
from core.verdicts import LineState, MachineVerdict, NoVerdictReason, PhysicalRoute
from workers.gate import records
from workers.gate.andon import WINDOW, Andon, Sensors
from workers.gate.belt import Ruler
from workers.gate.diary import Diary
from workers.gate.events import (
    RESULT_CODES,
    Acknowledged,
    Confirmed,
    Counters,
    Event,
    Heard,
    Listening,
    Moved,
    Outputs,
    Triggered,
)
from workers.gate.image import Image
from workers.gate.journal import Journal
from workers.gate.ledger import Ledger
from workers.gate.orders import RESET, obey
from workers.gate.permission import Permission
from workers.gate.records import Run, Standing
from workers.gate.report import Report
from workers.gate.tracker import Commanded, Effect, Note, Routed, Rules, Tracked, Tracker

log = logging.getLogger(__name__)

Inbox = queue.SimpleQueue[Event]

LONGEST_TURN = 0.02  # s
MOST_EVENTS = 256  # in one turn
LOOK_NS = 200_000_000  # between two looks at orders and listeners
TIDY_NS = 10_000_000_000


def rules_of(gate: Gate, cameras_m: Mapping[str, float]) -> Rules:
    """A gate's table as the tracker takes it. cameras_m: metres from the trigger to each camera."""
    a_second = gate.fastest_m_s * gate.counts_per_m
    ruler = Ruler(
        to_gate=gate.counts_to_gate, fastest=a_second, slack=int(gate.slack_ms * 1e6), grace=int(gate.margin_ms * 1e6),
        rollback=round(gate.rollback_mm / 1000 * gate.counts_per_m), confirm=round(gate.confirm_ms / 1000 * a_second),
        to_cameras=tuple((camera, round(m * gate.counts_per_m)) for camera, m in cameras_m.items()),
    )  # fmt: skip
    return Rules(
        cameras=frozenset(gate.cameras), budget=int(gate.budget_ms * 1e6), grace=int(gate.margin_ms * 1e6),
        confirm=int(gate.confirm_ms * 1e6), has_sensor=gate.reject_sensor, has_hold_lane=gate.hold_lane,
        by_barcode=gate.part_ids == "barcode", early=gate.command == "early", product_codes=gate.product_codes,
        within_ms=gate.capture_within_ms, ruler=ruler if gate.counts_per_m else None,
    )  # fmt: skip


@dataclass(frozen=True)
class Around:
    """What the loop finds around it: clocks, how to wake the senders and show the state, who is in trouble or dead.

    cameras_m: metres from the trigger to each camera along the belt.
    """

    monotonic: Callable[[], int] = time.monotonic_ns
    utc: Callable[[], int] = time.time_ns
    wake: Callable[[], None] = lambda: None
    show: Callable[[Report], None] = lambda _: None
    troubles: Callable[[], dict[str, str]] = dict[str, str]
    dead: Callable[[], list[str]] = list[str]
    cameras_m: Mapping[str, float] = field(default_factory=dict)


class GateLoop:
    """One gate. Owned by one thread; others only put events into `inbox`. Raises StoreUnavailable without a journal."""

    def __init__(self, gate: Gate, image: Image, journal: Journal, inbox: Inbox, *, around: Around) -> None:
        self._gate, self._image, self._journal, self._inbox, self._around = gate, image, journal, inbox, around
        self._permission = Permission(
            withhold=gate.unqualified == "withhold", challenge_ns=int(gate.challenge_hours * 3600e9)
        )
        self._andon = Andon(gate)
        self._session = self._begin_session()
        self._ledger = Ledger(journal, Run(gate, self._session))
        earlier = self._ledger.take_up()
        self._diary = Diary(journal, Run(gate, self._session), around.utc)
        self._tracker = Tracker(
            rules_of(gate, around.cameras_m), self._permission, last=earlier.last, owed=earlier.owed,
            newest=earlier.newest,
        )  # fmt: skip
        self._deaf = "no verdicts are heard yet"
        self._sensors = Sensors()
        self._running_since: int | None = None
        self._changed: set[int] = set()  # told as a reject, against the decision: the journal could not note it
        self._counters = Counters()
        self._latencies: deque[float] = deque(maxlen=WINDOW)
        self._bypass_until = "", 0  # a bypass, and its end in ns UTC
        self._look_at = self._tidy_at = 0

    def run(self, stop: Stop, turned: Callable[[], None] = lambda: None) -> None:
        """Turn until asked to stop; the next start gives the parts that are under way then their route."""
        while not stop.asked:
            self.turn()
            turned()

    def turn(self, timeout: float = LONGEST_TURN) -> None:
        """Deal with what has come, waiting at most `timeout` seconds for it."""
        events = self._events(timeout)
        now = self._around.monotonic()
        effects = [effect for event in events for effect in self._apply(event, now)]
        effects += self._tracker.tick(now)
        effects += self._watch_encoder(now)
        self._carry_out(effects, now)
        self._watch(now)
        if now >= self._look_at:
            self._look(now)
        self._image.beat()

    def report(self, now: int) -> Report:
        """The gate's state for people and listeners."""
        return Report(
            gate=self._gate.name, session=self._session, at=self._around.utc(), line_state=self._state(now),
            flags=tuple(self._flags(now)), alarms=self._andon.alarms, stop=self._andon.stop,
            in_flight=self._tracker.in_flight, counters=self._counters,
            notes={str(note): n for note, n in self._tracker.notes.items()},
            steps={str(step): n for step, n in self._tracker.steps.items()}, troubles=self._around.troubles(),
        )  # fmt: skip

    def _begin_session(self) -> int:
        """The start in ns UTC; later than every earlier one, wherever the clock was set meanwhile."""
        session = max(self._around.utc(), (self._journal.recall("session") or 0) + 1)
        self._journal.remember("session", session)
        return session

    def _events(self, timeout: float) -> list[Event]:
        due = self._tracker.next_due
        if due is not None:
            timeout = min(timeout, max(0.0, (due - self._around.monotonic()) / 1e9))
        found: list[Event] = []
        with suppress(queue.Empty):
            found.append(self._inbox.get(timeout=timeout) if timeout else self._inbox.get_nowait())
            while len(found) < MOST_EVENTS:
                found.append(self._inbox.get_nowait())
        return found

    def _apply(self, event: Event, now: int) -> list[Effect]:
        if isinstance(event, Triggered):
            self._andon.triggered(event.trigger.at)
            return self._tracker.trigger(event.trigger, now)
        if isinstance(event, Moved):
            return self._tracker.moved(event.count, event.at, now)
        if isinstance(event, Heard):
            return self._hear(event, now)
        if isinstance(event, Acknowledged):
            is_clean = event.is_clean and event.number not in self._changed
            return self._tracker.acknowledged(event.number, now, is_clean=is_clean)
        if isinstance(event, Confirmed):
            effects, was_expected = self._tracker.confirmed(event.seq, now)
            if not was_expected:
                self._andon.mismatch(f"the sensor saw part {event.seq}, which was not to be kept off the line now")
            return effects
        assert isinstance(event, Listening)
        self._deaf = event.trouble
        return []

    def _hear(self, event: Heard, now: int) -> list[Effect]:
        orphans = self._tracker.notes[Note.ORPHAN]
        effects = self._tracker.verdict(event.told, now, is_stale=event.is_stale)
        if event.told.camera in self._gate.cameras and not event.is_stale:
            self._andon.heard()
        if self._tracker.notes[Note.ORPHAN] > orphans:
            part = event.told.part_id or "no part"
            self._andon.mismatch(f"frame {event.told.id} was judged for {part}, which no trigger announced before it")
        return effects

    def _carry_out(self, effects: list[Effect], now: int) -> None:
        """The journal first: what it cannot note is not accepted."""
        for effect in effects:
            if not isinstance(effect, Tracked):
                self._count(effect)
        is_noted = self._enter(effects, now)
        refused: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Commanded):
                refused += self._tell(effect, now, is_noted=is_noted)
        if refused:
            self._carry_out(refused, now)
        ended = {effect.part.number for effect in effects if isinstance(effect, Routed)}
        self._changed -= ended
        if ended:
            self._around.wake()

    def _enter(self, effects: list[Effect], now: int) -> bool:
        standing = Standing(self._state(now), ",".join(self._flags(now)), ",".join(self._andon.alarms))
        is_noted = self._ledger.enter(effects, standing, now, last_seq=self._tracker.last_seq)
        self._permission.fault("journal", self._ledger.trouble)
        return is_noted

    def _tell(self, command: Commanded, now: int, *, is_noted: bool) -> list[Effect]:
        part = command.part
        result = records.result(part, command.decision)
        if result.accepts and not is_noted:
            self._changed.add(part.number)
            result = replace(result, accepts=False, code=RESULT_CODES[MachineVerdict.NO_VERDICT])
        if self._image.present(result):
            return []
        log.error("the PLC has not taken its last results; it gets none for part %d", part.trigger.seq)
        return self._tracker.undelivered(part.number, now)

    def _count(self, effect: Commanded | Routed) -> None:
        part, decision, old = effect.part, effect.decision, self._counters
        if isinstance(effect, Routed):
            if effect.route is PhysicalRoute.UNCONFIRMED:
                self._andon.latch("GATE_UNCONFIRMED", f"part {part.trigger.seq}: {effect.detail}")
            if part.commanded_at:
                return  # it was counted when it was told
        self._andon.decided(decision)
        verdict = decision.verdict
        self._counters = Counters(
            triggers=old.triggers + 1,
            ok=old.ok + (verdict is MachineVerdict.PASS),
            ng=old.ng + (verdict in {MachineVerdict.FAIL, MachineVerdict.REVIEW}),
            trigger_errors=old.trigger_errors + (decision.reason == NoVerdictReason.TRIGGER_ERROR),
            no_verdict=old.no_verdict + (verdict is MachineVerdict.NO_VERDICT),
            invalid=old.invalid + (verdict is MachineVerdict.INVALID),
        )
        if part.seen_ms is not None:
            self._latencies.append(part.seen_ms)

    def _watch(self, now: int) -> None:
        """Sensors, faults, alarms, and what the PLC reads of them."""
        before, self._sensors = self._sensors, self._image.sensors
        silent = self._image.plc_silent_ns
        is_silent = silent is None or silent > self._gate.plc_silent_ms * 1e6
        self._permission.fault("plc", "the PLC's heartbeat does not change" if is_silent else "")
        if self._sensors.key_switch and not before.key_switch:
            self._diary.note(RESET, who="the key switch", why="somebody turned it at the gate")
            self._reset("the key switch")
        self._andon.look(now, self._sensors, self._permission, deaf=self._deaf)
        ms = self._latencies or (0.0,)
        self._image.show(
            Outputs(
                fault=bool(self._permission.faults), not_qualified=not self._permission.is_qualified(now),
                bypass=self._permission.bypass(now) is not None, stop_request=bool(self._andon.stop),
                challenge_due=self._permission.is_challenge_due(now), line_state=self._state(now),
                counters=self._counters, average_ms=round(sum(ms) / len(ms)), least_ms=round(min(ms)),
                most_ms=round(max(ms)),
            )
        )  # fmt: skip

    def _watch_encoder(self, now: int) -> list[Effect]:
        """An encoder that stands still while the line runs is broken, or its PLC does not write it."""
        still = self._gate.encoder_still_s
        self._running_since = (self._running_since or now) if self._sensors.line_running and still else None
        effects: list[Effect] = []
        why = ""
        if self._running_since is not None:
            effects, stands = self._tracker.stands(now, since=self._running_since, most=int(still * 1e9))
            why = f"the encoder has stood still for {still:g} s while the line runs" if stands else ""
        self._permission.fault("encoder", why)
        return effects

    def _look(self, now: int) -> None:
        """Orders, threads, alarms to tell, the report; a few times a second."""
        self._look_at = now + LOOK_NS
        if dead := self._around.dead():
            raise RuntimeError(f"the gate cannot work any more, these threads have ended: {', '.join(dead)}")
        self._take_orders(now)
        self._diary.look(self._permission, now)
        alarms = self._andon.alarms
        severities = {kind: self._andon.severity(kind) for kind in alarms}
        utc, bypass = self._around.utc(), self._permission.bypass(now)
        if bypass and bypass.id != self._bypass_until[0]:  # once: two clocks never differ by the same twice
            self._bypass_until = bypass.id, utc + bypass.until - now
        until = self._bypass_until[1] if bypass else 0
        for kind in self._ledger.tell_alarms(alarms, severities, utc, bypass_until=until):
            log.warning("%s: %s", kind, alarms[kind])
        if now >= self._tidy_at:
            self._tidy_at = now + TIDY_NS
            self._ledger.tidy()
        report = self.report(now)
        self._ledger.look(report.to_dict())
        self._permission.fault("journal", self._ledger.trouble)
        self._around.show(report)
        self._around.wake()

    def _take_orders(self, now: int) -> None:
        try:
            orders = self._diary.take_orders()
        except StoreUnavailable:
            return  # the ledger finds out too, and says so
        for order in orders:
            if obey(order, self._permission, now, most_minutes=self._gate.bypass_most_minutes):
                self._reset(str(order.get("who", "")))

    def _reset(self, who: str) -> None:
        """Somebody has looked: alarms and the request to stop go; what is still wrong comes back at once."""
        log.info("reset by %s; it took back %s", who, ", ".join(self._andon.alarms) or "nothing")
        self._andon.reset()

    def _state(self, now: int) -> LineState:
        return self._andon.state(now, self._sensors, self._permission)

    def _flags(self, now: int) -> list[str]:
        flags = {
            "NOT_QUALIFIED": not self._permission.is_qualified(now), "BYPASS": self._permission.bypass(now) is not None,
            "STOP_REQUEST": bool(self._andon.stop), "FAULT": bool(self._permission.faults),
            "CHALLENGE_DUE": self._permission.is_challenge_due(now),
        }  # fmt: skip
        return [name for name, is_on in flags.items() if is_on]
