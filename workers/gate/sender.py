"""Tells one target what the journal holds, in order and at least once, from a thread that may fail for ever."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from core.errors import NotAllowed, StoreUnavailable
from workers.gate.journal import Entry, Journal

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 15.0
IDLE_SECONDS = 0.5


class Target(Protocol):
    """Somebody who is told of routes and alarms."""

    name: str

    def deliver(self, entry: Entry) -> None:
        """Return when the entry has arrived; the same may come again.

        Raises StoreUnavailable when it may arrive later, NotAllowed when the target refuses this entry for good.
        """
        ...

    def close(self) -> None:
        """Let go."""
        ...


class Sender:
    """Tells one target. Owns a thread, a connection to the journal, and the target from `start` on."""

    def __init__(self, journal: Path, target: Target, *, pause: float = FIRST_PAUSE) -> None:
        self._path, self._target, self._pause = journal, target, pause
        self._news, self._ending = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"tell {target.name}", daemon=True)
        self.trouble = ""
        """Why the target cannot be told now; "" = it can."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to tell."""
        self._news.set()

    def close(self, *, within: float = 3.0) -> None:
        """Tell what can be told at once, and end."""
        self._ending.set()
        self._news.set()
        self._thread.join(within)

    def _run(self) -> None:
        try:
            self._serve(lambda: Journal(self._path, busy_seconds=5.0))
        finally:
            self._target.close()

    def _serve(self, opened: Callable[[], Journal]) -> None:
        pause = self._pause
        while True:
            try:
                with opened() as journal:
                    while self._tell(journal):
                        pause = self._pause
                return
            except StoreUnavailable as problem:
                if not self.trouble:
                    log.warning("%s is not told for now: %s", self._target.name, problem)
                self.trouble = str(problem)
            if self._ending.wait(pause):
                return
            pause = min(pause * 2, LONGEST_PAUSE)

    def _tell(self, journal: Journal) -> bool:
        """One batch; False when there is no more and the end was asked for."""
        self._news.clear()
        entries = journal.waiting(self._target.name)
        for entry in entries:
            try:
                self._target.deliver(entry)
            except NotAllowed as problem:
                log.error("%s refuses %s %s: %s", self._target.name, entry.kind, entry.key, problem)
            journal.told(self._target.name, entry.id)
            if self.trouble:
                log.info("%s is told again", self._target.name)
                self.trouble = ""
        if entries:
            return True
        if self._ending.is_set():
            return False
        self._news.wait(IDLE_SECONDS)
        return True
