"""Roles that die are started again, roles that hang are killed, and nobody survives the supervisor."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from workers.supervisor import FIRST_PAUSE, Role, Supervisor

# Stands in for `python -m cli`: the supervisor starts it by that name, found first on the path.
CLI = """
import os, signal, sys, time
name, *what = sys.argv[1:]
if what == ["stubborn"]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(os.path.join(os.environ["PLACE"], name), "a") as notes:
    notes.write(f"{os.getpid()} ")
if what == ["supervised"]:
    while sys.stdin.buffer.read(1):
        pass
    sys.exit(0)
if what and what[0] == "brief":
    sys.exit(int(what[1]))
time.sleep(600)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "cli.py").write_text(CLI)
    return tmp_path


def environment(place: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PLACE": str(place), "PYTHONPATH": str(place), "PYTHONSAFEPATH": "1"}


def pids(place: Path, name: str) -> list[int]:
    notes = place / name
    return [int(pid) for pid in notes.read_text().split()] if notes.exists() else []


def until(holds: Callable[[], bool], tend: Callable[[], None] = lambda: None) -> None:
    limit = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < limit
        tend()
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_roles_run_until_the_supervisor_leaves(place: Path) -> None:
    with Supervisor([Role("a", ("a",)), Role("b", ("b",))], environment(place)) as supervisor:
        supervisor.start("a", "b")
        until(lambda: bool(pids(place, "a") and pids(place, "b")))
        assert set(supervisor.pids()) == {"a", "b"}
    assert gone(pids(place, "a")[0])
    assert gone(pids(place, "b")[0])


def test_a_role_that_was_not_started_is_not_tended(place: Path) -> None:
    with Supervisor([Role("a", ("a",)), Role("b", ("b",))], environment(place)) as supervisor:
        supervisor.start("a")
        supervisor.tend()
        assert set(supervisor.pids()) == {"a"}


def test_a_killed_role_comes_back(place: Path) -> None:
    with Supervisor([Role("a", ("a",))], environment(place)) as supervisor:
        supervisor.start("a")
        until(lambda: len(pids(place, "a")) == 1)
        os.kill(pids(place, "a")[0], signal.SIGKILL)
        until(lambda: len(pids(place, "a")) == 2, supervisor.tend)
        assert supervisor.starts() == {"a": 2}


def test_the_pause_before_a_restart_doubles_while_a_role_keeps_dying(place: Path) -> None:
    clock = [0.0]
    with Supervisor([Role("a", ("a", "brief", "3"))], environment(place), clock=lambda: clock[0]) as supervisor:
        supervisor.start("a")
        pauses = []
        for _ in range(3):
            until(lambda: not supervisor.pids())
            supervisor.tend()  # notes the death
            died, starts = clock[0], supervisor.starts()["a"]
            while supervisor.starts()["a"] == starts:
                clock[0] += 0.1
                supervisor.tend()
            pauses.append(clock[0] - died)
    assert pauses == pytest.approx([FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE], abs=0.11)


def test_a_role_that_does_not_finish_is_killed(place: Path) -> None:
    hours = count(0, 3600)  # each look at the clock is an hour later, so that patience is over at once
    with Supervisor([Role("a", ("a", "stubborn"))], environment(place), clock=lambda: next(hours)) as supervisor:
        supervisor.start("a")
        until(lambda: bool(pids(place, "a")))
        supervisor.stop("a")
    assert gone(pids(place, "a")[0])


def test_a_role_that_may_end_is_not_started_again_when_its_work_is_done(place: Path) -> None:
    roles = [Role("done", ("done", "brief", "0"), may_end=True), Role("broken", ("broken", "brief", "3"), may_end=True)]
    with Supervisor(roles, environment(place)) as supervisor:
        supervisor.start("done", "broken")
        until(lambda: supervisor.starts()["broken"] >= 2, supervisor.tend)
        assert supervisor.starts()["done"] == 1


def test_what_the_roles_say_is_kept_by_role(place: Path) -> None:
    with Supervisor([Role("a", ("a", "brief", "3"))], environment(place), logs=place / "logs") as supervisor:
        supervisor.start("a")
        until(lambda: not supervisor.pids())
    assert (place / "logs" / "a.log").exists()


def test_children_stop_when_the_supervisor_is_killed(place: Path) -> None:
    program = (
        "import os, time\n"
        "from workers.supervisor import Role, Supervisor\n"
        "with Supervisor([Role('a', ('a', 'supervised'))], dict(os.environ)) as supervisor:\n"
        "    supervisor.start('a')\n"
        "    time.sleep(600)\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    paths = f"{place}{os.pathsep}{root}"
    victim = subprocess.Popen([sys.executable, "-P", "-c", program], env=environment(place) | {"PYTHONPATH": paths})
    until(lambda: bool(pids(place, "a")))
    victim.kill()
    victim.wait()
    until(lambda: gone(pids(place, "a")[0]))
