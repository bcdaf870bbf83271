"""`flawline demo`: learns simulated products, runs a simulated line, reports against the simulator's truth."""

import shutil
import time
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.live import Live
from rich.table import Table

from cli import parts
from cli.asked import Asked
from cli.console import Report, err, out, progress, write_json
from cli.demo_report import report
from cli.line_up import require_free_port, running
from cli.teach import INTERRUPTED, enter, learn_product, recipe_of, write_sheet
from core.errors import SettingsInvalid
from core.line import Camera, Line, line_of
from core.records import models
from core.records.books import Books, books
from core.records.models import ModelRow
from core.settings import Settings, read_settings
from core.stop import Stop
from core.verdicts import MachineVerdict
from ingest.encoder import encode_jpeg
from ingest.simulator import PRODUCTS, Simulator
from model.training import TrainingCancelled
from workers.supervisor import Supervisor

GOLDEN = 400  # good pictures for each product: 199 of them, held out, prove a FAIL limit at 0.5 %
FAIL_RATE = 0.005
TAUGHT_SEED, LINE_SEED = 0, 1  # what is taught and what is inspected are different shifts
TOTAL_RATE = 12.0  # parts per second over all cameras
DEADLINE_MS = 5000
LINE_FILE = "line.toml"  # also the mark of a folder that the demo may delete
STUCK_AFTER = 60.0  # s without a verdict before the rest is left in the log


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
    line = _line(wishes.products)
    require_free_port(read_settings())  # before the minutes of learning, not after them
    settings, stop = _begin(wishes)
    line_file = settings.data / LINE_FILE
    line_file.write_text(line.to_toml())
    try:
        taught = {product: _taught(settings, product, wishes.budget, stop) for product in wishes.products}
    except TrainingCancelled:
        err.print("stopped; the same command goes on where this one stopped")
        return INTERRUPTED
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
        if not (data / LINE_FILE).exists() and any(data.iterdir()):
            raise SettingsInvalid(f"{data} does not look like a demo's folder and is not deleted; name another one")
        shutil.rmtree(data)
    blobs = base.blobs.model_copy(update={"heat": "all"})  # for the pixel figures every part's map is needed
    settings = base.model_copy(update={"data": data, "blobs": blobs})
    _, stop = parts.begin(settings.model_copy(update={"log_level": "WARNING", "log_format": "human"}))
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
            source=f"simulator:{product}?rate={rate:g}&defects=0.08&subtle=0&seed={LINE_SEED}",
        )
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
        asked = Asked(budget=budget, fail_rate=FAIL_RATE)
        learnt = learn_product(settings, product, folder, asked, stop=stop, tell=tell)
    shown = write_sheet(folder, learnt.manifest, folder.with_suffix(".fixture.png"))
    row = enter(settings, recipe_of(asked, product), learnt, activate=True, shown=shown)
    err.print(
        f"{product}: model {row.version} learnt from {learnt.counts['train']} good parts in {learnt.seconds:.0f} s"
    )
    return row


def _render(product: str, folder: Path, tell: Report) -> None:
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
    """Let what was captured be judged before the end, for as long as it goes on."""
    least, limit = -1, time.monotonic() + STUCK_AFTER
    with parts.broker(settings) as broker:
        while time.monotonic() < limit:
            supervisor.tend()
            left = parts.waiting(broker)
            if left == 0:
                return
            if left < least or least < 0:
                least, limit = left, time.monotonic() + STUCK_AFTER
            time.sleep(0.2)


def _print(result: Mapping[str, object]) -> None:
    """The report for people: the books first, then what the model was worth."""
    judged = ", ".join(f"{result[verdict.lower()]} {verdict.replace('_', ' ')}" for verdict in MachineVerdict)
    out.print(f"{result['frames_captured']} frames captured: {judged}")
    out.print(f"{result['lost']} lost, {result['duplicates']} counted twice, {result['frames_per_second']} frames/s")
    out.print(
        f"against the simulator's truth: image AUROC {result['image_auroc']}, pixel AUROC {result['pixel_auroc']}"
    )
    out.print(f"training took {result['train_seconds']:.0f} s in all")
