"""Keeps the roles of one machine alive: starts them, restarts what dies, stops them in order.

Each child's standard input is a pipe that only this process holds: when this process is killed, the children read its
end and stop by themselves, so that a second start never meets survivors of the first.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0  # s before a restart; doubles while a role keeps dying young
GROWN_UP = 30.0  # s of life after which the pause starts over
PATIENCE = 20.0  # s that a role gets to finish its turn


@dataclass(frozen=True, slots=True)
class Role:
    """One process: `arguments` follow `python -m cli`. may_end: code 0 means that its work is done for good.

    environment: its own variables, over those that all roles share.
    """

    name: str
    arguments: tuple[str, ...]
    may_end: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Child:
    role: Role
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = FIRST_PAUSE
    due: float = 0.0
    starts: int = 0
    wanted: bool = False
    output: IO[bytes] | None = field(default=None, repr=False)


class Supervisor(AbstractContextManager["Supervisor"]):
    """Owns the child processes; leaving its `with` stops them."""

    def __init__(self, roles: Sequence[Role], environment: Mapping[str, str], *,
                 logs: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self._children = {role.name: _Child(role) for role in roles}
        self._environment = dict(environment)
        self._logs = logs
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(*reversed(self._children))

    def start(self, *names: str) -> None:
        """Start these roles and keep them alive from now on."""
        for name in names:
            self._children[name].wanted = True
            self._start(self._children[name])

    def names(self, prefix: str = "") -> list[str]:
        """The roles whose names begin so."""
        return [name for name in self._children if name.startswith(prefix)]

    def tend(self, *, but: str = "") -> None:
        """Restart what has died and whose pause is over, all `but` one. Call it a few times a second."""
        now = self._clock()
        for child in self._children.values():
            if child.role.name == but or not child.wanted or (child.process and child.process.poll() is None):
                continue
            if child.process:
                self._note_death(child, now)
            elif now >= child.due:
                self._start(child)

    def stop(self, *names: str) -> None:
        """Ask these roles to finish, all at once, and wait; a role that does not finish in time is killed."""
        children = [self._children[name] for name in names]
        for child in children:
            child.wanted = False
            if child.process and child.process.poll() is None:
                child.process.terminate()
        limit = self._clock() + PATIENCE
        for child in children:
            self._reap(child, limit - self._clock())

    def kill(self, name: str) -> None:
        """End a role as a power cut would; it is started again in its turn."""
        process = self._children[name].process
        if process:
            process.kill()
            process.wait()

    def pids(self) -> dict[str, int]:
        """Process ids of the roles that are alive now."""
        alive = ((name, child.process) for name, child in self._children.items())
        return {name: process.pid for name, process in alive if process and process.poll() is None}

    def starts(self) -> dict[str, int]:
        """How often each role has been started."""
        return {name: child.starts for name, child in self._children.items()}

    def _start(self, child: _Child) -> None:
        if self._logs and child.output is None:
            self._logs.mkdir(parents=True, exist_ok=True)
            child.output = (self._logs / f"{child.role.name}.log").open("ab")
        command = [sys.executable, "-m", "cli", *child.role.arguments]
        child.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=child.output, stderr=child.output,
            env={**self._environment, **child.role.environment},
            start_new_session=True)  # fmt: skip
        child.started = self._clock()
        child.starts += 1
        log.info("%s started, process %d", child.role.name, child.process.pid)

    def _note_death(self, child: _Child, now: float) -> None:
        assert child.process is not None
        if child.role.may_end and child.process.returncode == 0:
            log.info("%s has finished", child.role.name)
            child.wanted = False
            self._close(child)
            return
        if now - child.started >= GROWN_UP:
            child.pause = FIRST_PAUSE
        log.error(
            "%s ended with code %s; starting it again in %.1f s", child.role.name, child.process.returncode, child.pause
        )
        self._close(child)
        child.due = now + child.pause
        child.pause = min(LONGEST_PAUSE, child.pause * 2)

    def _reap(self, child: _Child, patience: float) -> None:
        if child.process:
            try:
                child.process.wait(max(0.1, patience))
            except subprocess.TimeoutExpired:
                log.error(
                    "%s did not finish in time and is killed; what it had not committed comes again", child.role.name
                )
                child.process.kill()
                child.process.wait()
            self._close(child)
        if child.output:
            child.output.close()
            child.output = None

    def _close(self, child: _Child) -> None:
        if child.process and child.process.stdin:
            child.process.stdin.close()
        child.process = None


def end_with_parent(pipe: int) -> None:
    """Ask this process to stop when the other end of `pipe`, a file descriptor, closes: the supervisor is gone."""

    def watch() -> None:
        while os.read(pipe, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
