"""Commands around the cameras' spools: what waits while the broker is away, and forwarding it by hand."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.console import err, escape, out, progress, write_json

spool = typer.Typer(no_args_is_help=True, help="The cameras' spools: what waits for the broker, and forwarding it.")
Json = Annotated[Path | None, typer.Option("--json", help="Write the result as JSON here; - for standard output.")]


@spool.command("list")
def spool_list(json_file: Json = None) -> None:
    """Say what waits in each camera's spool, and for how long."""
    from cli.spools import waiting
    from core.settings import read_settings

    settings = read_settings()
    found = waiting(settings)
    if json_file:
        write_json({"room_bytes": settings.broker.spool_bytes, "spools": [asdict(one) for one in found]}, json_file)
        return
    for one in found:
        state = "capturing" if one.capturing else "not capturing"
        out.print(
            f"{one.camera:<24} {one.records:>8} records {one.bytes / 1e6:>10.1f} MB   oldest {one.oldest_seconds:.0f} s"
            f"   {state}"
        )
    if not found:
        out.print(f"no spools in {settings.spool_folder}; a camera has one when the broker is Kafka")


@spool.command("drain")
def spool_drain(
    cameras: Annotated[list[str] | None, typer.Argument(metavar="[CAMERA]...", help="Default: all.")] = None,
    json_file: Json = None,
) -> None:
    """Forward what waits, such as that of a camera that was taken out of the line; 3 when something is left."""
    from cli.spools import drain_spools
    from core.settings import read_settings

    with progress(quiet=json_file is not None) as report:
        found = list(drain_spools(read_settings(), cameras or [], report))
    write_json({"spools": [asdict(one) for one in found]}, json_file)
    for one in found if json_file is None else ():
        out.print(f"{one.camera:<24} {one.forwarded:>8} records forwarded, {one.left} left")
        if one.problem:
            err.print(f"{one.camera}: {escape(one.problem)}", soft_wrap=True)
    if any(one.left for one in found):
        raise typer.Exit(3)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.add_typer(spool, name="spool")
