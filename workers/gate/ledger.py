"""Writes what the gate does into its journal, before anybody is told; what cannot be written waits in memory."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.errors import StoreUnavailable
from core.gate_messages import GateStands
from core.messages import PartRouted
from workers.gate import records
from workers.gate.journal import KEPT, Journal
from workers.gate.records import Run, Standing
from workers.gate.tracker import Effect, Routed, Tracked

log = logging.getLogger(__name__)

MOST_WAITING = 10_000  # records in memory while the journal cannot be written
LAST_SEQ = "last_seq"


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier run: its last trigger number, ids whose verdicts may still come, the newest frame of each camera."""

    last: int | None
    owed: list[str]
    newest: dict[str, tuple[int, int]]


class Ledger:
    """The journal of one run. `trouble` says why it cannot be written; then nothing may be accepted."""

    def __init__(self, journal: Journal, run: Run) -> None:
        self._journal, self._run = journal, run
        self._waiting: list[PartRouted] = []
        self._told: dict[str, str] = {}  # alarms, as they were last told
        self._bypass_until: int | None = None  # as it was last told; None: nothing was told yet
        self._number = 0
        self.trouble = ""

    def take_up(self) -> Earlier:
        """Give the parts that an earlier run left open their route; what the tracker must know of that run.

        Raises StoreUnavailable.
        """
        journal = self._journal
        journal.take_orders()  # whoever gave them spoke to another run; a start is qualified by nobody
        left = journal.left_over()
        with journal.writing():
            for session, number, told in left:
                self._write(records.left_over(self._run, session, number, told))
        if left:
            log.warning("%d parts were under way when the last run ended; they count as rejected", len(left))
        newest: dict[str, tuple[int, int]] = {}
        for entry in journal.newest_routes(KEPT):
            for frame in PartRouted.from_json(entry.body).frame_ids:
                newest[frame.camera] = max(newest.get(frame.camera, (0, 0)), (frame.session, frame.seq))
        return Earlier(journal.recall(LAST_SEQ), journal.owed(len(self._run.gate.cameras)), newest)

    def enter(self, effects: Sequence[Effect], standing: Standing, now: int, *, last_seq: int | None) -> bool:
        """Note what has happened, all or nothing; False when it could not be written and waits."""
        for effect in effects:
            if isinstance(effect, Routed):
                self._waiting.append(records.routed(self._run, effect, standing, now))
        open_ones = [effect.part for effect in effects if not isinstance(effect, Routed)]
        if not open_ones and not self._waiting:
            return True
        try:
            with self._journal.writing():
                for part in open_ones:
                    self._journal.under_way(self._run.session, part.number, records.note(part))
                for record in self._waiting:
                    self._write(record)
                if any(isinstance(effect, Tracked) for effect in effects):
                    self._journal.remember(LAST_SEQ, last_seq)
        except StoreUnavailable as problem:
            self._fail(problem)
            return False
        self._waiting.clear()
        return True

    def look(self, report: Mapping[str, object]) -> None:
        """Keep the gate's state where `flawline gate state` reads it; finds out whether the journal works again."""
        try:
            self._journal.remember("report", report)
        except StoreUnavailable as problem:
            self._fail(problem)
            return
        if not self._waiting:
            self.trouble = ""

    def tell_alarms(
        self, alarms: Mapping[str, str], severities: Mapping[str, str], at: int, *, bypass_until: int
    ) -> list[str]:
        """Note which alarms came and went, to be told, and all that there are; those that came. Times ns UTC."""
        came = [kind for kind in alarms if kind not in self._told]
        went = [kind for kind in self._told if kind not in alarms]
        if not came and not went and bypass_until == self._bypass_until:
            return []
        number = self._number + len(came) + len(went) + 1
        run = self._run
        stands = GateStands(gate=run.gate.name, session=run.session, number=number, at=at, alarms=dict(alarms),
                            bypass_until=bypass_until)  # fmt: skip
        try:
            with self._journal.writing():
                for place, kind in enumerate([*came, *went], self._number + 1):
                    key = f"{self._run.gate.name}-{self._run.session}-alarm-{place}"
                    severity = severities.get(kind, "")
                    body = records.alarm(key, kind, severity, detail=alarms.get(kind), at=at)
                    self._journal.note("alarm", key, body)
                self._journal.note(stands.kind, stands.key, stands.model_dump_json().encode())
        except StoreUnavailable as problem:
            self._fail(problem)
            return []
        self._number, self._told, self._bypass_until = number, dict(alarms), bypass_until
        return came

    def tidy(self) -> None:
        """Drop what everybody was told."""
        try:
            if dropped := self._journal.make_room():
                log.error("%d entries were dropped that a listener never took", dropped)
        except StoreUnavailable as problem:
            self._fail(problem)

    def _write(self, part: PartRouted) -> None:
        key = (part.gate, part.session, part.number)
        self._journal.routed(key, part.to_json(), part_id=part.part_id, views=len(part.frames))

    def _fail(self, problem: StoreUnavailable) -> None:
        if not self.trouble:
            log.error("nothing is accepted until this can be written: %s", problem)
        self.trouble = str(problem)
        if (lost := len(self._waiting) - MOST_WAITING) > 0:
            log.error("%d records of parts are lost", lost)
            del self._waiting[:lost]
