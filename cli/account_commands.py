"""Commands around part accounting and alerts: books, alerts, worker watch."""

from pathlib import Path
from typing import Annotated

import typer

from cli.line_commands import Supervised, worker

alerts = typer.Typer(no_args_is_help=True, help="What needs a person: list it, acknowledge it, follow it.")
Json = Annotated[Path | None, typer.Option("--json", help="Write the result as JSON here; - for standard output.")]


def books(
    since: Annotated[str, typer.Option(help="2h, 30m, 1d, or a time such as 2026-11-24T06:00; default: all.")] = "",
    camera: Annotated[list[str] | None, typer.Option("--camera", help="Only this camera; may be repeated.")] = None,
    minutes: Annotated[bool, typer.Option("--minutes", help="Minute by minute instead of camera by camera.")] = False,
    json_file: Json = None,
) -> None:
    """Part accounting: triggered = captured = judged = routed, by session, camera, minute; what is missing, where."""
    from cli.accounts import show_books

    raise typer.Exit(show_books(since, camera or [], json_file, by_minute=minutes))


@alerts.command("list")
def alerts_list(
    since: Annotated[str, typer.Option(help="Closed ones too, back to 2h, 1d, or a time; default: open ones.")] = "",
    json_file: Json = None,
) -> None:
    """List what needs a person now, the loudest first."""
    from cli.alerts import show_alerts

    show_alerts(since, json_file)


@alerts.command("ack")
def alerts_ack(
    number: Annotated[int, typer.Argument(help="The alert's number in `flawline alerts list`.")],
    who: Annotated[
        str, typer.Option(help="Your name, as the audit log keeps it; default: the setting of the pages.")
    ] = "",
    note: Annotated[str, typer.Option(help="What you know or will do.")] = "",
) -> None:
    """Say that a person has seen an alert; it closes by itself when its cause is gone."""
    from cli.alerts import acknowledge

    acknowledge(number, who, note)


@alerts.command("watch")
def alerts_watch(
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")] = False,
) -> None:
    """Print alerts as they are raised and closed, until Ctrl-C."""
    from cli.alerts import follow

    follow(json_lines=json_lines)


@worker.command("watch")
def watch(supervised: Supervised = False) -> None:
    """Look at the whole line every few seconds and keep the alerts up to date."""
    from cli.roles import run_watch

    run_watch(supervised=supervised)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(books)
    app.add_typer(alerts, name="alerts")
