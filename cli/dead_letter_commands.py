"""Commands around dead letters: what was given up, why, and trying it again."""

from pathlib import Path
from typing import Annotated

import typer

app_ = typer.Typer(no_args_is_help=True, help="Messages that were given up: list them, look at one, try them again.")
Json = Annotated[Path | None, typer.Option("--json", help="Write the result as JSON here; - for standard output.")]
Topic = Annotated[str, typer.Option(help="frames, cameras or routes; default: all.")]


@app_.command("list")
def dead_letters_list(topic: Topic = "", json_file: Json = None) -> None:
    """List what was given up: when, where it stands, which frame it is, why, and what became of it."""
    from cli.dead_letters import show_list

    show_list(topic, json_file)


@app_.command("show")
def dead_letters_show(
    place: Annotated[str, typer.Argument(help="Its place in the list, such as frames.dlq/0/17.")],
    save: Annotated[
        Path | None, typer.Option(help="Write the message's value, a frame's picture, to this file.")
    ] = None,
    json_file: Json = None,
) -> None:
    """Show one with all its headers."""
    from cli.dead_letters import show_one

    show_one(place, save, json_file)


@app_.command("replay")
def dead_letters_replay(
    places: Annotated[list[str] | None, typer.Argument(metavar="[PLACE]...", help="Such as frames.dlq/0/17.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that were not replayed yet.")] = False,
    topic: Topic = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be put back, and do nothing.")] = False,
    json_file: Json = None,
) -> None:
    """Put messages back to their topic to be tried again; once more changes nothing."""
    from cli.dead_letters import replay

    replay(places or [], topic, json_file, every=every, dry_run=dry_run)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.add_typer(app_, name="dead-letters")
