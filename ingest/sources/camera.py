"""A USB or network camera through OpenCV: the newest frame, and a connection that is made again for ever."""

import logging
import random
import re
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import cv2
import numpy as np
from cv2.typing import MatLike

from ingest.sources.pace import Pace
from ingest.sources.source import Claim, Grabbed, Picture, SourceState

WATCHDOG_SECONDS = 20.0
"""No frame for longer than this is CAMERA_LOST (domain.md VM-16)."""
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 30.0
OPEN_TIMEOUT_MS, READ_TIMEOUT_MS = 8000, 10000
_log = logging.getLogger(__name__)


class Capture(Protocol):
    """What is used of OpenCV's VideoCapture."""

    def isOpened(self) -> bool: ...  # noqa: D102, N802 - OpenCV's name
    def read(self) -> tuple[bool, MatLike]: ...  # noqa: D102
    def release(self) -> None: ...  # noqa: D102


def redacted(address: str) -> str:
    """An address without user name and password, fit for logs and error messages."""
    return re.sub(r"//.*@", "//", address)  # greedy: a password may hold an @ or a slash of its own


def opener(address: str) -> Callable[[], Capture]:
    """How to connect to `camera:N`'s N, or to a stream's URL."""

    def connect() -> Capture:
        if address.isdigit():
            return cv2.VideoCapture(int(address))
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
        return cv2.VideoCapture(address, cv2.CAP_FFMPEG, limits)

    return connect


class CameraSource:
    """Keeps the newest frame of a camera in a thread of its own, and hands it on at a rate.

    name: for messages, without credentials. rate: triggers a second, each of which takes the newest frame; 0: every
    frame of the camera is a trigger. Triggers that passed unread are counted in `missed`. A lost connection is made
    again for ever, after 0.5 s and doubling to 30 s with jitter; a camera that comes back with another picture size
    is not accepted, because recipe and model were made for the first one.
    """

    waits = False

    def __init__(
        self, connect: Callable[[], Capture], *, name: str, rate: float = 0.0, watchdog: float = WATCHDOG_SECONDS,
        first_backoff: float = FIRST_BACKOFF,
    ) -> None:  # fmt: skip
        self._connect, self._name = connect, name
        self._rate, self._watchdog, self._first_backoff = rate, watchdog, first_backoff
        self._stop = threading.Event()
        self._fresh = threading.Condition()
        self._thread: threading.Thread | None = None
        self._newest: MatLike | None = None
        self._newest_at = 0, 0  # ns: on the wall clock and on the monotonic one
        self._count = 0  # frames so far; guarded by _fresh, as are the fields around it
        self._read_count = 0
        self._last_frame = time.monotonic()
        self._size: tuple[int, int] | None = None
        self._problem = ""
        self._connections = 0
        self._pace = Pace(rate)

    def __enter__(self) -> Self:
        self._last_frame = time.monotonic()
        self._thread = threading.Thread(target=self._grab_for_ever, name=f"grab {self._name}", daemon=True)
        self._thread.start()
        self._pace = Pace(self._rate)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            # a driver may hang in a connection attempt for seconds; the thread is a daemon and ends by itself
            self._thread.join(timeout=2.0)

    @property
    def state(self) -> SourceState:
        """LOST when no frame came for longer than the watchdog allows."""
        with self._fresh:
            silent = time.monotonic() - self._last_frame
        return SourceState.LOST if silent > self._watchdog else SourceState.OPEN

    @property
    def detail(self) -> str:
        """The last problem of the connection, while it lasts."""
        with self._fresh:
            if self._problem:
                return self._problem
            silent = time.monotonic() - self._last_frame
        return f"{self._name}: no frame for {silent:.0f} s" if silent > self._watchdog else ""

    @property
    def reconnects(self) -> int:
        """How often the connection was made again after the first time."""
        return max(0, self._connections - 1)

    def read(self, timeout: float) -> Grabbed | None:
        """The newest frame that was not handed on yet."""
        until = time.monotonic() + timeout
        if not self._pace.wait(timeout):
            return None
        with self._fresh:
            left = max(until - time.monotonic(), 0.0)
            if not self._fresh.wait_for(lambda: self._count > self._read_count, left):
                return None
            newest, taken_at, passed = self._newest, self._newest_at, self._count - self._read_count - 1
            self._read_count = self._count
        assert newest is not None
        overdue = self._pace.passed()
        missed = overdue if self._rate > 0 else passed
        picture: Picture = np.asarray(cv2.cvtColor(newest, cv2.COLOR_BGR2RGB), np.uint8)
        return Grabbed(
            picture=picture, name=self._name, missed=missed, captured_at=taken_at[0], monotonic_at=taken_at[1]
        )

    def claim(self, grabbed: Grabbed, claim: Claim) -> None:
        """A live frame cannot be taken again."""

    def done(self, grabbed: Grabbed) -> None:
        """A live frame cannot be taken again."""

    def _grab_for_ever(self) -> None:
        backoff = self._first_backoff
        while not self._stop.is_set():
            before = self._count
            self._grab_until_lost()
            if self._count > before:
                backoff = self._first_backoff
            self._stop.wait(backoff * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, no secret
            backoff = min(backoff * 2, LONGEST_BACKOFF)

    def _grab_until_lost(self) -> None:
        """One connection, from its making to its loss."""
        try:
            capture = self._connect()
        except cv2.error as problem:
            self._lost(f"cannot be opened ({problem.err})")
            return
        try:
            if not capture.isOpened():
                self._lost("cannot be opened; check its cable, address and power")
                return
            while not self._stop.is_set():
                found, frame = capture.read()
                if not found or frame is None or frame.size == 0:
                    self._lost("delivers no frames; connecting again")
                    return
                if not self._accept(frame):
                    return
        except cv2.error as problem:
            self._lost(f"failed while reading ({problem.err}); connecting again")
        finally:
            capture.release()

    def _accept(self, frame: MatLike) -> bool:
        """Keep a frame as the newest; False when it is of another size than the first one."""
        size = (frame.shape[1], frame.shape[0])
        with self._fresh:
            if self._size is not None and size != self._size:
                first = f"{self._size[0]}x{self._size[1]}"
                self._problem = (
                    f"{self._name} now delivers {size[0]}x{size[1]} px instead of {first}; "
                    "set the camera back, or restart the capture after changing the recipe"
                )
                return False
            if self._size is None or self._problem:
                self._connections += 1
                _log.info("%s: connected, %dx%d px", self._name, *size)
            self._size, self._problem = size, ""
            self._newest = frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, axis=2)
            self._newest_at = time.time_ns(), time.monotonic_ns()
            self._count += 1
            self._last_frame = time.monotonic()
            self._fresh.notify_all()
        return True

    def _lost(self, why: str) -> None:
        with self._fresh:
            self._problem = f"{self._name} {why}"
        _log.warning("%s %s", self._name, why)
