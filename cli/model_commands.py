"""Commands around a model file alone, without any books: `flawline model`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

model_app = typer.Typer(no_args_is_help=True, help="Model files: import one of the authors' code, show what one says.")
Json = Annotated[Path | None, typer.Option("--json", help="Write the result as JSON here; - for standard output.")]


class Way(StrEnum):
    """What flows into the student's decoder; model.architecture has the same, but importing it takes torch."""

    GII = "gii"
    PLAIN = "plain"
    NONE = "none"


@model_app.command("import-urd")
def import_urd(
    file: Annotated[Path, typer.Argument(help="A checkpoint {'teacher': …, 'student': …} of wide_resnet50_2.")],
    out: Annotated[Path | None, typer.Option(help="The model file; default: FILE's name with .safetensors.")] = None,
    size: Annotated[
        int, typer.Option(min=64, max=1024, help="Side of the square input in pixels; a multiple of 32.")
    ] = 256,
    skip: Annotated[Way | None, typer.Option(help="What it was trained with; default: as its counters tell.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Good parts, not trained on, to calibrate on; without, it has no limits.")
    ] = None,
    json_file: Json = None,
) -> None:
    """Make a model file of a checkpoint that the method's authors' code has trained."""
    from cli.model_files import Request, import_checkpoint

    request = Request(file, out, size, skip.value if skip else None, pictures)
    raise typer.Exit(import_checkpoint(request, json_file=json_file))


@model_app.command("show")
def show(
    file: Annotated[Path, typer.Argument(help="A model file.")],
    json_file: Json = None,
) -> None:
    """Say what a model file says of itself: network, pictures, training, limits, runtime."""
    from cli.model_files import show_card

    raise typer.Exit(show_card(file, json_file=json_file))


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.add_typer(model_app, name="model")
