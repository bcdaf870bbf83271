"""Commands that run the line: up, worker, dashboard, simulate, demo."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import err, out

worker = typer.Typer(
    no_args_is_help=True, help="Run one role of the line in this process; `flawline up` runs them all."
)

Supervised = Annotated[bool, typer.Option("--supervised", hidden=True, help="Stop when standard input closes.")]
Ready = Annotated[Path | None, typer.Option(help="Touch this file as soon as the role is ready to work.")]
LineFile = Annotated[Path | None, typer.Option("--line", help="Line file; default: line.toml in the data folder.")]


def up(
    line: LineFile = None,
    no_dashboard: Annotated[bool, typer.Option("--no-dashboard", help="Run without the pages.")] = False,
) -> None:
    """Run the whole line on this machine: cameras, inspection, books, housekeeping and the dashboard, until Ctrl-C."""
    from cli.line_up import run_line

    run_line(line, dashboard=not no_dashboard)


@worker.command()
def inspection(
    name: Annotated[
        str, typer.Option(help="This worker's name; with the same one it takes up its frames at once after a restart.")
    ] = "",
    supervised: Supervised = False,
    ready: Ready = None,
) -> None:
    """Judge frames: the log's frames in, verdicts in the books."""
    from cli.roles import run_inspection

    run_inspection(name=name, supervised=supervised, ready=ready)


@worker.command()
def books(supervised: Supervised = False) -> None:
    """Write what the cameras report of themselves into the books."""
    from cli.roles import run_books

    run_books(supervised=supervised)


@worker.command()
def housekeeping(supervised: Supervised = False) -> None:
    """Drop log records and pictures that are past their time."""
    from cli.roles import run_housekeeping

    run_housekeeping(supervised=supervised)


@worker.command()
def capture(
    camera: Annotated[str, typer.Argument(help="A camera of the line file.")],
    line: LineFile = None,
    supervised: Supervised = False,
) -> None:
    """Take the pictures of one camera into the log."""
    from cli.roles import run_capture

    run_capture(camera, line, supervised=supervised)


def dashboard(
    port: Annotated[int | None, typer.Option(help="Port; default: the setting dashboard.port, 8501.")] = None,
    supervised: Supervised = False,
) -> None:
    """Serve the pages: Line, Review, Models."""
    from cli.roles import run_dashboard

    run_dashboard(port, supervised=supervised)


def simulate(
    product: Annotated[str, typer.Argument(help="ring, board or weave.")],
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    train: Annotated[int, typer.Option(min=0, help="Good pictures to learn from.")] = 100,
    test: Annotated[int, typer.Option(min=0, help="Test pictures, half of them defective.")] = 60,
    seed: Annotated[int, typer.Option(help="Another seed is another shift of the same product.")] = 0,
) -> None:
    """Render a simulated product as a data set in MVTec AD layout: good parts, defects of every kind, their masks."""
    from cli.simulate import write_pictures

    write_pictures(product, folder, train=train, test=test, seed=seed)
    out.print(f"{train} pictures to learn from and {test} to test on are in {folder}")
    err.print(f"next: flawline onboard {product} {folder}")


def demo(
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after so many minutes; default: at Ctrl-C.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the dashboard in a browser.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the report here at the end; - for stdout.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the demo; default: demo in the data folder.")] = None,
    products: Annotated[str, typer.Option(help="Which simulated products, separated by commas.")] = "ring,board,weave",
    budget: Annotated[str, typer.Option(help="Training time for each product.")] = "55s",
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what an earlier demo learnt and start anew.")] = False,
) -> None:
    """See the whole thing at work: learn simulated products, stream a simulated line, open the dashboard."""
    from cli.demo import Wishes, run_demo

    wishes = Wishes(
        minutes=minutes,
        browser=not no_browser,
        data=data,
        products=tuple(products.split(",")),
        budget=budget,
        fresh=fresh,
    )
    raise typer.Exit(run_demo(wishes, json_file))


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for command in (demo, up, simulate, dashboard):
        app.command()(command)
    app.add_typer(worker, name="worker")
