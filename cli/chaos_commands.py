"""`flawline chaos`: proves on real servers that nothing is lost, doubled or passed by failure."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from cli.console import out, write_json


def chaos(
    frames: Annotated[int, typer.Option(min=50, help="Parts that the cameras send.")] = 20_000,
    kills: Annotated[int, typer.Option(min=0, help="How often something is killed.")] = 30,
    cameras: Annotated[int, typer.Option(min=1, max=32, help="Cameras.")] = 4,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Inspection workers that share them.")] = 2,
    rate: Annotated[float, typer.Option(min=1, help="Parts per second, over all cameras.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Another seed is another storm.")] = 0,
    away: Annotated[
        list[str] | None, typer.Option(help="After the kills let a server go for long: kafka=600 (seconds), in turn.")
    ] = None,
    first: Annotated[
        list[str] | None, typer.Option(help="Kill these first, in this order: kafka, books, inspect_after_blobs, …")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Keep servers' data, logs and books in this new folder.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here; - for stdout.")] = None,
) -> None:
    """Kill workers, cameras, Kafka, PostgreSQL and Redis while a line runs on them; then check every part.

    Needs the servers' programs: `scripts/services up` installs them. Exit code 1 when a part was lost, counted twice
    or passed wrongly.
    """
    from cli.chaos import Storm, run_chaos

    storm = Storm(frames=frames, kills=kills, cameras=cameras, workers=workers, rate=rate, seed=seed,
                  away=tuple(_outage(text) for text in away or ()), first=tuple(first or ()))  # fmt: skip
    with TemporaryDirectory(prefix="flawline-chaos-") as scratch:
        report = run_chaos(storm, folder or Path(scratch) / "run")
    write_json(report, json_file)
    if str(json_file) != "-":
        out.print(
            f"{report['frames']} parts, {report['kills']} kills in {report['seconds']} s: {report['lost']} lost, "
            f"{report['duplicated']} counted twice, {report['false_pass']} passed wrongly; the books "
            f"{'balance' if report['balanced'] else 'DO NOT BALANCE'}"
        )
    good = report["balanced"] and not (report["lost"] or report["duplicated"] or report["false_pass"])
    raise typer.Exit(0 if good else 1)


def _outage(text: str) -> tuple[str, float]:
    from cli.chaos import SERVERS

    name, _, seconds = text.partition("=")
    if name not in SERVERS or not seconds.isdigit():
        raise typer.BadParameter(f"{text!r}: write one of {', '.join(SERVERS)}, =, and whole seconds, as in kafka=600")
    return name, float(seconds)


def add_to(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(chaos)
