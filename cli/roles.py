"""Each role as one process: builds its parts, runs it, closes the parts in reverse."""

import ctypes
import gc
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cli import parts
from core import logs
from core.health import HANGS_AFTER, Health
from core.health_server import serve_health
from core.line import read_line
from core.live_open import open_live
from core.messages import CAMERAS, FRAMES, ROUTES
from core.metrics_open import open_metrics
from core.settings import Settings, read_settings
from core.stop import Stop

if TYPE_CHECKING:
    from core.database import Database
    from model.predictor import Predictor
    from workers.runtime import Pace
    from workers.signs import Signs

    LoadModel = Callable[[Path, str], Predictor]

log = logging.getLogger(__name__)

_M_ARENA_MAX = -8  # as malloc.h has it
STOPPED = 143  # as a shell says it of SIGTERM: the source was not at its end, so a supervisor starts it again


def run_inspection(*, name: str, supervised: bool, ready: Path | None, load: "LoadModel | None" = None) -> None:
    """Judge frames until asked to stop. load: how model files are opened, where not as the settings say."""
    _share_memory()  # before any thread begins
    from workers.behind import Behind
    from workers.frames import Bounds
    from workers.guard import CrashGuard
    from workers.inspection import GROUP, Inspector, Stores
    from workers.keeping import Keeper
    from workers.runtime import Watch, Worker
    from workers.shelf import Shelf, Signals

    settings, stop = _begin(supervised=supervised)
    name = parts.worker_name(settings, "inspection", name)
    with ExitStack() as stack:
        signs = stack.enter_context(_signs(settings, "inspection", name))
        database = stack.enter_context(parts.database(settings))
        broker = stack.enter_context(parts.broker(settings))
        consumer = stack.enter_context(broker.consumer(FRAMES, group=GROUP, member=name))
        verdicts, dead = (stack.enter_context(broker.producer()) for _ in range(2))
        blobs = parts.blobs(settings)
        signs.metrics.cameras(_cameras(database))
        signals = Signals(signs.live, signs.metrics)
        shelf = Shelf(database, blobs, settings.data / "models", load or _loader(settings), signals=signals)
        shelf.refresh(at_once=True)
        keeper = Keeper(sample_share=settings.blobs.sample_share, all_heat=settings.blobs.heat == "all")
        stores = Stores(database, blobs, verdicts, signs.live)
        bounds = Bounds(settings.pictures.max_pixels, settings.database.keep_days)
        inspector = Inspector(stores, shelf, keeper, bounds=bounds, metrics=signs.metrics)
        watch = Watch(CrashGuard(database, GROUP), signs, Behind(broker, FRAMES, GROUP, signs.metrics))
        worker = Worker(consumer, dead, inspector, stop=stop, watch=watch, pace=_pace(settings))
        if ready:
            ready.parent.mkdir(parents=True, exist_ok=True)
            ready.touch()
        gc.freeze()  # a full collection over all that was imported would take 0.15 s in the midst of a batch
        log.info("inspection is ready")
        worker.run()


def run_books(*, supervised: bool) -> None:
    """Write what cameras and gates report until asked to stop."""
    from workers.behind import Behind
    from workers.bookkeeping import GROUP, ROUTE_GROUP, Bookkeeper, RouteKeeper
    from workers.runtime import Watch, Worker

    settings, stop = _begin(supervised=supervised)
    with ExitStack() as stack:
        signs = stack.enter_context(_signs(settings, "books", "books"))
        database = stack.enter_context(parts.database(settings))
        broker = stack.enter_context(parts.broker(settings))
        pace, workers = _pace(settings), []
        for topic, group, step in (
            (CAMERAS, GROUP, Bookkeeper(database)),
            (ROUTES, ROUTE_GROUP, RouteKeeper(database)),
        ):
            consumer = stack.enter_context(broker.consumer(topic, group=group, member=group))
            dead = stack.enter_context(broker.producer())
            watch = Watch(signs=signs, behind=Behind(broker, topic, group, signs.metrics))
            workers.append(Worker(consumer, dead, step, stop=stop, watch=watch, pace=pace))
        signs.ready()
        while not stop.asked:
            for worker in workers:  # both need the same stores: where one waits, the other would too
                worker.step()


def run_housekeeping(*, supervised: bool) -> None:
    """Drop what is past its time, keep room free, make partitions ahead, until asked to stop."""
    from workers.housekeeping import LONGEST, Housekeeper, duties

    settings, stop = _begin(supervised=supervised)
    with ExitStack() as stack:
        signs = stack.enter_context(_signs(settings, "housekeeping", "housekeeping", within=LONGEST))
        database = stack.enter_context(parts.database(settings))
        broker = stack.enter_context(parts.broker(settings))
        work = duties(broker, database, parts.blobs(settings), settings, now=parts.now)
        Housekeeper(work, signs=signs).run(stop)


def run_watch(*, supervised: bool) -> None:
    """Look at the whole line and keep its alerts until asked to stop."""
    from core.broker.open import open_broker
    from workers.looking import Looker
    from workers.watch import Watch

    settings, stop = _begin(supervised=supervised)
    with ExitStack() as stack:
        signs = stack.enter_context(_signs(settings, "watch", "watch"))
        database = stack.enter_context(parts.database(settings))
        looker = Looker(database, lambda: open_broker(settings), signs.live, settings, now=parts.now)
        stack.callback(looker.close)
        Watch(looker, signs=signs).run(stop)


def run_capture(camera: str, line_file: Path | None, *, supervised: bool) -> None:
    """Take one camera's pictures into the log until asked to stop or the source ends."""
    from cli.capturing import capture_camera

    settings, stop = _begin(supervised=supervised)
    line = read_line(line_file or settings.line_path)
    with _signs(settings, "capture", camera) as signs:
        signs.metrics.cameras([camera])
        ended = capture_camera(settings, line, camera, stop=stop, signs=signs)
    if not ended:
        raise SystemExit(STOPPED)


def run_dashboard(port: int | None, *, supervised: bool) -> None:
    """Serve the pages until asked to stop."""
    from dashboard.serve import run

    settings = read_settings()
    if port is not None:
        settings = settings.model_copy(update={"dashboard": settings.dashboard.model_copy(update={"port": port})})
    logs.configure(settings)
    _watch_parent(supervised=supervised)
    run(settings)


def _share_memory() -> None:
    """Let all threads take memory from one heap, where the C library is glibc.

    Each would have its own otherwise; batches that pass from thread to thread leave holes in all of them, and a worker
    grew by 10 MB in 1000 frames.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _begin(*, supervised: bool) -> tuple[Settings, Stop]:
    settings, stop = parts.begin()
    _watch_parent(supervised=supervised)
    return settings, stop


def _watch_parent(*, supervised: bool) -> None:
    if supervised:
        from workers.supervisor import end_with_parent

        end_with_parent(sys.stdin.fileno())


@contextmanager
def _signs(settings: Settings, role: str, name: str, *, within: float = HANGS_AFTER) -> Iterator["Signs"]:
    """What the process says of itself: figures and health on its port, its beat in the live cache."""
    from workers.signs import Signs

    metrics = open_metrics(settings.metrics, role=role, name=name)
    health = Health(within=within)
    who = role if name in {"", role} else f"{role} {name}"
    with serve_health(settings.metrics, metrics, health, who=who), open_live(settings, metrics) as live:
        yield Signs(role, name or role, metrics=metrics, health=health, live=live)


def _cameras(database: "Database") -> list[str]:
    """The cameras of the line, as the books know them."""
    from core.records.line import cameras_in_line

    with database.reading() as connection:
        return cameras_in_line(connection)


def _loader(settings: Settings) -> "LoadModel":
    from model.predictor import Predictor

    threads = settings.worker.threads or None

    def load(path: Path, sha256: str) -> Predictor:
        return Predictor.load(path, runtime=settings.worker.runtime, threads=threads, sha256=sha256)

    return load


def _pace(settings: Settings) -> "Pace":
    from workers.runtime import Pace

    return Pace(
        poll=settings.broker.poll_seconds, batch=settings.broker.batch,
        backoff=settings.worker.backoff_seconds, backoff_most=settings.worker.backoff_most_seconds)  # fmt: skip
