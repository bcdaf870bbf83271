"""`flawline audit`: who changed what, when and why, from the audit log."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[Path | None, typer.Option("--json", help="Write the result as JSON here; - for standard output.")]


def audit(
    since: Annotated[str, typer.Option(help="2h, 30m, 1d, or a time such as 2026-11-24T06:00; default: all.")] = "",
    about: Annotated[str, typer.Option(help="Only entries with this in action, subject or name.")] = "",
    most: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    json_file: Json = None,
) -> None:
    """Show the audit log, newest first: who changed what, when and why; gates' orders too."""
    from cli.audit import show_audit

    show_audit(since, about, most, json_file)


def add_to(app: typer.Typer) -> None:
    """Add this command to the app."""
    app.command()(audit)
