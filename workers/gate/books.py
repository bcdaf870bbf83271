"""Tells the books by topic `routes` of the broker, which may be away for as long as it likes."""

from collections.abc import Callable
from contextlib import ExitStack

from core.broker.protocol import Broker, Producer
from core.errors import SettingsInvalid, StoreUnavailable
from core.messages import ROUTES
from workers.gate.journal import BOOKS, Entry


class Books:
    """The broker's topic `routes`, opened when there is something to tell; of alarms the books get the whole state."""

    name = BOOKS

    def __init__(self, open_broker: Callable[[], Broker]) -> None:
        self._open = open_broker
        self._parts = ExitStack()
        self._producer: Producer | None = None

    def deliver(self, entry: Entry) -> None:
        """Return when the broker has it. Raises StoreUnavailable."""
        if entry.kind == "alarm":
            return
        try:
            producer = self._producer or self._connect()
            producer.send(ROUTES, entry.body, partition=0, key=entry.key)
            producer.flush()
        except (StoreUnavailable, SettingsInvalid, ValueError, OSError) as problem:  # ValueError: no topic yet
            self._let_go()
            raise StoreUnavailable(f"topic {ROUTES}: {problem}") from problem

    def close(self) -> None:
        """Let go of the broker."""
        self._let_go()

    def _connect(self) -> Producer:
        with ExitStack() as opening:
            broker = opening.enter_context(self._open())
            self._producer = opening.enter_context(broker.producer())
            self._parts = opening.pop_all()
        return self._producer

    def _let_go(self) -> None:
        self._producer = None
        parts, self._parts = self._parts, ExitStack()
        try:
            parts.close()
        except StoreUnavailable:
            return  # what it still held comes again from the journal
