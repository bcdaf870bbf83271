"""`flawline bench`: how fast this machine inspects."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from core.errors import SettingsInvalid

LARGEST = 16  # pictures in a batch, as an inspection worker takes them

bench = typer.Typer(no_args_is_help=True, help="Measure how fast this machine inspects.")


@bench.command()
def line(
    frames: Annotated[int, typer.Option(min=100, help="Frames in all.")] = 20000,
    cameras: Annotated[int, typer.Option(min=1, max=64, help="Simulated cameras.")] = 8,
    model: Annotated[
        str, typer.Option(help="default (learnt for the run), null (no network at all), a model file, or a product.")
    ] = "default",
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the pictures.")] = "640x480",
    workers: Annotated[
        int, typer.Option(min=0, max=64, help="Inspection workers; 0: 1, and for null one on each core.")
    ] = 0,
    batch: Annotated[
        int, typer.Option(min=0, max=256, help="Most frames in one batch; 0: as broker.batch, and 64 for null.")
    ] = 0,
    services: Annotated[Path, typer.Option(help="Folder of the servers, as `scripts/services` has it.")] = Path(
        ".services"
    ),
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the result as JSON here; - for stdout.")
    ] = None,
) -> None:
    """Send frames through Kafka, inspection and PostgreSQL, as fast as the line takes them: speed, latency, memory."""
    from cli.bench_line import Asked, Crew, print_report, run_bench
    from cli.console import write_json

    found = re.fullmatch(r"(\d{2,5})x(\d{2,5})", size)
    if not found:
        raise SettingsInvalid(f"--size {size!r}: write WIDTHxHEIGHT in pixels, as 640x480")
    crew = Crew.of(model, workers=workers, batch=batch)
    asked = Asked(frames, cameras, model, (int(found[1]), int(found[2])), crew, services)
    result = run_bench(asked)
    write_json(result, json_file)
    if str(json_file) != "-":
        print_report(result)
    raise typer.Exit(1 if result["lost"] or result["duplicates"] or result["restarts"] else 0)


@bench.command("model")
def network(
    model: Annotated[Path | None, typer.Option(help="A model file; without one, the default network.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="The model's data set with test pictures: what does each precision cost?")
    ] = None,
    batches: Annotated[str, typer.Option(help="Sizes of batches, 1 to 16, with commas.")] = "1,4,8,16",
    seconds: Annotated[float, typer.Option(min=0.01, max=600, help="How long to measure each row.")] = 3.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the result as JSON here; - for stdout.")
    ] = None,
) -> None:
    """Run the network itself every way this machine can, side by side: speed, roofline, what less precision costs."""
    from cli.bench_network import print_report, run_bench
    from cli.bench_subject import Asked
    from cli.console import write_json
    from cli.teach import plain_refusals

    if data is not None and model is None:
        raise SettingsInvalid("--data needs --model: an untrained network tells good from bad by chance alone")
    with plain_refusals():
        result = run_bench(Asked(model, data, sizes_of(batches), seconds))
    write_json(result, json_file)
    if str(json_file) != "-":
        print_report(result)


def sizes_of(text: str) -> tuple[int, ...]:
    """Sizes of batches, each once, from the smallest up. Raises SettingsInvalid."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= LARGEST for part in parts):
        raise SettingsInvalid(f"--batches {text!r}: write numbers from 1 to {LARGEST} with commas, as 1,4,8,16")
    return tuple(sorted({int(part) for part in parts}))


@bench.command()
def peers(
    data: Annotated[Path, typer.Option(help="A data set with test pictures as for evaluate, or a folder of several.")],
    budget: Annotated[
        str, typer.Option(help="For ours: a time for the whole job, such as 180s, or iterations, such as 400it.")
    ] = "180s",
    size: Annotated[int, typer.Option(min=64, max=1024, help="Input: SIZE squared, ours with its aspect kept.")] = 256,
    seed: Annotated[int, typer.Option(help="Of ours and of the peers.")] = 0,
    peers_python: Annotated[
        Path | None, typer.Option(help="Python of an environment with anomalib; default: the one that runs this.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the result as JSON here; - for stdout.")
    ] = None,
) -> None:
    """Compare ours with anomalib's PaDiM, PatchCore and STFPM: accuracy, training time, speed, memory."""
    from cli.bench_peers import bench_peers
    from cli.peers.jobs import Asked

    asked = Asked(data, budget, size, seed, peers_python or Path(sys.executable))
    raise typer.Exit(bench_peers(asked, json_file=json_file))


@bench.command(hidden=True)
def worker(
    name: Annotated[str, typer.Option()] = "",
    supervised: Annotated[bool, typer.Option("--supervised")] = False,
    ready: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """The inspection worker with the null model; refuses every database but a bench's."""
    from cli.bench_null import load_null, require_bench
    from cli.roles import run_inspection
    from core.settings import read_settings

    require_bench(read_settings())
    run_inspection(name=name, supervised=supervised, ready=ready, load=load_null)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.add_typer(bench, name="bench")
