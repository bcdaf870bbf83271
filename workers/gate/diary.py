"""What a gate was ordered to do and what changed by itself, with who, why and until when: for the books' audit log.

An order is taken and noted in one transaction of the journal; from there it goes the way of the routes.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from core.errors import StoreUnavailable
from core.gate_messages import GateOrdered
from workers.gate import orders
from workers.gate.journal import Journal
from workers.gate.permission import BELT, Permission
from workers.gate.records import Run

log = logging.getLogger(__name__)

START, BYPASS_END = "start", "bypass-end"


class Diary:
    """The diary of one run; what cannot be written waits in memory and is tried again at each look."""

    def __init__(self, journal: Journal, run: Run, utc: Callable[[], int]) -> None:
        self._journal, self._run, self._utc = journal, run, utc
        self._number = 0
        self._waiting: list[GateOrdered] = []
        self._expired = self._is_lost = False
        self.note(START, who=run.gate.name, why="a start qualifies nobody and ends every bypass")

    def take_orders(self) -> list[dict[str, Any]]:
        """The orders that nobody took yet; each is in the diary. Raises StoreUnavailable: then none was taken."""
        if not self._journal.has_orders():
            return []
        number = self._number
        try:
            with self._journal.writing():
                found = self._journal.take_orders()
                for order in found:
                    self._write(self._of(order))
        except StoreUnavailable:
            self._number = number
            raise
        return found

    def look(self, permission: Permission, now: int) -> None:
        """Note what has changed by itself."""
        me = self._run.gate.name
        expired, lost = permission.has_expired(now), permission.faults.get(BELT, "")
        if expired and not self._expired:
            self.note(BYPASS_END, who=me, why="its time was up")
        if lost and not self._is_lost:
            self.note(orders.DISQUALIFY, who=me, why=lost)
        self._expired, self._is_lost = expired, bool(lost)
        self._flush()

    def note(self, action: str, *, who: str, why: str) -> None:
        """Something happened that nobody ordered through the journal."""
        self._waiting.append(self._new(action=action, who=who, why=why))
        self._flush()

    def _of(self, order: Mapping[str, Any]) -> GateOrdered:
        refused = orders.refusal(order, most_minutes=self._run.gate.bypass_most_minutes)
        action, who, why, control = (_plain(order.get(name, "")) for name in ("kind", "who", "why", "control"))
        minutes = order.get("minutes", 0) if action == orders.BYPASS and not refused else 0
        until = self._utc() + int(minutes * 60e9) if minutes else 0
        return self._new(action=action, who=who, why=why, control=control, until=until, refused=refused)

    def _new(self, **said: Any) -> GateOrdered:
        self._number += 1
        place = {"gate": self._run.gate.name, "session": self._run.session, "number": self._number, "at": self._utc()}
        return GateOrdered(**place, **said)

    def _flush(self) -> None:
        if not self._waiting:
            return
        try:
            with self._journal.writing():
                for entry in self._waiting:
                    self._write(entry)
        except StoreUnavailable as problem:
            log.error("%d entries for the audit log wait: %s", len(self._waiting), problem)
            return
        self._waiting.clear()

    def _write(self, entry: GateOrdered) -> None:
        self._journal.note(entry.kind, entry.key, entry.model_dump_json().encode())


def _plain(value: object) -> str:
    """Text that every database takes."""
    return str(value).replace("\0", " ")
