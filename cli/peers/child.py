"""A row of `flawline bench peers` as a process of its own: started, watched, ended; why it failed, if it did."""

import re
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cli.console import Report
from core.stop import Stop

Outcome = Literal["done", "absent", "failed"]

NOT_INSTALLED = "not installed; install flawline[peers]"
POLL = 0.2  # seconds between two looks at the child
PATIENCE = 5.0  # seconds that a child has to end when it is told to
_MISSING = re.compile(r"ModuleNotFoundError: No module named '(anomalib|timm|torch|numpy)'")
_ERROR = re.compile(r"(?:\w+\.)*(\w+: .+)")


class RowCancelled(Exception):
    """Somebody wants no more of it."""


@dataclass(frozen=True)
class Ending:
    """How a child ended. why: in words, where it is not done."""

    outcome: Outcome
    why: str = ""


def run_child(command: Sequence[str], folder: Path, *, stop: Stop, tell: Report) -> Ending:
    """Run a child that works in a folder to its end. Raises RowCancelled when a stop is asked for, OSError."""
    log = folder / "log"
    with log.open("wb") as file, subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
    ) as process:  # fmt: skip
        try:
            while not _has_ended(process):
                if stop.asked:
                    raise RowCancelled
                _pass_on(folder / "progress", tell)
        finally:
            _end(process)
    if process.returncode == 0:
        return Ending("done")
    if stop.asked:  # Ctrl-C reaches the child as well
        raise RowCancelled
    return _ending(process.returncode, log.read_text(encoding="utf-8", errors="replace"))


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(POLL)
    return process.returncode is not None


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    process.kill()  # does nothing where it has ended


def _pass_on(path: Path, tell: Report) -> None:
    """Show what the child says of itself: phase, done and total, the last two of its words."""
    with suppress(OSError, ValueError):  # not there yet, or just being written
        phase, done, total = path.read_text(encoding="utf-8").rsplit(" ", 2)
        tell(phase, float(done), float(total), {})


def _ending(code: int, said: str) -> Ending:
    if _MISSING.search(said):
        return Ending("absent", NOT_INSTALLED)
    if code < 0:
        killed = "; the memory may not have sufficed" if code == -signal.SIGKILL else ""
        return Ending("failed", f"ended by {signal.Signals(-code).name}{killed}")
    last = ([line for line in said.splitlines() if line.strip()] or [f"ended with exit code {code}"])[-1]
    found = _ERROR.fullmatch(last.strip())
    return Ending("failed", found[1] if found else last.strip())
