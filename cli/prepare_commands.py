"""The command that makes what a line needs: prepare."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import out


def prepare(
    line: Annotated[
        Path | None, typer.Option("--line", help="Line file; default: line.toml in the data folder.")
    ] = None,
) -> None:
    """Make what is missing: tables, topics, and the line's cameras in the books. Safe at every start, and twice."""
    from cli import parts
    from core.line import read_line
    from core.settings import read_settings

    settings = read_settings()
    path = line or settings.line_path
    found = read_line(path)
    parts.prepare(settings, found)
    out.print(f"tables, topics and the {len(found.camera)} cameras of {found.name} are as {path} says", soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Add this command to the app."""
    app.command()(prepare)
