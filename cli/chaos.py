"""`flawline chaos`: a line on real servers while its processes and its servers are killed; then the books are checked.

The servers are this run's own, so that nothing else suffers. Everything that dies is started again: processes by the
supervisor, as `flawline up` does it, servers after some seconds.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from cli import parts
from cli.chaos_truth import PRODUCT, check, lay_out, teach
from cli.console import err, escape
from cli.services.plant import Services
from cli.services.service import Service
from core.database import Database
from core.errors import SettingsInvalid, StoreUnavailable
from core.line import Camera, Line, line_of
from core.records.books import books
from core.settings import Settings, environment_of
from core.stop import Stop
from core.tables import inspections
from workers.supervisor import Role, Supervisor

log = logging.getLogger(__name__)

POINTS = (
    "inspect_after_poll", "inspect_after_blobs", "inspect_in_transaction", "inspect_after_transaction",
    "inspect_after_publish", "inspect_after_commit",
)  # fmt: skip
SERVERS = ("kafka", "postgres", "redis")
FIRST = "inspection-1"
POINT_WITHIN = 60.0  # s in which a worker should have come to the point where it ends itself
STUCK_AFTER = 180.0  # s without a new verdict
LONGEST_DOWN = 4.0  # s that a killed server stays away
LEASE_SECONDS = 6


@dataclass(frozen=True, slots=True)
class Storm:
    """What is asked for.

    rate: parts per second over all cameras. away: servers that go for some seconds, in turn. first: what is killed
    first, in this order; without it everything once, at random.
    """

    frames: int
    kills: int
    cameras: int = 4
    workers: int = 2
    rate: float = 60.0
    deadline_ms: int = 15_000
    seed: int = 0
    away: tuple[tuple[str, float], ...] = ()
    first: tuple[str, ...] = ()


@dataclass(slots=True)
class Kills:
    """What was killed, and how often."""

    of: Counter[str] = field(default_factory=Counter)

    @property
    def number(self) -> int:
        """All of them."""
        return sum(self.of.values())


def run_chaos(storm: Storm, folder: Path) -> dict[str, Any]:
    """Run the line to its end under kills; the report. `folder` must be new or empty. Raises StoreUnavailable."""
    if folder.exists() and any(folder.iterdir()):
        raise SettingsInvalid(f"{folder} is not empty; name a new folder")
    names = [f"camera-{number}" for number in range(1, storm.cameras + 1)]
    started = time.monotonic()
    with ExitStack() as stack:
        servers = stack.enter_context(Services(folder / "servers", SERVERS))
        settings = _settings(servers, folder / "data")
        _, stop = parts.begin(settings)
        line = _line(storm, names, folder / "pictures")
        (settings.data).mkdir(parents=True)
        settings.line_path.write_text(line.to_toml())
        parts.prepare(settings, line)
        expected = lay_out(teach(settings, folder), folder / "pictures", names, storm.frames)
        supervisor = stack.enter_context(
            Supervisor(_roles(storm, names), environment_of(settings), logs=folder / "logs")
        )
        supervisor.start(*(name for name in supervisor.names() if " at " not in name))
        kills = _storm(storm, settings, servers, supervisor, stop)
        for name, seconds in storm.away:
            _send_away(servers[name], seconds, supervisor, settings)
        _drain(settings, supervisor, storm.frames, stop)
        supervisor.stop(*supervisor.names())
        if stop.asked:
            raise KeyboardInterrupt
        with parts.database(settings) as database, parts.broker(settings) as broker:
            found = check(database, broker, expected)
            balanced = _balanced(database, storm.frames)
    lost, twice = found.lost, found.duplicated
    return {
        "frames": storm.frames, "kills": kills.number, "lost": lost, "duplicated": twice,
        "false_pass": found.false_pass, "balanced": balanced and found.untold == found.contradictions == 0,
        "disordered": found.disordered,
        "killed": dict(kills.of), "untold": found.untold, "contradictions": found.contradictions,
        "verdicts": found.by_verdict, "seconds": round(time.monotonic() - started, 1), "seed": storm.seed,
    }  # fmt: skip


def _settings(servers: Services, data: Path) -> Settings:
    base = Settings(data=data, log_level="INFO", log_format="human")
    return base.model_copy(
        update={
            "broker": base.broker.model_copy(update={"url": servers["kafka"].url, "lease_seconds": LEASE_SECONDS}),
            "database": base.database.model_copy(update={"url": servers["postgres"].url}),
            "live": base.live.model_copy(update={"url": servers["redis"].url}),
            "worker": base.worker.model_copy(update={"threads": 1, "backoff_most_seconds": 2.0}),
        }
    )


def _line(storm: Storm, names: list[str], pictures: Path) -> Line:
    rate = storm.rate / len(names)
    cameras = [
        Camera(name=name, product=PRODUCT, deadline_ms=storm.deadline_ms, gate=False,
               source=f"folder:{pictures / name}?rate={rate:g}")
        for name in names
    ]  # fmt: skip
    return line_of(cameras, name="chaos", partitions=len(names))


def _roles(storm: Storm, names: list[str]) -> list[Role]:
    """The line's roles, and for each point the first inspection worker once more, so that it ends itself there."""
    supervised = "--supervised"
    workers = [f"inspection-{number}" for number in range(1, storm.workers + 1)]
    roles = [Role(name, ("worker", "inspection", "--name", name, supervised)) for name in workers]
    roles += [Role(name, ("worker", name, supervised)) for name in ("books", "housekeeping", "watch")]
    roles += [Role(f"capture {name}", ("worker", "capture", name, supervised), may_end=True) for name in names]
    random_passes = random.Random(storm.seed)  # noqa: S311 - a repeatable storm, not a secret
    for point in POINTS:
        fault = {"FLAWLINE_WORKER__FAULT": f"{point}:{random_passes.randint(1, 6)}"}
        arguments = ("worker", "inspection", "--name", workers[0], supervised)
        roles.append(Role(f"inspection at {point}", arguments, environment=fault))
    return roles


def _storm(storm: Storm, settings: Settings, servers: Services, supervisor: Supervisor, stop: Stop) -> Kills:
    """Kill something each time another share of the parts is judged."""
    kills = Kills()
    dice = random.Random(storm.seed)  # noqa: S311
    targets = _targets(supervisor, dice, [_named(word, supervisor) for word in storm.first])
    for number in range(1, storm.kills + 1):
        judged = _wait_for(settings, supervisor, storm.frames * number // (storm.kills + 2), stop)
        if stop.asked:
            break
        target = next(targets)
        detail = _kill(target, servers, supervisor, dice, stop)
        kills.of[target.partition(" at ")[2] or target.partition(" ")[0].rstrip("-0123456789")] += 1
        err.print(f"kill {number} of {storm.kills}: {escape(target)}{detail}; judged {judged} of {storm.frames}")
    return kills


def _targets(supervisor: Supervisor, dice: random.Random, first: Sequence[str]) -> Iterator[str]:
    """Everything once in turn, then at random; a camera that has ended cannot be killed."""
    every = [*SERVERS, *(name for name in supervisor.names())]
    yield from first or dice.sample(every, len(every))
    while True:
        alive = [name for name in every if " at " in name or name in SERVERS or name in supervisor.pids()]
        yield dice.choice(alive)


def _named(word: str, supervisor: Supervisor) -> str:
    """The target of a server, role or point. Raises SettingsInvalid for another word."""
    if word in (*SERVERS, *supervisor.names()):
        return word
    if word in POINTS:
        return f"inspection at {word}"
    raise SettingsInvalid(f"nothing to kill is called {word!r}; there are {', '.join([*SERVERS, *supervisor.names()])}")


def _kill(target: str, servers: Services, supervisor: Supervisor, dice: random.Random, stop: Stop) -> str:
    """Kill it; servers come back after a while. Returns what there is to say."""
    if target in SERVERS:
        down = dice.uniform(0.5, LONGEST_DOWN)
        servers[target].kill()
        _tend(supervisor, down)
        servers[target].start()
        return f", away for {down:.1f} s"
    if " at " in target:
        return "" if _die_at(target, supervisor, stop) else ", which it never reached"
    pid = supervisor.pids().get(target)
    if pid is None:
        return ", which had ended"
    supervisor.kill(target)
    return ""


def _die_at(target: str, supervisor: Supervisor, stop: Stop) -> bool:
    """Put the worker that ends itself in the place of the first one, under its name; whether it came to its point."""
    supervisor.stop(FIRST)
    supervisor.start(target)
    limit = time.monotonic() + POINT_WITHIN
    while target in supervisor.pids() and time.monotonic() < limit and not stop.asked:
        _tend(supervisor, 0.1, but=target)
    reached = target not in supervisor.pids()
    supervisor.stop(target)
    supervisor.start(FIRST)
    return reached


def _send_away(server: Service, seconds: float, supervisor: Supervisor, settings: Settings) -> None:
    """Let a server be away for long, and say how the cameras' spools fill meanwhile."""
    err.print(f"{server.name} goes away for {seconds:.0f} s")
    server.stop()
    limit = time.monotonic() + seconds
    while (left := limit - time.monotonic()) > 0:
        _tend(supervisor, min(left, 15.0))
        held = sum(file.stat().st_size for file in settings.spool_folder.glob("*")) / (1 << 20)
        err.print(f"{server.name} comes back in {max(0.0, limit - time.monotonic()):.0f} s; spools hold {held:.0f} MiB")
    server.start()


def _tend(supervisor: Supervisor, seconds: float, *, but: str = "") -> None:
    limit = time.monotonic() + seconds
    while True:
        supervisor.tend(but=but)
        if time.monotonic() >= limit:
            return
        time.sleep(0.1)


def _wait_for(settings: Settings, supervisor: Supervisor, wanted: int, stop: Stop) -> int:
    """Keep the roles alive until so many parts have a verdict; how many have."""
    judged = _Judged(settings)
    seen, limit = -1, time.monotonic() + STUCK_AFTER
    while not stop.asked:
        _tend(supervisor, 0.3)
        now = judged()
        if now >= wanted:
            return now
        if now > seen:
            seen, limit = now, time.monotonic() + STUCK_AFTER
        if time.monotonic() > limit:
            raise StoreUnavailable(f"no verdict for {STUCK_AFTER:.0f} s, {now} judged; the logs beside say why")
    return max(seen, 0)


class _Judged:
    """How many parts have a verdict; the last known number while the database is away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._last = 0

    def __call__(self) -> int:
        """Ask the books."""
        try:
            with parts.database(self._settings) as database, database.reading() as connection:
                self._last = int(connection.scalar(select(func.count()).select_from(inspections)) or 0)
        except StoreUnavailable:
            log.info("the database is away")
        return self._last


def _drain(settings: Settings, supervisor: Supervisor, frames: int, stop: Stop) -> None:
    """Until everything that was captured is judged and every report is in the books."""
    _wait_for(settings, supervisor, frames, stop)
    _until(lambda: not supervisor.names("capture ") or not _running(supervisor, "capture "), supervisor, stop)
    with parts.broker(settings) as broker:
        _until(lambda: parts.waiting(broker) == 0, supervisor, stop)


def _running(supervisor: Supervisor, prefix: str) -> list[str]:
    return [name for name in supervisor.pids() if name.startswith(prefix)]


def _until(holds: Callable[[], bool], supervisor: Supervisor, stop: Stop) -> None:
    limit = time.monotonic() + STUCK_AFTER
    while not stop.asked and not holds():
        _tend(supervisor, 0.3)
        if time.monotonic() > limit:
            raise StoreUnavailable(f"the line was not quiet within {STUCK_AFTER:.0f} s; the logs beside say why")


def _balanced(database: Database, frames: int) -> bool:
    with database.reading() as connection:
        found = books(connection, now=parts.now())
    log.info("books: %s", asdict(found.sessions[0]) if found.sessions else "empty")
    return found.residual == 0 and found.duplicates == 0 and found.rows == frames
