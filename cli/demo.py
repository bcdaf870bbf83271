"""`flawline demo`: learns simulated products, runs a simulated line on them, and reports against the simulator's truth."""

import os
import shutil
import time
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.live import Live
from rich.table import Table

from cli import parts
from cli.console import err, out, progress, write_json
from cli.demo_report import report
from cli.line_up import running
from cli.teach import Asked, learn_product
from core.errors import SettingsInvalid
from core.line import Camera, Line, line_of
from core.messages import FRAMES
from core.records import models
from core.records.books import books
from core.records.models import ModelRow
from core.settings import Settings, read_settings
from core.stop import Stop
from ingest.encoder import encode_jpeg
from ingest.simulator import PRODUCTS, Simulator
from workers.inspection import GROUP
from workers.supervisor import Supervisor

GOLDEN = 400  # good pictures for each product: 199 held out prove a FAIL limit at 0.5 %
TAUGHT_SEED, LINE_SEED = 0, 1  # what is taught and what is inspected are different shifts
TOTAL_RATE = 12.0  # parts per second over all cameras
DEADLINE_MS = 5000
DRAIN_WITHIN = 60.0  # s


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the demo is asked to do; minutes None: until Ctrl-C."""

    minutes: float | None
    browser: bool
    data: Path | None
    products: tuple[str, ...]
    budget: str
    fresh: bool


def run_demo(wishes: Wishes, json_file: Path | None) -> int:
    """Run the demo to its end; 0 when the books balance, else 1."""
    if unknown := [name for name in wishes.products if name not in PRODUCTS]:
        raise SettingsInvalid(f"no simulated product {', '.join(unknown)}; there are {', '.join(PRODUCTS)}")
    settings, stop = _begin(wishes)
    taught = {}
    for product in wishes.products:
        taught[product] = _taught(settings, product, wishes.budget, stop)
        if stop.asked:
            return 130
    line = _line(wishes.products)
    line_file = settings.data / "line.toml"
    line_file.write_text(line.to_toml())
    address = f"http://{settings.dashboard.host}:{settings.dashboard.port}"
    started = time.time_ns()
    with running(settings, stop, line_file=line_file, dashboard=True, logs=settings.data / "logs") as supervisor:
        err.print(f"the line runs; pages at [bold]{address}[/], logs in {settings.data / 'logs'} (Ctrl-C stops)")
        if wishes.browser:
            webbrowser.open(address)
        _watch(settings, supervisor, stop, wishes.minutes)
        supervisor.stop(*supervisor.names("capture "))
        _drain(settings, supervisor)
    result = report(settings, line, taught, since=started)
    write_json(result, json_file)
    if str(json_file) != "-":
        _print(result)
    return 0 if result["lost"] == 0 and result["duplicates"] == 0 else 1


def _begin(wishes: Wishes) -> tuple[Settings, Stop]:
    base = read_settings()
    data = wishes.data or base.data / "demo"
    if wishes.fresh and data.exists():
        if not (data / "line.toml").exists():
            raise SettingsInvalid(f"{data} does not look like a demo's folder and is not deleted; name another one")
        shutil.rmtree(data)
    blobs = base.blobs.model_copy(update={"heat": "all"})  # for the pixel figures every part's map is needed
    settings = base.model_copy(update={"data": data, "blobs": blobs})
    _, stop = parts.begin()
    parts.prepare(settings)
    return settings, stop


def _line(products: tuple[str, ...]) -> Line:
    rate = TOTAL_RATE / len(products)
    cameras = [
        Camera(
            name=f"{product}-top",
            station=f"station-{number}",
            product=product,
            deadline_ms=DEADLINE_MS,
            source=f"simulator:{product}?rate={rate:g}&defects=0.08&seed={LINE_SEED}",
        )  # fmt: skip
        for number, product in enumerate(products, start=1)
    ]
    return line_of(cameras, name="demo line")


def _taught(settings: Settings, product: str, budget: str, stop: Stop) -> ModelRow:
    """The product's active model: of an earlier demo in the same folder, or learnt now."""
    with parts.database(settings) as database, database.reading() as connection:
        if found := models.active(connection).get(product):
            err.print(f"{product}: already taught, model {found.version}")
            return found
    folder = settings.data / "golden" / product
    with progress() as tell:
        _render(product, folder, tell)
        asked = Asked(budget=budget, fail_rate=0.005)
        row, learnt = learn_product(settings, product, folder, asked, stop=stop, tell=tell)
    err.print(f"{product}: model {row.version} learnt from {GOLDEN} good parts in {learnt.seconds:.0f} s")
    return row


def _render(product: str, folder: Path, tell: "Report") -> None:
    """Good parts as the line's own camera side would encode them."""
    folder.mkdir(parents=True, exist_ok=True)
    simulator = Simulator(product, seed=TAUGHT_SEED)
    for number in range(GOLDEN):
        (folder / f"{number:04d}.jpg").write_bytes(encode_jpeg(simulator.good(number).picture))
        tell(f"photographing {product}", number + 1, GOLDEN, {})


def _watch(settings: Settings, supervisor: Supervisor, stop: Stop, minutes: float | None) -> None:
    """Keep the roles alive and show what the books say, until the time is over or Ctrl-C."""
    limit = None if minutes is None else time.monotonic() + minutes * 60
    shown = 0.0
    with Live(console=err, auto_refresh=False, transient=True) as live, parts.database(settings) as database:
        while not stop.asked and (limit is None or time.monotonic() < limit):
            supervisor.tend()
            if err.is_terminal and time.monotonic() - shown >= 1:
                with database.reading() as connection:
                    live.update(_status(books(connection, now=parts.now(), most_gaps=0)), refresh=True)
                shown = time.monotonic()
            time.sleep(0.1)


def _status(found: Books) -> Table:
    table = Table(box=None, pad_edge=False)
    for verdict in found.verdicts:
        table.add_column(verdict.replace("_", " "), justify="right")
    table.add_column("lost", justify="right")
    table.add_row(*map(str, found.verdicts.values()), str(found.lost))
    return table


def _drain(settings: Settings, supervisor: Supervisor) -> None:
    """Let what was captured be judged before the end."""
    limit = time.monotonic() + DRAIN_WITHIN
    with parts.broker(settings) as broker:
        while time.monotonic() < limit:
            supervisor.tend()
            topics = ((FRAMES, GROUP), (CAMERAS, BOOKS))
            if not any(lag.records for topic, group in topics for lag in broker.lag(topic, group=group)):
                return
            time.sleep(0.2)
