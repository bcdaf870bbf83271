"""One server as a process of its own: started, asked, stopped and killed by its process id."""

import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path

from core.errors import SettingsInvalid, StoreUnavailable

HOST = "127.0.0.1"
START_WITHIN = 90.0  # s, on a machine that does other work
STOP_WITHIN = 30.0


class Service(ABC):
    """A server with its data in `folder`. Subclasses say how it is prepared, called and asked."""

    name = ""
    ports = 1  # consecutive ones, from `port` on
    stop_signal = signal.SIGTERM
    user: str | None = None  # the account that it runs under

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder.absolute()
        self.port = port

    @property
    @abstractmethod
    def url(self) -> str:
        """As the settings take it."""

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "output.log"

    def prepare(self) -> None:  # noqa: B027 - Redis and Mosquitto need little or nothing
        """Make its data and configuration where there are none."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command line."""

    def answers(self) -> bool:
        """Whether it serves now."""
        return self.pid() is not None and listens(self.port)

    def wipe(self) -> None:
        """Remove its data."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, *, wait: bool = True) -> None:
        """Start unless it runs; with `wait`, return when it answers. Raises StoreUnavailable that quotes its log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        limit = time.monotonic() + START_WITHIN
        if self.pid() is None:
            self.prepare()
            self._spawn()
        while wait and not self.answers():
            if self.pid() is None:  # after a kill its own children may hold port or memory for a moment
                time.sleep(0.3)
                self._spawn()
            if time.monotonic() > limit:
                raise StoreUnavailable(f"{self.name} does not answer at port {self.port}; it says: {self._said()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ask it to end, wait, and insist when it does not."""
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, self.stop_signal)
        if not self._gone(pid, STOP_WITHIN):
            self.kill()
        self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it as a power cut would."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self._gone(pid, STOP_WITHIN)

    def freeze(self) -> None:
        """Let it hold its connections and answer nothing, until `thaw`; all of its threads stand when this returns."""
        pid = self._signal(signal.SIGSTOP)
        limit = time.monotonic() + STOP_WITHIN
        while pid is not None and not _stands(pid) and time.monotonic() < limit:
            time.sleep(0.01)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._signal(signal.SIGCONT)

    def pid(self) -> int | None:
        """The process that was started here, if it lives; a later process with the same number is not it."""
        try:
            pid, started = self._pid_file.read_text().split()
            return int(pid) if _started(int(pid)) == started else None
        except (OSError, ValueError):
            return None

    @property
    def _pid_file(self) -> Path:
        return self.folder / "pid"

    def _spawn(self) -> None:
        for ended in [number for number, child in _children.items() if child.poll() is not None]:
            del _children[ended]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
                user=self.user, group=self.user, extra_groups=[] if self.user else None)  # fmt: skip
        self._pid_file.write_text(f"{process.pid} {_started(process.pid)}")
        _children[process.pid] = process

    def _signal(self, number: signal.Signals) -> int | None:
        pid = self.pid()
        if pid is not None:
            os.kill(pid, number)
        return pid

    def _gone(self, pid: int, seconds: float) -> bool:
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if self.pid() != pid and (pid not in _children or _children[pid].poll() is not None):
                _children.pop(pid, None)  # not before: its last threads may outlive the first one
                return True
            time.sleep(0.02)
        return False

    def _said(self) -> str:
        try:
            return self.log.read_text(errors="replace")[-600:].strip() or "nothing"
        except OSError:
            return "nothing"


_children: dict[int, subprocess.Popen[bytes]] = {}  # to be waited for, or the dead would stay as zombies


def listens(port: int) -> bool:
    """Whether anybody takes connections at a local port."""
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def free_ports(count: int) -> int:
    """The first of `count` consecutive local ports that nobody uses now."""
    for _ in range(200):
        with socket.create_server((HOST, 0)) as server:
            first = int(server.getsockname()[1])
        try:
            for port in range(first, first + count):
                socket.create_server((HOST, port)).close()
        except (OSError, OverflowError):
            continue
        return first
    raise StoreUnavailable(f"no {count} free ports in a row on this machine")


def find_program(name: str, *folders: str, package: str) -> str:
    """Where a program lies. Raises SettingsInvalid that names its Debian package."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(["/usr/sbin", *folders]))
    if found is None:
        raise SettingsInvalid(f"no program {name!r} here; `scripts/services up` installs it (Debian: {package})")
    return found


def _stat(task: Path) -> list[str]:
    """What the kernel says of a process or a thread, from its state on."""
    return (task / "stat").read_text().rsplit(")", 1)[1].split()


def _stands(pid: int) -> bool:
    """Whether all threads of a process have been stopped."""
    return all(_stat(task)[0] == "T" for task in Path(f"/proc/{pid}/task").iterdir())


def _started(pid: int) -> str:
    """When a process was started, in the kernel's ticks; a zombie has ended."""
    state = _stat(Path(f"/proc/{pid}"))
    if state[0] in "ZX":
        raise ValueError(f"process {pid} has ended")
    return state[19]
