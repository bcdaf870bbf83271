"""A bound for the bytes that are on their way: kafka-python itself has none (streaming.md §2.4)."""

import threading


class ByteBudget:
    """Bounds the bytes in flight; one message larger than the limit may pass alone. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._freed = threading.Condition()

    @property
    def used(self) -> int:
        """Bytes taken and not given back."""
        with self._freed:
            return self._used

    def take(self, size: int, timeout: float) -> bool:
        """Take `size` bytes, waiting at most `timeout` seconds for room; False when there was none."""
        with self._freed:
            if not self._freed.wait_for(lambda: not self._used or self._used + size <= self._limit, timeout):
                return False
            self._used += size
            return True

    def give(self, size: int) -> None:
        """Give `size` bytes back."""
        with self._freed:
            self._used -= size
            self._freed.notify_all()
