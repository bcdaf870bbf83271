"""What a worker says of itself: figures, health, and a beat in the live cache."""

import time
from collections.abc import Callable

from core.health import Health
from core.live import Beat, Live, NoLive
from core.metrics import Metrics

BEAT_EVERY = 2.0  # s; a beat fades after some seconds


class Signs:
    """Told by one loop; none of it fails or takes long. `role` and `name` say which process it is."""

    def __init__(self, role: str = "", name: str = "", *, metrics: Metrics | None = None, health: Health | None = None,
                 live: Live | None = None, clock: Callable[[], int] = time.time_ns) -> None:  # fmt: skip
        self.metrics = metrics or Metrics()
        self.health = health or Health()
        self.live = live or NoLive()
        self._role, self._name = role, name
        self._clock = clock
        self._started_at = clock()
        self._beat_at = 0.0

    def ready(self) -> None:
        """The loop begins."""
        self.health.ready()
        self._beat()

    def turned(self, messages: int) -> None:
        """A turn is done, with so many messages."""
        self.health.turned()
        if messages:
            self.metrics.batch(messages)
        self._beat()

    def waits_for(self, what: str) -> None:
        """A turn is put off; `what` says in words which store is away."""
        self.health.waits_for(what)
        self.metrics.waited(what)
        self._beat()

    def _beat(self) -> None:
        now = time.monotonic()
        if now >= self._beat_at:
            self._beat_at = now + BEAT_EVERY
            self.live.beat(Beat(self._role, self._name, self._started_at, self._clock()))
