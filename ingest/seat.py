"""One capture process for each camera, session numbers that only grow, and what the camera still owes the log.

All in a small file that outlives the process.
"""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from core.errors import NotAllowed, StoreUnavailable

PATIENCE_SECONDS = 5.0  # a killed line's captures end by themselves
_NUMBER = 32  # bytes of the session's number and its newline; what the camera owes the log stands behind them


class CameraSeat(AbstractContextManager["CameraSeat"]):
    """Taken by `with` for as long as a process captures a camera or empties its spool; it goes with the process.

    folder: where the cameras' files lie; all processes of one machine must see the same. Entering raises NotAllowed
    when another process has the seat and does not leave it within `patience` seconds, 5 by default, StoreUnavailable
    when the file cannot be opened.
    """

    def __init__(
        self, folder: Path, camera: str, *, patience: float | None = None, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._path, self._camera = folder / f"{camera}.seat", camera
        self._patience = PATIENCE_SECONDS if patience is None else patience
        self._clock = clock
        self._file = -1

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as problem:
            raise self._refused(problem) from problem
        limit = time.monotonic() + self._patience
        while not self._taken():
            if time.monotonic() >= limit:
                os.close(self._file)
                raise NotAllowed(
                    f"another process already takes the pictures of camera {self._camera} (it holds {self._path}); "
                    "stop that one first, or give this camera another name in the line file"
                )
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def next_session(self) -> int:
        """A number for a session that starts now: the time in ns, and larger than any before, whatever the clock says.

        Durable on return. Raises StoreUnavailable.
        """
        try:
            last = os.pread(self._file, _NUMBER, 0).strip()
            session = max(self._clock(), (int(last) if last.isdigit() else 0) + 1)
            os.pwrite(self._file, b"%-*d\n" % (_NUMBER - 1, session), 0)
            os.fsync(self._file)
        except OSError as problem:
            raise self._refused(problem) from problem
        return session

    def owed(self) -> bytes:
        """See ingest.missed.Owing."""
        try:
            return os.pread(self._file, os.fstat(self._file).st_size, _NUMBER)
        except OSError as problem:
            raise self._refused(problem) from problem

    def owe(self, text: bytes) -> None:
        """See ingest.missed.Owing. What is forgotten may come back with a power cut, and does no harm then."""
        try:
            os.ftruncate(self._file, _NUMBER)
            if text:
                os.pwrite(self._file, text, _NUMBER)
                os.fsync(self._file)
        except OSError as problem:
            raise self._refused(problem) from problem

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as problem:
            os.close(self._file)
            raise self._refused(problem) from problem
        return True

    def _refused(self, problem: OSError) -> StoreUnavailable:
        return StoreUnavailable(f"camera {self._camera}: {self._path}: {problem}; check the folder and its permissions")
