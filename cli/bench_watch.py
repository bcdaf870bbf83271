"""What the processes of a bench use: CPU time, memory, and the stages of the workers by their own figures."""

import os
import re
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cli.bench_figures import Snapshot
from core.errors import StoreUnavailable

STAGE = re.compile(r'^flawline_stage_seconds_sum\{stage="(\w+)"\} (\S+)$', re.MULTILINE)
MEGABYTE = 1 << 20
TICKS = os.sysconf("SC_CLK_TCK")


class Observer:
    """Looks at processes by name, and at its own, the cameras. ports: where the workers answer /metrics."""

    def __init__(self, pids: Mapping[str, int], ports: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._ports = dict(ports)

    def snapshot(self, frames: int) -> Snapshot:
        """What was used up to now."""
        stages: dict[str, float] = {}
        with _all_alive():
            for port in self._ports.values():
                for name, seconds in STAGE.findall(_metrics(port)):
                    stages[name] = stages.get(name, 0.0) + float(seconds)
            cpu = {name: cpu_seconds(pid) for name, pid in self._pids.items()} | {"cameras": time.process_time()}
        return Snapshot(time.monotonic(), frames, cpu, stages)

    def rss(self) -> float:
        """Resident memory of the largest worker, MB."""
        with _all_alive():
            return max(_resident(self._pids[name]) for name in self._ports) / MEGABYTE


@contextmanager
def _all_alive() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise StoreUnavailable(f"a process of the line ended while it was measured ({problem})") from problem


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its children, the ended ones included."""
    ticks = _ticks(pid, ended=True)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it has just ended; its parent has counted it
                if _fields(int(entry.name))[1] == str(pid):
                    ticks += _ticks(int(entry.name), ended=False)
    return ticks / TICKS


def _ticks(pid: int, *, ended: bool) -> int:
    return sum(map(int, _fields(pid)[11 : 15 if ended else 13]))  # utime, stime, and those of ended children


def _fields(pid: int) -> list[str]:
    """What the kernel says of a process, from its state on."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())
