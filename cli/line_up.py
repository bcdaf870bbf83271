"""`flawline up`: the roles of one line on one machine, each a process of its own, kept alive until Ctrl-C."""

import logging
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cli import parts
from cli.console import err
from core.errors import SettingsInvalid, StoreUnavailable
from core.line import Line, read_line
from core.settings import PREFIX, Settings, environment_of
from core.stop import Stop
from workers.supervisor import Role, Supervisor

log = logging.getLogger(__name__)

PORT_WITHIN = 15.0  # s: a killed line's pages end by themselves
LAST_PORT = 65535
READY_WITHIN = 180.0  # s: loading and compiling the models on a slow machine


def roles_of(settings: Settings, line: Line, line_file: Path, *, dashboard: bool) -> tuple[list[Role], list[Role]]:
    """The roles that must work before pictures are taken, and those that take them."""
    supervised = "--supervised"
    inspection = ("worker", "inspection", "--name", "inspection-1", supervised, "--ready", str(ready_file(settings)))
    first = [
        Role("inspection", inspection),
        Role("books", ("worker", "books", supervised)),
        Role("housekeeping", ("worker", "housekeeping", supervised)),
        Role("watch", ("worker", "watch", supervised)),
    ]
    source = ("--line", str(line_file), supervised)
    first += [Role(f"gate {gate.name}", ("worker", "gate", gate.name, *source)) for gate in line.gate]
    if dashboard:
        first.append(Role("dashboard", ("dashboard", supervised)))
    cameras = [
        Role(f"capture {camera.name}", ("worker", "capture", camera.name, *source), may_end=True)  # as a video does
        for camera in line.camera
    ]
    return first, cameras


def with_ports(settings: Settings, roles: Sequence[Role]) -> list[Role]:
    """Each role with a port of its own for /metrics and /healthz, counted up from `metrics.port`; none where it is 0.

    The pages answer on their own port, and keep their place in the count all the same. Raises SettingsInvalid when
    the ports do not suffice.
    """
    first = settings.metrics.port
    if not first:
        return list(roles)
    if first + len(roles) > LAST_PORT + 1:
        raise SettingsInvalid(
            f"{len(roles)} roles need a port each from FLAWLINE_METRICS__PORT {first} on; take a lower one"
        )
    return [
        replace(role, environment={**role.environment, f"{PREFIX}METRICS__PORT": str(first + place)})
        for place, role in enumerate(roles)
    ]


def require_free_port(settings: Settings, *, patience: float = 0.0) -> None:
    """Raise SettingsInvalid when something else serves where the pages are to be served.

    patience: seconds that it may take to go; the pages of a line that was just killed end by themselves.
    """
    host, port = settings.dashboard.host, settings.dashboard.port
    limit = time.monotonic() + patience
    while True:
        try:
            socket.create_server((host, port)).close()
            return
        except OSError as problem:
            if time.monotonic() >= limit:
                raise SettingsInvalid(
                    f"the pages cannot be served at {host}:{port}: {problem.strerror}; stop what uses it, or set "
                    "FLAWLINE_DASHBOARD__PORT to another port") from problem  # fmt: skip
        time.sleep(0.2)


def ready_file(settings: Settings) -> Path:
    """The file that the inspection role touches when its models are loaded."""
    return settings.data / "inspection.ready"


@contextmanager
def running(
    settings: Settings, stop: Stop, *, line_file: Path, dashboard: bool, logs: Path | None = None
) -> Iterator[Supervisor]:
    """All roles of the line; cameras start when inspection is ready, so that no part is late for want of a model."""
    line = read_line(line_file)
    if dashboard:
        require_free_port(settings, patience=PORT_WITHIN)
    parts.prepare(settings, line)
    first, cameras = roles_of(settings, line, line_file, dashboard=dashboard)
    ready_file(settings).unlink(missing_ok=True)
    with Supervisor(with_ports(settings, [*first, *cameras]), environment_of(settings), logs=logs) as supervisor:
        supervisor.start(*(role.name for role in first))
        _wait_until_ready(settings, stop, supervisor)
        if not stop.asked:
            supervisor.start(*(role.name for role in cameras))
        yield supervisor


def run_line(line_file: Path | None, *, dashboard: bool) -> None:
    """Run the line until asked to stop. Raises SettingsInvalid without a usable line file."""
    settings, stop = parts.begin()
    path = line_file or settings.line_path
    with running(settings, stop, line_file=path, dashboard=dashboard) as supervisor:
        if dashboard:
            err.print(
                f"the line runs; pages at http://{settings.dashboard.host}:{settings.dashboard.port} (Ctrl-C stops)"
            )
        while not stop.asked:
            supervisor.tend()
            time.sleep(0.2)
        err.print("stopping: cameras first, then the rest; what is not judged yet waits in the log")
        supervisor.stop(*supervisor.names("capture "))


def _wait_until_ready(settings: Settings, stop: Stop, supervisor: Supervisor) -> None:
    limit = time.monotonic() + READY_WITHIN
    while not stop.asked and not ready_file(settings).exists():
        if time.monotonic() > limit:
            raise StoreUnavailable(f"inspection was not ready within {READY_WITHIN:.0f} s; its log says why")
        supervisor.tend()
        time.sleep(0.05)
