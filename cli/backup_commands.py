"""Commands that keep a line's books safe: backup, restore."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[Path | None, typer.Option("--json", help="Write the result as JSON here; - for standard output.")]


class Pictures(StrEnum):
    """Which pictures; models and data sets are always in a backup."""

    NONE = "none"
    EVIDENCE = "evidence"
    ALL = "all"


def backup(
    target: Annotated[Path, typer.Argument(help="A folder, for a file named after the time, or a new file.")],
    pictures: Annotated[
        Pictures, typer.Option(help="none, evidence (of FAIL, REVIEW and INVALID parts) or all.")
    ] = Pictures.EVIDENCE,
    json_file: Json = None,
) -> None:
    """Write books, models, pictures and line file into one archive, while the line runs."""
    from cli.backups import write_backup

    write_backup(target, pictures.value, json_file)


def restore(
    file: Annotated[Path, typer.Argument(help="What `flawline backup` wrote.")],
    into: Annotated[
        Path | None, typer.Option(help="Into this data folder, as SQLite and a picture folder: for a drill.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every bit and every row; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Replace books that are not empty.")] = False,
    json_file: Json = None,
) -> None:
    """Put a backup back where the settings point. Stop the line first."""
    from cli.backups import read_backup

    read_backup(file, into=into, dry_run=dry_run, over=yes, json_file=json_file)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(backup)
    app.command()(restore)
