"""`flawline bench line`: how fast a whole line goes on real servers, beside what the model alone can do."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from cli import parts
from cli.bench_cameras import Cameras, Photo
from cli.bench_figures import Phases, Seen, cpu_ms_per_frame, memory, percentiles, rate, stage_share
from cli.bench_model import GOLDEN, NULL, TAUGHT, Model, network_speed, prepare_model
from cli.bench_place import Place, bench_place, versions
from cli.bench_watch import Observer
from cli.console import err, progress
from cli.services.service import free_ports
from core.errors import StoreUnavailable
from core.line import Camera, Line, line_of
from core.messages import VERDICTS
from core.records.books import Books, books
from core.settings import PREFIX, Settings, environment_of, read_settings
from ingest.encoder import encode_jpeg
from ingest.simulator import Simulator
from workers.supervisor import Role, Supervisor

PHOTOS = 64  # distinct pictures
DEFECTS = 0.02  # share of them with a flaw
PACE = 0.9  # of full speed, for the latency
NULL_BATCH = 64  # what each batch costs by itself (a transaction, a commit) is shared by more frames
IN_HAND = 3  # batches for each worker that wait for their verdicts at full speed
READY_WITHIN = 180.0  # s
SETTLED_WITHIN = 60.0  # s
RSS_EVERY = 1.0  # s
TAUGHT_SEED, LINE_SEED = 0, 1


@dataclass(frozen=True, slots=True)
class Crew:
    """How the inspection is done: so many workers, in batches of so many frames at most."""

    workers: int
    batch: int

    @classmethod
    def of(cls, model: str, *, workers: int = 0, batch: int = 0) -> "Crew":
        """As asked; 0 for what fits. A network uses all cores by itself; decoding alone needs a worker for each."""
        if model == NULL:
            return cls(workers or os.cpu_count() or 1, batch or NULL_BATCH)
        return cls(workers or 1, batch or read_settings().broker.batch)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be measured. model: null, default, a model file, or a product with an active model."""

    frames: int
    cameras: int
    model: str
    size: tuple[int, int] = (640, 480)
    crew: Crew = Crew(1, 16)
    services: Path = Path(".services")


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured. network: frames per second of the model alone, before and after."""

    full: Seen
    paced: Seen
    cameras: Cameras
    found: Books
    restarts: int
    network: tuple[float, ...]


def run_bench(asked: Asked) -> dict[str, Any]:
    """Run it; the report. Raises StoreUnavailable when the line stands still or a server does not answer."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="flawline-bench-")))
        place = stack.enter_context(bench_place(asked.services, folder, batch=asked.crew.batch))
        parts.prepare(place.settings)
        model = prepare_model(place.settings, asked.model, _pictures(asked.size, GOLDEN, seed=TAUGHT_SEED), asked.size)
        pictures = _pictures(asked.size, PHOTOS, seed=LINE_SEED, defects=DEFECTS)
        before = network_speed(place.settings, model, pictures, batch=asked.crew.batch)
        run = _measured(asked, place, model, [Photo.of(data, *asked.size) for data in pictures])
        after = network_speed(place.settings, model, pictures, batch=asked.crew.batch)
        run = replace(run, network=tuple(speed for speed in (before, after) if speed))
        return report(asked, run) | {"versions": versions(place)}


def _measured(asked: Asked, place: Place, model: Model, photos: Sequence[Photo]) -> Run:
    settings, line = place.settings, _line(asked, model.product)
    parts.prepare(settings, line)
    phases = Phases.of(asked.frames, batch=asked.crew.batch, workers=asked.crew.workers)
    with ExitStack() as stack:
        supervisor, ports = stack.enter_context(_working(settings, asked))
        broker = stack.enter_context(parts.broker(settings))
        producer = stack.enter_context(broker.producer())
        reader = stack.enter_context(broker.consumer(VERDICTS, group="bench"))
        tell = stack.enter_context(progress())
        cameras = Cameras(line, photos, producer, reader)
        servers = {name: pid for name in ("kafka", "postgres") if (pid := place.servers[name].pid())}
        observer = Observer({**supervisor.pids(), **servers}, ports)
        rss: list[tuple[int, float]] = []

        def tend() -> None:
            supervisor.tend()
            if time.monotonic() - tend_at[0] >= RSS_EVERY:
                tend_at[0] = time.monotonic()
                rss.append((cameras.told, observer.rss()))
                tell("inspecting", cameras.told, asked.frames, {})

        tend_at = [time.monotonic()]
        window = IN_HAND * asked.crew.batch * asked.crew.workers
        cameras.full_speed(phases.warm, window=window, tend=tend)
        rss.clear()
        start = observer.snapshot(cameras.told)
        cameras.full_speed(phases.full, window=window, tend=tend)
        full = Seen(start, observer.snapshot(cameras.told), cameras.take_latencies(), rss)
        cameras.paced(phases.paced, rate=rate(full) * PACE, tend=tend)
        paced = Seen(full.end, observer.snapshot(cameras.told), cameras.take_latencies(), rss)
        cameras.finish()
        found = _settled(settings, supervisor)
        restarts = sum(supervisor.starts().values()) - len(supervisor.starts())
    return Run(full, paced, cameras, found, restarts, ())


def report(asked: Asked, run: Run) -> dict[str, Any]:
    """The figures as a program reads them."""
    speed = rate(run.full)
    network = sum(run.network) / len(run.network) if run.network else None
    return {
        "frames": run.found.rows,
        "cameras": asked.cameras,
        "workers": asked.crew.workers,
        "batch": asked.crew.batch,
        "model": asked.model,
        "picture": {"width": asked.size[0], "height": asked.size[1], "bytes": run.cameras.mean_bytes},
        "frames_per_second": round(speed, 2),
        "network_frames_per_second": round(network, 2) if network else None,
        "ratio_to_network": round(speed / network, 4) if network else None,
        "latency_ms": percentiles(run.paced.latencies),
        "latency_at_frames_per_second": round(rate(run.paced), 2),
        "stage_share": stage_share(run.full, asked.crew.workers),
        "cpu_ms_per_frame": cpu_ms_per_frame(run.full),
        **memory(run.full.rss),
        "lost": run.found.lost,
        "duplicates": run.found.duplicates,
        "verdicts": run.cameras.verdicts,
        "restarts": run.restarts,
    }


def _line(asked: Asked, product: str) -> Line:
    """As many cameras on the same product; the bench itself is their source."""
    named = (f"camera-{number}" for number in range(1, asked.cameras + 1))
    cameras = [Camera(name=name, product=product, source=f"simulator:{TAUGHT}") for name in named]
    return line_of(cameras, name="bench", partitions=min(64, asked.cameras))


def _pictures(size: tuple[int, int], count: int, *, seed: int, defects: float = 0.0) -> list[bytes]:
    """Simulated parts as a camera's side encodes them."""
    simulator = Simulator(TAUGHT, seed=seed, defect_rate=defects)
    shown = (simulator.render(number).picture for number in range(count))
    scaled = (np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8) for picture in shown)
    return [encode_jpeg(picture) for picture in scaled]


@contextmanager
def _working(settings: Settings, asked: Asked) -> Iterator[tuple[Supervisor, dict[str, int]]]:
    """The line's own processes, ready, and the ports of the inspection workers' figures."""
    names = [f"inspection-{number}" for number in range(1, asked.crew.workers + 1)]
    ports = {name: free_ports(1) for name in names}
    command = ("bench", "worker") if asked.model == NULL else ("worker", "inspection")
    ready = {name: settings.data / f"{name}.ready" for name in names}
    roles = [
        Role(name, (*command, "--name", name, "--supervised", "--ready", str(ready[name])),
             environment={f"{PREFIX}METRICS__PORT": str(ports[name])})
        for name in names
    ]  # fmt: skip
    roles.append(Role("books", ("worker", "books", "--supervised")))
    with Supervisor(roles, environment_of(settings), logs=settings.data / "logs") as supervisor:
        supervisor.start(*supervisor.names())
        limit = time.monotonic() + READY_WITHIN
        while not all(path.exists() for path in ready.values()):
            if time.monotonic() > limit or max(supervisor.starts().values()) > 2:
                raise StoreUnavailable(f"the workers did not become ready; they say: {_said(settings)}")
            supervisor.tend()
            time.sleep(0.05)
        try:
            yield supervisor, ports
        except StoreUnavailable as problem:
            raise StoreUnavailable(f"{problem}. The workers say: {_said(settings)}") from problem


def _said(settings: Settings) -> str:
    logs = sorted((settings.data / "logs").glob("*.log"))
    return " ".join(path.read_text(errors="replace")[-600:].strip() for path in logs)


def _settled(settings: Settings, supervisor: Supervisor) -> Books:
    """The books once the cameras' last reports are in them, or as they are after a minute."""
    limit = time.monotonic() + SETTLED_WITHIN
    with parts.database(settings) as database:
        while True:
            with database.reading() as connection:
                found = books(connection, now=parts.now())
            if (found.settled and not found.residual) or time.monotonic() > limit:
                return found
            supervisor.tend()
            time.sleep(0.2)


def print_report(result: dict[str, Any]) -> None:
    """For people."""
    latency, network = result["latency_ms"], result["network_frames_per_second"]
    beside = f", {result['ratio_to_network']:.2f} of the model alone ({network} frames/s)" if network else ""
    err.print(f"{result['frames_per_second']} frames/s{beside}")
    err.print(f"from capture to verdict, at {result['latency_at_frames_per_second']} frames/s: "
              f"p50 {latency['p50']} ms, p95 {latency['p95']} ms, p99 {latency['p99']} ms")  # fmt: skip
    shares = ", ".join(f"{name} {share:.0%}" for name, share in result["stage_share"].items())
    err.print(f"a worker is busy, side by side, with: {shares}")
    err.print(f"memory {result['rss_start_mb']} MB after the warm-up, {result['rss_end_mb']} MB at the end; "
              f"{result['lost']} lost, {result['duplicates']} counted twice")  # fmt: skip
