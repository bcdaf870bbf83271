"""Each role as one process: builds its parts, runs it, closes the parts in reverse."""

import logging
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from cli import parts
from core import logs
from core.line import read_line
from core.messages import CAMERAS, FRAMES
from core.settings import Settings, read_settings
from core.stop import Stop

if TYPE_CHECKING:
    from workers.runtime import Pace

log = logging.getLogger(__name__)

STOPPED = 143  # as a shell says it of SIGTERM: the source was not at its end, so a supervisor starts it again


def run_inspection(*, name: str, supervised: bool, ready: Path | None) -> None:
    """Judge frames until asked to stop."""
    from model.predictor import Predictor
    from workers.guard import CrashGuard
    from workers.inspection import GROUP, Inspector
    from workers.keeping import Keeper
    from workers.runtime import Worker
    from workers.shelf import Shelf

    settings, stop = _begin(supervised=supervised)
    threads = settings.worker.threads or None

    def open_predictor(path: Path, sha256: str) -> Predictor:
        return Predictor.load(path, runtime=settings.worker.runtime, threads=threads, sha256=sha256)

    with ExitStack() as stack:
        database = stack.enter_context(parts.database(settings))
        broker = stack.enter_context(parts.broker(settings))
        consumer = stack.enter_context(broker.consumer(FRAMES, group=GROUP, member=name))
        verdicts, dead = (stack.enter_context(broker.producer()) for _ in range(2))
        blobs = parts.blobs(settings)
        shelf = Shelf(database, blobs, settings.data / "models", open_predictor)
        shelf.refresh(at_once=True)
        keeper = Keeper(blobs, sample_share=settings.blobs.sample_share, all_heat=settings.blobs.heat == "all")
        inspector = Inspector(database, shelf, keeper, verdicts, max_pixels=settings.pictures.max_pixels)
        guard = CrashGuard(database, GROUP)
        worker = Worker(consumer, dead, inspector, stop=stop, guard=guard, pace=_pace(settings))
        if ready:
            ready.parent.mkdir(parents=True, exist_ok=True)
            ready.touch()
        log.info("inspection is ready")
        worker.run()


def run_books(*, supervised: bool) -> None:
    """Write camera reports until asked to stop."""
    from workers.bookkeeping import GROUP, Bookkeeper
    from workers.runtime import Worker

    settings, stop = _begin(supervised=supervised)
    with ExitStack() as stack:
        database = stack.enter_context(parts.database(settings))
        broker = stack.enter_context(parts.broker(settings))
        consumer = stack.enter_context(broker.consumer(CAMERAS, group=GROUP, member="books"))
        dead = stack.enter_context(broker.producer())
        Worker(consumer, dead, Bookkeeper(database), stop=stop, pace=_pace(settings)).run()


def run_housekeeping(*, supervised: bool) -> None:
    """Drop what is past its time until asked to stop."""
    from workers.housekeeping import Housekeeper, lives

    settings, stop = _begin(supervised=supervised)
    with parts.broker(settings) as broker:
        Housekeeper(broker, parts.blobs(settings), lives(settings.blobs), now=parts.now).run(stop)


def run_capture(camera: str, line_file: Path | None, *, supervised: bool) -> None:
    """Take one camera's pictures into the log until asked to stop or the source ends."""
    from ingest.capture import Capture
    from ingest.sources import open_source

    settings, stop = _begin(supervised=supervised)
    line = read_line(line_file or settings.line_path)
    taken = line.find(camera)
    with ExitStack() as stack:
        broker = stack.enter_context(parts.broker(settings))
        producer = stack.enter_context(broker.producer())
        source = stack.enter_context(open_source(taken.source, notes=settings.data / "taken", owner=camera))
        capture = Capture(
            taken,
            source,
            producer,
            partition=line.partition_of(camera),
            pictures=settings.pictures,
            stop=stop,
        )
        capture.run()
    if not capture.ended:
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


def _begin(*, supervised: bool) -> tuple[Settings, Stop]:
    settings, stop = parts.begin()
    _watch_parent(supervised=supervised)
    return settings, stop


def _watch_parent(*, supervised: bool) -> None:
    if supervised:
        from workers.supervisor import end_with_parent

        end_with_parent(sys.stdin.fileno())


def _pace(settings: Settings) -> "Pace":
    from workers.runtime import Pace

    return Pace(
        poll=settings.broker.poll_seconds, batch=settings.broker.batch,
        backoff=settings.worker.backoff_seconds, backoff_most=settings.worker.backoff_most_seconds)  # fmt: skip
