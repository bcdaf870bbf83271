"""How many verdict rows a second the books take, as the inspection worker writes them: rows, regions, counters.

    .venv/bin/python benchmarks/inserts.py                        a SQLite file, and the PostgreSQL of scripts/services
    .venv/bin/python benchmarks/inserts.py --json FILE --rows 20000 --url postgresql+psycopg2://user@host/empty

One transaction a batch, eight cameras, every twentieth part with a region. A database that is named must be empty.
"""

import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from sqlalchemy import func, select

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cli.console import out, write_json
from cli.services.plant import Services
from core.database import Database, open_database
from core.messages import FrameCaptured
from core.records.inspections import Inspected, RegionRow, record
from core.tables import inspections, rollup_minute
from core.times import ns_of
from core.verdicts import Limits, MachineVerdict
from migrations.upgrade import upgrade
from tests.servers import SHARED, postgres_of

CAMERAS = 8
SIZES = (1, 16, 64, 512)
LIMITS = Limits(0.5, 0.8)
PLACE = RegionRow(x=3, y=4, width=10, height=6, area=41, peak=0.9, mean=0.85)


def main(
    rows: Annotated[int, typer.Option(help="Rows for each size of batch; a tenth of them one by one.")] = 10_000,
    url: Annotated[
        str, typer.Option(help="An empty database; default: a SQLite file and the services' PostgreSQL.")
    ] = "",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here; - for standard output.")
    ] = None,
) -> None:
    """Measure and print rows a second by size of batch."""
    found: dict[str, Any] = {"rows": rows, "machine": platform.machine(), "databases": {}}
    with databases(url) as named:
        for name, place in named.items():
            found["databases"][name] = measure(place, rows)
    if json_file:
        write_json(found, json_file)
        return
    for name, sizes in found["databases"].items():
        for size, figures in sizes.items():
            fresh, again, each = (figures[k] for k in ("rows_per_second", "again_per_second", "batch_ms"))
            out.print(
                f"{name:>10}  {size:>4} a batch  {fresh:>7.0f} rows/s  {each:>6.1f} ms  again {again:>7.0f} rows/s"
            )


@contextmanager
def databases(url: str) -> Iterator[dict[str, str]]:
    """Empty upgraded databases by name."""
    if url:
        upgrade(url)
        yield {url.partition(":")[0].partition("+")[0]: url}
        return
    with TemporaryDirectory() as folder, postgres_of(Services(SHARED)) as server:
        made = {"sqlite": f"sqlite:///{folder}/books.sqlite", "postgresql": server}
        for each in made.values():
            upgrade(each)
        yield made


def measure(url: str, rows: int) -> dict[int, dict[str, float]]:
    """Figures by size of batch: new rows a second, the same delivered again, and the median ms of a batch."""
    figures = {}
    with open_database(url) as database:
        write(database, batches(1000, 64, session=1))  # connections, caches, partitions
        for number, size in enumerate(SIZES, start=2):
            wanted = list(batches(rows if size > 1 else rows // 10, size, session=number))
            count = sum(map(len, wanted))
            times = write(database, wanted)
            again = write(database, wanted)
            figures[size] = {
                "rows_per_second": count / sum(times),
                "again_per_second": count / sum(again),
                "batch_ms": sorted(times)[len(times) // 2] * 1000,
            }
        check(database)
    return figures


def write(database: Database, wanted: "list[list[Inspected]] | Iterator[list[Inspected]]") -> list[float]:
    """One transaction a batch; the seconds of each."""
    times = []
    for batch in wanted:
        begun = time.perf_counter()
        with database.writing() as connection:
            record(connection, batch)
        times.append(time.perf_counter() - begun)
    return times


def batches(rows: int, size: int, *, session: int) -> Iterator[list[Inspected]]:
    """Frames of eight cameras in turn, 80 a second, in batches."""
    began = ns_of(datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)) + session * 3600 * 10**9
    made = [part(number, began) for number in range(rows)]
    return (made[start : start + size] for start in range(0, rows, size))


def part(number: int, session: int) -> Inspected:
    """Every twentieth one is failed."""
    seq, camera = divmod(number, CAMERAS)
    captured_at = session + number * 12_500_000
    frame = FrameCaptured(
        station="s", camera=f"camera-{camera}", session=session, seq=seq, captured_at=captured_at, product="ring",
        part_id=f"P{number}", lot="L1", deadline_ms=2000, width=640, height=480, sha256="ab" * 32,
    )  # fmt: skip
    failed = number % 20 == 0
    verdict = MachineVerdict.FAIL if failed else MachineVerdict.PASS
    return Inspected(
        frame=frame, verdict=verdict, inspected_at=captured_at + 40_000_000,
        worker="0.1.0 openvino cpu f32", size=30_000, score=0.9 if failed else 0.2, limits=LIMITS, model_id=1,
        recipe_version=1, predict_ms=8.0, thumb=f"ring/2026/11/25/{number}.jpg", regions=(PLACE,) if failed else (),
    )  # fmt: skip


def check(database: Database) -> None:
    """Each row once, and counted once."""
    with database.reading() as connection:
        rows = connection.scalar(select(func.count()).select_from(inspections))
        counted = connection.scalar(select(func.sum(rollup_minute.c.n)))
    if rows != counted:
        raise SystemExit(f"{rows} rows and {counted} counted: they must be equal")


if __name__ == "__main__":
    typer.run(main)
